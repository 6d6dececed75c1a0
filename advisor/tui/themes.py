"""The looks of the app. Every mark that a colour makes is made by a word or a sign too."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="advisor-dark",
    dark=True,
    primary="#2f7fd0",
    secondary="#7a8fa6",
    accent="#f0b35a",
    success="#6cc08b",
    warning="#e8b04a",
    error="#f0716b",
    foreground="#dfe5ec",
    background="#10151b",
    surface="#161d25",
    panel="#212b36",
)

LIGHT = Theme(
    name="advisor-light",
    dark=False,
    primary="#1f66b3",
    secondary="#5b6b7c",
    accent="#8a4b00",
    success="#1d6b3c",
    warning="#8a5a00",
    error="#b3261e",
    foreground="#18202a",
    background="#f4f6f8",
    surface="#ffffff",
    panel="#dde4ec",
)

HIGH_CONTRAST = Theme(
    name="advisor-high-contrast",
    dark=True,
    primary="#0060ff",
    secondary="#ffffff",
    accent="#ffff00",
    success="#00ff66",
    warning="#ffff00",
    error="#ff9090",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#303030",
)

COLOUR_BLIND = Theme(
    name="advisor-colour-blind",
    dark=True,
    primary="#0072b2",
    secondary="#999999",
    accent="#f0e442",
    success="#56b4e9",
    warning="#e69f00",
    error="#d55e00",
    foreground="#e8e8e8",
    background="#101418",
    surface="#161c22",
    panel="#242c34",
)
"""Colours of Okabe and Ito, which people who do not see red or green apart can tell from each other."""

THEMES = (DARK, LIGHT, HIGH_CONTRAST, COLOUR_BLIND)
