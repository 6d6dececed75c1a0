"""Prices are dated, sourced and never invented."""

from __future__ import annotations

import datetime
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.catalog import shipped_devices
from advisor.errors import InputError
from advisor.price_book import LIVE, PriceBook, live_records, load_policy, load_prices, shipped_records
from advisor.prices import LARGEST_LIVE_BYTES, PriceRecord, parse_prices
from advisor.yaml_io import MAX_BYTES

HEAD = "gpu_id,kind,provider,region,gpus_per_instance,price_usd,date,source,note\n"


def record(kind: str, price: float, date: str, **more: object) -> PriceRecord:
    fields = {"gpu_id": "rtx-4090", "kind": kind, "price_usd": price, "date": date, "source": "test", **more}
    return PriceRecord.model_validate(fields)


def test_shipped_prices_name_devices_of_the_catalog_and_are_dated() -> None:
    ids = {device.id for device in shipped_devices()}
    records = shipped_records()
    assert len(records) > 300
    for each in records:
        assert each.gpu_id in ids
        assert each.source
        assert 2021 <= each.earliest_day.year <= 2026
        if each.kind.startswith("cloud"):
            assert each.provider
            assert 0.01 < each.price_usd < 30
        else:
            assert 30 < each.price_usd < (5000 if each.unverified is None else 50_000)


def test_buying_prefers_a_newer_street_price_then_used_then_launch() -> None:
    devices = [device for device in shipped_devices() if device.id in ("rtx-4090", "a100-sxm4-80gb")]
    used, old, new = (
        record("used", 900, "2023-10"),
        record("street_new", 1700, "2023-05"),
        record("street_new", 1600, "2026-01"),
    )
    launch = PriceBook([], devices).buy_price("rtx-4090")
    assert launch is not None
    assert (launch.kind, launch.price_usd, launch.date[:4]) == ("launch", 1599, "2022")
    assert PriceBook([old, used], devices).buy_price("rtx-4090") == used
    assert PriceBook([old, used, new], devices).buy_price("rtx-4090") == new
    assert PriceBook([old], devices).buy_price("rtx-4090") == old
    assert PriceBook([], devices).buy_price("a100-sxm4-80gb") is None
    assert PriceBook([], devices).buy_price("no-such-card") is None


def test_renting_is_the_median_of_the_newest_year() -> None:
    def offer(price: float, date: str, provider: str, gpus: int = 1) -> PriceRecord:
        return record("cloud_on_demand", price, date, provider=provider, gpus_per_instance=gpus)

    book = PriceBook(
        [
            offer(9.0, "2025-01-01", "old"),
            offer(0.4, "2026-01-01", "a"),
            offer(0.6, "2025-2026", "b"),
            offer(0.7, "2026", "c"),
            offer(0.5, "2026-02-01", "c", gpus=8),
            record("cloud_spot", 0.1, "2026-01-01", provider="a"),
        ]
    )
    one, eight = book.rent_price("rtx-4090"), book.rent_price("rtx-4090", 8)
    assert one is not None
    assert eight is not None
    assert (one.price_usd, one.low, one.high, one.offers, one.date) == (0.6, 0.4, 0.7, 3, "2026-01-01")
    assert (eight.price_usd, eight.offers, eight.gpus_per_instance) == (0.5, 3, 1)
    spot = book.spot_price("rtx-4090")
    assert spot is not None
    assert spot.price_usd == 0.1
    assert book.rent_price("rtx-3090") is None


def test_where_only_large_instances_exist_the_whole_one_is_billed() -> None:
    book = PriceBook([record("cloud_on_demand", 2.0, "2026", provider="a", gpus_per_instance=8)])
    found = book.rent_price("rtx-4090", 2)
    assert found is not None
    assert (found.price_usd, found.gpus_per_instance) == (2.0, 8)


def test_no_price_is_invented() -> None:
    book = load_prices(shipped_devices())
    assert book.buy_price("gb200-186gb") is None
    assert book.rent_price("h100-sxm5-80gb") is not None
    for device in shipped_devices():
        price = book.buy_price(device.id)
        assert price is None or (price.date and price.source)
    for gpu in ("arc-b580", "h100-sxm5-80gb"):
        unverified = book.buy_price(gpu)
        assert unverified is not None
        assert unverified.unverified == "from memory"


