"""The only room that puts the parts together: every face calls :class:`Advisor` and nothing else.

An :class:`Advisor` is opened once a process; readers are lazy, so a question costs only what it needs. Nothing here
touches the network.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor.alternatives import MORE_GPUS, changes
from advisor.answers import estimate_document, time_spread
from advisor.baseline import Baseline
from advisor.calibration import profile_of
from advisor.candidates import Candidate, candidates
from advisor.catalog import load_devices, name_index
from advisor.compatibility_tables import CompatibilityTables, load_compatibility
from advisor.corrections import Corrected, cautions, corrected
from advisor.cost_answers import by_way, flip_documents, outlay_documents
from advisor.describe.named import list_models, load_named
from advisor.describe.shipped_networks import shipped_networks
from advisor.describe.subject import NetworkSubject, Subject
from advisor.describe.variant import QUANTISED_BYTES
from advisor.documents import (
    CalibrationsAnswer,
    CompareAnswer,
    EstimateAnswer,
    EstimateDocument,
    EvidenceDocument,
    ExcludedDocument,
    GpuAnswer,
    GpuDocument,
    ModelAnswer,
    ModelDocument,
    RecommendAnswer,
    RecommendationDocument,
    RelaxDocument,
    WhatIfDocument,
)
from advisor.economics import Terms
from advisor.efficiency import load_constants
from advisor.errors import InputError
from advisor.errors import nearest as nearest_names
from advisor.estimation.devices import constants_of
from advisor.estimation.network import GPUS_PER_NODE
from advisor.execution import Constants
from advisor.hardware import Device, NameIndex
from advisor.hosts import load_hosts
from advisor.hub_model import HubModel
from advisor.local_cpu import local_cpu_name
from advisor.models import CodePolicy, hub_subject, named_subject, operator_table, runnable_of, subject_of
from advisor.network import NetworkTable
from advisor.objective import Objective
from advisor.places import Place, load_places
from advisor.plan import counts
from advisor.price_book import PriceBook, load_prices
from advisor.problem import Problem, problem_of, refusal
from advisor.procurement import Procurement
from advisor.published_runs import PublishedRuns
from advisor.quote_files import NO_QUOTE_FILES, QuoteFiles, imported_quotes
from advisor.ranking import (
    EXPLANATIONS,
    Ranked,
    Refused,
    broken,
    excluded_before,
    excluded_documents,
    is_awkward,
    joins_nodes,
    largest_count,
    picks,
    rank,
    relaxations,
    score,
    within_budget,
)
from advisor.roofline import roofline_document
from advisor.searched import Searched, SearchedBefore
from advisor.suitability import compatibility_documents
from advisor.terms import described_terms, terms_of
from advisor.torch_model import TorchModel
from advisor.units import GIB
from advisor.user_data import user_data_folder
from advisor.views import (
    about,
    factor_documents,
    fetched_document,
    gpu_document,
    model_document,
    network_document,
    pick_document,
    ratio_document,
    reasons,
    stored_document,
)
from advisor.workload import Constraints, Transformer, Workload
from advisor.yaml_io import data_root

if TYPE_CHECKING:
    from advisor.accuracy_documents import AccuracyAnswer, Axis
    from advisor.fleet.market import Offer
    from advisor.fleet_documents import FleetAnswer
    from advisor.fleet_file import Fleet
    from advisor.price_documents import PricesAnswer

__all__ = ["Advisor", "CodePolicy", "open_advisor"]

LOCAL = "local"
"""Names the processor of this machine."""

LARGEST_COUNT = 512
"""Where a datacenter GPU does not fit in one node and the user sets no limit, whole nodes up to this many are tried."""


KEPT_SUBJECTS = 1000
"""Models that are remembered; a stream of questions may name a new one in each."""

FILTERS = ("vendors", "segments", "ecc", "min_memory_gib")
"""Constraints on the device itself."""

UNSPLITTABLE = (
    "the layout or the batch cannot be divided over any number of these that one would put together"
)

ALIKE = 0.02
"""By what share the memory of a machine may differ between two looks at it: kernels keep some for themselves."""

ROWS_WITH_EVIDENCE = 1
"""First rows of a ranking whose evidence is looked up, which takes its time; ``estimate`` does it for any GPU."""


class Advisor:
    """Answers questions from the shipped catalog and the user's own folders.

    Args:
        catalog_folders: folders of YAML entries that add to the catalog or override it.
        root: the shipped catalog.
        code: whether a workload's model that is code may run.
        calibrated: whether calibrations of the user and the team count.
        quotes: files of quotes that count without being imported.
        today: the day on which ages of prices and ends of quotes are counted; that of the machine when left out.
        hub: returns a model of the Hugging Face hub; None where the hub is not asked.
    """

    def __init__(
        self,
        catalog_folders: Sequence[Path] = (),
        root: Path | None = None,
        code: CodePolicy | None = None,
        *,
        calibrated: bool = True,
        quotes: QuoteFiles = NO_QUOTE_FILES,
        today: datetime.date | None = None,
        hub: Callable[[str], HubModel] | None = None,
    ) -> None:
        self._with_calibrations = calibrated
        self._quote_files = quotes
        self._today = today or datetime.date.today()
        self._hub = hub
        self._folders = tuple(catalog_folders)
        self._root = root or data_root()
        self._code = code or CodePolicy()
        self._subjects: dict[str, Subject] = {}
        self._before = SearchedBefore()

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """All devices, CPUs included; those that only a calibration knows are the last."""
        return (*self._catalog, *self._corrected.unlisted)

    @property
    def today(self) -> datetime.date:
        """The day on which ages of prices and ends of quotes are counted."""
        return self._today

    @cached_property
    def _catalog(self) -> tuple[Device, ...]:
        devices = load_devices(self._folders)
        for device in devices:
            if device.origin != "catalog":
                _check_architecture(device, self.shipped_constants)
        return devices

    @cached_property
    def _corrected(self) -> Corrected:
        if not self._with_calibrations:
            return Corrected(self.shipped_constants)
        return corrected(self._folders, self._root, self._catalog, self.shipped_constants, self._today)

    @cached_property
    def _index(self) -> NameIndex:
        return name_index(self.devices)

    @cached_property
    def names(self) -> NameIndex:
        """What the catalog's devices are called, those of the user's folders included."""
        return name_index(self._catalog)

    def unlisted_name(self, name: str, units: int | None, memory_mib: float) -> str | None:
        """Return the id of the device that a calibration knows and the catalog does not; None without a calibration.

        Args:
            name: the driver's.
            units: multiprocessors or cores.
            memory_mib: total.
        """
        for stored in self._corrected.stored:
            device = stored.profile.device
            alike = (device.name, device.units) == (name, units)
            if alike and device.gpu is None and abs(device.memory_mib / memory_mib - 1) < ALIKE:
                found = self._corrected.devices.get(stored.name)
                if found is not None:
                    return found
        return None

    def reopened(self) -> Advisor:
        """Return an advisor over the same catalog that reads calibrations and prices again."""
        return self._again(calibrated=True)

    def uncalibrated(self) -> Advisor:
        """Return an advisor over the same catalog that uses no calibration."""
        return self._again(calibrated=False)

    def _again(self, *, calibrated: bool) -> Advisor:
        return Advisor(
            self._folders, self._root, self._code, calibrated=calibrated, quotes=self._quote_files,
            today=self._today, hub=self._hub,
        )  # fmt: skip

    def runnable_model(self, workload: Workload) -> tuple[TorchModel | Transformer, int]:
        """Return what a workload's model is for a process that really runs it, and the tokens of one sample.

        Raises:
            InputError: the model is no network, or its code may not run.
        """
        problem = self._problem(workload)
        return runnable_of(workload, problem.subject, self._code), problem.sequence_length

    @cached_property
    def shipped_constants(self) -> Constants:
        """The fitted constants of efficiency."""
        return load_constants(self._root)

    @property
    def constants(self) -> Constants:
        """The same under the calibrations of the user and the team."""
        return self._corrected.constants

    @cached_property
    def _published(self) -> PublishedRuns:
        return PublishedRuns(self._root, self._index.by_id, self.shipped_constants)

    @cached_property
    def prices(self) -> PriceBook:
        """Dated prices: the user's quotes, shipped ones and, of the last good copies of live ones, what counts."""
        return self._price_book(everything=False)

    @cached_property
    def _listed_prices(self) -> PriceBook:
        """The same with each live price."""
        return self._price_book(everything=True)

    def _price_book(self, *, everything: bool) -> PriceBook:
        found, messages = self._quote_files.records(self.names, self._today)
        stored, problems = imported_quotes(user_data_folder())
        return load_prices(
            self.devices, user_folder=user_data_folder(), quotes=(*stored, *found), today=self._today,
            messages=(*problems, *messages), everything=everything,
        )  # fmt: skip

    @cached_property
    def _places(self) -> Mapping[str, Place]:
        return load_places(self._root)

    @cached_property
    def _compatibility(self) -> CompatibilityTables:
        return load_compatibility(self._root)

    @cached_property
    def _procurement(self) -> Procurement:
        return Procurement(self.prices, load_hosts(self._root), self._places, self._compatibility)

    def recommend(
        self,
        workload: Workload,
        *,
        objective: Objective = "balanced",
        limit: int | None = 20,
        cpu: str | None = None,
    ) -> RecommendAnswer:
        """Rank GPUs, and counts of them, for a workload.

        Args:
            workload: the job.
            objective: what to minimise; ``value`` is work per dollar of purchase.
            limit: rows to list; None for all.
            cpu: the processor to compare with: an id or name, or ``local``; the catalog's choice when left out.

        Raises:
            InputError: the workload contradicts itself or names what does not exist.
        """
        problem = self._problem(workload)
        constraints = workload.constraints
        wanted, excluded = self._wanted(problem)
        whole_job = problem.has_length
        qualified: list[Candidate] = []
        refusals: list[tuple[Refused, ...]] = []

        def in_the_way(candidate: Candidate) -> tuple[Refused, ...]:
            return broken(candidate, constraints, whole_job=whole_job)

        tried = set()
        searched = self._before.of(problem, wanted, self.constants)
        for candidate in self._search(problem, searched, wanted, lambda each: not in_the_way(each)):
            tried.add(candidate.device.id)
            if obstacles := in_the_way(candidate):
                refusals.append(obstacles)
            else:
                qualified.append(candidate)
        excluded += [
            ExcludedDocument(gpu=device.id, name=device.name, reason=UNSPLITTABLE, constraint="count")
            for device in wanted
            if device.id not in tried
        ]
        ranking = rank(
            qualified, objective, constraints, whole_job=whole_job, time_factor=self._time_factor(problem)
        )
        listed = ranking[:limit]
        baseline = self._baseline(problem, cpu or self.constants.baseline.cpu)
        rows = tuple(
            self._recommendation(problem, searched, place, row, baseline)
            for place, row in enumerate(listed, start=1)
        )
        shown = {row.candidate.device.id for row in ranking}
        return RecommendAnswer(
            workload=_plain(workload),
            objective=objective,
            objective_explained=EXPLANATIONS[objective],
            recommendations=rows,
            picks=tuple(
                pick_document(problem, label, row, ranking.index(row) + 1, self._price_doubt(row.candidate))
                for label, row in picks(ranking, constraints, objective)
            ),
            shown=len(rows),
            qualified=len(ranking),
            excluded=(*excluded_documents(refusals, shown), *excluded),
            relax=() if ranking else tuple(self._relaxations(problem, refusals, excluded)),
            cpu=baseline.document(self.constants),
            warnings=(
                *about(problem),
                *_limits(problem),
                *self._calibrations_in(row.gpu for row in rows),
                *self._corrected.messages,
                *self.prices.messages,
            ),
        )

    def price_list(self, gpu: str | None = None) -> PricesAnswer:
        """Return the prices that answers count with; of one GPU all prices, and what live sources said before.

        Args:
            gpu: id, name or alias; all GPUs with a price when left out.

        Raises:
            InputError: the GPU is not known, or a file of quotes is wrong.
        """
        from advisor.fetch.history import history
        from advisor.price_answers import gpu_prices, prices_answer

        book = self._listed_prices
        if gpu is not None:
            device = self._device(gpu)
            before = history(device.id, user_data_folder())
            documents = [gpu_prices(device, book, everything=True, history=before)]
        else:
            priced = [device for device in self.devices if book.records(device.id)]
            documents = [gpu_prices(device, book, everything=False) for device in priced]
        return prices_answer(documents, book, book.messages)

    def fleet(self, fleet: Fleet) -> FleetAnswer:
        """Decide what to buy and rent for several workloads together.

        Args:
            fleet: the workloads, how often each runs, and the limits of all together.

        Raises:
            InputError: a workload is wrong, with its place in the fleet's document.
            MissingExtraError: SciPy is not installed.
        """
        from advisor.fleet.answer import fleet_answer
        from advisor.fleet.market import Market
        from advisor.fleet_market import demand_of, fleet_limits, fleet_terms, gpu_of, offer_of

        offers: list[Offer] = []
        found: dict[str, Candidate] = {}
        excluded: dict[str, list[ExcludedDocument]] = {}
        relax: dict[str, list[RelaxDocument]] = {}
        for job in fleet.jobs:
            try:
                problem = self._problem(job.workload)
                if job.runs_per_year is not None and not problem.has_length:
                    raise InputError(
                        "how long a run is, is not given", field="data",
                        accepted="data: {tokens: ...}, {samples: ..., epochs: ...} or {steps: ...}",
                    )  # fmt: skip
                wanted, excluded[job.name] = self._wanted(problem)
                searched = self._before.of(problem, wanted, self.constants)
                tried = list(self._search(problem, searched, wanted, lambda _: True))
            except InputError as error:
                raise job.blamed(error) from None
            refused = [broken(each, Constraints(), whole_job=True) for each in tried if not each.fits]
            fitting = {each.device.id for each in tried if each.fits}
            excluded[job.name] += excluded_documents(refused, fitting)
            if not fitting:
                relax[job.name] = list(self._relaxations(problem, refused, excluded[job.name]))
            for candidate in tried:
                if candidate.fits:
                    tags = self._procurement.tags(candidate.device, candidate.count, job.workload.economics)
                    offers.append(offer_of(job, problem, candidate, tags, self.constants))
                    found.setdefault(candidate.device.id, candidate)
        terms = terms_of(fleet.economics, self._places)
        supply = self._procurement.supply
        market = Market(
            demands=[demand_of(job) for job in fleet.jobs],
            gpus=[gpu_of(each, supply(fleet.jobs[0].workload, each.device)) for each in found.values()],
            offers=offers,
            terms=fleet_terms(fleet, terms),
            limits=fleet_limits(fleet),
        )
        return fleet_answer(
            market, name=fleet.name, as_of=self._today, excluded=excluded, relax=relax,
            assumptions=described_terms(fleet.economics, terms, self._places, fleet=True),
            warnings=(*fleet.notes, *self.prices.messages, *self._corrected.messages),
        )  # fmt: skip

    def _wanted(self, problem: Problem) -> tuple[list[Device], list[ExcludedDocument]]:
        """Return the GPUs that a problem can be run on, and why not the others."""
        suitability = self._procurement.suitability(problem.workload)
        wanted: list[Device] = []
        excluded: list[ExcludedDocument] = []
        for device in self.devices:
            if device.kind != "gpu":
                continue
            why = excluded_before(device, problem.workload.constraints)
            if why is None and (reason := refusal(problem, device)):
                why = ("software" if problem.subject.refusal(device) else "precision"), reason
            if why is None and (reason := suitability.no_software(device)):
                why = "software", reason
            if why is None:
                wanted.append(device)
            else:
                excluded.append(
                    ExcludedDocument(gpu=device.id, name=device.name, reason=why[1], constraint=why[0])
                )
        return wanted, excluded

    def _relaxations(
        self, problem: Problem, refusals: Sequence[tuple[Refused, ...]], excluded: Sequence[ExcludedDocument]
    ) -> Iterator[RelaxDocument]:
        """Yield what to relax: limits that are in the way, and filters without which there would be an answer."""
        constraints = problem.workload.constraints
        yield from relaxations(refusals, constraints)
        names = {document.constraint for document in excluded} & set(FILTERS)
        for name in sorted(names):
            free = constraints.model_copy(update={name: type(constraints)().model_dump()[name]})
            workload = problem.workload.model_copy(update={"constraints": free})
            others = self.recommend(workload, limit=1).recommendations
            if others:
                best = others[0]
                current = constraints.model_dump(mode="json")[name]
                yield RelaxDocument(
                    constraint=name,
                    current=current if isinstance(current, float) else str(current),
                    needed="any",
                    message=f"leave out constraints.{name}: then {best.name} qualifies",
                    gpu=best.gpu,
                )

    def estimate(
        self, workload: Workload, *, gpus: Sequence[str], count: int | None = None, cpu: str | None = None
    ) -> EstimateAnswer:
        """Estimate memory, time and cost on the named GPUs, without ranking.

        Args:
            workload: the job.
            gpus: ids, names or aliases.
            count: GPUs of each; 1 when left out, or what a fixed parallel layout asks for.
            cpu: a processor to compare with: an id or name, or ``local``.

        Raises:
            InputError: a GPU is not known, or the workload cannot be run on this many.
        """
        problem = self._problem(workload)
        baseline = None if cpu is None else self._baseline(problem, cpu)
        return EstimateAnswer(
            workload=_plain(workload),
            estimates=tuple(self._estimates(problem, gpus, count, baseline)),
            cpu=None if baseline is None else baseline.document(self.constants),
            warnings=(*about(problem), *self._corrected.messages, *self.prices.messages),
        )

    def compare(
        self,
        workload: Workload,
        *,
        gpus: Sequence[str],
        count: int | Sequence[int] | None = None,
        cpu: str | None = None,
    ) -> CompareAnswer:
        """Estimate on the named GPUs and relate each to the first.

        Args:
            workload: the job.
            gpus: ids, names or aliases.
            count: GPUs of each, one number for all or one for each; see :meth:`estimate`.
            cpu: a processor to compare with: an id or name, or ``local``.

        Raises:
            InputError: as :meth:`estimate`.
        """
        problem = self._problem(workload)
        baseline = None if cpu is None else self._baseline(problem, cpu)
        rows = tuple(self._estimates(problem, gpus, count, baseline))
        return CompareAnswer(
            workload=_plain(workload),
            estimates=rows,
            ratios=tuple(ratio_document(row, rows[0]) for row in rows),
            cpu=None if baseline is None else baseline.document(self.constants),
            warnings=(
                *about(problem),
                *self._calibrations_in(row.gpu for row in rows),
                *self._corrected.messages,
            ),
        )

    def describe(self, workload: Workload) -> NetworkTable:
        """Return the operator table of a workload's model; code runs where the policy allows it.

        Raises:
            InputError: the model has no table of its own: it is a transformer by its dimensions, or no network.
        """
        return operator_table(workload, self._root, self.constants.learners, self._code, self._hub)

    def accuracy(self, by: Axis | None = None, *, worst: int = 1) -> AccuracyAnswer:
        """Compare every published figure of the catalog with the prediction for exactly that run.

        Args:
            by: what to group the figures of each section by.
            worst: rows to list of each section, those that are off the most.
        """
        from advisor.fit.compared import compared
        from advisor.fit.report import accuracy_answer

        evidence = compared(self._root, self._index.by_id, self.shipped_constants)
        return accuracy_answer(
            evidence.comparisons, evidence.left_out, constants_date=self.shipped_constants.date, by=by,
            worst_rows=worst,
        )  # fmt: skip

    def calibrations(self, name: str | None = None) -> CalibrationsAnswer:
        """List the profiles of this user and this team, or show one with what it says of its device.

        Args:
            name: of a profile; all when left out.

        Raises:
            InputError: there is none of this name.
        """
        found, today = self._corrected, self._today
        stale = self.constants.calibration.stale_days
        chosen = found.stored if name is None else (profile_of(name, found.stored),)
        device = None if name is None else found.devices.get(name)
        return CalibrationsAnswer(
            calibrations=tuple(
                stored_document(each, found.devices.get(each.name), cautions(each, stale, today))
                for each in chosen
            ),
            profile=None if name is None else chosen[0].profile,
            factors=() if device is None else factor_documents(self.constants.calibrations[device]),
            messages=found.messages,
        )

    def gpus(self, query: str | None = None) -> GpuAnswer:
        """List the devices whose id, name, architecture, vendor or segment contain every word of ``query``."""
        words = (query or "").lower().split()
        found = []
        for device in self.devices:
            text = " ".join(
                (device.id, device.name, device.architecture, device.vendor, device.segment, device.kind)
            ).lower()
            if all(word in text for word in words):
                found.append(self._listed(device))
        return GpuAnswer(gpus=tuple(found))

    def gpu(self, name: str) -> GpuAnswer:
        """Return one device with the source of each number.

        Raises:
            InputError: the name means no device, or several.
        """
        device = self._device(name)
        document = self._listed(device)
        entry = device.model_dump(mode="json", exclude_none=True, exclude={"origin", "overrides"})
        known = compatibility_documents(device, self._compatibility)
        return GpuAnswer(gpus=(document.model_copy(update={"entry": entry, "compatibility": known}),))

    def _calibrations_in(self, gpus: Iterable[str]) -> Iterator[str]:
        """Yield which calibration stands behind which of the GPUs that an answer lists."""
        found: dict[str, list[str]] = {}
        for gpu in dict.fromkeys(gpus):
            calibration = self.constants.calibrations.get(gpu)
            if calibration is not None:
                found.setdefault(f"{calibration.profile} ({calibration.date})", []).append(gpu)
        for profile, names in found.items():
            yield f"calibration {profile} counts for {', '.join(names)}"

    def _listed(self, device: Device) -> GpuDocument:
        buy, rent = self.prices.buy_price(device.id), self.prices.rent_price(device.id)
        return gpu_document(device, buy, rent, self.constants)

    def models(self, query: str | None = None) -> ModelAnswer:
        """List the shipped models whose name, family or kind contain every word of ``query``."""
        words = (query or "").lower().split()
        found = (
            *(model_document(model, dimensions=False) for model in list_models(self._root)),
            *(network_document(network) for network in shipped_networks(self._root).values()),
        )
        return ModelAnswer(models=tuple(each for each in found if _matches(each, words)))

    def fetched(self, model: HubModel) -> ModelAnswer:
        """Return a model of the Hugging Face hub with its dimensions.

        Raises:
            InputError: its config describes no transformer that is known.
        """
        return ModelAnswer(models=(fetched_document(hub_subject(model)),))

    def model(self, name: str) -> ModelAnswer:
        """Return one shipped model with its dimensions.

        Raises:
            InputError: no shipped model has this name.
        """
        subject = named_subject(name, self._root)
        if isinstance(subject, NetworkSubject):
            return ModelAnswer(models=(network_document(shipped_networks(self._root)[subject.name]),))
        return ModelAnswer(models=(model_document(load_named(self._root, name), dimensions=True),))

    def _time_factor(self, problem: Problem) -> Callable[[Candidate], float]:
        """Return how much longer than estimated an answer counts as taking: its spread, and its platform's gaps."""
        extra = {
            "current": 1.0,
            "legacy": self.constants.ranking.legacy,
            "partial": self.constants.ranking.partial,
        }

        def factor(candidate: Candidate) -> float:
            support = constants_of(candidate.device, self.constants).support
            return time_spread(problem, candidate.device, candidate.count, self.constants) * extra[support]

        return factor

    def _device(self, name: str) -> Device:
        try:
            return self._index.resolve(name)
        except InputError as error:
            if error.field is None:
                error.field = "gpu"
            raise

    def _problem(self, workload: Workload) -> Problem:
        return problem_of(workload, self._subject(workload))

    def _subject(self, workload: Workload) -> Subject:
        """Return the model that a workload names; code runs once, however often it is asked about.

        A model in a file is read each time: the file may have changed.
        """
        if workload.model.table is not None or workload.model.huggingface is not None:
            return subject_of(workload, self._root, self.constants.learners, self._code, self._hub)
        key = f"{workload.name} {workload.model.model_dump_json()}"
        if key not in self._subjects:
            self._subjects[key] = subject_of(
                workload, self._root, self.constants.learners, self._code, self._hub
            )
            if len(self._subjects) > KEPT_SUBJECTS:
                del self._subjects[next(iter(self._subjects))]
        return self._subjects[key]

    def _search(
        self,
        problem: Problem,
        searched: Searched,
        devices: Sequence[Device],
        accepted: Callable[[Candidate], bool],
    ) -> Iterator[Candidate]:
        """Yield the best plan of every device for each number of GPUs that is sensible for its segment.

        Powers of two come first, as machines are built and rented; other numbers are tried for devices that fit but are
        not ``accepted`` in any of those. Where the user sets no limit and a datacenter GPU does not fit in one node,
        whole nodes are tried up to the first number that fits.
        """
        if not devices:
            return
        limit = problem.workload.constraints.max_count
        largest = {device.id: largest_count(device, limit) for device in devices}
        fitted: set[str] = set()
        settled: set[str] = set()
        numbers = counts(max(largest.values()))
        for awkward in (False, True):
            wanted = (fitted - settled) if awkward else set(largest)
            for count in numbers:
                if is_awkward(count) is not awkward:
                    continue
                possible = {name for name in wanted if count <= largest[name]}
                for candidate in self._of_count(problem, searched, count, possible):
                    if candidate.fits:
                        fitted.add(candidate.device.id)
                        if accepted(candidate):
                            settled.add(candidate.device.id)
                    yield candidate
        if limit is None:
            yield from self._whole_nodes(
                problem,
                searched,
                {each.id for each in devices if each.id not in fitted and joins_nodes(each)},
            )

    def _whole_nodes(self, problem: Problem, searched: Searched, remaining: set[str]) -> Iterator[Candidate]:
        for count in counts(LARGEST_COUNT):
            if count <= GPUS_PER_NODE:
                continue
            for candidate in list(self._of_count(problem, searched, count, remaining)):
                if candidate.fits:
                    remaining = remaining - {candidate.device.id}
                yield candidate

    def _of_count(
        self, problem: Problem, searched: Searched, count: int, wanted: Collection[str] | None = None
    ) -> Iterator[Candidate]:
        """Yield the best plan of each device for a number of GPUs; of ``wanted`` ones alone where they are named."""
        terms = terms_of(problem.workload.economics, self._places)
        for team in searched.teams:
            devices = [device for device in team.devices if wanted is None or device.id in wanted]
            choices = searched.best(team, count) if devices else None
            if choices is not None:
                prices = {
                    device.id: self._procurement.prices(problem.workload, device, count) for device in devices
                }
                yield from candidates(problem, team, count, choices, prices, terms, self.constants)

    def _price_doubt(self, candidate: Candidate) -> str | None:
        """Return why the purchase price of a candidate is a guess."""
        price = self.prices.buy_price(candidate.device.id, candidate.count)
        return price.unverified if price else None

    def _baseline(self, problem: Problem, name: str) -> Baseline:
        """Return what a processor does of a problem, in a precision that suits it.

        Raises:
            InputError: the catalog has no such processor.
            ExternalError: this machine's processor cannot be read.
        """
        local = name == LOCAL
        device = self._local_cpu() if local else self._cpu(name)
        workload = problem.workload.model_copy(update={"precision": "auto", "sharding": "auto"})
        if problem.workload.effective_task == "inference" and problem.workload.precision in QUANTISED_BYTES:
            workload = problem.workload
        try:
            other = problem_of(workload, problem.subject)
            reason = refusal(other, device)
            searched = None if reason else self._before.of(other, [device], self.constants)
            found = None if searched is None else self._of_count(other, searched, 1)
            candidate = None if found is None else next(found, None)
        except InputError as error:
            return Baseline(device, local, problem, None, str(error))
        if candidate is None or not candidate.fits:
            return Baseline(
                device, local, other, None, reason or "it does not fit into the memory of the platform"
            )
        return Baseline(device, local, other, candidate)

    def _local_cpu(self) -> Device:
        """Return this machine's processor: as it was calibrated, else as the catalog has it.

        Raises:
            InputError: neither has it.
            ExternalError: it cannot be read.
        """
        name = local_cpu_name()
        for device in self._corrected.unlisted:
            if device.kind == "cpu" and device.identifiers.aliases == (name,):
                return device
        return self._cpu(name, "this machine's processor is not in the catalog, nor calibrated")

    def _cpu(self, name: str, unknown: str = "the catalog has no such processor") -> Device:
        cpus = [device.id for device in self.devices if device.kind == "cpu"]
        try:
            device = self._index.resolve(name)
        except InputError as error:
            raise InputError(
                unknown, field="cpu", value=name, candidates=nearest_names(name, cpus),
                accepted=f"--with-cpu ID, such as {cpus[0]}; gpu-advisor gpus cpu lists them",
            ) from error  # fmt: skip
        if device.kind != "cpu":
            raise InputError(
                "this is no processor", field="cpu", value=name, accepted=", ".join(cpus[:5]) + ", ..."
            )
        return device

    def _evidence(
        self, problem: Problem, searched: Searched, device: Device, count: int
    ) -> tuple[EvidenceDocument, ...]:
        """Return the published runs near to a number of a device, looked for once in a search."""
        key = (device.id, count)
        if key not in searched.evidence:
            searched.evidence[key] = self._published.near(problem, device, count)
        return searched.evidence[key]

    def _recommendation(
        self, problem: Problem, searched: Searched, place: int, row: Ranked, baseline: Baseline
    ) -> RecommendationDocument:
        candidate = row.candidate
        shown = place <= ROWS_WITH_EVIDENCE
        evidence = self._evidence(problem, searched, candidate.device, candidate.count) if shown else ()
        estimate = estimate_document(
            problem,
            candidate,
            self._procurement.tags(candidate.device, candidate.count, problem.workload.economics),
            self.constants,
            suitability=self._procurement.suitability(problem.workload),
            evidence=evidence,
        )
        cost = by_way(problem, candidate, estimate.cost, row.way, estimate.total_time_h)
        within = within_budget(candidate, problem.workload.constraints, whole_job=problem.has_length)
        cost = cost.model_copy(
            update={
                "within_budget": within,
                "flips": flip_documents(candidate) if place <= ROWS_WITH_EVIDENCE else (),
            }
        )
        estimate = self._on_terms(problem, estimate.model_copy(update={"cost": cost}), candidate.terms)
        speed_up = baseline.speed_up(problem, candidate, self.constants)
        fields = {name: getattr(estimate, name) for name in type(estimate).model_fields}
        fields["speedup_over_cpu"] = speed_up
        fields["samples_per_s_per_1000_usd"] = _per_1000_usd(problem, candidate, row.time_factor)
        return RecommendationDocument(
            **fields,
            rank=place,
            pareto=row.pareto,
            reasons=reasons(problem, row, estimate),
        )

    def _estimates(
        self,
        problem: Problem,
        gpus: Sequence[str],
        count: int | Sequence[int] | None,
        baseline: Baseline | None = None,
    ) -> Iterator[EstimateDocument]:
        sharding = problem.freedom.sharding
        if count is None:
            count = 1
            if sharding is not None and not isinstance(sharding, str):
                count = sharding.data * sharding.tensor * sharding.pipeline
        numbers = [count] * len(gpus) if isinstance(count, int) else count
        for name, number in zip(gpus, numbers, strict=True):
            device = self._device(name)
            if reason := problem.subject.refusal(device):
                raise InputError(reason, field="gpu", value=name, accepted="a GPU that the library supports")
            if reason := refusal(problem, device):
                raise InputError(
                    f"{device.name}: {reason}",
                    field="precision",
                    value=problem.workload.precision,
                    accepted="auto, or a precision that the GPU has",
                )
            yield self._estimate_on(problem, device, number, baseline)

    def _estimate_on(
        self, problem: Problem, device: Device, count: int, baseline: Baseline | None
    ) -> EstimateDocument:
        """Return the estimate for one device.

        Raises:
            InputError: the batch or the layout cannot be split over ``count`` GPUs.
        """
        searched = self._before.of(problem, [device], self.constants)
        found = list(self._of_count(problem, searched, count))
        if not found:
            raise InputError(
                f"{problem.freedom.global_batch} samples a step cannot be run on {count} GPUs as asked",
                field="sharding" if not isinstance(problem.freedom.sharding, str | None) else "batch",
                value=count,
                accepted="a global batch that count x micro-batch divides, and a layout whose product is the count",
            )
        candidate = found[0]
        would_fit = () if candidate.fits else tuple(self._would_fit(problem, device, count))
        tags = self._procurement.tags(device, count, problem.workload.economics)
        estimate = estimate_document(
            problem,
            candidate,
            tags,
            self.constants,
            suitability=self._procurement.suitability(problem.workload),
            evidence=self._evidence(problem, searched, device, count),
            would_fit=would_fit,
        )
        estimate = self._on_terms(problem, estimate, candidate.terms)
        cost = estimate.cost.model_copy(
            update={
                "over_time": outlay_documents(candidate),
                "flips": flip_documents(candidate),
                "within_budget": within_budget(
                    candidate, problem.workload.constraints, whole_job=problem.has_length
                ),
            }
        )
        more: dict[str, object] = {"cost": cost}
        if candidate.fits:
            factor = self._time_factor(problem)(candidate)
            more["samples_per_s_per_1000_usd"] = _per_1000_usd(problem, candidate, factor)
            more["roofline"] = roofline_document(problem, candidate, self.constants)
        if baseline is not None:
            more["speedup_over_cpu"] = baseline.speed_up(problem, candidate, self.constants)
        return estimate.model_copy(update=more)

    def _on_terms(self, problem: Problem, estimate: EstimateDocument, terms: Terms) -> EstimateDocument:
        """Return an estimate that says under what terms its costs were counted."""
        said = described_terms(problem.workload.economics, terms, self._places)
        return estimate.model_copy(update={"assumptions": (*estimate.assumptions, *said)})

    def _would_fit(self, problem: Problem, device: Device, count: int) -> Iterator[WhatIfDocument]:
        """Yield changes under which the job would fit, gentlest first."""
        for change, update, number in changes(problem.workload, count):
            workload = problem.workload.model_copy(update=update)
            try:
                other = problem_of(workload, problem.subject)
            except InputError:
                # The change is none that this kind of model knows.
                continue
            if refusal(other, device):
                continue
            found = list(self._of_count(other, self._before.of(other, [device], self.constants), number))
            if found and found[0].fits:
                yield WhatIfDocument(change=change, required_gib=found[0].required_bytes / GIB)
                if change.endswith(MORE_GPUS):
                    return


