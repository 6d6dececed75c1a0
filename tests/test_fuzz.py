"""A short campaign of ``python -m tests.fuzz`` over every border, always the same cases."""

from __future__ import annotations

import pytest

from tests.fuzz.borders import BORDERS
from tests.fuzz.campaign import Tally, run_case

SEED = 1
CASES = {
    "documents": 400, "workload": 40, "config": 20, "table": 20, "overlay": 40, "fleet": 10, "quotes": 60,
    "kept": 30, "prices": 100,
    "hub": 25, "http": 200, "profile": 15, "session": 30, "set": 100, "jsonl": 80, "command": 40,
}  # fmt: skip
"""How many of each: all of them together take some 20 s."""


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Cases set these themselves; afterwards they are as they were."""
    for name in ("GPU_ADVISOR_DATA", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("COLUMNS", "80")


def test_every_border_has_its_cases() -> None:
    assert CASES.keys() == BORDERS.keys()


@pytest.mark.parametrize("border", BORDERS)
def test_whatever_comes_there_is_an_answer_or_one_of_our_errors(border: str) -> None:
    tally = Tally(border)
    case = BORDERS[border][0]
    failures = [run_case(border, case, SEED, number, tally) for number in range(CASES[border])]
    assert [f"{failure.replay}: {failure.reason}\n{failure.trace}" for failure in failures if failure] == []
    assert len(tally.outcomes) > 1, "cases that all end alike try little"
