/* The Task type: what a program sees of a task. */
#include "core.h"

#include <structmember.h>

#include <stddef.h>

uint64_t
task_id(TaskObject *task)
{
    uint64_t id = trt_load_relaxed(&task->id);
    if (id == 0) {
        const uint64_t fresh = trt_fetch_add_relaxed(&core->last_id, 1) + 1;
        id = trt_cas_relaxed(&task->id, &id, fresh) ? fresh : id;
    }
    return id;
}

PyObject *
task_name(TaskObject *task)
{
    if (task->name) {
        return Py_NewRef(task->name);
    }
    return PyUnicode_FromFormat("Task-%llu", (unsigned long long)task_id(task));
}

static void
raise_cancelled(TaskObject *task)
{
    PyObject *const name = task_name(task);
    if (!name) {
        return;
    }
    PyObject *const message = trt_load_acquire(&task->message); /* [task-message] */
    if (message) {
        PyErr_Format(core->cancelled_error, "%U was cancelled: %S", name, message);
    } else {
        PyErr_Format(core->cancelled_error, "%U was cancelled", name);
    }
    Py_DECREF(name);
}

PyObject *
task_outcome(TaskObject *task)
{
    switch (trt_task_get_state(&task->base)) {
    case TRT_TASK_DONE:
        return Py_NewRef(task->result);
    case TRT_TASK_FAILED:
        trt_task_set_flags(&task->base, TRT_TASK_OBSERVED);
        PyException_SetTraceback(task->result,
                                 task->traceback ? task->traceback : Py_None);
        trt_py_set_error(Py_NewRef(task->result));
        return NULL;
    default:
        raise_cancelled(task);
        return NULL;
    }
}

void
task_report(TaskObject *task)
{
    if (trt_task_set_flags(&task->base, TRT_TASK_OBSERVED) & TRT_TASK_OBSERVED) {
        return;
    }
    PyObject *const name = task_name(task);
    PyObject *const where =
        name ? PyUnicode_FromFormat("task %U, whose failure nobody fetched", name)
             : NULL;
    PyErr_Clear();
    PyException_SetTraceback(task->result, task->traceback ? task->traceback : Py_None);
    trt_py_set_error(Py_NewRef(task->result));
    PyErr_WriteUnraisable(where);
    Py_XDECREF(where);
    Py_XDECREF(name);
}

/* ---- methods --------------------------------------------------------------------- */

static const char *
state_name(TaskObject *self)
{
    static const char *const names[] = {
        [TRT_TASK_PENDING] = "pending",     [TRT_TASK_RUNNING] = "running",
        [TRT_TASK_SUSPENDED] = "suspended", [TRT_TASK_READY] = "ready",
        [TRT_TASK_DONE] = "done",           [TRT_TASK_FAILED] = "failed",
        [TRT_TASK_CANCELLED] = "cancelled",
    };
    return names[trt_task_get_state(&self->base)];
}

static PyObject *
task_repr(TaskObject *self)
{
    PyObject *const name = task_name(self);
    if (!name) {
        return NULL;
    }
    PyObject *const repr = PyUnicode_FromFormat("<Task %U %s>", name, state_name(self));
    Py_DECREF(name);
    return repr;
}

static PyObject *
task_result(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    uint64_t deadline;
    if (wait_timeout_argument("result", 0, args, nargs, kwnames, &deadline) < 0) {
        return NULL;
    }
    return fetch_task((TaskObject *)self, deadline);
}

