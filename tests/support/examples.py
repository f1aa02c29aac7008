"""Examples that Hypothesis draws, for tests that have fixtures."""

from hypothesis import HealthCheck, settings


def some_examples(count: int) -> settings:
    """Try so many, however long they take; the fixtures do the same for all of them."""
    return settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
