"""Writes the operator tables of the suite's tests: for maintainers.

``python -m advisor.calibrate.tables`` traces every test that is code and writes ``calibration/tables.json`` in the
catalog, so that a profile is read where there is no torch. ``--check`` writes nothing and says whether it would change.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence

from advisor.calibration import load_suite, tables_path
from advisor.describe.torch_module import table_of
from advisor.describe.tracing.steps import trace
from advisor.network import NetworkTable
from advisor.suite import Suite
from advisor.yaml_io import data_root


def traced_tables(suite: Suite) -> dict[str, NetworkTable]:
    """Return the operator table of each test that is code."""
    found = {}
    for name, test in suite.tests.items():
        model = test.model.torch
        if model is not None:
            tasks = ("train", "inference") if test.inference else ("train",)
            found[name] = table_of(
                model, trace(model, tasks=tasks), name=name, details={"family": "calibration"}
            )
    return found


def text_of(tables: Mapping[str, NetworkTable]) -> str:
    """Return the file, one table a line."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(table.model_dump(mode='json'), separators=(',', ':'))}"
        for name, table in tables.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, or return 1 where it differs from what the tests give."""
    parser = argparse.ArgumentParser(prog="python -m advisor.calibrate.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the file differs")
    options = parser.parse_args(arguments)
    root = data_root()
    text, path = text_of(traced_tables(load_suite(root))), tables_path(root)
    if not options.check:
        path.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{path}: differs from what the tests give\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
