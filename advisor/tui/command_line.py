"""The command that asks the same question without the app."""

from __future__ import annotations

import json
import shlex

from advisor.tui.desk import Question
from advisor.tui.fields import workload_fields
from advisor.workload_file import read_setting


def command_of(question: Question) -> str:
    """Return the command line of a question.

    Raises:
        InputError: a field does not read as what it is.
    """
    fields = workload_fields()
    words = ["gpu-advisor", "recommend", question.source]
    if question.objective != "balanced":
        words += ["--for", question.objective]
    for path, text in question.settings.items():
        value = read_setting(path, path, text or fields[path].default).value
        words += ["--set", f"{path}={json.dumps(value)}"]
    return shlex.join(words)
