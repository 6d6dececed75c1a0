"""From what was typed to a workload document and its answer; runs in the service's thread, and is loaded there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from advisor.errors import InputError
from advisor.tui.desk import Question
from advisor.tui.fields import flattened, workload_fields
from advisor.workload import Workload
from advisor.workload_file import build_workload, is_file, read_setting, read_workload

if TYPE_CHECKING:
    from advisor.documents import RecommendAnswer
    from advisor.service import Advisor

_DIMENSIONS = "model.transformer"


@dataclass(frozen=True, slots=True)
class Answered:
    """A sound question with its answer."""

    workload: Workload
    answer: RecommendAnswer


def answered(service: Advisor, question: Question) -> Answered:
    """Return the answer to a question, all rows of it.

    Raises:
        AdvisorError: the question is wrong, or something outside failed.
    """
    workload = workload_of(service, question)
    return Answered(workload, service.recommend(workload, objective=question.objective, limit=None))


def workload_of(service: Advisor, question: Question) -> Workload:
    """Return a question's workload.

    What is wrong with a field is told without the option that set it: there was none.

    Raises:
        InputError: a field is wrong; ``field`` says which.
        ExternalError: the source cannot be read.
    """
    try:
        return _workload_of(service, question)
    except InputError as error:
        if error.source != question.source:
            error.source = None
        raise


def _workload_of(service: Advisor, question: Question) -> Workload:
    fields = workload_fields()
    for path in question.settings:
        if path not in fields:
            raise InputError("there is no such field any more", field=path, hint="o chooses a model anew")
    settings = {
        path: read_setting(path, path, text or fields[path].default)
        for path, text in question.settings.items()
    }
    overrides = {path: setting.value for path, setting in settings.items()}
    if not any(path.startswith(f"{_DIMENSIONS}.") for path in overrides):
        return read_workload(question.source, overrides=overrides, options=dict.fromkeys(overrides, ""))
    document = {
        "name": f"{question.source}, edited",
        "model": {"transformer": dict(_dimensions(service, question.source))},
    }
    return build_workload(document, question.source, None, overrides=overrides)


def values_of(service: Advisor, source: str) -> dict[str, str]:
    """Return what a source says by itself, as text by field; of a shipped transformer its dimensions too.

    Raises:
        AdvisorError: the source is wrong or cannot be read.
    """
    workload = read_workload(source)
    said = flattened(workload.model_dump(mode="json", by_alias=True, exclude_unset=True))
    if workload.model.name is not None:
        dimensions = service.model(workload.model.name).models[0].dimensions
        said |= flattened(dimensions or {}, f"{_DIMENSIONS}.")
    return {path: text for path, text in said.items() if path in workload_fields()}


def _dimensions(service: Advisor, source: str) -> Mapping[str, object]:
    """Return the sizes that edits start from.

    Raises:
        InputError: the source has none.
    """
    if not is_file(source):
        dimensions = service.model(source).models[0].dimensions
        if dimensions is not None:
            return dimensions
    else:
        transformer = read_workload(source).model.transformer
        if transformer is not None:
            return transformer.model_dump(mode="json", exclude_unset=True)
    raise InputError(
        "only a transformer has dimensions to edit",
        field=_DIMENSIONS, value=source, accepted="a shipped transformer, or a workload with model.transformer",
    )  # fmt: skip
