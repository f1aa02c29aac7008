/* CancelScope: a block of code that can be asked to end.
 *
 * Scopes form a tree: the parent of a scope is the one that the stack was in when it
 * was entered, or the one that its task was born into. What is in a scope is asked to
 * end when the scope is cancelled or past its deadline, or its parent is, unless a
 * shield is between. That is looked up from the inside to the outside at each
 * checkpoint, so it stays in force (level-triggered, as in Trio); only those that wait
 * at that moment have to be found from the outside, for which each scope lists its
 * children and the waits that are directly in it.
 *
 * Deadlines have no timers of their own. Each wait ends by the earliest deadline that
 * it sees, and whoever meets one that has passed cancels that scope. */
#include "core.h"

#include <structmember.h>

#include <math.h>
#include <stddef.h>

static inline bool
is_late(const ScopeObject *scope)
{
    const uint64_t deadline = trt_load_relaxed(&scope->deadline_ns);
    return deadline != TRT_FOREVER && deadline <= trt_clock_now_ns();
}

/* ---- from the inside to the outside ---------------------------------------------- */

/* The first from `s` outwards that counts. */
static ScopeObject *
skip_abandoned(ScopeObject *s)
{
    while (s && scope_is_abandoned(s)) {
        s = s->parent;
    }
    return s;
}

/* The next outside of `s` that counts for what is in it. */
static ScopeObject *
around(const ScopeObject *s)
{
    return s->shield ? NULL : skip_abandoned(s->parent);
}

bool
scope_cancel_called(const ScopeObject *scope)
{
    return scope_was_cancelled(scope) || is_late(scope);
}

bool
scope_is_cancelled(ScopeObject *scope, const ScopeObject *base, bool late_too,
                   bool *shielded)
{
    bool in_task = true;
    *shielded = false;
    for (ScopeObject *s = scope; s; s = s->parent) {
        in_task = in_task && s != base;
        if (scope_is_abandoned(s)) {
            continue;
        }
        if (scope_was_cancelled(s) || trt_load_relaxed(&s->asked) ||
            (late_too && is_late(s))) {
            return true;
        }
        if (s->shield) {
            *shielded = in_task;
            break;
        }
    }
    return false;
}

PyObject *
scope_reason(ScopeObject *scope)
{
    for (ScopeObject *s = skip_abandoned(scope); s; s = around(s)) {
        if (scope_was_cancelled(s)) {
            return trt_load_acquire(&s->reason);
        }
    }
    return NULL;
}

uint64_t
scope_deadline(ScopeObject *scope)
{
    uint64_t earliest = TRT_FOREVER;
    for (ScopeObject *s = skip_abandoned(scope); s; s = around(s)) {
        const uint64_t deadline = trt_load_relaxed(&s->deadline_ns);
        earliest = deadline < earliest ? deadline : earliest;
    }
    return earliest;
}

bool
scope_covers(const ScopeObject *scope, ScopeObject *inner)
{
    for (const ScopeObject *s = skip_abandoned(inner); s; s = around(s)) {
        if (s == scope) {
            return true;
        }
    }
    return false;
}

bool
scope_binds_slow(ScopeObject *scope, ScopeObject *inner)
{
    for (ScopeObject *s = skip_abandoned(scope); s; s = around(s)) {
        if (trt_load_relaxed(&s->deadline_ns) != TRT_FOREVER &&
            !scope_covers(s, inner)) {
            return false;
        }
    }
    return true;
}

/* ---- from the outside to the inside ---------------------------------------------- */

static ScopeObject *
skip_shields(ScopeObject *s)
{
    while (s && s->shield && !scope_is_abandoned(s)) {
        s = s->next;
    }
    return s;
}

/* The scope after `s` in the tree below `top`, itself and its children before its
 * siblings; what a shield protects is left out. Caller holds core->waits. */
static ScopeObject *
next_in_tree_locked(const ScopeObject *top, const ScopeObject *s)
{
    ScopeObject *next = skip_shields(s->first_child);
    for (; !next && s != top; s = s->parent) {
        next = skip_shields(s->next);
    }
    return next;
}

/* Decide all waits in a scope and below. Those to be delivered, before `decided`. */
static Wait *
decide_waits_locked(ScopeObject *top, wake_reason reason, Wait *decided)
{
    for (ScopeObject *s = top; s; s = next_in_tree_locked(top, s)) {
        for (Wait *wait = s->first_wait; wait; wait = wait->next_in_scope) {
            if (wait == wait->fiber->wait && wait_decide_locked(wait->fiber, reason)) {
                wait->next_decided = decided;
                decided = wait;
            }
        }
    }
    return decided;
}

