/* select(), and the operations that it chooses from. */
#include "sync.h"

/* A step on a channel, as an object. Constant. */
typedef struct OperationObject {
    PyObject_HEAD
    ChannelObject *channel; /* owned */
    PyObject *item;         /* to be put, owned; NULL: to get one */
} OperationObject;

PyObject *
operation_new(ChannelObject *channel, PyObject *item)
{
    OperationObject *const self =
        PyObject_GC_New(OperationObject, core->operation_type);
    if (self) {
        self->channel = (ChannelObject *)Py_NewRef((PyObject *)channel);
        self->item = Py_XNewRef(item);
        PyObject_GC_Track((PyObject *)self);
    }
    return (PyObject *)self;
}

static int
operation_traverse(OperationObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)self->channel);
    Py_VISIT(self->item);
    return 0;
}

/* No tp_clear, like a tuple: it is made from what is there already, so each cycle has
 * something else in it, which has one. */
static void
operation_dealloc(OperationObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, operation_dealloc) Py_DECREF((PyObject *)self->channel);
    Py_XDECREF(self->item);
    PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyObject *
operation_refuse_new(PyTypeObject *Py_UNUSED(type), PyObject *Py_UNUSED(args),
                     PyObject *Py_UNUSED(kwargs))
{
    PyErr_SetString(PyExc_TypeError,
                    "an operation for select() is made by channel.put_op(item) or "
                    "channel.get_op()");
    return NULL;
}

static PyObject *
operation_repr(OperationObject *self)
{
    return self->item
               ? PyUnicode_FromFormat("<put_op(%R) of %R>", self->item, self->channel)
               : PyUnicode_FromFormat("<get_op() of %R>", self->channel);
}

PyDoc_STRVAR(operation_doc,
             "Something that select() may do: made by channel.put_op(item) and "
             "channel.get_op().");

static PyMethodDef operation_methods[] = {
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot operation_slots[] = {
    {Py_tp_doc, (void *)operation_doc},
    {Py_tp_new, operation_refuse_new},
    {Py_tp_traverse, operation_traverse},
    {Py_tp_dealloc, operation_dealloc},
    {Py_tp_repr, operation_repr},
    {Py_tp_methods, operation_methods},
    {0, NULL},
};

PyType_Spec operation_spec = {
    .name = "taskrt.Operation",
    .basicsize = sizeof(OperationObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = operation_slots,
};

/* ---- select() -------------------------------------------------------------------- */

/* The keyword arguments timeout and default; `*fallback` is borrowed, or NULL. 0 or −1.
 */
static int
read_keywords(PyObject *const *values, PyObject *kwnames, uint64_t *deadline,
              PyObject **fallback)
{
    PyObject *timeout = Py_None;
    const Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    *fallback = NULL;
    for (Py_ssize_t i = 0; i < nkw; i++) {
        PyObject *const name = PyTuple_GET_ITEM(kwnames, i);
        if (PyUnicode_Compare(name, core->str.timeout) == 0) {
            timeout = values[i];
        } else if (PyUnicode_Compare(name, core->str.fallback) == 0) {
            *fallback = values[i];
        } else {
            PyErr_Format(PyExc_TypeError,
                         "select() got an unexpected keyword argument '%U'; it takes "
                         "timeout and default",
                         name);
            return -1;
        }
    }
    if (*fallback && timeout == Py_None) {
        *deadline = SYNC_NOW;
        return 0;
    }
    return wait_deadline(timeout, deadline);
}

static int
read_operations(PyObject *const *args, size_t count, Step *steps)
{
    if (count == 0) {
        PyErr_SetString(PyExc_ValueError,
                        "select() takes at least one operation: with none it would "
                        "wait forever");
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!Py_IS_TYPE(args[i], core->operation_type)) {
            PyErr_Format(PyExc_TypeError,
                         "select() takes operations, made by channel.put_op(item) and "
                         "channel.get_op(), not '%.100s'",
                         Py_TYPE(args[i])->tp_name);
            return -1;
        }
        OperationObject *const operation = (OperationObject *)args[i];
        steps[i] = (Step){operation->channel, operation->item};
    }
    return 0;
}

static int
by_channel(const void *left, const void *right)
{
    const uintptr_t a = (uintptr_t)*(ChannelObject *const *)left;
    const uintptr_t b = (uintptr_t)*(ChannelObject *const *)right;
    return a < b ? -1 : a > b;
}

static bool
has_step(const Choice *choice, const ChannelObject *channel, bool is_put)
{
    for (size_t i = 0; i < choice->count; i++) {
        const Step *const step = &choice->steps[i];
        if (step->channel == channel && (step->item != NULL) == is_put) {
            return true;
        }
    }
    return false;
}

/* List the channels, each once, by address. 0 or −1. */
static int
list_locks(Choice *choice)
{
    ChannelObject **const locks = choice->locks;
    size_t kept = 0;
    for (size_t i = 0; i < choice->count; i++) {
        locks[i] = choice->steps[i].channel;
    }
    qsort(locks, choice->count, sizeof *locks, by_channel);
    for (size_t i = 0; i < choice->count; i++) {
        if (kept == 0 || locks[kept - 1] != locks[i]) {
            locks[kept++] = locks[i];
        } else if (has_step(choice, locks[i], true) &&
                   has_step(choice, locks[i], false)) {
            PyErr_Format(PyExc_ValueError,
                         "select() cannot both put into a channel and get from it: %R",
                         locks[i]);
            return -1;
        }
    }
    choice->lock_count = kept;
    return 0;
}

/* What has come of it, as a result of select(). */
static PyObject *
outcome(Choice *choice, int status, PyObject *fallback)
{
    if (status < 0) {
        return NULL;
    }
    if (status > 0) {
        PyObject *const item = choice->item ? choice->item : Py_NewRef(Py_None);
        return Py_BuildValue("nN", (Py_ssize_t)choice->chosen, item);
    }
    if (fallback) {
        return Py_BuildValue("iO", -1, fallback);
    }
    PyErr_SetString(PyExc_TimeoutError,
                    "none of the operations of select() was possible in time");
    return NULL;
}

PyObject *
core_select(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    const size_t count = (size_t)nargs;
    PyObject *result = NULL, *fallback;
    uint64_t deadline;
    Worker *const w = worker_self();
    Step *const steps = calloc(count + 1, sizeof *steps);
    size_t *const order = calloc(count + 1, sizeof *order);
    ChannelObject **const locks = calloc(count + 1, sizeof *locks);
    if (!steps || !order || !locks) {
        PyErr_NoMemory();
        goto done;
    }
    Choice choice = {.steps = steps, .count = count, .order = order, .locks = locks};
    if (w && read_keywords(args + nargs, kwnames, &deadline, &fallback) == 0 &&
        read_operations(args, count, steps) == 0 && list_locks(&choice) == 0 &&
        wait_checkpoint(w->current) == 0) {
        result = outcome(&choice, choice_take(w, &choice, deadline), fallback);
    }
done:
    free(locks);
    free(order);
    free(steps);
    return result;
}
