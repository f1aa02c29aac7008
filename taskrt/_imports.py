"""Imports in tasks: a module that is being imported belongs to a stack.

Python locks each module while it imports it, and the lock belongs to a thread, so that
a module that imports itself in a circle gets what is there of it. A task that waits in
the middle of an import lets others run on its thread; they would own its locks and get
half a module. So once the runtime starts, the machinery of `importlib` takes the task's
stack for a thread: who comes second waits, as a thread would, and only the task waits.

Private parts of `importlib` are replaced, which Python has had since long before 3.11.
On a version without them imports would be left as they are.
"""

import _imp
import weakref
from importlib import _bootstrap
from types import ModuleType
from typing import Any

from taskrt import _core

_parts = ("_ModuleLock", "_module_locks", "_blocking_on", "_thread")


class _Wakeup(_core.Semaphore):
    """What waits for a module's import to end, or to fail."""

    name: str

    def __repr__(self) -> str:
        return f"<import of {self.name!r} by somebody else>"


def own_by_stack() -> None:
    """Let the locks of modules belong to stacks; nothing the second time.

    Before the first task: a lock that was taken under the name of a thread could not
    be released under that of a stack. Any thread. Not a suspension point.
    """
    machinery: Any = _bootstrap
    if not all(hasattr(machinery, part) for part in _parts):
        return
    _imp.acquire_lock()  # new locks are made under it; a forked child finds it free
    try:
        if not isinstance(machinery._thread, _Thread):
            plain = machinery._ModuleLock
            machinery._ModuleLock = _make_lock_type(plain)
            machinery._thread = _Thread(machinery._thread)
            _convert(machinery, plain)
    finally:
        _imp.release_lock()


class _Thread(ModuleType):
    """The module _thread, for whom stacks are threads."""

    def __init__(self, real: ModuleType) -> None:
        super().__init__(real.__name__)
        stack_id = _core._stack_id

        def get_ident() -> int:
            """Return a number for the stack that calls."""
            return stack_id() or real.get_ident()

        self.get_ident = get_ident
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _make_lock_type(plain: Any) -> type:
    # In closures: late in the interpreter's end the names of this module are gone.
    wakeup_type, never_lets_go = _Wakeup, _core._never_lets_go

    class ModuleLock(plain):  # type: ignore[misc]
        """A lock that a task waits for without its thread."""

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.use_wakeup()

        def use_wakeup(self) -> None:
            """Have tasks wait for the lock. Its holder, when nobody waits for it."""
            self.wakeup = wakeup_type()
            self.wakeup.name = self.name

        def has_deadlock(self) -> bool:
            """Tell whether a wait for the lock would never end.

            Then the import goes on with what there is of the module, or fails.
            """
            if super().has_deadlock():
                return True
            is_hard = type(self.wakeup) is not wakeup_type
            return self.owner is not None and never_lets_go(self.owner, is_hard)

    ModuleLock.__name__ = ModuleLock.__qualname__ = plain.__name__
    return ModuleLock


def _convert(machinery: Any, plain: Any) -> None:
    """Convert the locks of imports that are under way: we may be in one of them."""
    locks: list[Any] = [ref() for ref in list(machinery._module_locks.values())]
    for lock in locks:
        if type(lock) is not plain:
            continue
        lock.__class__ = machinery._ModuleLock
        # Threads that wait for it already stay where they are, and pass on by that
        # wakeup that they may go: those that have been let go, and are no waiters any
        # more, too. The lock within it, which all take that come after our look, is
        # busy for moments only, perhaps beneath us if this is a finalizer.
        if lock.lock.acquire(False):
            try:
                if not lock.waiters and lock not in _waited_for(machinery):
                    lock.use_wakeup()
            finally:
                lock.lock.release()


def _waited_for(machinery: Any) -> list[Any]:
    """Return the locks that somebody is about to take, or sleeps for, or wakes from."""
    # By thread: one lock in 3.11, a weakly held list of them from 3.12 on.
    by_thread = machinery._blocking_on
    found: list[Any] = []
    for waited in getattr(by_thread, "data", by_thread).copy().values():
        if isinstance(waited, weakref.ref):
            found += waited() or ()
        else:
            found.append(waited)
    return found