static PyObject *
task_exception(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    TaskObject *const self = (TaskObject *)op;
    uint64_t deadline;
    if (wait_timeout_argument("exception", 0, args, nargs, kwnames, &deadline) < 0) {
        return NULL;
    }
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    const bool was_finished = task_is_finished(self);
    const uint64_t begun = deadline == TRT_FOREVER ? 0 : trt_clock_now_ns();
    const int finished = wait_for(w, self, deadline);
    if (finished < 0) {
        return NULL;
    }
    if (!finished) {
        wait_raise_late(self, begun);
        return NULL;
    }
    if (!was_finished && fetch_was_interrupted(w, self)) {
        return task_outcome(self);
    }
    switch (trt_task_get_state(&self->base)) {
    case TRT_TASK_DONE:
        Py_RETURN_NONE;
    case TRT_TASK_FAILED:
        trt_task_set_flags(&self->base, TRT_TASK_OBSERVED);
        return Py_NewRef(self->result);
    default:
        raise_cancelled(self);
        return NULL;
    }
}

static PyObject *
task_done(TaskObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(task_is_finished(self));
}

static PyObject *
task_running(TaskObject *self, PyObject *Py_UNUSED(ignored))
{
    const enum trt_task_state state = trt_task_get_state(&self->base);
    return PyBool_FromLong(state != TRT_TASK_PENDING &&
                           !trt_task_state_is_final(state));
}

static PyObject *
task_cancelled(TaskObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(trt_task_get_state(&self->base) == TRT_TASK_CANCELLED);
}

static PyObject *
task_cancel_method(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"msg", NULL};
    PyObject *message = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:cancel", keywords, &message)) {
        return NULL;
    }
    return PyBool_FromLong(
        task_cancel((TaskObject *)self, message == Py_None ? NULL : message));
}

/* A waiter that calls a Python function when the task has finished. */
typedef struct Callback {
    trt_waiter base;
    PyObject *fn;
    TaskObject *task; /* owned: the task cannot die before its callbacks have run */
} Callback;

static void
callback_run(PyObject *fn, TaskObject *task)
{
    PyObject *const result = PyObject_CallOneArg(fn, (PyObject *)task);
    if (!result) {
        PyErr_WriteUnraisable(fn);
    }
    Py_XDECREF(result);
}

static void
callback_wake(trt_waiter *waiter)
{
    Callback *const callback = (Callback *)waiter;
    PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    Worker *const w = worker_current;
    Fiber *const fiber = w ? w->current : NULL;
    const uintptr_t aside = fiber ? lineage_step_aside(fiber) : 0;
    callback_run(callback->fn, callback->task);
    if (fiber) {
        fiber->aside = aside;
    }
    if (error) {
        trt_py_set_error(error);
    }
    Py_DECREF(callback->fn);
    Py_DECREF(callback->task);
    free(callback);
}

bool
task_waiter_is_callback(const trt_waiter *waiter)
{
    return waiter->wake == callback_wake || subscription_is_waiter(waiter);
}

static PyObject *
task_add_done_callback(TaskObject *self, PyObject *fn)
{
    if (!PyCallable_Check(fn)) {
        return PyErr_Format(PyExc_TypeError,
                            "add_done_callback() takes a callable, not '%.100s'",
                            Py_TYPE(fn)->tp_name);
    }
    Callback *const callback = malloc(sizeof *callback);
    if (!callback) {
        return PyErr_NoMemory();
    }
    trt_waiter_init(&callback->base, callback_wake);
    callback->fn = Py_NewRef(fn);
    callback->task = (TaskObject *)Py_NewRef((PyObject *)self);
    if (!trt_waiters_add(&self->base.waiters, &callback->base)) {
        callback_wake(&callback->base);
    }
    Py_RETURN_NONE;
}

static PyObject *
task_defuse(TaskObject *self, PyObject *Py_UNUSED(ignored))
{
    trt_task_set_flags(&self->base, TRT_TASK_OBSERVED);
    Py_RETURN_NONE;
}

static PyObject *
task_report_errors(TaskObject *self, PyObject *Py_UNUSED(ignored))
{
    trt_task_set_flags(&self->base, TASK_REPORTS);
    if (trt_task_get_state(&self->base) == TRT_TASK_FAILED) {
        task_report(self);
    }
    return Py_NewRef((PyObject *)self);
}

