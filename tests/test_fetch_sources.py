"""Each source of live prices against a server that speaks its format, and against one that no longer does."""

from __future__ import annotations

import datetime
import itertools
import json
import math
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from price_server import (
    GPUHUNT_COLUMNS,
    WEB_PAGE,
    PriceServer,
    Say,
    as_csv,
    as_json,
    as_zip,
    azure_item,
    gpuhunt_row,
    runpod_type,
    serve_gpuhunt,
    vast_offer,
    without_proxies,
)

from advisor.errors import ExternalError, InputError
from advisor.fetch.http import Http
from advisor.fetch.offers import FormatChangedError, Offer, Source, Stamp, Tally, at_most
from advisor.fetch.sources import open_sources

TODAY = datetime.date(2026, 11, 23)


@pytest.fixture(autouse=True)
def _own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


@pytest.fixture
def server() -> Iterator[PriceServer]:
    with PriceServer() as running:
        yield running


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(timeout_s=2, attempts=1) as client:
        yield client


def source(name: str, url: str) -> Source:
    (found,) = open_sources([name], [f"{name}={url}"])
    return found


@dataclass(frozen=True)
class Taken:
    """An answer of which all offers were taken."""

    offers: tuple[Offer, ...]
    stamp: Stamp
    left_out: Tally


def ask(http: Http, name: str, url: str, part: str) -> Taken:
    answer = source(name, url).ask(http, part, Stamp(), TODAY, lambda pages: None)
    assert answer is not None
    return Taken(tuple(answer.offers), answer.stamp, answer.left_out)


def prices(answer: Taken) -> list[tuple[str | None, str | None, int | None, float, bool]]:
    return [(each.instance, each.region, each.count, each.usd_per_hour, each.spot) for each in answer.offers]


def test_sources_are_chosen_by_name_and_may_have_mirrors() -> None:
    assert [each.name for each in open_sources()] == ["gpuhunt", "azure", "vastai", "runpod", "skypilot"]
    chosen = open_sources(["runpod", "gpuhunt"], ["gpuhunt=https://mirror.example.org/v3/"])
    assert [(each.name, each.url) for each in chosen] == [
        ("gpuhunt", "https://mirror.example.org/v3"),
        ("runpod", "https://api.runpod.io/graphql"),
    ]
    for each in open_sources():
        assert each.url.startswith("https://")
        assert each.about.covers
        assert each.about.terms
    with pytest.raises(InputError, match="gpuhunt"):
        open_sources(["gpuhunter"])
    for wrong in ("gpuhunt", "gpuhunt=ftp://x", "nobody=https://x"):
        with pytest.raises(InputError):
            open_sources(mirrors=[wrong])


# gpuhunt


def test_gpuhunt_reads_gpus_of_one_provider(server: PriceServer, http: Http) -> None:
    serve_gpuhunt(
        server,
        "lambdalabs",
        [
            gpuhunt_row("gpu_8x_h100_sxm5", 23.92, "H100", 80.0),
            gpuhunt_row("gpu_8x_h100_sxm5", 10, "H100", 80.0, spot="True", location="us-west-1"),
            gpuhunt_row("cpu_4x", 0.2, "", "", 0),
            gpuhunt_row("v5p-8", 8, "v5p-8", 95, 4, gpu_vendor="google"),
            gpuhunt_row("a3-highgpu-8g", 50, "H100", 80.0, flags="gcp-dws-calendar-mode"),
            gpuhunt_row("broken", 50, "H100", 80.0, "eight"),
            gpuhunt_row("priceless", "call us", "H100", 80.0, 1),
        ],
    )
    answer = ask(http, "gpuhunt", f"{server.url}/v3", "lambda")
    assert prices(answer)[:2] == [
        ("gpu_8x_h100_sxm5", "us-east-1", 8, 23.92, False),
        ("gpu_8x_h100_sxm5", "us-west-1", 8, 10.0, True),
    ]
    assert math.isnan(answer.offers[2].usd_per_hour)
    assert len(answer.offers) == 3
    first = answer.offers[0]
    assert (first.provider, first.names, first.memory_gb, first.date) == (
        "lambda",
        ("H100",),
        80.0,
        "2026-11-20",
    )
    assert answer.left_out.counts == {"the row cannot be read": 1, "capacity that is booked days ahead": 1}
    assert answer.stamp == Stamp(version="20261120-7")


