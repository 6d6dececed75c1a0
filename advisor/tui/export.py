"""A document in the form that a file's suffix asks for."""

from __future__ import annotations

from advisor.quantity import Model


def exported(answer: Model, suffix: str) -> str:
    """Return a document as text.

    Args:
        answer: what a screen shows.
        suffix: ``.json``, ``.md``, ``.csv`` or ``.html``.
    """
    if suffix == ".json":
        from advisor.render.json import render
    elif suffix == ".md":
        from advisor.render.markdown import render
    elif suffix == ".csv":
        from advisor.render.csv import render
    else:
        from advisor.render.html import render
    return render(answer)
