"""Counts the weights of a repository without downloading them: what the hub says, else the headers of the files.

A safetensors file starts with 8 bytes, little-endian, that say how long a JSON header is; the header has type and
shape of every tensor. It is read by range requests.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from advisor.errors import ExternalError
from advisor.fetch.http import Http, Reply
from advisor.fetch.json_body import json_object
from advisor.yaml_io import MAX_BYTES

FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_LENGTH_BYTES = 8
_FIRST_BYTES = 2**17
"""Asked for at once; the header of most files is shorter."""
_MOST_FILES = 512
_MOST_ELEMENTS = 10**15
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\.safetensors", re.ASCII)
_DTYPE = re.compile(r"[A-Z][A-Z0-9_]{0,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """Elements of all tensors, and by type where that is known."""

    elements: int
    by_dtype: Mapping[str, int]


def weights_told(about: Mapping[str, object]) -> StoredWeights | None:
    """Return the count in the hub's answer about a model; None where it has none, or no plausible one."""
    told = about.get("safetensors")
    if not isinstance(told, Mapping):
        return None
    total, by_dtype = told.get("total"), told.get("parameters")
    if isinstance(by_dtype, Mapping) and by_dtype:
        if not all(_DTYPE.fullmatch(str(dtype)) and _is_count(count) for dtype, count in by_dtype.items()):
            return None
        return StoredWeights(sum(by_dtype.values()), dict(by_dtype))
    return StoredWeights(total, {}) if isinstance(total, int) and _is_count(total) else None


def weights_in_headers(http: Http, base_url: str, files: Collection[str]) -> StoredWeights | None:
    """Return the count over the headers of a model's files, None where it has no such files.

    Args:
        http: to ask with.
        base_url: of the files, without a slash at the end.
        files: names of all files of the repository.

    Raises:
        ExternalError: a file cannot be read, or is not what its name says.
    """
    if INDEX in files:
        shards = _shards(http, f"{base_url}/{INDEX}")
    elif FILE in files:
        shards = [FILE]
    else:
        return None
    counted: Counter[str] = Counter()
    for shard in shards:
        counted.update(_counted(f"{base_url}/{shard}", _header(http, f"{base_url}/{shard}")))
    return StoredWeights(counted.total(), dict(counted))


def _shards(http: Http, url: str) -> list[str]:
    reply = http.get(url, limit_bytes=MAX_BYTES)
    document = json_object(_found(reply, url).body, url)
    places = document.get("weight_map")
    if not isinstance(places, Mapping) or not places:
        raise ExternalError(f"{url}: names no files")
    shards = sorted({str(place) for place in places.values()})
    if len(shards) > _MOST_FILES or not all(_SHARD.fullmatch(shard) for shard in shards):
        raise ExternalError(f"{url}: names more than {_MOST_FILES} files, or files elsewhere")
    return shards


def _header(http: Http, url: str) -> Mapping[str, object]:
    start = _range(http, url, 0, _FIRST_BYTES)
    if len(start) < _LENGTH_BYTES:
        raise ExternalError(f"{url}: not a safetensors file")
    end = _LENGTH_BYTES + int.from_bytes(start[:_LENGTH_BYTES], "little")
    if not _LENGTH_BYTES < end <= MAX_BYTES:
        raise ExternalError(
            f"{url}: not a safetensors file, or its header is larger than {MAX_BYTES / 2**20:g} MiB"
        )
    rest = _range(http, url, len(start), end) if end > len(start) else b""
    header = (start + rest)[_LENGTH_BYTES:end]
    if len(header) < end - _LENGTH_BYTES:
        raise ExternalError(f"{url}: ends within its header")
    return json_object(header, url)


def _range(http: Http, url: str, start: int, end: int) -> bytes:
    """Return the bytes from ``start`` up to, without, ``end``; fewer where the file ends before."""
    # A packed answer would be a range of packed bytes, in which nothing can be found.
    headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
    reply = _found(http.get(url, headers=headers, limit_bytes=end), url)
    return reply.body[: end - start] if reply.status == 206 else reply.body[start:end]


def _found(reply: Reply, url: str) -> Reply:
    if not reply.found:
        raise ExternalError(f"{url}: the server answered {reply.status}")
    return reply


def _counted(url: str, header: Mapping[str, object]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        dtype = tensor.get("dtype") if isinstance(tensor, Mapping) else None
        shape = tensor.get("shape") if isinstance(tensor, Mapping) else None
        if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype) or not isinstance(shape, list):
            raise ExternalError(f"{url}: a tensor of its header has no type or no shape")
        if len(shape) > 16 or not all(_is_count(size) for size in shape) or not _is_count(math.prod(shape)):
            raise ExternalError(f"{url}: a tensor of its header has an impossible shape")
        counted[dtype] += math.prod(shape)
    return counted


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST_ELEMENTS
