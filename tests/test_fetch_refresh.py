"""Refreshing prices: what changed, what stays when a source fails, and that nothing is ever half written."""

from __future__ import annotations

import dataclasses
import datetime
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from price_server import (
    WEB_PAGE,
    PriceServer,
    Say,
    as_json,
    azure_item,
    gpuhunt_row,
    runpod_type,
    serve_gpuhunt,
    until,
    vast_offer,
    without_proxies,
)

from advisor.catalog import shipped_devices
from advisor.errors import ExternalError
from advisor.fetch.about import load_sources
from advisor.fetch.documents import RefreshAnswer, SourceDocument
from advisor.fetch.history import history
from advisor.fetch.http import Http
from advisor.fetch.names import Names
from advisor.fetch.offers import Offer, Source, clean
from advisor.fetch.records import LastGood, believe, key
from advisor.fetch.refresh import refresh
from advisor.fetch.sources import open_sources
from advisor.fetch.store import Store
from advisor.prices import PriceRecord, parse_prices

TODAY = datetime.date(2026, 11, 23)
NOON = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
GPUS = shipped_devices()
SIZES = ("Standard_NC6s_v3", "Standard_NC24ads_A100_v4", "Standard_NC4as_T4_v3", "Standard_NC16as_T4_v3")
REGIONS = ("westeurope", "eastus", "uksouth", "japaneast")


@pytest.fixture(autouse=True)
def _own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


@pytest.fixture
def server() -> Iterator[PriceServer]:
    with PriceServer() as running:
        yield running


def sources(server: PriceServer, *names: str) -> tuple[Source, ...]:
    mirrors = {
        "gpuhunt": "/v3",
        "azure": "/azure",
        "vastai": "/bundles/",
        "runpod": "/graphql",
        "skypilot": "/v8",
    }
    return open_sources(names, [f"{name}={server.url}{mirrors[name]}" for name in names])


def run(
    chosen: Sequence[Source], folder: Path, days: float = 0, *, attempts: int = 1, **more: object
) -> RefreshAnswer:
    """Refresh so many days after noon of the first day."""
    now = NOON + datetime.timedelta(days=days)
    with Http(timeout_s=2, attempts=attempts, wait=lambda pause_s: None) as http:
        return refresh(chosen, GPUS, folder, http, now.date(), now=now, **more)  # type: ignore[arg-type]


def live(folder: Path, source: str) -> dict[tuple[str | None, str | None, str], PriceRecord]:
    path = folder / "prices" / "live" / f"{source}.csv"
    records = parse_prices(path.read_text(encoding="utf-8"), path.name, IDS)
    return {(record.instance, record.region, record.kind): record for record in records}


def serve_azure(server: PriceServer, prices: dict[tuple[str, str], object]) -> None:
    items = [azure_item(size, price, region) for (size, region), price in prices.items()]
    server.serve("/azure", as_json({"Items": items, "NextPageLink": None}))


def full(price: float = 3.0) -> dict[tuple[str, str], object]:
    return {(size, region): price for size in SIZES for region in REGIONS}


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()
    }


def test_prices_become_the_last_good_copy(server: PriceServer, tmp_path: Path) -> None:
    serve_azure(server, {("Standard_NC24s_v3", "eastus"): 12.24, ("Standard_NC4as_T4_v3", "eastus"): 0.526})
    answer = run(sources(server, "azure"), tmp_path)
    (document,) = answer.sources
    assert (document.status, document.records, document.new, document.gone) == ("updated", 2, 2, 0)
    assert (answer.ok, answer.failed, answer.all_failed, answer.changes) == (1, 0, False, ())
    record = live(tmp_path, "azure")["Standard_NC24s_v3", "eastus", "cloud_on_demand"]
    assert record == PriceRecord(
        gpu_id="v100-pcie-16gb",
        kind="cloud_on_demand",
        provider="azure",
        region="eastus",
        instance="Standard_NC24s_v3",
        gpus_per_instance=4,
        price_usd=3.06,
        date="2026-11-23",
        source="azure",
    )
    same = (tmp_path / "prices" / "history" / "azure" / "2026-11-23.csv").read_bytes()
    assert same == (tmp_path / "prices" / "live" / "azure.csv").read_bytes()
    json.loads(answer.model_dump_json())


