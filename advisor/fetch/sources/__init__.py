"""The sources of live prices, one module each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from advisor.errors import InputError, nearest
from advisor.fetch.about import SourceAbout, load_sources
from advisor.fetch.offers import Source
from advisor.fetch.sources.azure import Azure
from advisor.fetch.sources.gpuhunt import Gpuhunt
from advisor.fetch.sources.runpod import Runpod
from advisor.fetch.sources.skypilot import Skypilot
from advisor.fetch.sources.vastai import Vastai

_READERS: Mapping[str, Callable[[str, SourceAbout, str], Source]] = {
    "gpuhunt": Gpuhunt,
    "azure": Azure,
    "vastai": Vastai,
    "runpod": Runpod,
    "skypilot": Skypilot,
}


def open_sources(chosen: Sequence[str] = (), mirrors: Sequence[str] = ()) -> tuple[Source, ...]:
    """Return the sources to ask, in the order of catalog/prices/sources.yaml.

    Args:
        chosen: names; all when empty.
        mirrors: other addresses, each as ``NAME=URL``.

    Raises:
        InputError: a name is not known, or an address is no web address.
    """
    listed = load_sources().sources
    for name in chosen:
        _check_name(name, listed, "--source")
    addresses = dict(_mirror(text, listed) for text in mirrors)
    return tuple(
        _READERS[name](name, about, addresses.get(name, about.url))
        for name, about in listed.items()
        if not chosen or name in chosen
    )


def _mirror(text: str, listed: Mapping[str, SourceAbout]) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if not equals or not url.startswith(("http://", "https://")):
        raise InputError(
            "not an address of a source",
            source="--source-url",
            value=text,
            accepted="NAME=URL, such as gpuhunt=https://mirror.example.org/v3",
        )
    _check_name(name, listed, "--source-url")
    return name, url.rstrip("/") if not listed[name].url.endswith("/") else url


def _check_name(name: str, listed: Mapping[str, SourceAbout], option: str) -> None:
    if name not in listed:
        raise InputError(
            "no such source of prices",
            source=option,
            value=name,
            accepted=", ".join(listed),
            candidates=nearest(name, listed),
        )