def test_a_users_table_wins(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xef\xbb\xbfgpu_id,kind,price_usd,date,source\r\nrtx-3090,used,650,2026-11,shop\r\n")
    found = load_prices(shipped_devices(), extra_files=[path]).buy_price("rtx-3090")
    assert found is not None
    assert (found.price_usd, found.date, found.source) == (650, "2026-11", "shop")
    path.write_text("gpu_id,kind,price_usd,date,source\nrtx-3090,used,600,2023-10,me\n")
    replaced = load_prices(shipped_devices(), extra_files=[path]).buy_price("rtx-3090")
    assert replaced is not None
    assert replaced.source == "me"


@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        (HEAD + "rtx-9999,used,,,1,5,2026,s,\n", "gpu_id", 2),
        (HEAD + "rtx-3090,usd,,,1,5,2026,s,\n", "kind", 2),
        (HEAD + "rtx-3090,used,,,1,free,2026,s,\n", "price_usd", 2),
        (HEAD + "rtx-3090,used,,,1,nan,2026,s,\n", "price_usd", 2),
        (HEAD + "rtx-3090,used,,,1,-5,2026,s,\n", "price_usd", 2),
        (HEAD + "rtx-3090,used,,,1,5,yesterday,s,\n", "date", 2),
        (HEAD + "rtx-3090,used,,,0,5,2026,s,\n", "gpus_per_instance", 2),
        (HEAD + "rtx-3090,used,,,1,5,2026,,\n", "source", 2),
        (HEAD + "\nrtx-3090,used\n", None, 3),
        ("gpu_id,kind,price,date,source\n", "price", 1),
        ("gpu_id,kind,date,source\n", "price_usd", 1),
        (HEAD + 'rtx-3090,"used\n', None, 2),
    ],
)
def test_a_wrong_table_says_where(text: str, field: str | None, line: int) -> None:
    with pytest.raises(InputError) as caught:
        parse_prices(text, "mine.csv", {"rtx-3090", "rtx-4090"})
    assert (caught.value.source, caught.value.field, caught.value.line) == ("mine.csv", field, line)


TODAY = datetime.date(2026, 11, 23)


def test_a_valid_quote_counts_before_public_prices_from_its_number_on() -> None:
    public = record("street_new", 1600, "2026-11-01")
    one = record("quote", 1700, "2026-11-10", provider="A", valid_until=datetime.date(2026, 12, 31))
    eight = record("quote", 1500, "2026-11-10", provider="A", minimum_count=8, lead_time_days=21)
    ended = record("quote", 100, "2026-01-10", provider="B", valid_until=datetime.date(2026, 11, 22))
    book = PriceBook([public, one, eight, ended], today=TODAY)
    assert book.buy_price("rtx-4090") == one
    assert book.buy_price("rtx-4090", 7) == one
    assert book.buy_price("rtx-4090", 8) == eight
    assert brackets(book) == [(1, 7, 1700), (8, None, 1500)]
    # The day after the last day of A's quote the public price counts again for fewer than eight.
    later = PriceBook([public, one, eight, ended], today=datetime.date(2027, 1, 1))
    assert later.buy_price("rtx-4090", 7) == public
    assert later.buy_price("rtx-4090", 8) == eight
    assert ended in book.records("rtx-4090")


def brackets(book: PriceBook, **more: bool) -> list[tuple[int, int | None, float]]:
    found = book.purchase_brackets("rtx-4090", **more)
    for each in found:
        for count in (each.minimum_count, each.maximum_count or 1000):
            assert book.buy_price("rtx-4090", count) == each.price
    return [(each.minimum_count, each.maximum_count, each.price.price_usd) for each in found]


def test_a_quote_counts_up_to_the_number_that_it_names() -> None:
    few = record("quote", 1000, "2026-11-10", provider="A", maximum_count=4)
    more = record("quote", 1500, "2026-11-10", provider="A", minimum_count=5)
    public = record("street_new", 1704, "2026-11-01")
    assert brackets(PriceBook([few, more], today=TODAY)) == [(1, 4, 1000), (5, None, 1500)]
    assert brackets(PriceBook([few, public], today=TODAY)) == [(1, 4, 1000), (5, None, 1704)]
    assert brackets(PriceBook([few, public], today=TODAY), quoted=True) == [(1, 4, 1000)]
    assert PriceBook([few], today=TODAY).buy_price("rtx-4090", 5) is None


def test_a_quote_of_many_counts_before_a_lower_public_price_in_every_answer() -> None:
    public, many = (
        record("street_new", 1704, "2026-11-01"),
        record("quote", 3500, "2026-11-10", minimum_count=10),
    )
    assert brackets(PriceBook([public, many], today=TODAY)) == [(1, 9, 1704), (10, None, 3500)]


def test_a_quote_to_rent_counts_before_the_median() -> None:
    offer = record("cloud_on_demand", 0.4, "2026-11-01", provider="a")
    quote = record("quote_rent", 0.5, "2026-11-01", provider="b", gpus_per_instance=4)
    book = PriceBook([offer, quote], today=TODAY)
    one, four = book.rent_price("rtx-4090"), book.rent_price("rtx-4090", 4)
    assert one is not None
    assert four is not None
    assert (one.kind, one.price_usd, one.gpus_per_instance) == ("quote_rent", 0.5, 4)
    assert (four.kind, four.gpus_per_instance) == ("quote_rent", 4)
    assert book.rent_spread(one) == 1.0


def test_age_counts_from_the_earliest_day_that_a_date_can_mean() -> None:
    for date, days in (("2026-11-23", 0), ("2026-11", 22), ("2026", 326), ("2025-2026", 326), ("2025", 691)):
        assert record("used", 1, date).age_days(TODAY) == days
    book = PriceBook([], today=TODAY)
    assert not book.is_old(record("used", 1, "2025-11-23"))
    assert book.is_old(record("used", 1, "2025-11-22"))