def test_what_changed_is_counted_and_the_largest_moves_are_named(server: PriceServer, tmp_path: Path) -> None:
    chosen = sources(server, "azure")
    serve_azure(server, full())
    run(chosen, tmp_path)
    new = full()
    for region in REGIONS[:3]:
        new["Standard_NC6s_v3", region] = 4.5
    new["Standard_NC6s_v3", "uksouth"] = 6.0
    new["Standard_NC4as_T4_v3", "eastus"] = 2.7
    new["Standard_NC4as_T4_v3", "uksouth"] = 3.0001
    del new["Standard_NC16as_T4_v3", "japaneast"]
    new["Standard_NV36ads_A10_v5", "eastus"] = 3.2
    serve_azure(server, new)
    answer = run(chosen, tmp_path, 1)
    (document,) = answer.sources
    assert (document.new, document.gone, document.dearer, document.cheaper) == (1, 1, 3, 1)
    first, second = answer.changes
    assert (first.gpu_id, first.instance, first.region, first.regions) == (
        "v100-pcie-16gb",
        "Standard_NC6s_v3",
        "uksouth",
        3,
    )
    assert (first.before_usd, first.after_usd) == (3.0, 6.0)
    assert (second.gpu_id, second.after_usd) == ("t4", 2.7)


def test_a_source_that_was_asked_lately_is_not_asked_again(server: PriceServer, tmp_path: Path) -> None:
    chosen = sources(server, "azure")
    serve_azure(server, full())
    run(chosen, tmp_path)
    answer = run(chosen, tmp_path, 0.03)
    assert (answer.sources[0].status, answer.sources[0].records, len(server.asked)) == ("recent", 16, 1)
    assert run(chosen, tmp_path, 0.03, force=True).sources[0].status == "updated"
    assert run(chosen, tmp_path, 0.1).sources[0].status == "updated"
    # A clock that was set back does not make a copy recent for ever.
    assert run(chosen, tmp_path, -1).sources[0].status == "updated"
    assert run(sources(server, "azure"), tmp_path, -1).sources[0].status == "recent"


def test_another_address_is_asked_at_once(server: PriceServer, tmp_path: Path) -> None:
    serve_azure(server, full())
    run(sources(server, "azure"), tmp_path)
    server.serve("/other", *server.answers["/azure"])
    other = open_sources(["azure"], [f"azure={server.url}/other"])
    assert run(other, tmp_path, 0.01).sources[0].status == "updated"


def test_unchanged_counts_as_checked(server: PriceServer, tmp_path: Path) -> None:
    chosen = sources(server, "skypilot")
    table = b"InstanceType,AcceleratorName,AcceleratorCount,Price,Region\nBM.GPU.L40S.4,L40S,4,14,all\n"
    for cloud in chosen[0].about.parts.values():
        server.serve(f"/v8/{cloud}/vms.csv", Say(table.replace(b"BM.GPU.L40S.4", b"x"), etag='"1"'))
    first = run(chosen, tmp_path)
    before = files(tmp_path)
    second = run(chosen, tmp_path, 2)
    assert (first.sources[0].status, second.sources[0].status) == ("updated", "unchanged")
    assert (second.ok, second.sources[0].records) == (1, 6)
    assert second.sources[0].message == "not changed since 2026-11-23"
    assert second.sources[0].checked == "2026-11-25"
    after = files(tmp_path)
    assert {name for name in after if after[name] != before.get(name)} == {
        str(Path("prices/state/skypilot.json"))
    }
    assert server.asked[-1].headers["If-None-Match"] == '"1"'


def test_a_copy_that_was_lost_is_fetched_again_in_full(server: PriceServer, tmp_path: Path) -> None:
    chosen = sources(server, "gpuhunt")
    for there in chosen[0].about.parts.values():
        serve_gpuhunt(server, there, [gpuhunt_row("x", 8, "RTX4090", 24)])
    run(chosen, tmp_path)
    path = tmp_path / "prices" / "live" / "gpuhunt.csv"
    path.write_text("gpu_id,kind\nbroken", encoding="utf-8")
    answer = run(chosen, tmp_path, 1)
    assert (answer.sources[0].status, answer.sources[0].records) == ("updated", 9)
    (tmp_path / "prices" / "state" / "gpuhunt.json").write_text("{broken", encoding="utf-8")
    assert run(chosen, tmp_path, 2).sources[0].records == 9


