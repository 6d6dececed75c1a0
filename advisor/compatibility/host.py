"""Whether GPUs go into a machine: form, room, power, cooling, lanes and links, and who may buy and use them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from advisor.compatibility.note import CompatibilityNote, in_order
from advisor.compatibility_tables import Baseboard, CompatibilityTables, Fact, HostTables, Level
from advisor.hardware import Device
from advisor.host_facts import HostFacts

CARD = "PCIe"
_BUILT_IN = ("laptop", "SoC", "module", "integrated")


def host_notes(
    device: Device, count: int, host: HostFacts | None, country: str | None, tables: CompatibilityTables
) -> tuple[CompatibilityNote, ...]:
    """Return what a buyer should know before putting GPUs into a machine, the gravest first; nothing on a processor.

    Args:
        device: the GPU.
        count: how many in all, at least 1; more than one machine takes are spread over several.
        host: the machine; what is not known of it is judged by what is usual.
        country: where they are to be used, as ISO 3166-1 alpha-2; None if not known.
        tables: the facts.
    """
    if device.kind != "gpu":
        return ()
    facts = host or HostFacts()
    notes = list(_boards(device, count))
    if device.board.form_factor == CARD:
        boards = min(math.ceil(count / device.board.devices_per_board), tables.host.boards_per_machine.most)
        notes += _power(device, boards, facts, tables.host)
        notes += _room(device, boards, facts, tables)
        notes += _cooling(device, boards, facts, tables.host)
        notes += _lanes(device, boards, facts, tables.host)
        notes += _bridges(device, count, tables.host)
    else:
        notes += _form(device, count, facts, tables.host)
    notes += _memory_and_display(device, tables.host)
    notes += _law(device, facts, country, tables.host)
    return in_order(notes)


def _number(boards: int) -> str:
    return "1 board" if boards == 1 else f"{boards} boards"


def _catalog(device: Device) -> Fact:
    """Return where the numbers of a device's board come from."""
    return Fact(source=f"catalog entry {device.id}")


def _boards(device: Device, count: int) -> Iterator[CompatibilityNote]:
    each = device.board.devices_per_board
    if each > 1:
        odd = count % each != 0
        text = (
            f"one board carries {each} GPUs, which programs see as {each} devices: for {count} you buy, power and "
            f"cool {_number(math.ceil(count / each))}" + (", one of them in part unused" if odd else "")
        )
        yield CompatibilityNote.of("slots", "caution" if odd else "works", text, _catalog(device))


def recommended_power_supply_w(device: Device, boards: int, host: HostTables) -> float:
    """Return the power supply to buy for a machine with ``boards`` boards, in watts (rule of thumb of the tables)."""
    rule = host.power_supply
    wanted = boards * device.board.tdp_w * rule.card_factor + rule.rest_w
    return math.ceil(wanted / rule.step_w) * rule.step_w


def _power(device: Device, boards: int, facts: HostFacts, host: HostTables) -> Iterator[CompatibilityNote]:
    rule, tdp_w = host.power_supply, device.board.tdp_w
    wanted = recommended_power_supply_w(device, boards, host)
    text = (
        f"{_number(boards)} of {tdp_w:g} W: buy a power supply of {wanted:g} W "
        f"({rule.card_factor:g} x their power + {rule.rest_w:g} W for the rest)"
    )
    level: Level = "works"
    if facts.power_supply_w is not None:
        has = facts.power_supply_w
        level = "works" if has >= wanted else "caution" if has >= boards * tdp_w + rule.rest_w else "blocked"
        text += f"; yours has {has:g} W"
        if level != "works":
            text += ": buy a larger one, or lower the cards' power limit"
    elif wanted > rule.usual_largest_w and device.segment != "datacenter":
        level = "caution"
        text += (
            f", more than the usual {rule.usual_largest_w:g} W at most: use two on separate circuits, "
            "or lower the cards' power limit"
        )
    yield CompatibilityNote.of("power", level, text, rule)
    plugs = device.board.power_connectors
    if plugs is None:
        return
    known = next((item for item in host.connectors if item.named in plugs), None)
    text = "it needs no power cable, the slot supplies it" if plugs == "none" else f"each board takes {plugs}"
    if known is None:
        yield CompatibilityNote.of("power", "works", text, _catalog(device))
        return
    in_desktop = facts.server_airflow is False
    level = known.in_desktop if in_desktop else "works"
    yield CompatibilityNote.of("power", level, f"{text}; {known.text}", _catalog(device), known)


