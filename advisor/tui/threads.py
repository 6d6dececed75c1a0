"""Long work beside the app, in threads that leaving does not wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


async def in_thread(job: Callable[[], _T], name: str) -> _T:
    """Do something in a thread of its own, and wait without holding up the screen.

    Raises:
        Exception: what the job raises.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        try:
            result = job()
        except Exception as error:  # noqa: BLE001 - raised again where it was asked
            settle(loop, future, error=error)
        else:
            settle(loop, future, result=result)

    # A daemon: leaving the app does not wait for what nobody will read.
    threading.Thread(target=run, name=name, daemon=True).start()
    return await future


def settle(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[_T],
    *,
    result: _T | None = None,
    error: Exception | None = None,
) -> None:
    """Give a future of another thread's loop its result or its error, if anybody still waits."""

    def give() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    try:
        loop.call_soon_threadsafe(give)
    except RuntimeError:
        # The loop is closed: the app has ended, and nobody waits.
        return
