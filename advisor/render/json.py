"""JSON: one document, keys in the order of the models, byte for byte the same for the same answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
