"""Quotes are read as they were meant, or refused with the way out; never as something else."""

from __future__ import annotations

import datetime
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.catalog import name_index, shipped_devices
from advisor.errors import InputError
from advisor.hardware import Device, NameIndex
from advisor.price_book import PriceBook
from advisor.prices import PriceRecord
from advisor.quotes.amounts import currency_of, number, price
from advisor.quotes.products import Accessory, Product, Products
from advisor.quotes.quantities import quantity
from advisor.quotes.read import QuoteFile, read_quotes
from advisor.quotes.store import import_quotes, remove_quotes, stored_names, stored_quotes
from advisor.quotes.times import date_order, day, lead_time_days
from advisor.quotes.words import FIELDS, fold, load_words
from advisor.yaml_io import MAX_BYTES

DATA = Path(__file__).parent / "data" / "quotes"
TODAY = datetime.date(2026, 11, 23)
RATES = {"EUR": 1.10, "CHF": 1.20, "INR": 0.012, "JPY": 0.0065}
INDEX = name_index(shipped_devices())
WORDS = load_words()
PRODUCTS = Products(INDEX, WORDS.products)


def read(path: Path, **more: object) -> QuoteFile:
    return read_quotes(path, INDEX, **{"rates": RATES, "columns": {}, "today": TODAY, **more})  # type: ignore[arg-type]


def table(folder: Path, *lines: str, name: str = "quotes.csv", **more: object) -> QuoteFile:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read(path, **more)


def refused(folder: Path, *lines: str, **more: object) -> str:
    with pytest.raises(InputError) as caught:
        table(folder, *lines, **more)
    return str(caught.value)


# Files of several countries


def test_a_german_price_list_with_letterhead_and_sums() -> None:
    found = read(DATA / "germany.csv")
    l40s, rtx = found.records
    assert (l40s.gpu_id, l40s.kind, l40s.minimum_count, l40s.price_in_currency) == (
        "l40s",
        "quote",
        8,
        7999.0,
    )
    assert l40s.price_usd == pytest.approx(7999 * 1.10)
    assert (l40s.valid_until, l40s.lead_time_days) == (datetime.date(2026, 12, 31), 21)
    assert (l40s.date, l40s.currency) == ("2026-11-12", "EUR")
    assert l40s.source == "germany.csv, line 5"
    assert l40s.note == "without VAT; 1 EUR = 1.1 USD as given"
    # "1.849" alone could be less than two euros; the other prices of its column decide.
    assert (rtx.gpu_id, rtx.price_in_currency, rtx.lead_time_days) == ("rtx-4090", 1849.0, 0)
    messages = "\n".join(found.messages)
    for said in (
        "not UTF-8: read as Windows-1252",
        "heading in line 4, cells separated by semicolons",
        "'Stückpreis netto (EUR)' as unit_price",
        "columns not read: 'Pos.'",
        "numbers have a decimal comma",
        "'PNY NVIDIA L40S 48GB GDDR6 PCIe passiv' read as l40s",
        "line 8 left out, an accessory (bridge)",
        "line 9 left out, no price: 'RTX 6000 Ada Generation'",
        "line 11 left out, no GPU: 'Versandkosten'",
        "line 12 left out, no GPU: 'Gesamtsumme netto'",
        "2 of 2 quotes name no vendor",
    ):
        assert said in messages
    assert found.columns["lead_time"] == "Lieferzeit"


def test_an_american_price_list_with_volume_breaks() -> None:
    found = read(DATA / "usa.csv")
    assert [(each.minimum_count, each.price_usd) for each in found.records[:3]] == [
        (1, 1799.0), (5, 1699.0), (10, 1599.0)
    ]  # fmt: skip
    first, *_, ada = found.records
    assert first.provider == "Acme Computing, Inc."
    assert first.source == "usa.csv, line 2, quote Q-118"
    assert first.note == "for 1 to 4; dated by its import"
    assert (first.valid_until, first.date) == (datetime.date(2026, 12, 31), "2026-11-23")
    assert found.records[2].valid_until == datetime.date(2027, 1, 5)
    assert (ada.gpu_id, ada.minimum_count, ada.lead_time_days) == ("rtx-6000-ada", 2, 0)
    assert ada.expired(TODAY)
    assert "ended, and do not count: line 5" in found.warnings
    assert any(each.startswith("$ read as US dollars") for each in found.assumptions)


def test_the_price_book_takes_the_break_that_is_reached_and_no_quote_that_has_ended() -> None:
    book = PriceBook(read(DATA / "usa.csv").records, shipped_devices(), today=TODAY)
    prices = {count: book.buy_price("rtx-4090", count) for count in (1, 4, 5, 10)}
    assert {count: price.price_usd for count, price in prices.items() if price} == {
        1: 1799,
        4: 1799,
        5: 1699,
        10: 1599,
    }
    ada = book.buy_price("rtx-6000-ada", 2)
    assert ada is not None
    assert ada.kind == "launch"


def test_excels_unicode_text() -> None:
    a4000, a40 = read(DATA / "unicode_text.txt").records
    assert (a4000.gpu_id, a40.gpu_id) == ("rtx-a4000", "a40")
    assert (a4000.price_in_currency, a4000.currency) == (148000.0, "JPY")
    assert a4000.price_usd == pytest.approx(962)
    assert a4000.provider == "Tokyo Parts 株式会社"