def open_advisor(
    catalog_folders: Sequence[Path] = (),
    code: CodePolicy | None = None,
    *,
    calibrated: bool = True,
    quotes: QuoteFiles = NO_QUOTE_FILES,
    today: datetime.date | None = None,
    hub: Callable[[str], HubModel] | None = None,
) -> Advisor:
    """Return an advisor over the shipped catalog and folders.

    Args:
        catalog_folders: of the user.
        code: whether a model's code may run.
        calibrated: whether calibrations count.
        quotes: files of quotes that count without being imported.
        today: the day of the answer.
        hub: returns a model of the Hugging Face hub.
    """
    return Advisor(catalog_folders, code=code, calibrated=calibrated, quotes=quotes, today=today, hub=hub)


def _check_architecture(device: Device, constants: Constants) -> None:
    """Refuse an entry of the user's whose architecture no constants describe: nothing could be estimated for it.

    Raises:
        InputError: with the architectures of the vendor.
    """
    try:
        constants_of(device, constants)
    except KeyError:
        known = sorted(
            {
                name.split("/")[1]
                for entry in constants.architectures
                for name in entry.architectures
                if name.startswith(f"{device.vendor}/")
            }
        )
        raise InputError(
            "no constants of efficiency describe this architecture",
            source=device.origin,
            field=f"devices.{device.id}.architecture",
            value=device.architecture,
            accepted=", ".join(known),
            hint="name its nearest relative until runs of the new one are published",
        ) from None


def _per_1000_usd(problem: Problem, candidate: Candidate, time_factor: float) -> float | None:
    """Return samples a second for $1,000, by the rule of ``--for value``; None where no price is known."""
    price_of_work = score(candidate, "value", None, time_factor)
    return None if math.isinf(price_of_work) else 1000 * problem.subject.samples_in_one / price_of_work


def _matches(model: ModelDocument, words: Sequence[str]) -> bool:
    """Say whether a model's name, family or kind contain every word."""
    text = " ".join((model.name, model.family, model.kind, *model.aliases)).lower()
    return all(word in text for word in words)


def _plain(workload: Workload) -> dict[str, Any]:
    """Return a workload as the user wrote it: fields that were set."""
    return workload.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _limits(problem: Problem) -> tuple[str, ...]:
    """Return which limits cannot be held against a job of unknown length."""
    if problem.has_length:
        return ()
    constraints = problem.workload.constraints
    given = [name for name in ("budget_usd", "deadline_h") if getattr(constraints, name) is not None]
    return tuple(
        f"{name}: the length of the job is not given (data), so rent and time are not held" for name in given
    )
