"""Configs of the Hugging Face hub: asked for over real connections, kept, and what is refused."""

from __future__ import annotations

import datetime
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, HubServer, Repository, safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.describe.huggingface import transformer_from_config
from advisor.describe.weights import parameter_count
from advisor.errors import AdvisorError, ExternalError, InputError
from advisor.fetch.http import Http
from advisor.fetch.hub import ENDPOINT_VARIABLE, Hub
from advisor.hub_model import HubModel, is_hub_id, parse_hub_id

TODAY = datetime.date(2026, 11, 23)
NAME = "meta-llama/Llama-3.1-8B"
SHIPPED = ("llama-3.1-8b", "llama-3-8b", "mistral-7b", "bert-base")
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
PARAMETERS = 8030261248
TOLD = {"safetensors": {"parameters": {"BF16": PARAMETERS}, "total": PARAMETERS}}


def connection() -> Http:
    return Http(timeout_s=5, attempts=1)


def good(**about: Any) -> Repository:
    return Repository(files={"config.json": json.dumps(CONFIG).encode()}, about=about)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(ENDPOINT_VARIABLE, raising=False)


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        yield running


@pytest.fixture
def hub(server: HubServer, tmp_path: Path) -> Hub:
    return Hub(tmp_path, connection, server.url, today=TODAY, shipped=SHIPPED)


def kept(folder: Path, name: str = "meta-llama--llama-3.1-8b") -> Path:
    return folder / "hub" / name / "model.json"


# Names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama/Llama-3.1-8B",
        "Qwen/Qwen2.5-0.5B",
        "a/b",
        "google/t5_1@main",
        "x/y@refs/pr/12",
        f"x/y@{COMMIT}",
    ],
)
def test_names_of_the_hub(name: str) -> None:
    assert is_hub_id(name)
    parsed = parse_hub_id(name)
    assert name == (
        parsed.repository if parsed.revision is None else f"{parsed.repository}@{parsed.revision}"
    )


@pytest.mark.parametrize(
    "name",
    [
        "", "gpt2", "a/b/c", "/a", "a/", "../etc", "a/..", "..%2f/x", "a/b@", "a/b@../../x", "a/b@x//y", "a/b@/x",
        "https://huggingface.co/a/b", "a--b/c", "a/b--c", "-a/b", "a/b.", "a b/c", "a/b\n", "a/b?x=1", "a/b#c", "a\\b",
        "models/config.json", "./a/b", "a/b@x\x00", "a/\uff42", "~/b", "C:/b", "a" * 97 + "/b", "x/y.git",
    ],
)  # fmt: skip
def test_what_is_no_name_of_the_hub(name: str, hub: Hub, server: HubServer, tmp_path: Path) -> None:
    assert not is_hub_id(name)
    with pytest.raises(InputError, match="not a model of the Hugging Face hub"):
        hub.model(name)
    assert server.asked == []
    assert list(tmp_path.iterdir()) == []


@given(st.from_regex(r"[\w./@%-]{1,40}", fullmatch=True))
def test_a_name_stays_in_its_folder(text: str) -> None:
    if is_hub_id(text):
        folder = parse_hub_id(text).folder
        assert not set(folder) & set('/\\:*?"<>|')
        assert folder.strip(".") == folder
        assert folder not in ("", ".", "..")


def test_two_names_share_no_folder() -> None:
    names = ["a/b", "a/b@c", "a/b@c/d", "a/b@c-d", "a/b@C/d", "a-b/c", "a/b-c", "a/b_c"]
    assert len({parse_hub_id(name).folder for name in names}) == len(names)


# Answers ----------------------------------------------------------------------------------------------------


def test_a_model_as_the_hub_describes_it(hub: Hub, server: HubServer, tmp_path: Path) -> None:
    server.repositories[NAME] = good(**TOLD)
    model = hub.model(NAME)
    assert (model.name, model.commit, model.date, model.warnings) == (NAME, COMMIT, TODAY, ())
    assert model.config == CONFIG
    assert (model.parameters, model.weight_dtypes) == (PARAMETERS, {"BF16": PARAMETERS})
    assert model.disagreement(parameter_count(transformer_from_config(model.config))) is None
    assert "2026-11-23" in model.source
    assert COMMIT[:12] in model.source
    assert server.paths == [f"/api/models/{NAME}", f"/{NAME}/resolve/{COMMIT}/config.json"]
    assert kept(tmp_path).is_file()


