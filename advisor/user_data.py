"""Where what belongs to this user is kept: calibrations, quotes, live prices, and the app's last session."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from advisor.paths import given_path

DATA_VARIABLE = "GPU_ADVISOR_DATA"
"""Names another folder."""
_NOWHERE = Path(os.devnull) / "gpu-advisor"
"""A folder that cannot be: nothing is found in it, and who wants to keep something there is told so."""


def user_data_folder() -> Path:
    """Return the folder; it need not exist."""
    chosen = os.environ.get(DATA_VARIABLE)
    if chosen:
        return given_path(chosen)
    from platformdirs import user_data_path

    return _at_home(lambda: user_data_path("gpu-advisor", appauthor=False))


def user_configuration_folder() -> Path:
    """Return the folder of what the user sets up, such as an own catalog; it need not exist."""
    from platformdirs import user_config_path

    return _at_home(lambda: user_config_path("gpu-advisor"))


def _at_home(find: Callable[[], Path]) -> Path:
    """Return a folder of a user who may have no home, as in a container that runs under a bare number."""
    try:
        folder = find()
    except RuntimeError:
        return _NOWHERE
    # Older versions of platformdirs return "~/..." then: a folder "~" in whatever folder is the current one.
    return folder if folder.is_absolute() else _NOWHERE
