"""The default of options for which None is a value like others, with its own type."""

import enum


class Missing(enum.Enum):
    """That an option was not given."""

    MISSING = enum.auto()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing.MISSING
