/* Lock and RLock: one permit each, and who has it. */
#include "sync.h"

#define FAST(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL | METH_KEYWORDS
#define EXIT(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL

static int
acquire_lock(Worker *w, Permits *self, uint64_t deadline)
{
    const int acquired = permits_acquire(w, self, deadline);
    if (acquired > 0) {
        trt_store_relaxed(&self->owner, sync_owner(w));
    }
    return acquired;
}

static int
acquire_rlock(Worker *w, Permits *self, uint64_t deadline)
{
    const uint64_t me = sync_owner(w);
    if (trt_load_relaxed(&self->owner) == me) {
        self->depth++;
        return 1;
    }
    const int acquired = permits_acquire(w, self, deadline);
    if (acquired > 0) {
        trt_store_relaxed(&self->owner, me);
        self->depth = 1;
    }
    return acquired;
}

static int
release_lock(Permits *self)
{
    if (trt_semaphore_permits(&self->permits) == 0) {
        trt_store_relaxed(&self->owner, 0);
        if (trt_semaphore_release(&self->permits)) {
            return 0;
        }
        /* Two have released it at the same moment. */
    }
    PyErr_SetString(PyExc_RuntimeError, "release unlocked lock");
    return -1;
}

static int
release_rlock(Worker *w, Permits *self)
{
    if (trt_load_relaxed(&self->owner) != sync_owner(w)) {
        PyErr_SetString(PyExc_RuntimeError, "cannot release un-acquired lock");
        return -1;
    }
    if (--self->depth == 0) {
        trt_store_relaxed(&self->owner, 0);
        trt_semaphore_release(&self->permits);
    }
    return 0;
}

uint64_t
sync_owner_of(PyObject *object)
{
    const Permits *const self = (const Permits *)object;
    const bool is_lock =
        Py_IS_TYPE(object, core->lock_type) || Py_IS_TYPE(object, core->rlock_type);
    return is_lock && trt_semaphore_permits(&self->permits) == 0
               ? trt_load_relaxed(&self->owner)
               : 0;
}

static PyObject *
lock_repr(Permits *self)
{
    const char *const name = Py_TYPE(self)->tp_name;
    const uint64_t owner = trt_load_relaxed(&self->owner);
    if (trt_semaphore_permits(&self->permits) > 0) {
        return PyUnicode_FromFormat("<unlocked %s object at %p>", name, self);
    }
    PyObject *const who = sync_owner_name(owner);
    PyObject *const repr =
        who ? PyUnicode_FromFormat("<locked %s object owner=%U at %p>", name, who, self)
            : NULL;
    Py_XDECREF(who);
    return repr;
}

static PyObject *
lock_locked(Permits *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(trt_semaphore_permits(&self->permits) == 0);
}

static PyObject *
lock_statistics(Permits *self, PyObject *Py_UNUSED(ignored))
{
    const bool locked = trt_semaphore_permits(&self->permits) == 0;
    const uint64_t owner = locked ? trt_load_relaxed(&self->owner) : 0;
    PyObject *const who = owner ? sync_owner_name(owner) : Py_NewRef(Py_None);
    return who ? sync_statistics("LockStatistics", "(NNn)", PyBool_FromLong(locked),
                                 who, (Py_ssize_t)trt_semaphore_waiting(&self->permits))
               : NULL;
}

static PyObject *
no_arguments_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) > 0 || (kwargs && PyDict_GET_SIZE(kwargs) > 0)) {
        return PyErr_Format(PyExc_TypeError, "%s() takes no arguments", type->tp_name);
    }
    return permits_new(type, 1, 1);
}

/* ---- Lock ------------------------------------------------------------------------ */

static PyObject *
lock_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return permits_acquire_method(op, args, nargs, kwnames, core->minus_one,
                                  acquire_lock);
}

static PyObject *
lock_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return permits_enter_method(op, acquire_lock);
}