def test_a_french_price_list() -> None:
    found = read(DATA / "france.csv")
    rtx, h100 = found.records
    assert (rtx.gpu_id, rtx.price_in_currency, rtx.minimum_count) == ("rtx-4070-ti-super", 849.9, 10)
    assert (h100.gpu_id, h100.price_in_currency) == ("h100-pcie-80gb", 27500.0)
    assert (rtx.valid_until, rtx.lead_time_days) == (datetime.date(2027, 1, 15), 42)
    assert h100.lead_time_days is None
    assert "line 4 left out, no GPU: 'Total HT'" in found.messages


def test_a_swiss_price_list() -> None:
    pro, a100 = read(DATA / "switzerland.csv", vat_percent=8.1).records
    assert (pro.gpu_id, pro.minimum_count) == ("rtx-pro-6000-blackwell-server", 2)
    assert (pro.price_in_currency, pro.currency, pro.lead_time_days) == (
        pytest.approx(8450 / 1.081),
        "CHF",
        21,
    )
    assert pro.note is not None
    assert pro.note.startswith("8450 CHF with 8.1 % VAT")
    assert (a100.gpu_id, a100.price_in_currency) == ("a100-pcie-80gb", pytest.approx(12900 / 1.081))


def test_an_indian_price_list() -> None:
    rtx, l4 = read(DATA / "india.csv").records
    assert (rtx.price_in_currency, l4.price_in_currency) == (185_000.0, 210_000.0)
    assert (l4.gpu_id, l4.minimum_count) == ("l4", 10)


def test_a_price_of_one_from_a_total() -> None:
    found = read(DATA / "spain_total.csv")
    (rtx,) = found.records
    assert (rtx.price_in_currency, rtx.minimum_count, rtx.lead_time_days) == (1599.0, 4, 10)
    assert rtx.valid_until == datetime.date(2026, 12, 31)
    assert "line 3: the price of one is the total / 4" in found.messages


def test_an_hour_of_an_instance_becomes_one_of_a_gpu() -> None:
    frankfurt, paris, l4 = read(DATA / "rent.csv").records
    assert (frankfurt.kind, frankfurt.gpu_id) == ("quote_rent", "h100-sxm5-80gb")
    # Whoever needs fewer rents the whole instance: the price holds, and eight are billed.
    assert (frankfurt.gpus_per_instance, frankfurt.minimum_count) == (8, 1)
    assert frankfurt.price_in_currency == pytest.approx(2.49)
    assert frankfurt.price_usd == pytest.approx(2.49 * 1.10)
    assert (frankfurt.region, frankfurt.instance) == ("Frankfurt", "hgx-8")
    assert paris.gpus_per_instance == 8, "from the text, where the column says nothing"
    assert (l4.gpu_id, l4.price_in_currency, l4.minimum_count) == ("l4", 0.62, 1)


@pytest.mark.parametrize("heading", ["price per hour", "price per gpu hour"])
def test_an_instance_counts_for_fewer_gpus_however_its_price_is_written(tmp_path: Path, heading: str) -> None:
    usd = 8 if heading == "price per hour" else 1
    found = table(tmp_path, f"vendor,gpu,{heading},currency,gpus per node", f"X,H100 SXM5 80GB,{usd},USD,8")
    price = PriceBook(found.records, shipped_devices(), today=TODAY).rent_price("h100-sxm5-80gb", 4)
    assert price is not None
    assert (price.kind, price.price_usd, price.gpus_per_instance) == ("quote_rent", 1.0, 8)


def test_a_price_of_several_instances_holds_from_the_first_gpu_that_needs_them(tmp_path: Path) -> None:
    found = table(
        tmp_path, "gpu,quantity,price per hour,currency,gpus per node", "H100 SXM5 80GB,2-3,16,USD,8"
    )
    (record,) = found.records
    assert (record.minimum_count, record.maximum_count) == (9, 24)


def test_the_end_of_a_quantity_is_kept(tmp_path: Path) -> None:
    found = table(
        tmp_path, "gpu,quantity,unit price,currency", "rtx-4090,1-4,1000,USD", "rtx-4090,5+,1500,USD"
    )
    book = PriceBook(found.records, shipped_devices(), today=TODAY)
    prices = [book.buy_price("rtx-4090", count) for count in (1, 4, 5, 8)]
    assert [price.price_usd for price in prices if price] == [1000, 1000, 1500, 1500]


@pytest.mark.parametrize(
    ("heading", "row", "more"),
    [
        ("gpu;Stückpreis inkl. MwSt;Währung", "RTX 4090;1.190,00;EUR", {"vat_percent": 19.0}),
        ("gpu;Stückpreis inkl. 19 % MwSt;Währung", "RTX 4090;1.190,00;EUR", {}),
        ("gpu;Stückpreis inkl. 19% MwSt;Währung", "RTX 4090;1.190,00;EUR", {"vat_percent": 7.0}),
        ("gpu;Stückpreis brutto;MwSt %;Währung", "RTX 4090;1.190,00;19,0;EUR", {}),
        ("gpu;Stückpreis brutto;MwSt;Währung", "RTX 4090;1.190,00;19 %;EUR", {}),
        ("gpu;price;currency", "RTX 4090;1190.00 incl. 19% VAT;EUR", {}),
        ("gpu;Stückpreis netto;MwSt %;Währung", "RTX 4090;1.000,00;19,0;EUR", {}),
        ("gpu;Stückpreis netto;Währung", "RTX 4090;1.000,00;EUR", {"vat_percent": 19.0}),
    ],
)
def test_prices_are_compared_without_vat(
    tmp_path: Path, heading: str, row: str, more: dict[str, float]
) -> None:
    (found,) = table(tmp_path, heading, row, **more).records
    assert found.price_in_currency == pytest.approx(1000)
    assert found.price_usd == pytest.approx(1100)