static PyObject *
task_reduce(TaskObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyErr_Format(
        PyExc_TypeError,
        "cannot pickle a task: it lives in this process; fetch %R here and "
        "send its result",
        self);
}

static PyObject *
task_get_state(TaskObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(state_name(self));
}

static PyObject *
task_get_name(TaskObject *self, void *Py_UNUSED(closure))
{
    return task_name(self);
}

static PyObject *
task_get_id(TaskObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(task_id(self));
}

/* await task: in an event loop, which must not wait as a thread does. */
static PyObject *
task_await(PyObject *self)
{
    PyObject *const module = PyImport_Import(core->str.interop_aio);
    PyObject *const found =
        module ? PyObject_GetAttr(module, core->str.await_task) : NULL;
    PyObject *const iterator = found ? PyObject_CallOneArg(found, self) : NULL;
    Py_XDECREF(found);
    Py_XDECREF(module);
    return iterator;
}

PyDoc_STRVAR(
    task_doc,
    "Task(fn, /, *args, **kwargs)\n--\n\n"
    "A call that runs, or will run, in parallel; made by spawn().\n\n"
    "Made by hand it is not scheduled: it runs once schedule() is called or somebody "
    "waits for\n"
    "it, by whatever kind of wait; until then it holds up nothing, and it may be "
    "dropped. Raises\n"
    "what spawn raises. Source: Julia's Task and schedule.\n\n"
    "The names of concurrent.futures.Future mean here what they mean there. Generic in "
    "the\n"
    "type of the result: Task[int]. All methods may be called from any thread.");

PyDoc_STRVAR(result_doc,
             "result($self, /, timeout=None)\n--\n\n"
             "Wait for the task and return its value; same as fetch(task, timeout).\n\n"
             "Raises the task's own exception if it failed, CancelledError if it was "
             "cancelled,\n"
             "TimeoutError after timeout seconds (the task goes on), DeadlockError if "
             "the wait could\n"
             "never end, TaskLostError in a forked child. A suspension point.");
PyDoc_STRVAR(exception_doc,
             "exception($self, /, timeout=None)\n--\n\n"
             "Wait for the task and return the exception it failed with, or None.\n\n"
             "Counts as observing the failure. Raises CancelledError if the task was "
             "cancelled, and\n"
             "what result() raises about the wait. A suspension point.");
PyDoc_STRVAR(
    done_doc,
    "done($self, /)\n--\n\n"
    "Return whether the task has ended: with a value, an exception or a cancellation.");
PyDoc_STRVAR(running_doc, "running($self, /)\n--\n\n"
                          "Return whether the task has started and not ended; also "
                          "while it waits for something.");
PyDoc_STRVAR(cancelled_doc, "cancelled($self, /)\n--\n\n"
                            "Return whether the task has ended by cancellation.");
PyDoc_STRVAR(cancel_doc,
             "cancel($self, /, msg=None)\n--\n\n"
             "Ask the task to end; return False only if it has ended already.\n\n"
             "A task that has not started never runs. One that waits wakes with "
             "Cancelled. One that\n"
             "runs meets Cancelled at its next checkpoint, which every blocking call "
             "of taskrt is, and\n"
             "at each one after that until it ends. msg appears in the CancelledError "
             "of those who\n"
             "fetch it; the first message stays. Not a suspension point.");
PyDoc_STRVAR(add_done_callback_doc,
             "add_done_callback($self, fn, /)\n--\n\n"
             "Call fn(task) once the task has ended, or at once if it has.\n\n"
             "Runs on the thread that ends the task, after those who wait for it were "
             "released.\n"
             "Exceptions go to sys.unraisablehook.");
static PyObject *
task_schedule(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TaskObject *const self = (TaskObject *)op;
    return !task_is_finished(self) && wait_begin(self) < 0 ? NULL : Py_NewRef(op);
}