static PyObject *
lock_release(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return release_lock((Permits *)op) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
lock_exit(PyObject *op, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(nargs))
{
    return lock_release(op, NULL);
}

PyDoc_STRVAR(
    lock_doc,
    "Lock()\n--\n\n"
    "Mutual exclusion among tasks and threads; a threading.Lock that parks the "
    "task.\n\n"
    "Not reentrant. Whoever waits longest is first, but somebody who comes while "
    "it is being\n"
    "woken up may go before it, once; then the lock is handed over.\n\n"
    ">>> from taskrt import Lock\n"
    ">>> lock = Lock()\n"
    ">>> with lock:\n"
    "...     lock.locked()\n"
    "True");
PyDoc_STRVAR(
    acquire_doc,
    "acquire($self, /, blocking=True, timeout=-1)\n--\n\n"
    "Take the lock; return whether it was taken.\n\n"
    "timeout  seconds to wait at most, -1 for no limit; only if blocking\n\n"
    "Raises ValueError for another negative timeout, or a timeout without blocking;\n"
    "OverflowError for one above threading.TIMEOUT_MAX; Cancelled.\n"
    "A suspension point and a checkpoint, unless blocking is false.");
PyDoc_STRVAR(release_doc,
             "release($self, /)\n--\n\n"
             "Give the lock up, and let who waits for it go on.\n\n"
             "Raises RuntimeError if it is not locked. Not a suspension point.");
PyDoc_STRVAR(locked_doc,
             "locked($self, /)\n--\n\nReturn whether somebody has the lock.");

PyDoc_STRVAR(lock_statistics_doc,
             "statistics($self, /)\n--\n\n"
             "Return a taskrt.statistics.LockStatistics. Not a suspension point.");

static PyMethodDef lock_methods[] = {
    {"acquire", FAST(lock_acquire), acquire_doc},
    {"release", lock_release, METH_NOARGS, release_doc},
    {"locked", (PyCFunction)lock_locked, METH_NOARGS, locked_doc},
    {"statistics", (PyCFunction)lock_statistics, METH_NOARGS, lock_statistics_doc},
    {"__enter__", lock_enter, METH_NOARGS, NULL},
    {"__exit__", EXIT(lock_exit), NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot lock_slots[] = {
    {Py_tp_doc, (void *)lock_doc},
    {Py_tp_new, no_arguments_new},
    {Py_tp_dealloc, permits_dealloc},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, lock_methods},
    {Py_tp_members, permits_members},
    {0, NULL},
};

PyType_Spec lock_spec = {
    .name = "taskrt.Lock",
    .basicsize = sizeof(Permits),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = lock_slots,
};

/* ---- RLock ----------------------------------------------------------------------- */

static PyObject *
rlock_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return permits_acquire_method(op, args, nargs, kwnames, core->minus_one,
                                  acquire_rlock);
}

static PyObject *
rlock_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return permits_enter_method(op, acquire_rlock);
}

static PyObject *
rlock_release(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    return w && release_rlock(w, (Permits *)op) == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
rlock_exit(PyObject *op, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(nargs))
{
    return rlock_release(op, NULL);
}

static PyObject *
rlock_is_owned(Permits *self, PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    return w ? PyBool_FromLong(trt_load_relaxed(&self->owner) == sync_owner(w)) : NULL;
}

static PyObject *
rlock_recursion_count(Permits *self, PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    const bool mine = trt_load_relaxed(&self->owner) == sync_owner(w);
    return PyLong_FromUnsignedLongLong(mine ? self->depth : 0);
}

/* For conditions: release it whatever its depth, and take it back so. */
static PyObject *
rlock_release_save(Permits *self, PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    uint64_t depth = 0;
    if (w && trt_load_relaxed(&self->owner) == sync_owner(w)) {
        depth = self->depth;
        self->depth = 1;
    }
    return w && release_rlock(w, self) == 0 ? PyLong_FromUnsignedLongLong(depth) : NULL;
}

static PyObject *
rlock_acquire_restore(Permits *self, PyObject *saved)
{
    Worker *const w = worker_self();
    const uint64_t depth = PyLong_AsUnsignedLongLong(saved);
    if (!w || PyErr_Occurred() || acquire_rlock(w, self, TRT_FOREVER) < 0) {
        return NULL;
    }
    self->depth = depth;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    rlock_doc,
    "RLock()\n--\n\n"
    "A Lock that its owner, a task or a thread outside of tasks, may take "
    "again.\n\n"
    "It is free when it was released as often. A task that is run as a call by "
    "the one that\n"
    "fetches it is an owner of its own.");
PyDoc_STRVAR(
    rlock_release_doc,
    "release($self, /)\n--\n\n"
    "Give the lock up once.\n\n"
    "Raises RuntimeError if the caller does not own it. Not a suspension point.");

static PyMethodDef rlock_methods[] = {
    {"acquire", FAST(rlock_acquire), acquire_doc},
    {"release", rlock_release, METH_NOARGS, rlock_release_doc},
    {"locked", (PyCFunction)lock_locked, METH_NOARGS, locked_doc},
    {"statistics", (PyCFunction)lock_statistics, METH_NOARGS, lock_statistics_doc},
    {"_is_owned", (PyCFunction)rlock_is_owned, METH_NOARGS, NULL},
    {"_recursion_count", (PyCFunction)rlock_recursion_count, METH_NOARGS, NULL},
    {"_release_save", (PyCFunction)rlock_release_save, METH_NOARGS, NULL},
    {"_acquire_restore", (PyCFunction)rlock_acquire_restore, METH_O, NULL},
    {"__enter__", rlock_enter, METH_NOARGS, NULL},
    {"__exit__", EXIT(rlock_exit), NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot rlock_slots[] = {
    {Py_tp_doc, (void *)rlock_doc},
    {Py_tp_new, no_arguments_new},
    {Py_tp_dealloc, permits_dealloc},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, rlock_methods},
    {Py_tp_members, permits_members},
    {0, NULL},
};

PyType_Spec rlock_spec = {
    .name = "taskrt.RLock",
    .basicsize = sizeof(Permits),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = rlock_slots,
};
