/* A family: tasks that end before a block does. Groups, join and race are made of it.
 *
 * In C, since an interrupt is raised between any two calls of a Python function: here a
 * scope that was entered is left, and a task that was spawned is waited for, whatever
 * comes when. The lock is for threads only: after a fork the child, where the block
 * counts no more, takes it no more, since another thread may have had it. */
#include "family.h"

/* ---- spawning -------------------------------------------------------------------- */

/* Gives a permit back when a child has ended. */
typedef struct Return {
    trt_waiter base;
    Permits *permits; /* owned */
} Return;

static void
return_wake(trt_waiter *waiter)
{
    Return *const self = (Return *)waiter;
    trt_semaphore_release(&self->permits->permits);
    Py_DECREF(self->permits);
    free(self);
}

/* Have the task that is made next give back the permit that was taken for it. */
static Return *
take_permit(FamilyObject *self)
{
    Worker *const w = worker_self();
    Return *const node = w ? malloc(sizeof *node) : NULL;
    if (!node) {
        return w ? (Return *)PyErr_NoMemory() : NULL;
    }
    if (permits_acquire(w, self->permits, TRT_FOREVER) < 0) {
        free(node);
        return NULL;
    }
    trt_waiter_init(&node->base, return_wake);
    node->permits = (Permits *)Py_NewRef((PyObject *)self->permits);
    return node;
}

/* _adopt(fn, /, *args, **kwargs): spawn a child. */
static PyObject *
family_adopt(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    FamilyObject *const self = (FamilyObject *)op;
    Worker *w;
    Return *node = NULL;
    if (is_parents(self)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot spawn into a group of the parent process: make a new "
                        "one in this one");
        return NULL;
    }
    if (self->permits) {
        node = take_permit(self);
        if (!node) {
            return NULL;
        }
    }
    TaskObject *const task = spawn_born(&w, self->scope, args, nargs, kwnames);
    if (!task) {
        if (node) {
            return_wake(&node->base);
        }
        return NULL;
    }
    if (node) {
        trt_waiters_add(&task->base.waiters, &node->base); /* open: nobody knows it */
    }
    if (children_record(self, task) < 0) {
        spawn_give_up(task);
        return NULL;
    }
    if (spawn_enqueue(w, task) < 0) {
        Py_DECREF(task);
        return NULL;
    }
    return (PyObject *)task;
}

/* ---- the block ------------------------------------------------------------------- */

/* _is_around(): whether the caller is one of its tasks, or called by one. Such a one
 * cannot be the block that waits for them; scopes would be around each other. */
static PyObject *
family_is_around(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    const ScopeObject *scope = w->current->scope;
    while (scope && scope != ((FamilyObject *)op)->scope) {
        scope = scope->parent;
    }
    return PyBool_FromLong(scope != NULL);
}

static PyObject *
family_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    FamilyObject *const self = (FamilyObject *)op;
    if (trt_load_relaxed(&self->scope->entered)) {
        return PyErr_Format(PyExc_RuntimeError,
                            "a %s can be entered once: make a new one",
                            Py_TYPE(op)->tp_name);
    }
    self->generation = trt_load_relaxed(&core->generation);
    return scope_enter(self->scope) < 0 ? NULL : Py_NewRef(op);
}

/* Wait for who is there, then for who was spawned meanwhile, then close. 0; −1 with an
 * error set if that was cut short. */
static int
wait_for_all(FamilyObject *self)
{
    for (;;) {
        size_t count;
        PyObject **const tasks = children_living(self, &count);
        if (!tasks) {
            return -1;
        }
        PyObject *const waited =
            count ? core_wait(NULL, tasks, (Py_ssize_t)count, NULL) : NULL;
        children_drop(tasks, count);
        if (!waited) {
            return count ? -1 : 0;
        }
        Py_DECREF(waited);
    }
}

/* The same, whatever is around has been asked to. */
static int
wait_shielded(FamilyObject *self)
{
    PyObject *const args = PyTuple_New(0);
    PyObject *const options = Py_BuildValue("{s:O}", "shield", Py_True);
    PyObject *const shield =
        args && options ? PyObject_Call((PyObject *)core->scope_type, args, options)
                        : NULL;
    Py_XDECREF(args);
    Py_XDECREF(options);
    if (!shield || scope_enter((ScopeObject *)shield) < 0) {
        Py_XDECREF(shield);
        return -1;
    }
    const int status = wait_for_all(self);
    PyObject *const error = status < 0 ? trt_py_take_error() : NULL;
    const int left = scope_leave((ScopeObject *)shield, error, false);
    Py_DECREF(shield);
    if (error) {
        trt_py_set_error(error);
    }
    return error || left < 0 ? -1 : 0;
}

