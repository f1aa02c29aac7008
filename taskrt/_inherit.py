"""The default of Spawner's `context`, a value with a type of its own."""

import enum


class Inherit(enum.Enum):
    """A copy of the spawner's context variables."""

    INHERIT = enum.auto()


INHERIT = Inherit.INHERIT
