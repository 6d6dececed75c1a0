"""The command that asks the same question without the app."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from advisor.tui.desk import Question
from advisor.tui.fields import DIMENSIONS, workload_fields
from advisor.workload_file import read_setting


def command_of(question: Question, source_values: Mapping[str, str]) -> str:
    """Return the command line of a question.

    Args:
        question: what is asked.
        source_values: what its source says by itself, as text by field.

    Raises:
        InputError: a field does not read as what it is.
    """
    words = ["gpu-advisor", "recommend", question.source]
    if question.objective != "balanced":
        words += ["--for", question.objective]
    settings = {path: _value(path, text) for path, text in question.settings.items()}
    if any(path.startswith(DIMENSIONS) for path in settings):
        # A shipped model has a name in place of dimensions: only all of them together replace it.
        whole = {
            path: _value(path, text) for path, text in source_values.items() if path.startswith(DIMENSIONS)
        }
        whole |= {path: settings.pop(path) for path in list(settings) if path.startswith(DIMENSIONS)}
        settings["model"] = _nested(whole)["model"]
    for path, value in settings.items():
        words += ["--set", f"{path}={json.dumps(value)}"]
    return shlex.join(words)


def _value(path: str, text: str) -> object:
    return read_setting(path, path, text or workload_fields()[path].default).value


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    """Return a document of the values of dotted paths."""
    document: dict[str, object] = {}
    for path, value in values.items():
        *parents, name = path.split(".")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})  # type: ignore[assignment]
        place[name] = value
    return document
