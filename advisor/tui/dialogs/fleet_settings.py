"""What holds for all workloads of a fleet: limits, economics, how it is planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from advisor.errors import AdvisorError
from advisor.tui.dialogs.dialog import Dialog
from advisor.tui.plain import plain

FIELDS = (
    ("name", "Name", ""),
    ("constraints.budget_usd", "Budget, $", "purchases and rents over the horizon"),
    ("constraints.max_power_w", "Power, W", "of all bought cards together"),
    ("constraints.max_count", "GPUs in one job", ""),
    ("constraints.min_memory_gib", "Memory, GiB", "of a GPU, at least"),
    ("constraints.vendors", "Vendors", "[nvidia, amd]"),
    ("constraints.segments", "Segments", "[consumer, workstation, datacenter]"),
    ("constraints.acquire", "Had by", "[buy, rent]"),
    ("constraints.quoted", "Quotes only", "true: buy only what is quoted"),
    ("economics.country", "Country", "DE: tariff and carbon of its grid"),
    ("economics.electricity_usd_per_kwh", "Electricity, $/kWh", "that of the country"),
    ("economics.horizon_years", "Years", "3"),
    ("economics.residual_share", "Fetches at the end", "0.2: a fifth of the price; 0 if empty"),
    ("economics.idle_share", "On while idle", "0.5: half of the idle hours; 0 if empty"),
    ("economics.host_usd_per_gpu", "Machine, $ a GPU", "auto; none leaves machines out"),
    ("utilisation", "Busy at most", "0.8 of a week"),
    ("cautious", "Cautious", "true: plan with the upper end of times"),
)


class FleetSettings(Dialog[Mapping[str, str]]):
    """Asks for the settings; an empty field leaves its default.

    Args:
        typed: the settings as text, by field.
        check: raises what is wrong with others.
    """

    DEFAULT_CSS: ClassVar[str] = """
    FleetSettings .-fields { height: auto; max-height: 12; }
    FleetSettings .-field { height: 1; }
    FleetSettings .-field > Static { width: 20; }
    FleetSettings .-field > Input { border: none; height: 1; padding: 0; width: 1fr; }
    """

    def __init__(self, typed: Mapping[str, str], check: Callable[[Mapping[str, str]], None]) -> None:
        super().__init__()
        self._given = typed
        self._check = check

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        with Vertical(classes="-box") as box:
            box.border_title = "For all workloads together"
            with VerticalScroll(classes="-fields", can_focus=False):
                for path, label, hint in FIELDS:
                    with Horizontal(classes="-field"):
                        yield Static(label, markup=False)
                        yield Input(self._given.get(path, ""), placeholder=hint, id=path.replace(".", "-"))
            yield Static("", classes="-message", markup=False)
            with Horizontal(classes="-row"):
                yield Button("Keep", id="keep", variant="primary", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._keep()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "keep":
            self._keep()
        else:
            self.dismiss(None)

    def _keep(self) -> None:
        typed = {path: self.query_one(f"#{path.replace('.', '-')}", Input).value for path, _, _ in FIELDS}
        try:
            self._check(typed)
        except AdvisorError as error:
            self.query_one(".-message", Static).update(plain(error))
        else:
            self.dismiss(typed)
