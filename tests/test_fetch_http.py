"""Asking the network: what is retried, what is refused, and that every fault ends soon with a sentence."""

from __future__ import annotations

import datetime
import email.utils
import gzip
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from price_server import WEB_PAGE, PriceServer, Say, as_json, until, without_proxies

from advisor.errors import ExternalError
from advisor.fetch.http import Http, NotReachedError, StoppedError

BUSY = Say(b"", 503)


@pytest.fixture(autouse=True)
def _own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)


@pytest.fixture
def server() -> Iterator[PriceServer]:
    with PriceServer() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def http(waits: list[float]) -> Iterator[Http]:
    with Http(timeout_s=0.5, attempts=3, wait=waits.append, total_s=20) as client:
        yield client


def test_a_document_arrives_with_what_recognises_it(server: PriceServer, http: Http) -> None:
    url = server.serve(
        "/a", Say(b"hello", etag='"1"', headers={"Last-Modified": "Mon, 02 Nov 2026 00:00:00 GMT"})
    )
    reply = http.get(url, params={"$filter": "a eq 'b c'"}, headers={"Range": "bytes=0-4"})
    assert (reply.status, reply.body, reply.etag, reply.found) == (200, b"hello", '"1"', True)
    assert reply.last_modified == "Mon, 02 Nov 2026 00:00:00 GMT"
    asked = server.asked[0]
    assert "%24filter=a" in asked.target
    assert asked.headers["Range"] == "bytes=0-4"
    assert asked.headers["User-Agent"].startswith("gpu-advisor/")
    assert not {"Authorization", "Cookie"} & set(asked.headers)


def test_a_copy_at_hand_is_not_sent_again(server: PriceServer, http: Http) -> None:
    url = server.serve("/a", Say(b"hello", etag='"1"'))
    assert http.get(url, etag='"1"').status == 304
    assert http.get(url, etag='"0"').body == b"hello"
    assert http.get(url, last_modified="Mon, 02 Nov 2026 00:00:00 GMT").found
    assert server.asked[-1].headers["If-Modified-Since"] == "Mon, 02 Nov 2026 00:00:00 GMT"


def test_cookies_are_not_kept(server: PriceServer, http: Http) -> None:
    url = server.serve("/a", Say(b"hello", headers={"Set-Cookie": "visitor=17; Path=/"}))
    http.get(url)
    http.get(url)
    assert "Cookie" not in server.asked[-1].headers


def test_a_question_is_posted_as_json(server: PriceServer, http: Http) -> None:
    url = server.serve("/q", BUSY, as_json({"ok": 1}))
    assert http.post_json(url, {"limit": 3}).body == b'{"ok": 1}'
    assert [(each.method, each.body) for each in server.asked] == [("POST", b'{"limit": 3}')] * 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_for_the_caller_to_explain(server: PriceServer, http: Http, status: int) -> None:
    reply = http.get(server.serve("/a", Say(b"no", status)))
    assert (reply.status, reply.found) == (status, False)
    assert len(server.asked) == 1


def test_a_passing_fault_is_asked_again_after_growing_pauses(
    server: PriceServer, http: Http, waits: list[float]
) -> None:
    url = server.serve("/a", BUSY, Say(b"abc", cut=True), Say(b"good"))
    assert http.get(url).body == b"good"
    assert len(waits) == 2
    assert 0.5 <= waits[0] <= 1 <= waits[1] <= 2


def test_a_lasting_fault_ends_with_what_was_answered(
    server: PriceServer, http: Http, waits: list[float]
) -> None:
    with pytest.raises(ExternalError, match=r"500.*asked 3 times"):
        http.get(server.serve("/a", Say(b"", 500)))
    assert len(server.asked) == 3
    assert len(waits) == 2


def _date_in(seconds: float) -> str:
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return email.utils.format_datetime(when, usegmt=True)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("0", 0, 0), ("Tue, 24 Nov 2020 02:57:15 GMT", 0, 0), ("soon", 0.5, 1), ("", 0.5, 1)],
)
def test_a_server_that_is_busy_says_when(
    server: PriceServer, http: Http, waits: list[float], header: str, least: float, most: float
) -> None:
    url = server.serve("/a", Say(b"", 429, headers={"Retry-After": header}), Say(b"good"))
    assert http.get(url).body == b"good"
    assert least <= waits[0] <= most


def test_a_date_to_come_back_is_understood(server: PriceServer, http: Http, waits: list[float]) -> None:
    url = server.serve("/a", Say(b"", 429, headers={"Retry-After": _date_in(10)}), Say(b"good"))
    assert http.get(url).found
    assert 0 < waits[0] <= 10