def test_gpuhunt_takes_columns_by_name(server: PriceServer, http: Http) -> None:
    rows = [gpuhunt_row("p5.48xlarge", 55.04, "H100", 80.0)]
    serve_gpuhunt(server, "aws", rows, columns=tuple(reversed(GPUHUNT_COLUMNS)))
    assert prices(ask(http, "gpuhunt", f"{server.url}/v3", "aws")) == [
        ("p5.48xlarge", "us-east-1", 8, 55.04, False)
    ]


def test_gpuhunt_asks_only_for_the_version_where_nothing_is_new(server: PriceServer, http: Http) -> None:
    serve_gpuhunt(server, "aws", [])
    there = source("gpuhunt", f"{server.url}/v3")
    assert there.ask(http, "aws", Stamp(version="20261120-7"), TODAY, lambda pages: None) is None
    assert server.paths() == ["/v3/aws/version"]


@pytest.mark.parametrize("version", ["<html>", "20261399-1", "20261120-1/../../x", "", "20261120"])
def test_gpuhunt_version_that_is_none(server: PriceServer, http: Http, version: str) -> None:
    server.serve("/v3/aws/version", Say(version.encode()))
    with pytest.raises(FormatChangedError, match="version"):
        ask(http, "gpuhunt", f"{server.url}/v3", "aws")
    assert len(server.asked) == 1


ROWS = as_csv([gpuhunt_row("p5.48xlarge", 55.04, "H100", 80.0)], GPUHUNT_COLUMNS)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html></html>", "not a zip"),
        (as_zip("aws.csv", ROWS)[:-30], "not a zip"),
        (as_zip("other.csv", ROWS), "aws.csv"),
        (as_zip("aws.csv", ROWS.replace(b"gpu_name", b"accelerator")), "gpu_name"),
        (as_zip("aws.csv", b""), "no column"),
        (as_zip("aws.csv", ROWS.replace(b"p5.48xlarge", b"\xff\xfe")), "not a zip with a table"),
        (as_zip("aws.csv", ROWS).replace(b"\x08\x00", b"\x0c\x00"), "packed"),
    ],
)
def test_gpuhunt_format_that_changed(server: PriceServer, http: Http, body: bytes, says: str) -> None:
    server.serve("/v3/aws/version", Say(b"20261120-7"))
    server.serve("/v3/aws/20261120-7/catalog.zip", Say(body))
    with pytest.raises(FormatChangedError, match=says):
        ask(http, "gpuhunt", f"{server.url}/v3", "aws")


