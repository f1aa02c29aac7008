/* Lock, RLock, Semaphore and BoundedSemaphore: a count of permits each, and who has it.
 */
#include "sync.h"

#include <structmember.h>

#include <math.h>
#include <stddef.h>

typedef struct Permits {
    PyObject_HEAD
    PyObject *weakrefs;
    trt_semaphore permits;
    /* Locks: who has it, see sync_owner, 0 for nobody. Written by the owner, read by
     * anybody: only the owner finds itself. */
    _Atomic(uint64_t) owner;
    uint64_t depth; /* RLock: how often it was acquired; the owner's */
} Permits;

/* ---- acquiring and releasing ----------------------------------------------------- */

/* A wait for a permit. */
typedef struct Claim {
    Awaited base;
    trt_semaphore *permits;
    bool lost;    /* an earlier wait was woken up too late */
    bool owes;    /* the same, and it has not tried again since */
    bool granted; /* has the permit */
} Claim;

static bool
claim_enter(Awaited *base, Wait *wait)
{
    Claim *const self = (Claim *)base;
    trt_wait_node_init(&wait->nodes[0], &wait->base, NULL);
    wait->nodes[0].lost = self->lost;
    self->owes = false;
    self->granted = trt_semaphore_acquire_or_queue(self->permits, &wait->nodes[0]);
    return !self->granted;
}

static void
claim_served(Awaited *base, Wait *wait)
{
    ((Claim *)base)->granted = wait->nodes[0].value != NULL;
}

static void
claim_leave(Awaited *base, Wait *wait)
{
    trt_semaphore_leave(((Claim *)base)->permits, &wait->nodes[0]);
    free(wait);
}

/* Give back what a wait that has failed was given all the same. */
static void
give_back(Claim *claim)
{
    if (claim->granted) {
        trt_semaphore_release(claim->permits);
    } else if (claim->base.has_come || claim->owes) {
        trt_semaphore_pass_on(claim->permits);
    }
}

static int
acquire_slow(Worker *w, Permits *self, uint64_t deadline)
{
    Claim claim = {
        .base = {.enter = claim_enter,
                 .served = claim_served,
                 .leave = claim_leave,
                 .object = (PyObject *)self,
                 .nodes = 1},
        .permits = &self->permits,
    };
    for (;;) {
        claim.granted = false;
        const int status = wait_once(w, &claim.base, deadline);
        if (status < 0) {
            give_back(&claim);
            return -1;
        }
        if (claim.granted) {
            return 1;
        }
        if (status == 0) {
            return 0;
        }
        claim.owes = status == 1;
        claim.lost = claim.lost || claim.owes;
    }
}

/* Take a permit. 1: has it; 0: deadline passed; −1: error set. */
static int
acquire(Worker *w, Permits *self, uint64_t deadline)
{
    if (deadline != SYNC_NOW && wait_checkpoint(w->current) < 0) {
        return -1;
    }
    if (trt_semaphore_try_acquire(&self->permits)) {
        return 1;
    }
    return deadline == SYNC_NOW ? 0 : acquire_slow(w, self, deadline);
}

static int
acquire_lock(Worker *w, Permits *self, uint64_t deadline)
{
    const int acquired = acquire(w, self, deadline);
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
    const int acquired = acquire(w, self, deadline);
    if (acquired > 0) {
        trt_store_relaxed(&self->owner, me);
        self->depth = 1;
    }
    return acquired;
}

static void
release_lock_permit(Permits *self)
{
    trt_store_relaxed(&self->owner, 0);
    trt_semaphore_release(&self->permits);
}

static int
release_lock(Permits *self)
{
    if (trt_semaphore_permits(&self->permits) > 0) {
        PyErr_SetString(PyExc_RuntimeError, "release unlocked lock");
        return -1;
    }
    release_lock_permit(self);
    return 0;
}

static int
release_rlock(Worker *w, Permits *self)
{
    if (trt_load_relaxed(&self->owner) != sync_owner(w)) {
        PyErr_SetString(PyExc_RuntimeError, "cannot release un-acquired lock");
        return -1;
    }
    if (--self->depth == 0) {
        release_lock_permit(self);
    }
    return 0;
}

/* ---- what the four types share --------------------------------------------------- */