def test_a_price_with_vat_of_no_known_rate_is_refused_with_the_way_out(tmp_path: Path) -> None:
    # An amount of VAT is no rate.
    for heading, row in (("Stückpreis brutto", "1.190,00"), ("Stückpreis brutto;MwSt", "1.190,00;19,00")):
        said = refused(tmp_path, f"gpu;{heading};Währung", f"RTX 4090;{row};EUR")
        assert "--vat 19" in said
        assert "--vat 0" in said
    with pytest.raises(InputError, match="not a rate of VAT"):
        table(tmp_path, "gpu,price", "rtx-4090,$1", vat_percent=-1.0)


def test_of_two_vendors_the_cheaper_without_vat_counts(tmp_path: Path) -> None:
    found = table(
        tmp_path,
        "vendor,gpu,unit price,currency",
        "X,rtx-4090,1190 incl VAT,EUR",
        "Y,rtx-4090,1050 net,EUR",
        "Z,rtx-4090,1150,EUR",
        vat_percent=19.0,
    )
    price = PriceBook(found.records, shipped_devices(), today=TODAY).buy_price("rtx-4090")
    assert price is not None
    assert price.provider == "X"
    assert price.note is not None
    assert price.note.startswith("1190 EUR with 19 % VAT")
    assert "with 19 % VAT, taken out: line 2" in found.assumptions
    assert "not said whether with VAT, read as without: line 4" in found.assumptions
    unused = table(tmp_path, "gpu,price", "rtx-4090,$1500", vat_percent=19.0)
    assert any("--vat 19 takes nothing out" in said for said in unused.assumptions)


def test_vat_in_json(tmp_path: Path) -> None:
    path = tmp_path / "quotes.json"
    path.write_text(
        '[{"gpu": "rtx-4090", "unit_price": 1190, "currency": "USD", "tax": "gross", "vat_percent": 19}]'
    )
    assert read(path).records[0].price_usd == pytest.approx(1000)


@pytest.mark.parametrize(("name", "gpus"), [("NVIDIA A16", 4), ("Tesla K80", 2), ("Tesla M60", 2)])
def test_the_price_of_a_board_is_that_of_all_its_gpus(tmp_path: Path, name: str, gpus: int) -> None:
    found = table(tmp_path, "gpu,quantity,price", f"{name},2-3,$3300")
    (record,) = found.records
    assert record.price_usd == pytest.approx(3300 / gpus)
    assert (record.minimum_count, record.maximum_count) == (gpus + 1, 3 * gpus)
    assert f"3300 USD a board of {gpus} GPUs" in (record.note or "")
    assert any(f"read as the price of a board of {gpus} GPUs" in said for said in found.assumptions)


def test_json_with_our_own_names() -> None:
    card, instance, gpu_hour = read(DATA / "list.json").records
    assert (card.provider, card.minimum_count, card.price_in_currency) == ("Acme", 4, 1500.0)
    assert card.price_usd == pytest.approx(1650)
    assert (card.source, card.date, card.lead_time_days) == (
        "list.json, quote 1, quote Q-7",
        "2026-11-02",
        10,
    )
    assert (instance.kind, instance.price_usd, instance.gpus_per_instance) == ("quote_rent", 2.5, 8)
    assert (gpu_hour.price_usd, gpu_hour.minimum_count, gpu_hour.gpus_per_instance) == (0.55, 2, 1)


def test_every_wrong_row_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        read(DATA / "wrong.csv", rates={})
    said = str(caught.value)
    assert said.startswith("wrong.csv: 8 quotes cannot be read, so none was taken over")
    for line in ("line 2: gpu", "line 3: quantity", "line 4: unit_price", "line 5, line 6", "line 7: valid_until",
                 "line 8: gpu", "line 9: currency"):  # fmt: skip
        assert f"\n  {line}" in said
    assert "did you mean: rtx-4090" in said
    assert "--rate JPY=" in said
    assert "line 10" not in said


def test_of_many_wrong_rows_ten_are_spelled_out(tmp_path: Path) -> None:
    said = refused(tmp_path, "gpu,unit_price", *(f"unknown {number},5.5 USD" for number in range(25)))
    assert "25 quotes cannot be read" in said
    assert said.count("names no GPU") == 10
    assert "and 15 more faults" in said


def test_wrong_items_of_json(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        '[{"gpu": "rtx-4090", "unit_price": 1500, "currency": "USD",',
        '  "valid_until": 46022},',
        ' {"gpu": "rtx-4090", "unit_price": 0, "currency": "USD"},',
        ' {"gpu": "rtx-4090", "unit_price": 5},',
        ' {"gpu": "rtx-4090", "price": 5, "currency": "USD"}]',
        name="list.json",
    )
    for part in (
        "quote 1, line 2",
        "valid_until",
        "quote 2, line 3",
        "quote 3: no currency",
        "unknown field",
    ):
        assert part in said
    assert "not a list of quotes" in refused(tmp_path, "5", name="list.json")
    assert "not a list of quotes" in refused(tmp_path, '{"quotes": [5]}', name="list.json")


# Numbers