def test_a_zip_bomb_is_not_unpacked(server: PriceServer, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("advisor.fetch.sources.gpuhunt._LARGEST_TABLE", 2_000_000)
    server.serve("/v3/aws/version", Say(b"20261120-7"))
    bomb = as_zip("aws.csv", ROWS + b"\n" * 20_000_000)
    assert len(bomb) < 50_000
    server.serve("/v3/aws/20261120-7/catalog.zip", Say(bomb))
    with pytest.raises(FormatChangedError, match="larger than"):
        ask(http, "gpuhunt", f"{server.url}/v3", "aws")
    # One that lies about its size gives no more than it states, and the sum of what is read is wrong then.
    size = len(ROWS) + 20_000_000
    lying = bomb.replace(size.to_bytes(4, "little"), len(ROWS).to_bytes(4, "little"))
    assert lying != bomb
    server.serve("/v3/aws/20261120-7/catalog.zip", Say(lying))
    with pytest.raises(FormatChangedError, match="not a zip"):
        ask(http, "gpuhunt", f"{server.url}/v3", "aws")


def test_a_table_is_not_kept_while_its_offers_are_judged(server: PriceServer, http: Http) -> None:
    table = ROWS + ROWS.splitlines(keepends=True)[1] * 60_000
    server.serve("/v3/aws/version", Say(b"20261120-7"))
    server.serve("/v3/aws/20261120-7/catalog.zip", Say(as_zip("aws.csv", table)))
    answer = source("gpuhunt", f"{server.url}/v3").ask(http, "aws", Stamp(), TODAY, lambda pages: None)
    assert answer is not None
    tracemalloc.start()
    count = sum(1 for _ in itertools.islice(answer.offers, 20_000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert most < 2_000_000


@pytest.mark.parametrize("name", ["gpuhunt", "skypilot"])
def test_a_line_of_nothing_but_commas_is_no_row(server: PriceServer, http: Http, name: str) -> None:
    row = b"," * 3_000_000
    server.serve("/v3/oci/version", Say(b"20261120-7"))
    server.serve("/v3/oci/20261120-7/catalog.zip", Say(as_zip("oci.csv", ROWS + row)))
    server.serve("/v8/oci/vms.csv", Say(SKYPILOT + row))
    with pytest.raises(FormatChangedError, match="a line has 3000000 characters"):
        ask(http, name, f"{server.url}/{'v3' if name == 'gpuhunt' else 'v8'}", "oci")


def test_more_offers_than_there_can_be(server: PriceServer, http: Http) -> None:
    serve_gpuhunt(server, "aws", [gpuhunt_row("p5.48xlarge", 55.04, "H100", 80.0)] * 50_001)
    answer = source("gpuhunt", f"{server.url}/v3").ask(http, "aws", Stamp(), TODAY, lambda pages: None)
    assert answer is not None
    with pytest.raises(FormatChangedError, match="gpuhunt: more than 50,000 offers"):
        sum(1 for _ in at_most(answer.offers, "gpuhunt"))


# Azure


def test_azure_follows_its_pages(server: PriceServer, http: Http) -> None:
    server.serve(
        "/api/retail/prices",
        as_json(
            {
                "Items": [
                    azure_item("Standard_ND96asr_v4", 27.197),
                    azure_item("Standard_ND96asr_v4", 13.6, meterName="ND96asr v4 Spot"),
                    azure_item("Standard_ND96asr_v4", 1.0, meterName="ND96asr v4 Low Priority"),
                    azure_item("Standard_ND96asr_v4", 1.0, productName="Virtual Machines ND Series Windows"),
                    azure_item("Standard_ND96asr_v4", 1.0, type="Reservation"),
                    azure_item("Standard_ND96asr_v4", 1.0, effectiveStartDate="2026-12-01T00:00:00Z"),
                    azure_item("Standard_ND96asr_v4", 1.0, currencyCode="EUR"),
                    azure_item("Standard_ND96asr_v4", 1.0, unitOfMeasure="1 Month"),
                ],
                "NextPageLink": f"{server.url}/api/retail/prices/2",
                "Count": 8,
            }
        ),
    )
    server.serve(
        "/api/retail/prices/2",
        as_json({"Items": [azure_item("Standard_NC6s_v3", 3.06, "eastus")], "NextPageLink": None}),
    )
    answer = ask(http, "azure", f"{server.url}/api/retail/prices", "azure")
    assert prices(answer) == [
        ("Standard_ND96asr_v4", "westeurope", None, 27.197, False),
        ("Standard_ND96asr_v4", "westeurope", None, 13.6, True),
        ("Standard_NC6s_v3", "eastus", None, 3.06, False),
    ]
    assert answer.left_out.counts == {"not US dollars an hour": 2}
    assert {each.date for each in answer.offers} == {"2026-11-23"}
    assert "Consumption" in server.asked[0].target


def test_azure_next_page_with_the_port_spelled_out_is_the_same_place() -> None:
    from advisor.fetch.sources.azure import _host

    assert _host("https://prices.azure.com:443/api?x") == _host("https://prices.azure.com/api")
    assert _host("http://prices.azure.com/api") != _host("https://prices.azure.com/api")
    assert _host("https://prices.azure.com.evil.example/api") != _host("https://prices.azure.com/api")
    assert _host("https://[broken") != _host("https://prices.azure.com/api")


@pytest.mark.parametrize(
    "link", ["http://127.0.0.1:9/prices", "https://prices.example.org/", "file:///etc/passwd"]
)
def test_azure_does_not_follow_pages_elsewhere(server: PriceServer, http: Http, link: str) -> None:
    page = {"Items": [azure_item("Standard_NC6s_v3", 3.06)], "NextPageLink": link}
    with pytest.raises(FormatChangedError, match="another address"):
        ask(http, "azure", server.serve("/prices", as_json(page)), "azure")


def test_azure_pages_that_do_not_end(server: PriceServer, http: Http) -> None:
    page = {"Items": [azure_item("Standard_NC6s_v3", 3.06)], "NextPageLink": f"{server.url}/prices"}
    with pytest.raises(FormatChangedError, match="do not end"):
        ask(http, "azure", server.serve("/prices", as_json(page)), "azure")
    assert len(server.asked) == 2


def test_azure_pages_are_limited_together_and_none_is_kept(
    server: PriceServer, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [azure_item("Standard_NC6s_v3", 3.06)] * 200
    for number in range(30):
        page = {"Items": items, "NextPageLink": f"{server.url}/{number + 1}"}
        server.serve(f"/{number}", as_json(page))
    answer = source("azure", f"{server.url}/0").ask(http, "azure", Stamp(), TODAY, lambda pages: None)
    assert answer is not None
    tracemalloc.start()
    count = sum(1 for _ in itertools.islice(answer.offers, 5_000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 5_000
    assert most < 3_000_000
    size = len(server.answers["/0"][0].body)
    monkeypatch.setattr("advisor.fetch.sources.azure._LARGEST_LIST", 5 * size)
    with pytest.raises(FormatChangedError, match="together are larger"):
        ask(http, "azure", f"{server.url}/0", "azure")


# vast.ai


def test_vast_is_the_median_of_machines_alike(server: PriceServer, http: Http) -> None:
    offers = [
        vast_offer("RTX 4090", 0.3, min_bid=0.2),
        vast_offer("RTX 4090", 0.5, 24560),
        vast_offer("RTX 4090", 0.4),
        vast_offer("RTX 4090", 2.0, count=4),
        vast_offer("A100 SXM4", 1.0, 40960),
        vast_offer("A100 SXM4", 1.5, 81251),
        vast_offer("RTX 4090", -1),
        vast_offer("RTX 4090", None),
        vast_offer("RTX 4090", 0.4, count=0),
    ]
    answer = ask(http, "vastai", server.serve("/bundles/", as_json({"offers": offers})), "vast")
    by_name = {(each.names[0], each.memory_gb, each.count, each.spot): each for each in answer.offers}
    single = by_name["RTX 4090", 24.0, 1, False]
    assert single.usd_per_hour == 0.4
    assert single.note == "median of 3 offers, $0.30 to $0.50 a GPU, without storage"
    assert by_name["RTX 4090", 24.0, 1, True].usd_per_hour == 0.2
    assert by_name["RTX 4090", 24.0, 4, False].note == "1 offer, without storage"
    assert by_name["A100 SXM4", 40.0, 1, False].usd_per_hour == 1.0
    assert by_name["A100 SXM4", 79.0, 1, False].usd_per_hour == 1.5
    assert len(by_name) == 5
    assert answer.left_out.counts == {"not a price": 2, "the offer cannot be read": 1}
    assert json.loads(server.asked[0].body)["rentable"] == {"eq": True}


# RunPod


def test_runpod_has_two_clouds_and_bids(server: PriceServer, http: Http) -> None:
    types = [
        runpod_type("NVIDIA GeForce RTX 4090", "RTX 4090", 24, 0.69, 0.34, 0.2),
        runpod_type("NVIDIA H200", "H200 SXM", 141, 3.99, 0, None),
        runpod_type("NVIDIA A30", "A30", 24, None),
    ]
    answer = ask(http, "runpod", server.serve("/graphql", as_json({"data": {"gpuTypes": types}})), "runpod")
    assert prices(answer) == [
        ("RTX 4090 (secure cloud)", None, 1, 0.69, False),
        ("RTX 4090 (community cloud)", None, 1, 0.34, False),
        ("RTX 4090 (lowest bid)", None, 1, 0.2, True),
        ("H200 SXM (secure cloud)", None, 1, 3.99, False),
    ]
    assert answer.offers[0].names == ("NVIDIA GeForce RTX 4090", "RTX 4090")
    assert "gpuTypes" in json.loads(server.asked[0].body)["query"]


# skypilot-catalog

SKYPILOT = b"""\
Region,InstanceType,Price,AcceleratorName,AcceleratorCount,SpotPrice,GpuInfo
CANADA-1,n3-A100x8,10.8,A100-80GB,8.0,5.4,"{'Gpus': [{'Name': 'A100', 'MemoryInfo': {'SizeInMiB': 81920}}]}"
CANADA-1,n3-L40x1,1.0,L40,1.0,,"{""Gpus"": [{""MemoryInfo"": {""SizeInMiB"": 49152}}]}"
CANADA-1,cpu-only,0.1,,,,
CANADA-1,n3-L40x2,2.0,L40,2.0,,__import__('os').abort()
CANADA-1,half,2.0,L40,0.5,,
"""


def test_skypilot_takes_columns_by_name(server: PriceServer, http: Http) -> None:
    server.serve("/v8/hyperstack/vms.csv", Say(SKYPILOT, etag='"a"'))
    answer = ask(http, "skypilot", f"{server.url}/v8", "hyperstack")
    assert prices(answer) == [
        ("n3-A100x8", "CANADA-1", 8, 10.8, False),
        ("n3-A100x8", "CANADA-1", 8, 5.4, True),
        ("n3-L40x1", "CANADA-1", 1, 1.0, False),
        ("n3-L40x2", "CANADA-1", 2, 2.0, False),
    ]
    assert [each.memory_gb for each in answer.offers] == [80.0, 80.0, 48.0, None]
    assert {each.date for each in answer.offers} == {"2026"}
    assert answer.left_out.counts == {"the row cannot be read": 1}
    assert answer.stamp.etag == '"a"'
    there = source("skypilot", f"{server.url}/v8")
    assert there.ask(http, "hyperstack", answer.stamp, TODAY, lambda pages: None) is None


# All of them

PLACES = {
    "gpuhunt": ("/v3", "aws", "/v3/aws/version"),
    "azure": ("/prices", "azure", "/prices"),
    "vastai": ("/bundles", "vast", "/bundles/"),
    "runpod": ("/graphql", "runpod", "/graphql"),
    "skypilot": ("/v8", "oci", "/v8/oci/vms.csv"),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(
    "say",
    [
        WEB_PAGE,
        Say(b""),
        Say(b"[]"),
        Say(b"\xff\xfe\x00"),
        Say(b"{" * 100_000),
        as_json({"Items": [{"sku": 1}], "offers": [{"gpu": 1}], "data": {"gpuTypes": [{"gpu": 1}]}}),
        as_json({"Items": "none", "offers": {}, "data": []}),
        as_json({"errors": [{"message": "Cannot query field"}], "data": None}),
    ],
)
def test_another_format_is_said_and_nothing_else(
    server: PriceServer, http: Http, name: str, say: Say
) -> None:
    base, part, path = PLACES[name]
    server.serve(path, say)
    with pytest.raises(FormatChangedError):
        ask(http, name, server.url + (path if name == "vastai" else base), part)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_names_the_way_out(server: PriceServer, http: Http, name: str, status: int) -> None:
    base, part, path = PLACES[name]
    server.serve(path, Say(b"no", status))
    with pytest.raises(ExternalError, match=str(status)) as error:
        ask(http, name, server.url + (path if name == "vastai" else base), part)
    assert error.value.hint is not None
    assert "--source-url" in error.value.hint


@pytest.mark.parametrize("name", ["azure", "vastai", "runpod"])
def test_json_that_would_fill_the_memory_is_not_built(server: PriceServer, http: Http, name: str) -> None:
    base, part, path = PLACES[name]
    server.serve(path, Say(b'{"Items": [' + b"{}," * 1_000_000 + b"{}]}"))
    tracemalloc.start()
    with pytest.raises(FormatChangedError, match="objects and lists"):
        ask(http, name, server.url + (path if name == "vastai" else base), part)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20_000_000


def test_names_of_a_source_are_cleaned(server: PriceServer, http: Http) -> None:
    nasty = "\x1b[31mRTX\n4090\u202e" + "x" * 500
    gpus = [runpod_type(nasty, nasty, 24, 0.69)]
    (offer,) = ask(http, "runpod", server.serve("/g", as_json({"data": {"gpuTypes": gpus}})), "runpod").offers
    assert isinstance(offer, Offer)
    for text in (*offer.names, offer.instance or ""):
        assert "\x1b" not in text
        assert "\n" not in text
        assert "\u202e" not in text
        assert len(text) < 200
