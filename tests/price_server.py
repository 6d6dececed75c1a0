"""A real HTTP server on loopback that answers like the sources of live prices, and misbehaves on demand."""

from __future__ import annotations

import csv
import io
import json
import ssl
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

GPUHUNT_COLUMNS = (
    "instance_name", "location", "price", "cpu", "memory", "gpu_count", "gpu_name", "gpu_memory", "spot", "disk_size",
    "gpu_vendor", "flags", "cpu_arch", "provider_data",
)  # fmt: skip


@dataclass(frozen=True)
class Say:
    """One answer. ``etag`` makes it 304 for whoever has it; ``cut`` announces more than is sent."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    cut: bool = False
    delay_s: float = 0.0
    drip_s: float = 0.0


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


class PriceServer:
    """Answers each path with its list of answers in turn; the last one stays. With a certificate it speaks TLS."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answers: dict[str, list[Say]] = {}
        self.asked: list[Asked] = []
        self._stop = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake belongs to the thread of the request, where a client that refuses does no harm.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._server.server_port}"

    def serve(self, path: str, *answers: Say) -> str:
        self.answers[path] = list(answers)
        return self.url + path

    def paths(self) -> list[str]:
        return [each.path for each in self.asked]

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        self._stop.wait(seconds)

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    owner: PriceServer
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no fault of the server."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the library
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, dict(self.headers.items()), body)
        owner.asked.append(asked)
        answers = owner.answers.get(asked.path) or [Say(b"nothing here", 404)]
        say = answers.pop(0) if len(answers) > 1 else answers[0]
        owner.pause(say.delay_s)
        if say.etag and self.headers.get("If-None-Match") == say.etag:
            self.send_response(304)
            self.send_header("ETag", say.etag)
            self.end_headers()
            return
        self.send_response(say.status)
        for name, value in say.headers.items():
            self.send_header(name, value)
        if say.etag:
            self.send_header("ETag", say.etag)
        self.send_header("Content-Length", str(len(say.body) + (100 if say.cut else 0)))
        self.end_headers()
        if say.drip_s:
            for byte in say.body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                owner.pause(say.drip_s)
        else:
            self.wfile.write(say.body)


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out what the environment of whoever runs the tests says about proxies."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def as_json(document: object) -> Say:
    return Say(json.dumps(document).encode(), headers={"Content-Type": "application/json"})


WEB_PAGE = Say(b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html; charset=utf-8"})


def gpuhunt_row(
    instance: str, price: object, gpu: str, memory: object, count: object = 8, **more: str
) -> dict[str, str]:
    row = dict.fromkeys(GPUHUNT_COLUMNS, "")
    row.update(
        instance_name=instance, location="us-east-1", price=str(price), cpu="96", memory="1152.0", gpu_count=str(count),
        gpu_name=gpu, gpu_memory=str(memory), spot="False", gpu_vendor="nvidia", cpu_arch="x86", provider_data="{}",
    )  # fmt: skip
    row.update(more)
    return row


def as_csv(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def as_zip(member: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    # Of a fixed day: tests are named by what they serve, and every process must name them the same.
    about = zipfile.ZipInfo(member, (2026, 11, 20, 0, 0, 0))
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(about, data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def serve_gpuhunt(
    server: PriceServer,
    provider: str,
    rows: Sequence[Mapping[str, str]],
    version: str = "20261120-7",
    columns: Sequence[str] = GPUHUNT_COLUMNS,
) -> None:
    """Publish a catalog of one provider as dstack does."""
    server.serve(f"/v3/{provider}/version", Say(f"{version}\n".encode()))
    server.serve(
        f"/v3/{provider}/{version}/catalog.zip", Say(as_zip(f"{provider}.csv", as_csv(rows, columns)))
    )


def azure_item(size: str, price: object, region: str = "westeurope", **more: object) -> dict[str, object]:
    return {
        "currencyCode": "USD", "retailPrice": price, "unitPrice": price, "armRegionName": region,
        "effectiveStartDate": "2026-01-01T00:00:00Z", "meterName": size.removeprefix("Standard_").replace("_", " "),
        "productName": "Virtual Machines NC Series", "serviceName": "Virtual Machines", "unitOfMeasure": "1 Hour",
        "type": "Consumption", "armSkuName": size, **more,
    }  # fmt: skip


def vast_offer(
    gpu: str, price: object, memory_mib: int = 24564, count: int = 1, **more: object
) -> dict[str, object]:
    return {
        "id": 1, "cpu_cores": 32, "cpu_cores_effective": 4.0, "cpu_ram": 7859, "disk_space": 100.0, "storage_cost": 0.1,
        "dph_base": price, "geolocation": "Bulgaria, BG", "gpu_name": gpu, "gpu_ram": memory_mib, "num_gpus": count,
        "rentable": True, "rented": False, **more,
    }  # fmt: skip


def runpod_type(
    driver_name: str, shown: str, memory: int, secure: object, community: object = None, bid: object = None
) -> dict[str, object]:
    return {
        "id": driver_name, "displayName": shown, "memoryInGb": memory, "securePrice": secure,
        "communityPrice": community, "lowestPrice": {"minimumBidPrice": bid},
    }  # fmt: skip


def until(condition: object, limit_s: float = 5.0) -> None:
    """Wait for a condition of another thread."""
    end = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.005)
