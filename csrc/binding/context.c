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

static PyObject *
take_loop(void)
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
static void
set_blocking(uint32_t regions)
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
context_suspend(PyThreadState *tstate, Suspended *suspended)
{
    suspended->blocking = worker_current->blocking;
    set_blocking(0);
    suspended->loop = tstate->context ? take_loop() : NULL;
    suspended->firstiter = tstate->async_gen_firstiter;
    suspended->finalizer = tstate->async_gen_finalizer;
    tstate->async_gen_firstiter = NULL;
    tstate->async_gen_finalizer = NULL;
}

void
context_resume(Suspended *suspended)
{
    PyThreadState *const tstate = PyThreadState_Get();
    set_blocking(suspended->blocking);
    PyObject *const firstiter = tstate->async_gen_firstiter;
    PyObject *const finalizer = tstate->async_gen_finalizer;
    tstate->async_gen_firstiter = suspended->firstiter;
    tstate->async_gen_finalizer = suspended->finalizer;
    if (suspended->loop || firstiter || finalizer) {
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
}

/* Contexts that users gave may be entered by two threads at once, which the interpreter
 * leaves to the GIL. */
static int
enter_given(PyObject *context)
{
    trt_mutex_lock(&core->contexts);
    const int status = PyContext_Enter(context);
    trt_mutex_unlock(&core->contexts);
    return status;
}

static int
leave_given(PyObject *context)
{
    trt_mutex_lock(&core->contexts);
    const int status = PyContext_Exit(context);
    trt_mutex_unlock(&core->contexts);
    return status;
}

int
context_enter(PyThreadState *tstate, TaskObject *task, Surroundings *saved)
{
    context_suspend(tstate, &saved->suspended);
    saved->entered = task_flag(task, TASK_IN_GIVEN_CONTEXT);
    if (saved->entered) {
        if (enter_given(task->context) < 0) {
            context_resume(&saved->suspended);
            return -1;
        }
    } else {
        /* The task's own copy needs no mark against being entered twice: nobody else
         * has it. NULL is an empty context, made when a variable is first set. Raising
         * the version drops what variables have cached for this thread. */
        saved->context = tstate->context;
        tstate->context = task->context;
        tstate->context_ver++;
        task->context = NULL;
    }
    saved->outer_handled = tstate->exc_info;
    saved->handled = (_PyErr_StackItem){0};
    tstate->exc_info = &saved->handled;
    return 0;
}

void
context_leave(PyThreadState *tstate, TaskObject *task, Surroundings *saved)
{
    tstate->exc_info = saved->outer_handled;
    if (saved->entered) {
        PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
        if (leave_given(task->context) < 0) {
            PyErr_WriteUnraisable((PyObject *)task);
        }
        if (error) {
            trt_py_set_error(error);
        }
    } else {
        /* Dropped with the task's other belongings: values may run code as they die. */
        task->context = tstate->context;
        tstate->context = saved->context;
        tstate->context_ver++;
    }
    context_resume(&saved->suspended);
}
