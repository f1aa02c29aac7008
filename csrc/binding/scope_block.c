/* The block of a CancelScope: entering it and leaving it.
 *
 * A stack is in the scopes from fiber->scope outwards. It leaves them in the order of
 * with statements, but for generators and greenlets of the program's own, which take
 * theirs with them: so each leave takes out what was entered later, and a scope that is
 * left from elsewhere is marked as abandoned and taken out when its stack comes by. A
 * scope that stayed would end every later wait of that stack once it is cancelled. */
#include "core.h"

/* Whether the stack is in a wait within `scope`, of which this is a handler. */
static bool
waits_in(const Fiber *fiber, const ScopeObject *scope)
{
    bool found = false;
    if (fiber->wait) {
        trt_mutex_lock(&core->waits);
        for (const Wait *wait = fiber->wait; wait && !found; wait = wait->outer) {
            found = wait->scope == scope;
        }
        trt_mutex_unlock(&core->waits);
    }
    return found;
}

/* Whether `self` is one of those that what runs on the fiber now has entered. */
static bool
can_leave(const Fiber *fiber, const ScopeObject *self)
{
    const ScopeObject *const base = fiber->task ? fiber->task->scope : NULL;
    const ScopeObject *s = fiber->scope;
    for (; s && s != base && !waits_in(fiber, s); s = s->parent) {
        if (s == self) {
            return true;
        }
    }
    return false;
}

static void
link_scope(Fiber *fiber, ScopeObject *scope)
{
    ScopeObject *const parent = fiber->scope;
    scope->generation = trt_load_relaxed(&core->generation);
    scope->parent = (ScopeObject *)Py_XNewRef((PyObject *)parent);
    trt_store_relaxed(&scope->fiber, fiber);
    TaskObject *const task = fiber->task;
    trt_mutex_lock(&core->waits);
    if (task && !task->entered) {
        task->entered = scope;
        if (!scope->shield && task_flag(task, TRT_TASK_CANCEL_REQUESTED)) {
            trt_store_relaxed(&scope->asked, 1);
        }
    }
    if (parent) {
        scope->next = parent->first_child;
        if (scope->next) {
            scope->next->previous = scope;
        }
        parent->first_child = scope;
    }
    trt_mutex_unlock(&core->waits);
    fiber->scope = (ScopeObject *)Py_NewRef((PyObject *)scope);
}

/* The innermost one. The caller gets its reference. */
static ScopeObject *
unlink_scope(Fiber *fiber)
{
    ScopeObject *const scope = fiber->scope, *const parent = scope->parent;
    TaskObject *const task = fiber->task;
    trt_mutex_lock(&core->waits);
    if (task && task->entered == scope) {
        task->entered = NULL;
    }
    if (parent) {
        *(scope->previous ? &scope->previous->next : &parent->first_child) =
            scope->next;
        if (scope->next) {
            scope->next->previous = scope->previous;
        }
    }
    scope->next = scope->previous = NULL;
    trt_mutex_unlock(&core->waits);
    fiber->scope = parent;
    trt_store_relaxed(&scope->fiber, NULL);
    return scope;
}

void
scope_unwind_slow(Fiber *fiber, ScopeObject *base)
{
    const ScopeObject *s = fiber->scope;
    while (s && s != base) {
        s = s->parent;
    }
    /* Otherwise a task on top, which user code has left in the middle by a greenlet of
     * its own, has put its own scope there. */
    while (s == base && fiber->scope != base) {
        ScopeObject *const scope = unlink_scope(fiber);
        Py_DECREF(scope);
    }
}

/* Take out the innermost ones that others have left, so that they do not pile up. */
static void
drop_abandoned(Fiber *fiber)
{
    while (fiber->scope && scope_is_abandoned(fiber->scope) &&
           can_leave(fiber, fiber->scope)) {
        ScopeObject *const scope = unlink_scope(fiber);
        Py_DECREF(scope);
    }
}

int
scope_enter(ScopeObject *self)
{
    Worker *const w = worker_self();
    if (!w) {
        return -1;
    }
    if (trt_exchange_seq_cst(&self->entered, 1)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a CancelScope can be entered once: make a new one");
        return -1;
    }
    drop_abandoned(w->current);
    link_scope(w->current, self);
    return 0;
}