@pytest.mark.parametrize(
    ("text", "value", "mark"),
    [
        ("1.599,00 €", 1599.0, None),
        ("$1,599.00", 1599.0, None),
        ("USD 1599", 1599.0, None),
        ("1 234,56", 1234.56, None),
        ("1'234.56", 1234.56, None),
        ("1,23,456", 123456.0, None),
        ("1.599.000", 1599000.0, None),
        ("0,899 €/h", 0.899, None),
        ("1.599,- EUR", 1599.0, None),
        ("CHF 1\u2019234.\u2013", 1234.0, None),
        ("£12", 12.0, None),
        ("1599 EUR net", 1599.0, None),
        ("1,599", 1599.0, "point"),
        ("1,599", 1.599, "comma"),
        ("1.599", 1.599, "point"),
        ("1.599", 1599.0, "comma"),
    ],
)
def test_prices_of_all_countries(text: str, value: float, mark: str | None) -> None:
    assert price(text, WORDS).number.value(mark) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "EUR",
        "-5",
        "(1,599.00)",
        "1.599,00-",
        "50%",
        "=1+1",
        "1599.5.3",
        "1,59,9.5",
        "8 x 1599",
        "12 apples",
        "1e5",
    ],
)
def test_what_is_no_price(text: str) -> None:
    with pytest.raises(InputError, match="not a price"):
        price(text, WORDS)


@given(st.integers(1, 9_999_999), st.sampled_from([",.", ".,", " ,", "'.", " ."]))
def test_a_number_written_with_cents_has_one_meaning(cents: int, separators: str) -> None:
    thousands, mark = separators
    text = f"{cents / 100:,.2f}".replace(",", "T").replace(".", mark).replace("T", thousands)
    found = number(text)
    assert found is not None
    assert found.value(None) == pytest.approx(cents / 100)
    assert found.evidence == ("point" if mark == "." else "comma")


@given(st.integers(1, 999), st.integers(0, 999), st.sampled_from(",."))
def test_three_digits_behind_a_mark_are_never_guessed(first: int, rest: int, mark: str) -> None:
    found = number(f"{first}{mark}{rest:03d}")
    assert found is not None
    with pytest.raises(InputError, match="can be"):
        found.value(None)


def test_a_number_that_can_be_two_is_decided_by_its_column_or_refused(tmp_path: Path) -> None:
    head = "gpu;unit_price;currency"
    alone = refused(tmp_path, head, "rtx-4090;1,599;USD")
    assert "can be 1599 or 1.599" in alone
    assert "--decimal comma" in alone
    assert table(tmp_path, head, "rtx-4090;1,599;USD", "rtx-5090;2,399.50;USD").records[0].price_usd == 1599
    assert table(tmp_path, head, "rtx-4090;1.599;EUR", "l4;99,90;EUR").records[0].price_in_currency == 1599
    assert table(tmp_path, head, "rtx-4090;1,599;USD", decimal="point").records[0].price_usd == 1599
    mixed = refused(tmp_path, head, "rtx-4090;1,599;USD", "l4;99,90;USD", "l40s;99.90;USD")
    assert "line 2: unit_price: can be" in mixed
    assert "not a number with a decimal comma" in refused(tmp_path, head, "l4;99.90;USD", decimal="comma")


def test_totals_decide_about_prices_and_must_agree_with_them(tmp_path: Path) -> None:
    head = "gpu;quantity;unit_price;total_price;currency"
    assert table(tmp_path, head, "rtx-4090;8;1.599;12.792,00;EUR").records[0].price_in_currency == 1599
    assert "8 x 1599 is 12792" in refused(tmp_path, head, "rtx-4090;8;1599,00;11.992,00;EUR")
    # Shown without cents.
    assert table(tmp_path, head, "rtx-4090;8;1549;12.395,20;EUR").records[0].price_in_currency == 1549
    assert "a total without a number" in refused(tmp_path, "gpu;total;currency", "rtx-4090;1599,00;EUR")


# Currencies


def test_an_unknown_currency_is_asked_for(tmp_path: Path) -> None:
    assert "no currency is named" in refused(tmp_path, "gpu,unit_price", "rtx-4090,1599.00")
    assert table(tmp_path, "gpu,unit_price", "rtx-4090,1599.00", currency="EUR").records[0].currency == "EUR"
    found = table(tmp_path, "gpu,unit_price", "rtx-4090,1599.00 €", "rtx-5090,2399.00")
    assert [each.currency for each in found.records] == ["EUR", "EUR"]
    assert any("read as EUR" in each for each in found.messages)


def test_currencies_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    assert "currencies of one row differ" in refused(tmp_path, "gpu,price,currency", "rtx-4090,1599.00 €,USD")
    assert "currencies of one row differ" in refused(tmp_path, "gpu,price (EUR)", "rtx-4090,$1599.00")
    assert "not a currency" in refused(tmp_path, "gpu,price,currency", "rtx-4090,1599.00,shells")


def test_a_sign_of_several_currencies_is_decided_by_the_rest(tmp_path: Path) -> None:
    canadian = table(tmp_path, "gpu,price,currency", 'rtx-4090,"$1,599.00",CAD', rates={"CAD": 0.7})
    assert canadian.records[0].price_usd == pytest.approx(1119.3)
    assert "means several" in refused(tmp_path, "gpu,price", 'rtx-4090,"¥1,599.00"')
    assert currency_of([("JPY", "CNY")], "CNY") == ("CNY", False)
    assert currency_of([("USD", "CAD")], None) == ("USD", True)


def test_a_missing_rate_names_the_option(tmp_path: Path) -> None:
    assert "--rate GBP=" in refused(tmp_path, "gpu,price", "rtx-4090,£1599.00")
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        assert "not a rate" in refused(tmp_path, "gpu,price", "rtx-4090,$5.00", rates={"EUR": rate})
    assert "US dollar" in refused(tmp_path, "gpu,price", "rtx-4090,$5.00", rates={"USD": 2.0})


# Days, times and quantities