def test_a_revision_is_asked_for_and_kept_by_itself(hub: Hub, server: HubServer, tmp_path: Path) -> None:
    server.repositories[NAME] = good(**TOLD)
    assert hub.model(f"{NAME}@refs/pr/1").revision == "refs/pr/1"
    assert hub.model(NAME).revision is None
    assert server.paths[0] == f"/api/models/{NAME}/revision/refs/pr/1"
    assert kept(tmp_path, "meta-llama--llama-3.1-8b@refs%2Fpr%2F1").is_file()
    assert kept(tmp_path).is_file()


def test_no_token_is_sent(hub: Hub, server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.setenv(variable, "hf_secret")
    server.repositories[NAME] = good()
    hub.model(NAME)
    sent = [f"{name}: {value}".lower() for asked in server.asked for name, value in asked.headers.items()]
    assert sent
    assert not [line for line in sent if "secret" in line or line.startswith(("authorization", "cookie"))]


def test_a_mirror_is_asked_where_the_environment_names_one(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repositories[NAME] = good(**TOLD)
    monkeypatch.setenv(ENDPOINT_VARIABLE, f"{server.url}/")
    model = Hub(tmp_path, connection, today=TODAY).model(NAME)
    assert model.origin == server.url.removeprefix("http://")
    assert server.paths[0] == f"/api/models/{NAME}"


def test_a_mirror_with_a_password_in_its_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match="a name and a password") as caught:
        Hub(tmp_path, connection, "https://me:secret@example.org", today=TODAY).model(NAME)
    assert "secret" not in str(caught.value)


def test_files_may_lie_on_another_host(hub: Hub, server: HubServer) -> None:
    server.repositories[NAME] = good(**TOLD)
    with HubServer() as storage:
        storage.repositories[NAME] = good()
        server.files_at = storage.url
        assert hub.model(NAME).config == CONFIG
        assert storage.paths == [f"/{NAME}/resolve/{COMMIT}/config.json"]


# Copies -----------------------------------------------------------------------------------------------------


def test_a_copy_is_used_without_asking_and_keeps_its_date(
    hub: Hub, server: HubServer, tmp_path: Path
) -> None:
    server.repositories[NAME] = good(**TOLD)
    first = hub.model(NAME)
    server.stop()
    later = Hub(tmp_path, connection, server.url, today=TODAY + datetime.timedelta(days=90))
    assert later.model(NAME) == first
    assert later.model(NAME.lower()) == first
    assert Hub(tmp_path, None, server.url).model(NAME) == first


@pytest.mark.parametrize("refresh", [False, True])
def test_what_a_mirror_said_is_no_copy_of_what_the_hub_says(
    server: HubServer, tmp_path: Path, refresh: bool
) -> None:
    with HubServer() as mirror:
        mirror.repositories[NAME] = good(**TOLD)
        mirror.repositories[NAME].files["config.json"] = json.dumps(
            CONFIG | {"num_hidden_layers": 1}
        ).encode()
        forged = Hub(tmp_path, connection, mirror.url, today=TODAY).model(NAME)
        mark = json.loads(kept(tmp_path).read_text())["etag"]
    assert (forged.config["num_hidden_layers"], bool(mark)) == (1, True)
    # Where nobody can be asked it is used, and said.
    offline = Hub(tmp_path, None, server.url).model(NAME)
    (warning,) = offline.warnings
    assert offline == forged.model_copy(update={"warnings": (warning,)})
    assert forged.origin in warning
    assert server.url.removeprefix("http://") in warning
    server.repositories[NAME] = good(**TOLD)
    found = Hub(tmp_path, connection, server.url, today=TODAY).model(NAME, refresh=refresh)
    assert found.config["num_hidden_layers"] == 32
    assert found.origin == server.url.removeprefix("http://")
    assert "If-None-Match" not in server.asked[0].headers
    assert Hub(tmp_path, None, server.url).model(NAME) == found


def test_what_a_mirror_said_stays_where_the_hub_is_not_reached(server: HubServer, tmp_path: Path) -> None:
    server.repositories[NAME] = good(**TOLD)
    Hub(tmp_path, connection, server.url, today=TODAY).model(NAME)
    before = kept(tmp_path).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ExternalError, match="not reached") as error:
        Hub(tmp_path, connection, f"http://127.0.0.1:{port}", today=TODAY).model(NAME)
    assert "without a refresh" not in str(error.value)
    assert kept(tmp_path).read_bytes() == before


