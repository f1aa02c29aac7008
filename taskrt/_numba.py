"""Native tasks as LLVM IR, for Numba: functions of the header, and calls in frames.

The functions are line by line those of ``taskrt_native.h``; the reasons for the orders
stand there. Each is put into a module once, and inlined wherever it is called.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.callconv import excinfo_ptr_t
from numba.core.errors import TypingError
from numba.core.funcdesc import default_mangler
from numba.core.imputils import fix_returning_optional

I32: Final = ir.IntType(32)
POINTER: Final = ir.IntType(8).as_pointer()

_WORD: Final = cgutils.intp_t
_SLOT: Final = POINTER.as_pointer()
_FLAG: Final = I32.as_pointer()
_GAP: Final = ir.ArrayType(ir.IntType(8), 64)

# The structures of the header, member for member, and their number there.
LAYOUT: Final = 1
FRAME: Final = {"fn": POINTER, "arg": POINTER, "state": _WORD, "status": I32}
CONTEXT: Final = {
    "api": POINTER,
    "tail": _SLOT,
    "limit": _SLOT,
    "floor": POINTER,
    "sleepers": _FLAG,
    "cancel": _FLAG,
    "full_fence": I32,
    "gap": _GAP,
    "head": _SLOT,
}
API: Final = {
    "size": I32,
    "layout": I32,
    "spawn_slow": POINTER,
    "join_slow": POINTER,
    "wake": POINTER,
    "fence": POINTER,
}

FUNCTION: Final = ir.FunctionType(I32, (POINTER, POINTER))


def struct(members: dict[str, Any]) -> Any:
    """Return the LLVM type of one of the structures above."""
    return ir.LiteralStructType(members.values())


def check_layout(layout: int) -> None:
    """Refuse code that was compiled for another layout: Numba's cache may hold some."""
    if layout != LAYOUT:
        raise RuntimeError(
            "a function in Numba's cache was compiled for another version of taskrt: "
            "clear the cache, the __pycache__ beside its source by default"
        )


def spawn(builder: Any, context: Any, frame: Any, fn: Any, arg: Any) -> None:
    """Emit ``trt_spawn(context, frame, fn, arg)``."""
    args = [context, frame, fn, arg]
    call_inline(builder, "trt_spawn", ir.VoidType(), args, _define_spawn)


def join(builder: Any, context: Any, frame: Any) -> Any:
    """Emit ``trt_join(context, frame)``."""
    return call_inline(builder, "trt_join", I32, [context, frame], _define_join)


def cancelled(builder: Any, context: Any) -> Any:
    """Emit ``trt_cancelled(context)``."""
    cancel = _load_relaxed(builder, _load(builder, CONTEXT, context, "cancel"))
    return builder.icmp_unsigned("!=", cancel, I32(0))


def call_inline(
    builder: Any, name: str, result: Any, args: list[Any], define: Any
) -> Any:
    """Emit a call of the function of pointers that ``define(builder, *args)`` emits."""
    module = builder.module
    fn = module.globals.get(name)
    if fn is None:
        kind = ir.FunctionType(result, [POINTER] * len(args))
        fn = ir.Function(module, kind, name)
        fn.linkage = "internal"
        fn.attributes.add("alwaysinline")
        define(ir.IRBuilder(fn.append_basic_block()), *fn.args)
    return builder.call(fn, [builder.bitcast(arg, POINTER) for arg in args])


