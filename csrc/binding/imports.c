/* Who owns the lock of a module that is being imported: _imports.py asks. */
#include "core.h"

/* In a child that a task has forked: the stack that has done so. It goes on as the root
 * of the child's main thread, and owns the locks that it has taken before. */
static Fiber *forked;

/* Marks the address of a stack's record as a number for it. What Python calls a thread
 * is even: an address too, and on Windows a multiple of four. */
enum { STACK_MARK = 1 };

/* The stack of ours that this code runs on; NULL: the thread's own. */
static Fiber *
own_stack(void)
{
    const Worker *const w = worker_current;
    if (w && w->current != &w->root &&
        !(w->current == &w->hub && trt_worker_is_started(&w->base))) {
        return w->current;
    }
    return forked && lifecycle_is_main_thread() ? forked : NULL;
}

void
imports_on_fork(void)
{
    forked = own_stack();
}

/* _stack_id(): a number for the stack that this code runs on, 0 if it is the thread's
 * own. Records of stacks are never freed, so it stays one's own. */
PyObject *
core_stack_id(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    const Fiber *const stack = own_stack();
    return PyLong_FromUnsignedLongLong(stack ? (uintptr_t)stack | STACK_MARK : 0);
}

/* The stack with that number, or the main thread's own if that is Python's name for the
 * thread; NULL: another thread's. */
static Fiber *
find_stack(unsigned long long id)
{
    Fiber *const stack = id & STACK_MARK ? (Fiber *)(uintptr_t)(id - STACK_MARK) : NULL;
    if (stack && stack != forked) {
        return stack;
    }
    return core->main && (stack || id == trt_load_relaxed(&core->main_ident))
               ? &core->main->root
               : NULL;
}

/* _never_lets_go(id, hard): whether this stack would wait in vain for something that
 * the stack `id` has: because that one waits for this one, or cannot go on while this
 * thread sleeps, or is left behind in a parent process. `hard`: the thread would sleep
 * whatever this stack is. */
PyObject *
core_never_lets_go(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "_never_lets_go() takes two arguments");
        return NULL;
    }
    const unsigned long long id = PyLong_AsUnsignedLongLong(args[0]);
    const int hard = PyObject_IsTrue(args[1]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Worker *const w = worker_current;
    Fiber *const stack = w ? find_stack(id) : NULL;
    if (!stack || stack == w->current) {
        Py_RETURN_FALSE;
    }
    if (stack->worker->generation != trt_load_relaxed(&core->generation)) {
        Py_RETURN_TRUE;
    }
    const bool on_thread = hard || !fiber_can_switch(w);
    trt_mutex_lock(&core->waits);
    const bool vain = wait_is_vain_locked(w->current, stack, on_thread);
    trt_mutex_unlock(&core->waits);
    return PyBool_FromLong(vain);
}