def _room(
    device: Device, boards: int, facts: HostFacts, tables: CompatibilityTables
) -> Iterator[CompatibilityNote]:
    source = _catalog(device)
    if facts.pcie_slots is not None:
        level: Level = "works" if boards <= facts.pcie_slots else "blocked"
        text = f"{_number(boards)} for the {facts.pcie_slots} PCIe slots of your mainboard"
        if level == "blocked":
            text += ": take fewer, or a mainboard with more"
        yield CompatibilityNote.of("slots", level, text, source)
    if device.board.slots is not None:
        yield _width(boards, device.board.slots, device, facts, tables.host)
    yield from _length(device, facts, tables)


def _width(boards: int, each: float, device: Device, facts: HostFacts, host: HostTables) -> CompatibilityNote:
    wanted = boards * each
    text = f"{_number(boards)} of {each:g} slots: {wanted:g} slots in all"
    sources: list[Fact] = [_catalog(device)]
    if facts.slots is not None:
        if wanted <= facts.slots:
            return CompatibilityNote.of("slots", "works", f"{text}, your case has {facts.slots:g}", *sources)
        text += (
            f", your case has {facts.slots:g}: take fewer boards, narrower ones, or an open frame with risers"
        )
        return CompatibilityNote.of("slots", "blocked", text, *sources)
    if wanted <= host.case.slots or device.segment == "datacenter":
        return CompatibilityNote.of("slots", "works", text, *sources)
    text += f", an ATX case has {host.case.slots:g}: it takes an open frame with risers, or a server for GPUs"
    sources.append(host.case)
    if boards >= host.open_coolers.cards and not device.board.passive:
        text += f"; {host.open_coolers.text}"
        sources.append(host.open_coolers)
    return CompatibilityNote.of("slots", "caution", text, *sources)


def _length(device: Device, facts: HostFacts, tables: CompatibilityTables) -> Iterator[CompatibilityNote]:
    lengths = tables.lengths
    remembered = lengths.remembered.get(device.id)
    length = lengths.lengths_mm.get(device.id, remembered)
    if length is None:
        if facts.max_card_length_mm is not None:
            text = f"its length is not known here; your case takes {facts.max_card_length_mm:g} mm, ask the seller"
            yield CompatibilityNote.of("length", "caution", text, _catalog(device))
        return
    source = (
        Fact(source=lengths.source)
        if remembered is None
        else Fact(source=lengths.remembered_source, unverified="from memory")
    )
    text = f"the vendor's own card is {length:g} mm long, those of partners are often longer"
    level: Level = "works"
    if facts.max_card_length_mm is not None:
        text += f"; your case takes {facts.max_card_length_mm:g} mm"
        level = "works" if length <= facts.max_card_length_mm else "blocked"
        if level == "blocked":
            text += ": look for a shorter version, or another case"
    yield CompatibilityNote.of("length", level, text, source)


def _cooling(device: Device, boards: int, facts: HostFacts, host: HostTables) -> Iterator[CompatibilityNote]:
    if device.board.passive:
        if facts.server_airflow:
            text = "it has no fan of its own, and your chassis blows air through it"
            yield CompatibilityNote.of("cooling", "works", text, host.passive)
        else:
            level: Level = "caution" if facts.server_airflow is None else "blocked"
            yield CompatibilityNote.of("cooling", level, host.passive.text, host.passive)
    elif facts.slots is not None and boards >= host.open_coolers.cards and not device.board.passive:
        yield CompatibilityNote.of("cooling", "caution", host.open_coolers.text, host.open_coolers)


def _lanes(device: Device, boards: int, facts: HostFacts, host: HostTables) -> Iterator[CompatibilityNote]:
    lanes, generation = device.links.pcie_lanes, device.links.pcie_generation
    if lanes and generation:
        text = f"it is a card for PCIe {generation} with {lanes} lanes"
        if lanes < host.lanes.processor:
            text += ", which loses speed in a slot of an older generation"
        yield CompatibilityNote.of("pcie", "works", text, _catalog(device))
    if device.segment == "datacenter":
        if device.segment in host.above_4g.segments:
            yield CompatibilityNote.of("pcie", "works", host.above_4g.text, host.above_4g)
    elif boards > host.lanes.cards and not facts.data_center:
        yield CompatibilityNote.of("pcie", "caution", host.lanes.text, host.lanes)


