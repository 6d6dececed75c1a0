"""A JSON object out of the body of an answer."""

from __future__ import annotations

from advisor.errors import ExternalError, InputError
from advisor.yaml_io import decode, parse_json


def json_object(body: bytes, url: str) -> dict[str, object]:
    """Return the one JSON object that an answer holds.

    Args:
        body: of the answer.
        url: that was asked, for messages.

    Raises:
        ExternalError: it holds something else.
    """
    try:
        document = parse_json(decode(body, url), url)
    except InputError as error:
        raise ExternalError(f"{url}: {error.message}") from None
    if not isinstance(document, dict):
        raise ExternalError(f"{url}: not a JSON object")
    return document
