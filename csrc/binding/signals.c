/* Ctrl-C while the main thread runs somebody else's task.
 *
 * While main waits it runs other tasks, and Python runs signal handlers between the
 * bytecodes of whatever runs on the main thread: KeyboardInterrupt would be raised
 * inside a task that it was not meant for. So for as long as main waits and runs
 * another's task, the handler of SIGINT is ours: it puts that task aside, wakes main's
 * own stack, and the handler that was there before is called on that stack. The task
 * goes on the next time that main waits. Before main's code sees its wait return, the
 * old handler is back.
 *
 * While main sleeps, Python's wake-up descriptor is the parker's: the C-level handler
 * writes to it on whichever thread the kernel has chosen, so a signal is noticed also
 * if it comes between the last look and the sleep. What belongs to another wake-up
 * descriptor (asyncio's) is passed on.
 */
#include "core.h"

#include <signal.h>
#include <unistd.h>

/* Functions of the signal module, looked up when main first runs another's task. */
static int
prepare_functions(void)
{
    if (core->sigint) {
        return 0;
    }
    PyObject *const module = PyImport_ImportModule("_signal");
    if (module) {
        core->signal_function = PyObject_GetAttrString(module, "signal");
        core->getsignal_function = PyObject_GetAttrString(module, "getsignal");
        core->wakeup_function = PyObject_GetAttrString(module, "set_wakeup_fd");
        Py_DECREF(module);
    }
    if (!core->signal_function || !core->getsignal_function || !core->wakeup_function) {
        return -1;
    }
    core->sigint = PyLong_FromLong(SIGINT);
    return core->sigint ? 0 : -1;
}

/* Make `handler` the handler of SIGINT; returns the one before, or NULL with the error
 * that a handler has raised, since what is pending is run first. */
static PyObject *
exchange_handler(PyObject *handler)
{
    PyObject *const args[] = {core->sigint, handler};
    return PyObject_Vectorcall(core->signal_function, args, 2, NULL);
}

/* Give root an error that a handler has raised in a frame that is not root's. */
static void
deliver_error(Worker *w)
{
    Py_XSETREF(w->interrupt_error, trt_py_take_error());
    fiber_interrupt(&w->root, WAKE_SIGNAL);
}

void
signals_check(Worker *w)
{
    if (PyErr_CheckSignals() < 0) {
        deliver_error(w);
    }
}

void
signals_guard(Worker *w)
{
    if (w->guarded) {
        return;
    }
    PyObject *const handler =
        prepare_functions() < 0
            ? NULL
            : PyObject_CallOneArg(core->getsignal_function, core->sigint);
    /* What is not a Python function (the default action, ignoring, C code) stays: it
     * does not raise in a task. */
    if (handler && PyCallable_Check(handler)) {
        PyObject *const replaced = exchange_handler(core->interrupt_function);
        if (replaced) {
            w->guarded = true;
            w->guarded_handler = Py_NewRef(handler);
            Py_DECREF(replaced);
        }
    } else if (handler) {
        w->guarded = true;
    }
    Py_XDECREF(handler);
    if (!w->guarded) {
        deliver_error(w); /* root is next, and the handler is what it was */
    }
}

/* Put the handler from before back. 0; or −1 with the error that it has raised now. */
static int
unguard(Worker *w)
{
    if (!w->guarded) {
        return 0;
    }
    PyObject *const handler = w->guarded_handler;
    PyObject *error = NULL, *present;
    w->guarded = false;
    w->guarded_handler = NULL;
    if (!handler) {
        return 0;
    }
    Py_XSETREF(w->interrupt_handler, Py_NewRef(handler));
    while (!(present = exchange_handler(handler))) {
        Py_XSETREF(error, trt_py_take_error()); /* one came just now: it is root's */
    }
    if (present != core->interrupt_function) {
        /* A task has installed a handler of its own meanwhile: that one stays. */
        PyObject *const replaced = exchange_handler(present);
        if (!replaced) {
            Py_XSETREF(error, trt_py_take_error());
        }
        Py_XDECREF(replaced);
    }
    Py_DECREF(present);
    Py_DECREF(handler);
    if (error) {
        trt_py_set_error(error);
        return -1;
    }
    return 0;
}

/* Call the handler, or raise the error, that are due to root. 0 or −1. */
static int
run_pending(Worker *w)
{
    if (w->interrupted) {
        w->interrupted = false;
        PyObject *const handler = Py_XNewRef(w->interrupt_handler);
        if (handler) {
            PyObject *const args[] = {core->sigint, Py_None};
            PyObject *const result = PyObject_Vectorcall(handler, args, 2, NULL);
            Py_DECREF(handler);
            if (!result) {
                Py_CLEAR(w->interrupt_error);
                return -1;
            }
            Py_DECREF(result);
        }
    }
    if (w->interrupt_error) {
        PyObject *const error = w->interrupt_error;
        w->interrupt_error = NULL;
        trt_py_set_error(error);
        return -1;
    }
    return 0;
}

