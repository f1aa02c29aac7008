/* Waiter, the smallest thing to wait with: one parks, somebody wakes it. */
#include "sync.h"

typedef struct WaiterObject {
    EventObject base;       /* resets itself: set is the token */
    _Atomic(bool) occupied; /* somebody is in park(); by its thread */
} WaiterObject;

static PyObject *
park_until(Worker *w, WaiterObject *self, uint64_t deadline, PyObject *what)
{
    if (trt_exchange_relaxed(&self->occupied, true)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "somebody parks on this Waiter already: it is for one at a "
                        "time, give each its own");
        return NULL;
    }
    const int status = sync_wait_for_event(w, what, &self->base.event, deadline);
    trt_store_relaxed(&self->occupied, false);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

static PyObject *
waiter_park(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    uint64_t deadline;
    Worker *const w = worker_self();
    if (!w || wait_timeout_argument("park", 0, args, nargs, kwnames, &deadline) < 0) {
        return NULL;
    }
    return park_until(w, (WaiterObject *)op, deadline, op);
}

/* _park(timeout, what): park() for something that is made of this, for reports. */
static PyObject *
waiter_park_as(PyObject *op, PyObject *args)
{
    PyObject *timeout, *what;
    uint64_t deadline;
    Worker *const w = worker_self();
    if (!w || !PyArg_UnpackTuple(args, "_park", 2, 2, &timeout, &what) ||
        wait_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    return park_until(w, (WaiterObject *)op, deadline, what);
}

int
waiter_wake(PyObject *op)
{
    if (!Py_IS_TYPE(op, core->waiter_type)) {
        return -1;
    }
    return trt_event_set(&((EventObject *)op)->event) == TRT_EVENT_WOKE;
}

static PyObject *
waiter_wake_method(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(waiter_wake(op));
}

static PyObject *
waiter_statistics(WaiterObject *self, PyObject *Py_UNUSED(ignored))
{
    return sync_statistics("WaiterStatistics", "(Nn)",
                           PyBool_FromLong(trt_event_is_set(&self->base.event)),
                           (Py_ssize_t)trt_event_waiting(&self->base.event));
}

static PyObject *
waiter_repr(WaiterObject *self)
{
    const char *const state = trt_event_is_set(&self->base.event) ? "token"
                              : trt_load_relaxed(&self->occupied) ? "parked"
                                                                  : "empty";
    return PyUnicode_FromFormat("<%s at %p: %s>", Py_TYPE(self)->tp_name, self, state);
}

static PyObject *
waiter_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) > 0 || (kwargs && PyDict_GET_SIZE(kwargs) > 0)) {
        return PyErr_Format(PyExc_TypeError, "%s() takes no arguments", type->tp_name);
    }
    WaiterObject *const self = (WaiterObject *)event_make(type, true);
    if (self) {
        atomic_init(&self->occupied, false);
    }
    return (PyObject *)self;
}

PyDoc_STRVAR(
    waiter_doc,
    "Waiter()\n--\n\n"
    "What primitives are made of: one task or thread parks, anybody wakes it.\n\n"
    "A wake() that comes while nobody parks leaves a token, and the next park() takes "
    "it and\n"
    "returns at once. There is one token at most. Source: java.util.concurrent's "
    "LockSupport.\n\n"
    ">>> from taskrt import Waiter, fetch, spawn\n"
    ">>> waiter = Waiter()\n"
    ">>> task = spawn(waiter.park)\n"
    ">>> woken = waiter.wake()\n"
    ">>> fetch(task)\n"
    "True");
PyDoc_STRVAR(
    waiter_park_doc,
    "park($self, /, timeout=None)\n--\n\n"
    "Wait for a wake() or its token, and use it up; return False if timeout seconds "
    "were over\n"
    "first, None for no limit.\n\n"
    "Never returns without a reason. If it raises, a token that was there is there "
    "still.\n"
    "Raises RuntimeError while somebody else parks here; Cancelled. Any task or "
    "thread. A\n"
    "suspension point and a checkpoint.");
PyDoc_STRVAR(
    waiter_wake_doc,
    "wake($self, /)\n--\n\n"
    "Let the one that parks go on, or the next to come; return whether one did "
    "park.\n\n"
    "After True that park() returns True. After False there is a token. May be called "
    "from any\n"
    "task, thread or signal handler, and by C code as trt_wake of taskrt.h. Not a "
    "suspension\n"
    "point.");

PyDoc_STRVAR(waiter_statistics_doc,
             "statistics($self, /)\n--\n\n"
             "Return a taskrt.statistics.WaiterStatistics. Not a suspension point.");

static PyMethodDef waiter_methods[] = {
    {"park", (PyCFunction)(void (*)(void))waiter_park, METH_FASTCALL | METH_KEYWORDS,
     waiter_park_doc},
    {"_park", waiter_park_as, METH_VARARGS, NULL},
    {"wake", waiter_wake_method, METH_NOARGS, waiter_wake_doc},
    {"statistics", (PyCFunction)waiter_statistics, METH_NOARGS, waiter_statistics_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot waiter_slots[] = {
    {Py_tp_doc, (void *)waiter_doc},
    {Py_tp_new, waiter_new},
    {Py_tp_dealloc, event_dealloc},
    {Py_tp_repr, waiter_repr},
    {Py_tp_methods, waiter_methods},
    {Py_tp_members, event_members},
    {0, NULL},
};

PyType_Spec waiter_spec = {
    .name = "taskrt.Waiter",
    .basicsize = sizeof(WaiterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = waiter_slots,
};
