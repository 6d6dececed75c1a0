"""What a buyer may tell about the computer that a GPU is to go into."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from advisor.quantity import Model

OperatingSystem = Literal["linux", "windows", "macos"]


class HostFacts(Model):
    """A computer as it is; whatever is left out is not known, and nothing is concluded from it."""

    power_supply_w: Annotated[float, Field(gt=0, le=1e5)] | None = None
    """Rated output of the power supply, all of them together where several share the load."""
    slots: Annotated[float, Field(gt=0, le=200)] | None = None
    """Expansion slots of the case, in widths of one slot; an ATX case has 7."""
    pcie_slots: Annotated[int, Field(ge=0, le=64)] | None = None
    """Connectors on the mainboard that take a card of 16 lanes; 0 in a laptop or a Mac."""
    max_card_length_mm: Annotated[float, Field(gt=0, le=2000)] | None = None
    data_center: bool | None = None
    """True where the computer stands in a data center."""
    server_airflow: bool | None = None
    """True where the chassis blows air through cards that have no fan."""
    operating_system: OperatingSystem | None = None
