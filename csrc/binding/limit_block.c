/* The block of a limit: entering it and leaving it. */
#include "core.h"

#include <stdlib.h>

static PyObject *
limit_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"n", NULL};
    PyObject *n;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:limit", keywords, &n)) {
        return NULL;
    }
    if (!PyIndex_Check(n) || PyBool_Check(n)) {
        return PyErr_Format(PyExc_TypeError,
                            "limit() takes a number of tasks, not '%.100s'",
                            Py_TYPE(n)->tp_name);
    }
    const Py_ssize_t most = PyNumber_AsSsize_t(n, NULL);
    if (most < 1) {
        return PyErr_Format(PyExc_ValueError,
                            "limit() must leave 1 task at least, not %S", n);
    }
    LimitObject *const self = (LimitObject *)type->tp_alloc(type, 0);
    if (self) {
        self->most = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    }
    return (PyObject *)self;
}

static void
unlink_limit(LimitObject *self)
{
    trt_mutex_lock(&core->limits);
    if (self->generation == trt_load_relaxed(&core->generation)) {
        *(self->previous ? &self->previous->next : &core->all_limits) = self->next;
        if (self->next) {
            self->next->previous = self->previous;
        }
    }
    trt_mutex_unlock(&core->limits);
}

static void
limit_dealloc(LimitObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    if (trt_load_relaxed(&self->entered)) {
        unlink_limit(self);
    }
    Py_XDECREF((PyObject *)self->parent);
    free(self->tasks);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Let what was in force around it be so again. 0; or −1 with an error that came while
 * the fiber waited for a place there. */
static int
leave_block(Fiber *fiber, LimitObject *self)
{
    int status = 0;
    fiber->limit = self->parent;
    self->fiber = NULL;
    if (fiber->held == self) {
        status = limit_rejoin(fiber, self->outer_held);
    }
    Py_DECREF(self);
    return status;
}

static void
link_limit(LimitObject *self)
{
    self->generation = trt_load_relaxed(&core->generation);
    trt_mutex_lock(&core->limits);
    self->previous = NULL;
    self->next = core->all_limits;
    if (self->next) {
        self->next->previous = self;
    }
    core->all_limits = self;
    trt_mutex_unlock(&core->limits);
}

int
limit_put_in_force(LimitObject *self)
{
    if (trt_exchange_seq_cst(&self->entered, 1)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a limit can be entered once: make a new one");
        return -1;
    }
    const Worker *const w = worker_current;
    self->parent = (LimitObject *)Py_XNewRef(w ? (PyObject *)w->current->limit : NULL);
    const LimitObject *const around = limit_in_force(self->parent);
    self->idle = around && around->most <= self->most;
    link_limit(self);
    return 0;
}

void
limit_enter_process(LimitObject *self)
{
    for (LimitObject *limit = self; limit; limit = limit->parent) {
        if (limit->generation != trt_load_relaxed(&core->generation)) {
            limit->running = limit->stacks = 0;
            limit->count = 0; /* the parent's tasks, which nobody frees here */
            link_limit(limit);
        }
    }
}

static PyObject *
limit_enter(LimitObject *self, PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    if (limit_put_in_force(self) < 0) {
        return NULL;
    }
    Fiber *const fiber = w->current;
    self->fiber = fiber;
    fiber->limit = (LimitObject *)Py_NewRef((PyObject *)self);
    self->outer_held = fiber->held;
    /* A handler in the middle of a wait, which has given up its places, runs without
     * any. */
    const bool is_handler = self->parent && !fiber->held;
    if (!is_handler && !self->idle && limit_rejoin(fiber, self) < 0) {
        leave_block(fiber, self);
        return NULL;
    }
    return Py_NewRef((PyObject *)self);
}

static PyObject *
limit_exit(LimitObject *self, PyObject *const *Py_UNUSED(args),
           Py_ssize_t Py_UNUSED(nargs))
{
    Worker *const w = worker_current;
    if (self->fiber && self->generation != trt_load_relaxed(&core->generation)) {
        Py_RETURN_FALSE; /* in a fork's child, where no limit is in force */
    }
    if (!self->fiber || !w || w->current != self->fiber || w->current->limit != self) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "a limit is left by the task that has entered it, the innermost "
            "first; do not yield inside of one in a generator");
        return NULL;
    }
    return leave_block(w->current, self) < 0 ? NULL : Py_NewRef(Py_False);
}

static PyObject *
limit_repr(LimitObject *self)
{
    return PyUnicode_FromFormat("limit(%u)", (unsigned)self->most);
}

static PyObject *
limit_get_n(LimitObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(self->most);
}

PyDoc_STRVAR(
    limit_doc,
    "limit(n)\n--\n\n"
    "A block of whose tasks at most n run at a time: with limit(n).\n\n"
    "n  1 or more; beyond the number of threads it changes nothing\n\n"
    "Counts the task or thread that has entered the block, as long as it runs, and all "
    "tasks\n"
    "spawned inside: by the block, by what it calls, and by those tasks, also once the "
    "block is\n"
    "left. Who waits in a call of taskrt does not count, and goes on when there is a "
    "place again;\n"
    "other calls that block do. A task that is fetched before it has started may run "
    "on "
    "the place\n"
    "of the one that fetches it. Within another limit both hold, so the smaller one "
    "decides.\n\n"
    "No thread waits for a place while there is something else to run. With limit(1) "
    "what is\n"
    "spawned inside never runs at the same time as another part of it, for code that "
    "must not;\n"
    "between two waits of one task nothing else of it runs. Calls of run_blocking(), "
    "native tasks\n"
    "and what an event loop runs do not count.\n\n"
    "Entered once, by tasks and any thread; to enter and to leave it is a suspension "
    "point only if\n"
    "there is no place. Raises TypeError or ValueError for other numbers. Source: "
    "oneTBB's\n"
    "task_arena.");

static PyMethodDef limit_methods[] = {
    {"__enter__", (PyCFunction)(void (*)(void))limit_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))limit_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef limit_getset[] = {
    {"n", (getter)limit_get_n, NULL, "As given.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot limit_slots[] = {
    {Py_tp_doc, (void *)limit_doc},
    {Py_tp_new, limit_new},
    {Py_tp_methods, limit_methods},
    {Py_tp_getset, limit_getset},
    {Py_tp_repr, limit_repr},
    {Py_tp_dealloc, limit_dealloc},
    {0, NULL},
};

PyType_Spec limit_spec = {
    .name = "taskrt.limit",
    .basicsize = sizeof(LimitObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = limit_slots,
};
