/* Operations: what select() chooses from. */
#include "sync.h"

#include <math.h>

/* What the end of a task sets, so that several may wait for it and leave again. A block
 * of its own, since the operation may die while the task's end is just on its way. */
typedef struct Ending {
    trt_waiter base; /* in the task's list, or fired */
    trt_event event;
    /* The operation, and the task's list until it has fired. The last to let go frees
     * it, after what the others did [ending-holders]. */
    _Atomic(uint32_t) holders;
} Ending;

static void
ending_let_go(Ending *self)
{
    if (trt_fetch_sub_acq_rel(&self->holders, 1) == 1) { /* [ending-holders] */
        trt_event_destroy(&self->event);
        free(self);
    }
}

/* The waiter's callback. */
static void
ending_wake(trt_waiter *waiter)
{
    Ending *const self = (Ending *)waiter;
    trt_event_set(&self->event);
    ending_let_go(self);
}

/* NULL with MemoryError. */
static Ending *
ending_new(TaskObject *task)
{
    Ending *const self = malloc(sizeof *self);
    if (!self) {
        PyErr_NoMemory();
        return NULL;
    }
    trt_waiter_init(&self->base, ending_wake);
    trt_event_init(&self->event, false);
    atomic_init(&self->holders, 2);
    if (!trt_waiters_add(&task->base.waiters, &self->base)) {
        trt_waiter_claim(&self->base);
        ending_wake(&self->base);
    }
    return self;
}

/* The operation dies: nobody waits. */
static void
ending_drop(Ending *self, TaskObject *task)
{
    if (trt_waiter_abandon(&self->base)) {
        trt_event_destroy(&self->event);
        trt_waiters_release(&task->base.waiters, &self->base);
    } else {
        ending_let_go(self);
    }
}

/* ---- the object ------------------------------------------------------------------ */

static PyObject *
operation_new(PyObject *object, PyObject *item, PyObject *result)
{
    OperationObject *const self =
        PyObject_GC_New(OperationObject, core->operation_type);
    if (!self) {
        return NULL;
    }
    self->object = Py_XNewRef(object);
    self->item = Py_XNewRef(item);
    self->result = Py_XNewRef(result);
    self->event = NULL;
    self->ending = NULL;
    self->delay_ns = 0;
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

PyObject *
operation_on_channel(ChannelObject *channel, PyObject *item)
{
    return operation_new((PyObject *)channel, item, item ? Py_None : NULL);
}

PyObject *
operation_on_event(PyObject *object, trt_event *event)
{
    PyObject *const self = operation_new(object, NULL, Py_True);
    if (self) {
        ((OperationObject *)self)->event = event;
    }
    return self;
}

PyObject *
operation_on_task(PyObject *task, PyObject *Py_UNUSED(ignored))
{
    Ending *const ending = ending_new((TaskObject *)task);
    if (!ending) {
        return NULL;
    }
    PyObject *const self = operation_new(task, NULL, task);
    if (!self) {
        ending_drop(ending, (TaskObject *)task);
        return NULL;
    }
    ((OperationObject *)self)->ending = ending;
    ((OperationObject *)self)->event = &ending->event;
    return self;
}

PyObject *
core_sleep_op(PyObject *Py_UNUSED(module), PyObject *seconds)
{
    double value;
    if (sleep_seconds("sleep_op()", seconds, &value) < 0) {
        return NULL;
    }
    PyObject *const self = operation_new(NULL, NULL, Py_None);
    if (self) {
        /* 31 years at most, so that no sum overflows. */
        ((OperationObject *)self)->delay_ns = (uint64_t)(fmin(value, 1e9) * 1e9);
    }
    return self;
}

int
operation_as_step(const OperationObject *self, Step *step)
{
    *step = (Step){.due_ns = TRT_FOREVER, .event = self->event};
    if (self->ending) {
        TaskObject *const task = (TaskObject *)self->object;
        return task_is_finished(task) ? 0 : wait_begin(task);
    }
    if (self->event) {
        return 0;
    }
    if (!self->object) {
        step->due_ns = trt_clock_now_ns() + self->delay_ns;
        return 0;
    }
    step->channel = (ChannelObject *)self->object;
    step->item = self->item;
    return 0;
}

static int
operation_traverse(OperationObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->object);
    Py_VISIT(self->item);
    Py_VISIT(self->result);
    return 0;
}

/* No tp_clear, like a tuple: it is made from what is there already, so each cycle has
 * something else in it, which has one. */
static void
operation_dealloc(OperationObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, operation_dealloc) if (self->ending)
    {
        ending_drop(self->ending, (TaskObject *)self->object);
    }
    Py_XDECREF(self->object);
    Py_XDECREF(self->item);
    Py_XDECREF(self->result);
    PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyObject *
operation_refuse_new(PyTypeObject *Py_UNUSED(type), PyObject *Py_UNUSED(args),
                     PyObject *Py_UNUSED(kwargs))
{
    PyErr_SetString(PyExc_TypeError,
                    "an operation for select() is made by channel.put_op(item), "
                    "channel.get_op(), event.wait_op(), task.wait_op() or "
                    "sleep_op(seconds)");
    return NULL;
}

static PyObject *
operation_repr(OperationObject *self)
{
    if (self->item) {
        return PyUnicode_FromFormat("<put_op(%R) of %R>", self->item, self->object);
    }
    if (self->object) {
        return PyUnicode_FromFormat(
            self->event ? "<wait_op() of %R>" : "<get_op() of %R>", self->object);
    }
    PyObject *const seconds = PyFloat_FromDouble((double)self->delay_ns / 1e9);
    PyObject *const repr =
        seconds ? PyUnicode_FromFormat("<sleep_op(%R)>", seconds) : NULL;
    Py_XDECREF(seconds);
    return repr;
}

PyDoc_STRVAR(operation_doc,
             "Something that select() may do: made by channel.put_op(item), "
             "channel.get_op(),\n"
             "event.wait_op(), task.wait_op() and sleep_op(seconds).");

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
