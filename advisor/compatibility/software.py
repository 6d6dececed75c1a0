"""Whether software runs on a GPU: builds with code for it, drivers, features, and what systems ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from advisor.compatibility.note import CompatibilityNote, in_order
from advisor.compatibility.reach import History, Offer, capability, target_of
from advisor.compatibility_tables import (
    Backend,
    Build,
    CompatibilityTables,
    DriverBranch,
    Framework,
    Level,
    Remark,
)
from advisor.errors import shorten
from advisor.execution import version_key
from advisor.hardware import Device
from advisor.host_facts import HostFacts
from advisor.units import plain
from advisor.workload import Software

_BACKEND_NAMES: Mapping[Backend, str] = {
    "cuda": "CUDA", "rocm": "ROCm", "mps": "macOS", "xpu": "Intel XPU", "hpu": "Gaudi", "jetson": "Jetson",
}  # fmt: skip


def software_notes(
    device: Device, software: Software | None, tables: CompatibilityTables, host: HostFacts | None = None
) -> tuple[CompatibilityNote, ...]:
    """Return what a buyer should know about software on a device, the gravest first; nothing on a processor.

    Args:
        device: the GPU.
        software: framework and version; the newest PyTorch when None, the newest version when it names none.
        tables: the facts.
        host: of which the operating system counts.
    """
    if device.kind != "gpu":
        return ()
    wanted = software or Software()
    framework = framework_named(wanted.framework, tables)
    notes = list(_features(device, framework, tables)) if framework is not None else []
    if framework is None:
        known = ", ".join(item.name for item in tables.frameworks)
        name = plain(shorten(wanted.framework, 40))
        text = f"whether {name} runs on {_subject(device)} is not known here; known are {known}"
        notes.append(
            CompatibilityNote(
                topic="software",
                level="caution",
                text=text,
                source="no entry in the catalog",
                unverified=True,
            )
        )
    else:
        history = History(device, framework, tables)
        verdict = _verdict(device, history, wanted.version)
        notes.insert(0, verdict)
        if framework.remark is not None and verdict.level != "blocked":
            notes.append(CompatibilityNote.of("software", "caution", framework.remark.text, framework.remark))
        notes += _drivers(device, history, wanted.version, tables)
    system = host.operating_system if host is not None else None
    for remark in tables.software.remarks:
        if _meets(remark, device, framework, wanted.version, system):
            notes.append(CompatibilityNote.of(remark.topic, remark.level, remark.text, remark))
    if device.mig_instances:
        text = f"it can be split into up to {device.mig_instances} separate GPUs (MIG)"
        source = tables.software.mig_source
        notes.append(CompatibilityNote(topic="software", level="works", text=text, source=source))
    return in_order(notes)


def framework_verdicts(
    device: Device, tables: CompatibilityTables, *, but: str
) -> tuple[CompatibilityNote, ...]:
    """Return what is the last release with code for a device, of every framework but the one with this id."""
    return tuple(
        _verdict(device, History(device, framework, tables), None)
        for framework in tables.frameworks
        if framework.id != but
    )


def framework_named(name: str, tables: CompatibilityTables) -> Framework | None:
    """Return the framework of this id, name or alias, whatever the case; None if there is none."""
    lowered = name.strip().lower()
    for framework in tables.frameworks:
        if lowered in (framework.id, framework.name.lower(), *framework.aliases):
            return framework
    return None


def _subject(device: Device) -> str:
    target = target_of(device)
    if device.vendor == "nvidia" and target is not None:
        return f"{device.name} (compute capability {target})"
    return f"{device.name} ({target})" if device.vendor == "amd" and target else device.name


def _label(build: Build) -> str:
    """Return what a build is for: ``CUDA 12.6``."""
    return " ".join(filter(None, (_BACKEND_NAMES[build.backend], build.toolkit)))


def _command(offer: Offer, framework: Framework) -> str:
    """Return how to install the build of an offer, with the release pinned where it is not the newest."""
    newest = offer.release is framework.releases[0]
    install = offer.build.install or framework.install
    if not newest and install.startswith("pip install "):
        install = (
            f'{install[:-1]}=={offer.release.version}.*"'
            if install.endswith('"')
            else f"{install}=={offer.release.version}.*"
        )
    if offer.build.index is not None and framework.index is not None:
        install += f" --index-url {framework.index}{offer.build.index}"
    return f"`{install}`" if install.startswith("pip ") else install


def _where(offer: Offer, framework: Framework) -> str:
    """Return release and build: ``2.14 with the build for CUDA 12.6``."""
    if offer.build.default:
        return f"{offer.release.version} ({_command(offer, framework)})"
    where = f"{offer.release.version} with the build for {_label(offer.build)}"
    fetched = offer.build.index or offer.build.install
    return f"{where} ({_command(offer, framework)})" if fetched else where


def _verdict(device: Device, history: History, version: str | None) -> CompatibilityNote:
    """Return the one note that says whether a version has code for the device, with the way out."""
    framework = history.framework
    subject = _subject(device)
    if not history.offers:
        return _elsewhere(subject, history)
    offer = history.at(version)
    if offer is None:
        oldest = history.offers[-1].release
        text = (
            f"{subject}: no build of {framework.name} {version} for {_BACKEND_NAMES[history.backend]} is known here; "
            f"the oldest known release with one is {oldest.version} of {oldest.date}"
        )
        return CompatibilityNote.of("software", "caution", text, oldest)
    level, words = _judged(history, offer, version)
    note = CompatibilityNote.of("software", level, f"{subject}: {words}", offer.build)
    if offer.reach == "unknown" and history.surrounded(offer):
        source = f"the releases before and after {offer.release.version} that are known"
        note = note.model_copy(update={"source": source, "unverified": True})
    return note if _listed(offer, version) else _assumed(note, framework, offer, version)


def _listed(offer: Offer, version: str | None) -> bool:
    """Say whether the release of the offer is that of the version, and not only the nearest one before it."""
    length = offer.release.version.count(".") + 1
    return version is None or version_key(version)[:length] == offer.release.number[:length]


def _assumed(
    note: CompatibilityNote, framework: Framework, offer: Offer, version: str | None
) -> CompatibilityNote:
    text = (
        f"{note.text}; {framework.name} {version} is not listed here and taken like {offer.release.version}"
    )
    level: Level = "caution" if offer.release is framework.releases[0] else note.level
    return note.model_copy(update={"text": text, "level": level, "unverified": True})


def _elsewhere(subject: str, history: History) -> CompatibilityNote:
    framework = history.framework
    statement = framework.elsewhere.get(history.backend)
    if statement is not None:
        return CompatibilityNote.of("software", "caution", f"{subject}: {statement.text}", statement)
    if history.machine == "arm":
        text = f"{subject}: which builds of {framework.name} run beside its ARM processor is not known here"
        return CompatibilityNote.of("software", "caution", text, history.targets.arm)
    text = f"{subject}: no build of {framework.name} for it is known here; take a card of NVIDIA for {framework.name}"
    return CompatibilityNote.of("software", "blocked", text, framework.releases[0])


def _judged(history: History, offer: Offer, version: str | None) -> tuple[Level, str]:
    framework, build = history.framework, offer.build
    name = f"{framework.name} {offer.release.version}"
    reach = "code" if offer.reach == "unknown" and history.surrounded(offer) else offer.reach
    if reach == "code":
        if build.default or not offer.has_default:
            return "works", f"{name} has code for it: {_means(offer, framework)}"
        return (
            "caution",
            f"{name} has code for it only in the build for {_label(build)}: {_command(offer, framework)}",
        )
    if reach == "unknown":
        return "caution", f"which GPUs the builds of {name} for {_label(build)} cover is not known here"
    if reach == "stand-in":
        how = next(item.how for item in history.targets.stand_ins if item.target == history.target)
        return "caution", f"{name} has no code for it, but runs with {how}, which AMD does not support"
    if reach == "translated" and (history.toolkit_knows(build) or not history.with_code()):
        return "caution", (
            f"{name} has no machine code for it: the driver translates intermediate code (PTX) at the first "
            f"start, which takes minutes, and CUDA libraries older than the GPU may fail"
        )
    return _without_code(history, offer, version)


def _means(offer: Offer, framework: Framework) -> str:
    build = offer.build
    return _command(offer, framework) if build.default or build.index else f"the build for {_label(build)}"


def _without_code(history: History, offer: Offer, version: str | None) -> tuple[Level, str]:
    """Return the verdict on a release that has no code for the device: too old a GPU, or too new a one."""
    framework = history.framework
    name = f"{framework.name} {offer.release.version}"
    able, by_default = history.with_code(), history.with_code(default=True)
    if not able:
        compiling = history.toolkits()
        if compiling is None:
            return "blocked", f"no release of {framework.name} known here has code for it"
        first, last = compiling
        span = f"{first} or newer" if last is None else f"{first} to {last}" if last != first else first
        return "blocked", (
            f"no release of {framework.name} known here has code for it; what remains is compiling it with CUDA {span}"
        )
    if offer.release.number > able[0].release.number:
        words = f"the last {framework.name} with code for it is {_where(able[0], framework)}"
        if by_default and by_default[0] is not able[0]:
            words += f"; without an index the last is {_where(by_default[0], framework)}"
        if version is None:
            return "caution", words
        return "blocked", f"{name} has no code for it; {words}"
    newer = [other for other in able if other.release.number > offer.release.number]
    words = f"{name} of {offer.release.date[:7]} has no code for it; it needs {_where(newer[-1], framework)}"
    ready = [other for other in newer if other.build.default]
    if ready and ready[-1] is not newer[-1]:
        words += f", or {_where(ready[-1], framework)}"
    return "blocked", words


def _drivers(
    device: Device, history: History, version: str | None, tables: CompatibilityTables
) -> Iterator[CompatibilityNote]:
    if device.vendor != "nvidia" or history.target is None or history.backend != "cuda":
        return
    drivers = tables.targets.drivers
    on = capability(history.target)

    def covering(branches: tuple[DriverBranch, ...]) -> DriverBranch | None:
        fitting = (item for item in branches if capability(item.oldest) <= on <= capability(item.newest))
        return next(fitting, None)

    last, first = covering(drivers.last), covering(drivers.first)
    compiling = history.toolkits()
    if last is not None:
        toolkit = f", and CUDA {compiling[1]} the last toolkit" if compiling and compiling[1] else ""
        text = f"NVIDIA's driver branch R{last.branch} is the last for compute capability {history.target}{toolkit}"
        yield CompatibilityNote.of("driver", "caution", text, last)
    if first is not None:
        text = f"compute capability {history.target} needs driver R{first.branch} or newer"
        yield CompatibilityNote.of("driver", "works", text, first)
    offer = history.at(version)
    if offer is not None and offer.reach == "code" and offer.build.toolkit is not None:
        major = offer.build.toolkit.split(".")[0]
        if major in drivers.needs:
            text = f"the build for {_label(offer.build)} needs driver R{drivers.needs[major]} or newer"
            source = drivers.needs_source
            yield CompatibilityNote(topic="driver", level="works", text=text, source=source)


def _features(
    device: Device, framework: Framework, tables: CompatibilityTables
) -> Iterator[CompatibilityNote]:
    if device.compute_capability is None or framework.id != "pytorch":
        return
    on = capability(device.compute_capability)
    missing = [item for item in tables.software.features if capability(item.since) > on]
    expected = [item for item in missing if item.expected]
    others = [item for item in missing if not item.expected]
    if expected:
        names = ", ".join(item.name for item in expected)
        text = f"compute capability {device.compute_capability} lacks what training code of today expects: {names}"
        yield CompatibilityNote.of("software", "caution", text, *expected)
    if others:
        names = ", ".join(item.name for item in others)
        text = f"compute capability {device.compute_capability} does not run {names}"
        yield CompatibilityNote.of("software", "works", text, *others)


def _meets(
    remark: Remark,
    device: Device,
    framework: Framework | None,
    version: str | None,
    operating_system: str | None,
) -> bool:
    def open_to(accepted: tuple[str, ...], value: str | None) -> bool:
        return not accepted or value in accepted

    recent = remark.since is None or version is None or version_key(version) >= version_key(remark.since)
    return (
        recent
        and open_to(remark.vendors, device.vendor)
        and open_to(remark.segments, device.segment)
        and open_to(remark.architectures, device.architecture)
        and open_to(remark.targets, target_of(device))
        and open_to(remark.frameworks, framework.id if framework else None)
        and open_to(remark.operating_systems, operating_system)
    )
