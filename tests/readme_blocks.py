"""Writes the blocks of the README that commands print: ``python -m tests.readme_blocks``."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from advisor import cli

README = Path(__file__).parents[1] / "README.md"
PROCUREMENT = Path(__file__).parent / "data" / "procurement"
QUOTES = ("reseller-germany.csv", "reseller-usa.csv", "cloud.json")


def fleet_command(*files: str) -> list[str]:
    """Return the command line of the procurement example."""
    quotes = [word for file in files for word in ("--quotes", str(PROCUREMENT / file))]
    return ["fleet", str(PROCUREMENT / "fleet.yaml"), *quotes, "--rate", "EUR=1.08", "--as-of", "2026-11-23"]


def top_block() -> str:
    """Return what the README shows of its first answer."""
    job = ["llama-3.1-8b", "--method", "lora", "--tokens", "50e6", "--budget", "3000"]
    return _printed(["recommend", *job, "--top", "3", "--width", "100"]).split("\nAssumptions")[0].strip()


def fleet_block() -> str:
    """Return what the README shows of its answer."""
    return _printed([*fleet_command(*QUOTES), "--width", "100"]).split("\nOther fleets")[0].strip()


def _printed(argv: list[str]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        cli.main(argv)
    return out.getvalue()


def _replaced(text: str, name: str, block: str) -> str:
    shown = "\n".join(f"    {line}".rstrip() for line in block.splitlines())
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}\n{shown}\n{found[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    text = README.read_text("utf-8")
    for name, block in (("top", top_block()), ("fleet", fleet_block())):
        text = _replaced(text, name, block)
    README.write_text(text, "utf-8")
