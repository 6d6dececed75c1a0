"""gpu-advisor: which GPU to buy or rent for deep learning, and the proof.

    >>> import advisor
    >>> answer = advisor.recommend("llama-3.1-8b", method="lora", data={"tokens": 50e6})
    >>> answer.recommendations[0].gpu

The functions return the models that ``--json`` prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor.version import __version__

if TYPE_CHECKING:
    from advisor.documents import CompareAnswer, EstimateAnswer, RecommendAnswer
    from advisor.objective import Objective
    from advisor.service import Advisor
    from advisor.workload import Workload

__all__ = ["__version__", "compare", "estimate", "recommend"]


def recommend(
    workload: Workload | Mapping[str, Any] | str | Path,
    *,
    objective: Objective = "balanced",
    limit: int | None = 20,
    cpu: str | None = None,
    catalog: Sequence[Path] = (),
    allow_code: bool = False,
    **fields: object,
) -> RecommendAnswer:
    """Rank GPUs, and numbers of them, for a workload.

    Args:
        workload: a workload, a mapping in its shape, the name of a shipped model, or the path of a YAML or JSON file.
        objective: ``balanced``, ``cost``, ``time``, ``energy`` or ``value``.
        limit: rows to return; None for all.
        cpu: a processor to compare with, by id or name, or ``local``.
        catalog: folders whose entries add to the hardware catalog or override it.
        allow_code: run the code of a model given as ``model.torch``.
        fields: fields of the workload that replace those of the document, such as ``method="lora"``.

    Raises:
        advisor.errors.InputError: the workload is wrong; says where.
    """
    return _advisor(catalog, allow_code).recommend(
        _workload(workload, fields), objective=objective, limit=limit, cpu=cpu
    )


def estimate(
    workload: Workload | Mapping[str, Any] | str | Path,
    *,
    gpus: Sequence[str],
    count: int | None = None,
    cpu: str | None = None,
    catalog: Sequence[Path] = (),
    allow_code: bool = False,
    **fields: object,
) -> EstimateAnswer:
    """Estimate memory, time and cost of a workload on the named GPUs; arguments as in :func:`recommend`.

    Raises:
        advisor.errors.InputError: the workload or a GPU's name is wrong.
    """
    return _advisor(catalog, allow_code).estimate(
        _workload(workload, fields), gpus=gpus, count=count, cpu=cpu
    )


def compare(
    workload: Workload | Mapping[str, Any] | str | Path,
    *,
    gpus: Sequence[str],
    count: int | None = None,
    cpu: str | None = None,
    catalog: Sequence[Path] = (),
    allow_code: bool = False,
    **fields: object,
) -> CompareAnswer:
    """Estimate a workload on the named GPUs and relate each to the first; arguments as in :func:`recommend`.

    Raises:
        advisor.errors.InputError: the workload or a GPU's name is wrong.
    """
    return _advisor(catalog, allow_code).compare(_workload(workload, fields), gpus=gpus, count=count, cpu=cpu)


def _advisor(catalog: Sequence[Path], allow_code: bool) -> Advisor:
    from advisor.service import CodePolicy, open_advisor

    return open_advisor(catalog, CodePolicy(allowed=lambda _: allow_code))


def _workload(source: Workload | Mapping[str, Any] | str | Path, fields: Mapping[str, object]) -> Workload:
    from advisor.workload import Workload
    from advisor.workload_file import build_workload, read_workload

    if isinstance(source, Workload):
        source = source.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(source, Mapping):
        return build_workload({**source, **fields}, "workload", None)
    return read_workload(str(source), overrides=fields)
