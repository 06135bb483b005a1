"""What blocks, done beside an event loop.

``asyncio`` is imported when it is needed, because who needs it has it and for others it takes long.
"""

import contextlib
import contextvars
import os
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Not the loop's own threads: those are the user's, and may all be at work on what waits for us.
_pools: dict[int, ThreadPoolExecutor] = {}
_THREADS = 8


Place = tuple[int, "int | None"]
"""A thread, and the task in it."""


def place() -> Place:
    """Where the calling code runs."""
    asyncio = sys.modules.get("asyncio")
    task = None
    if asyncio is not None:
        with contextlib.suppress(RuntimeError):  # There is no loop in this thread.
            task = asyncio.current_task()
    return threading.get_ident(), None if task is None else id(task)


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """What ``function`` returns, called in a thread with the caller's context.

    It goes on to its end even if the caller is cancelled meanwhile.
    """
    import asyncio

    pool = _pools.get(os.getpid())
    if pool is None:
        pool = _pools[os.getpid()] = ThreadPoolExecutor(_THREADS, thread_name_prefix="headwater")
    context = contextvars.copy_context()
    done = asyncio.get_running_loop().run_in_executor(pool, lambda: context.run(function, *args))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        # Half of a recorded end is no end. It takes a bounded time.
        while not done.done():
            try:
                await asyncio.shield(done)
            except asyncio.CancelledError:
                continue
            except Exception:
                break
        raise


async def in_turns(turns: Generator[float, None, None]) -> None:
    """Go through ``turns`` in a thread, and wait between them as many seconds as each yields."""
    import asyncio

    while True:
        pause_s = await in_thread(next, turns, None)
        if pause_s is None:
            return
        await asyncio.sleep(pause_s)
