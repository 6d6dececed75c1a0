"""How sure an estimate is: multiplicative 80 % spreads, combined as independent errors on a log scale."""

from __future__ import annotations

import math


def combined(*spreads: float) -> float:
    """Return the spread of a product of independent factors, each given as a multiplicative spread of at least 1."""
    return math.exp(math.sqrt(sum(math.log(spread) ** 2 for spread in spreads)))
