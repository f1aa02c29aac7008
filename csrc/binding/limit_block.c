/* The blocks limit(n) and isolated(): entering them and leaving them. */
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

static PyObject *
isolated_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":isolated", keywords)) {
        return NULL;
    }
    LimitObject *const self = (LimitObject *)type->tp_alloc(type, 0);
    if (self) {
        self->most = UINT32_MAX;
        self->isolates = true;
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
    if (self->isolates) {
        isolation_end(fiber->worker, self);
    }
    self->fiber = NULL;
    if (fiber->held == self) {
        status = limit_rejoin(fiber, self->outer_held);
    }
    Py_DECREF(self);
    return status;
}

/* The nearest around that counts places, and is not idle. */
static const LimitObject *
bound_around(const LimitObject *limit)
{
    while (limit && (limit->isolates || trt_load_relaxed(&limit->idle))) {
        limit = limit->parent;
    }
    return limit;
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
        PyErr_Format(PyExc_RuntimeError, "%s can be entered once: make a new one",
                     self->isolates ? "an isolated block" : "a limit");
        return -1;
    }
    const Worker *const w = worker_current;
    LimitObject *parent = w ? w->current->limit : NULL;
    while (parent && parent->isolates && trt_load_relaxed(&parent->idle)) {
        parent = parent->parent; /* left meanwhile: it would only make chains longer */
    }
    self->parent = (LimitObject *)Py_XNewRef((PyObject *)parent);
    const LimitObject *const around = bound_around(self->parent);
    trt_store_relaxed(&self->idle,
                      !self->isolates && around && around->most <= self->most);
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
    if (self->isolates) {
        isolation_begin(w, self);
    }
    if (!is_handler && !trt_load_relaxed(&self->idle) &&
        limit_rejoin(fiber, self) < 0) {
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
        PyErr_Format(PyExc_RuntimeError,
                     "%s is left by the task that has entered it, the innermost "
                     "first; do not yield inside of one in a generator",
                     self->isolates ? "an isolated block" : "a limit");
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

PyDoc_STRVAR(
    isolated_doc,
    "isolated()\n--\n\n"
    "A block in which this thread runs nothing from outside: with isolated().\n\n"
    "A task that waits lets others run on its thread. Code that must not be met there "
    "in "
    "the\n"
    "middle of what it does, since it holds a lock of the operating system or of a "
    "native\n"
    "library, or has put something into a thread-local place, waits in such a block. "
    "The "
    "thread\n"
    "then runs only tasks that were spawned inside, by the block, by what it calls and "
    "by "
    "those\n"
    "tasks: it starts the one that it fetches, if nobody has, and otherwise sleeps. "
    "Where "
    "it could\n"
    "have run others, another thread comes in after 100 us, as in blocking(): the "
    "number "
    "of threads\n"
    "that run stays the same.\n\n"
    "Other tasks that have begun on this thread, what is pinned to it and its timers "
    "go on "
    "when the\n"
    "block is left: to wait for one of them never ends, and raises DeadlockError where "
    "that can be\n"
    "seen. Tasks that this thread does not start, and those spawned inside that others "
    "have stolen,\n"
    "run elsewhere as ever. Handlers and finalizers run as in any code; after Ctrl-C "
    "the "
    "main\n"
    "thread's own code goes on before a block of a task on that thread.\n\n"
    "Takes no argument. Entered once, by tasks and any thread, within others and "
    "within "
    "limit(); to\n"
    "enter and to leave it is no suspension point. Raises RuntimeError if it is "
    "entered "
    "again, or\n"
    "left by another task. Source: oneTBB's this_task_arena::isolate.");

static PyObject *
isolated_repr(LimitObject *Py_UNUSED(self))
{
    return PyUnicode_FromString("isolated()");
}

static PyType_Slot isolated_slots[] = {
    {Py_tp_doc, (void *)isolated_doc}, {Py_tp_new, isolated_new},
    {Py_tp_methods, limit_methods},    {Py_tp_repr, isolated_repr},
    {Py_tp_dealloc, limit_dealloc},    {0, NULL},
};

PyType_Spec isolated_spec = {
    .name = "taskrt.isolated",
    .basicsize = sizeof(LimitObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = isolated_slots,
};