/* What Cancelled was told, borrowed; or NULL. */
static PyObject *
reason_of(PyObject *cancelled)
{
    PyObject *const args = ((PyBaseExceptionObject *)cancelled)->args;
    return args && PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : NULL;
}

/* Cancel the children because of `failure`, and wait for them all the same, until a
 * second interrupt. What the block is to be left with: takes and returns a reference.
 */
static PyObject *
cut_short(FamilyObject *self, PyObject *failure)
{
    const bool is_request = PyErr_GivenExceptionMatches(failure, core->cancelled);
    bool interrupted =
        !is_request && !PyErr_GivenExceptionMatches(failure, PyExc_Exception);
    scope_cancel(self->scope, is_request ? reason_of(failure) : NULL);
    while (wait_shielded(self) < 0) {
        PyObject *const error = trt_py_take_error();
        if (PyErr_GivenExceptionMatches(error, core->cancelled) ||
            PyErr_GivenExceptionMatches(error, core->lost_error)) {
            Py_DECREF(error); /* the process ends, or has forked */
            return failure;
        }
        Py_SETREF(failure, error);
        if (interrupted) {
            return failure;
        }
        interrupted = true;
    }
    return failure;
}

/* Wait until all children have ended, come what may. What the block is to be left with,
 * without the children's own errors: a new reference, or NULL. `*takes`: whether the
 * scope is to see it, since it was cancelled by somebody else than this. */
static PyObject *
wait_out(FamilyObject *self, PyObject *error, bool *takes)
{
    PyObject *failure = Py_XNewRef(error);
    *takes = false;
    if (!failure) {
        /* Of a request that has ended a child that ran here, as a call, the wait has
         * heard nothing. */
        if (wait_for_all(self) == 0 && wait_checkpoint(worker_current->current) == 0) {
            return NULL;
        }
        failure = trt_py_take_error();
        if (PyErr_GivenExceptionMatches(failure, core->lost_error)) {
            Py_DECREF(failure); /* in a forked child, where there are no tasks */
            return NULL;
        }
    }
    *takes = scope_cancel_called(self->scope);
    return cut_short(self, failure);
}

/* Note on an error who is not waited for any longer. */
static void
note_left(PyObject *error, PyObject **tasks, size_t count)
{
    PyObject *const names = PyList_New(0);
    for (size_t i = 0; names && i < count && i < 8; i++) {
        PyObject *const name = task_name((TaskObject *)tasks[i]);
        if (name) {
            PyList_Append(names, name);
        }
        Py_XDECREF(name);
    }
    PyObject *const comma = PyUnicode_FromString(", ");
    PyObject *const list = names && comma ? PyUnicode_Join(comma, names) : NULL;
    PyObject *const note = list
                               ? PyUnicode_FromFormat("not waited for any longer: %U%s",
                                                      list, count > 8 ? ", ..." : "")
                               : NULL;
    PyObject *const done =
        note ? PyObject_CallMethodOneArg(error, core->str.add_note, note) : NULL;
    Py_XDECREF(done);
    Py_XDECREF(note);
    Py_XDECREF(list);
    Py_XDECREF(comma);
    Py_XDECREF(names);
    PyErr_Clear();
}

static void
close_family(FamilyObject *self, PyObject *failure)
{
    size_t count = 0;
    PyObject **const left = failure ? children_living(self, &count) : NULL;
    trt_mutex_lock(&self->lock);
    self->closed = true;
    trt_mutex_unlock(&self->lock);
    if (count) {
        note_left(failure, left, count);
    }
    if (left) {
        children_drop(left, count);
    }
    PyErr_Clear(); /* of memory: then there is no note */
}

/* Let a subclass say what the block is left with, see _outcome. Takes a reference or
 * NULL, returns one. */
