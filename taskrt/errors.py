"""The exceptions that taskrt raises."""

import concurrent.futures
import sys

if sys.version_info >= (3, 13):
    from queue import ShutDown as _ShutDown
else:
    _ShutDown = Exception

__all__ = [
    "Cancelled",
    "CancelledError",
    "ChannelClosed",
    "DeadlockError",
    "NativeError",
    "ShutDown",
    "TaskLostError",
]


class CancelledError(concurrent.futures.CancelledError):
    """Raised by a fetch of a task that was cancelled.

    An ordinary error of the one that fetches, and a
    `concurrent.futures.CancelledError`.
    """

    __module__ = "taskrt"


class Cancelled(BaseException):
    """Raised inside a task that has been asked to end, at each of its checkpoints.

    A `BaseException`, so that ``except Exception`` does not swallow it. Let it pass:
    the task then ends as cancelled.
    """

    __module__ = "taskrt"


class ChannelClosed(Exception):  # noqa: N818 - a state, as `Cancelled`
    """Raised by a put into a closed channel, and by a get from one that is also empty.

    `channel` is the one. Where it was closed with an error, a get raises that instead,
    and the put has it as its cause.
    """

    __module__ = "taskrt"

    def __init__(self, message: str = "", channel: object = None) -> None:
        super().__init__(message)
        self.channel = channel


class DeadlockError(RuntimeError):
    """Raised by a wait that could never end."""

    __module__ = "taskrt"


class NativeError(RuntimeError):
    """Raised where a native task has failed.

    `status` is the number that it returned; the text is what it said of that by
    ``trt_fail``.
    """

    __module__ = "taskrt.native"

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        what = f"a native task failed with status {self.status}"
        return what if self.message is None else f"{what}: {self.message}"


class ShutDown(_ShutDown):
    """Raised by a put into a `Queue` that was shut down, and by a get once it is empty.

    Where Python has it, from 3.13 on, a `queue.ShutDown`.
    """

    __module__ = "taskrt"


class TaskLostError(RuntimeError):
    """Raised by a wait for a task that went down with its process or its thread."""

    __module__ = "taskrt"