def test_a_refresh_asks_whether_anything_changed(hub: Hub, server: HubServer, tmp_path: Path) -> None:
    server.repositories[NAME] = good(**TOLD)
    first = hub.model(NAME)
    server.asked.clear()
    later = Hub(tmp_path, connection, server.url, today=TODAY + datetime.timedelta(days=1))
    same = later.model(NAME, refresh=True)
    assert same == first.model_copy(update={"date": datetime.date(2026, 11, 24)})
    assert server.paths == [f"/api/models/{NAME}"]
    assert "If-None-Match" in server.asked[0].headers
    assert later.model(NAME) == same

    server.repositories[NAME].files["config.json"] = json.dumps(CONFIG | {"num_hidden_layers": 16}).encode()
    server.repositories[NAME].about["sha"] = "f" * 40
    changed = later.model(NAME, refresh=True)
    assert (changed.config["num_hidden_layers"], changed.commit) == (16, "f" * 40)


def test_a_refresh_without_network_fails_and_leaves_the_copy(hub: Hub, server: HubServer) -> None:
    server.repositories[NAME] = good(**TOLD)
    first = hub.model(NAME)
    server.stop()
    with pytest.raises(ExternalError, match="without a refresh the copy of 2026-11-23 is used"):
        hub.model(NAME, refresh=True)
    assert hub.model(NAME) == first


def test_without_network_and_copy_the_way_out_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for http in (connection, None):
        with pytest.raises(ExternalError, match=r"download its config\.json yourself"):
            Hub(tmp_path, http, f"http://127.0.0.1:{port}", today=TODAY).model(NAME)


@pytest.mark.parametrize(
    "broken",
    ["", "{", "[]", '{"schema": "gpu-advisor/hub-model/9"}', '{"model": {"name": "a/b", "config": 3}}'],
)
def test_a_broken_copy_is_reported_and_asked_for_again(
    hub: Hub, server: HubServer, tmp_path: Path, broken: str
) -> None:
    kept(tmp_path).parent.mkdir(parents=True)
    kept(tmp_path).write_text(broken)
    with pytest.raises(ExternalError, match="cannot be used"):
        Hub(tmp_path, None).model(NAME)
    assert kept(tmp_path).read_text() == broken
    server.repositories[NAME] = good(**TOLD)
    assert "cannot be used" in hub.model(NAME).warnings[0]
    assert hub.model(NAME).warnings == ()


def test_the_copy_of_another_model_is_not_used(hub: Hub, server: HubServer, tmp_path: Path) -> None:
    server.repositories[NAME] = good()
    hub.model(NAME)
    other = kept(tmp_path, "a--b")
    other.parent.mkdir()
    other.write_bytes(kept(tmp_path).read_bytes())
    with pytest.raises(ExternalError, match="that of another model"):
        Hub(tmp_path, None).model("a/b")


def test_an_answer_that_cannot_be_kept_is_still_an_answer(
    hub: Hub, server: HubServer, tmp_path: Path
) -> None:
    server.repositories[NAME] = good(**TOLD)
    (tmp_path / "hub").write_text("in the way")
    model = hub.model(NAME)
    assert model.parameters == PARAMETERS
    assert "could not be kept" in model.warnings[0]


# Closed, missing, of another kind ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_repository_is_explained(hub: Hub, server: HubServer, tmp_path: Path, status: int) -> None:
    server.repositories[NAME] = Repository(about={"gated": "manual", **TOLD}, files_status=status)
    with pytest.raises(ExternalError, match="gated") as caught:
        hub.model(NAME)
    assert "accept its terms" in str(caught.value)
    assert "llama-3.1-8b" in str(caught.value)
    assert not (tmp_path / "hub").exists()


def test_a_repository_that_the_hub_does_not_show_may_be_private_or_missing(
    hub: Hub, server: HubServer
) -> None:
    server.repositories[NAME] = Repository(status=401)
    with pytest.raises(ExternalError, match="private, or there is none of this name"):
        hub.model(NAME)


def test_a_missing_repository_or_revision_names_the_nearest_shipped_models(
    hub: Hub, server: HubServer
) -> None:
    with pytest.raises(InputError, match="no such repository") as caught:
        hub.model("meta-llama/Llama_3.1-8b")
    assert caught.value.candidates[0] == "llama-3.1-8b"
    server.repositories[NAME] = good()
    with pytest.raises(InputError, match="no such repository or revision"):
        hub.model(f"{NAME}@gone")