static PyObject *
outcome_of(PyObject *self, PyObject *failure)
{
    if (Py_IS_TYPE(self, core->family_type)) {
        return failure;
    }
    PyObject *const outcome =
        PyObject_CallMethod(self, "_outcome", "O", failure ? failure : Py_None);
    Py_XDECREF(failure);
    if (!outcome) {
        return trt_py_take_error();
    }
    if (outcome == Py_None) {
        Py_DECREF(outcome);
        return NULL;
    }
    return outcome;
}

static PyObject *
family_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    FamilyObject *const self = (FamilyObject *)op;
    if (nargs != 3) {
        PyErr_SetString(PyExc_TypeError, "__exit__() takes 3 arguments");
        return NULL;
    }
    if (is_parents(self)) {
        self->closed = true; /* nobody is in the block any more */
        Py_RETURN_FALSE;
    }
    if (!worker_self()) {
        return NULL;
    }
    PyObject *const error = args[1] == Py_None ? NULL : args[1];
    bool takes;
    PyObject *const failure = wait_out(self, error, &takes);
    close_family(self, failure);
    PyObject *const outcome = outcome_of(op, failure);
    const int taken = scope_leave(self->scope, outcome, takes);
    if (taken != 0 || !outcome || outcome == error) {
        Py_XDECREF(outcome);
        return taken < 0 ? NULL : PyBool_FromLong(taken);
    }
    PyException_SetCause(outcome, NULL); /* from None */
    trt_py_set_error(outcome);
    return NULL;
}

/* ---- the type -------------------------------------------------------------------- */

/* Arguments are a subclass's. */
static PyObject *
family_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    FamilyObject *const self = (FamilyObject *)type->tp_alloc(type, 0);
    if (!self) {
        return NULL;
    }
    trt_mutex_init(&self->lock);
    self->generation = trt_load_relaxed(&core->generation);
    self->scope = (ScopeObject *)PyObject_CallNoArgs((PyObject *)core->scope_type);
    if (!self->scope) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* _limit_by(semaphore): each child has one of its permits. Before the block. */
static PyObject *
family_limit_by(PyObject *op, PyObject *semaphore)
{
    if (!Py_IS_TYPE(semaphore, core->semaphore_type)) {
        PyErr_SetString(PyExc_TypeError, "_limit_by() takes a Semaphore");
        return NULL;
    }
    Py_XSETREF(((FamilyObject *)op)->permits, (Permits *)Py_NewRef(semaphore));
    Py_RETURN_NONE;
}

static int
family_traverse(FamilyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->scope);
    for (size_t i = 0; i < self->count; i++) {
        Py_VISIT(self->children[i].what);
    }
    return 0;
}

static int
family_clear(FamilyObject *self)
{
    while (self->count > 0) {
        Py_DECREF(self->children[--self->count].what);
    }
    return 0;
}

static void
family_dealloc(FamilyObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    family_clear(self);
    free(self->children);
    Py_CLEAR(self->scope);
    Py_CLEAR(self->permits);
    if (!is_parents(self)) {
        trt_mutex_destroy(&self->lock);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
family_get_scope(FamilyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)self->scope);
}

static PyObject *
family_get_entered(FamilyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(trt_load_relaxed(&self->scope->entered));
}

static PyObject *
family_get_closed(FamilyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->closed);
}

static PyObject *
family_get_kept(FamilyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(self->count);
}

static PyMethodDef family_methods[] = {
    {"_adopt", (PyCFunction)(void (*)(void))family_adopt, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"_limit_by", family_limit_by, METH_O, NULL},
    {"_is_around", family_is_around, METH_NOARGS, NULL},
    {"_results", family_results, METH_NOARGS, NULL},
    {"_errors", family_errors, METH_NOARGS, NULL},
    {"__enter__", family_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))family_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef family_getset[] = {
    {"_scope", (getter)family_get_scope, NULL, NULL, NULL},
    {"_entered", (getter)family_get_entered, NULL, NULL, NULL},
    {"_closed", (getter)family_get_closed, NULL, NULL, NULL},
    {"_kept", (getter)family_get_kept, NULL, "For tests: how many it knows of.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot family_slots[] = {
    {Py_tp_new, family_new},
    {Py_tp_methods, family_methods},
    {Py_tp_getset, family_getset},
    {Py_tp_traverse, family_traverse},
    {Py_tp_clear, family_clear},
    {Py_tp_dealloc, family_dealloc},
    {0, NULL},
};

PyType_Spec family_spec = {
    .name = "taskrt._core._Family",
    .basicsize = sizeof(FamilyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = family_slots,
};
