"""Reads the device catalog: what is shipped, then the user's own entries, which add to it or override it.

A catalog file holds ``defaults`` (what its entries share) and ``devices`` (entries by id). A user's file may
leave out what the shipped entry of the same id says already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

from advisor.errors import InputError, nearest
from advisor.hardware import Device, NameIndex
from advisor.paths import is_file, is_folder
from advisor.user_data import user_configuration_folder
from advisor.yaml_io import data_root, locate, parse, read_text, validate

MOST_ENTRIES = 20_000
"""Files and folders below a catalog folder; with more it is another folder, such as a whole disk."""

_ONLY_WHERE_GIVEN = frozenset({"launch_price", "tensor"})
"""Groups that not every device has: their defaults complete an entry's own group and never create one."""


def catalog_root() -> Path:
    """Return the folder of the shipped data: inside the installed package, else beside it in a checkout.

    Raises:
        ExternalError: neither folder exists; the installation is broken.
    """
    return data_root()


def user_catalog() -> Path:
    """Return the folder in the user's configuration that may hold catalog entries; it need not exist."""
    return user_configuration_folder() / "catalog"


def load_devices(extra_folders: Sequence[Path] = ()) -> tuple[Device, ...]:
    """Return all devices: shipped GPUs and CPUs, then the user's, always in the same order.

    Args:
        extra_folders: folders (or single files) of the user, read after the one in the user's configuration;
            a later one overrides an earlier one. An entry that overrides keeps its place and has
            ``overrides`` set; those that add stand at the end in the order of their ids, so that no answer depends on
            how the files are called or on which of them an entry stands in.

    Raises:
        InputError: an entry is wrong, with file, line and field.
    """
    personal = user_catalog()
    folders = tuple(Path(folder) for folder in extra_folders)
    if personal.is_dir():
        folders = (personal, *folders)
    shipped = shipped_devices()
    if not folders:
        return shipped
    found = {device.id: device for device in shipped}
    for folder in folders:
        for path in _files(folder):
            for device in _read_user_file(path, found):
                found[device.id] = device
    added = sorted(found.keys() - {device.id for device in shipped})
    return tuple(found[name] for name in (*(device.id for device in shipped), *added))


@lru_cache(maxsize=1)
def shipped_devices() -> tuple[Device, ...]:
    """Return the devices that come with the package.

    Raises:
        InputError: an entry is wrong, with file, line and field.
    """
    root = catalog_root()
    found: dict[str, Device] = {}
    for path in (*_files(root / "gpus"), *_files(root / "cpus")):
        text = read_text(path)
        source = path.relative_to(root).as_posix()
        for device_id, raw in _entries(parse(text, source), source):
            if device_id in found:
                raise InputError("the id is there twice in the catalog", source=source, field=device_id)
            found[device_id] = validate(Device, raw, source, text, at=("devices", device_id))
    return tuple(found.values())


@lru_cache(maxsize=1)
def _shipped_index() -> NameIndex:
    return NameIndex(shipped_devices())


def name_index(devices: tuple[Device, ...]) -> NameIndex:
    """Return a name index of ``devices``; that of the shipped catalog is built once."""
    return _shipped_index() if devices is shipped_devices() else NameIndex(devices)


def _files(folder: Path) -> tuple[Path, ...]:
    """Return the catalog files under a folder in the order of their names; a file stands for itself.

    Its folder ``calibration`` holds profiles, which are no entries.

    Raises:
        InputError: there is no such folder, or it holds more than a catalog.
    """
    if is_file(folder):
        return (folder,)
    if not is_folder(folder):
        raise InputError("no such folder", source=str(folder))
    everything = list(islice(folder.rglob("*"), MOST_ENTRIES + 1))
    if len(everything) > MOST_ENTRIES:
        raise InputError(
            f"more than {MOST_ENTRIES:,} files and folders lie below it",
            source=str(folder),
            accepted="a folder that holds catalog entries alone",
        )
    found = (path for path in everything if path.suffix.lower() in {".yaml", ".yml", ".json"})
    entries = (path for path in found if path.is_file() and folder / "calibration" not in path.parents)
    return tuple(sorted(entries, key=lambda path: path.as_posix()))