@pytest.mark.parametrize(
    ("files", "about", "says", "hint"),
    [
        ({"adapter_config.json": b'{"base_model_name_or_path": "Qwen/Qwen3-8B"}'}, {}, "an adapter", "Qwen/Qwen3-8B"),
        ({"adapter_config.json": b'{"base_model_name_or_path": "/root/\\u001b[2J"}'}, {}, "an adapter", None),
        ({"m-Q4_K_M.gguf": b""}, {"tags": ["gguf", "base_model:quantized:Qwen/Qwen3-8B"]}, "GGUF", "Qwen/Qwen3-8B"),
        ({"model_index.json": b"{}", "unet/config.json": b"{}", "vae/config.json": b"{}"}, {}, r"\(unet, vae\)", None),
        ({"README.md": b""}, {"tags": "none", "siblings": None}, "has no config.json", None),
    ],
)  # fmt: skip
def test_a_repository_of_another_kind_is_explained(
    hub: Hub, server: HubServer, files: dict[str, bytes], about: dict[str, Any], says: str, hint: str | None
) -> None:
    server.repositories[NAME] = Repository(files=files, about=about)
    with pytest.raises(InputError, match=says) as caught:
        hub.model(NAME)
    assert (caught.value.hint or "").endswith(hint or "")
    assert (caught.value.hint is None) == (hint is None)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (b"<html>", "not valid JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"", "empty"),
        (b'{"hidden_size": NaN}', "infinity and NaN"),
        (b"[" * 100_000, "levels"),
        (b'{"a": "' + b"x" * (3 * 2**20) + b'"}', "larger than 2 MiB"),
    ],
    ids=["html", "list", "utf-16", "empty", "nan", "nested", "huge"],
)
def test_a_config_that_is_none_is_refused_and_not_kept(
    hub: Hub, server: HubServer, tmp_path: Path, config: bytes, says: str
) -> None:
    server.repositories[NAME] = Repository(files={"config.json": config}, about=TOLD)
    with pytest.raises(ExternalError, match=says):
        hub.model(NAME)
    assert not kept(tmp_path).exists()


def test_control_characters_of_a_config_do_not_come_through(hub: Hub, server: HubServer) -> None:
    server.repositories[NAME] = Repository(
        files={"config.json": b'{"model_type": "\\u001b[2Jllama\\ud800"}'}, about=TOLD
    )
    assert hub.model(NAME).config == {"model_type": "\ufffd[2Jllama\ufffd"}


@settings(max_examples=40, deadline=None)
@given(answer=st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["sha", "siblings", "safetensors", "total", "parameters", "rfilename", "tags", "BF16"]),
        inner, max_size=4,
    ),
    max_leaves=12,
))  # fmt: skip
def test_whatever_the_hub_says_of_a_model_there_is_an_answer_or_one_of_our_errors(
    tmp_path_factory: pytest.TempPathFactory, answer: object
) -> None:
    with HubServer() as server:
        about = (
            answer if isinstance(answer, dict) else {"siblings": answer, "safetensors": answer, "sha": answer}
        )
        server.repositories[NAME] = good(**about)
        hub = Hub(tmp_path_factory.mktemp("hub"), connection, server.url, today=TODAY)
        try:
            model = hub.model(NAME)
        except AdvisorError:
            return
        assert model.config == CONFIG
        assert model.parameters is None or model.parameters > 0


# Counting weights -------------------------------------------------------------------------------------------


def sharded() -> Repository:
    first = {"embed": ("BF16", (1000, 64)), "norm": ("F32", (64,)), "scalar": ("F32", ())}
    # Longer than what is asked for at once, so that it takes a second range.
    second = {f"layer.{i}": ("BF16", (64, 64)) for i in range(10)}
    map_ = dict.fromkeys(first, "model-00001-of-00002.safetensors")
    map_ |= dict.fromkeys(second, "model-00002-of-00002.safetensors")
    repository = good()
    repository.files |= {
        "model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": map_}).encode(),
        "model-00001-of-00002.safetensors": safetensors(first),
        "model-00002-of-00002.safetensors": safetensors(second, header_bytes=300_000) + bytes(500_000),
    }
    return repository


