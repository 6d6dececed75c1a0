"""Learners that are not networks: their words, what a library does for them, and published times."""

import math
from collections import defaultdict
from dataclasses import replace
from functools import cache
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from advisor.describe.learners import (
    describe_learner,
    learner_assumptions,
    learner_name,
    learner_spread,
    rows_of,
    unsupported_learner,
)
from advisor.efficiency import load_constants
from advisor.estimation.devices import device_rates
from advisor.estimation.memory import Precisions, training_memory
from advisor.estimation.time import SoftwareSpeed, row_times
from advisor.execution import CHECKPOINTING, Layout
from advisor.learners import KMeans, Knn, Learner, Pca, RandomForest, Svm, Trees
from advisor.operators import Affine, Kind, Operator, OperatorTable, Phase
from advisor.units import GIB
from advisor.yaml_io import data_root
from tests.learners_measured import (
    FITTED,
    Predictor,
    chosen_runs,
    fit,
    held_out,
    read_runs,
    seconds_of,
    with_cores,
)

CONSTANTS = load_constants(data_root())
ONE_OF_EACH: tuple[Learner, ...] = (
    Trees(rows=11_000_000, features=28, trees=500, depth=8),
    Trees(rows=11_000_000, features=28, library="lightgbm", leaves=255),
    Trees(rows=400_000, features=2000, library="catboost", bins=32),
    Trees(rows=1_000_000, features=690, values_per_row=8, bins=3, classes=7),
    RandomForest(rows=1_000_000, features=28),
    Svm(rows=60_000, features=784, classes=10),
    KMeans(rows=8_000_000, features=256, clusters=1024),
    KMeans(rows=8_000_000, features=256, clusters=1024, library="kmcuda"),
    Knn(rows=1_000_000, features=128, queries=10_000),
    Pca(rows=1_000_000, features=784),
    Pca(rows=1_000_000, features=5000, components=50),
)
SMALL: tuple[Learner, ...] = (
    Trees(rows=1000, features=20),
    Trees(rows=1000, features=20, library="lightgbm"),
    RandomForest(rows=1000, features=20, trees=10),
    Svm(rows=300, features=20),
    KMeans(rows=1000, features=20),
    Knn(rows=1000, features=20),
    Pca(rows=1000, features=20),
)
BOTH = pytest.mark.parametrize("on_cpu", [False, True], ids=["gpu", "cpu"])


@cache
def predictor() -> Predictor:
    return Predictor(CONSTANTS)


def seconds(learner: Learner, device: str) -> float:
    on_cpu = predictor().devices[device].kind == "cpu"
    return seconds_of(learner, predictor().rates(device), on_cpu=on_cpu, constants=CONSTANTS)


def rows(learner: Learner, *, on_cpu: bool = False) -> dict[str, dict[str, float]]:
    table = describe_learner(learner, on_cpu=on_cpu, constants=CONSTANTS.learners).table
    return {
        name: {
            "updates": table.rows_fixed[index], "repeat": table.repeat[index], "inner": table.inner_fixed[index],
            "flops": table.flops_fixed[index], "seconds": table.seconds[index], "units": table.columns[index],
        }
        for index, name in enumerate(table.names)
    }  # fmt: skip


