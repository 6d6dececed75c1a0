"""A real HTTP server on loopback that answers like the Hugging Face hub: models, files, ranges, closed repositories."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """What a repository holds; ``about`` is added to what the hub says of it."""

    files: dict[str, bytes] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    """Of the answer about it."""
    files_status: int = 200
    """Of the answer to each file: 401 where it is gated."""


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    path: str
    headers: Mapping[str, str]


class HubServer:
    """A hub; as a context manager.

    Args:
        ranges: whether range requests are honoured.
        files_at: another server that files are redirected to.
    """

    def __init__(self, *, ranges: bool = True, files_at: str | None = None) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[Asked] = []
        self.ranges = ranges
        self.files_at = files_at
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: HubServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        hub.asked.append(Asked(path, dict(self.headers.items())))
        told = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40}|[^/]+)/(.+)", path)
        if told:
            self._tell(hub.repositories.get(told.group(1)), told.group(1), told.group(2))
        elif file:
            self._send_file(hub, hub.repositories.get(file.group(1)), file.group(3))
        else:
            self._send(404, b"")

    def _tell(self, repository: Repository | None, name: str, revision: str | None) -> None:
        if repository is None or revision == "gone":
            self._send(404, b'{"error":"Repository not found"}')
            return
        about = {
            "id": name,
            "sha": COMMIT,
            "siblings": [{"rfilename": file} for file in repository.files],
            **repository.about,
        }
        body = json.dumps(about).encode()
        etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
        if repository.status == 200 and self.headers.get("If-None-Match") == etag:
            self._send(304, b"", {"ETag": etag})
        else:
            self._send(repository.status, body, {"ETag": etag})

    def _send_file(self, hub: HubServer, repository: Repository | None, name: str) -> None:
        if repository is not None and repository.files_status != 200:
            self._send(repository.files_status, b"Access to this model is restricted")
        elif repository is None or name not in repository.files:
            self._send(404, b"Entry not found")
        elif hub.files_at is not None:
            self._send(302, b"", {"Location": f"{hub.files_at}{self.path}"})
        else:
            self._send_range(hub, repository.files[name])

    def _send_range(self, hub: HubServer, body: bytes) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None or not hub.ranges:
            self._send(200, body)
            return
        first, last = int(wanted.group(1)), min(int(wanted.group(2)), len(body) - 1)
        if first >= len(body):
            self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        else:
            place = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
            self._send(206, body[first : last + 1], place)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def safetensors(tensors: Mapping[str, tuple[str, tuple[int, ...]]], *, header_bytes: int = 0) -> bytes:
    """Return a file as the format says, its data left out after 64 bytes; the header padded to a length."""
    sizes = {"F32": 4, "BF16": 2, "I32": 4}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, (dtype, shape) in tensors.items():
        end = place + sizes[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode().ljust(header_bytes)
    return struct.pack("<Q", len(text)) + text + bytes(min(place, 64))