static PyObject *
permits_new(PyTypeObject *type, uint64_t permits, uint64_t most)
{
    Permits *const self = (Permits *)type->tp_alloc(type, 0);
    if (self) {
        trt_semaphore_init(&self->permits, permits, most);
        trt_store_relaxed(&self->owner, 0);
    }
    return (PyObject *)self;
}

static void
permits_dealloc(Permits *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    if (self->weakrefs) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    trt_semaphore_destroy(&self->permits);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef permits_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Permits, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

typedef int (*acquire_function)(Worker *, Permits *, uint64_t);

static PyObject *
acquire_method(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
               PyObject *no_timeout, acquire_function how)
{
    uint64_t deadline;
    Worker *const w = worker_self();
    if (!w || sync_acquire_arguments(args, nargs, kwnames, no_timeout, &deadline) < 0) {
        return NULL;
    }
    const int acquired = how(w, (Permits *)op, deadline);
    return acquired < 0 ? NULL : PyBool_FromLong(acquired);
}

static PyObject *
enter_method(PyObject *op, acquire_function how)
{
    Worker *const w = worker_self();
    return w && how(w, (Permits *)op, TRT_FOREVER) > 0 ? Py_NewRef(Py_True) : NULL;
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
no_arguments_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) > 0 || (kwargs && PyDict_GET_SIZE(kwargs) > 0)) {
        return PyErr_Format(PyExc_TypeError, "%s() takes no arguments", type->tp_name);
    }
    return permits_new(type, 1, 1);
}

#define FAST(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL | METH_KEYWORDS
#define EXIT(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL

/* ---- Lock ------------------------------------------------------------------------ */

static PyObject *
lock_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return acquire_method(op, args, nargs, kwnames, core->minus_one, acquire_lock);
}

static PyObject *
lock_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return enter_method(op, acquire_lock);
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
    "woken up may go before it, once; then the lock is handed over.");
PyDoc_STRVAR(
    acquire_doc,
    "acquire($self, /, blocking=True, timeout=-1)\n--\n\n"
    "Take the lock; return whether it was taken.\n\n"
    "timeout  seconds to wait at most, -1 for no limit; only if blocking\n\n"
    "Raises ValueError for another negative timeout, or a timeout without blocking; "
    "Cancelled.\n"
    "A suspension point and a checkpoint, unless blocking is false.");
PyDoc_STRVAR(release_doc,
             "release($self, /)\n--\n\n"
             "Give the lock up, and let who waits for it go on.\n\n"
             "Raises RuntimeError if it is not locked. Not a suspension point.");
PyDoc_STRVAR(locked_doc,
             "locked($self, /)\n--\n\nReturn whether somebody has the lock.");

static PyMethodDef lock_methods[] = {
    {"acquire", FAST(lock_acquire), acquire_doc},
    {"release", lock_release, METH_NOARGS, release_doc},
    {"locked", (PyCFunction)lock_locked, METH_NOARGS, locked_doc},
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
    return acquire_method(op, args, nargs, kwnames, core->minus_one, acquire_rlock);
}

static PyObject *
rlock_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return enter_method(op, acquire_rlock);
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
    const uint64_t depth = self->depth;
    if (!w) {
        return NULL;
    }
    if (trt_load_relaxed(&self->owner) == sync_owner(w)) {
        self->depth = 1;
    }
    return release_rlock(w, self) < 0 ? NULL : PyLong_FromUnsignedLongLong(depth);
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

/* ---- semaphores ------------------------------------------------------------------ */

static PyObject *
new_semaphore(PyTypeObject *type, PyObject *args, PyObject *kwargs, bool bounded)
{
    static char *keywords[] = {"value", NULL};
    long long value = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L:Semaphore", keywords, &value)) {
        return NULL;
    }
    if (value < 0) {
        PyErr_SetString(PyExc_ValueError, "semaphore initial value must be >= 0");
        return NULL;
    }
    if ((uint64_t)value > TRT_SEMAPHORE_MAX) {
        PyErr_SetString(PyExc_OverflowError, "semaphore initial value is too large");
        return NULL;
    }
    return permits_new(type, (uint64_t)value,
                       bounded ? (uint64_t)value : TRT_SEMAPHORE_MAX);
}

static PyObject *
semaphore_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    return new_semaphore(type, args, kwargs, false);
}

