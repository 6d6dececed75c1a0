"""Where what belongs to this user is kept: calibrations, and the app's last session."""

from __future__ import annotations

import os
from pathlib import Path

from advisor.user_paths import user_path

DATA_VARIABLE = "GPU_ADVISOR_DATA"
"""Names another folder."""


def user_data_folder() -> Path:
    """Return the folder; it need not exist."""
    chosen = os.environ.get(DATA_VARIABLE)
    if chosen:
        return user_path(chosen)
    from platformdirs import user_data_path

    return user_data_path("gpu-advisor", appauthor=False)
