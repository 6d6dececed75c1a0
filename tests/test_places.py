"""Electricity and carbon by country, and the machine around the GPUs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.catalog import shipped_devices
from advisor.errors import InputError
from advisor.hardware import Device
from advisor.hosts import HostTable, host_for, load_hosts
from advisor.places import WORLD, load_places, place
from advisor.yaml_io import data_root, read_yaml, validate

DEVICES = {device.id: device for device in shipped_devices()}
BUYERS = frozenset(
    """US CA MX BR AR CL GB IE DE FR ES PT IT NL BE LU CH AT DK SE NO FI IS PL CZ HU RO GR EE LV LT TR UA IL SA AE IN
    PK BD CN HK TW JP KR SG MY TH VN ID PH AU NZ ZA EG NG KE KZ""".split()  # noqa: SIM905 - shorter to read
)


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = (data_root() / "places.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "places.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    return tmp_path


def test_every_country_has_a_business_tariff_and_a_carbon_intensity_with_date_and_source() -> None:
    places = load_places()
    assert set(places) >= BUYERS
    for code, found in places.items():
        assert found.country == code
        for price in (found.business, found.household):
            assert price is None or (0.01 < price.usd_per_kwh < 0.6 and price.source and price.date >= "2025")
        assert found.business is not None
        assert found.business.unverified is not None, "no price of businesses was read in its source yet"
        assert found.carbon is not None
        assert 10 < found.carbon.g_per_kwh < 1000
        assert found.carbon.source


def test_numbers_as_their_sources_print_them() -> None:
    places = load_places()
    germany, france = places["DE"], places["FR"]
    assert germany.household is not None
    assert (germany.household.usd_per_kwh, germany.household.date) == (0.404, "2025-Q4")
    assert germany.household.unverified == "second hand"
    assert germany.carbon is not None
    assert (germany.carbon.g_per_kwh, germany.carbon.date, germany.carbon.unverified) == (344, "2024", None)
    assert france.carbon is not None
    assert france.carbon.g_per_kwh == 44.2
    assert france.note is not None
    assert "codecarbon" in france.note


def test_the_world_stands_in_where_no_country_is_named_and_says_that_it_is_assumed() -> None:
    world = load_places()[WORLD]
    assert world.electricity is not None
    assert (world.electricity.usd_per_kwh, world.electricity.unverified) == (0.18, "assumption")
    assert world.carbon is not None
    assert 400 < world.carbon.g_per_kwh < 500


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("DE", "DE"),
        ("de", "DE"),
        ("germany", "DE"),
        ("  South   Korea ", "KR"),
        ("UK", "GB"),
        ("NO", "NO"),
        ("USA", "US"),
    ],
)
def test_a_place_by_code_or_name(said: str, code: str) -> None:
    assert place(said, load_places()).country == code


def test_an_unknown_place_is_refused_with_the_nearest_and_cannot_steer_the_terminal() -> None:
    with pytest.raises(InputError) as caught:
        place("Germny\x1b[2J", load_places())
    assert "Germany" in caught.value.candidates
    assert "\x1b" not in str(caught.value)


def test_the_price_of_businesses_counts_before_that_of_households() -> None:
    germany = load_places()["DE"]
    assert germany.electricity == germany.business
    assert germany.model_copy(update={"business": None}).electricity == germany.household


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name: Germany", "name: France", "two places have this name"),
        ("source: our-world-in-data", "source: hearsay", "not explained"),
        ("usd_per_kwh: 0.404", "usd_per_kwh: 40.4", "usd_per_kwh"),
        ("date: 2025-Q4", "date: last winter", "date"),
        ("\n  world:\n", "\n  XX:\n", "are needed"),
        ("\n  DE:\n", "\n  germany:\n", "germany"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_places(changed(tmp_path, old, new))


# The machine around the GPUs --------------------------------------------------------------------------------


def test_every_gpu_of_the_catalog_has_a_host_and_no_processor_does() -> None:
    for device in DEVICES.values():
        assert (host_for(device, 1, load_hosts()) is None) == (device.kind == "cpu"), device.id


@pytest.mark.parametrize(
    ("device", "count", "host", "machines"),
    [
        ("rtx-4090", 1, "desktop", 1),
        ("rtx-4090", 2, "desktop", 1),
        ("rtx-4090", 3, "workstation", 1),
        ("rtx-4090", 5, "PCIe server for eight cards", 1),
        ("rtx-4090", 9, "PCIe server for eight cards", 2),
        ("l4", 1, "rack server for two cards", 1),
        ("l4", 3, "PCIe server for eight cards", 1),
        ("h100-sxm5-80gb", 1, "HGX or OAM server for eight GPUs", 1),
        ("h100-sxm5-80gb", 9, "HGX or OAM server for eight GPUs", 2),
        ("mi300x", 8, "HGX or OAM server for eight GPUs", 1),
        ("gb200-186gb", 4, "node of a superchip", 4),
    ],
)
def test_which_machine(device: str, count: int, host: str, machines: int) -> None:
    share = host_for(DEVICES[device], count, load_hosts())
    assert share is not None
    assert (share.host, share.machines) == (host, machines)


@pytest.mark.parametrize(
    "device", ["apple-m1-max", "rtx-4080-laptop", "gb10-dgx-spark", "jetson-agx-orin-64gb"]
)
def test_a_computer_needs_no_machine_around_it(device: str) -> None:
    share = host_for(DEVICES[device], 3, load_hosts())
    assert share is not None
    assert (share.usd_per_gpu, share.power_w_per_gpu, share.machines) == (0, 0, 3)


@pytest.mark.parametrize(("device", "gpus"), [("tesla-k80", 16), ("a16", 32)])
def test_a_board_of_several_gpus_takes_one_place(device: str, gpus: int) -> None:
    share = host_for(DEVICES[device], gpus, load_hosts())
    assert share is not None
    assert (share.machines, host_for(DEVICES[device], gpus + 1, load_hosts()).machines) == (1, 2)  # type: ignore[union-attr]


@given(
    device=st.sampled_from([device for device in DEVICES.values() if device.kind == "gpu"]),
    count=st.integers(min_value=1, max_value=2000),
)
def test_shares_add_up_to_whole_machines_with_a_place_for_every_board(device: Device, count: int) -> None:
    table = load_hosts()
    share = host_for(device, count, table)
    assert share is not None
    host = next(host for host in table.hosts if host.name == share.host)
    assert share.usd_per_gpu * count == pytest.approx(host.usd * share.machines)
    assert share.power_w_per_gpu * count == pytest.approx(
        (host.idle_power_w + host.load_power_w) * share.machines
    )
    boards = math.ceil(count / device.board.devices_per_board)
    assert boards <= host.places * share.machines < boards + host.places
    assert share.low_usd_per_gpu <= share.usd_per_gpu <= share.high_usd_per_gpu
    assert share.unverified == "from memory"


@given(
    device=st.sampled_from([device for device in DEVICES.values() if device.kind == "gpu"]),
    count=st.integers(min_value=1, max_value=500),
)
def test_one_more_gpu_never_makes_the_machines_cheaper(device: Device, count: int) -> None:
    """A fleet buys no card for the sake of its machine."""
    fewer, more = (host_for(device, number, load_hosts()) for number in (count, count + 1))
    assert fewer is not None
    assert more is not None
    assert fewer.usd_per_gpu * count <= more.usd_per_gpu * (count + 1) + 1e-6


def test_no_gpu_has_no_share() -> None:
    with pytest.raises(InputError, match="number of GPUs"):
        host_for(DEVICES["rtx-4090"], 0, load_hosts())


def test_a_table_of_the_buyer_counts() -> None:
    document = read_yaml(data_root() / "hosts.yaml")
    assert isinstance(document, dict)
    desktop = next(host for host in document["hosts"] if host["id"] == "desktop")
    quoted = {**desktop, "usd": 3000.0, "high_usd": 5000.0}
    table = validate(HostTable, {**document, "hosts": [quoted], "unverified": None}, "test")
    share = host_for(DEVICES["rtx-4090"], 2, table)
    assert share is not None
    assert (share.usd_per_gpu, share.unverified) == (1500.0, None)
    with pytest.raises(InputError, match="is not within"):
        validate(HostTable, {**document, "hosts": [{**quoted, "high_usd": 2000.0}]}, "test")
