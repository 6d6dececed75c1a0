"""Asks the network politely and distrusts what comes back. The only module that knows httpx.

Proxies and certificates come from the environment (``HTTPS_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE``). Nothing is
sent that names the user: no key, no token, no cookie.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from advisor.errors import ExternalError
from advisor.fetch.pauses import LONGEST_WAIT_S, backed_off_s, retry_after_s
from advisor.units import MIB, plain
from advisor.version import __version__

if TYPE_CHECKING:
    import asyncio

    import httpx

LIMIT_BYTES = 64 * MIB
"""Largest body that is accepted where a caller names no other limit, after decompression."""

_LONGEST_CONNECT_S = 6.0
_MOST_REDIRECTS = 8
_EXPLAINED_BY_CALLER = (304, 401, 403, 404)
_SENT_ANYWHERE = (
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "range",
    "user-agent",
)
"""Headers that a redirect may take to another host: what a copy at hand is recognised by belongs to the first one."""
_BUSY = 429
_LOOK_UP_S = 0.1
"""How often it is asked whether an answer is still wanted, during a pause too."""


class StoppedError(ExternalError):
    """The user asked to stop."""


class NotReachedError(ExternalError):
    """No connection was made: asking the same server for something else is of no use."""


@dataclass(frozen=True)
class Reply:
    """What a server answered: a success, or 304, 401, 403 or 404, which the caller explains."""

    status: int
    body: bytes
    etag: str | None
    last_modified: str | None
    content_type: str

    @property
    def found(self) -> bool:
        """Whether the body is what was asked for."""
        return 200 <= self.status < 300


class _TryAgainError(Exception):
    """A fault that may pass by itself; ``after_s`` is how long the server asks to wait."""

    def __init__(self, message: str, after_s: float | None = None, *, reached: bool = True) -> None:
        super().__init__(message)
        self.after_s = after_s
        self.reached = reached


class Http:
    """A client for a handful of requests, as a context manager.

    It runs an event loop of its own, because only there does a limit hold for a whole exchange: in a blocking client
    a server that sends a byte now and then is never late. Do not call it from a coroutine; give it a thread.

    Args:
        timeout_s: longest silence between two pieces of an answer; connecting may take 6 s at most.
        attempts: how often one request is sent at most.
        wait: pauses for that many seconds before the next attempt; left out, it sleeps and hears ``cancelled``.
        total_s: longest time of one request with everything: redirects, attempts, pauses.
        cancelled: asked before each attempt, and several times a second during attempts and pauses.
    """

    def __init__(
        self,
        timeout_s: float = 20.0,
        attempts: int = 3,
        wait: Callable[[float], object] | None = None,
        *,
        total_s: float = 180.0,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._wait = wait or self._sleep
        self._total_s = total_s
        self._cancelled = cancelled

    def __enter__(self) -> Self:
        import asyncio

        self._runner: asyncio.Runner = asyncio.Runner()
        try:
            self._client = _client(self._timeout_s)
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._client.aclose())
        finally:
            self._runner.close()

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        etag: str | None = None,
        last_modified: str | None = None,
        limit_bytes: int = LIMIT_BYTES,
    ) -> Reply:
        """Fetch a document.

        Args:
            url: of the document, http or https.
            params: added to its query.
            headers: of this request.
            etag: of the copy at hand; the reply is 304 where it is still the same.
            last_modified: of the copy at hand, likewise.
            limit_bytes: largest body that is accepted, after decompression.

        Raises:
            ExternalError: no answer, another status than success, 304, 401, 403 or 404, or a body that is cut off or
                too large.
        """
        sent = dict(headers or {})
        for name, stamp in (("If-None-Match", etag), ("If-Modified-Since", last_modified)):
            # A stamp is what a server said once, or a file of the user's: not every text can be sent as a header.
            if stamp and stamp.isascii() and stamp.isprintable():
                sent[name] = stamp
        return self._send("GET", url, params, sent, None, limit_bytes)

    def post_json(self, url: str, document: object, *, limit_bytes: int = LIMIT_BYTES) -> Reply:
        """Send a question as JSON; as :meth:`get`. A question only: it is sent again where no answer came.

        Raises:
            ExternalError: as :meth:`get`.
        """
        body = json.dumps(document).encode("utf-8")
        return self._send("POST", url, None, {"Content-Type": "application/json"}, body, limit_bytes)

    def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: bytes | None,
        limit_bytes: int,
    ) -> Reply:
        request = _request(self._client, method, url, params, headers, body)
        end = time.monotonic() + self._total_s
        attempt = 1
        while True:
            self._stop_if_cancelled()
            try:
                return self._runner.run(self._watched(self._exchange(request, end, limit_bytes)))
            except _TryAgainError as fault:
                pause_s = backed_off_s(attempt) if fault.after_s is None else fault.after_s
                if attempt >= self._attempts:
                    times = "" if attempt == 1 else f", asked {attempt} times"
                    kind = ExternalError if fault.reached else NotReachedError
                    raise _failed(url, f"{fault}{times}", kind) from None
                if pause_s > LONGEST_WAIT_S or time.monotonic() + pause_s >= end:
                    raise _failed(url, f"{fault}; it can be asked again in {pause_s:.0f} s") from None
            self._wait(pause_s)
            attempt += 1

    def _sleep(self, pause_s: float) -> None:
        end = time.monotonic() + pause_s
        while (left_s := end - time.monotonic()) > 0:
            self._stop_if_cancelled()
            time.sleep(min(left_s, _LOOK_UP_S))

    def _stop_if_cancelled(self) -> None:
        if self._cancelled():
            raise StoppedError("stopped")

    async def _watched(self, exchange: Coroutine[Any, Any, Reply]) -> Reply:
        """Return what an exchange brings, unless it is no longer wanted: a server may be silent for long."""
        import asyncio

        task = asyncio.ensure_future(exchange)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_LOOK_UP_S)
                if not task.done():
                    self._stop_if_cancelled()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        return task.result()

    async def _exchange(self, request: httpx.Request, end: float, limit_bytes: int) -> Reply:
        import asyncio

        import httpx

        left_s = end - time.monotonic()
        url = str(request.url)
        try:
            async with asyncio.timeout(left_s):
                for _ in range(1 + _MOST_REDIRECTS):
                    response = await self._client.send(request, stream=True)
                    try:
                        if response.next_request is None:
                            return await self._reply(response, limit_bytes)
                        request = _redirected(request, response.next_request)
                    finally:
                        # What a redirect has to say beside its address is never read.
                        await response.aclose()
        except TimeoutError:
            raise _failed(url, f"no complete answer within {self._total_s:g} s") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            said = plain(str(error)) or type(error).__name__
            raise _TryAgainError(f"not reached ({said})", reached=False) from None
        except httpx.TimeoutException:
            raise _TryAgainError(f"no answer within {self._timeout_s:g} s") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise _failed(url, "redirected to what is not a web address") from None
        except httpx.RemoteProtocolError as error:
            raise _TryAgainError(f"the answer is cut off or broken ({plain(str(error))})") from None
        except httpx.TransportError as error:
            raise _TryAgainError(f"not reached ({plain(str(error)) or type(error).__name__})") from None
        raise _failed(url, f"more than {_MOST_REDIRECTS} redirects")

    async def _reply(self, response: httpx.Response, limit_bytes: int) -> Reply:
        status = response.status_code
        said = plain(f"{status} {response.reason_phrase}".strip())
        if status == _BUSY or status >= 500:
            raise _TryAgainError(
                f"the server answered {said}", retry_after_s(response.headers.get("Retry-After", ""))
            )
        if not response.is_success and status not in _EXPLAINED_BY_CALLER:
            raise _failed(str(response.url), f"the server answered {said}")
        return Reply(
            status=status,
            body=await self._body(response, limit_bytes),
            etag=response.headers.get("ETag"),
            last_modified=response.headers.get("Last-Modified"),
            content_type=plain(response.headers.get("Content-Type", "")),
        )

    async def _body(self, response: httpx.Response, limit_bytes: int) -> bytes:
        # httpx decompresses a piece without any limit, and as many times over as the header says.
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        url = str(response.url)
        if encoding not in ("identity", "gzip", "x-gzip", ""):
            raise _failed(url, f"the answer is packed in a way that was not asked for: {plain(encoding)!r}")
        unzip = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
        body = bytearray()
        async for piece in response.aiter_raw():
            if unzip is None:
                body += piece
            else:
                try:
                    body += unzip.decompress(piece, limit_bytes - len(body) + 1)
                except zlib.error:
                    raise _TryAgainError("the answer is cut off or broken (not gzip)") from None
            if len(body) > limit_bytes:
                raise _failed(url, f"the answer is larger than {limit_bytes / MIB:g} MiB")
        if unzip is not None and body and (not unzip.eof or unzip.unused_data):
            raise _TryAgainError("the answer is cut off or broken (not one whole gzip stream)")
        return bytes(body)


def _client(timeout_s: float) -> httpx.AsyncClient:
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx

    nobody = DefaultCookiePolicy(allowed_domains=[])
    try:
        return httpx.AsyncClient(
            cookies=CookieJar(nobody),
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _LONGEST_CONNECT_S)),
            # Followed, httpx reads and unpacks the body of every redirect, without any limit.
            follow_redirects=False,
            trust_env=True,
            headers={"User-Agent": f"gpu-advisor/{__version__}", "Accept-Encoding": "gzip"},
        )
    except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
        raise ExternalError(
            f"the network cannot be used: {plain(str(error))}",
            hint="look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
        ) from None


def _redirected(request: httpx.Request, following: httpx.Request) -> httpx.Request:
    """Return the request that a redirect leads to, without what is not for its host.

    Raises:
        ExternalError: it leads to what is not asked.
    """
    url, target = str(request.url), following.url
    if target.scheme not in ("http", "https") or not target.host:
        raise _failed(url, "redirected to what is not a web address")
    if target.userinfo:
        raise _failed(url, "redirected to a web address with a name and a password in it")
    if (request.url.scheme, target.scheme) == ("https", "http"):
        raise _failed(url, "redirected from https to http")
    if target.netloc != request.url.netloc:
        for name in set(following.headers) - set(_SENT_ANYWHERE):
            del following.headers[name]
    return following


def _request(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    params: Mapping[str, str] | None,
    headers: Mapping[str, str],
    body: bytes | None,
) -> httpx.Request:
    import httpx

    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise _failed(url, f"not a web address ({plain(str(error))})") from None
    if address.scheme not in ("http", "https") or not address.host:
        raise _failed(url, "not a web address; it starts with https:// or http://")
    if address.userinfo:
        raise ExternalError("a web address with a name and a password in it is not used")
    if params:
        address = address.copy_merge_params(dict(params))
    return client.build_request(method, address, headers=dict(headers), content=body)


def _failed(url: str, reason: str, kind: type[ExternalError] = ExternalError) -> ExternalError:
    shown = plain(url).partition("?")[0]
    untrusted = "CERTIFICATE_VERIFY_FAILED" in reason
    hint = "behind a proxy that reads along, SSL_CERT_FILE names its certificate" if untrusted else None
    return kind(f"{shown}: {reason}", hint=hint)
