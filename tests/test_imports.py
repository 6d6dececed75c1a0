"""What each command loads, and that the built wheel works outside the checkout."""

import email
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "textual", "httpx", "scipy", "rich", "pandas", "shtab"}
PROBE = """
import json, sys
from advisor.cli import main
code = main(json.loads(sys.argv[1]))
sys.stderr.write(json.dumps([int(code), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def loaded(*argv: str) -> set[str]:
    """Return the top-level modules that a command leaves in a fresh interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(argv)],
        env=environment, capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    # Notes may stand before it.
    code, modules = json.loads(result.stderr.splitlines()[-1])
    assert code == 0
    return set(modules)


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["recommend", "--help"], []])
def test_help_loads_nothing_heavy(argv):
    assert not loaded(*argv) & (HEAVY | {"numpy", "pydantic", "yaml"})


@pytest.mark.parametrize(
    "argv",
    [
        ["estimate", "gpt2", "--gpu", "rtx-4090", "--json"],
        ["recommend", "llama-3.1-8b", "--method", "lora", "--json"],
        ["gpus", "--json"],
        ["recommend", "gpt2", "--format", "csv"],
    ],
)
def test_documents_load_no_face_and_no_heavy_library(argv):
    assert not loaded(*argv) & HEAVY


def test_a_table_loads_rich_and_nothing_else():
    assert loaded("gpus", "4090") & HEAVY == {"rich"}


def test_calibrating_leaves_torch_to_the_process_that_measures():
    code = "import sys, advisor.calibrate.session; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_import_advisor_is_light():
    code = "import sys, advisor; sys.exit(bool({'numpy', 'pydantic', 'yaml'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*PIP, *build], check=True)
    (wheel,) = folder.glob("gpu_advisor-*.whl")
    return wheel


def test_the_wheel_holds_the_package_its_data_and_their_terms_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = email.message_from_bytes(archive.read(metadata))
    info = metadata.removesuffix("METADATA")
    folders = {"advisor": ROOT / "advisor", "advisor/_catalog": ROOT / "catalog"}
    there = {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if not name.startswith(info)} == there
    assert about["License-Expression"] == "Apache-2.0"
    assert about.get_all("License-File") == ["LICENSE", "catalog/NOTICE.md"]
    assert {f"{info}licenses/LICENSE", f"{info}licenses/catalog/NOTICE.md"} <= names
    versions = [line.rpartition(" ")[2] for line in about.get_all("Classifier") if "Python :: 3." in line]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert set(about.get_all("Provides-Extra")) == {"fleet", "serve", "test", "torch"}
    assert wheel.stat().st_size < 4 * 2**20


PROCUREMENT = ROOT / "tests" / "data" / "procurement"
FLEET = ["fleet", str(PROCUREMENT / "fleet.yaml"), "--quotes", str(PROCUREMENT / "reseller-usa.csv")]


@pytest.mark.parametrize(
    ("argv", "missing"),
    [(["calibrate", "--quick"], "torch"), (FLEET, "fleet"), (["serve", "--port", "0"], "serve")],
    ids=["torch", "fleet", "serve"],
)
def test_a_command_without_its_extra_names_it(tmp_path, argv, missing):
    absent = "torch", "scipy", "scipy.optimize", "scipy.sparse", "aiohttp", "textual_serve"
    # Every process reads this when it starts, those that the command starts too.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({absent}))\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    done = subprocess.run(
        [sys.executable, "-m", "advisor", *argv], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert f'pip install "gpu-advisor[{missing}]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_the_built_wheel_works_in_an_empty_environment(wheel, tmp_path):
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    names = {"base": str(home), "platbase": str(home)}
    scripts = Path(sysconfig.get_path("scripts", "venv", names))
    python = scripts / Path(sys.executable).with_stem("python").name
    subprocess.run(
        [*PIP, "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        check=True,
    )
    # The dependencies are those of this environment, so nothing is downloaded. A folder that
    # a .pth file adds is not searched for other .pth files: an editable install stays out of it.
    packages = Path(sysconfig.get_path("purelib", "venv", names))
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", "utf-8")

    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    where = subprocess.run(
        [str(python), "-c", "import advisor; print(advisor.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert home in Path(where.stdout.strip()).parents
    answer = subprocess.run(
        [str(scripts / "gpu-advisor"), "estimate", "gpt2", "--gpu", "rtx-4090", "--json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert json.loads(answer.stdout)["estimates"][0]["fits"]
