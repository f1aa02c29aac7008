/* What surrounds a task while it runs: its context variables, an empty stack of handled
 * exceptions, and nothing of an event loop that runs beneath. A task that is run as a
 * call by the one that fetches it must see the same as one that another thread has
 * taken. */
#include "core.h"

/* asyncio keeps its running loop by thread. Only programs that have imported it can
 * have one, and code run by a loop always runs in a context. */
static PyObject *
asyncio_call(PyObject *function, PyObject *argument)
{
    PyObject *const events = trt_py_loaded_module(core->str.asyncio_events);
    PyObject *result = NULL;
    if (events) {
        result = PyObject_CallMethodObjArgs(events, function, argument, NULL);
        Py_DECREF(events);
    }
    PyErr_Clear(); /* not in a state to be asked: there is no loop */
    return result;
}

PyObject *
context_take_loop(void)
{
    PyObject *const events = trt_py_loaded_module(core->str.asyncio_events);
    if (!events) {
        return NULL;
    }
    Py_DECREF(events);
    PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    PyObject *loop = asyncio_call(core->str.get_running_loop, NULL);
    if (loop == Py_None) {
        Py_CLEAR(loop);
    }
    if (loop) {
        Py_XDECREF(asyncio_call(core->str.set_running_loop, Py_None));
    }
    if (error) {
        trt_py_set_error(error);
    }
    return loop;
}

/* A region that blocks is about the stack in use: while others run there is none, and
 * what a task has not left ends with it. */
void
context_set_blocking(uint32_t regions)
{
    Worker *const w = worker_current;
    if (w && w->blocking != regions) {
        if (w->blocking) {
            blocking_end(w);
        }
        w->blocking = regions;
        if (regions) {
            blocking_begin(w);
        }
    }
}

void
context_resume_slow(Suspended *suspended, PyObject *firstiter, PyObject *finalizer)
{
    PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    if (suspended->loop) {
        Py_XDECREF(asyncio_call(core->str.set_running_loop, suspended->loop));
    }
    Py_XDECREF(suspended->loop);
    Py_XDECREF(firstiter);
    Py_XDECREF(finalizer);
    if (error) {
        trt_py_set_error(error);
    }
}

/* Contexts that users gave may be entered by two threads at once, which the interpreter
 * leaves to the GIL. */
int
context_enter_given(TaskObject *task)
{
    trt_mutex_lock(&core->contexts);
    const int status = PyContext_Enter(task->context);
    trt_mutex_unlock(&core->contexts);
    return status;
}

void
context_leave_given(TaskObject *task)
{
    PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    trt_mutex_lock(&core->contexts);
    const int status = PyContext_Exit(task->context);
    trt_mutex_unlock(&core->contexts);
    if (status < 0) {
        PyErr_WriteUnraisable((PyObject *)task);
    }
    if (error) {
        trt_py_set_error(error);
    }
}
