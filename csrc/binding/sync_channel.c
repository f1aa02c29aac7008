/* Channel: items that go from one task or thread to another. */
#include "sync.h"

#include <structmember.h>

#include <math.h>
#include <stddef.h>

/* ---- the end --------------------------------------------------------------------- */

/* The exception that a closed channel passes on, borrowed, or NULL. */
static PyObject *
error_of(PyObject *reason)
{
    if (!reason || reason == Py_None) {
        return NULL;
    }
    if (PyTuple_Check(reason)) {
        return PyTuple_GET_ITEM(reason, 0);
    }
    TaskObject *const task = (TaskObject *)reason;
    if (trt_task_get_state(&task->base) != TRT_TASK_FAILED) {
        return NULL; /* cancelled: whoever asks gets an error of its own */
    }
    trt_task_set_flags(&task->base, TRT_TASK_OBSERVED);
    return task->result;
}

static void
raise_reason(PyObject *reason)
{
    if (!PyTuple_Check(reason)) {
        PyObject *const value = task_outcome((TaskObject *)reason);
        TRT_ASSERT(!value);
        (void)value;
        return;
    }
    /* As it was, or it would grow with each that raises it. */
    PyObject *const error = PyTuple_GET_ITEM(reason, 0);
    PyException_SetTraceback(error, PyTuple_GET_ITEM(reason, 1));
    trt_py_set_error(Py_NewRef(error));
}

void
channel_raise_closed(ChannelObject *self, bool is_put)
{
    PyObject *const reason = trt_load_acquire(&self->reason); /* [close-reason] */
    if (!is_put && reason && reason != Py_None) {
        raise_reason(reason);
        return;
    }
    PyObject *const error = PyObject_CallFunction(
        core->channel_closed, "sO",
        is_put ? "cannot put into this channel: it was closed"
               : "nothing more to get from this channel: it was closed and is empty",
        self);
    if (!error) {
        return;
    }
    PyObject *const cause = error_of(reason);
    if (cause) {
        PyException_SetCause(error, Py_NewRef(cause));
    }
    trt_py_set_error(error);
}

/* Leave nothing at tasks that have not ended: their ends change nothing any more. */
static void
drop_bindings(ChannelObject *self)
{
    subscription_cancel_list(
        trt_exchange_acq_rel(&self->bindings, NULL)); /* [channel-bindings] */
}

/* Close the channel for this reason, unless it has been closed. Steals the reason. */
static void
close_for(ChannelObject *self, PyObject *reason)
{
    PyObject *none = NULL;
    if (!trt_cas_acq_rel(&self->reason, &none, reason)) { /* [close-reason] */
        Py_DECREF(reason);
    }
    trt_channel_close(&self->channel);
    drop_bindings(self);
}

static PyObject *
channel_close(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"error", NULL};
    PyObject *error = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:close", keywords, &error)) {
        return NULL;
    }
    PyObject *reason = NULL;
    if (error == Py_None) {
        reason = Py_NewRef(Py_None);
    } else if (PyExceptionInstance_Check(error)) {
        PyObject *const traceback = PyException_GetTraceback(error);
        reason = PyTuple_Pack(2, error, traceback ? traceback : Py_None);
        Py_XDECREF(traceback);
    } else {
        PyErr_Format(PyExc_TypeError,
                     "close() takes an exception or None, not '%.100s'; a type of "
                     "exceptions has to be called first",
                     Py_TYPE(error)->tp_name);
    }
    if (!reason) {
        return NULL;
    }
    close_for((ChannelObject *)self, reason);
    Py_RETURN_NONE;
}

/* The subscription's, with a weak reference: a channel that is dropped does not stay
 * for the end of a task. */
static void
hear_end(PyObject *ref, TaskObject *task)
{
    PyObject *const self = trt_py_weakref_get(ref);
    if (self) {
        const bool done = trt_task_get_state(&task->base) == TRT_TASK_DONE;
        close_for((ChannelObject *)self, Py_NewRef(done ? Py_None : (PyObject *)task));
        Py_DECREF(self);
    }
}

static PyObject *
channel_bind(PyObject *op, PyObject *task)
{
    ChannelObject *const self = (ChannelObject *)op;
    if (!Py_IS_TYPE(task, core->task_type)) {
        return PyErr_Format(PyExc_TypeError, "bind() takes a taskrt.Task, not '%.100s'",
                            Py_TYPE(task)->tp_name);
    }
    PyObject *const ref = PyWeakref_NewRef(op, NULL);
    SubscriptionObject *const binding =
        ref ? subscription_new((TaskObject *)task, ref, hear_end) : NULL;
    Py_XDECREF(ref);
    if (!binding) {
        return NULL;
    }
    subscription_start(binding);
    binding->next = trt_load_relaxed(&self->bindings);
    while (!trt_cas_acq_rel(&self->bindings, &binding->next, binding)) {
        /* [channel-bindings] before the look whether it is closed */
    }
    if (trt_load_acquire(&self->reason)) { /* [close-reason] */
        drop_bindings(self);
    }
    Py_RETURN_NONE;
}

