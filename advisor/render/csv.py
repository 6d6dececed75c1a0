"""CSV: one row an answer, flat columns named as the fields of the JSON document with dots between."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from advisor.accuracy_documents import AccuracyAnswer
from advisor.documents import CompareAnswer, EstimateAnswer, GpuAnswer, ModelAnswer, RecommendAnswer
from advisor.errors import one_line
from advisor.fetch.documents import RefreshAnswer
from advisor.fleet_documents import FleetAnswer
from advisor.price_documents import PricesAnswer
from advisor.quantity import Model
from advisor.units import plain

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Where a formula may begin; the wide forms count in East Asian settings."""


def render(answer: Model) -> str:
    """Return an answer as CSV with a header line.

    Raises:
        TypeError: this kind of answer has no rows.
    """
    rows = [_flat(row) for row in _rows(answer)]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    if columns:
        writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _rows(answer: Model) -> list[dict[str, Any]]:
    if isinstance(answer, RecommendAnswer):
        return [_ranked(row.model_dump(by_alias=True)) for row in answer.recommendations]
    if isinstance(answer, EstimateAnswer):
        return [row.model_dump(by_alias=True) for row in answer.estimates]
    if isinstance(answer, CompareAnswer):
        return [
            row.model_dump(by_alias=True) | {"ratio": ratio.model_dump(exclude={"gpu", "count"})}
            for row, ratio in zip(answer.estimates, answer.ratios, strict=True)
        ]
    if isinstance(answer, GpuAnswer):
        return [row.model_dump(by_alias=True) for row in answer.gpus]
    if isinstance(answer, ModelAnswer):
        return [row.model_dump(by_alias=True) for row in answer.models]
    if isinstance(answer, AccuracyAnswer):
        return [row.model_dump(by_alias=True) for row in answer.rows]
    if isinstance(answer, PricesAnswer):
        return [
            {"gpu": gpu.gpu, "name": gpu.name} | row.model_dump()
            for gpu in answer.gpus
            for row in gpu.prices or [price for price in (gpu.buy, gpu.rent, gpu.spot) if price is not None]
        ]
    if isinstance(answer, RefreshAnswer):
        return [row.model_dump() for row in answer.sources]
    if isinstance(answer, FleetAnswer):
        return [row.model_dump() for row in answer.assignments]
    raise TypeError(f"no rows in {type(answer).__name__}")


def _ranked(row: dict[str, Any]) -> dict[str, Any]:
    """Put the place in the ranking first."""
    return {key: row[key] for key in ("rank", "pareto")} | row


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in row.items():
        column = plain(f"{prefix}{key}")
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{column}.")
        elif isinstance(value, list | tuple):
            flat[column] = _safe("; ".join(_brief(item) for item in value))
        else:
            flat[column] = _cell(value)
    return flat


def _brief(item: Any) -> str:
    """Return a nested record on one line: ``kind=gemm time_s=0.1 share=0.8``."""
    if not isinstance(item, Mapping):
        return str(item)
    return " ".join(f"{key}={_cell(value)}" for key, value in item.items() if value is not None)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else _safe(str(value))


def _safe(text: str) -> str:
    """Return text that a spreadsheet does not run as a formula."""
    text = one_line(plain(text))
    return f"'{text}" if text.startswith(_FORMULA) else text
