"""A value with its 80 % interval: how every uncertain number leaves this package."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


class Model(BaseModel):
    """Base of every model at a border: frozen, no unknown fields, no NaN or infinity.

    ``defer_build`` halves the time that importing some forty classes costs.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True, protected_namespaces=()
    )


class Quantity(Model):
    """A value and the interval that holds it with a probability of 80 %."""

    value: float
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"interval [{self.low}, {self.high}] does not contain {self.value}")
        return self

    @classmethod
    def spread(cls, value: float, factor: float) -> Self:
        """Return ``value`` with the multiplicative interval ``[value / factor, value * factor]``.

        Args:
            value: any finite number of at least 0.
            factor: at least 1; 1.2 means "within 20 %".
        """
        return cls(value=value, low=value / factor, high=value * factor)

    def scaled(self, by: float) -> Self:
        """Return the quantity times an exactly known factor of at least 0."""
        return type(self)(value=self.value * by, low=self.low * by, high=self.high * by)

    def inverse(self, numerator: float = 1.0) -> Self:
        """Return ``numerator`` over the quantity: the ends change places (time becomes throughput)."""
        return type(self)(value=numerator / self.value, low=numerator / self.high, high=numerator / self.low)