def test_what_a_bare_spread_is_taken_to_be_is_that_of_the_shipped_offers() -> None:
    by_gpu: dict[str, dict[str | None, float]] = {}
    for each in shipped_records():
        if each.kind == "cloud_on_demand":
            offers = by_gpu.setdefault(each.gpu_id, {})
            offers[each.provider] = min(each.price_usd, offers.get(each.provider, each.price_usd))
    spreads = []
    for offers in by_gpu.values():
        if len(offers) >= 5:
            low, high = np.quantile(list(offers.values()), (0.1, 0.9))
            spreads.append(float(np.sqrt(high / low)))
    assert load_policy().rent_spread == pytest.approx(statistics.median(spreads), rel=0.1)


def _copy(folder: Path, rows: list[str]) -> Path:
    path = folder / LIVE / "gpuhunt.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "gpu_id,kind,provider,region,instance,gpus_per_instance,price_usd,date,source,note\n"
        + "".join(f"{row}\n" for row in rows),
        encoding="utf-8",
    )
    return path


ROWS = st.lists(
    st.builds(
        "{},cloud_{},{},r{},i,{},{},{},gpuhunt,".format,
        st.sampled_from(["t4", "l4"]),
        st.sampled_from(["on_demand", "spot"]),
        st.sampled_from(["aws", "azure", "oci"]),
        st.integers(0, 9),
        st.sampled_from([1, 2, 4, 8]),
        st.integers(1, 6),
        st.sampled_from(["2026-11-20", "2026-11", "2026", "2025-01-02"]),
    ),
    min_size=1,
    max_size=25,
)


@given(rows=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_of_live_prices_only_what_counts_is_kept_and_answers_are_the_same(
    tmp_path: Path, rows: list[str]
) -> None:
    _copy(tmp_path, rows)
    (few, _), (every, _) = (live_records(tmp_path, ["t4", "l4"], everything=each) for each in (False, True))
    assert len(every) == len(rows)
    assert set(few) <= set(every)
    assert len(
        {(each.gpu_id, each.kind, each.provider, each.gpus_per_instance, each.date) for each in every}
    ) == len(few)
    small, whole = PriceBook(few, today=TODAY), PriceBook(every, today=TODAY)
    for gpu in ("t4", "l4"):
        for count in (1, 2, 3, 4, 8, 16):
            assert small.rent_price(gpu, count) == whole.rent_price(gpu, count)
            assert small.spot_price(gpu, count) == whole.spot_price(gpu, count)
            assert small.counted(gpu, "cloud_on_demand", count) == whole.counted(
                gpu, "cloud_on_demand", count
            )


def test_thirty_thousand_live_prices_cost_a_command_little(tmp_path: Path) -> None:
    _copy(
        tmp_path, [f"t4,cloud_on_demand,aws,r{place},x,1,0.5,2026-11-20,gpuhunt," for place in range(30_000)]
    )
    begin = time.process_time()
    (record,), messages = live_records(tmp_path, ["t4"])
    assert (record.region, messages) == ("r0", ())
    assert time.process_time() - begin < 0.6


def test_a_live_copy_larger_than_other_files_may_be_counts(tmp_path: Path) -> None:
    note = "x" * 3000
    path = _copy(
        tmp_path,
        [f"t4,cloud_on_demand,aws,r{n},x,1,0.{n + 1},2026-11-20,gpuhunt,{note}" for n in range(3000)],
    )
    assert MAX_BYTES < path.stat().st_size < LARGEST_LIVE_BYTES
    for everything in (False, True):
        records, messages = live_records(tmp_path, ["t4"], everything=everything)
        assert messages == ()
        assert min(each.price_usd for each in records) == 0.1
        assert len(records) == (3000 if everything else 1)


@pytest.mark.parametrize(
    "damaged",
    [
        "t4,cloud_on_demand,aws,r,x,1,free,2026-11-20,gpuhunt,",
        "t4,cloud_on_demand,aws,r,x,1,-1,2026-11-20,gpuhunt,",
        "t4,cloud_on_demand,aws,r,x",
        "t4,cloudy,aws,r,x,1,9,2026-11-20,gpuhunt,",
        "t4,cloud_on_demand,aws,r,x,1,9,yesterday,gpuhunt,",
        "t4,cloud_on_demand,aws,r,x,none,9,2026-11-20,gpuhunt,",
        "t4,cloud_on_demand,aws,r,x,1,9,2026-11-20,,",
    ],
)
def test_a_damaged_row_is_said_though_a_cheaper_one_counts(tmp_path: Path, damaged: str) -> None:
    _copy(tmp_path, ["t4,cloud_on_demand,aws,r,x,1,0.5,2026-11-20,gpuhunt,", damaged])
    records, (message,) = live_records(tmp_path, ["t4"])
    assert records == ()
    assert ":3" in message


def test_prices_of_twelve_clouds_and_more_are_shipped() -> None:
    clouds = {each.provider for each in shipped_records() if each.rented}
    assert len(clouds) >= 12
    assert {"aws", "azure", "gcp", "oci", "lambda", "runpod", "vast"} <= clouds