def test_weights_are_counted_from_the_headers_by_ranges(hub: Hub, server: HubServer) -> None:
    server.repositories[NAME] = sharded()
    model = hub.model(NAME)
    assert model.warnings == ()
    assert model.weight_dtypes == {"BF16": 64_000 + 40_960, "F32": 65}
    assert model.parameters == 105_025
    ranges = [asked.headers["Range"] for asked in server.asked if "Range" in asked.headers]
    assert ranges == ["bytes=0-131071", "bytes=0-131071", f"bytes=131072-{300_000 + 7}"]


def test_a_single_file_is_counted(hub: Hub, server: HubServer) -> None:
    server.repositories[NAME] = good()
    server.repositories[NAME].files["model.safetensors"] = safetensors({"w": ("F32", (3, 5))})
    assert hub.model(NAME).parameters == 15


def test_files_without_ranges_are_not_downloaded_whole(hub: Hub, server: HubServer) -> None:
    server.ranges = False
    server.repositories[NAME] = sharded()
    model = hub.model(NAME)
    assert model.parameters is None
    assert model.config == CONFIG
    assert "were not counted" in model.warnings[0]
    assert "larger than" in model.warnings[0]

    server.repositories["a/small"] = good()
    server.repositories["a/small"].files["model.safetensors"] = safetensors({"w": ("F32", (3, 5))})
    assert hub.model("a/small").parameters == 15


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("model.safetensors", b"short", "not a safetensors file"),
        ("model.safetensors", b"\xff" * 100, "its header is larger"),
        ("model.safetensors", bytes(100), "not a safetensors file"),
        ("model.safetensors", (90).to_bytes(8, "little") + b"{}", "answered 416"),
        ("model.safetensors", (2).to_bytes(8, "little") + b"[]", "not a JSON object"),
        ("model.safetensors", (9).to_bytes(8, "little") + b'{"w": 12}', "no type"),
        ("model.safetensors.index.json", b"{}", "names no files"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "../../secret.safetensors"}}', "elsewhere"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "https://x/y.safetensors"}}', "elsewhere"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "gone.safetensors"}}', "answered 404"),
    ],
)
def test_files_that_are_not_what_they_say_cost_the_count_only(
    hub: Hub, server: HubServer, name: str, body: bytes, says: str
) -> None:
    server.repositories[NAME] = good()
    server.repositories[NAME].files[name] = body
    model = hub.model(NAME)
    assert model.parameters is None
    assert re.search(says, model.warnings[0])


def test_a_header_that_is_cut_off_is_refused_also_without_ranges(hub: Hub, server: HubServer) -> None:
    server.ranges = False
    server.repositories[NAME] = good()
    server.repositories[NAME].files["model.safetensors"] = (90).to_bytes(8, "little") + b"{}"
    assert "ends within its header" in hub.model(NAME).warnings[0]


@pytest.mark.parametrize("shape", ["[-1]", "[1.5]", "[true]", '["4"]', "[1000000000, 1000000000]", "7"])
def test_impossible_shapes_are_refused(hub: Hub, server: HubServer, shape: str) -> None:
    header = f'{{"w": {{"dtype": "F32", "shape": {shape}}}}}'.encode()
    server.repositories[NAME] = good()
    server.repositories[NAME].files["model.safetensors"] = len(header).to_bytes(8, "little") + header
    model = hub.model(NAME)
    assert model.parameters is None
    assert "shape" in model.warnings[0]


# Two counts -------------------------------------------------------------------------------------------------


def counted(parameters: int | None, config: dict[str, Any] | None = None, **dtypes: int) -> HubModel:
    return HubModel(
        name="a/b", config=config or {}, parameters=parameters, weight_dtypes=dtypes, date=TODAY, origin="hub"
    )


def test_counts_may_differ_by_two_per_cent() -> None:
    assert counted(None).disagreement(100) is None
    assert counted(102).disagreement(100) is None
    assert counted(98).disagreement(100) is None
    said = counted(110).disagreement(100)
    assert said is not None
    assert "+10%" in said


def test_packed_weights_are_explained() -> None:
    config = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    said = counted(1_200_000, config, I32=1_000_000, F16=200_000).disagreement(8_000_000)
    assert said is not None
    assert "packed into one (gptq)" in said
    unpacked = counted(1_200_000, config, BF16=1_200_000).disagreement(8_000_000)
    assert unpacked is not None
    assert "not described" in unpacked
    assert counted(8_000_000, {"quantization_config": "odd"}).quantisation is None
