"""Which GPU a vendor's text of a product means. One device, or an error: never the nearest.

A device is found where the words of its id, its name or an alias stand in the text one after the other, whole, and
no other device fits as well: not ``4070`` for ``4070 Ti SUPER``, not ``A40`` for ``A4000``. Sizes of memory are no
words of a name; they decide between devices of one name, and must agree with the one that is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from advisor.errors import InputError
from advisor.hardware import SOLD_MEMORY_TOLERANCE, Device, NameIndex
from advisor.quotes.product_text import gpus_named, is_noise, memory_gb, name_words, raw_words
from advisor.quotes.words import ProductWords, fold

_SHORT_NAME = 3
"""Letters of a name that also stands for paper, revisions and slots: A2, L4, T4."""
_WAY_OUT = "write the id of the GPU"


@dataclass(frozen=True)
class Product:
    """What a text means."""

    device: Device
    by_name: bool
    """Whether the text as a whole is a name of the device."""
    count: int = 1
    """GPUs that the text names: "8x H100 SXM5"."""
    machine: str | None = None
    """The word that says that it is of a whole machine."""


@dataclass(frozen=True)
class Accessory:
    """The text is of something that belongs to a GPU."""

    word: str


@dataclass(frozen=True)
class _Match:
    """A name in a text: the words from ``start`` to before ``end``."""

    start: int
    end: int
    key: str
    ids: frozenset[str]

    def inside(self, other: _Match) -> bool:
        """Say whether ``other`` is a longer name around this one."""
        return other.start <= self.start and self.end <= other.end and len(other.key) > len(self.key)


class Products:
    """Finds GPUs in the texts of vendors.

    Args:
        index: the catalog.
        product_words: words that are no part of a name.
    """

    def __init__(self, index: NameIndex, product_words: ProductWords) -> None:
        self._words = product_words
        self._index = NameIndex(device for device in index.devices if device.kind == "gpu")
        self._splits: dict[str, dict[str, set[tuple[str, ...]]]] = {}
        self._sizeless: set[tuple[str, str]] = set()
        """Names, with the device, that hold no size of memory."""
        self._found: dict[str, Product | Accessory] = {}
        for device in self._index.devices:
            # What Apple builds is sold in its computers, and M2 is also a slot.
            if device.segment == "apple":
                continue
            for name in (device.id, device.name, *device.identifiers.aliases):
                split = tuple(word for word in self._tokens(name) if memory_gb(word) is None)
                key = "".join(split)
                if key and not key.isdigit():
                    self._splits.setdefault(key, {}).setdefault(device.id, set()).add(split)
            self._sizeless |= {(key, device.id) for key in self._sizeless_names(device)}
        self._longest = max((len(key) for key in self._splits), default=0)

    def find(self, text: str) -> Product | Accessory:
        """Return the GPU that ``text`` means.

        Args:
            text: id, name or alias of a device, or what a vendor writes about a product that is one.

        Raises:
            InputError: it means none or several; with candidates.
        """
        if text not in self._found:
            self._found[text] = self._find(text)
        return self._found[text]

    def _find(self, text: str) -> Product | Accessory:
        device = self._index.find(text)
        if device is not None:
            return Product(device, by_name=True)
        tokens = self._tokens(text)
        matches = self._matches(tokens)
        if not matches:
            raise self._unknown(text, tokens)
        accessory = self._accessory(text, tokens[matches[0].start])
        if accessory is not None:
            return accessory
        devices = self._one_name(text, tokens, matches)
        sizes = [size for size in map(memory_gb, tokens) if size is not None]
        fitting = [device for device in devices if not sizes or _has_size(device, sizes)]
        if not fitting:
            has = ", ".join(f"{device.id} has {device.memory.size_gib:g} GB" for device in devices)
            said = " and ".join(f"{size} GB" for size in sizes)
            raise InputError(f"the text says {said}, but {has}", value=text, hint=_WAY_OUT)
        if len(fitting) > 1:
            raise _several(text, [device.id for device in fitting])
        if not sizes and not any((match.key, fitting[0].id) in self._sizeless for match in matches):
            raise InputError(
                f"the text says no memory, and {fitting[0].id} is named with its own",
                value=text,
                hint=_WAY_OUT,
            )
        for match in matches:
            self._check_beside(text, tokens, match, has_size=bool(sizes))
        return Product(
            fitting[0],
            by_name=False,
            count=max(gpus_named(text, tokens, match.start, match.end) for match in matches),
            machine=self._machine(text, tokens, matches),
        )

    def _sizeless_names(self, device: Device) -> Iterable[str]:
        known = device.identifiers
        for name in (device.id, device.name, *known.aliases, *known.nvml_names):
            tokens = self._tokens(name)
            if all(memory_gb(token) is None for token in tokens):
                yield "".join(tokens)

    def _tokens(self, text: str) -> list[str]:
        return name_words(text, self._words.left_out)

    def _matches(self, tokens: Sequence[str]) -> list[_Match]:
        """Return the names in the text in their order, without those inside of longer ones."""
        places = [place for place, token in enumerate(tokens) if memory_gb(token) is None]
        found: list[_Match] = []
        for first in range(len(places)):
            if first and tokens[places[first - 1]] in self._words.revisions:
                continue
            key = ""
            for last in range(first, len(places)):
                key += tokens[places[last]]
                if len(key) > self._longest:
                    break
                parts = [tokens[place] for place in places[first : last + 1]]
                if ids := self._named(key, parts):
                    found.append(_Match(places[first], places[last] + 1, key, ids))
        return [match for match in found if not any(match.inside(other) for other in found)]

    def _named(self, key: str, parts: Sequence[str]) -> frozenset[str]:
        """Return the devices of which ``parts`` are whole words, some perhaps joined: ``RTX4090``, but not ``A 40``."""
        ends = _ends(parts)
        named = self._splits.get(key, {})
        return frozenset(
            each for each, splits in named.items() if any(ends <= _ends(split) for split in splits)
        )

    def _one_name(self, text: str, tokens: Sequence[str], matches: Sequence[_Match]) -> list[Device]:
        """Return the devices that share the one name in the text; laptop chips only where nothing else has it.

        Raises:
            InputError: names of several devices stand in the text, or those of cards in that of a laptop.
        """
        shared = frozenset.intersection(*(match.ids for match in matches))
        rivals = self._rivals(tokens, matches)
        if not shared or rivals - shared:
            raise _several(text, sorted(rivals.union(*(match.ids for match in matches))))
        laptops = {each for each in shared if self._index.by_id[each].segment == "laptop"}
        if any(f" {word} " in f" {fold(text)} " for word in self._words.laptops):
            if not laptops:
                raise InputError(
                    "the text is of a laptop, the name is that of a card",
                    value=text,
                    candidates=sorted(shared),
                    hint=_WAY_OUT,
                )
            shared = frozenset(laptops)
        elif laptops != shared:
            shared -= laptops
        return [self._index.by_id[each] for each in sorted(shared)]

    def _rivals(self, tokens: Sequence[str], matches: Sequence[_Match]) -> set[str]:
        """Return devices of longer names that may be meant.

        Their further words stand elsewhere in the text ("RTX 4070 Gaming SUPER"), or are written apart ("L40 S").
        """
        there = set(tokens)
        rivals: set[str] = set()
        longest = max(matches, key=lambda match: len(match.key))
        own = {split for splits in self._splits[longest.key].values() for split in splits}
        for named in self._splits.values():
            for device_id, splits in named.items():
                for split in splits:
                    if any(set(name) < set(split) and set(split) - set(name) <= there for name in own):
                        rivals.add(device_id)
        for match in matches:
            key = match.key
            for token in tokens[match.end : match.end + 2]:
                key += token
                rivals |= set(self._splits.get(key, ()))
        return rivals - longest.ids

    def _check_beside(self, text: str, tokens: Sequence[str], match: _Match, *, has_size: bool) -> None:
        """Refuse a name that what stands beside it makes another one, or none.

        Raises:
            InputError: so it is.
        """
        behind = next((token for token in tokens[match.end :] if memory_gb(token) is None), "")
        why = None
        if behind in self._words.tells_apart or re.fullmatch(r"[a-z]", behind):
            why = f"with {behind!r} behind it, it is another one"
        elif tokens[match.end - 1].isdigit() and behind in self._words.measures:
            why = f"with {behind!r} behind it, it is a measure"
        elif (
            self._is_short(match)
            and not (has_size and (match.start == 0 or any(map(self._is_maker, raw_words(text)))))
            and not self._maker_before(text, match)
        ):
            why = "so short a name counts behind that of its maker, or with its memory: first, or beside its maker"
        if why is not None:
            ids = sorted(match.ids)
            raise InputError(
                f"not taken for {' or '.join(ids)}: {why}", value=text, candidates=ids, hint=_WAY_OUT
            )

    def _is_short(self, match: _Match) -> bool:
        return len(match.key.removesuffix("pcie")) <= _SHORT_NAME

    def _maker_before(self, text: str, match: _Match) -> bool:
        raw = raw_words(text)
        name = match.key.removesuffix("pcie")
        return name in raw[1:] and self._is_maker(raw[raw.index(name, 1) - 1])

    def _is_maker(self, word: str) -> bool:
        return is_noise(word) or word in self._words.makers

    def _accessory(self, text: str, first_word: str) -> Accessory | None:
        """Return what the text is of where that stands before the name: "NVLink bridge for RTX A6000".

        Raises:
            InputError: it stands behind the name, so that it may also come with the card.
        """
        folded = fold(text).split()
        name = next((place for place, word in enumerate(folded) if first_word.startswith(word)), 0)
        for phrase in self._words.accessories:
            parts = phrase.split()
            for place in range(len(folded) - len(parts) + 1):
                if folded[place : place + len(parts)] != parts:
                    continue
                if place < name:
                    return Accessory(phrase)
                if not any(word in self._words.including for word in folded[name:place]):
                    raise InputError(
                        f"may be of an accessory ({phrase}), not of a card",
                        value=text,
                        hint=f"leave the line out, or {_WAY_OUT}",
                    )
        return None

    def _machine(self, text: str, tokens: Sequence[str], matches: Sequence[_Match]) -> str | None:
        named = {word for match in matches for word in tokens[match.start : match.end]}
        folded = f" {fold(text)} "
        return next(
            (word for word in self._words.machines if f" {word} " in folded and word not in named), None
        )

    def _unknown(self, text: str, tokens: Sequence[str]) -> InputError:
        """Return the error, with the devices that share most words where the catalog has no candidates."""
        error = self._index.refusal(text)
        there = set(tokens)
        shared = {
            each: max(len(there & set(split)) for split in splits)
            for named in self._splits.values()
            for each, splits in named.items()
        }
        best = sorted((each for each, count in shared.items() if count), key=lambda each: -shared[each])
        ambiguous = error.message != "no such device in the catalog"
        return InputError(
            error.message if ambiguous else "names no GPU of the catalog",
            value=text,
            accepted=error.accepted if ambiguous else "an id, a name, or a text that holds one name",
            candidates=error.candidates or best[:5],
        )


def _ends(parts: Iterable[str]) -> set[int]:
    """Return after how many letters each part ends."""
    ends: set[int] = set()
    length = 0
    for part in parts:
        length += len(part)
        ends.add(length)
    return ends


def _has_size(device: Device, sizes_gb: Iterable[float]) -> bool:
    size = device.memory.size_gib
    return any(abs(said - size) <= SOLD_MEMORY_TOLERANCE * size for said in sizes_gb)


def _several(text: str, ids: Sequence[str]) -> InputError:
    return InputError(f"can mean {len(ids)} devices", value=text, accepted=f"one of {', '.join(ids)}")
