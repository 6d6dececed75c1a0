"""What every test needs: a place of its own for the user's data."""

import pytest


@pytest.fixture(autouse=True)
def own_data(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep calibrations of whoever runs the tests out of the answers."""
    monkeypatch.setenv("GPU_ADVISOR_DATA", str(tmp_path_factory.mktemp("data")))
