"""What the app remembers from one start to the next: the question, the look, what was picked out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from advisor.errors import AdvisorError, ExternalError
from advisor.objective import Objective
from advisor.quantity import Model
from advisor.user_data import user_data_folder
from advisor.whole_file import write_text_file
from advisor.yaml_io import parse_json, read_text, validate

FILE = "session.json"


class Picked(Model):
    """A number of a GPU that was picked out to compare."""

    gpu: str
    count: int


class Session(Model):
    """One user's last session."""

    version: Literal[1] = 1
    source: str | None = None
    """Name of a shipped model or path of a file; None before the first choice."""
    settings: Mapping[str, str] = {}
    objective: Objective = "balanced"
    compared: tuple[Picked, ...] = ()
    theme: str = "advisor-dark"
    mode: str = "decide"
    shows_excluded: bool = True
    sort_key: str | None = None
    sort_reverse: bool = False


def session_path() -> Path:
    """Return where the session is kept: beside the user's calibrations."""
    return user_data_folder() / FILE


def load_session(path: Path) -> Session:
    """Return the last session, a new one where there is none.

    Raises:
        AdvisorError: the file cannot be read, or is no session.
    """
    if not path.exists():
        return Session()
    try:
        text = read_text(path)
        return validate(Session, parse_json(text, str(path)), str(path), text)
    except AdvisorError as error:
        error.hint = "remove or mend the file; until then nothing is remembered"
        raise


def save_session(session: Session, path: Path) -> None:
    """Keep a session, all of it or nothing.

    Raises:
        ExternalError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExternalError(f"{path.parent}: cannot be made ({error.strerror or error})") from None
    write_text_file(path, session.model_dump_json(indent=2) + "\n", replace=True)