int
signals_resume_root(Worker *w)
{
    if (!w->guarded && !w->interrupted && !w->interrupt_error) {
        return 0;
    }
    PyObject *const earlier = PyErr_Occurred() ? trt_py_take_error() : NULL;
    if (unguard(w) < 0) {
        Py_XSETREF(w->interrupt_error, trt_py_take_error());
    }
    if (run_pending(w) < 0) {
        Py_XDECREF(earlier);
        return -1;
    }
    if (earlier) {
        trt_py_set_error(earlier);
    }
    return 0;
}

/* Put the running task aside and switch to root. */
static int
step_aside(Worker *w)
{
    Fiber *const fiber = w->current;
    TaskObject *const task = fiber->task;
    Fiber *to = fiber_ready_remove(w, &w->root) ? &w->root : &w->hub;
    const bool stepped = wait_suspend_task(task);
    if (stepped) {
        trt_task_ready(&task->base);
    }
    LimitObject *const held = fiber->held;
    if (held) {
        limit_leave(fiber);
    }
    fiber_ready_push(w, fiber);
    Suspended suspended;
    context_suspend(PyThreadState_Get(), &suspended);
    const int status = fiber_switch(w, to);
    context_resume(PyThreadState_Get(), &suspended);
    if (stepped) {
        wait_resume_task(task);
    }
    if (status < 0) {
        fiber_ready_remove(w, fiber);
    }
    const bool rejoined = !held || limit_rejoin(fiber, held) == 0;
    return status < 0 || !rejoined ? -1 : wait_checkpoint(fiber);
}

/* The handler of SIGINT while main is guarded. */
PyObject *
core_on_interrupt(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Worker *const w = worker_current;
    if (!w || w != core->main || w->current == &w->root) {
        PyObject *const handler = w && w->guarded_handler ? w->guarded_handler
                                  : w                     ? w->interrupt_handler
                                                          : NULL;
        if (!handler) {
            PyErr_SetNone(PyExc_KeyboardInterrupt);
            return NULL;
        }
        return PyObject_Vectorcall(handler, args, (size_t)nargs, NULL);
    }
    w->interrupted = true;
    fiber_interrupt(&w->root, WAKE_SIGNAL);
    /* From the hub, root is next anyway; from a stack that cannot be left, when it
     * ends. */
    if (w->current != &w->hub && fiber_can_switch(w) && step_aside(w) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- asleep ---------------------------------------------------------------------- */

/* Set Python's wake-up descriptor; returns the one before, or −1 with or without an
 * error. */
static int
exchange_wakeup_fd(int fd)
{
    PyObject *const before = PyObject_CallFunction(core->wakeup_function, "i", fd);
    if (!before) {
        return -1;
    }
    const int old = (int)PyLong_AsLong(before);
    Py_DECREF(before);
    return old;
}

int
signals_enter_sleep(Worker *w)
{
    if (w->asleep++) {
        return 0; /* a handler that runs inside of a sleep waits itself */
    }
    if (prepare_functions() == 0) {
        w->outer_wakeup_fd = exchange_wakeup_fd(trt_parker_signal_fd(&w->base.parker));
    }
    return PyErr_Occurred() ? -1 : 0;
}

void
signals_leave_sleep(Worker *w)
{
    if (--w->asleep) {
        return;
    }
    PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    unsigned char numbers[64];
    exchange_wakeup_fd(w->outer_wakeup_fd);
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable(NULL); /* it was closed meanwhile */
    }
    const size_t count =
        trt_parker_take_signals(&w->base.parker, numbers, sizeof numbers);
    if (count > 0 && w->outer_wakeup_fd >= 0) {
        (void)!write(w->outer_wakeup_fd, numbers, count);
    }
    if (error) {
        trt_py_set_error(error);
    }
}

/* Main's waits are over, and what they had changed in the interpreter is put back. 0 or
 * −1. */
static int
restore_parents(Worker *w)
{
    if (w->asleep) {
        w->asleep = 0;
        exchange_wakeup_fd(w->outer_wakeup_fd);
        if (PyErr_Occurred()) {
            return -1;
        }
    }
    if (w->guarded && w->guarded_handler) {
        w->guarded = false;
        PyObject *const replaced = exchange_handler(w->guarded_handler);
        Py_XDECREF(replaced);
        return replaced ? 0 : -1;
    }
    return 0;
}

/* os.register_at_fork, in the child. The thread that has forked is the main thread now.
 */
PyObject *
core_after_fork(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = core->parents_main;
    core->parents_main = NULL;
    const int status = w ? restore_parents(w) : 0;
    fork_close_parents(); /* no Python in it, so an error stays */
    return status < 0 ? NULL : Py_NewRef(Py_None);
}