def _entries(document: object, source: str) -> Iterable[tuple[str, dict[str, object]]]:
    """Yield (id, raw entry) of a catalog document, the defaults merged in.

    Raises:
        InputError: the document does not have the shape of a catalog file.
    """
    if not isinstance(document, dict):
        raise InputError("a catalog file is a mapping", source=source, accepted="defaults and devices")
    unknown = [key for key in document if key not in ("defaults", "devices")]
    if unknown:
        known = ("defaults", "devices")
        raise InputError(
            "unknown field",
            source=source,
            field=unknown[0],
            accepted=", ".join(known),
            candidates=nearest(unknown[0], known),
            hint="entries stand under `devices:`, by their id",
        )
    defaults, devices = document.get("defaults") or {}, document.get("devices") or {}
    for key, value in (("defaults", defaults), ("devices", devices)):
        if not isinstance(value, dict):
            raise InputError("not a mapping", source=source, field=key, value=value)
    for device_id, raw in devices.items():
        if not isinstance(raw, dict):
            raise InputError("not a mapping", source=source, field=f"devices.{device_id}", value=raw)
        if raw.get("id", device_id) != device_id:
            raise InputError(
                "id differs from its key", source=source, field=f"devices.{device_id}.id", value=raw["id"]
            )
        usable = {key: value for key, value in defaults.items() if key in raw or key not in _ONLY_WHERE_GIVEN}
        yield device_id, {**merge(usable, raw), "id": device_id}


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Return ``base`` with what ``over`` says; mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
        )
    return merged


def _read_user_file(path: Path, known: Mapping[str, Device]) -> list[Device]:
    """Return the devices of a user's file.

    Raises:
        InputError: with file, line and field.
    """
    text = read_text(path)
    source = str(path)
    found = []
    for device_id, raw in _entries(parse(text, source), source):
        for reserved in ("origin", "overrides"):
            if reserved in raw:
                raise InputError(
                    "this field is set by the reader", source=source, field=f"devices.{device_id}.{reserved}"
                )
        earlier = known.get(device_id)
        base = _as_raw(earlier) if earlier is not None else {"sources": {"*": source}}
        raw = merge(base, raw)
        raw |= {"origin": source, "overrides": earlier is not None}
        device = validate(Device, raw, source, text, at=("devices", device_id))
        _check_architecture(device, source, text)
        found.append(device)
    return found


def _check_architecture(device: Device, source: str, text: str) -> None:
    """Refuse a generation of which the cost model knows nothing.

    Other vendors, and processors, have constants of their own for generations that are not named.

    Raises:
        InputError: no shipped GPU of NVIDIA has this architecture.
    """
    if device.kind != "gpu" or device.vendor != "nvidia":
        return
    known = {each.architecture for each in shipped_devices() if (each.kind, each.vendor) == ("gpu", "nvidia")}
    if device.architecture not in known:
        raise InputError(
            "nothing is known of this generation",
            source=source,
            line=locate(text, ("devices", device.id, "architecture")),
            field=f"devices.{device.id}.architecture",
            value=device.architecture,
            accepted=", ".join(sorted(known)),
            candidates=nearest(device.architecture, known),
            hint="of a newer generation, name the one it is most like",
        )


def _as_raw(device: Device) -> dict[str, object]:
    """Return a device as a file holds it, with the short tensor rates: single ones can be overridden."""
    raw: dict[str, object] = device.model_dump(mode="json", exclude_unset=True)
    if device.tensor is not None:
        rates = {f"{rate.format.value}/{rate.accumulate}": rate.tflops for rate in device.tensor.rates}
        raw["tensor"] = {**device.tensor.model_dump(mode="json", exclude_unset=True), "rates": rates}
    return raw


def shared_names(devices: Iterable[Device]) -> dict[str, tuple[Device, ...]]:
    """Return the normalised names that more than one device has."""
    return {name: found for name, found in NameIndex(devices).by_name.items() if len(found) > 1}


def indistinguishable(devices: Iterable[Device]) -> list[tuple[str, str, str]]:
    """Return (name, id, id) for devices that share a name and that neither memory nor PCI id tells apart."""
    found = []
    for name, sharing in shared_names(devices).items():
        for number, one in enumerate(sharing):
            for other in sharing[number + 1 :]:
                same_memory = abs(one.memory.size_gib - other.memory.size_gib) < 0.5
                ids = (set(one.identifiers.pci_device_ids), set(other.identifiers.pci_device_ids))
                if same_memory and (not all(ids) or ids[0] & ids[1]):
                    found.append((name, one.id, other.id))
    return found
