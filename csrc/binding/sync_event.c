/* Event, which is set for all or for one at a time, and sleep(), a wait for nothing. */
#include "sync.h"

/* ---- what Waiter has too --------------------------------------------------------- */

PyObject *
event_make(PyTypeObject *type, bool autoreset)
{
    EventObject *const self = (EventObject *)type->tp_alloc(type, 0);
    if (self) {
        trt_event_init(&self->event, autoreset);
    }
    return (PyObject *)self;
}

void
event_dealloc(EventObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    if (self->weakrefs) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    trt_event_destroy(&self->event);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMemberDef event_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(EventObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* ---- Event ----------------------------------------------------------------------- */

static PyObject *
event_wait(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    uint64_t deadline;
    Worker *const w = worker_self();
    if (!w || wait_timeout_argument("wait", 0, args, nargs, kwnames, &deadline) < 0) {
        return NULL;
    }
    const int status =
        sync_wait_for_event(w, op, &((EventObject *)op)->event, deadline);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

/* _wait(timeout, what): wait() for something that is made of this, for reports. */
static PyObject *
event_wait_as(PyObject *op, PyObject *args)
{
    PyObject *timeout, *what;
    uint64_t deadline;
    Worker *const w = worker_self();
    if (!w || !PyArg_UnpackTuple(args, "_wait", 2, 2, &timeout, &what) ||
        wait_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    const int status =
        sync_wait_for_event(w, what, &((EventObject *)op)->event, deadline);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

static PyObject *
event_is_set(EventObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(trt_event_is_set(&self->event));
}

static PyObject *
event_set(EventObject *self, PyObject *Py_UNUSED(ignored))
{
    trt_event_set(&self->event);
    Py_RETURN_NONE;
}

static PyObject *
event_clear(EventObject *self, PyObject *Py_UNUSED(ignored))
{
    trt_event_clear(&self->event);
    Py_RETURN_NONE;
}

static PyObject *
event_wait_op(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return operation_on_event(op, &((EventObject *)op)->event);
}

static PyObject *
event_statistics(EventObject *self, PyObject *Py_UNUSED(ignored))
{
    return sync_statistics("EventStatistics", "(Nn)",
                           PyBool_FromLong(trt_event_is_set(&self->event)),
                           (Py_ssize_t)trt_event_waiting(&self->event));
}

static PyObject *
event_repr(EventObject *self)
{
    return PyUnicode_FromFormat("<%s at %p: %s>", Py_TYPE(self)->tp_name, self,
                                trt_event_is_set(&self->event) ? "set" : "unset");
}

static PyObject *
event_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"autoreset", NULL};
    int autoreset = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:Event", keywords, &autoreset)) {
        return NULL;
    }
    return event_make(type, autoreset);
}

PyDoc_STRVAR(
    event_doc,
    "Event(autoreset=False)\n--\n\n"
    "A flag that tasks and threads wait for; a threading.Event that parks the task.\n\n"
    "With autoreset each set() lets one go on, the one that waits longest, or the next "
    "to\n"
    "come if nobody waits; setting it again before that changes nothing. May be set "
    "from any\n"
    "thread, and from a signal handler.\n\n"
    ">>> from taskrt import Event, spawn\n"
    ">>> ready = Event()\n"
    ">>> task = spawn(ready.set)\n"
    ">>> ready.wait()\n"
    "True");
PyDoc_STRVAR(
    event_wait_doc,
    "wait($self, /, timeout=None)\n--\n\n"
    "Wait until the flag is set; return whether it was, before timeout seconds "
    "were over.\n\n"
    "Raises Cancelled. A suspension point and a checkpoint.");
PyDoc_STRVAR(
    event_wait_op_doc,
    "wait_op($self, /)\n--\n\n"
    "Return the operation wait() for select(), which may be used again and again.");
PyDoc_STRVAR(event_is_set_doc,
             "is_set($self, /)\n--\n\nReturn whether the flag is set.");
PyDoc_STRVAR(event_set_doc,
             "set($self, /)\n--\n\n"
             "Set the flag, and let those go on that wait. Not a suspension point.");
PyDoc_STRVAR(event_clear_doc,
             "clear($self, /)\n--\n\nUnset the flag. Not a suspension point.");

PyDoc_STRVAR(event_statistics_doc,
             "statistics($self, /)\n--\n\n"
             "Return a taskrt.statistics.EventStatistics. Not a suspension point.");

static PyMethodDef event_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))event_wait, METH_FASTCALL | METH_KEYWORDS,
     event_wait_doc},
    {"_wait", event_wait_as, METH_VARARGS, NULL},
    {"wait_op", event_wait_op, METH_NOARGS, event_wait_op_doc},
    {"is_set", (PyCFunction)event_is_set, METH_NOARGS, event_is_set_doc},
    {"set", (PyCFunction)event_set, METH_NOARGS, event_set_doc},
    {"clear", (PyCFunction)event_clear, METH_NOARGS, event_clear_doc},
    {"statistics", (PyCFunction)event_statistics, METH_NOARGS, event_statistics_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot event_slots[] = {
    {Py_tp_doc, (void *)event_doc},
    {Py_tp_new, event_new},
    {Py_tp_dealloc, event_dealloc},
    {Py_tp_repr, event_repr},
    {Py_tp_methods, event_methods},
    {Py_tp_members, event_members},
    {0, NULL},
};

PyType_Spec event_spec = {
    .name = "taskrt.Event",
    .basicsize = sizeof(EventObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = event_slots,
};

/* ---- sleep() --------------------------------------------------------------------- */

static bool
sleep_enter(Awaited *Py_UNUSED(self), Wait *Py_UNUSED(wait))
{
    return true;
}

static void
sleep_leave(Awaited *Py_UNUSED(self), Wait *wait)
{
    free(wait);
}

int
sleep_seconds(const char *who, PyObject *seconds, double *value)
{
    uint64_t deadline;
    if (seconds == Py_None || wait_deadline(seconds, &deadline) < 0) {
        if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "%s takes a number of seconds, not '%.100s'",
                         who, Py_TYPE(seconds)->tp_name);
        }
        return -1;
    }
    *value = PyFloat_AsDouble(seconds);
    if (*value < 0) {
        PyErr_SetString(PyExc_ValueError, "sleep length must be non-negative");
        return -1;
    }
    return 0;
}

PyObject *
core_sleep(PyObject *module, PyObject *seconds)
{
    uint64_t deadline;
    double value;
    if (sleep_seconds("sleep()", seconds, &value) < 0 ||
        wait_deadline(seconds, &deadline) < 0) {
        return NULL;
    }
    if (value == 0) {
        PyObject *const yielded = core_yield_now(module, NULL);
        Py_XDECREF(yielded);
        return yielded ? Py_NewRef(Py_None) : NULL;
    }
    Worker *const w = worker_self();
    if (!w || wait_checkpoint(w->current) < 0) {
        return NULL;
    }
    Awaited nothing = {.enter = sleep_enter, .leave = sleep_leave};
    int status;
    do {
        status = wait_once(w, &nothing, deadline);
    } while (status == 2);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}
