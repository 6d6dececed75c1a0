"""Changes valid documents, knowing their structure: keys, types, values, fields, and at last the bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

import yaml

try:
    from yaml import CSafeDumper as _Dumper
except ImportError:
    from yaml import SafeDumper as _Dumper  # type: ignore[assignment]

HOSTILE = (
    "\x1b]0;OWNED\x07", "\x1b[2J\x1b[31m", "a\x00b", "line\nbreak\r\nhere", "\u202egnp.exe", "\u2066x\u2069",
    "zero\u200bwidth\u200d\ufeff", "e\u0301\u0301\u0301" * 20, "\uff11\uff12\uff13", "\u0661\u0662", "\u00b2", "\u2460",
    "\u0130stanbul \u0131", "\ud800", "\udfff\ud800", "\U0001f3f3\ufe0f\u200d\U0001f308", "\u2028\u2029",
    "\x9b31m", "\x85",
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "\"' onmouseover=alert(1) x='", "<!--", "]]>",
    "<img src=x onerror=alert(1)>", "javascript:alert(1)", "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)",
    "\t=1", "\r=1",
    "\uff1d1+1", "| a | b |", "`code`", "[x](javascript:alert(1))", "[/][bold]x[@click=app.quit]y", "[",
    "{{7*7}}", "%s%n%d",
    "../../../../etc/passwd", "..\\..\\windows", "/dev/null", "/proc/self/mem", "/", ".", "..", "~", "~root/x",
    "C:\\x", "\\\\h\\s",
    "CON", "file:///etc/passwd", "a/b", "org/name@../../x", "", " ", "\t", "null", "true", "NaN", "inf",
    "1e999", "0x10", "1_000",
    "*", "&a", "!!python/object:os.system", "<<", "- ", "? ", "x" * 300, "x" * 20_000, "\u00fc" * 90, "\u4e2d" * 90,
)  # fmt: skip
"""Texts that steer whatever takes them for something else."""

NUMBERS: tuple[object, ...] = (
    0, 1, 2, 3, 5, 7, 8, 12, 16, 64, 100, 127, 128, 255, 256, 1000, 1024, 4095, 4096, 4097, 10**4, 10**5,
    2 * 10**6, 10**6,
    10**7, 10**8, 10**9, 10**9 + 1, 2**31 - 1, 2**31, 2**32, 10**12, 2**53, 2**53 + 1, 10**15, 10**18,
    2**63 - 1, 2**63, 2**64,
    10**24, 10**30, 10**100, 10**308, 10**309, 10**400, -1, -2, -(10**9), -(2**63), -(10**400), 0.0, -0.0, 0.1,
        0.5, 0.999, 1.0,
    1.5, 2.0, 3.7, 99.9, 1e-3, 1e-9, 1e-15, 1e-30, 1e-100, 1e-300, 5e-324, 1e6, 1e9, 1e12, 1e15, 1e18, 1e24,
    1e30, 1e100, 1e300,
    1.7976931348623157e308, -1.5, -1e300, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
OTHERS: tuple[object, ...] = (
    None,
    True,
    False,
    [],
    {},
    [None],
    [[]],
    {"": None},
    "",
    [1, 2, 3],
    {"a": {"b": {"c": 1}}},
)

Path = tuple[str | int, ...]


def paths(document: object, before: Path = ()) -> list[Path]:
    """Return where everything in a document stands, the document itself left out."""
    found: list[Path] = []
    if isinstance(document, dict):
        inner: Any = document.items()
    elif isinstance(document, list):
        inner = enumerate(document)
    else:
        return found
    for key, value in inner:
        found.append((*before, key))
        found += paths(value, (*before, key))
    return found


def at(document: Any, path: Path) -> Any:
    """Return what stands at a place."""
    for part in path:
        document = document[part]
    return document


def _under(document: object, key: str) -> list[Any]:
    """Return what stands under a key, wherever it is in a document."""
    if isinstance(document, dict):
        inner = list(document.values())
        found = [document[key]] if key in document else []
    else:
        inner = document if isinstance(document, list) else []
        found = []
    return found + [each for value in inner for each in _under(value, key)]


class Mutator:
    """Changes documents with the chance of one case.

    Args:
        rng: of the case.
        corpus: valid documents of the same kind, to take fields and values from.
    """

    def __init__(self, rng: random.Random, corpus: Sequence[object]) -> None:
        self.rng = rng
        self.corpus = corpus

    def document(self, document: object | None = None) -> Any:
        """Return a document of the corpus with a few changes."""
        found: Any = copy.deepcopy(self.rng.choice(self.corpus) if document is None else document)
        for _ in range(self.rng.choice((1, 1, 1, 1, 1, 2, 2, 3, 6))):
            found = self.changed(found)
        return found

    def changed(self, document: Any) -> Any:
        """Return a document with one change."""
        places = paths(document)
        if not places or self.rng.random() < 0.01:
            return self.value()
        place = self._place(document, places)
        parent, key = at(document, place[:-1]), place[-1]
        chance = self.rng.random()
        if chance < 0.35:
            parent[key] = self.alike(parent[key])
        elif chance < 0.58:
            parent[key] = self._of_the_same_key(key, parent[key])
        elif chance < 0.63:
            parent[key] = self.value()
        elif chance < 0.70:
            del parent[key]
        elif chance < 0.76 and isinstance(parent, list):
            parent.insert(self.rng.randrange(len(parent) + 1), copy.deepcopy(parent[key]))
        elif chance < 0.80 and isinstance(parent, dict):
            parent[self.name(str(key))] = parent.pop(key)
        elif chance < 0.93:
            self._splice(document, place)
        elif chance < 0.96:
            parent[key] = self.rng.choice(
                ([parent[key]], {"value": parent[key]}, {str(key): parent[key]}, str(parent[key]))
            )
        elif isinstance(parent, dict):
            parent[self.name(str(key))] = self.value()
        return document

    def _place(self, document: Any, places: list[Path]) -> Path:
        """Return a place, all levels about as likely: a long list of rows must not hide the head."""
        if self.rng.random() < 0.75:
            places = [place for place in places if not isinstance(at(document, place), dict | list)] or places
        depth = self.rng.choice(sorted({len(place) for place in places}))
        return self.rng.choice([place for place in places if len(place) == depth])

    def _of_the_same_key(self, key: str | int, value: Any) -> Any:
        """Return what the field holds in a document of the corpus."""
        if isinstance(key, int):
            return self.alike(value)
        donors = [found for document in self.corpus for found in _under(document, key)]
        return copy.deepcopy(self.rng.choice(donors)) if donors else self.alike(value)

    def _splice(self, document: Any, place: Path) -> None:
        """Put in what stands at the same level of another document."""
        other: Any = self.rng.choice(self.corpus)
        donors = [each for each in paths(other) if len(each) == len(place)]
        same = [each for each in donors if each[:-1] == place[:-1]]
        donors = same or donors
        if not donors:
            return
        donor = self.rng.choice(donors)
        parent = at(document, place[:-1])
        if isinstance(parent, dict):
            parent[str(donor[-1])] = copy.deepcopy(at(other, donor))
        else:
            parent[place[-1]] = copy.deepcopy(at(other, donor))

    def alike(self, value: Any) -> Any:
        """Return another value of the same type, often a plausible one."""
        if isinstance(value, bool):
            return not value
        if isinstance(value, int | float):
            return self.number(value)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list) and value and self.rng.random() < 0.5:
            return value * self.rng.choice((0, 2, 3, 20))
        return self.value()

    def number(self, value: float | int) -> Any:
        """Return another number."""
        chance = self.rng.random()
        if chance < 0.25:
            return self.rng.choice(NUMBERS)
        if chance < 0.5 and isinstance(value, int):
            return value + self.rng.choice((-1, 1))
        if chance < 0.85:
            try:
                scaled = value * 10.0 ** self.rng.choice((-9, -6, -3, -2, -1, 1, 1, 2, 3, 6, 9, 12))
                return round(scaled) if isinstance(value, int) and self.rng.random() < 0.8 else scaled
            except (OverflowError, ValueError):
                return value
        if chance < 0.9:
            return self.rng.randint(0, 10 ** self.rng.randint(1, 19))
        return self.rng.choice(
            (-value, str(value), float(value) if abs(value) < 1e300 else value, f"{value}e3")
        )

    def text(self, value: str) -> Any:
        """Return another text."""
        chance = self.rng.random()
        if chance < 0.35:
            return self.rng.choice(HOSTILE)
        if chance < 0.6:
            cut = self.rng.randrange(len(value) + 1)
            return value[:cut] + self.rng.choice(HOSTILE) + value[cut:]
        if chance < 0.7:
            return self.rng.choice(
                (value.upper(), value.title(), value[::-1], value + value, value[: len(value) // 2])
            )
        if chance < 0.8:
            return "".join(
                chr(ord(each) + 0xFEE0) if each.isascii() and each.isalnum() else each for each in value
            )
        other = self.rng.choice(self.corpus)
        words = [found for place in paths(other) if isinstance(found := at(other, place), str)]
        return self.rng.choice(words) if words else value

    def name(self, key: str) -> str:
        """Return another key."""
        return str(
            self.rng.choice(
                (
                    self.rng.choice(HOSTILE),
                    key + self.rng.choice(HOSTILE),
                    key.upper(),
                    key + "s",
                    "__class__",
                    "schema",
                )
            )
        )

    def value(self) -> Any:
        """Return anything."""
        return copy.deepcopy(
            self.rng.choice(
                (self.rng.choice(NUMBERS), self.rng.choice(HOSTILE), self.rng.choice(OTHERS), self.nested())
            )
        )

    def nested(self) -> Any:
        """Return something deep or wide."""
        if self.rng.random() < 0.8:
            return self.rng.choice(OTHERS)
        found: Any = self.rng.choice(NUMBERS)
        for _ in range(self.rng.choice((5, 39, 41, 300))):
            found = [found] if self.rng.random() < 0.5 else {"a": found}
        return found

    def bytes_of(self, document: object, form: str) -> bytes:
        """Return a document as ``json`` or ``yaml``, sometimes damaged."""
        return self.damaged(encoded(document, form, escaped=self.rng.random() < 0.5), 0.08)

    def damaged(self, raw: bytes, share: float = 1.0) -> bytes:
        """Return bytes; in a share of all cases with a few of them changed, lost, doubled or cut off."""
        if self.rng.random() >= share:
            return raw
        found = bytearray(raw)
        for _ in range(self.rng.choice((1, 1, 1, 2, 5, 20))):
            if not found:
                break
            start = self.rng.randrange(len(found))
            end = min(len(found), start + self.rng.choice((1, 1, 2, 8, 64)))
            chance = self.rng.random()
            if chance < 0.3:
                found[start] = self.rng.randrange(256)
            elif chance < 0.5:
                del found[start:end]
            elif chance < 0.65:
                found[start:start] = found[start:end] * self.rng.choice((1, 2, 50))
            elif chance < 0.9:
                found[start:start] = self.rng.choice(_TOKENS)
            else:
                del found[start:]
        return bytes(found)


_TOKENS = tuple(
    token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass")
    for token in (
        *HOSTILE, b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"&a [*a, *a]", b"*a",
            b"!!float ", b"---\n",
        b"...\n", b"{", b"}", b"[", b"]", b"\"", b"'", b":", b": ", b",", b"\n", b"\t", b"#", b"|\n", b">\n",
            b"? ", b"%YAML 1.1\n",
        b"9" * 400, b"9" * 5000, b"[" * 50, b"{\"a\":" * 50, b"NaN", b"-Infinity", b"\\ud800", b"\\u0000",
            b";", b"\r", b"$", b"\xe2\x82\xac",
    )
)  # fmt: skip


def encoded(document: object, form: str, *, escaped: bool = True) -> bytes:
    """Return a document as ``json`` or ``yaml``; what YAML cannot hold is written as JSON, which is YAML too."""
    if form == "yaml":
        try:
            return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=not escaped).encode(
                "utf-8"
            )
        except (yaml.YAMLError, UnicodeError, ValueError, RecursionError):
            pass
    try:
        return json.dumps(document, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return b"{}"