/* ---- putting and getting --------------------------------------------------------- */

void
sync_raise_unable(PyObject *error, uint64_t deadline_ns, const char *text)
{
    if (deadline_ns == SYNC_NOW) {
        PyErr_SetNone(error);
    } else {
        PyErr_SetString(error, text);
    }
}

static PyObject *
put_until(Worker *w, PyObject *self, PyObject *item, uint64_t deadline)
{
    Step step = {.channel = (ChannelObject *)self, .item = item};
    PyObject *nothing;
    bool taken;
    const int status = choice_take_step(w, &step, &nothing, &taken, deadline);
    if (status == 0) {
        sync_raise_unable(core->queue_full, deadline, "there was no room in time");
    }
    return status > 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
get_until(Worker *w, PyObject *self, uint64_t deadline)
{
    Step step = {.channel = (ChannelObject *)self};
    PyObject *item;
    bool taken;
    const int status = choice_take_step(w, &step, &item, &taken, deadline);
    if (status == 0) {
        sync_raise_unable(core->queue_empty, deadline, "nothing came in time");
    }
    return status > 0 ? item : NULL;
}

static PyObject *
channel_put(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    uint64_t deadline;
    Worker *const w = worker_self();
    if (nargs < 1) {
        return PyErr_Format(PyExc_TypeError,
                            "put() takes an item and perhaps a timeout (%zd arguments "
                            "given by position)",
                            nargs);
    }
    if (!w ||
        wait_timeout_argument("put", 1, args + 1, nargs - 1, kwnames, &deadline) ||
        wait_checkpoint(w->current) < 0) {
        return NULL;
    }
    return put_until(w, self, args[0], deadline);
}

static PyObject *
channel_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    uint64_t deadline;
    Worker *const w = worker_self();
    if (!w || wait_timeout_argument("get", 0, args, nargs, kwnames, &deadline) < 0 ||
        wait_checkpoint(w->current) < 0) {
        return NULL;
    }
    return get_until(w, self, deadline);
}

static PyObject *
channel_put_nowait(PyObject *self, PyObject *item)
{
    Worker *const w = worker_self();
    return w ? put_until(w, self, item, SYNC_NOW) : NULL;
}

static PyObject *
channel_get_nowait(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    return w ? get_until(w, self, SYNC_NOW) : NULL;
}

static PyObject *
channel_next(PyObject *self)
{
    Worker *const w = worker_self();
    if (!w || wait_checkpoint(w->current) < 0) {
        return NULL;
    }
    PyObject *const item = get_until(w, self, TRT_FOREVER);
    if (!item && PyErr_ExceptionMatches(core->channel_closed) &&
        trt_load_acquire(&((ChannelObject *)self)->reason) == Py_None) {
        PyErr_Clear(); /* [close-reason] none: that is all */
    }
    return item;
}

static PyObject *
channel_put_op(PyObject *self, PyObject *item)
{
    return operation_on_channel((ChannelObject *)self, item);
}

static PyObject *
channel_get_op(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return operation_on_channel((ChannelObject *)self, NULL);
}

/* ---- looking --------------------------------------------------------------------- */

static Py_ssize_t
channel_length(ChannelObject *self)
{
    return (Py_ssize_t)trt_channel_count(&self->channel);
}

static PyObject *
channel_qsize(ChannelObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t(channel_length(self));
}

static PyObject *
channel_get_closed(ChannelObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(trt_channel_is_closed(&self->channel));
}

static PyObject *
channel_get_maxsize(ChannelObject *self, void *Py_UNUSED(closure))
{
    const uint64_t capacity = self->channel.capacity;
    return capacity == TRT_CHANNEL_UNBOUNDED ? PyFloat_FromDouble(INFINITY)
                                             : PyLong_FromUnsignedLongLong(capacity);
}

static PyObject *
channel_statistics(ChannelObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *const most = channel_get_maxsize(self, NULL);
    const trt_channel_state state = trt_channel_look(&self->channel);
    return most
               ? sync_statistics("ChannelStatistics", "(NnNnn)", most,
                                 (Py_ssize_t)state.count, PyBool_FromLong(state.closed),
                                 (Py_ssize_t)state.putting, (Py_ssize_t)state.getting)
               : NULL;
}

