/* A done callback that can be taken back: for those who wait for the first of many
 * tasks, and must leave nothing behind at the others. */
#include "subscription.h"

#include <stdlib.h>

typedef struct Node Node;

/* What is in the task's list. Owns its subscription until it is fired or abandoned, so
 * that the callback finds it. */
struct Node {
    trt_waiter base;
    SubscriptionObject *owner; /* NULL: not started yet */
};

static void
subscription_wake(trt_waiter *waiter)
{
    SubscriptionObject *const self = ((Node *)waiter)->owner;
    PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    self->hear(self->receiver, self->task);
    Py_CLEAR(self->receiver);
    Py_CLEAR(self->task);
    Py_DECREF(self); /* the node may be gone with it */
    if (error) {
        trt_py_set_error(error);
    }
}

bool
subscription_is_waiter(const trt_waiter *waiter)
{
    return waiter->wake == subscription_wake;
}

SubscriptionObject *
subscription_new(TaskObject *task, PyObject *receiver, subscription_hear *hear)
{
    SubscriptionObject *const self =
        PyObject_GC_New(SubscriptionObject, core->subscription_type);
    if (!self) {
        return NULL;
    }
    self->task = (TaskObject *)Py_NewRef((PyObject *)task);
    self->receiver = Py_NewRef(receiver);
    self->hear = hear;
    self->next = NULL;
    self->node = malloc(sizeof *self->node);
    PyObject_GC_Track(self);
    if (!self->node) {
        Py_DECREF(self);
        return (SubscriptionObject *)PyErr_NoMemory();
    }
    self->node->owner = NULL;
    return self;
}

void
subscription_start(SubscriptionObject *self)
{
    trt_waiter_init(&self->node->base, subscription_wake);
    self->node->owner = (SubscriptionObject *)Py_NewRef((PyObject *)self);
    if (!trt_waiters_add(&self->task->base.waiters, &self->node->base)) {
        trt_waiter_claim(&self->node->base);
        subscription_wake(&self->node->base);
    }
}

bool
subscription_cancel(SubscriptionObject *self)
{
    Node *const node = self->node;
    if (node && !node->owner) {
        return true;
    }
    if (!node || !trt_waiter_abandon(&node->base)) {
        return false;
    }
    self->node = NULL;
    trt_waiters_release(&self->task->base.waiters, &node->base);
    Py_DECREF(self); /* the node's */
    return true;
}

void
subscription_cancel_list(SubscriptionObject *first)
{
    while (first) {
        SubscriptionObject *const self = first;
        first = self->next;
        subscription_cancel(self);
        Py_DECREF(self);
    }
}

/* ---- from Python ----------------------------------------------------------------- */

/* At the exit, Cancelled is sent to whatever Python code the threads run, see
 * interrupt_threads: twice at most. It is not meant for these callbacks, which are
 * taskrt's own and end by themselves. */
enum { INTERRUPTS_MAX = 2 };

static bool
was_interrupted(void)
{
    return trt_load_relaxed(&core->interrupting) &&
           PyErr_ExceptionMatches(core->cancelled);
}

static void
call_python(PyObject *fn, TaskObject *task)
{
    PyObject *result = PyObject_CallOneArg(fn, (PyObject *)task);
    for (int again = 0; !result && again < INTERRUPTS_MAX && was_interrupted();
         again++) {
        PyErr_Clear();
        result = PyObject_CallOneArg(fn, (PyObject *)task);
    }
    if (!result) {
        PyErr_WriteUnraisable(fn);
    }
    Py_XDECREF(result);
}

/* _subscribe(task, fn): call fn(task) when the task has ended, or at once, unless
 * cancel() of what is returned comes before. */
PyObject *
core_subscribe(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !Py_IS_TYPE(args[0], core->task_type)) {
        return PyErr_Format(PyExc_TypeError, "expected a taskrt.Task, not '%.100s'",
                            nargs > 0 ? Py_TYPE(args[0])->tp_name : "nothing");
    }
    TaskObject *const task = (TaskObject *)args[0];
    if (!task_is_finished(task) && wait_begin(task) < 0) {
        return NULL;
    }
    SubscriptionObject *const self = subscription_new(task, args[1], call_python);
    if (self) {
        subscription_start(self);
    }
    return (PyObject *)self;
}

/* cancel(): whether the callback was not called and never will be. By the one that has
 * subscribed, not at the same time as another. */
static PyObject *
subscription_cancel_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(subscription_cancel((SubscriptionObject *)self));
}

/* ---- life of the object ---------------------------------------------------------- */

static int
subscription_traverse(SubscriptionObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->task);
    Py_VISIT(self->receiver);
    return 0;
}

static void
subscription_dealloc(SubscriptionObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    free(self->node); /* not in use, or it would hold a reference */
    Py_CLEAR(self->task);
    Py_CLEAR(self->receiver);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef subscription_methods[] = {
    {"cancel", subscription_cancel_method, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot subscription_slots[] = {
    {Py_tp_methods, subscription_methods},
    {Py_tp_traverse, subscription_traverse},
    {Py_tp_dealloc, subscription_dealloc},
    {0, NULL},
};

PyType_Spec subscription_spec = {
    .name = "taskrt._core._Subscription",
    .basicsize = sizeof(SubscriptionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = subscription_slots,
};
