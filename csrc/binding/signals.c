/* Ctrl-C while the main thread runs somebody else's task.
 *
 * While main waits it runs other tasks, and Python runs signal handlers between the
 * bytecodes of whatever runs on the main thread: KeyboardInterrupt would be raised inside a
 * task that it was not meant for. So for as long as main waits and runs another's task, the
 * handler of SIGINT is ours: it puts that task aside, wakes main's own stack, and the
 * handler that was there before is called on that stack. The task goes on the next time
 * that main waits. Before main's code sees its wait return, the old handler is back.
 */
#include "core.h"

#include <signal.h>

static PyObject *
call_signal_module(const char *name, PyObject *handler)
{
    PyObject *const module = PyImport_ImportModule("_signal");
    PyObject *result = NULL;
    if (module) {
        result = handler ? PyObject_CallMethod(module, name, "iO", SIGINT, handler)
                         : PyObject_CallMethod(module, name, "i", SIGINT);
        Py_DECREF(module);
    }
    return result;
}

/* Make root runnable, wherever it waits: for a task, or for quiet. */
static void
wake_root(Worker *w)
{
    if (!wait_interrupt(&w->root, WAKE_SIGNAL) && w->wants_quiet) {
        w->wants_quiet = false;
        fiber_ready_push(w, &w->root);
    }
}

/* Give root an error that a handler has raised in a frame that is not root's. */
static void
deliver_error(Worker *w)
{
    Py_XSETREF(w->interrupt_error, trt_py_take_error());
    wake_root(w);
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
    w->guarded = true;
    PyObject *const handler = call_signal_module("getsignal", NULL);
    if (handler && PyCallable_Check(handler) && handler != core->interrupt_function) {
        PyObject *const replaced = call_signal_module("signal", core->interrupt_function);
        if (replaced) {
            Py_XSETREF(w->guarded_handler, Py_NewRef(handler));
        }
        Py_XDECREF(replaced);
    }
    Py_XDECREF(handler);
    if (PyErr_Occurred()) {
        w->guarded = false; /* a signal was pending: its handler ran and has raised */
        deliver_error(w);
    }
}

int
signals_unguard(Worker *w)
{
    if (!w->guarded) {
        return 0;
    }
    w->guarded = false;
    PyObject *const handler = w->guarded_handler;
    w->guarded_handler = NULL;
    if (!handler) {
        return 0;
    }
    PyObject *error = NULL;
    PyObject *const present = call_signal_module("getsignal", NULL);
    if (present == core->interrupt_function) {
        PyObject *replaced;
        while (!(replaced = call_signal_module("signal", handler))) {
            /* A signal was pending and its handler, ours or another, has raised. */
            Py_XSETREF(error, trt_py_take_error());
        }
        Py_DECREF(replaced);
    }
    Py_XDECREF(present);
    Py_XSETREF(w->interrupt_handler, handler);
    if (error) {
        trt_py_set_error(error);
        return -1;
    }
    return 0;
}

int
signals_run_pending(Worker *w)
{
    if (w->interrupt_error) {
        PyObject *const error = w->interrupt_error;
        w->interrupt_error = NULL;
        trt_py_set_error(error);
        return -1;
    }
    if (w->interrupted) {
        w->interrupted = false;
        PyObject *const handler = Py_XNewRef(w->interrupt_handler);
        if (handler) {
            PyObject *const result =
                PyObject_CallFunction(handler, "iO", SIGINT, Py_None);
            Py_DECREF(handler);
            if (!result) {
                return -1;
            }
            Py_DECREF(result);
        }
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
    if (task) {
        trt_task_suspend(&task->base);
        trt_task_ready(&task->base);
    }
    fiber_ready_push(w, fiber);
    PyObject *const loop = context_take_loop(PyThreadState_Get());
    const int status = fiber_switch(w, to);
    context_put_loop(loop);
    if (task) {
        trt_task_resume(&task->base);
    }
    if (status < 0) {
        fiber_ready_remove(w, fiber);
        return -1;
    }
    return wait_checkpoint(fiber);
}

/* The handler of SIGINT while main is guarded. */
PyObject *
core_on_interrupt(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Worker *const w = worker_current;
    if (!w || w != core->main || w->current == &w->root) {
        PyObject *const handler =
            w && w->guarded_handler ? w->guarded_handler : w ? w->interrupt_handler : NULL;
        if (!handler) {
            PyErr_SetNone(PyExc_KeyboardInterrupt);
            return NULL;
        }
        return PyObject_Vectorcall(handler, args, (size_t)nargs, NULL);
    }
    w->interrupted = true;
    wake_root(w);
    /* From the hub, root is next anyway; from a stack that cannot be left, when it ends. */
    if (w->current != &w->hub && fiber_can_switch(w) && step_aside(w) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
