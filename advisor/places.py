"""What electricity costs and emits by country: dated facts, each with its source (``catalog/places.yaml``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from advisor.errors import InputError, nearest
from advisor.quantity import Model
from advisor.units import plain
from advisor.yaml_io import data_root, read_yaml, validate

WORLD = "world"
"""Key of the entry that counts where no country is named."""

Sector = Literal["business", "household"]
PlaceDoubt = Literal["from memory", "second hand", "assumption"]
"""Why a fact may be wrong: remembered, copied from a copy, or chosen for want of one."""

_Date = Annotated[str, Field(pattern=r"^\d{4}(-(Q[1-4]|H[12]|\d{2}))?$")]
_Code = Annotated[str, Field(pattern=r"^([A-Z]{2}|world)$")]
_UsdPerKwh = Annotated[float, Field(gt=0, le=2)]
_GramsPerKwh = Annotated[float, Field(ge=0, le=2000)]


class DatedPrice(Model):
    """A price of electricity in US dollars a kWh: of businesses without VAT, of households with all taxes."""

    usd_per_kwh: _UsdPerKwh
    date: _Date
    """Year, quarter, half-year or month."""
    source: str
    unverified: PlaceDoubt | None = None
    sector: Sector


class DatedIntensity(Model):
    """Greenhouse gases of a grid in grams of CO2 equivalents a kWh."""

    g_per_kwh: _GramsPerKwh
    date: _Date
    source: str
    unverified: PlaceDoubt | None = None


class Place(Model):
    """A country, or the world. ``business`` and ``household`` are None where the price is not known."""

    country: str
    """ISO 3166-1 alpha-2, or :data:`WORLD`."""
    name: str
    aliases: tuple[str, ...] = ()
    business: DatedPrice | None = None
    household: DatedPrice | None = None
    carbon: DatedIntensity | None = None
    note: str | None = None

    @property
    def electricity(self) -> DatedPrice | None:
        """The price of businesses, else that of households."""
        return self.business or self.household


class _Source(Model):
    text: str
    unverified: PlaceDoubt | None = None


class _Price(Model):
    usd_per_kwh: _UsdPerKwh
    date: _Date
    source: str


class _Intensity(Model):
    g_per_kwh: _GramsPerKwh
    date: _Date
    source: str


class _Entry(Model):
    name: str
    aliases: tuple[str, ...] = ()
    business: _Price | None = None
    household: _Price | None = None
    carbon: _Intensity | None = None
    note: str | None = None


class _File(Model):
    """Content of ``places.yaml``: the sources by a short name, and the places that refer to them."""

    sources: Mapping[str, _Source]
    places: Mapping[_Code, _Entry]


@lru_cache(maxsize=2)
def load_places(root: Path | None = None) -> Mapping[str, Place]:
    """Return every place by its code; :data:`WORLD` is among them.

    Args:
        root: the catalog folder; the shipped one when left out.

    Raises:
        InputError: the file is wrong, a source is not explained, or two places have one name.
    """
    path = (root or data_root()) / "places.yaml"
    file = validate(_File, read_yaml(path), str(path))
    places = {code: _place(code, entry, file.sources, str(path)) for code, entry in file.places.items()}
    if WORLD not in places or places[WORLD].electricity is None or places[WORLD].carbon is None:
        raise InputError(
            "a tariff and a carbon intensity are needed", source=str(path), field=f"places.{WORLD}"
        )
    taken: dict[str, str] = {}
    for code, found in places.items():
        for name in _names(found):
            if taken.setdefault(name.casefold(), code) != code:
                raise InputError(
                    "two places have this name", source=str(path), field=f"places.{code}", value=name
                )
    return MappingProxyType(places)


def place(name: str, places: Mapping[str, Place]) -> Place:
    """Return the place of a code (``DE``) or an English name; case does not matter.

    Raises:
        InputError: no place has this name (with the nearest names).
    """
    known = {known.casefold(): found for found in places.values() for known in _names(found)}
    wanted = " ".join(name.split()).casefold()
    if wanted in known:
        return known[wanted]
    raise InputError(
        "no electricity price and no carbon intensity of this place are shipped",
        field="economics.country",
        value=plain(name),
        accepted="a country as a code of two letters or by its English name",
        candidates=nearest(name, [found.name for found in places.values()]),
        hint="leave it out and say economics.electricity_usd_per_kwh and carbon_g_per_kwh",
    )


def _names(found: Place) -> tuple[str, ...]:
    return (found.country, found.name, *found.aliases)


def _place(code: str, entry: _Entry, sources: Mapping[str, _Source], path: str) -> Place:
    def told(fact: _Price | _Intensity, field: str) -> dict[str, object]:
        source = sources.get(fact.source)
        if source is None:
            raise InputError(
                "this source is not explained",
                source=path,
                field=f"places.{code}.{field}.source",
                value=fact.source,
                accepted=", ".join(sources),
            )
        return {**fact.model_dump(), "source": source.text, "unverified": source.unverified}

    def price(fact: _Price | None, sector: Sector) -> DatedPrice | None:
        return None if fact is None else DatedPrice.model_validate({**told(fact, sector), "sector": sector})

    carbon = entry.carbon
    return Place(
        country=code,
        name=entry.name,
        aliases=entry.aliases,
        business=price(entry.business, "business"),
        household=price(entry.household, "household"),
        carbon=None if carbon is None else DatedIntensity.model_validate(told(carbon, "carbon")),
        note=entry.note,
    )
