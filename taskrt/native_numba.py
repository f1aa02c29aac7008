"""Native tasks in Numba: spawn and join inside nopython code, in nanoseconds.

A task is a function in nopython mode whose first parameter is the context, which it
passes on to all that spawns or joins:

    from numba import njit
    from taskrt.native_numba import join, run, spawn

    @njit
    def fib(context, n):
        if n < 2:
            return n
        child = spawn(context, fib, n - 1)  # others may take it from here on
        mine = fib(context, n - 2)  # meanwhile: a plain call
        return join(context, child) + mine

    run(fib, 30)  # from Python; or taskrt.spawn(run, fib, 30) for a Task

A child lies on the stack of the function that spawned it; nothing is allocated. The
function joins the newest first, and what it has not joined when it returns or raises,
it waits for then. A `spawn` in the source has one child at a time, also in a loop.

Needs Numba 0.63 or later.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

from llvmlite import ir
from numba import njit, version_info
from numba.core import cgutils, types
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError, TypingError
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin

from taskrt import _numba as emit
from taskrt import _numba_calls as calls
from taskrt import native
from taskrt.tasks import checkpoint

__all__ = ["cancelled", "join", "run", "spawn"]

if version_info.short < (0, 63):
    raise ImportError(
        f"taskrt.native_numba needs Numba 0.63, not {version_info.string}"
    )

_Lower = Callable[[Any, Any, Any, Any], Any]


# ---- what users call -----------------------------------------------------------------


def spawn(context: Any, function: Callable[..., Any], /, *args: Any) -> Any:
    """In nopython code: let others call ``function(context, *args)`` until `join`.

    `context` is what this function has got from `run`, from its own `spawn`, or as the
    first argument of a ``numba.cfunc``: a ``voidptr``. `function` is compiled by
    ``numba.njit``, perhaps the one that is being compiled, and gets a context of its
    own. It gets a value for each of its other parameters, of any type that Numba can
    pass but reflected lists and sets; what they own lives until the join. There are no
    keywords, and defaults do not count.

    Return the child, for `join` in the same function. Raises, while compiling,
    TypingError if an argument is none of these or no signature of `function` fits, and
    UnsupportedError inside a ``numba.prange``; when called, RuntimeError if the last
    child of this very `spawn` has not been joined. Called on whatever thread runs the
    task; from Python it raises RuntimeError. Not a suspension point, unless there is no
    room for one more child: then that runs at once.
    """
    _refuse("spawn")


def join(context: Any, child: Any, /) -> Any:
    """In nopython code: wait for a child; return or raise what its function did.

    `context` is the one of the `spawn`, and `child` what that has returned: the newest
    child of the function that has not been joined. Runs it here, as a call, if nobody
    has taken it; otherwise this stack is left to wait.

    Return what the child's function returns. Raises, while compiling, TypingError if an
    argument is none of these, and UnsupportedError inside a ``numba.prange``; when
    called, what the child has raised; RecursionError or MemoryError if it could not be
    run; RuntimeError if there is no child, it is not the newest, or the context is
    another's. Called on the thread of the `spawn`, which is that of the whole function;
    from Python it raises RuntimeError. A suspension point.
    """
    _refuse("join")


def cancelled(context: Any, /) -> bool:
    """In nopython code: return whether the work has been asked to end: two loads.

    `context` is as for `spawn`. The function returns soon then, whatever value, and
    `run` raises Cancelled. Raises, while compiling, TypingError for anything else than
    one context, and UnsupportedError inside a ``numba.prange``. Called on whatever
    thread runs the task; from Python it raises RuntimeError. Not a suspension point.
    """
    _refuse("cancelled")


def run(function: Callable[..., Any], /, *args: Any) -> Any:
    """From Python: ``function(context, *args)`` as native work; wait for its result.

    `function` is compiled by ``numba.njit``, now if it has not been for these types,
    and has a parameter for each argument. There are no keywords, and defaults do not
    count.

    Return what it returns. Raises TypeError if it is not compiled by ``numba.njit``,
    what Numba raises while compiling it, mostly TypingError, what it raises itself, and
    else what `taskrt.native.run` raises, as Cancelled. Any thread may call it, in a
    task or not. A suspension point and a checkpoint.
    """
    if not isinstance(function, Dispatcher):
        raise TypeError(
            "a function compiled by numba.njit is needed, not "
            f"'{type(function).__name__}'"
        )
    try:
        entry, record = _begin(function, *args)
    except NumbaError as error:
        # What is around the user's own error tells of nothing but `_begin`.
        cause = calls.why_not_compiled(function, args) or error
        raise cause.with_traceback(None) from None
    try:
        native.run(entry, record)
        checkpoint()
    except BaseException:
        with suppress(Exception):  # what the function has raised itself
            _discard(record, function, *args)
        raise
    return _end(record, function, *args)


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"{name} is for functions compiled by numba.njit; from Python, begin with run"
    )


# ---- spawn and join in nopython code -------------------------------------------------

# Statuses with which the core says that it has not called the function.
_NOT_CALLED: Final = [
    (-1, MemoryError, "no memory for a native task"),
    (-4, RecursionError, "native tasks nest too deeply: no memory for more stack"),
]


def _nopython(
    function: Any, typing: Callable[..., Any], *parameters: Any
) -> Callable[[_Lower], _Lower]:
    """Decorate what emits calls of `function`; `typing` returns their signatures."""
    names = [
        str(parameter.replace(annotation=parameter.empty))
        for parameter in inspect.signature(function).parameters.values()
    ]
    usage = f"{function.__name__}({', '.join(names)})"
    takes_more = isinstance(parameters[-1], types.VarArg)
    least = len(parameters) - takes_more

    def generic(self: Any, args: Any, kws: Any) -> Any:
        if kws:
            raise TypingError(f"{function.__name__} takes no keyword arguments")
        if len(args) < least or (len(args) > least and not takes_more):
            count = f"{len(args)} argument{'s' * (len(args) != 1)}"
            raise TypingError(f"call it as {usage}, not with {count}")
        # Numba makes pointers of integers, wherever a pointer is wanted.
        if parameters[0] == types.voidptr != args[0]:
            raise TypingError(
                f"{function.__name__} needs the context that taskrt.native_numba.run "
                f"passes, not {args[0]}"
            )
        return typing(self.context, *args)

    members = {"key": function, "generic": generic}
    template = type(f"_{function.__name__}", (AbstractTemplate,), members)
    infer_global(function, types.Function(template))

    def decorate(lower: _Lower) -> _Lower:
        def lower_checked(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            calls.mark(context.active_code_library)
            emit.check_result(context)
            return lower(context, builder, sig, args)

        lower_builtin(function, *parameters)(lower_checked)
        return lower

    return decorate


def _type_spawn(typing_context: Any, _: Any, function: Any, *args: Any) -> Any:
    call = calls.type_call(typing_context, function, *args)
    return signature(calls.Child(call), types.voidptr, function, *call.args[1:])


@_nopython(spawn, _type_spawn, types.voidptr, types.Any, types.VarArg(types.Any))
def _lower_spawn(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    call = sig.return_type.call
    with builder.goto_entry_block():
        space = builder.alloca(emit.Record.type_of(context, call))
    here = cgutils.alloca_once(builder, emit.POINTER)  # null on entry
    with emit.if_rare(builder, cgutils.is_not_null(builder, builder.load(here))):
        _raise(
            context,
            builder,
            "the last child of this spawn has not been joined: "
            "one spawn in the source has one child at a time",
        )
    newest = _newest_child(builder, args[0])
    record = emit.Record(context, builder, call, space)
    builder.store(builder.load(newest), record.at(record.OLDER))
    record.put_args(args[2:])
    entry = emit.entry(context, builder, sig.args[1], call)
    emit.spawn(builder, args[0], record.where, entry, record.where)
    child = cgutils.create_struct_proxy(sig.return_type)(context, builder)
    child.record = builder.bitcast(record.where, emit.POINTER)
    child.newest, child.here = newest, here
    builder.store(child.record, newest)
    builder.store(child.record, here)
    return child._getvalue()


def _newest_child(builder: Any, context: Any) -> Any:
    """Return where the function that is being compiled has its newest child, or null.

    However it returns, normally or with an exception, it joins all its children before,
    whose records lie on its stack. Numba has no hook for that but the builder itself.
    """
    function = builder.function
    if not hasattr(function, "taskrt_variables"):
        variables = [cgutils.alloca_once(builder, emit.POINTER) for _ in range(2)]
        function.taskrt_variables = variables
        emit_return = builder.ret

        def leave(builder: Any) -> None:
            nothing = ir.VoidType()
            emit.call_inline(builder, "taskrt_leave", nothing, variables, _define_leave)

        def leave_and_return(value: Any) -> Any:
            leave(builder)
            return emit_return(value)

        builder.ret = leave_and_return
        for block in function.blocks:  # what stands there already, as before a loop
            if isinstance(block.terminator, ir.Ret):
                before = ir.IRBuilder(block)
                before.position_before(block.terminator)
                before.debug_metadata = builder.debug_metadata
                leave(before)
    newest, its_context = function.taskrt_variables
    builder.store(context, its_context)
    return newest


def _define_leave(builder: Any, newest: Any, context: Any) -> None:
    newest, context = (
        builder.bitcast(where, emit.POINTER.as_pointer()) for where in (newest, context)
    )
    check, more, done = map(builder.append_basic_block, ("check", "more", "done"))
    builder.branch(check)
    builder.position_at_end(check)
    link = builder.load(newest)
    builder.cbranch(cgutils.is_null(builder, link), done, more)
    builder.position_at_end(more)
    emit.join(builder, builder.load(context), link)
    link = builder.bitcast(link, ir.LiteralStructType(emit.LINK).as_pointer())
    older = cgutils.gep_inbounds(builder, link, 0, emit.Record.OLDER)
    builder.store(builder.load(older), newest)
    builder.branch(check)
    builder.position_at_end(done)
    builder.ret_void()


def _type_join(typing_context: Any, _: Any, child: Any) -> Any:
    if not isinstance(child, calls.Child):
        raise TypingError(f"a child that spawn has returned is needed, not {child}")
    return signature(child.call.return_type, types.voidptr, child)


@_nopython(join, _type_join, types.voidptr, calls.Child)
def _lower_join(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    child = cgutils.create_struct_proxy(sig.args[1])(context, builder, args[1])
    # A variable that has not been set is zero, in Numba.
    with emit.if_rare(builder, cgutils.is_null(builder, child.record)):
        _raise(context, builder, "there is no child to join: nothing was spawned here")
    newest = builder.load(child.newest)
    with emit.if_rare(builder, builder.icmp_unsigned("!=", newest, child.record)):
        _raise(context, builder, "what is joined is not the newest child")
    record = emit.Record(context, builder, sig.args[1].call, child.record)
    builder.store(builder.load(record.at(record.OLDER)), child.newest)
    builder.store(newest.type(None), child.here)
    status = emit.join(builder, args[0], record.where)
    record.drop_args()
    with emit.if_rare(builder, cgutils.is_not_null(builder, status)):
        for code, error, why in _NOT_CALLED:
            with builder.if_then(builder.icmp_signed("==", status, emit.I32(code))):
                _raise(context, builder, why, error)
        _raise(context, builder, "the context is not the one of the spawn")
    return record.take_outcome()


def _raise(
    context: Any, builder: Any, why: str, error: type[Exception] = RuntimeError
) -> None:
    context.call_conv.return_user_exc(builder, error, (why,))


def _type_cancelled(typing_context: Any, _: Any) -> Any:
    return signature(types.boolean, types.voidptr)


@_nopython(cancelled, _type_cancelled, types.voidptr)
def _lower_cancelled(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return emit.cancelled(builder, args[0])


# ---- work that begins in Python: its record is on the heap ---------------------------


def _record_new(function: Any, args: Any, /) -> Any:
    """Return the addresses of the native function to run and of its data."""


def _record_end(address: int, function: Any, args: Any, /) -> Any:
    """Free the record; raise or return what has come of the call."""


def _type_record_new(typing_context: Any, function: Any, args: Any) -> Any:
    call = calls.type_call(typing_context, function, *args)
    pair = types.UniTuple(types.intp, 2)
    return signature(pair, function, types.Tuple(call.args[1:]))


@_nopython(_record_new, _type_record_new, types.Any, types.BaseTuple)
def _lower_record_new(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    function, kinds = sig.args
    call = function.dispatcher.overloads[types.voidptr, *kinds].signature
    size = cgutils.intp_t(context.get_abi_sizeof(emit.Record.type_of(context, call)))
    space = context.nrt.allocate(builder, size)
    cgutils.memset(builder, space, size, 0)
    values = cgutils.unpack_tuple(builder, args[1], len(kinds))
    if _keeps_nothing(context, call):
        values = [_lend(context, builder, *pair) for pair in zip(kinds, values)]
    emit.Record(context, builder, call, space).put_args(values)
    pair = emit.entry(context, builder, function, call), space
    addresses = [builder.ptrtoint(pointer, cgutils.intp_t) for pointer in pair]
    return context.make_tuple(builder, sig.return_type, addresses)


def _keeps_nothing(context: Any, call: Any) -> bool:
    """Return whether no array among its arguments can outlive a call."""
    others = [kind for kind in call.args if not isinstance(kind, types.Array)]
    shapes = map(context.data_model_manager.lookup, (call.return_type, *others))
    return not any(shape.contains_nrt_meminfo() for shape in shapes)


def _lend(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return an array without its owner, whom `run` has: nobody counts references."""
    if not isinstance(kind, types.Array):
        return value
    array = cgutils.create_struct_proxy(kind)(context, builder, value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()


def _type_record_end(typing_context: Any, _: Any, function: Any, args: Any) -> Any:
    call = calls.type_call(typing_context, function, *args)
    given = types.Tuple(call.args[1:])
    return signature(call.return_type, types.intp, function, given)


@_nopython(_record_end, _type_record_end, types.intp, types.Any, types.BaseTuple)
def _lower_record_end(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    call = signature(sig.return_type, types.voidptr, *sig.args[2])
    space = builder.inttoptr(args[0], cgutils.voidptr_t)
    record = emit.Record(context, builder, call, space)
    record.drop_args()
    return record.take_outcome(free=lambda: context.nrt.free(builder, space))


@njit
def _begin(function, *args):  # type: ignore[no-untyped-def]
    return _record_new(function, args)


@njit
def _end(address, function, *args):  # type: ignore[no-untyped-def]
    return _record_end(address, function, args)


@njit
def _discard(address, function, *args):  # type: ignore[no-untyped-def]
    _record_end(address, function, args)
