"""What a ranking can minimise."""

from __future__ import annotations

from typing import Literal, get_args

Objective = Literal["balanced", "cost", "time", "energy", "value"]
"""``value`` is work per dollar of purchase."""

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
