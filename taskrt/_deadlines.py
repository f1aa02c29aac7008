"""A number of seconds from now as a time of the clock."""

import time


def deadline_after(what: str, seconds: float) -> float:
    """Return the time on the clock of `time.monotonic` that is so many seconds ahead.

    what  the name of the argument, for the message. Raises TypeError if it is no
          number, ValueError if it is negative or NaN
    """
    try:
        valid = seconds >= 0  # which NaN is not
        deadline = time.monotonic() + seconds
    except TypeError:
        raise TypeError(
            f"{what} must be a number from 0 upwards, not {type(seconds).__name__!r}"
        ) from None
    if not valid:
        raise ValueError(f"{what} must be a number from 0 upwards, not {seconds!r}")
    return deadline
