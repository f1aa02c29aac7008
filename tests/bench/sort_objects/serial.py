"""The builtin."""


def run(numbers: list[float]) -> list[float]:
    """Sort the numbers."""
    return sorted(numbers)
