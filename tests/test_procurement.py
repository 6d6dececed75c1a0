"""The procurement example of the README: six workloads, three files of quotes, one budget, one decision."""

import json
from collections.abc import Callable

import jsonschema
import pytest

from advisor.errors import ExitCode
from advisor.schemas import schema
from tests.readme_blocks import QUOTES, README, fleet_block, top_block
from tests.readme_blocks import fleet_command as command


@pytest.fixture
def decided(run) -> dict:
    code, out, err = run(*command(*QUOTES), "--json")
    assert (code, err) == (ExitCode.ANSWERED, "")
    return json.loads(out)


def test_the_decision_is_within_the_budget_and_adds_up(decided: dict) -> None:
    jsonschema.validate(decided, schema("fleet"))
    totals = decided["totals"]
    assert len(decided["assignments"]) == 6
    assert totals["budget_used_usd"] <= 60_000
    parts = ("purchase_usd", "host_usd", "rent_usd", "electricity_usd")
    assert totals["total_usd"] == pytest.approx(
        sum(totals[part] for part in parts) - totals["residual_usd"], abs=0.005
    )
    bought = decided["purchases"]
    assert totals["purchase_usd"] == pytest.approx(
        sum(row["count"] * row["unit_price_usd"] for row in bought), abs=0.005
    )
    assert all(row["price"].startswith("quote") for row in bought), "constraints.quoted"
    late = [
        row
        for row in decided["assignments"]
        if row["deadline_h"] and row["hours_per_run"]["value"] > row["deadline_h"]
    ]
    assert not late


def test_what_may_not_leave_the_house_is_bought(decided: dict) -> None:
    ways = {row["workload"]: row["way"] for row in decided["assignments"]}
    assert ways["chat service"] == ways["domain model, full fine-tuning"] == "buy"


def test_the_decision_is_reproducible_byte_for_byte_in_any_order_of_the_files(run) -> None:
    first, again, turned = (
        run(*command(*files), "--json")[1] for files in (QUOTES, QUOTES, tuple(reversed(QUOTES)))
    )
    assert first == again
    one, other = json.loads(first), json.loads(turned)
    told = one.pop("warnings"), other.pop("warnings")
    assert one == other
    assert sorted(told[0]) == sorted(told[1])


def test_an_ended_quote_does_not_count_and_is_named(decided: dict) -> None:
    assert "reseller-usa.csv: ended, and do not count: line 4" in decided["warnings"]


def test_without_the_quotes_nothing_may_be_bought(run) -> None:
    code, out, _ = run(*command(), "--json")
    answer = json.loads(out)
    assert (code, answer["feasible"]) == (ExitCode.UNSATISFIED, False)
    assert {row["workload"] for row in answer["unmet"]} >= {"chat service"}


@pytest.mark.parametrize("block", [fleet_block, top_block], ids=["fleet", "top"])
def test_the_readme_shows_what_the_commands_say(
    block: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = "\n".join(line.removeprefix("    ") for line in README.read_text("utf-8").splitlines())
    assert block() in shown
