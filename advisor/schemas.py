"""The published JSON Schema of each document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from advisor.accuracy_documents import AccuracyAnswer
from advisor.documents import (
    CalibrationsAnswer,
    CheckAnswer,
    CompareAnswer,
    Document,
    EstimateAnswer,
    GpuAnswer,
    ModelAnswer,
    RecommendAnswer,
)
from advisor.errors import InputError
from advisor.fetch.documents import RefreshAnswer
from advisor.fleet_documents import FleetAnswer
from advisor.fleet_file import FleetFile
from advisor.network import NetworkTable
from advisor.price_documents import PricesAnswer
from advisor.prices import PriceRecord
from advisor.profile import Profile
from advisor.quotes.documents import ImportAnswer
from advisor.workload import Workload

SCHEMAS: Mapping[str, type[BaseModel]] = {
    "workload": Workload,
    "estimate": EstimateAnswer,
    "recommend": RecommendAnswer,
    "compare": CompareAnswer,
    "gpu": GpuAnswer,
    "model": ModelAnswer,
    "price": PriceRecord,
    "table": NetworkTable,
    "accuracy": AccuracyAnswer,
    "calibration": Profile,
    "calibrations": CalibrationsAnswer,
    "check": CheckAnswer,
    "prices": PricesAnswer,
    "refresh": RefreshAnswer,
    "price-import": ImportAnswer,
    "fleet": FleetAnswer,
    "fleet-file": FleetFile,
}


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a document.

    Raises:
        InputError: there is no such document.
    """
    if kind not in SCHEMAS:
        raise InputError("no such document", value=kind, accepted=", ".join(SCHEMAS))
    model = SCHEMAS[kind]
    mode: Literal["serialization", "validation"] = "validation"
    if issubclass(model, Document):
        mode = "serialization"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(mode=mode)}
