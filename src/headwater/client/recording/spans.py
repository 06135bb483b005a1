"""Parts of a generator's life as a step: how long the step lasts, and when its own code runs."""

from types import TracebackType
from typing import TYPE_CHECKING

from headwater.client.recording import awaiting, current

if TYPE_CHECKING:
    from headwater.client.recording.steps import Step


class Lasting:
    """Finishes a begun step as what is inside ends, without making it the current one."""

    def __init__(self, step: "Step") -> None:
        self._step = step

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._step.is_open:
            self._step.finish_with(error)

    async def __aenter__(self) -> None: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._step.is_open:
            return
        if isinstance(error, GeneratorExit):
            # The loop may be gone; and who closes a generator may not be made to wait.
            self._step.finish_with(error)
            return
        await awaiting.in_thread(self._step.finish_with, error)


class Current:
    """Makes a step the current one for what is inside."""

    def __init__(self, step: "Step") -> None:
        self._step = step
        self._before: Step | None = None

    def __enter__(self) -> None:
        self._before = current.enter_step(self._step)

    def __exit__(self, *_: object) -> None:
        current.leave_step(self._step, self._before)