/* Say that it was not left as it should be. 0: in a note; −1: by an error. */
static int
complain(PyObject *error)
{
    static const char text[] =
        "a CancelScope is left by the task that has entered it, the innermost first; "
        "do not yield inside of one in a generator";
    if (!error) {
        PyErr_SetString(PyExc_RuntimeError, text);
        return -1;
    }
    PyObject *const note = PyUnicode_FromString(text);
    PyObject *const done =
        note ? PyObject_CallMethodOneArg(error, core->str.add_note, note) : NULL;
    Py_XDECREF(done);
    Py_XDECREF(note);
    PyErr_Clear();
    return 0;
}

/* Whether the scope takes Cancelled: it has asked for it, and nobody outside has. */
static bool
has_asked(ScopeObject *self, Fiber *fiber)
{
    scope_expire(self); /* so that a deadline that has passed stays so */
    return scope_was_cancelled(self) && (self->shield || !wait_cancel_requested(fiber));
}

/* What becomes of an error in the block of a scope that takes Cancelled; as
 * scope_leave. */
static int
take(ScopeObject *self, PyObject *error)
{
    PyObject *rest = NULL;
    if (PyErr_GivenExceptionMatches(error, PyExc_BaseExceptionGroup)) {
        if (wait_split_cancelled(error, &rest) < 0) {
            return -1;
        }
    } else if (!PyErr_GivenExceptionMatches(error, core->cancelled)) {
        return 0;
    }
    if (rest == error) {
        Py_DECREF(rest);
        return 0;
    }
    self->caught = true;
    if (rest) {
        trt_py_set_error(rest);
        return -1;
    }
    return 1;
}

int
scope_leave(ScopeObject *self, PyObject *error, bool takes)
{
    Worker *const w = worker_current;
    Fiber *const fiber = trt_load_relaxed(&self->fiber);
    if (fiber && self->generation != trt_load_relaxed(&core->generation)) {
        return 0; /* a fork's child, where nobody is in a scope any more */
    }
    if (!fiber || !w || fiber != w->current || !can_leave(fiber, self)) {
        if (fiber) {
            trt_store_relaxed(&self->abandoned, 1);
        }
        return complain(error);
    }
    drop_abandoned(fiber);
    if (fiber->scope != self) { /* or this one has been abandoned before */
        if (trt_load_relaxed(&self->fiber)) {
            scope_unwind(fiber, self->parent);
        }
        return complain(error);
    }
    ScopeObject *const scope = unlink_scope(fiber);
    const int taken = error && takes && has_asked(self, fiber) ? take(self, error) : 0;
    Py_DECREF(scope);
    return taken;
}

/* ---- its methods ----------------------------------------------------------------- */

PyObject *
scope_enter_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return scope_enter((ScopeObject *)self) < 0 ? NULL : Py_NewRef(self);
}

/* Raise TimeoutError: the block was ended by its limit. */
static void
raise_late(PyObject *limit)
{
    PyObject *const text =
        limit == Py_None
            ? PyUnicode_FromString("the block was not done at its deadline")
            : PyUnicode_FromFormat("the block was not done after %S seconds", limit);
    PyObject *const error = text ? PyObject_CallOneArg(PyExc_TimeoutError, text) : NULL;
    Py_XDECREF(text);
    if (error) {
        PyException_SetCause(error, NULL); /* from None */
        trt_py_set_error(error);
    }
}

PyObject *
scope_exit_method(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    ScopeObject *const self = (ScopeObject *)op;
    if (nargs != 3) {
        PyErr_SetString(PyExc_TypeError, "__exit__() takes 3 arguments");
        return NULL;
    }
    PyObject *const error = args[1] == Py_None ? NULL : args[1];
    const int taken = scope_leave(self, error, true);
    if (taken > 0 && self->limit) {
        raise_late(self->limit);
        return NULL;
    }
    return taken < 0 ? NULL : PyBool_FromLong(taken);
}

PyObject *
core_raise_when_caught(PyObject *Py_UNUSED(module), PyObject *const *args,
                       Py_ssize_t nargs)
{
    if (nargs != 2 || !Py_IS_TYPE(args[0], core->scope_type)) {
        PyErr_SetString(PyExc_TypeError,
                        "_raise_when_caught() takes a CancelScope and seconds");
        return NULL;
    }
    ScopeObject *const self = (ScopeObject *)args[0];
    Py_XSETREF(self->limit, Py_NewRef(args[1]));
    Py_RETURN_NONE;
}
