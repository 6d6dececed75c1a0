"""What does not run is left out, what does not fit the machine is not bought, what needs care is said."""

import json

import pytest

from advisor.catalog import shipped_devices
from advisor.compatibility import host_notes, sold_together
from advisor.compatibility_tables import load_compatibility
from advisor.documents import RecommendAnswer
from advisor.fleet_file import build_fleet
from advisor.hosts import host_for, load_hosts
from advisor.service import Advisor, open_advisor
from advisor.workload import Constraints, Workload
from advisor.workload_file import build_workload

DEVICES = {device.id: device for device in shipped_devices()}
JOB = {"model": {"name": "llama-3.1-8b"}, "method": "lora", "data": {"tokens": 50e6}}


@pytest.fixture(scope="module")
def advisor() -> Advisor:
    return open_advisor()


def job(**fields: object) -> Workload:
    return build_workload({**JOB, **fields}, "test", "")


def answer(advisor: Advisor, workload: Workload) -> RecommendAnswer:
    return advisor.recommend(workload, limit=None)


def left_out(answer: RecommendAnswer, constraint: str) -> dict[str, str]:
    return {each.gpu: each.reason for each in answer.excluded if each.constraint == constraint}


def test_a_gpu_that_the_asked_version_has_no_code_for_is_left_out_with_the_last_that_has(
    advisor: Advisor,
) -> None:
    small = {"model": {"name": "resnet-50"}, "method": "full", "data": {"samples": 1000, "epochs": 1}}
    newest = answer(advisor, job(**small))
    asked = answer(advisor, job(**small, software={"version": "2.9"}))
    assert "tesla-k80" not in {row.gpu for row in asked.recommendations}
    assert "the last PyTorch with code for it is" in left_out(asked, "software")["tesla-k80"]
    assert "tesla-k80" not in left_out(newest, "software"), "an older one will do where none is asked for"


def test_of_an_old_gpu_the_last_release_is_told(advisor: Advisor) -> None:
    row = advisor.estimate(job(), gpus=["gtx-1080-ti"]).estimates[0]
    assert any("the last PyTorch with code for it is" in warning for warning in row.warnings)


def test_what_does_not_go_into_the_machine_is_rented_or_left_out(advisor: Advisor) -> None:
    host = {"power_supply_w": 750, "slots": 4, "pcie_slots": 2, "max_card_length_mm": 330}
    free = answer(advisor, job(host=host))
    rented = {row.gpu for row in free.recommendations if row.cost.total_by == "rent"}
    assert "a100-sxm4-80gb" in rented
    bought = answer(advisor, job(host=host, constraints={"acquire": ["buy"]}))
    assert "a100-sxm4-80gb" in left_out(bought, "purchase")
    assert "rtx-4090" in {row.gpu for row in bought.recommendations}
    assert all(row.count <= 2 for row in bought.recommendations if row.gpu != "a16"), "two slots for cards"


def test_what_may_not_be_sold_to_a_country_is_not_bought_there(advisor: Advisor) -> None:
    constraints = {"acquire": ["buy"]}
    assert "rtx-4090" in {row.gpu for row in answer(advisor, job(constraints=constraints)).recommendations}
    there = answer(advisor, job(constraints=constraints, economics={"country": "China"}))
    assert "licence" in left_out(there, "purchase")["rtx-4090"]


def test_remarks_on_machines_concern_buyers_alone(advisor: Advisor) -> None:
    def said(**constraints: object) -> list[str]:
        row = advisor.estimate(job(constraints=constraints), gpus=["l40s"]).estimates[0]
        return [warning for warning in row.warnings if warning.startswith("if you buy: ")]

    assert any("airflow" in warning for warning in said(acquire=["buy", "rent"]))
    assert said(acquire=["rent"]) == []


def test_where_only_quotes_count_nothing_else_is_bought(advisor: Advisor) -> None:
    found = answer(advisor, job(constraints={"acquire": ["buy"], "quoted": True}))
    assert found.recommendations == ()
    assert left_out(found, "purchase")["rtx-4090"] == "no quote to buy it"
    assert any(each.constraint == "purchase" and "rent" in str(each.needed) for each in found.relax)
    assert Constraints().quoted is False


