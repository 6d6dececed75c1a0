"""From the command line into the app and out again: the session is read before and kept after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.errors import AdvisorError
from advisor.tui.app import AdvisorApp
from advisor.tui.session import Session, load_session, save_session, session_path

if TYPE_CHECKING:
    from advisor.documents import EstimateAnswer
    from advisor.service import Advisor
    from advisor.torch_model import TorchModel

FIRST_MODEL = "llama-3.1-8b"
"""What the ranking behind the first dialog is about."""


@dataclass(frozen=True, slots=True)
class Left:
    """How the app was left: with the chosen estimate, by a signal's code, with something that could not be kept."""

    choice: EstimateAnswer | None
    code: int
    problem: AdvisorError | None


def run(
    open_service: Callable[[Callable[[TorchModel], bool]], Advisor],
    source: str | None,
    settings: Mapping[str, str],
    *,
    folder: Path,
) -> Left:
    """Run the app until the user leaves it.

    Args:
        open_service: see :class:`advisor.tui.app.AdvisorApp`.
        source: the workload to begin with; None for the last one.
        settings: what was set on the command line, as text by field.
        folder: that exports go to.

    Raises:
        Exception: what a fault of the app raised, after the terminal is as it was.
    """
    path = session_path()
    problem: AdvisorError | None = None
    try:
        session = load_session(path)
    except AdvisorError as error:
        session, problem = Session(), error
    greets = source is None and session.source is None
    if source is not None:
        session = session.model_copy(update={"source": source, "settings": dict(settings), "mode": "decide"})
    elif greets:
        session = session.model_copy(update={"source": FIRST_MODEL, "settings": dict(settings)})
    elif settings:
        session = session.model_copy(update={"settings": {**session.settings, **settings}})
    app = AdvisorApp(open_service, session, folder=folder, greets=greets, problem=problem)
    choice = app.run()
    if app.fault is not None:
        raise app.fault
    # A file that could not be read is the user's to mend: it is not written over.
    unkept = problem
    if problem is None:
        try:
            save_session(app.session(), path)
        except AdvisorError as error:
            unkept = error
    return Left(choice, app.return_code or 0, unkept)
