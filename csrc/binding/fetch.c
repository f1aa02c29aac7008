/* fetch(), wait() and yield_now(): arguments in, outcomes out. */
#include "core.h"

#include <math.h>
#include <stdio.h>

int
wait_deadline(PyObject *timeout, uint64_t *deadline_ns)
{
    if (timeout == Py_None) {
        *deadline_ns = TRT_FOREVER;
        return 0;
    }
    const double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError,
                         "timeout must be a number of seconds or None, not '%.100s'",
                         Py_TYPE(timeout)->tp_name);
        }
        return -1;
    }
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError,
                        "timeout must be a number of seconds or None, not NaN");
        return -1;
    }
    const uint64_t now = trt_clock_now_ns();
    if (seconds >= 1e9) { /* 31 years */
        *deadline_ns = TRT_FOREVER - 1;
    } else {
        *deadline_ns = seconds > 0 ? now + (uint64_t)(seconds * 1e9) : now;
    }
    return 0;
}

int
wait_raise_given_twice(const char *method, const char *name, Py_ssize_t place)
{
    PyErr_Format(PyExc_TypeError,
                 "argument for %s() given by name ('%s') and position (%zd)", method,
                 name, place);
    return -1;
}

/* Read the one optional argument `timeout` of a method. */
int
wait_timeout_argument(const char *method, Py_ssize_t before, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames, uint64_t *deadline_ns)
{
    const Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd argument%s (%zd given)",
                     method, before + 1, before ? "s" : "", before + nargs + nkw);
        return -1;
    }
    if (nkw > 0 &&
        PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, nkw - 1), core->str.timeout)) {
        PyErr_Format(PyExc_TypeError,
                     "%s() got an unexpected keyword argument '%U'; it takes timeout",
                     method, PyTuple_GET_ITEM(kwnames, nkw - 1));
        return -1;
    }
    if (nargs + nkw > 1) {
        return wait_raise_given_twice(method, "timeout", before + 1);
    }
    return wait_deadline(nargs + nkw == 1 ? args[0] : Py_None, deadline_ns);
}

/* An interrupt that ended a task which ran here as a call was meant for this thread. */
bool
fetch_was_interrupted(Worker *w, TaskObject *task)
{
    return w->base.kind == TRT_WORKER_MAIN && w->current == &w->root &&
           trt_load_relaxed(&task->fiber) == &w->root &&
           trt_task_get_state(&task->base) == TRT_TASK_FAILED &&
           PyErr_GivenExceptionMatches(task->result, PyExc_KeyboardInterrupt) &&
           !task_flag(task, TRT_TASK_OBSERVED);
}

void
wait_raise_late(TaskObject *task, uint64_t begun_ns)
{
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%.3g",
             (double)(trt_clock_now_ns() - begun_ns) * 1e-9);
    PyObject *const name = task_name(task);
    if (name) {
        PyErr_Format(PyExc_TimeoutError,
                     "%U has not ended after %s seconds; it goes on", name, seconds);
        Py_DECREF(name);
    }
}

PyObject *
fetch_task(TaskObject *task, uint64_t deadline)
{
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    const uint64_t begun = deadline == TRT_FOREVER ? 0 : trt_clock_now_ns();
    const int finished = wait_for(w, task, deadline);
    if (finished < 0) {
        return NULL;
    }
    if (!finished) {
        wait_raise_late(task, begun);
        return NULL;
    }
    if (trt_task_get_state(&task->base) == TRT_TASK_DONE) {
        return Py_NewRef(task->result);
    }
    /* Of a task and one that waits for it, cancelled together, the former may end
     * before the latter is told: its CancelledError is not what happened here. */
    if (trt_task_get_state(&task->base) == TRT_TASK_CANCELLED &&
        wait_checkpoint(w->current) < 0) {
        return NULL;
    }
    return task_outcome(task);
}