static PyObject *
bounded_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    return new_semaphore(type, args, kwargs, true);
}

static PyObject *
semaphore_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    return acquire_method(op, args, nargs, kwnames, Py_None, acquire);
}

static PyObject *
semaphore_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return enter_method(op, acquire);
}

static int
release_many(Permits *self, long long n)
{
    for (long long i = 0; i < n; i++) {
        if (!trt_semaphore_release(&self->permits)) {
            PyErr_SetString(PyExc_ValueError, "Semaphore released too many times");
            return -1;
        }
    }
    return 0;
}

static PyObject *
semaphore_release(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"n", NULL};
    Permits *const self = (Permits *)op;
    long long n = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L:release", keywords, &n)) {
        return NULL;
    }
    if (n < 1) {
        PyErr_SetString(PyExc_ValueError, "n must be one or more");
        return NULL;
    }
    /* All or none, as far as one can see. */
    if ((uint64_t)n > self->permits.most - trt_semaphore_permits(&self->permits)) {
        PyErr_SetString(PyExc_ValueError, "Semaphore released too many times");
        return NULL;
    }
    return release_many(self, n) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
semaphore_exit(PyObject *op, PyObject *const *Py_UNUSED(args),
               Py_ssize_t Py_UNUSED(nargs))
{
    return release_many((Permits *)op, 1) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
semaphore_repr(Permits *self)
{
    return PyUnicode_FromFormat(
        "<%s at %p: value=%llu>", Py_TYPE(self)->tp_name, self,
        (unsigned long long)trt_semaphore_permits(&self->permits));
}

static PyObject *
semaphore_value(Permits *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(trt_semaphore_permits(&self->permits));
}

PyDoc_STRVAR(
    semaphore_doc,
    "Semaphore(value=1)\n--\n\n"
    "A count of permits for tasks and threads; a threading.Semaphore that parks "
    "the task.\n\n"
    "Raises ValueError if value is negative. Fair as Lock is.");
PyDoc_STRVAR(bounded_doc, "BoundedSemaphore(value=1)\n--\n\n"
                          "A Semaphore that never has more permits than at first.");
PyDoc_STRVAR(semaphore_acquire_doc,
             "acquire($self, /, blocking=True, timeout=None)\n--\n\n"
             "Take a permit; return whether there was one.\n\n"
             "timeout  seconds to wait at most, None for no limit; only if blocking\n\n"
             "Raises ValueError for a timeout without blocking; Cancelled. A "
             "suspension point and "
             "a\n"
             "checkpoint, unless blocking is false.");
PyDoc_STRVAR(semaphore_release_doc,
             "release($self, /, n=1)\n--\n\n"
             "Give back n permits, and let those go on that wait for one.\n\n"
             "Raises ValueError if n is less than 1, or a bounded one would have too "
             "many; then\n"
             "nothing has changed. Not a suspension point.");

static PyMethodDef semaphore_methods[] = {
    {"acquire", FAST(semaphore_acquire), semaphore_acquire_doc},
    {"release", (PyCFunction)(void (*)(void))semaphore_release,
     METH_VARARGS | METH_KEYWORDS, semaphore_release_doc},
    {"__enter__", semaphore_enter, METH_NOARGS, NULL},
    {"__exit__", EXIT(semaphore_exit), NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef semaphore_getset[] = {
    {"_value", (getter)semaphore_value, NULL, "Permits that are free.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot semaphore_slots[] = {
    {Py_tp_doc, (void *)semaphore_doc}, {Py_tp_new, semaphore_new},
    {Py_tp_dealloc, permits_dealloc},   {Py_tp_repr, semaphore_repr},
    {Py_tp_methods, semaphore_methods}, {Py_tp_getset, semaphore_getset},
    {Py_tp_members, permits_members},   {0, NULL},
};

PyType_Spec semaphore_spec = {
    .name = "taskrt.Semaphore",
    .basicsize = sizeof(Permits),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = semaphore_slots,
};

static PyType_Slot bounded_slots[] = {
    {Py_tp_doc, (void *)bounded_doc},
    {Py_tp_new, bounded_new},
    {0, NULL},
};

PyType_Spec bounded_spec = {
    .name = "taskrt.BoundedSemaphore",
    .basicsize = sizeof(Permits),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = bounded_slots,
};