PyDoc_STRVAR(
    schedule_doc,
    "schedule($self, /)\n--\n\n"
    "Let a task that was made by Task(fn, ...) run; return the task.\n\n"
    "Nothing if that was done before, by this or by a wait for it, or if it was "
    "cancelled,\n"
    "and for tasks that were made in another way. Raises RuntimeError if the "
    "runtime is\n"
    "shutting down, TaskLostError in a forked child. Not a suspension point.");
PyDoc_STRVAR(wait_op_doc,
             "wait_op($self, /)\n--\n\n"
             "Return an operation for select() that waits for the end of the task, "
             "however it ends.\n\n"
             "Its value is the task. May be used again and again.");
PyDoc_STRVAR(
    defuse_doc,
    "defuse($self, /)\n--\n\n"
    "Declare that a failure of this task need not be reported if nobody fetches it.");

PyDoc_STRVAR(report_errors_doc,
             "report_errors($self, /)\n--\n\n"
             "Have a failure reported as soon as the task ends; return the task.\n\n"
             "It goes to sys.unraisablehook, once, unless somebody has observed it "
             "before; without this\n"
             "it does when the last reference to the task dies. A fetch raises it all "
             "the same. Not a\n"
             "suspension point.");

#define FAST(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL | METH_KEYWORDS
static PyMethodDef task_methods[] = {
    {"result", FAST(task_result), result_doc},
    {"exception", FAST(task_exception), exception_doc},
    {"done", (PyCFunction)task_done, METH_NOARGS, done_doc},
    {"running", (PyCFunction)task_running, METH_NOARGS, running_doc},
    {"cancelled", (PyCFunction)task_cancelled, METH_NOARGS, cancelled_doc},
    {"cancel", (PyCFunction)(void (*)(void))task_cancel_method,
     METH_VARARGS | METH_KEYWORDS, cancel_doc},
    {"add_done_callback", (PyCFunction)task_add_done_callback, METH_O,
     add_done_callback_doc},
    {"wait_op", operation_on_task, METH_NOARGS, wait_op_doc},
    {"schedule", task_schedule, METH_NOARGS, schedule_doc},
    {"defuse", (PyCFunction)task_defuse, METH_NOARGS, defuse_doc},
    {"report_errors", (PyCFunction)task_report_errors, METH_NOARGS, report_errors_doc},
    {"__reduce__", (PyCFunction)task_reduce, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};
#undef FAST

static PyObject *
task_get_pool(TaskObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(task_flag(self, TASK_INTERACTIVE) ? "interactive"
                                                                  : "default");
}

static PyGetSetDef task_getset[] = {
    {"state", (getter)task_get_state, NULL,
     "'pending', 'running', 'suspended', 'ready', 'done', 'failed' or 'cancelled'.",
     NULL},
    {"name", (getter)task_get_name, NULL,
     "The name given to Spawner, or one with the id.", NULL},
    {"id", (getter)task_get_id, NULL,
     "A number that no other task of this process has, in order of first asking.",
     NULL},
    {"pool", (getter)task_get_pool, NULL,
     "'default' or 'interactive': whose threads run it, see Spawner.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef task_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TaskObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot task_slots[] = {
    {Py_tp_doc, (void *)task_doc},     {Py_tp_new, spawn_new_lazy},
    {Py_tp_traverse, task_traverse},   {Py_tp_clear, task_clear},
    {Py_tp_finalize, task_finalize},   {Py_tp_dealloc, task_dealloc},
    {Py_tp_repr, task_repr},           {Py_tp_methods, task_methods},
    {Py_am_await, (void *)task_await}, {Py_tp_getset, task_getset},
    {Py_tp_members, task_members},     {0, NULL},
};

PyType_Spec task_spec = {
    .name = "taskrt.Task",
    .basicsize = offsetof(TaskObject, args),
    .itemsize = sizeof(PyObject *),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = task_slots,
};
