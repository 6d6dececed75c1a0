"""gpu-advisor: which GPU to buy or rent for deep learning, and the proof."""

__version__ = "0.1.0"
