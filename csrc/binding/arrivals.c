/* Arrivals: tasks, taken out in the order in which they end, by one that waits.
 *
 * A step of the iteration is one of C: a signal handler raises before one is taken, or
 * after it was returned. In Python it would between the two, and that one would be
 * lost. */
#include "sync.h"

typedef struct ArrivalsObject {
    PyObject_HEAD
    uint64_t deadline_ns;
    PyObject *ended;    /* a Channel of those that were not taken; owned, constant */
    PyObject *expected; /* a dict: all not taken, each with its subscription; owned */
} ArrivalsObject;

/* The subscription's, with a weak reference: what was taken into the channel may refer
 * to the whole, which is not to stay for the end of the others. */
static void
hear_end(PyObject *ref, TaskObject *task)
{
    PyObject *const ended = trt_py_weakref_get(ref);
    if (!ended) {
        return;
    }
    trt_channel *const channel = &((ChannelObject *)ended)->channel;
    if (trt_channel_put(channel, Py_NewRef((PyObject *)task), NULL) !=
        TRT_CHANNEL_DONE) {
        Py_DECREF(task);
        PyErr_NoMemory();
        PyErr_WriteUnraisable((PyObject *)task);
    }
    Py_DECREF(ended);
}

/* Its subscription, not started. NULL with an error set. */
static SubscriptionObject *
subscribe(ArrivalsObject *self, PyObject *task)
{
    PyObject *const ref = PyWeakref_NewRef(self->ended, NULL);
    SubscriptionObject *const subscription =
        ref ? subscription_new((TaskObject *)task, ref, hear_end) : NULL;
    Py_XDECREF(ref);
    if (subscription &&
        PyDict_SetItem(self->expected, task, (PyObject *)subscription) < 0) {
        Py_DECREF(subscription);
        return NULL;
    }
    return subscription;
}

/* _add(task): expect this one too, unless it is. */
static PyObject *
arrivals_add(PyObject *op, PyObject *task)
{
    ArrivalsObject *const self = (ArrivalsObject *)op;
    if (!Py_IS_TYPE(task, core->task_type)) {
        return PyErr_Format(PyExc_TypeError, "expected a taskrt.Task, not '%.100s'",
                            Py_TYPE(task)->tp_name);
    }
    const int found = PyDict_Contains(self->expected, task);
    if (found) {
        return found < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (!task_is_finished((TaskObject *)task) && wait_begin((TaskObject *)task) < 0) {
        return NULL;
    }
    SubscriptionObject *const subscription = subscribe(self, task);
    if (!subscription) {
        return NULL;
    }
    subscription_start(subscription);
    Py_DECREF(subscription);
    Py_RETURN_NONE;
}

/* Take the next one: 1; 0: time is up; −1: error set. */
static int
take(ArrivalsObject *self, PyObject **task)
{
    Worker *const w = worker_self();
    if (!w || wait_checkpoint(w->current) < 0) {
        return -1;
    }
    if (w->base.kind == TRT_WORKER_FOREIGN) {
        wait_run_pinned(w); /* some of those that it waits for, perhaps */
    }
    Step step = {.channel = (ChannelObject *)self->ended, .what = (PyObject *)self};
    bool taken;
    const int status = choice_take_step(w, &step, task, &taken, self->deadline_ns);
    if (status > 0 && PyDict_DelItem(self->expected, *task) < 0) {
        PyErr_Clear(); /* it was closed meanwhile */
    }
    return status;
}

/* _take(): the next one, or None when time is up. A suspension point. */
static PyObject *
arrivals_take(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *task;
    const int status = take((ArrivalsObject *)self, &task);
    if (status == 0) {
        Py_RETURN_NONE;
    }
    return status < 0 ? NULL : task;
}

static PyObject *
arrivals_next(PyObject *op)
{
    ArrivalsObject *const self = (ArrivalsObject *)op;
    PyObject *task;
    if (PyDict_GET_SIZE(self->expected) == 0) {
        return NULL;
    }
    const int status = take(self, &task);
    if (status == 0) {
        PyErr_Format(PyExc_TimeoutError, "%zd tasks have not ended in time",
                     PyDict_GET_SIZE(self->expected));
    }
    return status > 0 ? task : NULL;
}

/* 0, or −1 with an error set and nothing done. */
static int
close_all(ArrivalsObject *self)
{
    PyObject *const expected = self->expected;
    if (!expected || PyDict_GET_SIZE(expected) == 0) {
        return 0;
    }
    PyObject *const nothing = PyDict_New();
    if (!nothing) {
        return -1;
    }
    self->expected = nothing; /* a cancel may run callbacks of others */
    PyObject *task, *subscription;
    Py_ssize_t place = 0;
    while (PyDict_Next(expected, &place, &task, &subscription)) {
        subscription_cancel((SubscriptionObject *)subscription);
    }
    Py_DECREF(expected);
    return 0;
}

/* _close(): expect nothing, and leave nothing behind at tasks that have not ended. */
static PyObject *
arrivals_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return close_all((ArrivalsObject *)self) < 0 ? NULL : Py_NewRef(Py_None);
}

