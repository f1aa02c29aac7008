/* What a Condition does in one step, so that a signal handler can raise before it or
 * after it, but not in it: to wait, and to notify.
 *
 * The lock may be of any kind, and who waits is in a deque of Waiters. Both are used by
 * their methods; those written in C run no Python code, so no handler either, but where
 * they wait. */
#include "sync.h"

/* How the lock is given up and taken back. */
enum {
    LOCK_PLAIN, /* release(), acquire() */
    LOCK_SAVES, /* _release_save(), _acquire_restore() */
    LOCK_OURS,  /* the same, and it is an RLock of taskrt */
};

/* A caller that has given up the lock. */
typedef struct Absence {
    PyObject *condition, *lock; /* borrowed */
    long how;
    PyObject *saved; /* owned */
} Absence;

/* object.name(argument), or without if that is NULL. */
static PyObject *
call(PyObject *object, const char *name, PyObject *argument)
{
    PyObject *const method = PyUnicode_InternFromString(name);
    PyObject *const result =
        method ? PyObject_CallMethodObjArgs(object, method, argument, NULL) : NULL;
    Py_XDECREF(method);
    return result;
}

/* The same for its effect. */
static bool
call_succeeds(PyObject *object, const char *name, PyObject *argument)
{
    PyObject *const result = call(object, name, argument);
    Py_XDECREF(result);
    return result != NULL;
}

static bool
acquire(const Absence *self)
{
    return self->how == LOCK_PLAIN
               ? call_succeeds(self->lock, "acquire", NULL)
               : call_succeeds(self->lock, "_acquire_restore", self->saved);
}

/* Take the lock back whatever is cancelled. NULL: taken; or the error, owned. */
static PyObject *
acquire_shielded(const Absence *self)
{
    PyObject *const options = Py_BuildValue("{s:O}", "shield", Py_True);
    PyObject *const none = options ? PyTuple_New(0) : NULL;
    PyObject *const scope =
        none ? PyObject_Call((PyObject *)core->scope_type, none, options) : NULL;
    Py_XDECREF(none);
    Py_XDECREF(options);
    PyObject *error = NULL;
    if (!scope || !call_succeeds(scope, "__enter__", NULL)) {
        error = trt_py_take_error();
    } else {
        error = acquire(self) ? NULL : trt_py_take_error();
        PyObject *const type = error ? (PyObject *)Py_TYPE(error) : Py_None;
        PyObject *const left =
            PyObject_CallMethod(scope, "__exit__", "OOO", type, error ? error : Py_None,
                                Py_None); /* absorbs nothing */
        if (!left) {
            Py_XSETREF(error, trt_py_take_error());
        }
        Py_XDECREF(left);
    }
    Py_XDECREF(scope);
    return error;
}

/* Have the with-blocks that the error leaves know that the lock is not theirs. */
static void
forfeit(const Absence *self, PyObject *error)
{
    if (PyObject_SetAttrString(error, "_without", self->condition) < 0) {
        PyErr_WriteUnraisable(self->condition);
    }
}

static bool
try_acquire(const Absence *self)
{
    PyObject *const result = call(self->lock, "acquire", Py_False);
    const int taken = result ? PyObject_IsTrue(result) : -1;
    Py_XDECREF(result);
    if (taken > 0 && self->how == LOCK_OURS) {
        (void)call_succeeds(self->lock, "_acquire_restore", self->saved); /* depth */
    }
    PyErr_Clear();
    return taken > 0;
}

/* Take the lock back whatever comes. What has come, to be raised, owned; or NULL. */
static PyObject *
take_back(const Absence *self)
{
    PyObject *late = NULL;
    for (;;) {
        PyObject *const error = acquire_shielded(self);
        if (!error) {
            return late;
        }
        const bool exits = PyErr_GivenExceptionMatches(error, core->cancelled);
        if (!exits && !late) {
            late = error;
            continue;
        }
        /* The process exits, which no shield keeps out and nothing waits for; or Ctrl-C
         * was pressed twice. */
        if (!exits || !try_acquire(self)) {
            forfeit(self, error);
        }
        Py_XDECREF(late);
        return error;
    }
}

/* Give the lock up, park, take it back. What is to be raised, owned, or NULL. */
static PyObject *
park_without_lock(Absence *self, PyObject *waiter, PyObject *timeout)
{
    self->saved =
        call(self->lock, self->how == LOCK_PLAIN ? "release" : "_release_save", NULL);
    if (!self->saved) {
        return trt_py_take_error();
    }
    PyObject *const parked =
        PyObject_CallMethod(waiter, "_park", "OO", timeout, self->condition);
    PyObject *error = parked ? NULL : trt_py_take_error();
    Py_XDECREF(parked);
    PyObject *const late = take_back(self);
    if (late) {
        Py_XSETREF(error, late);
    }
    Py_CLEAR(self->saved);
    return error;
}

/* Let up to `n` of those that wait go on. */
static void
wake(PyObject *waiters, Py_ssize_t n)
{
    while (n-- > 0) {
        PyObject *const waiter = call(waiters, "popleft", NULL);
        if (!waiter) {
            PyErr_Clear(); /* that were all */
            return;
        }
        (void)waiter_wake(waiter);
        Py_DECREF(waiter);
    }
}

/* _condition_wait(condition, lock, how, waiters, timeout): whether it was notified, and
 * not out of time. */
PyObject *
core_condition_wait(PyObject *Py_UNUSED(module), PyObject *const *args,
                    Py_ssize_t nargs)
{
    if (nargs != 5) {
        PyErr_SetString(PyExc_TypeError, "expected 5 arguments");
        return NULL;
    }
    Absence self = {
        .condition = args[0], .lock = args[1], .how = PyLong_AsLong(args[2])};
    PyObject *const waiters = args[3];
    if (self.how == -1 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *const waiter = PyObject_CallNoArgs((PyObject *)core->waiter_type);
    if (!waiter || !call_succeeds(waiters, "append", waiter)) {
        Py_XDECREF(waiter);
        return NULL;
    }
    PyObject *const error = park_without_lock(&self, waiter, args[4]);
    /* Under the lock: who is in still was not notified, whatever has ended the wait. */
    const bool notified = !call_succeeds(waiters, "remove", waiter);
    PyErr_Clear();
    Py_DECREF(waiter);
    if (!error) {
        return PyBool_FromLong(notified);
    }
    if (notified) {
        wake(waiters, 1);
    }
    trt_py_set_error(error);
    return NULL;
}

/* _condition_wake(waiters, n): let up to n go on. */
PyObject *
core_condition_wake(PyObject *Py_UNUSED(module), PyObject *const *args,
                    Py_ssize_t nargs)
{
    const Py_ssize_t n = nargs == 2 ? PyNumber_AsSsize_t(args[1], NULL) : -1;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "expected 2 arguments");
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    wake(args[0], n);
    Py_RETURN_NONE;
}
