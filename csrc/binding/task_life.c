/* The life of a Task object: made by a spawn, seen by the collector, freed. */
#include "core.h"

/* ---- birth ----------------------------------------------------------------------- */

TaskObject *
task_new(PyObject *fn, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    const Py_ssize_t total = nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    TaskObject *const task = PyObject_GC_NewVar(TaskObject, core->task_type, total);
    if (!task) {
        return NULL;
    }
    trt_task_init(&task->base, 0);
    task->fn = Py_NewRef(fn);
    task->kwnames = Py_XNewRef(kwnames);
    task->context = NULL;
    task->scope = NULL;
    task->limit = NULL;
    task->entered = NULL;
    task->result = NULL;
    task->traceback = NULL;
    task->name = NULL;
    task->site = NULL;
    task->locals = NULL;
    task->weakrefs = NULL;
    trt_store_relaxed(&task->message, NULL);
    trt_store_relaxed(&task->pinned_to, NULL);
    trt_store_relaxed(&task->fiber, NULL);
    trt_store_relaxed(&task->id, 0);
    task->lineage.generation = trt_load_relaxed(&core->generation);
    task->scratch = NULL;
    for (Py_ssize_t i = 0; i < total; i++) {
        task->args[i] = Py_NewRef(args[i]);
    }
    /* No context at all is the common case and stays one: the task then runs in none.
     */
    if (PyThreadState_Get()->context) {
        task->context = PyContext_CopyCurrent();
        if (!task->context) {
            Py_DECREF(task);
            return NULL;
        }
    }
    return task;
}

/* ---- what the collector asks ----------------------------------------------------- */

/* Whether nobody can run it yet. */
static bool
is_unscheduled(const TaskObject *self)
{
    return task_flag(self, TASK_LAZY) && !task_flag(self, TASK_RELEASED);
}

int
task_traverse(TaskObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    if (task_is_finished(self)) {
        Py_VISIT(self->result);
        Py_VISIT(self->traceback);
    } else if (is_unscheduled(self)) {
        Py_VISIT(self->fn);
        Py_VISIT(self->context);
        for (Py_ssize_t i = Py_SIZE(self); i-- > 0;) {
            Py_VISIT(self->args[i]);
        }
    }
    return 0;
}

int
task_clear(TaskObject *self)
{
    if (task_is_finished(self)) {
        /* The outcome of a task that is garbage: nobody can ask for it any more. */
        trt_task_set_flags(&self->base, TRT_TASK_OBSERVED);
        PyObject *const none = self->result ? Py_NewRef(Py_None) : NULL;
        Py_XSETREF(self->result, none);
        Py_CLEAR(self->traceback);
    } else if (is_unscheduled(self)) {
        (void)spawn_release(self); /* never to run */
        Py_CLEAR(self->fn);
        Py_CLEAR(self->context);
        for (Py_ssize_t i = Py_SIZE(self); i-- > 0;) {
            Py_CLEAR(self->args[i]);
        }
    }
    return 0;
}

void
task_finalize(PyObject *op)
{
    TaskObject *const self = (TaskObject *)op;
    if (trt_task_get_state(&self->base) == TRT_TASK_FAILED &&
        !task_flag(self, TRT_TASK_OBSERVED | TASK_QUIET)) {
        PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
        task_report(self);
        if (error) {
            trt_py_set_error(error);
        }
    }
}

/* ---- death ----------------------------------------------------------------------- */

static void
dealloc_slow(TaskObject *self)
{
    if (trt_task_get_state(&self->base) == TRT_TASK_FAILED) {
        if (!PyObject_GC_IsTracked((PyObject *)self)) {
            PyObject_GC_Track(self);
        }
        if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
            return;
        }
    }
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, task_dealloc) if (self->weakrefs)
    {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    Py_CLEAR(self->fn);
    Py_CLEAR(self->kwnames);
    Py_CLEAR(self->context);
    Py_CLEAR(self->scope);
    Py_CLEAR(self->limit);
    if (task_is_finished(self)) {
        Py_CLEAR(self->result);
    }
    Py_CLEAR(self->traceback);
    Py_CLEAR(self->name);
    Py_CLEAR(self->site);
    Py_CLEAR(self->locals);
    Py_XDECREF(trt_load_relaxed(&self->message));
    for (Py_ssize_t i = Py_SIZE(self); i-- > 0;) {
        Py_CLEAR(self->args[i]);
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* Whether a task has returned a value that cannot be part of a cycle, and nothing rare
 * has happened to it, so that there is nothing else to drop: see drop_call() for what
 * is gone by then. The collector has not seen it. */
static inline bool
has_value_only(TaskObject *self)
{
    const uint32_t harmless = TASK_FOREIGN;
    return trt_task_get_state(&self->base) == TRT_TASK_DONE &&
           !task_flag(self, ~harmless) &&
           !PyType_HasFeature(Py_TYPE(self->result), Py_TPFLAGS_HAVE_GC) &&
           !self->weakrefs && !self->name && !self->scope && !self->limit &&
           !self->site && !trt_load_relaxed(&self->message);
}

void
task_dealloc(TaskObject *self)
{
    if (!has_value_only(self)) {
        dealloc_slow(self);
        return;
    }
    PyTypeObject *const type = Py_TYPE(self);
    PyObject *const value = self->result;
    PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_DECREF(value);
}
