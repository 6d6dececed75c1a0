"""Whether GPUs suit a workload beyond speed and memory: its software runs on them, its machine takes them."""

from __future__ import annotations

from advisor.compatibility import (
    CARD,
    CompatibilityNote,
    framework_verdicts,
    host_notes,
    software_notes,
    that_matter,
)
from advisor.compatibility_tables import CompatibilityTables
from advisor.documents import CompatibilityDocument
from advisor.hardware import Device
from advisor.host_facts import HostFacts
from advisor.workload import Software


class Suitability:
    """Judges GPUs for workloads that have software, machine and country in common, each GPU once.

    Args:
        tables: the facts.
        software: what runs the workload; None where it is none of the frameworks of the tables.
        host: the machine as far as the user has said.
        country: in which the GPUs are used, as ISO 3166-1 alpha-2; None where it is not said.
        buying: whether buying is considered; machine and law concern nobody who rents.
    """

    def __init__(
        self,
        tables: CompatibilityTables,
        software: Software | None,
        host: HostFacts | None,
        country: str | None,
        *,
        buying: bool,
    ) -> None:
        self._tables = tables
        self._software = software
        self._host = host
        self._country = country
        self._buying = buying
        self._of_software: dict[str, tuple[CompatibilityNote, ...]] = {}
        self._of_machine: dict[tuple[str, int], tuple[CompatibilityNote, ...]] = {}

    def warnings(self, device: Device, count: int) -> tuple[str, ...]:
        """Return what does not work, and what needs care."""
        machine = self._machine(device, count) if self._buying else ()
        return (
            *(f"{note.text}{_doubt(note)}" for note in self._programs(device)),
            *(f"if you buy: {note.text}{_doubt(note)}" for note in machine),
        )

    def no_software(self, device: Device) -> str | None:
        """Return why the software does not run on a device at all; None where it does, or nobody knows."""
        return _blocked(self._programs(device))

    def no_purchase(self, device: Device, count: int) -> str | None:
        """Return why a number of a device cannot be bought for the machine, or in the country; None where it can."""
        # A card that nothing else is said about goes into some machine; looking is not free.
        if self._host is None and self._country is None and device.board.form_factor == CARD:
            return None
        return _blocked(self._machine(device, count))

    def _programs(self, device: Device) -> tuple[CompatibilityNote, ...]:
        if self._software is None:
            return ()
        if device.id not in self._of_software:
            notes = software_notes(device, self._software, self._tables, self._host)
            self._of_software[device.id] = that_matter(notes)
        return self._of_software[device.id]

    def _machine(self, device: Device, count: int) -> tuple[CompatibilityNote, ...]:
        key = (device.id, count)
        if key not in self._of_machine:
            notes = host_notes(device, count, self._host, self._country, self._tables)
            self._of_machine[key] = that_matter(notes)
        return self._of_machine[key]


def compatibility_documents(device: Device, tables: CompatibilityTables) -> tuple[CompatibilityDocument, ...]:
    """Return everything that is known of where one device works: of software, the gravest first, then of machines."""
    others = framework_verdicts(device, tables, but=Software().framework) if device.kind == "gpu" else ()
    notes = (*software_notes(device, None, tables), *others, *host_notes(device, 1, None, None, tables))
    return tuple(
        CompatibilityDocument(
            topic=note.topic, level=note.level, text=note.text, source=note.source, unverified=note.unverified
        )
        for note in notes
    )


def _blocked(notes: tuple[CompatibilityNote, ...]) -> str | None:
    return next((note.text for note in notes if note.level == "blocked"), None)


def _doubt(note: CompatibilityNote) -> str:
    return " (unverified)" if note.unverified else ""