@pytest.mark.parametrize("written", [11_000_000, 11e6, "11M", "11e6", "11_000_000"])
def test_sizes_are_read_as_people_write_them(written):
    assert Trees.model_validate({"rows": written, "features": "28"}).rows == 11_000_000


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (Trees, {"rows": "many", "features": 3}, "not a number"),
        (Trees, {"rows": 1.5, "features": 3}, "integer"),
        (Trees, {"rows": 0, "features": 3}, "greater than 0"),
        (Trees, {"rows": 10, "features": 3, "bins": 1}, "greater than or equal to 2"),
        (Trees, {"rows": 10, "features": 3, "values_per_row": 4}, "more than features 3"),
        (Trees, {"rows": 10, "features": 3, "library": "sklearn"}, "xgboost"),
        (Trees, {"rows": 10, "features": 3, "tress": 4}, "Extra inputs"),
        (RandomForest, {"rows": 10, "features": 3, "features_per_split": 4}, "more than features 3"),
        (Svm, {"rows": 10, "features": 3, "support_vector_share": 1.1}, "less than or equal to 1"),
        (KMeans, {"rows": 10, "features": 3, "clusters": 11}, "more than rows 10"),
        (Knn, {"rows": 10, "features": 3, "neighbours": 11}, "more than rows 10"),
        (Pca, {"rows": 10, "features": 3, "components": 4}, "more than features 3 or rows 10"),
    ],
)
def test_wrong_sizes_are_refused_with_the_reason(model, fields, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(model).validate_python(fields)


@pytest.mark.parametrize(
    ("fields", "leaves"),
    [
        ({}, 64),
        ({"depth": 10}, 1024),
        ({"depth": 3, "leaves": 100}, 8),
        ({"library": "lightgbm"}, 31),
        ({"library": "lightgbm", "depth": 5}, 32),
        ({"library": "lightgbm", "leaves": 512}, 512),
    ],
)
def test_leaves_follow_the_library(fields, leaves):
    assert Trees(rows=10**6, features=10, **fields).leaf_count == leaves


@BOTH
@pytest.mark.parametrize("learner", ONE_OF_EACH + SMALL, ids=learner_name)
def test_a_training_is_one_step_whose_quantities_do_not_grow_with_a_batch(learner, on_cpu):
    description = describe_learner(learner, on_cpu=on_cpu, constants=CONSTANTS.learners)
    table = description.table
    for column in ("flops", "bytes", "rows", "inner", "batch"):
        assert np.all(getattr(table, f"{column}_per_sample") == 0)
        fixed = getattr(table, f"{column}_fixed")
        assert np.all(np.isfinite(fixed) & (fixed >= 0))
    assert np.all(table.repeat > 0)
    assert set(description.saved) == set(description.working) == set(CHECKPOINTING)
    assert len({(each.fixed, each.per_sample) for each in description.saved.values()}) == 1
    assert description.saved["none"].per_sample == 0
    data = learner.rows * learner.values
    assert description.saved["none"].fixed >= data * (4 if on_cpu else 0.25)
    assert (description.layers, description.tokens_per_sample, description.hidden) == (1, 1, 0)


def test_memory_of_a_training_needs_no_states():
    learner = Trees(rows=10_500_000, features=28, library="lightgbm", leaves=255, bins=63)
    description = describe_learner(learner, on_cpu=False, constants=CONSTANTS.learners)
    single = Precisions(4, 0, 4, 8, 4, 4, 0.5, 0)
    parts = training_memory(description, single, Layout(1, "none"), np.ones(1), CONSTANTS.memory)
    assert parts.parameters == parts.optimizer == 0
    assert (parts.gradients == 0).all()
    # microsoft/LightGBM docs/GPU-Performance.rst: 0.597 GiB with the context.
    assert 0.4 < float(parts.required[0, 0]) / GIB < 0.6


def test_below_the_root_only_the_smaller_child_is_counted():
    learner = Trees(rows=1_000_000, features=10, trees=7, depth=3)
    found = rows(learner)
    assert found["histogram"]["updates"] == 1_000_000 * (1 + 0.5 + 0.5) * 10
    assert found["histogram"]["flops"] == 2 * found["histogram"]["updates"]
    assert found["histogram"]["repeat"] == 7
    assert found["row partition"]["repeat"] == 7 * 3
    assert found["steps one after the other"]["repeat"] == 7 * (8 - 1)


def test_a_symmetric_tree_takes_one_step_a_level():
    found = rows(Trees(rows=1_000_000, features=10, trees=7, depth=3, library="catboost"))
    assert found["steps one after the other"]["repeat"] == 7 * 3


def test_few_rows_cannot_fill_a_deep_tree():
    shallow, deep = (rows(Trees(rows=1000, features=10, depth=depth)) for depth in (20, 60))
    assert shallow == deep


def test_gradients_leave_the_caches_of_a_cpu():
    few, many = (Trees(rows=count, features=10) for count in (10**6, 10**7))
    growth = 10 ** CONSTANTS.learners.trees["xgboost"]["cpu"].spill_exponent
    assert growth > 1
    for name in ("histogram", "row partition"):
        on_cpu = rows(many, on_cpu=True)[name]["inner"] / rows(few, on_cpu=True)[name]["inner"]
        assert on_cpu == pytest.approx(growth)
        assert rows(many)[name]["inner"] == rows(few)[name]["inner"]


def test_several_classes_grow_a_tree_each():
    one, seven = (rows(Trees(rows=10**6, features=10, classes=classes)) for classes in (2, 7))
    assert seven["histogram"]["repeat"] == 7 * one["histogram"]["repeat"]


def test_only_a_gpu_waits_for_a_copy():
    learner = Trees(rows=1_000_000, features=10)
    assert "copy to the device" not in rows(learner, on_cpu=True)
    gb = 1_000_000 * 10 * 4 / 1e9
    assert rows(learner)["copy to the device"]["seconds"] == pytest.approx(
        gb / CONSTANTS.learners.host_copy_gb_s
    )


def test_a_histogram_takes_cycles_of_the_units_that_share_it():
    device = predictor().devices["v100-sxm2-16gb"]
    rates = device_rates([device], ["fp32"], CONSTANTS)

    def time(units: float) -> float:
        row = Operator(
            "histogram", Kind.HISTOGRAM, Phase.FORWARD, 2.0, rows=Affine(1e9), columns=units, inner=Affine(3.0),
            launches=0.0, seconds=0.25,
        )  # fmt: skip
        return float(
            row_times(OperatorTable.of([row]), rates, np.ones(1), CONSTANTS.kernel, SoftwareSpeed())[0, 0, 0]
        )

    clock = (device.compute.boost_clock_mhz or 0) * 1e6
    assert time(0) == pytest.approx(2 * (3e9 / (80 * clock) + 0.25))
    assert time(1) == pytest.approx(2 * (3e9 / clock + 0.25))
    assert time(1000) == time(0)


def test_libsvm_uses_one_core():
    learner = Svm(rows=20_000, features=100)
    few, many = (
        seconds_of(
            learner,
            device_rates([with_cores(predictor().devices["epyc-9654"], cores)], ["fp32"], CONSTANTS),
            on_cpu=True,
            constants=CONSTANTS,
        )
        for cores in (8, 96)
    )
    assert few == pytest.approx(many)
    assert rows(learner, on_cpu=True)["kernel rows"]["units"] == 1


def test_every_pair_of_classes_is_a_problem_of_its_own():
    assert Svm(rows=60_000, features=784, classes=10).problems == (45, 12_000)
    assert Svm(rows=60_000, features=784).problems == (1, 60_000)


DEVICES = st.sampled_from(["h100-sxm5-80gb", "rtx-4090", "quadro-p1000", "epyc-9654", "xeon-e5-2620-v4"])
BOOSTERS = st.sampled_from(["xgboost", "lightgbm", "catboost"])


@given(
    DEVICES, BOOSTERS, st.integers(1, 10**8), st.integers(1, 3000), st.integers(1, 12), st.integers(1, 500)
)
def test_more_work_never_takes_less_time(device, library, count, features, depth, trees):
    def time(**more):
        fields = {"rows": count, "features": features, "depth": depth, "trees": trees} | more
        return seconds(Trees(library=library, **fields), device)

    base = time()
    assert math.isfinite(base)
    assert base > 0
    for more in (
        {"rows": 2 * count}, {"features": 2 * features}, {"trees": 2 * trees}, {"depth": depth + 1},
    ):  # fmt: skip
        assert time(**more) >= base * (1 - 1e-9)


@given(DEVICES, st.sampled_from(ONE_OF_EACH))
def test_more_rows_never_take_less_time(device, learner):
    more = learner.model_copy(update={"rows": 2 * learner.rows})
    assert seconds(more, device) >= seconds(learner, device)


@pytest.mark.parametrize("learner", SMALL, ids=learner_name)
def test_on_small_data_a_gpu_loses(learner):
    assert seconds(learner, "h100-sxm5-80gb") > seconds(learner, "ryzen-9-9950x")


def test_on_large_data_a_gpu_wins():
    for learner in ONE_OF_EACH:
        if not (isinstance(learner, Trees) and learner.library == "lightgbm") and not isinstance(
            learner, Pca
        ):
            assert seconds(learner, "h100-sxm5-80gb") < seconds(learner, "ryzen-9-9950x"), learner_name(
                learner
            )


def test_published_winners_between_gpu_and_cpu():
    """Where a source ran both and they differ by more than half, the prediction names the same winner."""
    pairs = defaultdict(dict)
    for run in read_runs():
        if run.use == "current" and run.measured_s:
            pairs[run.source, run.row, run.library][run.side] = run
    judged = [
        (pair, (pair["gpu"].measured_s or 0) < (pair["cpu"].measured_s or 0))
        for pair in pairs.values()
        if len(pair) == 2
        and abs(math.log((pair["gpu"].measured_s or 1) / (pair["cpu"].measured_s or 1))) > math.log(1.5)
    ]
    assert {gpu_won for _, gpu_won in judged} == {True, False}
    for pair, gpu_won in judged:
        predicted = predictor().seconds(pair["gpu"]) < predictor().seconds(pair["cpu"])
        assert predicted == gpu_won, f"{pair['gpu'].library} {pair['gpu'].row}"


@pytest.mark.parametrize(("library", "most"), [("xgboost", 0.25), ("lightgbm", 0.3), ("catboost", 0.2)])
def test_gpus_that_were_not_fitted_on(library, most):
    runs = chosen_runs(read_runs(), library, "gpu")
    errors = [error for each in held_out(predictor(), runs, library, "gpu").values() for error in each]
    assert len(errors) >= 12
    assert median(abs(error) for error in errors) < most


@pytest.mark.parametrize("side", FITTED)
@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_the_stated_spread_holds_four_runs_of_five(library, side):
    runs = chosen_runs(read_runs(), library, side)
    spread = math.log(CONSTANTS.learners.trees[library][side].spread)
    inside = [abs(math.log(predictor().seconds(run) / (run.measured_s or 1))) <= spread for run in runs]
    assert sum(inside) >= 0.8 * len(inside)


def test_fitting_finds_constants_back():
    chosen = chosen_runs(read_runs(), "catboost", "gpu")
    exact = [replace(run, measured_s=predictor().seconds(run)) for run in chosen]
    constants = CONSTANTS.learners
    start = constants.trees["catboost"]["gpu"]
    wrong = start.model_copy(update={"row_cycles": start.row_cycles / 2, "split_us": start.split_us * 2})
    sides = {**constants.trees["catboost"], "gpu": wrong}
    shifted = constants.model_copy(update={"trees": {**constants.trees, "catboost": sides}})
    off = Predictor(CONSTANTS.model_copy(update={"learners": shifted}))
    found = fit(off, exact, "catboost", "gpu").trees["catboost"]["gpu"]
    assert found.row_cycles == pytest.approx(start.row_cycles, rel=0.01)
    assert found.split_us == pytest.approx(start.split_us, rel=0.01)


@pytest.mark.parametrize(
    ("learner", "device", "reason"),
    [
        (Trees(rows=10, features=2), "rx-7900-xtx", "XGBoost has no GPU support for amd"),
        (Trees(rows=10, features=2, library="lightgbm"), "rx-7900-xtx", None),
        (Trees(rows=10, features=2, library="catboost"), "rtx-4090", None),
        (KMeans(rows=10, features=2), "gtx-1080-ti", "cuML needs compute capability 7.0"),
        (KMeans(rows=10, features=2, library="kmcuda"), "gtx-1080-ti", None),
        (Svm(rows=10, features=2), "epyc-9654", None),
    ],
)
def test_a_library_runs_where_it_can(learner, device, reason):
    assert unsupported_learner(learner, predictor().devices[device], CONSTANTS.learners) == reason


@pytest.mark.parametrize(
    ("learner", "name"),
    [
        (ONE_OF_EACH[0], "XGBoost, 500 trees of depth 8 on 11,000,000 x 28"),
        (ONE_OF_EACH[1], "LightGBM, 100 trees of 255 leaves on 11,000,000 x 28"),
        (RandomForest(rows=10, features=4, depth=3), "random forest, 100 trees of depth 3 on 10 x 4"),
        (Svm(rows=10, features=4), "support vector machine, rbf kernel on 10 x 4"),
        (KMeans(rows=10, features=4), "k-means, 8 clusters, 100 iterations on 10 x 4"),
        (Knn(rows=10, features=4), "5 nearest neighbours of 10 queries on 10 x 4"),
        (Pca(rows=10, features=4), "principal components, 4 on 10 x 4"),
    ],
)
def test_names(learner, name):
    assert learner_name(learner) == name


def test_rows_of_a_search_are_its_queries():
    assert rows_of(Knn(rows=100, features=4, queries=7)) == 7
    assert rows_of(KMeans(rows=100, features=4)) == 100


@BOTH
@pytest.mark.parametrize("learner", ONE_OF_EACH, ids=learner_name)
def test_assumptions_and_spread_are_stated(learner, on_cpu):
    stated = learner_assumptions(learner, on_cpu)
    assert len(set(stated)) == len(stated) > 1
    assert any("copy the data" in each for each in stated) is not on_cpu
    assert 1 < learner_spread(learner, on_cpu=on_cpu, constants=CONSTANTS.learners) <= 3