def test_nobody_waits_an_hour(server: PriceServer, waits: list[float]) -> None:
    patient = Http(timeout_s=2, wait=waits.append, total_s=100_000)
    with patient as http, pytest.raises(ExternalError, match=r"429.*in 3600 s"):
        http.get(server.serve("/a", Say(b"", 429, headers={"Retry-After": "3600"})))
    assert waits == []
    assert len(server.asked) == 1


def test_silence_ends(server: PriceServer, waits: list[float]) -> None:
    with (
        Http(timeout_s=0.1, attempts=2, wait=waits.append) as http,
        pytest.raises(ExternalError, match="no answer"),
    ):
        http.get(server.serve("/a", Say(b"late", delay_s=30)))
    assert len(server.asked) == 2


def test_a_server_that_is_never_silent_and_never_done_ends(server: PriceServer) -> None:
    with Http(timeout_s=5, total_s=0.3) as http, pytest.raises(ExternalError, match=r"within 0\.3 s"):
        http.get(server.serve("/a", Say(b"x" * 10_000, drip_s=0.02)))


def test_a_body_that_is_cut_off_is_no_body(server: PriceServer, http: Http) -> None:
    with pytest.raises(ExternalError, match="cut off"):
        http.get(server.serve("/a", Say(b"half", cut=True)))
    packed = gzip.compress(b"a long text" * 100)
    url = server.serve("/b", Say(packed[:-9], headers={"Content-Encoding": "gzip"}))
    with pytest.raises(ExternalError, match="cut off"):
        http.get(url)