Wait *
scope_ask_locked(TaskObject *task)
{
    ScopeObject *const scope = task->entered;
    if (!scope || scope->shield || trt_load_relaxed(&scope->asked)) {
        return NULL;
    }
    trt_store_seq_cst(&scope->asked, 1);
    native_cancel_scope_locked(scope);
    return decide_waits_locked(scope, WAKE_CANCELLED, NULL);
}

static void
wake_all(ScopeObject *scope, wake_reason reason)
{
    trt_mutex_lock(&core->waits);
    Wait *const decided = decide_waits_locked(scope, reason, NULL);
    if (reason == WAKE_CANCELLED) {
        native_cancel_scope_locked(scope);
    }
    trt_mutex_unlock(&core->waits);
    wait_deliver_all(decided);
}

void
scope_cancel(ScopeObject *scope, PyObject *reason)
{
    PyObject *none = NULL;
    if (reason && !scope_was_cancelled(scope)) {
        Py_INCREF(reason);
        if (!trt_cas_acq_rel(&scope->reason, &none, reason)) {
            Py_DECREF(reason);
        }
    }
    if (!trt_exchange_seq_cst(&scope->cancelled, 1)) { /* [cancel-wait] */
        wake_all(scope, WAKE_CANCELLED);
    }
}

void
scope_fail(ScopeObject *scope)
{
    if (scope->ends_on_failure) {
        scope_cancel(scope, NULL);
    }
}

/* _cancel_on_failure(scope): have it cancelled by the first task born into it that
 * fails. Before there is one. */
PyObject *
core_cancel_on_failure(PyObject *Py_UNUSED(module), PyObject *scope)
{
    if (!Py_IS_TYPE(scope, core->scope_type)) {
        PyErr_SetString(PyExc_TypeError, "_cancel_on_failure() takes a CancelScope");
        return NULL;
    }
    ((ScopeObject *)scope)->ends_on_failure = true;
    Py_RETURN_NONE;
}

void
scope_expire(ScopeObject *scope)
{
    for (ScopeObject *s = skip_abandoned(scope); s; s = around(s)) {
        if (is_late(s)) {
            scope_cancel(s, NULL);
        }
    }
}

void
scope_expire_locked(ScopeObject *scope, Wait **decided)
{
    for (ScopeObject *s = skip_abandoned(scope); s; s = around(s)) {
        if (is_late(s) && !trt_exchange_seq_cst(&s->cancelled, 1)) { /* [cancel-wait] */
            *decided = decide_waits_locked(s, WAKE_CANCELLED, *decided);
            native_cancel_scope_locked(s);
        }
    }
}

void
scope_add_wait_locked(ScopeObject *scope, Wait *wait)
{
    wait->scope = scope;
    wait->previous_in_scope = NULL;
    wait->next_in_scope = NULL;
    if (scope) {
        wait->next_in_scope = scope->first_wait;
        if (scope->first_wait) {
            scope->first_wait->previous_in_scope = wait;
        }
        scope->first_wait = wait;
    }
}

void
scope_remove_wait_locked(Wait *wait)
{
    if (!wait->scope) {
        return;
    }
    *(wait->previous_in_scope ? &wait->previous_in_scope->next_in_scope
                              : &wait->scope->first_wait) = wait->next_in_scope;
    if (wait->next_in_scope) {
        wait->next_in_scope->previous_in_scope = wait->previous_in_scope;
    }
}

/* ---- the type -------------------------------------------------------------------- */

/* A time on the clock of time.monotonic(), or None for never. 0 or −1. */
static int
deadline_from(PyObject *op, uint64_t *deadline_ns)
{
    *deadline_ns = TRT_FOREVER;
    if (op == Py_None) {
        return 0;
    }
    const double seconds = PyFloat_AsDouble(op);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError,
                         "deadline must be a time of time.monotonic() or None, not "
                         "'%.100s'",
                         Py_TYPE(op)->tp_name);
        }
        return -1;
    }
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError, "deadline must not be NaN");
        return -1;
    }
    if (seconds < 1e10) { /* 300 years */
        *deadline_ns = seconds > 0 ? (uint64_t)(seconds * 1e9) : 0;
    }
    return 0;
}

static PyObject *
scope_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"deadline", "shield", NULL};
    PyObject *deadline = Py_None;
    int shield = 0;
    uint64_t deadline_ns;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$Op:CancelScope", keywords,
                                     &deadline, &shield) ||
        deadline_from(deadline, &deadline_ns) < 0) {
        return NULL;
    }
    ScopeObject *const self = (ScopeObject *)type->tp_alloc(type, 0);
    if (self) {
        trt_store_relaxed(&self->deadline_ns, deadline_ns);
        self->shield = shield;
    }
    return (PyObject *)self;
}

static int
scope_traverse(ScopeObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(trt_load_relaxed(&self->reason));
    Py_VISIT(self->parent);
    Py_VISIT(self->limit);
    return 0;
}

