"""Published measurements: of transformers, and of networks whose operator tables are shipped."""

from advisor.evidence.networks import (
    NetworkMeasurement,
    comparable_gpus,
    load_network_measurements,
    nearest_networks,
    parse_network_measurements,
)
from advisor.evidence.shared import Comparison, Near, PublishedRun, compared, related_gpus
from advisor.evidence.transformers import (
    STYLES,
    Measurement,
    MemoryKind,
    Question,
    distance,
    load_measurements,
    nearest,
    parse_measurements,
)

__all__ = [
    "STYLES",
    "Comparison",
    "Measurement",
    "MemoryKind",
    "Near",
    "NetworkMeasurement",
    "PublishedRun",
    "Question",
    "comparable_gpus",
    "compared",
    "distance",
    "load_measurements",
    "load_network_measurements",
    "nearest",
    "nearest_networks",
    "parse_measurements",
    "parse_network_measurements",
    "related_gpus",
]