FAULTS = {
    "refused": Say(b"", 403),
    "gone": Say(b"", 404),
    "broken": Say(b"", 500),
    "busy": Say(b"", 429),
    "cut": Say(b"{", cut=True),
    "page": WEB_PAGE,
    "columns": as_json({"Items": [{"sku": "Standard_NC6s_v3", "price": 3}]}),
    "empty": as_json({"Items": []}),
    "shrunk": as_json({"Items": [azure_item("Standard_NC6s_v3", 3.0)]}),
    "silly": as_json(
        {"Items": [azure_item("Standard_NC6s_v3", price) for price in (-1, 0, "NaN", "free", 1e9, None)]}
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_goes_wrong_the_last_good_copy_stays(
    server: PriceServer, tmp_path: Path, fault: str
) -> None:
    chosen = sources(server, "azure")
    serve_azure(server, full())
    run(chosen, tmp_path)
    before = files(tmp_path)
    server.serve("/azure", FAULTS[fault])
    answer = run(chosen, tmp_path, 1, attempts=2)
    (document,) = answer.sources
    assert (document.status, document.records, document.prices_as_of) == ("failed", 16, "2026-11-23")
    assert document.message is not None
    assert document.message.startswith("azure: ")
    assert "the last good copy stays" in document.message
    assert answer.all_failed
    assert files(tmp_path) == before


def test_offline_at_first_leaves_nothing(tmp_path: Path) -> None:
    with PriceServer() as gone:
        chosen = sources(gone, "azure", "runpod")
    answer = run(chosen, tmp_path)
    assert (answer.ok, answer.failed, answer.all_failed) == (0, 2, True)
    assert all("not reached" in (each.message or "") for each in answer.sources)
    assert not (tmp_path / "prices" / "live").exists()


def test_a_server_that_is_away_is_asked_once_and_not_for_every_part(
    server: PriceServer, tmp_path: Path
) -> None:
    chosen = sources(server, "gpuhunt")
    for there in chosen[0].about.parts.values():
        serve_gpuhunt(server, there, [gpuhunt_row("x", 8, "RTX4090", 24)])
    run(chosen, tmp_path)
    before = files(tmp_path)
    server.__exit__()
    (document,) = run(chosen, tmp_path, 1).sources
    assert (document.status, document.records) == ("failed", 9)
    assert (document.message or "").count("not reached") == 1
    assert files(tmp_path) == before


def test_a_server_that_goes_away_midway_keeps_the_prices_of_the_parts_that_wait(
    server: PriceServer, tmp_path: Path
) -> None:
    chosen = sources(server, "gpuhunt")
    for there in chosen[0].about.parts.values():
        serve_gpuhunt(server, there, [gpuhunt_row("x", 8, "RTX4090", 24)])
    run(chosen, tmp_path)
    serve_gpuhunt(server, "aws", [gpuhunt_row("x", 16, "RTX4090", 24)], "20261121-1")
    with PriceServer() as gone:
        server.serve("/v3/azure/version", Say(b"", 302, headers={"Location": gone.url}))
    (document,) = run(chosen, tmp_path, 1).sources
    assert (document.status, document.records, document.dearer, document.gone) == ("updated", 9, 1, 0)
    assert "not reached" in (document.message or "")
    assert server.paths()[-1] == "/v3/azure/version"


def test_an_answer_without_prices_is_no_first_copy(server: PriceServer, tmp_path: Path) -> None:
    server.serve("/azure", FAULTS["empty"])
    (document,) = run(sources(server, "azure"), tmp_path).sources
    assert (document.status, document.message) == (
        "failed",
        "azure: the answer holds no price of a known GPU",
    )
    assert not (tmp_path / "prices" / "live").exists()


def test_another_catalog_reads_the_same_answer_again(server: PriceServer, tmp_path: Path) -> None:
    chosen = sources(server, "azure")
    serve_azure(server, full())
    with Http(timeout_s=2) as http:
        fewer = [device for device in GPUS if device.id != "t4"]
        assert refresh(chosen, fewer, tmp_path, http, TODAY, now=NOON).sources[0].records == 8
    assert run(chosen, tmp_path, 0.01).sources[0].records == 16


def test_of_two_prices_of_one_offer_the_cheaper_counts(server: PriceServer, tmp_path: Path) -> None:
    items = [azure_item("Standard_NC6s_v3", price) for price in (3.5, 3.0, 4.0)]
    server.serve("/azure", as_json({"Items": items}))
    run(sources(server, "azure"), tmp_path)
    (record,) = live(tmp_path, "azure").values()
    assert record.price_usd == 3.0


def test_a_disk_that_fails_leaves_the_copy_whole(
    server: PriceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = sources(server, "azure")
    serve_azure(server, full())
    run(chosen, tmp_path)
    before = files(tmp_path)
    serve_azure(server, full(4.0))

    def fail(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(ExternalError, match="No space left"):
            run(chosen, tmp_path, 1)
    assert files(tmp_path) == before
    assert run(chosen, tmp_path, 1, lock_wait_s=0).sources[0].dearer == 16


def test_one_source_that_fails_does_not_hold_up_the_others(server: PriceServer, tmp_path: Path) -> None:
    server.serve("/azure", WEB_PAGE)
    server.serve("/graphql", as_json({"data": {"gpuTypes": [runpod_type("NVIDIA L40S", "L40S", 48, 0.86)]}}))
    server.serve(
        "/bundles/", as_json({"offers": [vast_offer("RTX 4090", 0.35), vast_offer("RTX 9090", 0.35)]})
    )
    answer = run(sources(server, "azure", "vastai", "runpod"), tmp_path)
    assert [each.status for each in answer.sources] == ["failed", "updated", "updated"]
    assert (answer.ok, answer.failed, answer.all_failed) == (2, 1, False)
    assert answer.sources[1].unknown_names == ("RTX 9090 24 GB (vast)",)
    assert live(tmp_path, "runpod")["L40S (secure cloud)", None, "cloud_on_demand"].gpu_id == "l40s"
    assert live(tmp_path, "vastai")[None, None, "cloud_on_demand"].note == "1 offer, without storage"


def test_a_part_that_fails_keeps_its_prices_and_is_asked_again_soon(
    server: PriceServer, tmp_path: Path
) -> None:
    chosen = sources(server, "gpuhunt")
    for there in chosen[0].about.parts.values():
        serve_gpuhunt(server, there, [gpuhunt_row("x", 8, "RTX4090", 24)])
    run(chosen, tmp_path)
    serve_gpuhunt(server, "aws", [gpuhunt_row("g6.xlarge", 0.8, "L4", 24, 1)], "20261121-1")
    server.serve("/v3/gcp/version", WEB_PAGE)
    (document,) = run(chosen, tmp_path, 1).sources
    assert (document.status, document.records, document.new, document.gone) == ("updated", 9, 1, 1)
    assert (document.message or "").startswith("gcp: the version")
    records = live(tmp_path, "gpuhunt")
    assert records["g6.xlarge", "us-east-1", "cloud_on_demand"].date == "2026-11-21"
    serve_gpuhunt(server, "gcp", [gpuhunt_row("g2-standard-4", 0.7, "L4", 24, 1)], "20261122-1")
    (document,) = run(chosen, tmp_path, 1.01).sources
    assert (document.status, document.message, document.new) == ("updated", None, 1)
    assert run(chosen, tmp_path, 1.02).sources[0].status == "recent"


def test_a_jump_is_not_believed_until_the_last_good_price_is_old(server: PriceServer, tmp_path: Path) -> None:
    chosen = sources(server, "azure")
    serve_azure(server, full(1.0))
    run(chosen, tmp_path)
    jumped = full(1.1)
    jumped["Standard_NC6s_v3", "eastus"] = 0.01
    jumped["Standard_NC6s_v3", "uksouth"] = 19.0
    serve_azure(server, jumped)
    (document,) = run(chosen, tmp_path, 1).sources
    records = live(tmp_path, "azure")
    kept = records["Standard_NC6s_v3", "eastus", "cloud_on_demand"]
    assert (kept.price_usd, kept.date) == (1.0, "2026-11-23")
    assert records["Standard_NC6s_v3", "uksouth", "cloud_on_demand"].price_usd == 19.0
    (left_out,) = document.left_out
    assert (left_out.count, "factor of 20" in left_out.reason) == (1, True)
    assert "$1.00 to $0.01" in left_out.example
    run(chosen, tmp_path, 20)
    assert live(tmp_path, "azure")["Standard_NC6s_v3", "eastus", "cloud_on_demand"].price_usd == 1.0
    run(chosen, tmp_path, 40)
    assert live(tmp_path, "azure")["Standard_NC6s_v3", "eastus", "cloud_on_demand"].price_usd == 0.01


TABLE = "InstanceType,AcceleratorName,AcceleratorCount,Price,Region\nBM.GPU.L40S.4,L40S,4,{},all\n"


def serve_skypilot(server: PriceServer, chosen: Sequence[Source], price: float, etag: str) -> None:
    for cloud in chosen[0].about.parts.values():
        server.serve(f"/v8/{cloud}/vms.csv", Say(TABLE.format(price).encode(), etag=etag))


def l40s(folder: Path) -> float:
    return live(folder, "skypilot")["BM.GPU.L40S.4", "all", "cloud_on_demand"].price_usd


def test_a_jump_is_not_believed_where_rows_are_dated_by_year(server: PriceServer, tmp_path: Path) -> None:
    chosen = sources(server, "skypilot")
    serve_skypilot(server, chosen, 8, '"1"')
    run(chosen, tmp_path)
    assert run(chosen, tmp_path, 60).sources[0].status == "unchanged"
    serve_skypilot(server, chosen, 0.08, '"2"')
    # The answer on day 60 said that the price still holds.
    for day in (61, 62, 80, 90):
        (document,) = run(chosen, tmp_path, day).sources
        assert l40s(tmp_path) == 2.0
        if day == 61:
            assert any("factor of 20" in each.reason for each in document.left_out)
    serve_skypilot(server, chosen, 0.08, '"3"')
    assert run(chosen, tmp_path, 91).sources[0].status == "updated"
    assert l40s(tmp_path) == 0.02


def test_a_price_that_stayed_does_not_stay_for_ever_by_being_written_again(
    server: PriceServer, tmp_path: Path
) -> None:
    chosen = sources(server, "skypilot")
    serve_skypilot(server, chosen, 8, '"1"')
    run(chosen, tmp_path)
    for day in range(2, 32, 2):
        serve_skypilot(server, chosen, 0.08, f'"{day}"')
        run(chosen, tmp_path, day)
        assert l40s(tmp_path) == 2.0
    # Of a price that is confirmed in between, the days count from then.
    serve_skypilot(server, chosen, 8, '"31"')
    run(chosen, tmp_path, 31)
    serve_skypilot(server, chosen, 0.08, '"50"')
    run(chosen, tmp_path, 50)
    assert l40s(tmp_path) == 2.0
    serve_skypilot(server, chosen, 0.08, '"62"')
    run(chosen, tmp_path, 62)
    assert l40s(tmp_path) == 0.02


def test_a_newer_version_of_this_program_remembers_when_a_price_was_asked(
    server: PriceServer, tmp_path: Path
) -> None:
    chosen = sources(server, "skypilot")
    serve_skypilot(server, chosen, 8, '"1"')
    run(chosen, tmp_path)
    state = tmp_path / "prices" / "state" / "skypilot.json"
    older = json.loads(state.read_text(encoding="utf-8")) | {"digest": "of another version"}
    for part in older["parts"].values():
        del part["held"]
    state.write_text(json.dumps(older), encoding="utf-8")
    serve_skypilot(server, chosen, 0.08, '"1"')
    assert run(chosen, tmp_path, 10).sources[0].status == "updated"
    assert l40s(tmp_path) == 2.0


def test_a_table_that_nobody_would_read_is_not_written(
    server: PriceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = sources(server, "azure")
    serve_azure(server, full())
    run(chosen, tmp_path)
    before = files(tmp_path)
    monkeypatch.setattr("advisor.fetch.store.LARGEST_LIVE_BYTES", 1500)
    serve_azure(server, full(4.0) | {("Standard_NV36ads_A10_v5", region): 1.0 for region in REGIONS})
    (document,) = run(chosen, tmp_path, 1).sources
    assert document.status == "failed"
    assert "a table of its prices is larger than" in (document.message or "")
    assert "the last good copy stays" in (document.message or "")
    assert files(tmp_path) == before


def test_more_offers_than_there_can_be_change_nothing(
    server: PriceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("advisor.fetch.offers._MOST_OFFERS", 16)
    chosen = sources(server, "azure")
    serve_azure(server, full())
    run(chosen, tmp_path)
    before = files(tmp_path)
    serve_azure(server, full(4.0) | {("Standard_NV36ads_A10_v5", "eastus"): 1.0})
    (document,) = run(chosen, tmp_path, 1).sources
    assert document.status == "failed"
    assert "more than 16 offers" in (document.message or "")
    assert files(tmp_path) == before


def test_a_source_may_shrink_after_a_month(server: PriceServer, tmp_path: Path) -> None:
    chosen = sources(server, "azure")
    serve_azure(server, full())
    run(chosen, tmp_path)
    server.serve("/azure", FAULTS["shrunk"])
    assert "only 1 prices where 16 were" in (run(chosen, tmp_path, 20).sources[0].message or "")
    assert run(chosen, tmp_path, 40).sources[0].records == 1


def test_wrong_prices_are_left_out_and_the_others_stay(server: PriceServer, tmp_path: Path) -> None:
    prices = full()
    for region, wrong in zip(REGIONS, (-3, "NaN", "free", 1e9), strict=True):
        prices["Standard_NC6s_v3", region] = wrong
    serve_azure(server, prices)
    (document,) = run(sources(server, "azure"), tmp_path).sources
    assert (document.status, document.records) == ("updated", 12)
    (left_out,) = document.left_out
    assert (left_out.count, "plausible" in left_out.reason) == (4, True)


def test_shares_and_unknown_sizes_are_reported(server: PriceServer, tmp_path: Path) -> None:
    serve_azure(
        server,
        {
            **full(),
            ("Standard_NV6ads_A10_v5", "eastus"): 0.45,
            ("Standard_NX9_v9", "eastus"): 1,
            ("Standard_NX9_v9", "uk"): 1,
        },
    )
    (document,) = run(sources(server, "azure"), tmp_path).sources
    assert document.unknown_names == ("Standard_NX9_v9 (azure)",)
    assert [(each.reason, each.count, each.example) for each in document.left_out] == [
        ("a share of a GPU", 1, "azure Standard_NV6ads_A10_v5"),
        ("the name is not known", 2, "Standard_NX9_v9 (azure)"),
    ]


def test_names_beyond_those_that_are_listed_are_counted(server: PriceServer, tmp_path: Path) -> None:
    unknown: dict[tuple[str, str], object] = {(f"Standard_NX{number}", "eastus"): 1 for number in range(70)}
    serve_azure(server, {**full(), **unknown, ("Standard_NX7", "uk"): 1})
    (document,) = run(sources(server, "azure"), tmp_path).sources
    assert len(document.unknown_names) == 50
    assert [(each.reason, each.count, each.example) for each in document.left_out] == [
        ("the name is not known", 71, "Standard_NX7 (azure)")
    ]


def test_two_at_once_ask_once(server: PriceServer, tmp_path: Path) -> None:
    serve_azure(server, full())
    server.answers["/azure"] = [dataclasses.replace(server.answers["/azure"][0], delay_s=0.2)]
    answers: list[RefreshAnswer] = []
    both = [
        threading.Thread(target=lambda: answers.append(run(sources(server, "azure"), tmp_path)))
        for _ in range(2)
    ]
    for each in both:
        each.start()
    for each in both:
        each.join(10)
    assert sorted(answer.sources[0].status for answer in answers) == ["recent", "updated"]
    assert len(server.asked) == 1


def test_a_refresh_that_goes_on_is_said_to_who_will_not_wait(server: PriceServer, tmp_path: Path) -> None:
    with Store(tmp_path).locked(0), pytest.raises(ExternalError, match="another process"):
        run(sources(server, "azure"), tmp_path, lock_wait_s=0)
    assert server.asked == []


def test_a_folder_that_cannot_be_written_is_said(server: PriceServer, tmp_path: Path) -> None:
    serve_azure(server, full())
    (tmp_path / "prices").write_text("a file", encoding="utf-8")
    with pytest.raises(ExternalError, match="cannot be written"):
        run(sources(server, "azure"), tmp_path)


class Watcher:
    """Notes what it is told, and stops the refresh at a chosen source."""

    def __init__(self, stop_at: str = "") -> None:
        self.told: list[tuple[object, ...]] = []
        self.stop_at = stop_at
        self.stopped = threading.Event()

    def started(self, source: str) -> None:
        self.told.append(("started", source))
        if source == self.stop_at:
            self.stopped.set()

    def advanced(self, source: str, done: int, total: int | None) -> None:
        self.told.append(("advanced", source, done, total))

    def finished(self, document: SourceDocument) -> None:
        self.told.append(("finished", document.name, document.status))


def test_progress_is_told(server: PriceServer, tmp_path: Path) -> None:
    serve_azure(server, full())
    chosen = sources(server, "gpuhunt", "azure")
    for there in chosen[0].about.parts.values():
        serve_gpuhunt(server, there, [gpuhunt_row("x", 8, "RTX4090", 24)])
    watcher = Watcher()
    run(chosen, tmp_path, progress=watcher)
    assert watcher.told[0] == ("started", "gpuhunt")
    assert watcher.told[1:10] == [("advanced", "gpuhunt", done, 9) for done in range(9)]
    assert watcher.told[10:] == [
        ("finished", "gpuhunt", "updated"),
        ("started", "azure"),
        ("advanced", "azure", 1, None),
        ("finished", "azure", "updated"),
    ]


def test_stopping_keeps_what_is_done(server: PriceServer, tmp_path: Path) -> None:
    serve_azure(server, full())
    server.serve("/graphql", as_json({"data": {"gpuTypes": [runpod_type("NVIDIA L40S", "L40S", 48, 0.86)]}}))
    watcher = Watcher(stop_at="runpod")
    answer = run(
        sources(server, "azure", "runpod"), tmp_path, progress=watcher, cancelled=watcher.stopped.is_set
    )
    assert [each.name for each in answer.sources] == ["azure"]
    assert answer.warnings == ("stopped; not finished: runpod",)
    assert set(files(tmp_path / "prices" / "live")) == {"azure.csv"}


def test_control_c_leaves_everything_whole(server: PriceServer, tmp_path: Path) -> None:
    chosen = sources(server, "azure", "runpod")
    serve_azure(server, full())

    class Impatient(Watcher):
        def started(self, source: str) -> None:
            if source == "runpod":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(chosen, tmp_path, progress=Impatient())
    assert len(live(tmp_path, "azure")) == 16
    # The lock is free again.
    assert run(chosen[:1], tmp_path, 0.01, lock_wait_s=0).sources[0].status == "recent"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signal to one process")
def test_control_c_ends_a_request_that_hangs(server: PriceServer, tmp_path: Path) -> None:
    serve_azure(server, full())
    server.serve("/graphql", Say(b"{}", delay_s=60))
    code = f"""
import datetime
from pathlib import Path
from advisor.catalog import shipped_devices
from advisor.fetch.http import Http
from advisor.fetch.refresh import refresh
from advisor.fetch.sources import open_sources
chosen = open_sources(["azure", "runpod"], ["azure={server.url}/azure", "runpod={server.url}/graphql"])
with Http(timeout_s=50) as http:
    try:
        refresh(chosen, shipped_devices(), Path({str(tmp_path)!r}), http, datetime.date(2026, 11, 23))
    except KeyboardInterrupt:
        print("interrupted")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
        # A shell that runs the tests in the background makes its children ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    until(lambda: "/graphql" in server.paths(), 15)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=15)
    assert output.strip() == "interrupted"
    assert len(live(tmp_path, "azure")) == 16
    assert not [name for name in files(tmp_path) if name.endswith(".tmp")]


def test_history_keeps_a_month_of_days_and_then_the_first_of_each_month(
    server: PriceServer, tmp_path: Path
) -> None:
    chosen = sources(server, "runpod")
    for day in range(0, 100, 3):
        price = 1.0 + day / 100
        gpus = [runpod_type("NVIDIA L40S", "L40S", 48, price, price / 2, 0.2)]
        server.serve("/graphql", as_json({"data": {"gpuTypes": gpus}}))
        run(chosen, tmp_path, day)
    kept = sorted(path.stem for path in (tmp_path / "prices" / "history" / "runpod").iterdir())
    last = NOON.date() + datetime.timedelta(days=99)
    recent = [day for day in kept if (last - datetime.date.fromisoformat(day)).days <= 31]
    assert len(recent) == 11
    older = [day[:7] for day in kept if day not in recent]
    assert older == ["2026-11", "2026-12", "2027-01"]
    points = [point for point in history("l40s", tmp_path) if point.kind == "cloud_on_demand"]
    assert [point.day for point in points] == kept
    assert points[0].median_usd == pytest.approx(0.5)
    assert points[-1].median_usd == pytest.approx(1.99 / 2)
    assert {point.kind for point in history("l40s", tmp_path)} == {"cloud_on_demand", "cloud_spot"}
    assert history("h20-96gb", tmp_path) == ()


def test_history_is_over_providers_of_all_sources(tmp_path: Path) -> None:
    head = "gpu_id,kind,provider,region,instance,gpus_per_instance,price_usd,date,source,note"
    copies = {
        "a/2026-11-01": ["l40s,cloud_on_demand,aws,r1,x,1,1.0", "l40s,cloud_on_demand,aws,r2,x,1,3.0"],
        "a/2026-11-10": ["l40s,cloud_on_demand,aws,r1,x,1,2.0"],
        "b/2026-11-05": ["l40s,cloud_on_demand,oci,,x,4,4.0", "l4,cloud_on_demand,oci,,x,4,9.0"],
        "b/2026-12-20": ["l40s,cloud_on_demand,oci,,x,4,5.0"],
        "b/not-a-day": [],
    }
    for name, rows in copies.items():
        path = tmp_path / "prices" / "history" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([head, *(f"{row},2026-11-01,x," for row in rows)]), encoding="utf-8")
    (tmp_path / "prices" / "history" / "b" / "2026-11-06.csv").write_bytes(b"\xff\xfe")
    points = [
        (point.day, point.low_usd, point.median_usd, point.high_usd, point.providers)
        for point in history("l40s", tmp_path)
    ]
    assert points == [
        ("2026-11-01", 1.0, 1.0, 1.0, 1),
        ("2026-11-05", 1.0, 2.5, 4.0, 2),
        ("2026-11-10", 2.0, 3.0, 4.0, 2),
        ("2026-12-20", 5.0, 5.0, 5.0, 1),
    ]


NAMES = Names(GPUS)
IDS = {device.id for device in GPUS}
CHECKS = load_sources().checks
WORDS = st.text(max_size=130).map(clean)
OFFERS = st.builds(
    Offer,
    provider=st.sampled_from(["aws", "vast", "runpod", "azure"]),
    instance=st.none() | st.sampled_from(["p4d.24xlarge", "g6.xlarge", "Standard_NC6s_v3"]) | WORDS,
    region=st.none() | WORDS,
    names=st.tuples(st.sampled_from(["RTX 4090", "A100 SXM4", "L4", "A100"]) | WORDS),
    memory_gb=st.none() | st.sampled_from([24.0, 40.0, 80.0]) | st.floats(min_value=0, allow_nan=False),
    count=st.none() | st.integers(1, 4096),
    usd_per_hour=st.floats(allow_nan=True, allow_infinity=True) | st.floats(0.01, 100),
    spot=st.booleans(),
    date=st.just("2026-11-23"),
)


@given(st.lists(OFFERS, max_size=12))
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_every_offer_is_believed_or_accounted_for(offers: list[Offer]) -> None:
    result = believe(offers, NAMES, CHECKS, LastGood(), "test", TODAY)
    low, high = CHECKS.plausible_usd_per_gpu_hour
    for where, record in result.records.items():
        assert where == key(record)
        assert low / 1.01 <= record.price_usd <= high
        assert record.gpu_id in IDS
    accounted = sum(result.left_out.counts.values()) + sum(result.unknown_names.values())
    assert len(result.records) + accounted <= len(offers)
    assert (len(offers) == accounted) == (not result.records)


@given(offers=st.lists(OFFERS, max_size=8))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=30)
def test_what_is_written_is_what_is_read(tmp_path: Path, offers: list[Offer]) -> None:
    from advisor.fetch.store import _table

    result = believe(offers, NAMES, CHECKS, LastGood(), "test", TODAY)
    again = parse_prices(_table(result.records.values()).decode(), "test")
    assert {key(record): record.price_usd for record in again} == {
        key(record): record.price_usd for record in result.records.values()
    }