@pytest.mark.parametrize(
    "text",
    ["2026-12-31", "31.12.2026", "31/12/2026", "12/31/2026", "12/31/26", "31. Dezember 2026", "December 31st, 2026",
     "31 de diciembre de 2026", "31-Dec-26", "2026/12/31", "2026-12-31 00:00:00", "31 déc. 2026"],
)  # fmt: skip
def test_dates_of_all_countries(text: str) -> None:
    assert day(text, None, WORDS) == datetime.date(2026, 12, 31)


@pytest.mark.parametrize("text", ["31/02/2026", "46022", "30 days", "soon", "2026", "31.12.", "2026-13-01"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(InputError, match="not a date"):
        day(text, None, WORDS)


@given(st.dates(datetime.date(2000, 1, 1), datetime.date(2099, 12, 31)), st.sampled_from("/-"))
def test_a_date_is_never_another_one(date: datetime.date, mark: str) -> None:
    text = f"{date.day:02d}{mark}{date.month:02d}{mark}{date.year}"
    assert day(text, "dmy", WORDS) == date
    if date.day > 12 or date.day == date.month:
        assert day(text, None, WORDS) == date
    else:
        with pytest.raises(InputError, match="can be two days"):
            day(text, None, WORDS)


def test_the_order_of_day_and_month_is_decided_by_the_column(tmp_path: Path) -> None:
    head = "gpu,price,valid until"
    said = refused(tmp_path, head, "rtx-4090,$5.50,03/04/2027")
    assert "2027-03-04 or 2027-04-03" in said
    assert "--date-order dmy" in said
    found = table(tmp_path, head, "rtx-4090,$5.50,03/04/2027", "rtx-5090,$5.50,04/30/2027")
    assert found.records[0].valid_until == datetime.date(2027, 3, 4)
    found = table(tmp_path, head, "rtx-4090,$5.50,03/04/2027", date_order="dmy")
    assert found.records[0].valid_until == datetime.date(2027, 4, 3)
    assert date_order(["30/04/2027", "04/30/2027"], WORDS) is None


@pytest.mark.parametrize(
    ("text", "days"),
    [("14 days", 14), ("2-3 weeks", 21), ("2 bis 3 Wochen", 21), ("in stock", 0), ("ab Lager", 0), ("10", 10),
     ("2,5 Wochen", 18), ("10-15 Werktage", 21), ("ca. 3 weeks", 21), ("on request", None), ("1 mois", 31), ("", None)],
)  # fmt: skip
def test_lead_times(text: str, days: int | None) -> None:
    assert lead_time_days(text, 1.0, WORDS) == days


@pytest.mark.parametrize("text", ["KW 12", "soon", "-5 days", "3 moons", "in 3 weeks or so"])
def test_what_is_no_lead_time(text: str) -> None:
    with pytest.raises(InputError, match="not a lead time"):
        lead_time_days(text, 1.0, WORDS)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("8", 8, None), ("8 pcs", 8, None), ("8,00", 8, None), ("1-4", 1, 4), ("1 \u2013 4 Stück", 1, 4), ("5+", 5, None),
     (">= 10", 10, None), (">10", 11, None), ("≥ 10", 10, None), ("ab 5", 5, None), ("5 or more", 5, None),
     ("up to 4", 1, 4), ("<5", 1, 4), ("10 to 19", 10, 19)],
)  # fmt: skip
def test_quantities(text: str, least: int, most: int | None) -> None:
    found = quantity(text, WORDS, None)
    assert (found.least, found.most) == (least, most)


