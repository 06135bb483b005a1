"""Generators as steps. The step lasts from the first item that is asked for until the last one.

Files among the items are its outputs and come as handles; if nothing else was yielded, a later call gives
the same handles without running. Other items are passed on and not kept; what it returns is kept if that is
plain. A consumer who stops early cancels the step.
"""

import functools
import json
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headwater.client.recording import keeping
from headwater.client.recording.awaiting import in_thread
from headwater.client.recording.binding import with_values
from headwater.client.recording.decorating import Call
from headwater.client.recording.options import StepOptions
from headwater.client.recording.returning import ALONE, is_place
from headwater.client.recording.spans import Current, Lasting
from headwater.client.recording.steps import Step

if TYPE_CHECKING:
    from headwater.client.recording.run import Run

_STREAMED = "streamed"
_RETURN = "return"
"""The output that is what a generator returned, rather than yielded."""


class _Items:
    """What a generator yielded so far."""

    def __init__(self, call: Call) -> None:
        self._step = call.step
        self._count = 0
        self._streamed = 0

    def keep(self, item: object) -> Any:
        """An item as the consumer gets it."""
        if not is_place(item):
            self._streamed += 1
            return item
        place = json.dumps(["list", self._count, ""])
        output = self._step.output(f"{ALONE}[{self._count}]", item, properties={keeping.RETURNED: place})  # type: ignore[arg-type]  # a path
        # Read now: once the consumer has it, it is not only the step's.
        self._step.look_at(output.name)
        self._count += 1
        return output

    def end(self, returned: object = None) -> None:
        if returned is not None:
            # An object would not be given back either, and a plain value is.
            self._step.output(_RETURN, value=returned)
        if self._streamed:
            # What was passed on is gone, so there has to be an output that cannot be given back.
            self._step.output(_STREAMED, value=_Gone(), properties={"count": self._streamed})


class Suspended:
    """While a generator waits for its consumer, its step cannot end."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def __enter__(self) -> None:
        self._step.is_suspended = True

    def __exit__(self, *_: object) -> None:
        self._step.is_suspended = False


class _Gone:
    """Stands for items that were not kept."""


def generator_as_step(
    function: Callable[..., Any], options: StepOptions, run: "Run | None"
) -> Callable[..., Any]:
    """A generator function as a step."""
    # What was yielded before cannot be computed later, for who asks for it item by item.
    options = replace(options, lazy=False)

    @functools.wraps(function)
    def step(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = Call.of(function, options, run, args, kwargs)
        if call is None:
            return (
                yield from function(
                    *map(with_values, args), **{key: with_values(one) for key, one in kwargs.items()}
                )
            )
        call.step.begin()
        if call.step.is_hit:
            yield from call.reuse() or ()
            returned = call.step.outputs.get(_RETURN)
            return None if returned is None else returned.value
        return (yield from _run(call))

    return step


def _run(call: Call) -> Generator[Any, Any, Any]:
    items = _Items(call)
    inner = call.function(*call.args, **call.kwargs)
    with Lasting(call.step):
        resume: Callable[[], Any] = functools.partial(next, inner)
        while True:
            try:
                # The step is the current one while its own code runs, and not while the consumer's does.
                with Current(call.step):
                    item = items.keep(resume())
            except StopIteration as end:
                items.end(end.value)
                return end.value
            try:
                with Suspended(call.step):
                    sent = yield item
            except GeneratorExit:
                with Current(call.step):
                    inner.close()
                raise
            except BaseException as thrown:
                resume = functools.partial(inner.throw, thrown)
            else:
                resume = functools.partial(inner.send, sent)


def async_generator_as_step(
    function: Callable[..., Any], options: StepOptions, run: "Run | None"
) -> Callable[..., Any]:
    """An asynchronous generator function as a step."""
    options = replace(options, lazy=False)

    @functools.wraps(function)
    async def step(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = Call.of(function, options, run, args, kwargs)
        if call is None:
            async for item in function(
                *map(with_values, args), **{key: with_values(one) for key, one in kwargs.items()}
            ):
                yield item
            return
        await call.step.begin_async()
        if call.step.is_hit:
            for item in await call.reuse_async() or ():
                yield item
            return
        items = _Items(call)
        inner = call.function(*call.args, **call.kwargs)
        async with Lasting(call.step):
            resume: Callable[[], Any] = inner.__anext__
            while True:
                try:
                    with Current(call.step):
                        item = await resume()
                        item = await in_thread(items.keep, item)
                except StopAsyncIteration:
                    items.end()
                    return
                try:
                    with Suspended(call.step):
                        sent = yield item
                except GeneratorExit:
                    with Current(call.step):
                        await inner.aclose()
                    raise
                except BaseException as thrown:
                    resume = functools.partial(inner.athrow, thrown)
                else:
                    resume = functools.partial(inner.asend, sent)

    return step
