"""A radio button whose choice is a sign, and not only another colour."""

from __future__ import annotations

from textual.widgets import RadioButton


class DottedButton(RadioButton):
    """Shows a dot where it is chosen, and nothing where it is not."""

    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Draw the dot, or none."""
        self.BUTTON_INNER = "●" if self.value else " "
        super().watch_value()
