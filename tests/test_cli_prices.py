"""The commands about prices, quotes and models of the hub, as scripts use them."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from hub_server import HubServer, Repository
from price_server import PriceServer, Say, as_json, azure_item

from advisor.errors import ExitCode
from advisor.fetch.hub import ENDPOINT_VARIABLE
from advisor.schemas import schema

DATA = Path(__file__).parent / "data"
GERMANY = DATA / "procurement" / "reseller-germany.csv"
USA = DATA / "procurement" / "reseller-usa.csv"
JOB = ("llama-3.1-8b", "--method", "lora", "--tokens", "50e6")
AS_OF = ("--as-of", "2026-11-23")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[PriceServer]:
    with PriceServer() as running:
        yield running


def purchase(run, *argv: str) -> tuple[float, str]:
    code, out, err = run("estimate", *JOB, "--gpu", "rtx-5090", *AS_OF, *argv, "--json")
    assert (code, err) == (ExitCode.ANSWERED, "")
    cost = json.loads(out)["estimates"][0]["cost"]
    return cost["purchase_usd"], cost["purchase_price"]


def test_imported_quotes_count_until_they_are_removed(run) -> None:
    before = purchase(run)
    code, out, _ = run("prices", "import", str(GERMANY), "--rate", "EUR=1.08", *AS_OF, "--json")
    answer = json.loads(out)
    assert code == ExitCode.ANSWERED
    jsonschema.validate(answer, schema("price-import"))
    assert [quote["gpu"] for quote in answer["quotes"]][:1] == ["rtx-5090"]
    price, said = purchase(run)
    assert price == pytest.approx(2349 * 1.08)
    assert said.startswith("quote, 2026-11-16")
    assert "valid until 2026-12-31" in said
    code, _, err = run("prices", "remove", answer["name"])
    assert code == ExitCode.ANSWERED
    assert "removed" in err
    assert purchase(run) == before


def test_volume_breaks_count_from_their_number_on(run) -> None:
    run("prices", "import", str(USA), *AS_OF)
    one, _ = purchase(run)
    four, _ = purchase(run, "--count", "4")
    assert (one, four) == (2499, 4 * 2299)


def test_named_files_count_for_one_answer_and_leave_nothing(run) -> None:
    quoted, _ = purchase(run, "--quotes", str(USA))
    later, _ = purchase(run)
    assert quoted == 2499
    assert later != quoted


def test_an_ended_quote_is_shown_and_does_not_count(run) -> None:
    run("prices", "import", str(USA), *AS_OF)
    _, out, _ = run("prices", "show", "rtx-4090", *AS_OF, "--json")
    document = json.loads(out)
    jsonschema.validate(document, schema("prices"))
    (ended,) = [price for price in document["gpus"][0]["prices"] if price["kind"] == "quote"]
    assert (ended["expired"], ended["counted"], ended["provider"]) == (True, False, "Acme Computing")
    assert document["gpus"][0]["buy"]["kind"] != "quote"


def test_other_quotes_of_one_name_need_force(run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("GPU,Price USD\nRTX 4090,1000\n")
    assert run("prices", "import", str(mine))[0] == ExitCode.ANSWERED
    mine.write_text("GPU,Price USD\nRTX 4090,900\n")
    code, out, err = run("prices", "import", str(mine))
    assert (code, out) == (ExitCode.BAD_INPUT, "")
    assert "--force" in err
    assert run("prices", "import", str(mine), "--force")[0] == ExitCode.ANSWERED


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (("prices", "show", "rtx-409"), "rtx-4090"),
        (("prices", "import"), "import FILE"),
        (("prices", "import", "nowhere.csv"), "nowhere.csv"),
        (("prices", "remove", "nothing"), "no quotes of this name"),
        (("prices", "burn"), "show [ID]"),
        (("prices", "--source", "azure"), "prices refresh"),
        (("prices", "refresh", "--source", "azur"), "azure"),
        (("prices", "--format", "html"), "table, json, csv"),
        (("prices", "--as-of", "yesterday"), "2026-11-23"),
        (("prices", "import", str(GERMANY), "--rate", "EUR"), "EUR=1.08"),
        (("prices", "import", str(GERMANY)), "--rate"),
        (("prices", "import", str(GERMANY), "--column", "gpu"), "gpu=Artikel"),
        (("fleet", "nowhere.yaml"), "nowhere.yaml"),
        (("fleet", str(DATA / "procurement" / "fleet.yaml"), "--format", "html"), "table, json, csv"),
        (("models", "fetch"), "ORGANISATION/MODEL"),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(run, argv: tuple[str, ...], word: str) -> None:
    code, out, err = run(*argv)
    assert code in (ExitCode.BAD_INPUT, ExitCode.OUTSIDE_FAILED)
    assert out == ""
    assert word in err
    assert "Traceback" not in err


def test_rows_of_csv_are_those_of_the_document(run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("prices", "--format", "csv", *AS_OF)[1])))
    answer = json.loads(run("prices", "--json", *AS_OF)[1])
    assert {row["gpu"] for row in rows} == {gpu["gpu"] for gpu in answer["gpus"]}


def test_refreshed_prices_count_and_what_failed_is_kept_apart(run, server: PriceServer) -> None:
    server.serve(
        "/azure",
        as_json({"Items": [azure_item("Standard_NC24ads_A100_v4", 1.11, "eastus")], "NextPageLink": None}),
    )
    server.serve("/bundles/", Say(b"<html>maintenance</html>", headers={"Content-Type": "text/html"}))
    code, out, err = run(
        "prices", "refresh", "--source", "azure", "--source", "vastai", "--source-url", f"azure={server.url}/azure",
        "--source-url", f"vastai={server.url}/bundles/", "--json",
    )  # fmt: skip
    answer = json.loads(out)
    jsonschema.validate(answer, schema("refresh"))
    assert code == ExitCode.ANSWERED, "one source of two answered"
    assert {each["name"]: each["status"] for each in answer["sources"]} == {
        "azure": "updated",
        "vastai": "failed",
    }
    assert "vastai" in err
    _, out, _ = run("prices", "show", "a100-pcie-80gb", "--json")
    live = [price for price in json.loads(out)["gpus"][0]["prices"] if price["provider"] == "azure"]
    assert 1.11 in {price["price_usd"] for price in live}


def test_a_model_of_the_hub_is_fetched_by_its_own_command_alone(run, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": True,
    }  # fmt: skip
    job = ("-", "--gpu", "rtx-4090", "--json")
    workload = b'{"model": {"huggingface": "acme/small"}, "method": "lora", "data": {"tokens": 1000000}}'
    with HubServer() as hub:
        monkeypatch.setenv(ENDPOINT_VARIABLE, hub.url)
        hub.repositories["acme/small"] = Repository(
            files={"config.json": json.dumps(config).encode()}, about={}
        )
        code, _, err = run("estimate", *job, stdin=workload)
        assert code == ExitCode.OUTSIDE_FAILED
        assert "gpu-advisor models fetch acme/small" in err
        assert hub.asked == []
        code, out, _ = run("models", "fetch", "acme/small", "--json")
        assert code == ExitCode.ANSWERED
        assert json.loads(out)["models"][0]["parameters"] == pytest.approx(1.24e9, rel=0.01)
    code, out, _ = run("estimate", *job, stdin=workload)
    assert code == ExitCode.ANSWERED
    assert any("acme/small" in said for said in json.loads(out)["estimates"][0]["assumptions"])


def test_a_quote_far_from_all_public_prices_is_asked_about(run, tmp_path: Path) -> None:
    offer = tmp_path / "offer.csv"
    offer.write_text(
        "Vendor,GPU,Unit price,Currency\nX,RTX 4090,1899,EUR\nX,H100 SXM,2.10,USD\nX,L4,2500,USD\n"
    )
    code, out, _ = run("prices", "import", str(offer), "--rate", "EUR=108", *AS_OF, "--json")
    assert code == ExitCode.ANSWERED
    doubts = [each for each in json.loads(out)["messages"] if "far from the public prices" in each]
    assert [each.partition(":")[0] for each in doubts] == ["line 2", "line 3"]


def test_the_list_of_prices_says_for_how_many_a_quote_holds_and_which_file_it_is_from(run) -> None:
    run("prices", "import", str(USA), *AS_OF)
    _, out, _ = run("prices", "show", "rtx-5090", *AS_OF)
    assert "for 4+, until" in out
    _, out, _ = run("prices", *AS_OF, "--width", "160")
    assert "reseller-usa.csv (Acme" in out
    run("prices", "import", str(DATA / "procurement" / "cloud.json"), "--rate", "EUR=1.08", *AS_OF)
    _, out, _ = run("prices", *AS_OF, "--json")
    files = [each["name"] for each in json.loads(out)["sources"] if each["kind"] == "quotes"]
    assert files == ["cloud.json (Wolke AG)", "reseller-usa.csv (Acme Computing)"]
