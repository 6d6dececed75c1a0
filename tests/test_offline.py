"""With the network off: everything but a refresh works, and says how old its prices are."""

import json
import socket
from pathlib import Path

import pytest

from advisor.errors import ExitCode

JOB = ("llama-3.1-8b", "--method", "lora", "--tokens", "50e6")
PROCUREMENT = Path(__file__).parent / "data" / "procurement"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take the network away, and note who wanted it."""
    wanted: list[str] = []

    def refuse(*arguments: object, **_: object) -> None:
        wanted.append(str(arguments[:2]))
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return wanted


@pytest.mark.parametrize(
    "argv",
    [
        ("recommend", *JOB, "--budget", "3000"),
        ("estimate", *JOB, "--gpu", "rtx-4090"),
        ("compare", JOB[0], "rtx-4090", "rtx-5090", *JOB[1:]),
        ("prices",),
        ("prices", "show", "rtx-4090"),
        ("prices", "import", str(PROCUREMENT / "reseller-usa.csv")),
        (
            *("fleet", str(PROCUREMENT / "fleet.yaml")),
            *(
                "--quotes",
                str(PROCUREMENT / "reseller-germany.csv"),
                "--rate",
                "EUR=1.08",
                "--as-of",
                "2026-11-23",
            ),
        ),
        ("gpus", "show", "rtx-4090"),
        ("models", "show", "llama-3.1-8b"),
        ("describe", "resnet-50"),
        ("calibrate", "show"),
        ("schema", "prices"),
    ],
    ids=lambda argv: " ".join(argv[:2]),
)
def test_it_works_without_a_network(run, asked: list[str], argv: tuple[str, ...]) -> None:
    code, out, _ = run(*argv)
    assert code == ExitCode.ANSWERED
    assert out
    assert asked == []


@pytest.mark.parametrize("command", ["recommend", "estimate"])
def test_answers_say_how_old_their_prices_are(run, command: str) -> None:
    which = () if command == "recommend" else ("--gpu", "rtx-4090")
    _, text, _ = run(command, *JOB, *which)
    assert "prices as of" in text
    _, out, _ = run(command, *JOB, *which, "--json")
    rows = json.loads(out)["recommendations" if command == "recommend" else "estimates"]
    assert all(row["cost"]["prices_as_of"] for row in rows if row["cost"]["total_usd"] is not None)


def test_the_list_of_prices_says_the_age_of_each_and_what_is_old(run) -> None:
    _, out, _ = run("prices", "show", "rtx-4090", "--as-of", "2026-11-23", "--json")
    answer = json.loads(out)
    old = [price for price in answer["gpus"][0]["prices"] if price["old"]]
    assert old
    assert all(price["age_days"] > answer["old_after_days"] for price in old)
    _, later, _ = run("prices", "show", "rtx-4090", "--as-of", "2027-11-23", "--json")
    ages = [price["age_days"] for price in json.loads(later)["gpus"][0]["prices"]]
    assert ages == [price["age_days"] + 365 for price in answer["gpus"][0]["prices"]]
    _, table, _ = run("prices", "--as-of", "2026-11-23")
    assert f"older than {answer['old_after_days']} days on 2026-11-23" in table


def test_a_refresh_fails_and_leaves_everything_as_it_was(run, asked: list[str]) -> None:
    before = run("prices", "--json")[1]
    code, out, err = run("prices", "refresh", "--source", "azure", "--json")
    assert code == ExitCode.OUTSIDE_FAILED
    assert asked, "it tried"
    assert "Traceback" not in err
    assert all(source["status"] == "failed" and source["message"] for source in json.loads(out)["sources"])
    assert run("prices", "--json")[1] == before