static TaskObject *
as_task(const char *who, const char *many, PyObject *op)
{
    if (!Py_IS_TYPE(op, core->task_type)) {
        const bool is_many =
            Py_TYPE(op)->tp_iter && !PyUnicode_Check(op) && !PyBytes_Check(op);
        PyErr_Format(PyExc_TypeError, "%s takes a taskrt.Task, not '%.100s'%s%s", who,
                     Py_TYPE(op)->tp_name, is_many ? "; for many there is " : "",
                     is_many ? many : "");
        return NULL;
    }
    return (TaskObject *)op;
}

/* The deadline that a keyword argument `timeout` asks for, if there is one. */
static int
keyword_deadline(const char *who, PyObject *const *values, PyObject *kwnames,
                 uint64_t *deadline)
{
    *deadline = TRT_FOREVER;
    const Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < nkw; i++) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, i), core->str.timeout) != 0) {
            PyErr_Format(PyExc_TypeError,
                         "%s got an unexpected keyword argument '%U'; it takes timeout",
                         who, PyTuple_GET_ITEM(kwnames, i));
            return -1;
        }
        if (wait_deadline(values[i], deadline) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *
core_fetch(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    if (nargs < 1 || nargs > 2) {
        PyErr_Format(PyExc_TypeError,
                     "fetch() takes a task and perhaps a timeout (%zd arguments given "
                     "by position)",
                     nargs);
        return NULL;
    }
    TaskObject *const task = as_task("fetch()", "fetch_all()", args[0]);
    uint64_t deadline = TRT_FOREVER;
    if (!task) {
        return NULL;
    }
    if (kwnames && keyword_deadline("fetch()", args + nargs, kwnames, &deadline) < 0) {
        return NULL;
    }
    if (nargs == 2 && (kwnames ? wait_raise_given_twice("fetch", "timeout", 2)
                               : wait_deadline(args[1], &deadline)) < 0) {
        return NULL;
    }
    return fetch_task(task, deadline);
}

PyObject *
core_wait(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
          PyObject *kwnames)
{
    uint64_t deadline;
    if (keyword_deadline("wait()", args + nargs, kwnames, &deadline) < 0) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        if (!as_task("wait()", "wait_all()", args[i])) {
            return NULL;
        }
    }
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    for (Py_ssize_t i = nargs; i-- > 0;) { /* newest first: that is the deque's order */
        TaskObject *const task = (TaskObject *)args[i];
        const bool was_finished = task_is_finished(task);
        const int finished = wait_for(w, task, deadline);
        if (finished < 0) {
            return NULL;
        }
        if (!finished) {
            Py_RETURN_FALSE;
        }
        if (!was_finished && fetch_was_interrupted(w, task)) {
            return task_outcome(task);
        }
    }
    Py_RETURN_TRUE;
}

/* Let other threads run. */
static PyObject *
yield_thread(Worker *w, Fiber *fiber)
{
    /* What could not start when it was pushed has woken nobody. */
    LimitObject *const held = trt_deque_size(&w->base.deque) > 0 ? fiber->held : NULL;
    if (held) {
        limit_leave(fiber);
    }
    Py_BEGIN_ALLOW_THREADS trt_thread_yield();
    Py_END_ALLOW_THREADS return held && limit_rejoin(fiber, held) < 0
        ? NULL
        : Py_NewRef(Py_False);
}

PyObject *
core_yield_now(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    if (!w || wait_checkpoint(w->current) < 0) {
        return NULL;
    }
    Fiber *const fiber = w->current;
    LimitObject *const held = fiber->held;
    const int yielded = held ? limit_yield(fiber) : 0;
    if (yielded) {
        return yielded < 0 || wait_checkpoint(fiber) < 0 ? NULL : Py_NewRef(Py_True);
    }
    if (w->base.kind == TRT_WORKER_FOREIGN || !fiber_can_switch(w)) {
        return yield_thread(w, fiber);
    }
    if (!fiber_has_others(w)) {
        Py_RETURN_FALSE;
    }
    if (wait_yield(w) < 0 || wait_checkpoint(fiber) < 0) {
        return NULL;
    }
    Py_RETURN_TRUE;
}
