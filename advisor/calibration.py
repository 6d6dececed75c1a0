"""Reader of calibrations: the suite of the catalog, and the profiles of this user and this team.

Profiles lie in ``calibration`` of the user's data folder (``GPU_ADVISOR_DATA`` names another one), which ``calibrate``
writes to, and in ``calibration`` of catalog folders that the user names, where a team checks them in. Each is a file of
its own; nothing here ever replaces one.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from advisor.errors import AdvisorError, ExternalError, InputError, nearest
from advisor.network import NetworkTable
from advisor.paths import file_stem, is_folder
from advisor.profile import Profile
from advisor.suite import Suite
from advisor.user_data import DATA_VARIABLE, user_data_folder
from advisor.whole_file import name_new_file, whole_file
from advisor.yaml_io import parse_json, parse_yaml, read_text, read_yaml, validate, yaml_text

SCHEMA = "gpu-advisor/calibration/"
VERSION = 1
FOLDER = "calibration"
HEADER = (
    "# A calibration of gpu-advisor: measurements of one machine. gpu-advisor calibrate show lists them.\n"
)


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile and the file that holds it; ``name`` is what commands call it by."""

    name: str
    path: Path
    profile: Profile


def tables_path(root: Path) -> Path:
    """Return the file with the operator tables of the suite."""
    return root / FOLDER / "tables.json"


@lru_cache(maxsize=2)
def load_suite(root: Path) -> Suite:
    """Return the suite of a catalog.

    Raises:
        InputError: it is malformed.
    """
    path = root / FOLDER / "suite.yaml"
    return validate(Suite, read_yaml(path), str(path))


@lru_cache(maxsize=2)
def load_tables(root: Path) -> dict[str, NetworkTable]:
    """Return the operator tables of the suite's tests that are code, by name.

    Raises:
        InputError: the file is malformed.
    """
    path = tables_path(root)
    data = parse_json(read_text(path), str(path))
    if not isinstance(data, dict):
        raise InputError("not a list of operator tables", source=str(path))
    return {name: validate(NetworkTable, each, f"{path}: {name}") for name, each in data.items()}


def own_folder() -> Path:
    """Return the folder of this user's profiles; it need not exist."""
    return user_data_folder() / FOLDER


def read_profile(path: Path) -> Profile:
    """Return the profile in a file.

    Raises:
        InputError: it is no profile, of a newer version, or damaged; says where. The file stays as it is.
        ExternalError: it cannot be read.
    """
    text = read_text(path)
    source = str(path)
    # JSON is YAML too, so both forms are read whatever the file is called.
    data = parse_yaml(text, source)
    named = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(named, str) or not named.startswith(SCHEMA):
        raise InputError(
            "not a calibration", source=source, field="schema", value=named,
            accepted=f"a file written by gpu-advisor calibrate, with schema {SCHEMA}{VERSION}",
        )  # fmt: skip
    number = named.removeprefix(SCHEMA)
    if number != str(VERSION):
        raise InputError(
            "the calibration is of a newer version than this program reads", source=source, field="schema", value=named,
            accepted=f"{SCHEMA}{VERSION}", hint="update gpu-advisor, or calibrate again with this version",
        )  # fmt: skip
    return validate(Profile, data, source, text)


def stored_profiles(folders: Sequence[Path]) -> tuple[tuple[StoredProfile, ...], tuple[str, ...]]:
    """Return all profiles, the user's own last, and a message for each file that is none.

    Args:
        folders: catalog folders of the user.

    A damaged file is left out and reported: the others go on.
    """
    found: list[StoredProfile] = []
    problems: list[str] = []
    for folder in (*(Path(each) / FOLDER for each in folders), own_folder()):
        for path in _files(folder):
            try:
                found.append(StoredProfile(path.stem, path, read_profile(path)))
            except AdvisorError as error:
                problems.append(f"calibration left out: {error}")
    return tuple(found), tuple(problems)


def _files(folder: Path) -> list[Path]:
    if not is_folder(folder):
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".yaml", ".yml"))


def profile_of(name: str, profiles: Sequence[StoredProfile]) -> StoredProfile:
    """Return the profile of a name.

    Raises:
        InputError: there is none of this name.
    """
    for each in reversed(profiles):
        if each.name == name:
            return each
    names = [each.name for each in profiles]
    raise InputError(
        "there is no calibration of this name", field="calibration", value=name,
        accepted=", ".join(names) or "none: gpu-advisor calibrate makes one", candidates=nearest(name, names),
    )  # fmt: skip


def text_of(profile: Profile) -> str:
    """Return a profile as YAML."""
    data = profile.model_dump(mode="json", exclude_none=True)
    return HEADER + yaml_text(data)


def make_sure_of_the_folder() -> None:
    """Make the user's folder, so that what takes minutes to measure can be kept.

    Raises:
        ExternalError: nothing can be written there.
    """
    folder = own_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> ExternalError:
    return ExternalError(
        f"{folder}: the calibration cannot be written ({error.strerror or error})",
        hint=f"{DATA_VARIABLE} names another folder",
    )


def keep(profile: Profile, name: str) -> Path:
    """Write a profile into the user's folder under a name that is still free, and return its file.

    Args:
        profile: what to write.
        name: wanted; a number is added where it is taken.

    Raises:
        ExternalError: it cannot be written.
    """
    folder = own_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder, text_of(profile).encode("utf-8")) as temporary:
            return _named(temporary, folder, name)
    except OSError as error:
        raise _unwritable(folder, error) from None


def remove(stored: StoredProfile) -> None:
    """Delete a profile of this user.

    Raises:
        InputError: it is a team's: it lies in a catalog folder, which is theirs to change.
        ExternalError: it cannot be deleted.
    """
    if stored.path.parent != own_folder():
        raise InputError(
            "this calibration belongs to a catalog folder", field="calibration", value=stored.name,
            accepted=f"one of {own_folder()}", hint=f"delete {stored.path} yourself if you mean it",
        )  # fmt: skip
    try:
        stored.path.unlink()
    except OSError as error:
        raise ExternalError(f"{stored.path}: cannot be deleted ({error.strerror or error})") from None


def _named(temporary: Path, folder: Path, name: str) -> Path:
    """Give a finished file the first free name."""
    stem = file_stem(name, "calibration")
    for number in itertools.count(1):
        path = folder / (f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml")
        try:
            name_new_file(temporary, path)
        except FileExistsError:
            continue
        return path
    raise AssertionError("there is always another number")