def _bridges(device: Device, count: int, host: HostTables) -> Iterator[CompatibilityNote]:
    bridge = next((item for item in host.bridges if device.id in item.gpus), None)
    if bridge is None:
        if device.vendor == "nvidia" and not device.links.nvlink_gb_s:
            text = "it has no NVLink: several of them exchange data over PCIe"
            yield CompatibilityNote.of("nvlink", "works", text, _catalog(device))
        return
    speed = f" at {device.links.nvlink_gb_s:g} GB/s" if device.links.nvlink_gb_s else ""
    text = f"a bridge, sold separately, joins up to {bridge.together} of them{speed}"
    if count > 1:
        text += "; the estimated times count on it"
    if count > bridge.together:
        text += ", and more see each other over PCIe only"
    yield CompatibilityNote.of("nvlink", "caution" if count > 1 else "works", text, bridge, _catalog(device))


def _baseboard(device: Device, host: HostTables) -> Baseboard | None:
    """Return what carries several modules of a device; None of what is no such module."""
    fitting = [item for item in host.baseboards if item.form_factor == device.board.form_factor]
    return next(
        (item for item in fitting if device.id in item.gpus),
        next((item for item in fitting if not item.gpus), None),
    )


def sold_together(device: Device, tables: CompatibilityTables) -> int:
    """Return of how many GPUs only multiples can be bought: those of a board, or of a baseboard."""
    board = _baseboard(device, tables.host)
    return math.lcm(device.board.devices_per_board, min(board.sizes) if board else 1)


def _form(device: Device, count: int, facts: HostFacts, host: HostTables) -> Iterator[CompatibilityNote]:
    form = next((item for item in host.forms if item.form_factor == device.board.form_factor), None)
    if form is None:
        return
    sources: list[Fact] = [form]
    text = f"{device.name}: {form.text}"
    level = form.level
    board = _baseboard(device, host)
    if board is not None:
        sizes = " or ".join(str(size) for size in board.sizes)
        text += f"; baseboards carry {sizes}"
        sources.append(board)
        if any(count % size == 0 for size in board.sizes):
            level = "works"
        else:
            level = "blocked"
            text += f", so {count} alone can be rented but hardly bought"
    card = host.card_versions.gpus.get(device.id)
    if card is not None and level != "works":
        text += f"; the nearest card is {card}"
    into_pc = facts.pcie_slots is not None or facts.slots is not None
    if into_pc:
        level = "blocked"
        text += "; it does not go into the computer that you describe"
    elif count > 1 and form.form_factor in _BUILT_IN:
        level = "caution"
        text += f"; {count} of them are {count} computers joined by a network"
    yield CompatibilityNote.of("slots", level, text, *sources)


def _memory_and_display(device: Device, host: HostTables) -> Iterator[CompatibilityNote]:
    if device.id in host.optional_ecc.gpus:
        text = "ECC is a switch in the driver, off as delivered"
        yield CompatibilityNote.of("ecc", "works", text, host.optional_ecc)
    elif device.memory.ecc is False:
        text = "its memory has no ECC: a flipped bit goes unnoticed, so keep checkpoints of long jobs"
        yield CompatibilityNote.of("ecc", "works", text, _catalog(device))
    card = device.segment == "datacenter" and device.board.form_factor == CARD
    if card and device.id not in host.no_display.except_:
        yield CompatibilityNote.of("display", "works", host.no_display.text, host.no_display)


def _law(
    device: Device, facts: HostFacts, country: str | None, host: HostTables
) -> Iterator[CompatibilityNote]:
    if any(name in device.name for name in host.licence.names):
        level: Level = "caution" if facts.data_center else "works"
        yield CompatibilityNote.of("licence", level, host.licence.text, host.licence)
    if country is None:
        rule = next((rule for rule in host.export if device.id in rule.gpus), None)
        if rule is not None:
            text = f"it needs a US export licence for {', '.join(rule.countries)} since {rule.since}"
            yield CompatibilityNote.of("export", "works", text, rule)
        return
    for rule in host.export:
        if country.upper() in rule.countries and (not rule.gpus or device.id in rule.gpus):
            text = (
                f"{device.name} needs a US export licence for {country.upper()} since {rule.since}: "
                f"{host.export_text}"
            )
            yield CompatibilityNote.of("export", "blocked", text, rule)
            return
