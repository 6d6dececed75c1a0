"""At what prices, and whether at all, GPUs can be had for a workload: prices, machines and suitability together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from advisor.compatibility import sold_together
from advisor.compatibility_tables import CompatibilityTables
from advisor.cost_answers import PriceTags, described
from advisor.economics import Prices
from advisor.hardware import Device
from advisor.host_facts import HostFacts
from advisor.hosts import Host, HostShare, HostTable, host_for, hosts_of
from advisor.places import Place, place
from advisor.price_book import PriceBook, PriceBracket
from advisor.prices import PriceRecord
from advisor.suitability import Suitability
from advisor.workload import Economics, Software, Workload


@dataclass(frozen=True, slots=True)
class Supply:
    """How a kind of GPU is bought in any number."""

    brackets: tuple[PriceBracket, ...]
    """Empty where it cannot be bought."""
    together: int
    """Only multiples of it are sold."""
    hosts: tuple[Host, ...]
    """Machines around it, with rising places and prices; empty where they do not count."""
    host_usd_per_gpu: float | None
    """What the user says that a GPU's share of its machine costs; None where the prices of machines count."""


class Procurement:
    """Answers for one catalog and one price book, each question once.

    Args:
        book: of prices.
        hosts: what machines around GPUs cost.
        places: countries.
        tables: what runs on and goes into what.
    """

    def __init__(
        self, book: PriceBook, hosts: HostTable, places: Mapping[str, Place], tables: CompatibilityTables
    ) -> None:
        self._book = book
        self._hosts = hosts
        self._places = places
        self._tables = tables
        self._tagged: dict[tuple[str, int, bool, str], PriceTags] = {}
        self._rented: dict[tuple[str, int], tuple[PriceRecord | None, PriceRecord | None]] = {}
        self._suited: dict[tuple[Software | None, HostFacts | None, str | None, bool], Suitability] = {}

    def suitability(self, workload: Workload) -> Suitability:
        """Return what judges whether GPUs work for a workload; the same for all that agree in what it asks.

        Raises:
            InputError: the country is not known.
        """
        country = workload.economics.country
        key = (
            None if workload.model.learner else workload.software,
            workload.host,
            place(country, self._places).country if country else None,
            "buy" in workload.constraints.acquire,
        )
        if key not in self._suited:
            software, host, code, buying = key
            self._suited[key] = Suitability(self._tables, software, host, code, buying=buying)
        return self._suited[key]

    def prices(self, workload: Workload, device: Device, count: int) -> Prices:
        """Return the prices of one GPU where ``count`` of a device are had."""
        economics = workload.economics
        tags = self.tags(device, count, economics)
        on_demand, _ = self._rents(device.id, count)
        own, host = economics.host_usd_per_gpu, tags.host
        return Prices(
            purchase_usd=tags.purchase.price_usd * _paid_share(device, count) if tags.purchase else None,
            rent_usd_per_h=on_demand.price_usd if on_demand else None,
            billed_gpus=on_demand.gpus_per_instance if on_demand else 1,
            spot_usd_per_h=tags.spot.price_usd if tags.spot else None,
            spot_billed_gpus=tags.spot.gpus_per_instance if tags.spot else 1,
            host_usd_per_gpu=own if isinstance(own, float | int) else host.usd_per_gpu if host else 0.0,
            host_power_w_per_gpu=host.power_w_per_gpu if host else 0.0,
            host_idle_w_per_gpu=host.idle_power_w_per_gpu if host else 0.0,
            no_purchase=self._no_purchase(workload, device, count, tags.purchase),
        )

    def tags(self, device: Device, count: int, economics: Economics) -> PriceTags:
        """Return the prices behind the costs of a number of a device, and what is to be said of them."""
        with_host = economics.host_usd_per_gpu != "none"
        key = (device.id, count, economics.spot, str(economics.host_usd_per_gpu))
        if key not in self._tagged:
            book = self._book
            on_demand, spot = self._rents(device.id, count)
            buy, rent = book.buy_price(device.id, count), spot if economics.spot else on_demand
            host = host_for(device, count, self._hosts) if with_host else None
            counted = host if economics.host_usd_per_gpu == "auto" else None
            self._tagged[key] = PriceTags(
                purchase=buy,
                rent=rent,
                spot=spot,
                host=host,
                purchase_spread=_purchase_spread(buy, book.purchase_spread(buy), counted) if buy else 1.0,
                rent_spread=book.rent_spread(rent) if rent else 1.0,
                old=tuple(
                    f"{what} {described(record)}"
                    for what, record in (("to buy,", buy), ("to rent,", rent))
                    if record is not None and book.is_old(record)
                ),
            )
        return self._tagged[key]

    def supply(self, workload: Workload, device: Device) -> Supply:
        """Return at what prices, in what steps and with what machines any number of a device is bought."""
        together = sold_together(device, self._tables)
        blocked = self.suitability(workload).no_purchase(device, together) is not None
        own = workload.economics.host_usd_per_gpu
        return Supply(
            brackets=()
            if blocked
            else self._book.purchase_brackets(device.id, quoted=workload.constraints.quoted),
            together=together,
            hosts=() if own == "none" else hosts_of(device, self._hosts),
            host_usd_per_gpu=own if isinstance(own, float | int) else None,
        )

    def _no_purchase(
        self, workload: Workload, device: Device, count: int, price: PriceRecord | None
    ) -> str | None:
        """Return why GPUs that have a price cannot be bought; None where they can, or have none."""
        if price is not None and workload.constraints.quoted and price.kind != "quote":
            return "no quote to buy it"
        return self.suitability(workload).no_purchase(device, count)

    def _rents(self, gpu: str, count: int) -> tuple[PriceRecord | None, PriceRecord | None]:
        """Return the prices on demand and spot."""
        if (gpu, count) not in self._rented:
            self._rented[gpu, count] = self._book.rent_price(gpu, count), self._book.spot_price(gpu, count)
        return self._rented[gpu, count]


def _purchase_spread(price: PriceRecord, spread: float, host: HostShare | None) -> float:
    """Return the multiplicative 80 % spread of a purchase, of a GPU and its share of a machine.

    The logarithms of both prices are taken as independent, and the sum as lognormal.

    Args:
        price: of the GPU.
        spread: of what is really paid for it.
        host: the share; None where it does not count, or the user says what it is.
    """
    if host is None or not host.usd_per_gpu:
        return spread
    of_host = math.log(host.high_usd_per_gpu / host.low_usd_per_gpu) / 2 if host.low_usd_per_gpu else 0.0
    parts = price.price_usd * math.log(spread), host.usd_per_gpu * of_host
    return math.exp(math.hypot(*parts) / (price.price_usd + host.usd_per_gpu))


def _paid_share(device: Device, count: int) -> float:
    """Return how many GPUs are paid for each that is wanted: boards of several are bought whole."""
    each = device.board.devices_per_board
    return math.ceil(count / each) * each / count
