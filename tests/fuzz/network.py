"""Borders to the network: what servers may answer, handed over without a server."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
import zlib
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

from advisor.errors import AdvisorError
from advisor.fetch import http as fetch_http
from advisor.fetch.http import Http, Reply
from advisor.fetch.hub import Hub
from advisor.fetch.refresh import refresh
from advisor.fetch.sources import open_sources
from advisor.models import hub_subject
from advisor.price_book import load_prices
from advisor.render.prices import render as render_prices
from advisor.render.table import Page
from advisor.workload_file import build_workload

from . import seeds
from .checks import UnsafeError, check_answer, check_csv, check_json, check_text
from .mutations import HOSTILE, Mutator, encoded
from .service import SERVICES, TODAY, own_folder

_LARGEST = 1 << 20


class Answering:
    """Stands where the client stands, and answers each address from a function."""

    def __init__(self, answer: Callable[[str, Mapping[str, str]], Reply]) -> None:
        self._answer = answer

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, **_: object) -> Reply:
        return self._answer(url, headers or {})

    def post_json(self, url: str, document: object, **_: object) -> Reply:
        json.dumps(document)
        return self._answer(url, {})


def _reply(rng: random.Random, body: bytes, mutator: Mutator) -> Reply:
    status = 200 if rng.random() < 0.95 else rng.choice((304, 401, 403, 404, 206))
    etag = rng.choice((None, '"a"', rng.choice(HOSTILE).encode("latin-1", "replace").decode("latin-1")))
    kind = rng.choice(("application/json", "", rng.choice(HOSTILE)))
    return Reply(status, mutator.damaged(body, 0.15), etag, etag, fetch_http.plain(kind))


_GPUHUNT = (
    "instance_name",
    "location",
    "price",
    "cpu",
    "memory",
    "gpu_count",
    "gpu_name",
    "gpu_memory",
    "spot",
    "gpu_vendor",
    "flags",
)
_SKYPILOT = ("InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "SpotPrice", "Region", "GpuInfo")


def _tabular(source: str) -> Any:
    if source == "gpuhunt":
        return [list(_GPUHUNT), ["p5.48xlarge", "us-east-1", "55.04", "192", "2048", "8", "H100", "80.0",
            "False", "nvidia", ""],
                ["g6.xlarge", "us-east-1", "0.8", "4", "16", "1", "L4", "24", "True", "nvidia", "x"]]  # fmt: skip
    return [list(_SKYPILOT), ["n3-A100x8", "A100-80GB", "8.0", "10.8", "5.4", "CANADA-1",
                              "{'Gpus': [{'Name': 'A100', 'MemoryInfo': {'SizeInMiB': 81920}}]}"],
            ["n3-L4x1", "L4", "1.0", "1.0", "", "CANADA-1",
            '{"Gpus": [{"MemoryInfo": {"SizeInMiB": 24576}}]}']]  # fmt: skip


def _document(source: str, url: str) -> Any:
    if source == "azure":
        item = {
            "currencyCode": "USD", "retailPrice": 27.197, "armRegionName": "westeurope",
            "effectiveStartDate": "2026-01-01T00:00:00Z",
            "meterName": "ND96asr v4", "productName": "Virtual Machines ND Series", "unitOfMeasure": "1 Hour",
            "type": "Consumption",
            "armSkuName": "Standard_ND96asr_v4",
        }  # fmt: skip
        return {
            "Items": [item, item | {"armSkuName": "Standard_NC6s_v3", "retailPrice": 3.06}],
            "NextPageLink": None,
            "Count": 2,
        }
    if source == "vastai":
        offer = {
            "gpu_name": "RTX 4090",
            "gpu_ram": 24564,
            "num_gpus": 1,
            "dph_base": 0.4,
            "min_bid": 0.2,
            "rentable": True,
        }
        return {
            "offers": [
                offer,
                offer | {"gpu_name": "A100 SXM4", "gpu_ram": 81251, "dph_base": 1.5},
                offer | {"num_gpus": 4},
            ]
        }
    gpu = {"id": "NVIDIA GeForce RTX 4090", "displayName": "RTX 4090", "memoryInGb": 24, "securePrice": 0.69,
        "communityPrice": 0.34,
           "lowestPrice": {"minimumBidPrice": 0.2}}  # fmt: skip
    return {"data": {"gpuTypes": [gpu, gpu | {"id": "NVIDIA L4", "displayName": "L4", "lowestPrice": None}]}}


def _csv_bytes(rows: Any) -> bytes:
    import csv

    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    for row in rows if isinstance(rows, list) else [rows]:
        try:
            writer.writerow([str(cell) for cell in row] if isinstance(row, list) else [str(row)])
        except csv.Error:
            continue
    return stream.getvalue().encode("utf-8", "replace")


def _zipped(rng: random.Random, member: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    name = (
        member
        if rng.random() < 0.93
        else rng.choice(("../../x.csv", "/etc/x.csv", " ", member.upper(), "x" * 200))
    )
    packing = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(stream, "w", packing) as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def price_case(rng: random.Random, folder: Path) -> str:
    """Refresh one source from what it may answer, and list the prices that are kept."""
    own_folder(folder)
    name = rng.choice(("gpuhunt", "azure", "vastai", "runpod", "skypilot"))
    (source,) = open_sources([name])
    mutator = Mutator(
        rng, (_document(name, ""),) if name in ("azure", "vastai", "runpod") else (_tabular(name),)
    )
    parts = list(source.about.parts.values())

    def answer(url: str, headers: Mapping[str, str]) -> Reply:
        if url.endswith("/version"):
            version = (
                "20261120-7"
                if rng.random() < 0.9
                else rng.choice((*HOSTILE, "20261399-1", "20261120-7/../../x", "\u0662\u0660261120-7"))
            )
            return _reply(
                rng,
                version.encode("utf-8", "replace"),
                Mutator(random.Random(0), ({},)) if rng.random() < 0.9 else mutator,
            )
        if name == "gpuhunt":
            part = next((each for each in parts if f"/{each}/" in url), "aws")
            return _reply(rng, _zipped(rng, f"{part}.csv", _csv_bytes(mutator.document())), mutator)
        if name == "skypilot":
            return _reply(rng, _csv_bytes(mutator.document()), mutator)
        return _reply(rng, encoded(mutator.document(), "json"), mutator)

    advisor = SERVICES.few()
    client: Any = Answering(answer)
    asked = refresh([source], advisor.devices, folder, client, TODAY, lock_wait_s=0.1)
    if rng.random() < 0.3:
        asked = refresh([source], advisor.devices, folder, client, TODAY, lock_wait_s=0.1, force=True)
    check_json(asked.model_dump_json(by_alias=True))
    check_text(render_prices(asked, Page(rng.choice((40, 80, 200)))), "table of a refresh")
    if rng.random() < 0.3:
        from advisor.render.csv import render as render_csv

        check_csv(render_csv(asked))
    book = load_prices(advisor.devices, user_folder=folder, today=TODAY)
    if book.messages:
        raise UnsafeError(f"what was kept cannot be read: {book.messages}")
    return "refused" if asked.all_failed else "answered"


def hub_case(rng: random.Random, folder: Path) -> str:
    """Fetch a model of the hub from what it may answer, use it, and use the copy that is kept."""
    own_folder(folder)
    about, config = Mutator(rng, (seeds.HUB_ABOUT,)), Mutator(rng, seeds.configs())
    with_headers = rng.random() < 0.4
    told = about.document() if rng.random() < 0.6 else dict(seeds.HUB_ABOUT)
    if with_headers and isinstance(told, dict):
        told.pop("safetensors", None)
        if rng.random() < 0.5:
            told["siblings"] = [{"rfilename": "config.json"}, {"rfilename": "model.safetensors.index.json"}]
    header = Mutator(
        rng,
        (
            {
                "__metadata__": {"format": "pt"},
                "w": {"dtype": "BF16", "shape": [4096, 4096], "data_offsets": [0, 8]},
            },
        ),
    )
    index = Mutator(
        rng, ({"metadata": {}, "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}},)
    )

    def answer(url: str, headers: Mapping[str, str]) -> Reply:
        if "/api/models/" in url:
            return _reply(rng, encoded(told, "json"), about)
        if url.endswith("/config.json"):
            return _reply(rng, encoded(config.document(), "json"), config)
        if url.endswith("index.json"):
            return _reply(rng, encoded(index.document(), "json"), index)
        if url.endswith(".safetensors"):
            text = encoded(header.document(), "json")
            length = len(text) if rng.random() < 0.8 else rng.choice((0, 1, 2**20, 2**23, 2**62, 2**64 - 1))
            return _reply(rng, length.to_bytes(8, "little") + text, header)
        return Reply(404, b"", None, None, "")

    client: Any = Answering(answer)
    model = Hub(folder, lambda: client, "https://hub.example", today=TODAY).model("org/name")
    for warning in (model.source, *model.warnings):
        check_text(warning, "a warning")
    again = Hub(folder, None, "https://hub.example", today=TODAY).model("org/name")
    if again.model_copy(update={"warnings": model.warnings}) != model:
        raise UnsafeError("the copy of the hub's answer is another")
    if rng.random() < 0.2:
        kept = folder / "hub" / "org--name" / "model.json"
        kept.write_bytes(about.damaged(kept.read_bytes()))
        try:
            model = Hub(folder, None, "https://hub.example", today=TODAY).model("org/name")
        except AdvisorError as error:
            check_text(str(error), "an error")
            return "refused"
    hub_subject(model)
    advisor = SERVICES.few()
    advisor._hub = lambda name: model
    check_answer(rng, advisor.fetched(model))
    workload = build_workload({"model": {"huggingface": "org/name"}, "data": {"steps": 10}}, "job", None)
    answered = advisor.estimate(workload, gpus=[rng.choice(("rtx-4090", "h100-sxm5-80gb"))])
    check_answer(rng, answered)
    return "answered" if answered.estimates[0].fits else "nothing fits"


def http_case(rng: random.Random, folder: Path) -> str:
    """Fetch one document from a server that says odd things."""
    mutator = Mutator(rng, ({"a": 1},))
    body = rng.choice((b"", b"{}", b"x" * 1000, b"\x00" * 100_000))
    packed = rng.choice(
        (None, None, "gzip", "gzip", "x-gzip", "deflate", "br", "gzip, gzip", rng.choice(HOSTILE))
    )
    if packed and rng.random() < 0.8:
        body = gzip.compress(body) if rng.random() < 0.8 else zlib.compress(body)
        if rng.random() < 0.2:
            body = gzip.compress(b"0" * rng.choice((1 << 20, 1 << 24)))
    body = mutator.damaged(body, 0.3)
    headers: list[tuple[bytes, bytes]] = []
    if packed:
        headers.append((b"Content-Encoding", _header(packed)))
    for name in (
        "ETag",
        "Last-Modified",
        "Retry-After",
        "Content-Type",
        "Content-Length",
        "Location",
        "Set-Cookie",
    ):
        if rng.random() < 0.3:
            value = rng.choice((
                rng.choice(HOSTILE), "1", "-1", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT", "\u00b2",
                    "Thu, 99 Foo 99999 99:99:99 GMT", "0",
                "http://other.example/x", "https://other.example/", "//x", "http://[", "file:///etc/passwd",
                "https://a:b@c/", "9" * 400,
            ))  # fmt: skip
            headers.append((name.encode(), _header(value)))
    status = rng.choice(
        (200, 200, 200, 206, 204, 301, 302, 304, 307, 308, 400, 401, 403, 404, 429, 500, 503, 599, 100, 999)
    )

    def respond(request: httpx.Request) -> httpx.Response:
        if rng.random() < 0.05:
            raise rng.choice(
                (httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError)
            )("\x1b[31mno")
        return httpx.Response(
            status,
            headers=headers,
            stream=_Pieces(body, rng),
            extensions={"reason_phrase": _header(rng.choice(HOSTILE))},
        )

    url = rng.choice(
        (
            "https://host.example/x",
            "http://host.example/x",
            rng.choice(HOSTILE),
            f"https://{rng.choice(HOSTILE)}/x",
        )
    )
    client = fetch_http._client

    def faked(timeout_s: float) -> httpx.AsyncClient:
        # Without the certificates of the machine, which take most of the time that a client costs.
        nobody = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        return httpx.AsyncClient(
            transport=httpx.MockTransport(respond), timeout=timeout_s, follow_redirects=False, cookies=nobody
        )

    fetch_http._client = faked
    try:
        with Http(timeout_s=1.0, attempts=2, wait=lambda _: None, total_s=3.0) as http:
            reply = http.get(url, etag=rng.choice((None, '"a"', rng.choice(HOSTILE))), limit_bytes=_LARGEST)
    finally:
        fetch_http._client = client
    if len(reply.body) > _LARGEST:
        raise UnsafeError(f"{len(reply.body)} bytes of at most {_LARGEST}")
    check_text(reply.content_type, "a content type")
    return "answered"


def _header(value: str) -> bytes:
    return value.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")[:2000]


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes, rng: random.Random) -> None:
        self._body, self._size = body, rng.choice((1000, 1 << 16, 1 << 20))

    async def __aiter__(self) -> Any:
        for start in range(0, len(self._body), self._size):
            yield self._body[start : start + self._size]