/* For reports: what one waits for. */
static PyObject *
arrivals_repr(ArrivalsObject *self)
{
    PyObject *const tasks = PyDict_Keys(self->expected);
    PyObject *const repr = tasks ? PyUnicode_FromFormat("one of %R", tasks) : NULL;
    Py_XDECREF(tasks);
    return repr;
}

/* ---- life of the object ---------------------------------------------------------- */

static PyObject *
arrivals_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    ArrivalsObject *const self = (ArrivalsObject *)type->tp_alloc(type, 0);
    if (!self) {
        return NULL;
    }
    self->deadline_ns = TRT_FOREVER;
    self->ended = PyObject_CallOneArg((PyObject *)core->channel_type, Py_None);
    self->expected = PyDict_New();
    if (!self->ended || !self->expected) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* _Arrivals(timeout): the seconds begin now. */
static int
arrivals_init(PyObject *self, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    PyObject *timeout;
    return PyArg_UnpackTuple(args, "_Arrivals", 1, 1, &timeout)
               ? wait_deadline(timeout, &((ArrivalsObject *)self)->deadline_ns)
               : -1;
}

static int
arrivals_traverse(ArrivalsObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->ended);
    Py_VISIT(self->expected);
    return 0;
}

static void
arrivals_finalize(PyObject *self)
{
    PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    if (close_all((ArrivalsObject *)self) < 0) {
        PyErr_Clear(); /* what is left ends with the tasks */
    }
    if (error) {
        trt_py_set_error(error);
    }
}

/* No tp_clear, like a tuple: the channel and the dict have one. */
static void
arrivals_dealloc(ArrivalsObject *self)
{
    if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
        return;
    }
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->expected);
    Py_CLEAR(self->ended);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef arrivals_methods[] = {
    {"_add", arrivals_add, METH_O, NULL},
    {"_take", arrivals_take, METH_NOARGS, NULL},
    {"_close", arrivals_close, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot arrivals_slots[] = {
    {Py_tp_new, arrivals_new},           {Py_tp_init, arrivals_init},
    {Py_tp_iter, PyObject_SelfIter},     {Py_tp_iternext, arrivals_next},
    {Py_tp_repr, arrivals_repr},         {Py_tp_methods, arrivals_methods},
    {Py_tp_traverse, arrivals_traverse}, {Py_tp_finalize, arrivals_finalize},
    {Py_tp_dealloc, arrivals_dealloc},   {0, NULL},
};

PyType_Spec arrivals_spec = {
    .name = "taskrt._core._Arrivals",
    .basicsize = sizeof(ArrivalsObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = arrivals_slots,
};