def test_the_limit_counts_what_was_unpacked(server: PriceServer, http: Http) -> None:
    bomb = gzip.compress(b"0" * 40_000_000)
    assert len(bomb) < 50_000
    url = server.serve("/bomb", Say(bomb, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    with pytest.raises(ExternalError, match="larger than"):
        http.get(url, limit_bytes=1_000_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10_000_000
    with pytest.raises(ExternalError, match="larger than"):
        http.get(server.serve("/plain", Say(b"0" * 2_000_000)), limit_bytes=1_000_000)
    url = server.serve("/fits", Say(gzip.compress(b"0" * 1000), headers={"Content-Encoding": "gzip"}))
    assert http.get(url, limit_bytes=1000).body == b"0" * 1000


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate"])
def test_packing_that_was_not_asked_for_is_refused(server: PriceServer, http: Http, encoding: str) -> None:
    with pytest.raises(ExternalError, match="packed"):
        http.get(server.serve("/a", Say(b"x", headers={"Content-Encoding": encoding})))


def test_redirects_are_followed_but_not_for_ever_and_not_into_files(server: PriceServer, http: Http) -> None:
    server.serve("/new", Say(b"here"))
    assert http.get(server.serve("/old", Say(b"", 301, headers={"Location": "/new"}))).body == b"here"
    with pytest.raises(ExternalError, match="redirects"):
        http.get(server.serve("/loop", Say(b"", 302, headers={"Location": "/loop"})))
    with pytest.raises(ExternalError, match="not a web address"):
        http.get(server.serve("/file", Say(b"", 302, headers={"Location": "file:///etc/passwd"})))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_what_a_redirect_says_beside_its_address_is_never_unpacked(
    server: PriceServer, http: Http, status: int
) -> None:
    bomb = gzip.compress(b"0" * 40_000_000)
    server.serve("/new", Say(b"here"))
    url = server.serve("/old", Say(bomb, status, {"Location": "/new", "Content-Encoding": "gzip"}))
    tracemalloc.start()
    assert http.get(url, limit_bytes=1000).body == b"here"
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10_000_000


def test_as_many_redirects_as_are_allowed(server: PriceServer, http: Http) -> None:
    for number in range(9):
        server.serve(f"/{number}", Say(b"", 302, {"Location": f"/{number + 1}"}))
    server.serve("/9", Say(b"here"))
    assert http.get(f"{server.url}/1").body == b"here"
    with pytest.raises(ExternalError, match="more than 8 redirects"):
        http.get(f"{server.url}/0")
    assert "/9" not in server.paths()[9:]


@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1/", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_to_what_is_not_asked(server: PriceServer, http: Http, address: str) -> None:
    with pytest.raises(ExternalError, match="redirected to") as error:
        http.get(server.serve("/a", Say(b"", 302, {"Location": address})))
    assert "secret" not in str(error.value)
    assert len(server.asked) == 1


def test_what_recognises_a_copy_stays_with_the_host_that_named_it(server: PriceServer, http: Http) -> None:
    with PriceServer() as other:
        there = other.serve("/a", Say(b"theirs", etag='"1"'))
        url = server.serve("/away", Say(b"", 302, {"Location": there}))
        reply = http.get(
            url, etag='"1"', last_modified="Mon, 02 Nov 2026 00:00:00 GMT", headers={"Range": "bytes=0-4"}
        )
        assert (reply.status, reply.body) == (200, b"theirs")
        assert not {"If-None-Match", "If-Modified-Since"} & set(other.asked[0].headers)
        assert other.asked[0].headers["Range"] == "bytes=0-4"
        assert other.asked[0].headers["Host"] == other.url.removeprefix("http://")
    server.serve("/new", Say(b"ours", etag='"1"'))
    assert http.get(server.serve("/old", Say(b"", 302, {"Location": "/new"})), etag='"1"').status == 304


def test_a_question_is_not_lost_on_the_way(server: PriceServer, http: Http) -> None:
    server.serve("/new", as_json({"ok": 1}))
    http.post_json(server.serve("/old", Say(b"", 308, {"Location": "/new"})), {"limit": 3})
    assert [(each.method, each.body) for each in server.asked] == [("POST", b'{"limit": 3}')] * 2


@pytest.mark.parametrize(
    "url", ["ftp://example.org/x", "prices", "http://", "http://[::1/", "https://me:secret@x/"]
)
def test_an_address_that_is_none_is_said_without_secrets(http: Http, url: str) -> None:
    with pytest.raises(ExternalError, match="web address") as error:
        http.get(url)
    assert "secret" not in str(error.value)


def test_nobody_at_home(server: PriceServer, http: Http, waits: list[float]) -> None:
    with PriceServer() as gone:
        url = gone.url
    with pytest.raises(NotReachedError, match=r"not reached.*asked 3 times"):
        http.get(url)
    assert len(waits) == 2


def test_the_proxy_of_the_environment_is_used(server: PriceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.serve("/v3/aws/version", Say(b"20261120-7"))
    with Http(timeout_s=2, attempts=1) as http:
        assert http.get("http://prices.invalid/v3/aws/version").body == b"20261120-7"
    assert server.asked[0].target == "http://prices.invalid/v3/aws/version"


def test_a_proxy_that_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://proxy:70")
    with pytest.raises(ExternalError, match="HTTPS_PROXY"), Http():
        pass


def test_certificates_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    with pytest.raises(ExternalError, match="SSL_CERT_FILE"), Http():
        pass


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for loopback that nobody trusts, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_name("key.pem")
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


def test_only_trusted_servers_are_believed_and_none_leads_away_from_tls(
    own_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PriceServer(own_certificate) as secure, PriceServer() as open_to_all:
        url = secure.serve("/a", Say(b"hello"))
        open_to_all.serve("/a", Say(b"forged"))
        assert url.startswith("https://")
        with Http(timeout_s=2, attempts=1) as http, pytest.raises(ExternalError) as error:
            http.get(url)
        assert error.value.hint is not None
        assert "SSL_CERT_FILE" in error.value.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(own_certificate))
        secure.serve("/away", Say(b"", 302, headers={"Location": f"{open_to_all.url}/a"}))
        with Http(timeout_s=2, attempts=1) as http:
            assert http.get(url).body == b"hello"
            with pytest.raises(ExternalError, match="from https to http"):
                http.get(f"{secure.url}/away")
        assert open_to_all.asked == []


def test_a_request_can_be_stopped_while_a_body_arrives(server: PriceServer) -> None:
    stop = threading.Event()
    caught: list[Exception] = []
    url = server.serve("/a", Say(b"x" * 10_000, drip_s=0.01))

    def ask() -> None:
        with Http(timeout_s=5, cancelled=stop.is_set) as http:
            try:
                http.get(url)
            except StoppedError as error:
                caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: server.asked)
    stop.set()
    asking.join(5)
    assert len(caught) == 1


def test_a_request_can_be_stopped_during_a_pause(server: PriceServer) -> None:
    stop = threading.Event()
    url = server.serve("/a", Say(b"", 429, headers={"Retry-After": "30"}))
    threading.Timer(0.3, stop.set).start()
    begin = time.monotonic()
    with Http(timeout_s=5, cancelled=stop.is_set) as http, pytest.raises(StoppedError):
        http.get(url)
    assert time.monotonic() - begin < 5
    assert len(server.asked) == 1


def test_the_query_is_not_repeated_in_messages(server: PriceServer, http: Http) -> None:
    url = server.serve("/a", Say(b"", 418))
    with pytest.raises(ExternalError, match="418") as error:
        http.get(f"{url}?key=1")
    assert "key=1" not in str(error.value)
    reply = http.get(server.serve("/page", WEB_PAGE))
    assert reply.content_type == "text/html; charset=utf-8"


def test_importing_costs_no_network_library() -> None:
    code = (
        "import sys, advisor.fetch.refresh, advisor.fetch.sources;"
        "print({'httpx', 'asyncio', 'filelock'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
