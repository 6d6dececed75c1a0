"""A fleet's document while it is being made: read, changed and written as the file that ``fleet`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from advisor.errors import InputError
from advisor.fleet_file import RATES, Fleet, build_fleet
from advisor.render.words import UNKNOWN, workload_title
from advisor.yaml_io import parse, read_text, yaml_text

UNSAVED = "the fleet on the screen"
"""Stands for its file's name in errors."""

RATE_WORDS = {
    "runs_per_week": "runs a week", "runs_per_month": "runs a month", "runs_per_year": "runs a year",
    "runs": "runs in all", "requests_per_s": "requests/s",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FleetDraft:
    """A document as it stands in the file, sound or not.

    Attributes:
        document: the fields.
        folder: what paths in it are relative to.
        path: of the file it came from or went to; None for a new one.
        saved: whether the file says the same.
    """

    document: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    path: Path | None = None
    saved: bool = True

    @property
    def entries(self) -> tuple[Mapping[str, Any], ...]:
        """The workloads."""
        return tuple(self.document.get("workloads", ()))

    @property
    def text(self) -> str:
        """The document as YAML."""
        return yaml_text(self.document)

    def fleet(self) -> Fleet:
        """Return the fleet.

        Raises:
            InputError: something in it is wrong.
            ExternalError: the file of a workload cannot be read.
        """
        return build_fleet(self.text, UNSAVED, folder=self.folder)

    def with_entry(self, entry: Mapping[str, Any], place: int | None = None) -> FleetDraft:
        """Return the draft with a workload more, or with another one at ``place``."""
        entries = list(self.entries)
        if place is None:
            entries.append(entry)
        else:
            entries[place] = entry
        return self._with({"workloads": entries})

    def without_entry(self, place: int) -> FleetDraft:
        """Return the draft without a workload."""
        return self._with({"workloads": [each for at, each in enumerate(self.entries) if at != place]})

    def settings(self) -> dict[str, str]:
        """Return what holds for all workloads as one would type it, by dotted field."""
        found: dict[str, str] = {}
        for name, value in self.document.items():
            if isinstance(value, Mapping):
                found |= {f"{name}.{inner}": _typed(each) for inner, each in value.items()}
            elif name != "workloads":
                found[name] = _typed(value)
        return found

    def with_settings(self, typed: Mapping[str, str]) -> FleetDraft:
        """Return the draft with other settings for all workloads; empty texts leave a field out.

        Raises:
            InputError: a text is no value.
        """
        changed: dict[str, Any] = {name: self.document.get(name) for name in self.document}
        for path, text in typed.items():
            section, _, name = path.rpartition(".")
            holder = dict(changed.get(section) or {}) if section else changed
            if text.strip():
                holder[name] = _value(text, path)
            else:
                holder.pop(name, None)
            if section:
                changed[section] = holder
        return replace(self, document={k: v for k, v in changed.items() if v != {}}, saved=False)

    def written(self, path: Path) -> FleetDraft:
        """Return the draft as it is once ``path`` holds it."""
        return replace(self, path=path, saved=True)

    def _with(self, fields: Mapping[str, Any]) -> FleetDraft:
        return replace(self, document={**self.document, **fields}, saved=False)


def read_draft(path: Path) -> FleetDraft:
    """Return the fleet of a file.

    Raises:
        InputError: the file is wrong; says where.
        ExternalError: it cannot be read.
    """
    text = read_text(path)
    build_fleet(text, str(path), folder=path.parent)
    document = parse(text, str(path))
    assert isinstance(document, Mapping), "build_fleet refuses everything else"
    return FleetDraft(document, path.parent, path)


def rate_of(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return which rate a workload has, and its value as text."""
    name = next((each for each in RATES if entry.get(each) is not None), RATES[0])
    return name, _typed(entry.get(name, ""))


def how_often(entry: Mapping[str, Any]) -> str:
    """Return in words how often a workload runs."""
    name, value = rate_of(entry)
    return f"{value} {RATE_WORDS[name]}"


def name_of(entry: Mapping[str, Any]) -> str:
    """Return what a workload is called."""
    workload = entry.get("workload")
    if entry.get("name"):
        return str(entry["name"])
    return workload_title(workload) if isinstance(workload, Mapping) else str(workload or UNKNOWN)


def entry_of(typed: Mapping[str, str], workload: object) -> dict[str, Any]:
    """Return a workload as the file has it.

    Args:
        typed: texts by field; ``rate`` names which of the rates ``amount`` is.
        workload: the workload's document, or a path.

    Raises:
        InputError: a text is no value.
    """
    entry: dict[str, Any] = {"name": typed["name"].strip()} if typed["name"].strip() else {}
    entry[typed["rate"]] = _value(typed["amount"] or "null", typed["rate"])
    for name in ("deadline_h", "hours_per_week"):
        if typed[name].strip():
            entry[name] = _value(typed[name], name)
    if typed["acquire"]:
        entry["acquire"] = [way.strip() for way in typed["acquire"].split(",")]
    return {**entry, "workload": workload}


def _value(text: str, path: str) -> object:
    try:
        return parse(text, UNSAVED)
    except InputError as error:
        raise InputError(error.message, field=path, value=text) from None


def _typed(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_typed(each) for each in value)}]"
    return str(value)
