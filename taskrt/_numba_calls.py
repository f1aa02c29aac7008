"""Calls that can be tasks in Numba: their types, and what Numba must not make of them.

A call that a task makes is typed as the compiler types the same call without a task.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from numba.core import types
from numba.core.errors import NumbaError, TypingError, UnsupportedError
from numba.core.typing import signature
from numba.core.typing.typeof import Purpose, typeof
from numba.extending import models, register_model

from taskrt import _numba as emit


class Child(types.Type):  # type: ignore[misc]
    """The type of a child, which is that of its call."""

    def __init__(self, call: Any) -> None:
        self.call: Final = call
        super().__init__(name=f"Child({call})")

    def is_precise(self) -> bool:
        return self.call.return_type is not types.undefined

    def unify(self, typing_context: Any, other: Any) -> Child | None:
        """Follow the result of a recursive function while its type is found out."""
        if not isinstance(other, Child) or other.call.args != self.call.args:
            return None
        results = self.call.return_type, other.call.return_type
        result = typing_context.unify_types(*results)
        return result and Child(self.call.replace(return_type=result))


@register_model(Child)
class _ChildModel(models.StructModel):  # type: ignore[misc]
    """Where its record is, and two variables of the function that has spawned it."""

    def __init__(self, manager: Any, child: Child) -> None:
        members = [
            ("record", types.voidptr),
            ("newest", types.CPointer(types.voidptr)),  # of all children
            ("here", types.CPointer(types.voidptr)),  # the child of the same spawn
        ]
        super().__init__(manager, child, members)


_ASKING: Final[list[Any]] = []  # under Numba's compiler lock


def type_call(typing_context: Any, function: Any, *args: Any) -> Any:
    """Return the signature of ``function(context, *args)``."""
    if not isinstance(function, types.Dispatcher | types.RecursiveCall):
        raise TypingError(
            f"a function compiled by numba.njit is needed, not {function}"
        )
    kinds = _kinds_for_call(args)
    inferer = typing_context.callstack[0].typeinfer
    if inferer in _ASKING:
        return signature(types.undefined, *kinds)
    # What the compiler itself does, also where a function calls itself: then it looks
    # at the function once more, without its calls of itself, and comes by here.
    _ASKING.append(inferer)
    try:
        call = inferer.resolve_call(function, kinds, {})
    finally:
        _ASKING.pop()
    return _check_call(function, kinds, call)


def _kinds_for_call(args: Any) -> tuple[Any, ...]:
    """Return the types of what a task gets that is spawned with these arguments."""
    for kind in args:
        if getattr(kind, "reflected", False):
            raise TypingError(f"{kind} cannot go to another task; use numba.typed")
    return (types.voidptr, *map(types.unliteral, args))


def _check_call(function: Any, kinds: tuple[Any, ...], call: Any) -> Any:
    """Return the signature that the compiler found for these types, if it is one."""
    if isinstance(function, types.RecursiveCall):
        function = function.dispatcher_type
    name = function.dispatcher.py_func.__name__
    if call is None:
        raise TypingError(
            f"{name} has no signature for ({', '.join(map(str, kinds))}); the first is "
            "the context, which is voidptr in a signature"
        )
    if call.args[0] != types.voidptr:
        raise TypingError(
            f"the first parameter of {name} has to be the context, which is voidptr in "
            f"a signature, not {call.args[0]}"
        )
    stars = types.StarArgTuple | types.StarArgUniTuple
    if len(call.args) != len(kinds) or isinstance(call.args[-1], stars):
        raise TypingError(
            f"{name} needs a value for each of its parameters, and none with a star"
        )
    if call.args in function.dispatcher.overloads:
        _check_loops(name, function.dispatcher.overloads[call.args].library)
    return signature(call.return_type, *call.args)


def why_not_compiled(function: Any, args: tuple[Any, ...]) -> NumbaError | None:
    """Return what the compiler says of ``function(context, *args)`` alone."""
    try:
        kinds = _kinds_for_call(list(map(_type_of, args)))
        its_type = types.Dispatcher(function)
        call = its_type.get_call_type(function.typingctx, kinds, {})
        _check_call(its_type, kinds, call)
    except NumbaError as error:
        return error
    return None


def _type_of(arg: Any) -> Any:
    try:
        return typeof(arg, Purpose.argument)
    except ValueError as error:
        raise TypingError(str(error)) from None


# ---- libraries, and loops of Numba's own threads -------------------------------------

# Called whenever code that holds what is emitted here comes out of Numba's cache.
_CHECK: Final = partial(emit.check_layout, emit.LAYOUT)

_NOT_IN_PRANGE: Final = (
    "nothing in a numba.prange can use the context, which the threads of Numba do not "
    "have: use a loop over range, or halve it by spawns"
)


def mark(library: Any) -> None:
    """Note in a library that its code uses a context. Refuse the inside of a prange."""
    if _is_parallel_loop(library):
        raise UnsupportedError(_NOT_IN_PRANGE)
    library._reload_init.add(_CHECK)


def _is_parallel_loop(library: Any) -> bool:
    return bool(library.name.startswith("__numba_parfor_gufunc"))


def _check_loops(name: str, library: Any) -> None:
    """Refuse a compiled function in which a prange calls what uses a context.

    That holds wherever it is called from, but is looked for where work begins, and
    where a child is spawned. Code from Numba's cache does not tell what it is made of.
    """
    seen, below = set(), [library]
    while below:
        part = below.pop()
        # Whatever is made of parts has the checks of all of them.
        if _CHECK not in part._reload_init or part in seen:
            continue
        if _is_parallel_loop(part):
            raise UnsupportedError(f"{_NOT_IN_PRANGE}; see what {name} calls")
        seen.add(part)
        below += part._linking_libraries
