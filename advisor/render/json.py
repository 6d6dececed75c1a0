"""JSON: one document, keys in the order of the models, byte for byte the same for the same answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from advisor.network import NetworkTable
from advisor.quantity import Model


def render(answer: Model) -> str:
    """Return a document as indented JSON with a newline at its end."""
    return answer.model_dump_json(by_alias=True, indent=2) + "\n"


def render_line(answer: Model, *, exclude_none: bool = False) -> str:
    """Return a document on one line, for a stream of them."""
    return answer.model_dump_json(by_alias=True, exclude_none=exclude_none) + "\n"


def render_schema(schema: Mapping[str, Any]) -> str:
    """Return a JSON Schema as indented JSON with a newline at its end."""
    return json.dumps(schema, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def render_operators(table: NetworkTable) -> str:
    """Return a table as JSON that is read well: a line for each operator, the same bytes for the same table."""
    document = table.model_dump(mode="json", exclude_none=True)
    traces = document.pop("traces")
    head = json.dumps(_whole(document), indent=1, ensure_ascii=False)
    body = ",\n".join(_trace_text(trace) for trace in traces)
    return f'{head[:-2]},\n "traces": [\n{body}\n ]\n}}\n'


def _trace_text(trace: dict[str, Any]) -> str:
    operators = trace.pop("operators")
    head = json.dumps(_whole(trace), ensure_ascii=False)
    lines = ",\n".join("   " + json.dumps(_whole(row), ensure_ascii=False) for row in operators)
    return f'  {head[:-1]}, "operators": [\n{lines}\n  ]}}'


def _whole(value: Any) -> Any:
    """Return plain values with whole numbers written as such."""
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