def test_learners_are_not_judged_by_frameworks_for_networks(advisor: Advisor) -> None:
    trees = Workload.model_validate({"model": {"trees": {"rows": 1e6, "features": 28}}})
    row = advisor.estimate(trees, gpus=["gtx-1080-ti"]).estimates[0]
    assert not any("PyTorch" in warning for warning in row.warnings)


def test_what_is_known_of_one_gpu_stands_beside_its_facts(advisor: Advisor) -> None:
    known = advisor.gpu("rtx-4090").gpus[0].compatibility
    assert {each.topic for each in known} >= {"software", "power", "slots", "nvlink", "licence"}
    assert all(each.source for each in known)
    frameworks = {"PyTorch", "TensorFlow", "JAX", "MXNet", "Caffe"}
    assert all(any(name in each.text for each in known) for name in frameworks)
    for of_machines in (False, True):
        noted = [each for each in known if (each.topic != "software") is of_machines]
        # What is said of other frameworks stands behind what is said of PyTorch.
        levels = [
            each.level for each in noted if not any(name in each.text for name in frameworks - {"PyTorch"})
        ]
        assert levels == sorted(levels, key=("blocked", "caution", "works").index)


def test_performance_per_watt_is_that_of_the_estimated_draw(advisor: Advisor) -> None:
    for row in answer(advisor, job()).recommendations:
        assert row.samples_per_s is not None
        assert row.power_w is not None
        assert row.samples_per_s_per_w == pytest.approx(row.samples_per_s.value / row.power_w)


def test_a_fleet_buys_modules_in_whole_boards_with_the_machines_that_one_estimate_counts(
    advisor: Advisor,
) -> None:
    job = {"model": {"name": "resnet50"}, "data": {"samples": 1e9}}
    text = {
        "workloads": [{"name": "a", "workload": job, "runs_per_week": 40}],
        "constraints": {"acquire": ["buy"], "segments": ["datacenter"], "vendors": ["nvidia"]},
    }
    totals = []
    for most in (1, 8):
        text["constraints"]["max_count"] = most  # type: ignore[index]
        found = advisor.fleet(build_fleet(json.dumps(text), "fleet.json"))
        assert found.totals is not None
        totals.append(found.totals.total_usd)
        for row in found.purchases:
            device = DEVICES[row.gpu]
            share = host_for(device, row.count, load_hosts())
            assert share is not None
            assert row.host_usd == pytest.approx(share.usd_per_gpu * row.count)
            assert row.host == f"{share.machines} x {share.host}"
    assert totals[1] <= totals[0]


@pytest.mark.parametrize(
    ("gpu", "together"),
    [("rtx-4090", 1), ("h100-sxm5-80gb", 4), ("b200-sxm-180gb", 8), ("a16", 4), ("tesla-k80", 2)],
)
def test_boards_are_sold_whole(gpu: str, together: int) -> None:
    tables = load_compatibility()
    assert sold_together(DEVICES[gpu], tables) == together
    if DEVICES[gpu].board.form_factor == "SXM":
        for count in range(1, 17):
            blocked = any(
                note.level == "blocked" for note in host_notes(DEVICES[gpu], count, None, None, tables)
            )
            assert blocked == (count % together != 0)


def test_a_part_of_a_board_costs_the_whole_board(advisor: Advisor) -> None:
    small = Workload.model_validate({"model": {"name": "resnet50"}, "data": {"samples": 1e5}})
    for count, boards in ((1, 1), (4, 1), (5, 2)):
        (row,) = advisor.estimate(small, gpus=["a16"], count=count).estimates
        assert row.cost.purchase_usd == pytest.approx(3300 * boards)


def test_the_interval_of_a_break_even_knows_how_open_the_price_of_a_machine_is(advisor: Advisor) -> None:
    small = {"model": {"name": "resnet50"}, "data": {"samples": 1e7}}

    def width(host: object) -> float:
        workload = Workload.model_validate({**small, "economics": {"host_usd_per_gpu": host}})
        found = advisor.estimate(workload, gpus=["l4"]).estimates[0].cost.break_even
        assert found is not None
        return found.high / found.low

    # A rack server of $12,000 that may cost 7,000 to 20,000, or just what the user says.
    assert width("auto") > width(12000)