@pytest.mark.parametrize("text", ["some", "0", "1.5", "-3", "9-3", "10%", "1-4-8", "3 boxes"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(InputError, match="not a number of cards"):
        quantity(text, WORDS, "point")


def test_a_range_without_a_price_for_more_is_told(tmp_path: Path) -> None:
    found = table(tmp_path, "gpu,qty,price", "rtx-4090,1-4,$5.50", "rtx-5090,1-4,$6.50", "rtx-5090,5+,$6.00")
    assert [each for each in found.warnings if "none is given for more" in each] == [
        "line 2: the price is for 1 to 4, and none is given for more"
    ]


# Products


def resolved(text: str) -> str | None:
    """Return the device that a text is read as; None where it is refused or of an accessory."""
    try:
        found = PRODUCTS.find(text)
    except InputError:
        return None
    return None if isinstance(found, Accessory) else found.device.id


@pytest.mark.parametrize(
    ("text", "gpu_id"),
    [
        ("ASUS TUF Gaming GeForce RTX 4090 24GB OC", "rtx-4090"),
        ("PNY NVIDIA L40S 48GB GDDR6 PCIe passive", "l40s"),
        ("NVIDIA RTX 6000 Ada Generation, 48 GB (VCNRTX6000ADA-PB)", "rtx-6000-ada"),
        ("MSI GeForce RTX 4070 Ti SUPER 16G GAMING X SLIM", "rtx-4070-ti-super"),
        ("ASUS TUF-RTX4060TI-O16G-GAMING", "rtx-4060-ti-16gb"),
        ("Palit RTX4070Ti GamingPro", "rtx-4070-ti"),
        ("NVIDIA H100 Tensor Core GPU 80GB PCIe", "h100-pcie-80gb"),
        ("NVIDIA A100 PCIe x16 40 GB", "a100-pcie-40gb"),
        ("Lenovo ThinkSystem NVIDIA L40S 48GB PCIe Gen4 Passive GPU", "l40s"),
        ("RTX PRO 6000 Blackwell 96GB Server Edition", "rtx-pro-6000-blackwell-server"),
        (
            "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition 96 GB GDDR7",
            "rtx-pro-6000-blackwell-max-q",
        ),
        ("Sapphire Nitro+ AMD Radeon RX 7900 XTX Vapor-X 24GB", "rx-7900-xtx"),
        ("AMD Instinct MI300X OAM 192GB HBM3", "mi300x"),
        ("NVIDIA B200 192GB SXM", "b200-sxm-180gb"),
        ("PNY A40", "a40"),
        ("PNY A40 48GB", "a40"),
        ("Dell NVIDIA T4", "t4"),
        ("Gigabyte AORUS RTX 4090 MASTER 24G incl. power cable", "rtx-4090"),
        ("Legion RTX 4090 Laptop GPU 16GB", "rtx-4090-laptop"),
        ("ASUS GeForce RTX 4090 24GB Rev. A2", "rtx-4090"),
        ("NVIDIA A2 Rev. A2", "a2"),
    ],
)
def test_texts_of_vendors(text: str, gpu_id: str | None) -> None:
    assert resolved(text) == gpu_id


@pytest.mark.parametrize(
    "text",
    [
        "Palit GeForce RTX 4060 Ti Dual",  # 8 or 16 GB
        "NVIDIA H100 80GB",  # PCIe or SXM
        "NVIDIA H200 141GB",
        "RTX 4090 48GB blower",  # rebuilt, not the catalog's
        "NVIDIA A800 40GB PCIe",
        "RTX 5080 SUPER",  # not in the catalog
        "RTX 4090 Ti",
        "RTX 4070 Ti S",
        "RTX 4070 Gaming SUPER OC",
        "RTX 4000 Ada Generation 20GB SFF",
        "RTX 3060 12GB and RTX 3070",
        "Quadro RTX 4000 Ada",
        "NVIDIA T4G",
        "NVIDIA A100X 80GB",
        "Rev. A2 mainboard",
        "ASUS apple-m1 16GB Rev. A2",
        "A4 paper",
        "Typ A 40 cm",
        "Radeon RX 580 8GB 1050 MHz",
        "PSU max 1100 W",
        "Samsung NVMe M2 2TB",
        "MacBook Pro M4 Max",
        "Notebook Lenovo Legion RTX 4090 16GB",
        "RTX A6000 NVLink Bridge",
        "Xeon Gold 6230",
        "GV-N4090GAMING OC-24GD",
        "",
    ],
)
def test_what_may_be_another_device_is_refused(text: str) -> None:
    assert resolved(text) is None


def test_an_accessory_is_told_from_a_card() -> None:
    for text in (
        "NVLink Bridge for RTX A6000",
        "Power cable for L40S 48GB",
        "EK water block RTX 4090",
        "Lizenz für NVIDIA L40S",
    ):
        assert isinstance(PRODUCTS.find(text), Accessory), text
    with pytest.raises(InputError, match="may be of an accessory"):
        PRODUCTS.find("RTX A6000 3 years warranty")


def test_several_cards_in_one_text_are_no_price_of_a_card(tmp_path: Path) -> None:
    for text in ("8x NVIDIA H100 SXM5 80GB", "2 x RTX 4090", "RTX 4090 (x4)", "4 RTX 4090", "HGX B200 SXM 180GB",
                 "PowerEdge R760xa with NVIDIA L40S 48GB"):  # fmt: skip
        assert "that of one card" in refused(tmp_path, "gpu;price", f"{text};$5.50"), text
    said = refused(tmp_path, "gpu;price per hour;gpus per instance", "8x NVIDIA H100 SXM5 80GB;$20.00;4")
    assert "4 GPUs per instance, but the text says 8" in said
    assert "that of one card" in refused(tmp_path, "gpu;price;gpus per server", "H100 SXM;$200000.00;8")


_CARDS = [device for device in shipped_devices() if device.kind == "gpu"]
_MAKERS = (
    "ASUS TUF Gaming",
    "PNY",
    "MSI Gaming X Trio",
    "Dell",
    "HPE",
    "Lenovo ThinkSystem",
    "Gigabyte AORUS",
    "NVIDIA",
    "",
)
_NOISE = (
    "OC", "GDDR6X", "PCIe passive", "PCIe 4.0 x16", "(900-21010-0000-000)", "retail box", "DisplayPort 1.4a",
    "dual slot, full height", "350 W", "3 years", "2610 MHz", "Rev. A2", "bulk", "HDMI 2.1", "neu", "White",
)  # fmt: skip


def _names(device: Device) -> list[str]:
    said = (device.id, device.name, *device.identifiers.aliases, *device.identifiers.nvml_names)
    size = f"{device.memory.size_gib:g}GB"
    return [*said, *(f"{each} {size}" for each in said), device.name.replace(" ", ""), device.name.upper()]


def _means(device: Device, found: Device) -> bool:
    """Say whether a name of ``device`` may mean ``found``: where both bear it, and the card stands for its chip."""
    shared = set(_names(device)) & set(_names(found))
    return found.id == device.id or (
        bool(shared) and device.segment == "laptop" and found.segment != "laptop"
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_name_in_the_noise_of_a_vendor_is_taken_for_another(data: st.DataObject) -> None:
    device = data.draw(st.sampled_from(_CARDS))
    name = data.draw(st.sampled_from(_names(device)))
    before = data.draw(st.sampled_from(_MAKERS))
    behind = data.draw(st.lists(st.sampled_from(_NOISE), max_size=3))
    text = " ".join(part for part in (before, name, *behind) if part)
    found = resolved(text)
    assert found is None or _means(device, INDEX.by_id[found]), text


def test_every_name_in_a_little_noise_means_its_device_or_none_and_most_mean_it() -> None:
    wrong, read_right, asked = [], 0, 0
    for device in _CARDS:
        for name in (device.id, device.name):
            for text in (
                f"PNY {name} OC",
                f"NVIDIA {name} ({device.memory.size_gib:g} GB GDDR6)",
                f"{name}, bulk",
            ):
                asked += 1
                found = resolved(text)
                read_right += found == device.id
                if found is not None and not _means(device, INDEX.by_id[found]):
                    wrong.append((text, found))
    assert wrong == []
    assert read_right / asked > 0.8


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_device_that_the_catalog_lacks_is_not_replaced_by_a_sibling(data: st.DataObject) -> None:
    missing = data.draw(st.sampled_from(_CARDS))
    index = NameIndex(device for device in _CARDS if device.id != missing.id)
    text = f"{data.draw(st.sampled_from(_MAKERS))} {missing.name} {data.draw(st.sampled_from(_NOISE))}"
    try:
        found = Products(index, WORDS.products).find(text)
    except InputError:
        return
    assert isinstance(found, Product)
    assert _siblings(missing, found.device), text


def _siblings(one: Device, other: Device) -> bool:
    """Say whether drivers give two devices one name, so that a catalog with one of them cannot know of the other."""
    return bool(set(one.identifiers.nvml_names) & set(other.identifiers.nvml_names))


# Columns


def test_columns_are_found_in_any_order_and_named_by_the_user(tmp_path: Path) -> None:
    lines = ("Cost;Firma;Part", "$1,599.00;Acme;rtx-4090")
    assert "no row heads both" in refused(tmp_path, *lines)
    found = table(tmp_path, *lines, columns={"gpu": "part", "unit_price": "Cost", "vendor": "Firma"})
    assert (found.records[0].price_usd, found.records[0].provider) == (1599.0, "Acme")
    said = refused(tmp_path, *lines, columns={"gpu": "Part", "unit_price": "Cozt"})
    assert "no such column for unit_price" in said
    assert "did you mean: Cost" in said
    assert "no such field" in refused(tmp_path, *lines, columns={"grpu": "Part"})


def test_two_columns_that_can_be_the_price_are_refused(tmp_path: Path) -> None:
    lines = ("gpu;Preis netto;Preis brutto;currency", "rtx-4090;1000,00;1190,00;EUR")
    assert '--column unit_price="Preis netto"' in refused(tmp_path, *lines)
    (found,) = table(tmp_path, *lines, columns={"unit_price": "Preis brutto"}, vat_percent=0.0).records
    assert (found.price_in_currency, (found.note or "").split(";")[0]) == (
        1190.0,
        "1190 EUR with 0 % VAT, taken as it is",
    )
    rent = ("gpu;Unit price;Price per hour", "rtx-4090;$1599.00;$0.50")
    assert "buy and to rent" in refused(tmp_path, *rent)
    assert table(tmp_path, *rent, columns={"hour_price": "Price per hour"}).records[0].kind == "quote_rent"


def test_the_unit_of_a_price_is_said_by_heading_cell_or_column(tmp_path: Path) -> None:
    for lines in (
        ("gpu;price per GPU-hour", "l4;$0.55"),
        ("gpu;price", "l4;$0.55/GPU-hr"),
        ("gpu;price;unit", "l4;$0.55;GPU-hour"),
        ("gpu;$/GPU/h", "l4;0.55"),
    ):
        (found,) = table(tmp_path, *lines).records
        assert (found.kind, found.price_usd) == ("quote_rent", 0.55)
    assert "not a unit" in refused(tmp_path, "gpu;price;unit", "l4;$300.00;month")
    assert "names several units" in refused(tmp_path, "gpu;price per hour;unit", "l4;$0.55;Stück")


def test_every_name_of_a_column_means_one_field() -> None:
    seen: dict[str, str] = {}
    for field, names in WORDS.columns.items():
        for name in names:
            assert seen.setdefault(name, field) == field, name
            assert name == fold(name)
    assert set(WORDS.columns) == set(FIELDS)


def test_repeated_headings_and_empty_rows_are_no_quotes(tmp_path: Path) -> None:
    found = table(
        tmp_path,
        ",,",
        "gpu,price,",
        ",,",
        "rtx-4090,$5.50,",
        "gpu,price,",
        "Workstation cards,,",
        "l4,$6.50,",
    )
    assert [each.gpu_id for each in found.records] == ["rtx-4090", "l4"]
    assert "line 6 left out, no price: 'Workstation cards'" in found.warnings


def test_a_file_without_quotes_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, "gpu,price", "NVLink bridge for RTX A6000,$99.00")
    assert "no quotes in the file" in said
    assert "accessory" in said


# Protection


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 workbook", "workbook (.xlsx, .ods)"),
        (b"\xd0\xcf\x11\xe0 workbook", "old workbook"),
        (b"%PDF-1.7", "PDF"),
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"gpu,price\nrtx-4090,\x00", "no text"),
        (b"gpu,price\nrtx-4090,\x81", "not text"),
        (b'gpu,price\nrtx-4090,"$5', "not valid CSV"),
        (b"a" * (MAX_BYTES + 1), "larger than 8 MiB"),
        (b"gpu,price\n" + b"rtx-4090,$5.00\n" * 6000, "more than 5000 rows"),
        (b"vendor,gpu,price" + b"," * 300, "200 columns"),
        (b"gpu,price\n" + b"x" * 200_000 + b",$5.00", "not valid CSV"),
    ],
)
def test_what_is_no_price_list_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "quotes.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert message in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(InputError, match="folder"):
        read(tmp_path)


