"""Writes the operator tables of the catalog from ``models/tables.yaml``: for maintainers.

``python -m advisor.zoo`` traces every network of the manifest whose package is installed and writes a table for each
and their list; names on the command line restrict it to those; ``--check`` writes nothing and says what would change,
or cannot be checked.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from advisor.describe.torch_module import table_of
from advisor.describe.tracing.device_tensor import UntraceableError
from advisor.describe.tracing.recorder import ModuleError
from advisor.describe.tracing.steps import BuildError, trace
from advisor.network import NetworkTable
from advisor.quantity import Model
from advisor.render.json import render_operators
from advisor.torch_model import InputSpec, Part, TorchModel
from advisor.yaml_io import data_root, read_yaml, validate

OWN = "advisor"
"""Package of the definitions that are written here."""

TOLERANCE = 0.03
"""By how much a traced count of parameters may differ from a published one, which is often rounded."""


class Entry(Model):
    """A network of the manifest, with what its group says of it."""

    name: str
    title: str
    family: str
    unit: str
    sample: str
    package: str
    version: str
    factory: str | None = None
    args: Mapping[str, Any] = {}
    input: InputSpec | None = None
    loss: str | None = None
    checkpointed: Mapping[str, Any] | None = None
    parts: tuple[Part, ...] = ()
    mixes_precision: bool = False
    tasks: tuple[str, ...] = ("train", "inference")
    aliases: tuple[str, ...] = ()
    released: str | None = None
    usual_batch: int | None = None
    tokens: float | None = None
    parameters: float
    parameters_source: str

    @property
    def model(self) -> TorchModel:
        """What is traced."""
        if self.parts:
            return TorchModel(parts=self.parts, mixes_precision=self.mixes_precision)
        return TorchModel(
            factory=self.factory,
            args=self.args,
            input=self.input,
            loss=self.loss,
            checkpointed=self.checkpointed,
        )

    @property
    def definition(self) -> str:
        """Package, version and factory, for people."""
        factory = self.factory or " + ".join(part.factory for part in self.parts)
        arguments = ", ".join(f"{key}={value}" for key, value in self.args.items())
        place = factory if self.package == OWN else f"{self.package} {self.version}, {factory}"
        return place + (f" ({arguments})" if arguments else "")


def entries(path: Path) -> Iterator[Entry]:
    """Yield the networks of the manifest.

    Raises:
        InputError: the manifest is malformed.
    """
    document: Any = read_yaml(path)
    for group in document["groups"]:
        common = {key: value for key, value in group.items() if key != "networks"}
        for name, own in group["networks"].items():
            data = common | own | {"name": name}
            if "parts" in data:
                data = {key: value for key, value in data.items() if key not in ("input", "loss")}
            yield validate(Entry, data, f"{path}: {name}")


def build(entry: Entry) -> NetworkTable:
    """Return the operator table of an entry; runs its definition in this process.

    Raises:
        BuildError: another version of its package is installed, or the count of parameters is not the published one.
        UntraceableError, ModuleError: the definition cannot be traced.
    """
    installed = entry.version if entry.package == OWN else importlib.metadata.version(entry.package)
    if installed != entry.version:
        raise BuildError(
            "version", f"{entry.package} {installed} is installed, the manifest says {entry.version}"
        )
    details = {
        "family": entry.family,
        "unit": entry.unit,
        "usual_batch": entry.usual_batch,
        "tokens_per_sample": entry.tokens,
        "package": entry.package,
        "version": entry.version,
        "notes": entry.sample,
    }
    table = table_of(entry.model, trace(entry.model, tasks=entry.tasks), name=entry.name, details=details)
    off = table.parameters.total / entry.parameters - 1
    if abs(off) > TOLERANCE:
        raise BuildError(
            "parameters", f"{table.parameters.total:,} traced, {entry.parameters:,.0f} published"
        )
    return table


def listed(chosen: Sequence[Entry], folder: Path) -> str:
    """Return the list of the networks whose tables are in a folder."""
    networks = []
    for entry in chosen:
        path = folder / f"{entry.name}.json"
        if not path.is_file():
            continue
        total = json.loads(path.read_text(encoding="utf-8"))["parameters"]["total"]
        networks.append(
            {
                "name": entry.name, "title": entry.title, "family": entry.family, "unit": entry.unit,
                "sample": entry.sample, "parameters": total, "aliases": list(entry.aliases),
                "released": entry.released, "definition": entry.definition,
            }
        )  # fmt: skip
    lines = ",\n  ".join(json.dumps(network, ensure_ascii=False) for network in networks)
    return f'{{"networks": [\n  {lines}\n]}}\n'


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the tables; returns 1 where one failed, differs or cannot be checked, 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m advisor.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="networks; all when left out")
    parser.add_argument("--check", action="store_true", help="write nothing; say which files differ")
    options = parser.parse_args(arguments)
    models = data_root() / "models"
    folder = models / "tables"
    known = list(entries(models / "tables.yaml"))
    unknown = sorted(set(options.names) - {entry.name for entry in known})
    if unknown:
        print(f"not in the manifest: {', '.join(unknown)}", file=sys.stderr)
        return 2
    code = 0
    for entry in known:
        if options.names and entry.name not in options.names:
            continue
        if importlib.util.find_spec(entry.package) is None:
            print(f"{entry.name}: {entry.package} is not installed", file=sys.stderr)
            if options.check or options.names:
                code = 1
            continue
        path = folder / f"{entry.name}.json"
        try:
            if options.check:
                _same_torch(path)
            text = render_operators(build(entry))
        except (BuildError, UntraceableError, ModuleError) as error:
            print(f"{entry.name}: {error}", file=sys.stderr)
            code = 1
            continue
        code |= _write_or_compare(path, text, check=options.check)
    return code | _write_or_compare(folder / "index.json", listed(known, folder), check=options.check)


def _same_torch(path: Path) -> None:
    """Refuse to compare with a table that another version of torch gave, which may run other operators.

    Raises:
        BuildError: the versions differ.
    """
    if not path.is_file():
        return
    written = json.loads(path.read_text(encoding="utf-8"))["origin"]["torch"]
    installed = importlib.metadata.version("torch").partition("+")[0]
    if written != installed:
        raise BuildError("torch", f"its table is from torch {written}, {installed} is installed")


def _write_or_compare(path: Path, text: str, *, check: bool) -> int:
    """Write a file, with the same newlines on every system; or return 1, and say so, where it differs."""
    if not check:
        path.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path}: differs from what its definition gives", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