static int
scope_clear(ScopeObject *self)
{
    PyObject *const reason = trt_load_relaxed(&self->reason);
    trt_store_relaxed(&self->reason, NULL);
    Py_XDECREF(reason);
    return 0;
}

static void
scope_dealloc(ScopeObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, scope_dealloc) if (self->weakrefs)
    {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    scope_clear(self);
    Py_CLEAR(self->parent);
    Py_CLEAR(self->limit);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyObject *
scope_cancel_method(ScopeObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"reason", NULL};
    PyObject *reason = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:cancel", keywords, &reason)) {
        return NULL;
    }
    scope_cancel(self, reason == Py_None ? NULL : reason);
    Py_RETURN_NONE;
}

static PyObject *
scope_get_deadline(ScopeObject *self, void *Py_UNUSED(closure))
{
    const uint64_t deadline = trt_load_relaxed(&self->deadline_ns);
    if (deadline == TRT_FOREVER) {
        Py_RETURN_NONE;
    }
    return PyFloat_FromDouble((double)deadline * 1e-9);
}

static int
scope_set_deadline(ScopeObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    uint64_t deadline_ns;
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "deadline cannot be deleted");
        return -1;
    }
    if (deadline_from(value, &deadline_ns) < 0) {
        return -1;
    }
    const uint64_t before = trt_load_relaxed(&self->deadline_ns);
    trt_store_seq_cst(&self->deadline_ns, deadline_ns);
    if (deadline_ns < before) {
        /* Who waits there takes the new one to bed. Who is on the way there looks for
         * it under the lock, as enter_wait does. */
        wake_all(self, WAKE_SIGNAL);
        return native_set_deadline(native_deadline_in(self));
    }
    return 0;
}

static PyObject *
scope_get_shield(ScopeObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->shield);
}

static PyObject *
scope_get_cancel_called(ScopeObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(scope_cancel_called(self));
}

static PyObject *
scope_get_cancelled_caught(ScopeObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->caught);
}

PyDoc_STRVAR(
    scope_doc,
    "CancelScope(*, deadline=None, shield=False)\n--\n\n"
    "A block of code that can be asked to end: with CancelScope() as scope.\n\n"
    "deadline  a time of time.monotonic() at which that happens by itself, or None\n"
    "shield    whether code inside is not told when a scope around it, or its task, is "
    "cancelled\n\n"
    "Once it is cancelled, each checkpoint inside raises Cancelled, also in tasks of "
    "groups that\n"
    "were opened inside, and waits end. The block that was cancelled ends without an "
    "error when\n"
    "Cancelled reaches it, unless somebody further out has asked too. Entered once. A "
    "with-block\n"
    "is no suspension point. Source: Trio's cancel scopes, N. J. Smith, 2018.\n\n"
    ">>> from taskrt import CancelScope, sleep\n"
    ">>> with CancelScope() as scope:\n"
    "...     scope.cancel()\n"
    "...     sleep(60)\n"
    ">>> scope.cancelled_caught\n"
    "True");
PyDoc_STRVAR(scope_cancel_doc,
             "cancel($self, /, reason=None)\n--\n\n"
             "Ask the code in the scope to end; may be called by anybody, at any time, "
             "again.\n\n"
             "The first reason is the argument of Cancelled. Not a suspension point.");

static PyMethodDef scope_methods[] = {
    {"cancel", (PyCFunction)(void (*)(void))scope_cancel_method,
     METH_VARARGS | METH_KEYWORDS, scope_cancel_doc},
    {"__enter__", scope_enter_method, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))scope_exit_method, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef scope_getset[] = {
    {"deadline", (getter)scope_get_deadline, (setter)scope_set_deadline,
     "When it is cancelled by itself, by time.monotonic(); None: never. May be set.",
     NULL},
    {"shield", (getter)scope_get_shield, NULL, "As given.", NULL},
    {"cancel_called", (getter)scope_get_cancel_called, NULL,
     "Whether it was cancelled, or its deadline has passed.", NULL},
    {"cancelled_caught", (getter)scope_get_cancelled_caught, NULL,
     "Whether the block was ended by a Cancelled that was the scope's own.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef scope_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ScopeObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot scope_slots[] = {
    {Py_tp_doc, (void *)scope_doc},
    {Py_tp_new, scope_new},
    {Py_tp_methods, scope_methods},
    {Py_tp_getset, scope_getset},
    {Py_tp_traverse, scope_traverse},
    {Py_tp_clear, scope_clear},
    {Py_tp_dealloc, scope_dealloc},
    {Py_tp_members, scope_members},
    {0, NULL},
};

PyType_Spec scope_spec = {
    .name = "taskrt.CancelScope",
    .basicsize = sizeof(ScopeObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scope_slots,
};
