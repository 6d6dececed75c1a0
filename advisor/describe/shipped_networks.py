"""The operator tables in the catalog by name: ``models/tables/index.json`` lists them, a file each holds them.

The list and the files are written by one command from ``models/tables.yaml`` (see :mod:`advisor.zoo`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from advisor.describe.network_table import read_table
from advisor.errors import InputError
from advisor.network import NetworkTable
from advisor.quantity import Model
from advisor.yaml_io import read_yaml, validate


class ShippedNetwork(Model):
    """An entry of the list.

    ``parameters`` is the count of the traced definition; ``definition`` the package, its version and the factory.
    """

    name: str
    title: str
    family: str
    unit: str
    sample: str
    parameters: int
    aliases: tuple[str, ...] = ()
    released: str | None = None
    definition: str


class _Index(Model):
    """Content of ``models/tables/index.json``."""

    networks: tuple[ShippedNetwork, ...]


@lru_cache(maxsize=8)
def shipped_networks(root: Path) -> Mapping[str, ShippedNetwork]:
    """Return the shipped networks by name, in the order of the list.

    Raises:
        InputError: the list is malformed.
    """
    path = root / "models" / "tables" / "index.json"
    return {each.name: each for each in validate(_Index, read_yaml(path), str(path)).networks}


@lru_cache(maxsize=8)
def network_places(root: Path) -> Mapping[str, str]:
    """Return, for every name and alias, the name of the file."""
    return {
        known: each.name for each in shipped_networks(root).values() for known in (each.name, *each.aliases)
    }


@lru_cache(maxsize=64)
def load_network(root: Path, name: str) -> NetworkTable:
    """Return the shipped table of a name or alias.

    Raises:
        InputError: there is none of this name, or its file is malformed.
    """
    places = network_places(root)
    if name not in places:
        raise InputError("no shipped network has this name", field="model.name", value=name)
    return read_table(root / "models" / "tables" / f"{places[name]}.json")