def _define_spawn(builder: Any, context: Any, frame: Any, fn: Any, arg: Any) -> None:
    builder.store(fn, _at(builder, FRAME, frame, "fn"))
    builder.store(arg, _at(builder, FRAME, frame, "arg"))
    state = _at(builder, FRAME, frame, "state")
    builder.store_atomic(_WORD(0), state, "monotonic", _WORD.width // 8)
    tail = _at(builder, CONTEXT, context, "tail")
    is_full = builder.icmp_unsigned(
        "==", _load_relaxed(builder, tail), _load(builder, CONTEXT, context, "limit")
    )
    with builder.if_then(is_full, likely=False):
        may_push = _call(builder, context, "spawn_slow", I32, context, frame)
        with builder.if_then(builder.icmp_unsigned("==", may_push, I32(0))):
            builder.ret_void()
    slot = _load_relaxed(builder, tail)
    builder.store(frame, slot)
    _store_release(builder, builder.gep(slot, [I32(1)]), tail)
    _barrier(builder, context)
    sleepers = _load_relaxed(builder, _load(builder, CONTEXT, context, "sleepers"))
    some = builder.icmp_unsigned("<", builder.sub(sleepers, I32(1)), I32(0xFFFF))
    with builder.if_then(some, likely=False):
        _call(builder, context, "wake", ir.VoidType(), context)
    builder.ret_void()


def _define_join(builder: Any, context: Any, frame: Any) -> None:
    here = builder.ptrtoint(builder.alloca(ir.IntType(8)), _WORD)
    tail = _at(builder, CONTEXT, context, "tail")
    after = _load_relaxed(builder, tail)
    slot = builder.gep(after, [I32(-1)])
    _store_release(builder, slot, tail)
    _barrier(builder, context)
    head = _load_relaxed(builder, _at(builder, CONTEXT, context, "head"))
    with builder.if_then(builder.icmp_unsigned("<=", head, slot), likely=True):
        is_mine = builder.icmp_unsigned("==", builder.load(slot), frame)
        floor = builder.ptrtoint(_load(builder, CONTEXT, context, "floor"), _WORD)
        has_room = builder.icmp_unsigned(">", here, floor)
        with builder.if_then(builder.and_(is_mine, has_room), likely=True):
            fn = builder.bitcast(
                _load(builder, FRAME, frame, "fn"), FUNCTION.as_pointer()
            )
            arg = _load(builder, FRAME, frame, "arg")
            builder.ret(builder.call(fn, [context, arg]))
    _store_release(builder, after, tail)
    builder.ret(_call(builder, context, "join_slow", I32, context, frame))


def _barrier(builder: Any, context: Any) -> None:
    is_full = builder.icmp_unsigned(
        "!=", _load(builder, CONTEXT, context, "full_fence"), I32(0)
    )
    with builder.if_then(is_full, likely=False):
        _call(builder, context, "fence", ir.VoidType())
    builder.fence("seq_cst", "singlethread")


def _call(builder: Any, context: Any, name: str, result: Any, *args: Any) -> Any:
    """Call a function of the context's table."""
    fn = _load(builder, API, _load(builder, CONTEXT, context, "api"), name)
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(builder.bitcast(fn, kind.as_pointer()), args)


def _at(builder: Any, members: dict[str, Any], base: Any, name: str) -> Any:
    """Return where a member is in the structure at `base`."""
    whole = builder.bitcast(base, struct(members).as_pointer())
    index = list(members).index(name)
    return builder.gep(whole, [I32(0), I32(index)], inbounds=True)


def _load(builder: Any, members: dict[str, Any], base: Any, name: str) -> Any:
    return builder.load(_at(builder, members, base, name))


def _load_relaxed(builder: Any, where: Any) -> Any:
    value_type = where.type.pointee
    size = 4 if value_type == I32 else _WORD.width // 8
    return builder.load_atomic(where, "monotonic", size)


def _store_release(builder: Any, value: Any, where: Any) -> None:
    builder.store_atomic(value, where, "release", _WORD.width // 8)


# ---- calls ---------------------------------------------------------------------------


def if_rare(builder: Any, condition: Any) -> Any:
    """Return a context manager around what is to be emitted for a rare case."""
    return builder.if_then(condition, likely=False)


# What each record begins with: its frame, and the next older child of the function.
LINK: Final = [struct(FRAME), POINTER]


class Record:
    """A frame, with the arguments of a call and room for what comes of it."""

    OLDER, CODE, ERROR, RESULT, ARGS = 1, 2, 3, 4, 5

    def __init__(self, context: Any, builder: Any, call: Any, where: Any) -> None:
        self.context, self.builder, self.call = context, builder, call
        self.kinds: Final = call.args[1:]  # whoever runs it has a context for it
        self.where = builder.bitcast(where, self.type_of(context, call).as_pointer())

    @staticmethod
    def type_of(context: Any, call: Any) -> Any:
        kinds = call.return_type, *call.args[1:]
        values = map(context.get_value_type, kinds)
        return ir.LiteralStructType([*LINK, I32, excinfo_ptr_t, *values])

    def at(self, index: int) -> Any:
        return cgutils.gep_inbounds(self.builder, self.where, 0, index)

    def put_args(self, args: list[Any]) -> None:
        for index, (kind, value) in enumerate(zip(self.kinds, args), self.ARGS):
            self.context.nrt.incref(self.builder, kind, value)
            self.builder.store(value, self.at(index))

    def get_args(self) -> list[Any]:
        places = range(self.ARGS, self.ARGS + len(self.kinds))
        return [self.builder.load(self.at(index)) for index in places]

    def drop_args(self) -> None:
        for kind, value in zip(self.kinds, self.get_args()):
            self.context.nrt.decref(self.builder, kind, value)

    def put_outcome(self, status: Any, result: Any) -> None:
        self.builder.store(status.code, self.at(self.CODE))
        self.builder.store(status.excinfoptr, self.at(self.ERROR))
        self.builder.store(result, self.at(self.RESULT))

    def take_outcome(self, free: Any = None) -> Any:
        """Raise what the call has raised, or return its result."""
        convention = self.context.call_conv
        places = map(self.at, (self.CODE, self.ERROR, self.RESULT))
        code, error, result = map(self.builder.load, places)
        if free:
            free()
        status = convention._get_return_status(self.builder, code, error)
        with if_rare(self.builder, status.is_error):
            convention.return_status_propagate(self.builder, status)
        return result


def entry(context: Any, builder: Any, function: Any, call: Any) -> Any:
    """Emit the native function that makes the call in the record it gets."""
    callee = _callee(context, builder, function, call)
    name = builder.module.get_unique_name("taskrt_entry")
    fn = ir.Function(builder.module, FUNCTION, name)
    fn.linkage = "internal"
    inside = ir.IRBuilder(fn.append_basic_block())
    record = Record(context, inside, call, fn.args[1])
    if isinstance(callee, str):
        kind = context.call_conv.get_function_type(call.return_type, call.args)
        callee = context.codegen().insert_unresolved_ref(inside, kind, callee)
    args = [fn.args[0], *record.get_args()]
    status, result = context.call_conv.call_function(
        inside, callee, call.return_type, call.args, args
    )
    result = fix_returning_optional(context, inside, call, status, result)
    record.put_outcome(status, result)
    inside.ret(I32(0))
    return fn


# What functions return whose callees were compiled first, as these have it. By their
# uid, and under Numba's compiler lock.
_EXPECTED: Final[dict[int, Any]] = {}


def check_result(context: Any) -> None:
    """Refuse a function that returns something else than its callees were told.

    Numba tells them what the first `return` gives of which it knows the type.
    """
    function = context.fndesc
    expected = _EXPECTED.pop(function.uid, function.restype)
    if expected != function.restype:
        raise TypingError(
            f"{function.qualname} returns {function.restype}, but a function that it "
            f"spawns and that spawns it takes it to return {expected}: let each return "
            "be of the same type, as with 0.0 in place of 0"
        )


def _callee(context: Any, builder: Any, function: Any, call: Any) -> Any:
    """Return the compiled function, or its name if that is still to be compiled."""
    if isinstance(function, types.Dispatcher):
        compiled = function.dispatcher.get_compile_result(call)
        context.add_linking_libs([compiled.library])
        return context.declare_function(builder.module, compiled.fndesc)
    overload = function.get_overloads(call.args)
    name = (context.mangler or default_mangler)(
        overload.qualname,
        call.args,
        abi_tags=context.fndesc.abi_tags,
        uid=overload.uid,
    )
    if not builder.function.name.startswith(name):  # two functions call each other
        _EXPECTED[overload.uid] = call.return_type
        return name
    return context.declare_function(builder.module, context.fndesc)
