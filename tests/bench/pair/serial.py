"""The call itself."""

from pair.problem import empty


def run(loop: range) -> int:
    """Call it."""
    f = empty
    for _ in loop:
        f()
        f()
        f()
        f()
        f()
        f()
        f()
        f()
        f()
        f()
    return f()
