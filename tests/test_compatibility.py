"""Will it work, and does it go into the machine: the tables, the rules, and what buyers are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.catalog import shipped_devices
from advisor.compatibility import (
    CompatibilityNote,
    host_notes,
    in_order,
    software_notes,
    that_matter,
)
from advisor.compatibility.host import recommended_power_supply_w
from advisor.compatibility.reach import History, capability, runs_code
from advisor.compatibility.software import framework_named
from advisor.compatibility_tables import load_compatibility
from advisor.errors import InputError
from advisor.hardware import Device, NumberFormat
from advisor.host_facts import HostFacts
from advisor.workload import Software
from advisor.yaml_io import data_root

TABLES = load_compatibility()
DEVICES = {device.id: device for device in shipped_devices()}
GPUS = tuple(device for device in DEVICES.values() if device.kind == "gpu")
PYTORCH = framework_named("torch", TABLES)
DESKTOP = HostFacts(
    power_supply_w=850, slots=7, pcie_slots=2, max_card_length_mm=300, data_center=False, server_airflow=False
)


def verdict(gpu: str, framework: str = "pytorch", version: str | None = None) -> CompatibilityNote:
    """Return the note on whether a version has code for the GPU: the one that names it."""
    device = DEVICES[gpu]
    notes = software_notes(device, Software(framework=framework, version=version), TABLES)
    return next(note for note in notes if note.topic == "software" and note.text.startswith(device.name))


def host_note(notes: tuple[CompatibilityNote, ...], topic: str) -> CompatibilityNote:
    return next(note for note in notes if note.topic == topic)


# The ready-made answers: the last release with code for a capability, from PyPI and from any index.
@pytest.mark.parametrize(
    ("gpu", "by_default", "anywhere"),
    [
        ("gtx-780-ti", "1.3", "1.3"),
        ("tesla-k40", "1.3", "1.3"),
        ("tesla-k80", "2.0", "2.5"),
        ("gtx-750-ti", "2.7", "2.14"),
        ("gtx-980-ti", "2.7", "2.14"),
        ("tesla-p100-pcie-16gb", "2.7", "2.14"),
        ("gtx-1080-ti", "2.7", "2.14"),
        ("v100-pcie-16gb", "2.10", "2.14"),
        ("titan-v", "2.10", "2.14"),
        ("gtx-1660", "2.15", "2.15"),
        ("t4", "2.15", "2.15"),
        ("a100-pcie-80gb", "2.15", "2.15"),
        ("rtx-3090", "2.15", "2.15"),
        ("rtx-4090", "2.15", "2.15"),
        ("h100-pcie-80gb", "2.15", "2.15"),
        ("b200-sxm-180gb", "2.15", "2.15"),
        ("b300-sxm-288gb", "2.15", "2.15"),
        ("rtx-5090", "2.15", "2.15"),
        ("gb10-dgx-spark", "2.15", "2.15"),
    ],
)
def test_the_last_pytorch_with_code(gpu: str, by_default: str, anywhere: str) -> None:
    assert PYTORCH is not None
    history = History(DEVICES[gpu], PYTORCH, TABLES)
    assert history.with_code(default=True)[0].release.version == by_default
    assert history.with_code()[0].release.version == anywhere


def test_the_first_pytorch_for_blackwell() -> None:
    assert PYTORCH is not None
    history = History(DEVICES["rtx-5090"], PYTORCH, TABLES)
    first, first_by_default = history.with_code()[-1], history.with_code(default=True)[-1]
    assert (first.release.version, first.build.toolkit) == ("2.7", "12.8")
    assert first_by_default.release.version == "2.8"


@pytest.mark.parametrize(
    ("gpu", "framework", "version", "level", "words"),
    [
        (
            "gtx-1080-ti",
            "pytorch",
            None,
            "caution",
            ("2.14 with the build for CUDA 12.6", "cu126", "last is 2.7"),
        ),
        ("gtx-1080-ti", "pytorch", "2.15", "blocked", ("PyTorch 2.15 has no code", "2.14")),
        ("gtx-1080-ti", "pytorch", "2.14.1", "caution", ("only in the build for CUDA 12.6", "torch==2.14.*")),
        ("gtx-1080-ti", "pytorch", "2.5.1", "works", ("PyTorch 2.5",)),
        ("tesla-k80", "pytorch", "2.5", "caution", ("CUDA 11.8", "whl/cu118")),
        ("tesla-k80", "tensorflow", "2.21", "blocked", ("last TensorFlow", "2.14")),
        ("tesla-m40-12gb", "tensorflow", "2.17", "blocked", ("2.16",)),
        ("v100-sxm2-16gb", "tensorflow", "2.21", "works", ("TensorFlow 2.21",)),
        ("gtx-1080-ti", "tensorflow", None, "works", ()),
        ("rtx-5090", "pytorch", "2.5", "blocked", ("needs 2.7", "CUDA 12.8", "or 2.8")),
        ("rtx-5090", "pytorch", None, "works", ()),
        ("rtx-5090", "tensorflow", "2.21", "caution", ("PTX",)),
        ("rtx-5090", "mxnet", "1.9.1", "blocked", ("no release of MXNet",)),
        ("rtx-3090", "pytorch", "1.12", "caution", ("only in the build for CUDA 11.6",)),
        ("h100-pcie-80gb", "pytorch", "1.13", "blocked", ("needs 2.0", "CUDA 11.8", "or 2.1")),
        ("v100-pcie-16gb", "jax", None, "works", ("jax[cuda12]",)),
        ("t4", "jax", None, "works", ("jax[cuda13]",)),
        ("gtx-750-ti", "jax", None, "caution", ("last JAX",)),
        ("tesla-k80", "mxnet", "1.9.1", "caution", ("mxnet-cu102",)),
        ("gtx-1080-ti", "caffe", None, "works", ()),
        ("rtx-3090", "caffe", None, "caution", ("PTX",)),
        ("mi300x", "pytorch", None, "works", ("ROCm",)),
        ("mi300x", "pytorch", "2.7", "works", ("whl/rocm6.3",)),
        ("mi300x", "caffe", None, "blocked", ("no build of Caffe",)),
        ("rx-6700-xt", "pytorch", None, "caution", ("HSA_OVERRIDE_GFX_VERSION",)),
        ("rx-7800-xt", "pytorch", "2.4", "blocked", ("needs 2.9",)),
        ("arc-b580", "pytorch", None, "works", ("whl/xpu",)),
        ("arc-b580", "pytorch", "2.4", "caution", ("oldest known release with one is 2.5",)),
        ("gaudi3", "pytorch", None, "caution", ("Intel's own build",)),
        ("apple-m3-max", "pytorch", None, "works", ()),
        ("gh200-96gb", "tensorflow", None, "caution", ("ARM",)),
        ("jetson-nano", "pytorch", None, "caution", ("JetPack",)),
        ("rtx-4080-laptop", "pytorch", None, "works", ()),
    ],
)
def test_verdicts(gpu: str, framework: str, version: str | None, level: str, words: tuple[str, ...]) -> None:
    note = verdict(gpu, framework, version)
    assert note.level == level, note.text
    for word in words:
        assert word in note.text
    assert note.source


def test_blackwell_jit_of_tensorflow_is_doubted() -> None:
    notes = software_notes(DEVICES["rtx-5090"], Software(framework="TF"), TABLES)
    assert any("97387" in note.source for note in that_matter(notes))


def test_a_release_that_is_not_listed_is_taken_like_the_nearest_and_said_to_be() -> None:
    newer = verdict("rtx-4090", version="2.99")
    assert (newer.level, newer.unverified) == ("caution", True)
    assert "taken like 2.15" in newer.text
    assert "is known here" in verdict("rtx-4090", version="0.4").text
    # ROCm builds of 2.7: their list is not known, those before and after have code for this GPU.
    assert verdict("mi300x", version="2.7").unverified
    assert verdict("rx-9070", version="2.7").level == "caution"


def test_the_first_builds_with_blackwell_end_in_intermediate_code() -> None:
    release = next(release for release in PYTORCH.releases if release.version == "2.7")
    ends = {build.toolkit: build.ptx for build in release.builds if build.backend == "cuda"}
    assert ends["12.8"] == ("12.0",)
    assert ends["12.6"] == ()


def test_a_framework_that_is_not_known_is_said_to_be() -> None:
    (note, *_) = software_notes(DEVICES["rtx-4090"], Software(framework="Theano\x1b[31m"), TABLES)
    assert (note.level, note.unverified) == ("caution", True)
    assert "Theano" in note.text
    assert "\x1b" not in note.text


@pytest.mark.parametrize(
    ("gpu", "missing", "present"),
    [
        ("gtx-1080-ti", {"bfloat16", "FlashAttention 2", "torch.compile"}, {"bitsandbytes"}),
        ("t4", {"bfloat16", "FlashAttention 2"}, {"torch.compile"}),
        ("tesla-k80", {"bitsandbytes"}, set()),
    ],
)
def test_features_that_training_expects(gpu: str, missing: set[str], present: set[str]) -> None:
    notes = that_matter(software_notes(DEVICES[gpu], None, TABLES))
    text = next(note.text for note in notes if "lacks" in note.text)
    assert all(name in text for name in missing)
    assert not any(name in text for name in present)


@pytest.mark.parametrize(
    ("gpu", "framework", "version", "system", "blocked"),
    [
        ("rtx-4090", "tensorflow", "2.21", "windows", True),
        ("rtx-4090", "tensorflow", "2.10", "windows", False),
        ("rtx-4090", "tensorflow", "2.21", "linux", False),
        ("rtx-4090", "jax", None, "windows", True),
        ("rx-7900-xtx", "pytorch", None, "windows", True),
        ("rtx-4090", "pytorch", None, "windows", False),
        ("rtx-4090", "pytorch", None, "macos", True),
        ("apple-m3-max", "pytorch", None, "macos", False),
    ],
)
def test_operating_systems(gpu: str, framework: str, version: str | None, system: str, blocked: bool) -> None:
    host = HostFacts.model_validate({"operating_system": system})
    notes = software_notes(DEVICES[gpu], Software(framework=framework, version=version), TABLES, host)
    assert (notes[0].level == "blocked") is blocked


def test_drivers_of_old_and_new_gpus() -> None:
    def driver_texts(gpu: str) -> str:
        notes = software_notes(DEVICES[gpu], None, TABLES)
        return " ".join(note.text for note in notes if note.topic == "driver")

    assert "R470" in driver_texts("tesla-k80")
    assert "CUDA 11.8" in driver_texts("tesla-k80")
    assert "R580 is the last" in driver_texts("gtx-1080-ti")
    assert "R570" in driver_texts("rtx-5090")
    assert "last" not in driver_texts("rtx-4090")


# The rule of binary compatibility.
CAPABILITIES = ("3.5", "3.7", "5.0", "5.2", "5.3", "6.0", "6.1", "6.2", "7.0", "7.2", "7.5", "8.0", "8.6", "8.7",
                "8.9", "9.0", "10.0", "10.3", "11.0", "12.0", "12.1")  # fmt: skip


@given(st.sampled_from(CAPABILITIES), st.sampled_from(CAPABILITIES), st.sampled_from(CAPABILITIES))
def test_code_runs_upwards_within_a_major_version(code: str, gpu: str, other: str) -> None:
    rule = TABLES.targets.code
    assert runs_code(code, code, rule.apart)
    if runs_code(code, gpu, rule.apart):
        assert capability(code)[0] == capability(gpu)[0]
        assert capability(code) <= capability(gpu)
        if runs_code(gpu, other, rule.apart):
            assert runs_code(code, other, rule.apart)


def test_the_rule_is_that_of_pytorch() -> None:
    cuda = pytest.importorskip("torch.cuda")
    required = cuda.DEVICE_REQUIREMENT
    # 10.1 was renamed 11.0; no catalog entry and no wheel here uses the old name.
    known = [item for item in CAPABILITIES if int(item.replace(".", "")) in required]
    assert len(known) > 15
    for code in known:
        for gpu in known:
            theirs = int(gpu.replace(".", "")) in required[int(code.replace(".", ""))]
            assert runs_code(code, gpu, TABLES.targets.code.apart) == theirs, (code, gpu)


def test_the_builds_of_2_13_are_those_that_pytorch_lists() -> None:
    cuda = pytest.importorskip("torch.cuda")
    torch = pytest.importorskip("torch")
    if not torch.__version__.startswith("2.13."):
        pytest.skip("the list is that of another release")
    assert PYTORCH is not None
    release = next(release for release in PYTORCH.releases if release.version == "2.13")
    for build in release.builds:
        if build.backend == "cuda":
            machine = "aarch64" if build.machine == "arm" else "x86_64"
            theirs = cuda.PYTORCH_RELEASES_CODE_CC[build.toolkit][machine]
            assert {int(code.replace(".", "")) for code in build.code or ()} == theirs, build


@given(st.sampled_from([device for device in GPUS if device.compute_capability]), st.data())
def test_a_gpu_with_code_is_never_blocked_and_one_without_never_works(
    device: Device, data: st.DataObject
) -> None:
    framework = data.draw(st.sampled_from(TABLES.frameworks))
    release = data.draw(st.sampled_from(framework.releases))
    history = History(device, framework, TABLES)
    if history.backend != "cuda":
        return
    builds = [
        build
        for build in release.builds
        if build.backend == "cuda" and build.machine == history.machine and build.code is not None
    ]
    target = device.compute_capability
    assert target is not None
    has_code = any(
        runs_code(code, target, TABLES.targets.code.apart) for build in builds for code in build.code or ()
    )
    level = verdict(device.id, framework.id, release.version).level
    if has_code:
        assert level != "blocked"
    else:
        assert level != "works"


# Every GPU, every fact.
@pytest.mark.parametrize("framework", [None, *(framework.id for framework in TABLES.frameworks)])
def test_every_gpu_gets_notes_in_order(framework: str | None) -> None:
    software = Software(framework=framework) if framework else None
    for device in GPUS:
        notes = software_notes(device, software, TABLES, DESKTOP)
        assert any(note.topic == "software" for note in notes), device.id
        for count in (1, 2, 8, 72):
            notes += host_notes(device, count, None, "CN", TABLES)
            notes += host_notes(device, count, DESKTOP, None, TABLES)
        for note in notes:
            assert note.source, (device.id, note)
            assert note.text == note.text.strip()
            assert not note.text.endswith(".")
            assert "None" not in note.text
        assert in_order(notes)[0].level == min(
            (n.level for n in notes), key=("blocked", "caution", "works").index
        )


@pytest.mark.parametrize("wrong", [None, "", "Volta"])
def test_a_users_gpu_of_unknown_capability_never_works(wrong: str | None) -> None:
    device = DEVICES["rtx-4090"].model_copy(update={"compute_capability": wrong})
    notes = software_notes(device, None, TABLES)
    assert next(note for note in notes if note.text.startswith(device.name)).level != "works"


def test_processors_get_no_notes() -> None:
    cpu = next(device for device in DEVICES.values() if device.kind == "cpu")
    assert software_notes(cpu, None, TABLES) == ()
    assert host_notes(cpu, 1, DESKTOP, "CN", TABLES) == ()


@pytest.mark.parametrize(
    "gpu",
    ["rtx-5090", "rtx-4090", "rtx-3090", "rtx-4060", "rx-7900-xtx", "arc-b580", "l40s", "l4", "h100-pcie-80gb",
     "h100-sxm5-80gb", "b200-sxm-180gb", "mi300x", "rtx-pro-6000-blackwell-ws", "apple-m3-max", "t4"],
)  # fmt: skip
def test_a_current_gpu_is_not_flooded_with_warnings(gpu: str) -> None:
    notes = software_notes(DEVICES[gpu], None, TABLES) + host_notes(DEVICES[gpu], 1, None, None, TABLES)
    assert len(that_matter(notes)) <= 3
    card = DEVICES[gpu].board.form_factor == "PCIe"
    assert all(note.level == "caution" for note in that_matter(notes) if card or note.topic != "slots")


def test_every_id_of_the_tables_is_a_gpu() -> None:
    host, lengths = TABLES.host, TABLES.lengths
    named = {
        *TABLES.targets.arm.gpus,
        *host.card_versions.gpus,
        *host.card_versions.gpus.values(),
        *host.no_display.except_,
        *host.optional_ecc.gpus,
        *lengths.lengths_mm,
        *lengths.remembered,
        *(gpu for item in host.baseboards for gpu in item.gpus),
        *(gpu for item in host.bridges for gpu in item.gpus),
        *(gpu for item in host.export for gpu in item.gpus),
    }
    assert named <= {device.id for device in GPUS}
    for gpu, card in host.card_versions.gpus.items():
        assert DEVICES[card].board.form_factor == "PCIe" != DEVICES[gpu].board.form_factor
    for gpu in {*lengths.lengths_mm, *lengths.remembered}:
        assert DEVICES[gpu].board.form_factor == "PCIe"
    for rule in host.bridges:
        for gpu in rule.gpus:
            assert DEVICES[gpu].links.nvlink_gb_s, gpu


def test_forms_cover_what_the_catalog_has() -> None:
    forms = {form.form_factor for form in TABLES.host.forms} | {"PCIe"}
    assert {device.board.form_factor for device in GPUS} <= forms


def test_targets_of_builds_exist() -> None:
    capabilities = {*CAPABILITIES, "2.0", "2.1", "3.0"}
    architectures = {device.architecture for device in GPUS} | {"apple"}
    for framework in TABLES.frameworks:
        for release in framework.releases:
            for build in release.builds:
                for code in build.code or ():
                    gfx = code.startswith("gfx") and build.backend == "rocm"
                    assert gfx or code in (capabilities if build.backend == "cuda" else architectures)
                assert set(build.ptx) <= set(build.code or ())


# The machine.
def test_power_supply_follows_its_rule() -> None:
    watts = {
        gpu: recommended_power_supply_w(DEVICES[gpu], 1, TABLES.host) for gpu in ("gtx-1080-ti", "rtx-4090")
    }
    assert watts == {"gtx-1080-ti": 600, "rtx-4090": 850}
    assert recommended_power_supply_w(DEVICES["rtx-4090"], 4, TABLES.host) == 2500


@given(st.sampled_from(GPUS), st.integers(1, 8))
def test_more_boards_never_need_a_smaller_supply(device: Device, boards: int) -> None:
    one, two = (recommended_power_supply_w(device, number, TABLES.host) for number in (boards, boards + 1))
    assert boards * device.board.tdp_w < one <= two


@pytest.mark.parametrize(("watts", "level"), [(1000, "works"), (900, "caution"), (700, "blocked")])
def test_a_known_power_supply_is_judged(watts: float, level: str) -> None:
    notes = host_notes(DEVICES["rtx-5090"], 1, HostFacts(power_supply_w=watts), None, TABLES)
    assert host_note(notes, "power").level == level
    assert f"{watts:g} W" in host_note(notes, "power").text


def test_four_cards_of_three_slots_ask_for_another_case_supply_and_processor() -> None:
    notes = that_matter(host_notes(DEVICES["rtx-4090"], 4, None, None, TABLES))
    assert {note.topic for note in notes} == {"power", "slots", "pcie"}
    assert "12 slots" in host_note(notes, "slots").text


def test_a_desktop_refuses_what_does_not_go_in() -> None:
    def blocked(gpu: str, count: int = 1) -> set[str]:
        notes = host_notes(DEVICES[gpu], count, DESKTOP, None, TABLES)
        return {note.topic for note in notes if note.level == "blocked"}

    assert blocked("l40s") == {"cooling"}
    assert blocked("h100-sxm5-80gb", 8) == {"slots"}
    assert blocked("rtx-4080-laptop") == {"slots"}
    assert blocked("rtx-4090") == {"length"}
    assert blocked("rtx-4060") == set()
    assert blocked("rtx-4060", 3) == {"slots"}


def test_passive_cards_work_where_air_is_blown() -> None:
    server = HostFacts(server_airflow=True)
    assert host_note(host_notes(DEVICES["l40s"], 1, None, None, TABLES), "cooling").level == "caution"
    assert host_note(host_notes(DEVICES["l40s"], 1, server, None, TABLES), "cooling").level == "works"


def test_modules_are_bought_by_the_baseboard() -> None:
    one = host_note(host_notes(DEVICES["h100-sxm5-80gb"], 1, None, None, TABLES), "slots")
    eight = host_note(host_notes(DEVICES["h100-sxm5-80gb"], 8, None, None, TABLES), "slots")
    assert (one.level, eight.level) == ("blocked", "works")
    assert "h100-pcie-80gb" in one.text
    four = host_note(host_notes(DEVICES["b200-sxm-180gb"], 4, None, None, TABLES), "slots")
    assert (four.level, "baseboards carry 8" in four.text) == ("blocked", True)


def test_bridges_join_pairs_of_cards() -> None:
    one, two, four = (
        host_note(host_notes(DEVICES["rtx-3090"], count, None, None, TABLES), "nvlink") for count in (1, 2, 4)
    )
    assert (one.level, two.level, four.level) == ("works", "caution", "caution")
    assert "PCIe only" in four.text
    assert "PCIe only" not in two.text
    assert "no NVLink" in host_note(host_notes(DEVICES["rtx-4090"], 2, None, None, TABLES), "nvlink").text
    assert "no NVLink" in host_note(host_notes(DEVICES["rtx-2070"], 2, None, None, TABLES), "nvlink").text
    two, four = (
        host_note(host_notes(DEVICES["rtx-2070-super"], count, None, None, TABLES), "nvlink")
        for count in (2, 4)
    )
    assert "no NVLink" not in two.text
    assert "PCIe only" in four.text
    assert DEVICES["rtx-2070-super"].links.nvlink_gb_s == DEVICES["rtx-2080"].links.nvlink_gb_s


@pytest.mark.parametrize(
    ("gpu", "dark"),
    [("mi50-16gb", False), ("mi60-32gb", False), ("l40s", False), ("a10", True), ("mi100", True)],
)
def test_display_outputs(gpu: str, dark: bool) -> None:
    notes = [note for note in host_notes(DEVICES[gpu], 1, None, None, TABLES) if note.topic == "display"]
    assert [note.text for note in notes] == (["it has no display output"] if dark else [])


def test_boards_of_several_gpus_are_counted() -> None:
    one, two = (host_notes(DEVICES["tesla-k80"], count, None, None, TABLES) for count in (1, 2))
    assert "unused" in host_note(that_matter(one), "slots").text
    assert not [note for note in that_matter(two) if note.topic == "slots"]
    assert "1 board of 300 W" in host_note(two, "power").text


def test_several_laptops_and_macs_are_several_computers() -> None:
    for gpu in ("rtx-4080-laptop", "apple-m3-max"):
        note = host_note(host_notes(DEVICES[gpu], 2, None, None, TABLES), "slots")
        assert (note.level, "2 computers" in note.text) == ("caution", True)


@pytest.mark.parametrize(
    ("gpu", "country", "blocked"),
    [
        ("a100-sxm4-80gb", "CN", True),
        ("a100-sxm4-80gb", "cn", True),
        ("a100-sxm4-80gb", "DE", False),
        ("rtx-4090", "CN", True),
        ("rtx-4090-d", "CN", False),
        ("l4", "CN", True),
        ("max-1100", "CN", True),
        ("l20", "CN", False),
        ("a10", "CN", False),
        ("t4", "CN", False),
        ("gtx-1080-ti", "RU", True),
    ],
)
def test_export(gpu: str, country: str | None, blocked: bool) -> None:
    notes = [note for note in host_notes(DEVICES[gpu], 1, None, country, TABLES) if note.topic == "export"]
    assert [note.level for note in notes] == (["blocked"] if blocked else [])
    assert all(note.unverified for note in notes)


def test_without_a_country_it_is_said_which_ones_need_a_licence() -> None:
    for gpu, levels in (("a100-sxm4-80gb", ["works"]), ("rtx-4090-d", [])):
        notes = [note for note in host_notes(DEVICES[gpu], 1, None, None, TABLES) if note.topic == "export"]
        assert [note.level for note in notes] == levels
        assert all("CN" in note.text for note in notes)


BITS = {
    NumberFormat.TF32: 32, NumberFormat.FP16: 16, NumberFormat.BF16: 16, NumberFormat.FP8: 8, NumberFormat.INT8: 8,
    NumberFormat.FP4: 4,
}  # fmt: skip
DIES_MM2 = {
    "l4": 294, "l20": 609, "a10": 628, "a10g": 628, "a40": 628,
    "a30": 826, "h20-96gb": 814, "mi100": 750, "mi210": 724,
    **{gpu: 815 for gpu in DEVICES if gpu.startswith(("v100-", "v100s-"))},
}  # fmt: skip
"""Of the data-center GPUs for which the density decides."""


def test_export_follows_its_own_rule_for_every_gpu() -> None:
    (largest, least, densest) = (4800, 1600, 5.92)
    by_rule: set[str] = set()
    for device in GPUS:
        rates = device.tensor.rates if device.tensor else ()
        tpp = max(
            (rate.tflops * BITS[rate.format] for rate in rates), default=32 * device.compute.fp32_tflops
        )
        in_data_centers = device.segment == "datacenter"
        if tpp >= largest or (in_data_centers and tpp >= least and tpp / DIES_MM2[device.id] >= densest):
            by_rule.add(device.id)
    listed = {gpu for rule in TABLES.host.export if "CN" in rule.countries for gpu in rule.gpus}
    # NVIDIA was told by letter about the H20; the tensor rates of the 5090 D are limited, which its entry doubts.
    assert by_rule - {"rtx-5090-d"} == listed - {"h20-96gb"}
    assert any("2375" in doubt for doubt in DEVICES["rtx-5090-d"].doubts)


def test_geforce_in_a_data_center() -> None:
    def level(gpu: str, host: HostFacts | None) -> list[str]:
        return [n.level for n in host_notes(DEVICES[gpu], 1, host, None, TABLES) if n.topic == "licence"]

    assert level("rtx-4090", HostFacts(data_center=True)) == ["caution"]
    assert level("rtx-4090", None) == ["works"]
    assert level("l40s", HostFacts(data_center=True)) == []


def test_a_wrong_table_is_an_error_with_its_place(tmp_path) -> None:
    folder = tmp_path / "compatibility"
    folder.mkdir()
    for path in (data_root() / "compatibility").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    wrong = folder / "pytorch.yaml"
    wrong.write_text(wrong.read_text(encoding="utf-8").replace("'2.14'", "'2.16'", 1), encoding="utf-8")
    with pytest.raises(InputError, match="newest to the oldest"):
        load_compatibility(tmp_path)