def test_formulas_are_text_and_nothing_unseen_comes_through(tmp_path: Path) -> None:
    formula = '"=HYPERLINK(""http://example.com"",""click"")"'
    (found,) = table(tmp_path, "vendor,gpu,price", f"{formula},rtx-4090,\u200e$5.50").records
    assert found.provider == '=HYPERLINK("http://example.com","click")'
    (found,) = table(tmp_path, "vendor,gpu,price", "A\x1b[31m\u202eB,RTX\u200b 4090,$5.50").records
    assert found.provider == "A\ufffd[31mB"
    assert found.gpu_id == "rtx-4090"
    assert "names no GPU" in refused(tmp_path, "gpu,price", '"=cmd|calc!A1",$5.50')


@settings(max_examples=60, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='gpu,;price\n"$1.5rtx-4090\t ', max_size=120).map(str.encode),
    )
)
def test_no_content_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    for content in (data, b"gpu,unit_price,quantity,valid_until,lead_time,currency\n" + data):
        path.write_bytes(content)
        with suppress(InputError):
            assert read(path).records


# Storage


def keep(path: Path, **more: object):  # type: ignore[no-untyped-def]
    return import_quotes(path, INDEX, **{"rates": RATES, "columns": {}, "today": TODAY, **more})  # type: ignore[arg-type]


