"""Which file of quotes to keep, and what has to be said about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from advisor.errors import AdvisorError
from advisor.paths import given_path
from advisor.quote_files import read_how
from advisor.tui.dialogs.dialog import Dialog
from advisor.tui.plain import plain

if TYPE_CHECKING:
    from advisor.quote_files import QuoteFiles
    from advisor.quotes.documents import ImportAnswer

Import = Callable[[Path, "QuoteFiles", bool], Awaitable["ImportAnswer"]]
"""Keeps the quotes of a file; the flag says whether others of its name may be replaced."""

FIELDS = (
    ("path", "File", "offer.csv or offer.json"),
    ("rates", "Rates", "EUR=1.08, GBP=1.27: dollars for one unit"),
    ("columns", "Columns", "gpu=Artikel: headings that are not known by themselves"),
    ("decimal", "Decimals", "comma or point, where it cannot be told"),
    ("date_order", "Dates", "dmy or mdy, where it cannot be told"),
    ("currency", "Currency", "such as CAD, of prices that name none"),
    ("vat", "VAT", "percent in prices that are with it, such as 19"),
)


class ImportQuotes(Dialog["ImportAnswer"]):
    """Asks for a file of quotes; what is wrong with it stands in the dialog, which stays.

    Args:
        keep: keeps the quotes.
    """

    DEFAULT_CSS: ClassVar[str] = """
    ImportQuotes .-field { height: 1; }
    ImportQuotes .-field > Static { width: 11; }
    ImportQuotes .-field > Input { border: none; height: 1; padding: 0; width: 1fr; }
    """

    def __init__(self, keep: Import) -> None:
        super().__init__()
        self._keep = keep
        self._replace = False

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        with Vertical(classes="-box") as box:
            box.border_title = "Import quotes"
            for name, label, hint in FIELDS:
                with Horizontal(classes="-field"):
                    yield Static(label, markup=False)
                    yield Input(placeholder=hint, id=name)
            yield Static("", classes="-message", markup=False)
            with Horizontal(classes="-row"):
                yield Button("Import", id="import", variant="primary", compact=True)
                yield Button("Cancel", id="cancel", compact=True)
            yield Static("Quotes count before public prices until they end.", classes="-hint", markup=False)

    @on(Input.Changed)
    def _typed(self) -> None:
        self._replace = False
        self._say("")

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._import()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "import":
            self._import()
        else:
            self.dismiss(None)

    @work(exclusive=True)
    async def _import(self) -> None:
        text = {name: self.query_one(f"#{name}", Input).value.strip() for name, _, _ in FIELDS}
        try:
            if not text["path"]:
                self._say("name a file")
                return
            how = read_how(
                rates=_listed(text["rates"]), columns=_listed(text["columns"]), decimal=text["decimal"],
                date_order=text["date_order"], currency=text["currency"], vat=text["vat"],
            )  # fmt: skip
            answer = await self._keep(given_path(text["path"]), how, self._replace)
        except AdvisorError as error:
            # The hint of the command line is an option; here it is a second press.
            other = "--force" in (error.hint or "")
            self._replace = other
            said = f"{error.message}: press Import once more to replace them" if other else str(error)
            self._say(said)
        except (RuntimeError, ValueError) as error:
            self._say(f"this is no path: {error}")
        else:
            self.dismiss(answer)

    def _say(self, text: str) -> None:
        self.query_one(".-message", Static).update(plain(text))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
