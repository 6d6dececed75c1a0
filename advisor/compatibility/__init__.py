"""Will it work, and does it go into the machine: pure, a device and a question in, notes out."""

from advisor.compatibility.host import CARD, host_notes, sold_together
from advisor.compatibility.note import CompatibilityNote, in_order, that_matter
from advisor.compatibility.software import framework_verdicts, software_notes

__all__ = [
    "CARD",
    "CompatibilityNote",
    "framework_verdicts",
    "host_notes",
    "in_order",
    "software_notes",
    "sold_together",
    "that_matter",
]
