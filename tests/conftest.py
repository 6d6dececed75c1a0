"""What every test needs: a place of its own for the user's data."""

import io
import os
import sys

import pytest

from advisor import cli


def pytest_xdist_auto_num_workers() -> int:
    """Run one test more than there are processors: many wait for a terminal, a browser or another process."""
    return (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """Give the processes that tests start one thread each: tests run side by side."""
    for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(pool, "1")


@pytest.fixture(autouse=True)
def own_data(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep calibrations of whoever runs the tests out of the answers."""
    monkeypatch.setenv("GPU_ADVISOR_DATA", str(tmp_path_factory.mktemp("data")))


@pytest.fixture
def run(capsys, monkeypatch):
    """Run one command line in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def go(*argv: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        code = cli.main([str(argument) for argument in argv])
        captured = capsys.readouterr()
        return int(code), captured.out, captured.err

    return go
