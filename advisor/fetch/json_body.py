"""A JSON object out of the body of an answer."""

from __future__ import annotations

import json

from advisor.errors import InputError
from advisor.fetch.offers import FormatChangedError
from advisor.units import plain
from advisor.yaml_io import decode, parse_json

_MOST_PARTS = 200_000
"""Objects and lists of an answer: an empty one needs twenty times the memory of its text."""


def json_object(body: bytes, url: str, *, strict: bool = True) -> dict[str, object]:
    """Return the one JSON object that an answer holds.

    Args:
        body: of the answer.
        url: that was asked, for messages.
        strict: whether it must be good as a whole, as a document that is kept; else any JSON will do, in which each
            piece is judged by itself.

    Raises:
        FormatChangedError: it holds something else.
    """
    try:
        document = parse_json(decode(body, url), url) if strict else _any_json(body)
    except InputError as error:
        raise FormatChangedError(f"{plain(url)}: {error.message}") from None
    if not isinstance(document, dict):
        raise FormatChangedError(f"{plain(url)}: not a JSON object")
    return document


def _any_json(body: bytes) -> object:
    if body.count(b"{") + body.count(b"[") > _MOST_PARTS:
        raise InputError(f"more than {_MOST_PARTS} objects and lists")
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        what = "a web page, not JSON" if body.lstrip().startswith(b"<") else "not valid JSON"
        raise InputError(f"the answer is {what}") from None
    return found