static PyObject *
channel_repr(ChannelObject *self)
{
    PyObject *const most = channel_get_maxsize(self, NULL);
    PyObject *const repr =
        most ? PyUnicode_FromFormat(
                   "<%s at %p: %zd of %S items, %s>", Py_TYPE(self)->tp_name, self,
                   channel_length(self), most,
                   trt_channel_is_closed(&self->channel) ? "closed" : "open")
             : NULL;
    Py_XDECREF(most);
    return repr;
}

/* ---- life of the object ---------------------------------------------------------- */

/* 0 or −1. */
static int
read_capacity(PyObject *maxsize, uint64_t *capacity)
{
    if (maxsize == Py_None ||
        (PyFloat_Check(maxsize) && PyFloat_AS_DOUBLE(maxsize) == INFINITY)) {
        *capacity = TRT_CHANNEL_UNBOUNDED;
        return 0;
    }
    if (!PyIndex_Check(maxsize)) {
        PyErr_Format(PyExc_TypeError,
                     "maxsize must be a whole number, or math.inf or None for no "
                     "limit, not %R",
                     maxsize);
        return -1;
    }
    const Py_ssize_t value = PyNumber_AsSsize_t(maxsize, NULL); /* the nearest */
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (value < 0) {
        PyErr_Format(PyExc_ValueError,
                     "maxsize must be 0 or more, not %R; math.inf is no limit",
                     maxsize);
        return -1;
    }
    *capacity = (uint64_t)value;
    return 0;
}

static PyObject *
channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"maxsize", NULL};
    PyObject *maxsize = NULL;
    uint64_t capacity = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Channel", keywords, &maxsize) ||
        (maxsize && read_capacity(maxsize, &capacity) < 0)) {
        return NULL;
    }
    ChannelObject *const self = (ChannelObject *)type->tp_alloc(type, 0);
    if (self) {
        trt_channel_init(&self->channel, capacity);
    }
    return (PyObject *)self;
}

typedef struct Visit {
    visitproc visit;
    void *arg;
} Visit;

static int
visit_item(void *item, void *arg)
{
    const Visit *const visit = arg;
    return visit->visit(item, visit->arg);
}

/* No other thread is in the middle of a step: those take place attached, without a call
 * that could let the collector in, and it has the GIL or has stopped all others. Items
 * on the way to one that waits are in no channel: they are that one's, and alive. */
static int
channel_traverse(ChannelObject *self, visitproc visit, void *arg)
{
    Visit each = {visit, arg};
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(trt_load_relaxed(&self->reason));
    for (SubscriptionObject *s = trt_load_relaxed(&self->bindings); s; s = s->next) {
        Py_VISIT(s);
    }
    return trt_channel_visit(&self->channel, visit_item, &each);
}

static void
drop_item(void *item, void *Py_UNUSED(arg))
{
    Py_DECREF((PyObject *)item);
}

static int
channel_clear(ChannelObject *self)
{
    PyObject *const reason = trt_exchange_relaxed(&self->reason, NULL);
    drop_bindings(self);
    trt_channel_clear(&self->channel, drop_item, NULL);
    Py_XDECREF(reason);
    return 0;
}

