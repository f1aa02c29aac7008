/* What a Queue counts its unfinished items with. The count changes in the same call as
 * the channel, so that no signal handler can raise between the two. */
#include "sync.h"

typedef struct TallyObject {
    PyObject_HEAD
    trt_mutex lock; /* guards what follows; nothing is taken inside */
    uint64_t count;
    trt_wait_queue queue; /* of those that wait for 0 */
} TallyObject;

static void
add_one(TallyObject *self)
{
    trt_mutex_lock(&self->lock);
    self->count++;
    trt_mutex_unlock(&self->lock);
}

/* Count up to `n` less; at 0 let all go on that wait for it. False: it was 0. */
static bool
take_off(TallyObject *self, uint64_t n)
{
    trt_mutex_lock(&self->lock);
    const bool counted = self->count > 0;
    self->count -= n < self->count ? n : self->count;
    trt_wait_node *const nodes =
        counted && self->count == 0 ? trt_wait_queue_claim_all(&self->queue) : NULL;
    trt_mutex_unlock(&self->lock);
    trt_wait_nodes_wake(nodes);
    return counted;
}

static uint64_t
look(TallyObject *self)
{
    trt_mutex_lock(&self->lock);
    const uint64_t count = self->count;
    trt_mutex_unlock(&self->lock);
    return count;
}

/* put(channel, item, block, timeout): put it, and count it from when that begins. */
static PyObject *
tally_put(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    Worker *const w = worker_self();
    uint64_t deadline = SYNC_NOW;
    if (!w) {
        return NULL;
    }
    if (nargs != 4 || !Py_IS_TYPE(args[0], core->channel_type)) {
        PyErr_SetString(PyExc_TypeError, "expected a channel, an item and its limits");
        return NULL;
    }
    const int blocks = PyObject_IsTrue(args[2]);
    if (blocks < 0 || (blocks && (wait_deadline(args[3], &deadline) < 0 ||
                                  wait_checkpoint(w->current) < 0))) {
        return NULL;
    }
    Step step = {.channel = (ChannelObject *)args[0], .item = args[1]};
    PyObject *nothing;
    bool taken;
    add_one((TallyObject *)op); /* before anybody can report it as done */
    const int status = choice_take_step(w, &step, &nothing, &taken, deadline);
    if (!taken) {
        take_off((TallyObject *)op, 1);
    }
    if (status == 0) {
        sync_raise_unable(core->queue_full, deadline, "there was no room in time");
    }
    return status > 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
tally_finish(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(take_off((TallyObject *)op, 1));
}

static void
drop_item(void *item, void *Py_UNUSED(arg))
{
    Py_DECREF((PyObject *)item);
}

/* clear(channel): drop what a closed channel holds, and count as many less. */
static PyObject *
tally_clear(PyObject *op, PyObject *channel)
{
    if (!Py_IS_TYPE(channel, core->channel_type)) {
        PyErr_SetString(PyExc_TypeError, "expected a channel");
        return NULL;
    }
    trt_channel *const closed = &((ChannelObject *)channel)->channel;
    take_off((TallyObject *)op, trt_channel_clear(closed, drop_item, NULL));
    Py_RETURN_NONE;
}

/* ---- waiting --------------------------------------------------------------------- */

typedef struct EndWait {
    Awaited base;
    TallyObject *tally;
} EndWait;

static bool
end_wait_enter(Awaited *base, Wait *wait)
{
    TallyObject *const tally = ((EndWait *)base)->tally;
    trt_wait_node_init(&wait->nodes[0], &wait->base, NULL);
    trt_mutex_lock(&tally->lock);
    const bool waits = tally->count > 0;
    if (waits) {
        trt_wait_queue_append(&tally->queue, &wait->nodes[0]);
    }
    trt_mutex_unlock(&tally->lock);
    return waits;
}

static void
end_wait_leave(Awaited *base, Wait *wait)
{
    TallyObject *const tally = ((EndWait *)base)->tally;
    trt_mutex_lock(&tally->lock);
    trt_wait_queue_remove(&tally->queue, &wait->nodes[0]);
    trt_mutex_unlock(&tally->lock);
    free(wait);
}

/* wait(queue): until the count is 0. */
static PyObject *
tally_wait(PyObject *op, PyObject *queue)
{
    Worker *const w = worker_self();
    if (!w || wait_checkpoint(w->current) < 0) {
        return NULL;
    }
    if (look((TallyObject *)op) == 0) {
        Py_RETURN_NONE;
    }
    EndWait wait = {.base = {.enter = end_wait_enter,
                             .leave = end_wait_leave,
                             .object = queue,
                             .nodes = 1},
                    .tally = (TallyObject *)op};
    int status;
    do {
        status = wait_once(w, &wait.base, TRT_FOREVER);
    } while (status == 2 && !wait.base.has_come);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- life of the object ---------------------------------------------------------- */

static PyObject *
tally_get_count(TallyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(look(self));
}

static PyObject *
tally_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) > 0 || (kwargs && PyDict_GET_SIZE(kwargs) > 0)) {
        return PyErr_Format(PyExc_TypeError, "%s() takes no arguments", type->tp_name);
    }
    TallyObject *const self = (TallyObject *)type->tp_alloc(type, 0);
    if (self) {
        trt_mutex_init(&self->lock);
    }
    return (PyObject *)self;
}

static void
tally_dealloc(TallyObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    trt_mutex_destroy(&self->lock);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef tally_methods[] = {
    {"put", (PyCFunction)(void (*)(void))tally_put, METH_FASTCALL, NULL},
    {"finish", tally_finish, METH_NOARGS, NULL},
    {"clear", tally_clear, METH_O, NULL},
    {"wait", tally_wait, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef tally_getset[] = {
    {"count", (getter)tally_get_count, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot tally_slots[] = {
    {Py_tp_new, tally_new},
    {Py_tp_dealloc, tally_dealloc},
    {Py_tp_methods, tally_methods},
    {Py_tp_getset, tally_getset},
    {0, NULL},
};

PyType_Spec tally_spec = {
    .name = "taskrt._core._Tally",
    .basicsize = sizeof(TallyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = tally_slots,
};
