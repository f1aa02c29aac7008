"""What there is one of: a copy would share half of it, or nothing."""

from typing import NoReturn


class Unique:
    """Refuse to be copied and pickled, as locks do. For what is made of those."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        cls = type(self)
        name = f"{cls.__module__}.{cls.__qualname__}"
        raise TypeError(f"cannot pickle {name!r} object")
