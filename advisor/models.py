"""From what a workload says of its model to the subject of an estimate: a shipped name, dimensions, a file, or code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from advisor.describe.named import load_named, transformer_names
from advisor.describe.network_table import read_table
from advisor.describe.shipped_networks import load_network, network_places
from advisor.describe.subject import LearnerSubject, NetworkSubject, Subject, TransformerSubject
from advisor.describe.weights import parameter_count
from advisor.errors import ExternalError, InputError, nearest
from advisor.execution import LearnerConstants
from advisor.hub_model import HubModel, is_hub_id
from advisor.network import NetworkTable
from advisor.paths import is_there
from advisor.torch_model import TorchModel
from advisor.workload import Transformer, Workload
from advisor.yaml_io import read_yaml

TIME_LIMIT_S = 300.0
"""How long a user's code may take to build and to run a step; large published networks take under a minute."""


def never(model: TorchModel) -> bool:
    """Refuse to run any code."""
    return False


@dataclass(frozen=True, slots=True)
class CodePolicy:
    """Whether code of a workload's model may run, and for how long.

    ``allowed`` is asked once for each model that is code.
    """

    allowed: Callable[[TorchModel], bool] = never
    time_limit_s: float = TIME_LIMIT_S


AskHub = Callable[[str], HubModel]
"""Returns a model of the Hugging Face hub by its id."""


def subject_of(
    workload: Workload, root: Path, learners: LearnerConstants, code: CodePolicy, hub: AskHub | None = None
) -> Subject:
    """Return the model that a workload names.

    Args:
        workload: names the model.
        root: the catalog folder.
        learners: constants of learners that are not networks.
        code: whether a model that is code may run.
        hub: asks the Hugging Face hub; None where that is not wanted.

    Raises:
        InputError: the model is not known, malformed, or its code may not run.
        ExternalError: the hub cannot be asked, or does not give the model away.
        MissingExtraError: torch is needed and not installed.
    """
    source = workload.model
    if source.name is not None:
        return named_subject(source.name, root)
    if source.transformer is not None:
        return TransformerSubject(source.transformer, workload.name or "transformer", "custom")
    if source.huggingface is not None:
        return _from_hugging_face(source.huggingface, hub)
    if source.table is not None:
        return NetworkSubject(read_table(Path(source.table)))
    if source.torch is not None:
        return NetworkSubject(traced(source.torch, workload.name, code))
    if source.learner is not None:
        return LearnerSubject(source.learner, learners)
    raise AssertionError("a model has exactly one source")


def named_subject(name: str, root: Path) -> Subject:
    """Return the shipped transformer or network of a name or alias; case and underscores do not matter.

    Raises:
        InputError: nothing shipped has this name (with the nearest names).
    """
    key = name.strip().lower().replace("_", "-")
    transformers, networks = transformer_names(root), network_places(root)
    if key in transformers:
        named = load_named(root, key)
        return TransformerSubject(named.transformer, named.name, named.family, named.sequence_length)
    if key in networks:
        return NetworkSubject(load_network(root, key))
    raise InputError(
        "no shipped model has this name",
        field="model.name",
        value=name,
        candidates=nearest(key, [*transformers, *networks]),
        hint="gpu-advisor models lists them",
    )


def operator_table(
    workload: Workload, root: Path, learners: LearnerConstants, code: CodePolicy, hub: AskHub | None = None
) -> NetworkTable:
    """Return the operator table of a workload's model.

    Raises:
        InputError: the model has none: it is described by dimensions, which every machine can read.
    """
    subject = subject_of(workload, root, learners, code, hub)
    if isinstance(subject, NetworkSubject):
        return subject.table
    raise InputError(
        f"{subject.name} is described by its sizes alone and needs no operator table: use it as it is",
        field="model", accepted="model.torch, model.table, or a shipped network",
    )  # fmt: skip


def traced(model: TorchModel, name: str | None, code: CodePolicy) -> NetworkTable:
    """Return the operator table of a model that is code, by running it.

    Raises:
        InputError: the code may not run, or it cannot be traced.
        MissingExtraError: torch is not installed.
        ExternalError: the process that runs it failed.
    """
    factories = ", ".join(part.factory for part in model.steps)
    if not code.allowed(model):
        raise InputError(
            "this model is code, which runs only when you say so",
            field="model.torch.factory",
            value=factories,
            accepted="--allow-code, after you have read it",
            hint="or give a table that describe wrote, as model.table",
        )
    from advisor.describe.torch_module import trace_module

    return trace_module(
        model, name=name or model.steps[0].factory.partition(":")[2], time_limit_s=code.time_limit_s
    )


def runnable_of(workload: Workload, subject: Subject, code: CodePolicy) -> TorchModel | Transformer:
    """Return what a process builds to run a model for real.

    Args:
        workload: names the model.
        subject: the model.
        code: asked where the model's code is the user's, or named in a table of theirs.

    Raises:
        InputError: the model is no network, or its code may not run.
    """
    if isinstance(subject, TransformerSubject):
        return subject.transformer
    if not isinstance(subject, NetworkSubject):
        raise InputError(
            "only networks can be run",
            field="model",
            value=subject.name,
            accepted="a transformer or a network",
        )
    model = subject.table.origin.model if workload.model.torch is None else workload.model.torch
    if workload.model.name is None and not code.allowed(model):
        raise InputError(
            "running this model runs its code, which happens only when you say so",
            field="model", value=", ".join(part.factory for part in model.steps),
            accepted="--allow-code, after you have read it",
        )  # fmt: skip
    return model


def hub_subject(model: HubModel) -> TransformerSubject:
    """Return the transformer that a model of the hub is.

    Raises:
        InputError: its config describes none that is known.
    """
    subject = _of_config(dict(model.config), model.name, model.name)
    doubt = model.disagreement(parameter_count(subject.transformer))
    return replace(subject, notes=(model.source, *model.warnings, *((doubt,) if doubt else ())))


def _from_hugging_face(place: str, hub: AskHub | None) -> Subject:
    """Return the model of a config.json, or of a model of the hub."""
    path = Path(place)
    if is_there(path):
        config = read_yaml(path)
        if not isinstance(config, dict):
            raise InputError("not a config.json", source=place, accepted="a JSON object with model_type")
        return _of_config(config, place, path.parent.name or path.stem)
    if hub is None or not is_hub_id(place):
        raise ExternalError(
            f"{place}: no such file",
            hint="give the path of a config.json, or the id of a model of the hub, such as org/name",
        )
    return hub_subject(hub(place))


def _of_config(config: Mapping[str, object], place: str, name: str) -> TransformerSubject:
    from advisor.describe.huggingface import transformer_from_config

    try:
        transformer = transformer_from_config(config)
    except InputError as error:
        raise error.located(source=place) from None
    return TransformerSubject(transformer, name, str(config.get("model_type", "custom")))