def test_imported_quotes_come_back_as_they_were_read() -> None:
    answer = keep(DATA / "usa.csv")
    assert (answer.file, answer.name, answer.changed) == ("usa.csv", "usa", True)
    assert Path(answer.stored).is_file()
    records, messages = stored_quotes()
    assert messages == ()
    assert records == read(DATA / "usa.csv").records
    document = json.loads(answer.model_dump_json())
    assert document["schema"] == "gpu-advisor/price-import/1"
    last = document["quotes"][-1]
    assert (last["gpu"], last["name"], last["way"], last["expired"]) == (
        "rtx-6000-ada", "RTX 6000 Ada Generation", "buy", True
    )  # fmt: skip
    assert last["read_from"] == {
        "line": "line 5", "text": "NVIDIA RTX 6000 Ada Generation, 48 GB (VCNRTX6000ADA-PB)"
    }  # fmt: skip


def test_the_same_import_changes_nothing_and_another_one_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "acme.csv"
    path.write_text("gpu,price\nrtx-4090,$5.50\n", encoding="utf-8")
    stored = Path(keep(path).stored)
    before = stored.read_bytes()
    again = keep(path, today=TODAY + datetime.timedelta(days=3))
    assert not again.changed
    assert "imported before: nothing has changed" in again.messages
    assert stored.read_bytes() == before
    path.write_text("gpu,price\nrtx-4090,$4.50\n", encoding="utf-8")
    with pytest.raises(InputError, match="other quotes of this name") as caught:
        keep(path)
    assert "--force" in str(caught.value)
    assert stored.read_bytes() == before
    assert keep(path, force=True).changed
    assert stored_quotes()[0][0].price_usd == 4.5
    # Another rate makes other quotes of the same file.
    with pytest.raises(InputError, match="other quotes of this name"):
        keep(path, rates={"EUR": 1.2})


def test_a_broken_copy_is_reported_and_left_alone() -> None:
    keep(DATA / "usa.csv")
    broken = Path(keep(DATA / "france.csv").stored)
    broken.write_text('{"schema": "gpu-advisor/quotes/1"}', encoding="utf-8")
    records, messages = stored_quotes()
    assert {each.source.split(",")[0] for each in records} == {"usa.csv"}
    assert len(messages) == 1
    assert "france.json" in messages[0]
    assert broken.is_file()
    assert keep(DATA / "france.csv", force=True).changed
    assert stored_quotes()[1] == ()


def test_removing_names_what_there_is(tmp_path: Path) -> None:
    stored = Path(keep(DATA / "usa.csv").stored)
    with pytest.raises(InputError) as caught:
        remove_quotes("uas")
    assert "did you mean: usa" in str(caught.value)
    outside = tmp_path / "usa.json"
    outside.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError):
        remove_quotes(str(outside.with_suffix("")))
    assert remove_quotes("usa.csv") == stored
    assert not stored.exists()
    assert outside.exists()
    assert stored_names() == ()
    assert stored_quotes() == ((), ())


def test_names_of_files_become_names_that_every_system_has(tmp_path: Path) -> None:
    for file, name in (
        ("Angebot Nr. 5: Müller.csv", "Angebot-Nr.-5-Müller"),
        ("..csv", "quotes"),
        ("a b.CSV", "a-b"),
    ):
        path = tmp_path / file
        path.write_text("gpu,price\nrtx-4090,$5.50\n", encoding="utf-8")
        assert keep(path).name == name


def test_stored_records_are_price_records_of_the_book() -> None:
    keep(DATA / "rent.csv")
    records, _ = stored_quotes()
    assert all(isinstance(each, PriceRecord) for each in records)
    rented = PriceBook(records, shipped_devices(), today=TODAY).rent_price("h100-sxm5-80gb", 8)
    assert rented is not None
    assert rented.price_usd == pytest.approx(2.49 * 1.10)


def test_of_two_imports_of_one_name_at_once_one_is_told(tmp_path: Path) -> None:
    def bring(number: int) -> bool:
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "offer.csv"
        path.write_text(f"gpu,price\nrtx-4090,${1000 + number}\n")
        try:
            import_quotes(path, INDEX, rates={}, columns={}, today=TODAY, folder=tmp_path / "kept")
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(bring, range(16))) == 1
    assert len(stored_quotes(tmp_path / "kept")[0]) == 1
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["offer.json"]