static void
channel_dealloc(ChannelObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, channel_dealloc) if (self->weakrefs)
    {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    channel_clear(self);
    trt_channel_destroy(&self->channel);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

PyDoc_STRVAR(
    channel_doc,
    "Channel(maxsize=0)\n--\n\n"
    "Items that go from tasks and threads to others, the oldest first.\n\n"
    "maxsize  how many it holds: 0 for none, so that a put waits for its get; math.inf "
    "or None\n"
    "         for any number\n\n"
    "Who waits longest is served first. for item in channel gets until the channel is "
    "closed\n"
    "and empty, and then ends; or raises the error that it was closed with. Each step "
    "of the\n"
    "loop is a suspension point and a checkpoint. len(channel) is qsize(), so an empty "
    "channel\n"
    "is false. Any thread. Raises TypeError and ValueError for another maxsize. "
    "Sources:\n"
    "Julia's Channel, Go's chan.\n\n"
    "An item that was put is not lost: if a get is cancelled or interrupted when it "
    "was "
    "just\n"
    "given one, that goes back to the front, even if the channel is full, closed or "
    "holds none.\n\n"
    ">>> from taskrt import Channel, spawn\n"
    ">>> def count(channel):\n"
    "...     for i in range(3):\n"
    "...         channel.put(i)\n"
    ">>> channel = Channel()\n"
    ">>> channel.bind(spawn(count, channel))\n"
    ">>> list(channel)\n"
    "[0, 1, 2]");
PyDoc_STRVAR(
    put_doc,
    "put($self, item, /, timeout=None)\n--\n\n"
    "Put an item in, or give it to one that waits for it; wait for room or such a "
    "one.\n\n"
    "timeout  seconds to wait at most; None for no limit, 0 or less only looks\n\n"
    "Raises queue.Full when time is up, ChannelClosed if the channel is closed, also "
    "meanwhile,\n"
    "Cancelled. Then the item was not put. What has happened has happened: a put whose "
    "item\n"
    "was taken just as its task is cancelled returns, and the next checkpoint raises; "
    "only\n"
    "what a signal handler raises at that moment comes after the fact. A suspension "
    "point and a\n"
    "checkpoint.");
PyDoc_STRVAR(
    get_doc,
    "get($self, /, timeout=None)\n--\n\n"
    "Take the oldest item out and return it; wait for one.\n\n"
    "timeout  seconds to wait at most; None for no limit, 0 or less only looks\n\n"
    "Raises queue.Empty when time is up, Cancelled. Once the channel is closed and "
    "empty it\n"
    "raises the error that it was closed with, or else ChannelClosed. A suspension "
    "point and a\n"
    "checkpoint.");
PyDoc_STRVAR(
    put_nowait_doc,
    "put_nowait($self, item, /)\n--\n\n"
    "Put an item in if that is possible at once.\n\n"
    "Raises queue.Full, ChannelClosed. Neither a suspension point nor a checkpoint.");
PyDoc_STRVAR(
    get_nowait_doc,
    "get_nowait($self, /)\n--\n\n"
    "Take the oldest item out and return it, if there is one.\n\n"
    "Raises queue.Empty; and once it is closed, what get() does. Neither a suspension "
    "point nor\n"
    "a checkpoint.");
PyDoc_STRVAR(
    close_doc,
    "close($self, /, error=None)\n--\n\n"
    "Refuse puts from now on, those that wait included, and gets once it is empty.\n\n"
    "error  an exception that gets raise instead of ChannelClosed, and that ends "
    "iteration\n\n"
    "The first close counts, others change nothing. Raises TypeError for another "
    "error. Not a\n"
    "suspension point.");
PyDoc_STRVAR(
    bind_doc,
    "bind($self, task, /)\n--\n\n"
    "Close the channel when the task has ended, with its error if it failed.\n\n"
    "If it was cancelled, with CancelledError. Who gets that error has observed the "
    "failure,\n"
    "as by fetch. With several tasks the first that ends closes it. The channel may "
    "still be\n"
    "open when a fetch of the task returns. Raises TypeError if task is no Task. Not "
    "a\n"
    "suspension point.");
PyDoc_STRVAR(qsize_doc, "qsize($self, /)\n--\n\n"
                        "Return how many items are held at the moment.");
PyDoc_STRVAR(
    put_op_doc,
    "put_op($self, item, /)\n--\n\n"
    "Return the operation put(item) for select(), which may be used again and again.");
PyDoc_STRVAR(
    get_op_doc,
    "get_op($self, /)\n--\n\n"
    "Return the operation get() for select(), which may be used again and again.");

PyDoc_STRVAR(channel_statistics_doc,
             "statistics($self, /)\n--\n\n"
             "Return a taskrt.statistics.ChannelStatistics. Not a suspension point.");

#define FAST(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL | METH_KEYWORDS
static PyMethodDef channel_methods[] = {
    {"put", FAST(channel_put), put_doc},
    {"get", FAST(channel_get), get_doc},
    {"put_nowait", channel_put_nowait, METH_O, put_nowait_doc},
    {"get_nowait", channel_get_nowait, METH_NOARGS, get_nowait_doc},
    {"close", (PyCFunction)(void (*)(void))channel_close, METH_VARARGS | METH_KEYWORDS,
     close_doc},
    {"bind", channel_bind, METH_O, bind_doc},
    {"qsize", (PyCFunction)channel_qsize, METH_NOARGS, qsize_doc},
    {"put_op", channel_put_op, METH_O, put_op_doc},
    {"get_op", channel_get_op, METH_NOARGS, get_op_doc},
    {"statistics", (PyCFunction)channel_statistics, METH_NOARGS,
     channel_statistics_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};
#undef FAST

static PyGetSetDef channel_getset[] = {
    {"closed", (getter)channel_get_closed, NULL,
     "Whether it was closed; it may still hold items.", NULL},
    {"maxsize", (getter)channel_get_maxsize, NULL, "As given; math.inf for no limit.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef channel_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ChannelObject, weakrefs), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot channel_slots[] = {
    {Py_tp_doc, (void *)channel_doc},
    {Py_tp_new, channel_new},
    {Py_tp_traverse, channel_traverse},
    {Py_tp_clear, channel_clear},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_repr, channel_repr},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, channel_next},
    {Py_sq_length, channel_length},
    {Py_tp_methods, channel_methods},
    {Py_tp_getset, channel_getset},
    {Py_tp_members, channel_members},
    {0, NULL},
};

PyType_Spec channel_spec = {
    .name = "taskrt.Channel",
    .basicsize = sizeof(ChannelObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = channel_slots,
};
