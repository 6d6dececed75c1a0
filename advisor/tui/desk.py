"""What lies on the desk: the question, the service's answer to it, and the GPUs picked out to compare.

The desk knows no widget. Screens look at it, and are told by the app when something on it has changed.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from advisor.errors import AdvisorError, InputError
from advisor.objective import Objective
from advisor.tui.threads import settle

if TYPE_CHECKING:
    from advisor.documents import RecommendAnswer
    from advisor.service import Advisor
    from advisor.tui.reading import Answered
    from advisor.workload import Workload

_T = TypeVar("_T")

MOST_COMPARED = 4


@dataclass(frozen=True, slots=True)
class Question:
    """What the user asks, as it was typed.

    Attributes:
        source: name of a shipped model, or path of a workload file, a config.json or an operator table.
        settings: text by dotted field of the workload document, laid over what the source says.
        objective: what to minimise.
    """

    source: str
    settings: Mapping[str, str] = field(default_factory=dict)
    objective: Objective = "balanced"


@dataclass(frozen=True, slots=True)
class Choice:
    """A number of one GPU."""

    gpu: str
    count: int


class Desk:
    """Holds the state of a session and asks the service about it, one question at a time in a thread of its own.

    Args:
        open_service: returns the service; called in that thread, once, when it is first needed.
        question: what is asked first.
    """

    def __init__(self, open_service: Callable[[], Advisor], question: Question) -> None:
        self._open = open_service
        self._service: Advisor | None = None
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.question = question
        self.source_values: Mapping[str, str] = {}
        """What the question's source says by itself, as text by field."""
        self._values_of: str | None = None
        self.workload: Workload | None = None
        """The question as a workload document; of the last question that was sound."""
        self.answer: RecommendAnswer | None = None
        self.problem: AdvisorError | None = None
        """What is wrong with the question; the answer is then that of an earlier one."""
        self.compared: tuple[Choice, ...] = ()
        self.looking_at: Choice | None = None
        """The row under the cursor."""
        self.version = 0
        """Counts the changes of anything above."""
        self.closed = False
        """Whether the user has left: what is still asked is not waited for."""

    async def ask(self, question: Callable[[Advisor], _T]) -> _T:
        """Ask the service, and wait without holding up the screen.

        Raises:
            AdvisorError: what the service raises.
            CancelledError: the user has left.
        """
        if self.closed:
            raise asyncio.CancelledError
        if self._thread is None:
            # A daemon: leaving the app does not wait for an answer that nobody will read.
            self._thread = threading.Thread(target=self._serve, name="service", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def job() -> None:
            if future.done():
                # Who asked has moved on.
                return
            try:
                if self._service is None:
                    self._service = self._open()
                result = question(self._service)
            except Exception as error:  # noqa: BLE001 - raised again where it was asked
                settle(loop, future, error=error)
            else:
                settle(loop, future, result=result)

        self._jobs.put(job)
        return await future

    async def answer_question(self) -> bool:
        """Ask the question that lies on the desk; say whether that is still the one when the answer comes.

        What is wrong with a question is kept as ``problem``, beside the answer to an earlier one.
        """
        question = self.question
        try:
            if question.source != self._values_of:
                values = await self.ask(lambda service: _values(service, question.source))
                self.source_values, self._values_of = values, question.source
            found = await self.ask(lambda service: _answered(service, question))
        except AdvisorError as error:
            if question is not self.question:
                return False
            self.problem = error
        else:
            if question is not self.question:
                return False
            self.problem, self.workload, self.answer = None, found.workload, found.answer
        self.changed()
        return True

    def replace_service(self, service: Advisor) -> None:
        """Ask another service from now on: one that reads calibrations and prices again."""
        self._service = service
        self.changed()

    def changed(self) -> None:
        """Note that something on the desk is new."""
        self.version += 1

    def toggle_compared(self, choice: Choice) -> bool:
        """Pick a GPU out, or put it back; say whether there was room for it."""
        if choice in self.compared:
            self.compared = tuple(each for each in self.compared if each != choice)
        elif len(self.compared) >= MOST_COMPARED:
            return False
        else:
            self.compared = (*self.compared, choice)
        self.changed()
        return True

    def _serve(self) -> None:
        while True:
            self._jobs.get()()


def wrong_fields(error: AdvisorError | None) -> dict[str, str]:
    """Return what to say under which field; nothing where an error is about none."""
    if not isinstance(error, InputError) or error.field is None:
        return {}
    accepted = f"; accepted: {error.accepted}" if error.accepted else ""
    nearest = f"; did you mean {', '.join(error.candidates)}" if error.candidates else ""
    # A form has one field for a list; the error may be about its third word.
    field = ".".join(part for part in error.field.split(".") if not part.isdigit())
    return {field: f"{error.message}{accepted}{nearest}"}


def _values(service: Advisor, source: str) -> Mapping[str, str]:
    from advisor.tui.reading import values_of

    return values_of(service, source)


def _answered(service: Advisor, question: Question) -> Answered:
    from advisor.tui.reading import answered

    return answered(service, question)
