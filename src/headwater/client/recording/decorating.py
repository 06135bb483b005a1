"""Functions as steps: a call that was done before is skipped.

The result is a plain function again, of the same kind (generator, ``async`` or not), so that it can be
pickled by its name and inspected like the one it stands for.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headwater.client.recording import current, keeping
from headwater.client.recording.awaiting import in_thread
from headwater.client.recording.binding import given_of_call, with_values
from headwater.client.recording.options import CacheOptions, StepOptions, name_of, step_options
from headwater.client.recording.outputs import File, Output
from headwater.client.recording.returning import Item, is_place, items_of, result_of
from headwater.client.recording.steps import Step
from headwater.errors import FailedPrecondition, InvalidRequest

if TYPE_CHECKING:
    from headwater.client.recording.run import Run

Function = Callable[..., Any]


def as_step(function: Function, options: StepOptions, *, run: "Run | None") -> Function:
    """``function``, each call of which is a step of ``run``, or of the current run if that is ``None``.

    Outside of runs a call only calls the function.
    """
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        from headwater.client.recording.generating import async_generator_as_step, generator_as_step

        wrapped = generator_as_step if inspect.isgeneratorfunction(function) else async_generator_as_step
        return wrapped(function, options, run)
    if inspect.iscoroutinefunction(function):
        return _coroutine_as_step(function, options, run)

    @functools.wraps(function)
    def step(*args: Any, **kwargs: Any) -> Any:
        call = Call.of(function, options, run, args, kwargs)
        if call is None:
            return function(*map(with_values, args), **{key: with_values(one) for key, one in kwargs.items()})
        call.step.begin()
        if call.step.is_hit:
            return call.reuse()
        with call.step:
            return call.keep(call.function(*call.args, **call.kwargs))

    return step


def _coroutine_as_step(function: Function, options: StepOptions, run: "Run | None") -> Function:
    @functools.wraps(function)
    async def step(*args: Any, **kwargs: Any) -> Any:
        call = Call.of(function, options, run, args, kwargs)
        if call is None:
            return await function(
                *map(with_values, args), **{key: with_values(one) for key, one in kwargs.items()}
            )
        await call.step.begin_async()
        if call.step.is_hit:
            return await call.reuse_async()
        async with call.step:
            return call.keep(await call.function(*call.args, **call.kwargs))

    return step


def step(
    name: "str | Function | None" = None,
    *,
    inputs: "Mapping[str, Any] | Sequence[str]" = (),
    params: Mapping[str, Any] | None = None,
    outputs: "str | Sequence[str] | Mapping[str, str] | None" = None,
    version: str | None = None,
    code: "str | Function | Sequence[Function] | None" = None,
    exclude: "str | Sequence[str]" = (),
    cache: "bool | str | None" = None,
    max_age: Any = None,
    salt: str | None = None,
    environment: "Sequence[str] | Mapping[str, str] | None" = None,
    force: bool = False,
    persist: bool | None = None,
    lazy: bool = False,
    wait_timeout: float | None = None,
    never_waits: bool | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> Any:
    """A function as a step of whatever run is the current one when it is called. Options as ``Run.step``.

    Outside of runs it is the function that it was.

    >>> import headwater
    >>> @headwater.step                       # doctest: +SKIP
    ... def train(table, lr=0.1): ...
    """
    if callable(name):
        return as_step(name, StepOptions(name_of(name)), run=None)
    own = CacheOptions(cache, max_age, salt, environment, wait_timeout, never_waits, persist)

    def decorate(function: Function) -> Function:
        options = step_options(
            name_of(function) if name is None else name,
            inputs=inputs,
            params=params,
            outputs=outputs,
            version=version,
            code=code,
            exclude=exclude,
            cache=own,
            force=force,
            lazy=lazy,
            description=description,
            tags=tags,
        )
        return as_step(function, options, run=None)

    return decorate


class Call:
    """One call of a function as a step."""

    def __init__(
        self,
        function: Function,
        options: StepOptions,
        run: "Run",
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        self.function = function
        self._options = options
        self._run = run
        self._given_args, self._given_kwargs = args, kwargs
        given = given_of_call(
            function,
            args,
            kwargs,
            inputs=options.inputs,
            params=options.params,
            exclude=options.exclude,
        )
        self.step = Step(run, options, given=given, function=function)

    @classmethod
    def of(
        cls,
        function: Function,
        options: StepOptions,
        run: "Run | None",
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> "Call | None":
        """The call, or ``None`` outside of runs."""
        if run is None:
            run = current.current_run()
            if run is None:
                return None
            options = run.with_defaults(options)
        return cls(function, options, run, args, kwargs)

    @property
    def args(self) -> list[Any]:
        """As the function gets them: the values of outputs that are in memory."""
        return [with_values(one) for one in self._given_args]

    @property
    def kwargs(self) -> dict[str, Any]:
        return {key: with_values(one) for key, one in self._given_kwargs.items()}

    def keep(self, result: object) -> Any:
        """Declare what the function returned; what its caller gets.

        Raises:
            InvalidRequest: it does not fit what is declared, or cannot be pickled.
        """
        items = items_of(result, self._options.outputs)
        for item in items:
            self._declare(item)
        return result_of(self.step.outputs[item.name] for item in items)

    def _declare(self, item: Item) -> None:
        returned = {keeping.RETURNED: item.place}
        value = item.value
        if isinstance(value, Output):
            raise InvalidRequest(
                f"output {item.name!r} is an output of another step; return what this one made of it, "
                "or hand the other's output on outside of the function"
            )
        if is_place(value):
            self.step.output(item.name, value, properties=returned)
        elif self._options.cache.persist and keeping.plain_text(value) is None:
            self._persist(item, returned)
        else:
            self.step.output(item.name, value=value, properties=returned)

    def _persist(self, item: Item, returned: Mapping[str, str]) -> None:
        run = self._run
        if run.directory is None:
            raise FailedPrecondition(
                f"persist needs a directory to keep output {item.name!r} in: client.run(..., directory=...)"
            )
        path = keeping.write_pickle(
            item.value, run.directory, run.pipeline, self.step.name, self.step.key, item.name
        )
        properties = {
            **returned,
            keeping.FORMAT: keeping.PICKLE,
            keeping.PYTHON_CLASS: keeping.class_name(item.value),
        }
        output = self.step.output(item.name, File(path), type="Value", properties=properties)
        output._set_value(item.value)

    def reuse(self) -> Any:
        """Finish the step as a hit; what the function returned before."""
        self.step.finish()
        return self._reused()

    async def reuse_async(self) -> Any:
        """As ``reuse``, without blocking the event loop."""
        await in_thread(self.step.finish)
        return self._reused()

    def _reused(self) -> Any:
        for output in self.step.outputs.values():
            if not output.is_file and not output.has_value:
                output._compute = functools.partial(self._compute, output.name)
        return result_of(self.step.outputs.values())

    def _compute(self, name: str) -> Any:
        """The object that a lazy step left out: the function is called after all, and recorded."""
        if not self._run.is_open:
            return self._compute_unrecorded(name)
        options = replace(self._options, force=True)
        again = Call(self.function, options, self._run, self._given_args, self._given_kwargs)
        if inspect.iscoroutinefunction(self.function):
            raise FailedPrecondition(
                f"step {self.step.name!r} is async and cannot be lazy; give it persist=True"
            )
        # It stands for the object that was left out, so it counts as that for who reads it.
        again.step._inherits = self.step.made_again
        again.step.begin()
        with again.step:
            again.keep(again.function(*again.args, **again.kwargs))
        for output in self.step.outputs.values():
            made = again.step.outputs.get(output.name)
            if made is not None and not output.has_value:
                output._set_value(made.value)
        return again.step.outputs[name].value

    def _compute_unrecorded(self, name: str) -> Any:
        """As ``_compute``, once the run is over."""
        items = items_of(self.function(*self.args, **self.kwargs), self._options.outputs)
        for item in items:
            output = self.step.outputs.get(item.name)
            if output is not None and not output.is_file and not output.has_value:
                output._set_value(item.value)
        return self.step.outputs[name].value
