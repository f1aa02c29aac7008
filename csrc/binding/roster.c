/* A roster: the tasks of an executor that have not ended.
 *
 * Who shuts an executor down waits for all of them, callbacks included, or cancels
 * those that have not started. A task leaves the roster by itself as the last thing
 * that its end brings about, so a roster holds neither results nor errors. */
#include "sync.h"

typedef struct RosterObject RosterObject;

/* A task's line in a roster, and what the task's end is told by. */
typedef struct Entry {
    trt_waiter base;
    RosterObject *roster; /* owned */
    /* Borrowed: it lives at least until this waiter has fired, on which the list ends
     * its use of it, under the lock. */
    TaskObject *task;
    uint32_t generation; /* of the process that it is listed in */
    struct Entry *older, *newer;
} Entry;

struct RosterObject {
    PyObject_HEAD
    LimitObject *limit; /* that its tasks are under, owned, constant; NULL: none */
    PyObject *name;     /* of its tasks, str, owned, constant; NULL: none */
    /* Of the process that uses it. A child of a fork starts it anew, under core->life.
     */
    _Atomic(uint32_t) generation;
    /* Whether it is counted in core->rosters: set by the first spawn; cleared by the
     * one that counts it back. */
    _Atomic(uint32_t) keeps_thread;
    trt_event idle; /* set once it is closed and empty */
    trt_mutex lock; /* guards the rest */
    Entry *newest;
    size_t count;
    bool closed;
};

/* ---- one process after another --------------------------------------------------- */

/* In a forked child: the parent's tasks are not here. Nobody else can be at it yet but
 * by the same way. */
static void
enter_process(RosterObject *self)
{
    const uint32_t now = trt_load_relaxed(&core->generation);
    if (trt_load_acquire(&self->generation) == now) { /* [roster-process] */
        return;
    }
    trt_mutex_lock(&core->life);
    if (trt_load_relaxed(&self->generation) != now) {
        trt_mutex_reinit_after_fork(&self->lock);
        trt_event_init(&self->idle, false);
        self->newest = NULL;
        self->count = 0;
        trt_store_relaxed(&self->keeps_thread, 0);
        if (self->closed) {
            trt_event_set(&self->idle);
        }
        if (self->limit) {
            limit_enter_process(self->limit);
        }
        trt_store_release(&self->generation, now); /* [roster-process] */
    }
    trt_mutex_unlock(&core->life);
}

/* ---- a thread for its tasks ------------------------------------------------------ */

/* Calls of an executor may block for something that main does later, so main starts
 * none that it does not wait for, see TASK_FOREIGN. In its place a spare thread does,
 * as long as there is a roster that was used and is not over. 0 or −1. */
static int
keep_thread(RosterObject *self)
{
    if (trt_load_relaxed(&self->keeps_thread)) {
        if (trt_load_relaxed(&core->pool->teams[TRT_DEFAULT].running) < 2) {
            lifecycle_start_spares(); /* all have ended in a shutdown() */
        }
        return 0;
    }
    if (trt_exchange_relaxed(&self->keeps_thread, 1) ||
        trt_fetch_add_relaxed(&core->rosters, 1) > 0) {
        return 0;
    }
    if (lifecycle_bring_in_spare(TRT_DEFAULT) < 0) {
        trt_store_relaxed(&self->keeps_thread, 0);
        trt_fetch_sub_relaxed(&core->rosters, 1);
        return -1;
    }
    return 0;
}

static void
let_thread_go(RosterObject *self)
{
    if (trt_exchange_relaxed(&self->keeps_thread, 0) &&
        trt_fetch_sub_relaxed(&core->rosters, 1) == 1) {
        lifecycle_dismiss_spare(TRT_DEFAULT);
    }
}

/* ---- the list -------------------------------------------------------------------- */

/* Once it is closed and empty. Without the lock. */
static void
finish(RosterObject *self)
{
    let_thread_go(self);
    trt_event_set(&self->idle);
}

static void
entry_wake(trt_waiter *waiter)
{
    Entry *const self = (Entry *)waiter;
    RosterObject *const roster = self->roster;
    if (self->generation == trt_load_relaxed(&core->generation)) {
        trt_mutex_lock(&roster->lock);
        *(self->newer ? &self->newer->older : &roster->newest) = self->older;
        if (self->older) {
            self->older->newer = self->newer;
        }
        const bool is_over = --roster->count == 0 && roster->closed;
        trt_mutex_unlock(&roster->lock);
        if (is_over) {
            finish(roster);
        }
    }
    free(self);
    Py_DECREF(roster);
}

bool
roster_is_waiter(const trt_waiter *waiter)
{
    return waiter->wake == entry_wake;
}

/* Enter a task that nobody knows yet. 1; 0 if the roster is closed, to who is no member
 * or all; −1 with an error set. */
static int
list_task(RosterObject *self, TaskObject *task, bool by_member)
{
    Entry *const entry = malloc(sizeof *entry);
    if (!entry) {
        PyErr_NoMemory();
        return -1;
    }
    *entry = (Entry){.roster = self,
                     .task = task,
                     .generation = trt_load_relaxed(&core->generation)};
    trt_waiter_init(&entry->base, entry_wake);
    trt_mutex_lock(&self->lock);
    const bool closed = self->closed && (!by_member || self->count == 0);
    if (!closed) {
        entry->older = self->newest;
        if (self->newest) {
            self->newest->newer = entry;
        }
        self->newest = entry;
        self->count++;
    }
    trt_mutex_unlock(&self->lock);
    if (closed) {
        free(entry);
        return 0;
    }
    Py_INCREF(self);
    trt_waiters_add(&task->base.waiters, &entry->base); /* open: nobody knows it */
    return 1;
}

static PyObject *
spawn_member(RosterObject *self, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames, bool by_member)
{
    Worker *w;
    TaskObject *const task = spawn_born(&w, NULL, args, nargs, kwnames);
    if (!task) {
        return NULL;
    }
    task->name = Py_XNewRef(self->name);
    if (self->limit) {
        Py_XSETREF(task->limit, (LimitObject *)Py_NewRef((PyObject *)self->limit));
    }
    trt_task_set_flags(&task->base, TASK_QUIET | TASK_FOREIGN);
    const int listed = keep_thread(self) < 0 ? -1 : list_task(self, task, by_member);
    if (listed <= 0) {
        spawn_give_up(task);
        return listed < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (spawn_enqueue(w, task) < 0) {
        Py_DECREF(task);
        return NULL;
    }
    return (PyObject *)task;
}

/* _spawn(fn, /, *args, **kwargs): the task, of which no failure is reported; None once
 * the roster is closed. */
static PyObject *
roster_spawn(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    RosterObject *const self = (RosterObject *)op;
    enter_process(self);
    if (trt_event_is_set(&self->idle)) { /* closed: no need to make a task */
        Py_RETURN_NONE;
    }
    return spawn_member(self, args, nargs, kwnames, false);
}

/* _spawn_more(fn, /, *args, **kwargs): the same by one of its tasks, which may as long
 * as it lives. */
static PyObject *
roster_spawn_more(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    return spawn_member((RosterObject *)op, args, nargs, kwnames, true);
}

/* _living(): a list of the tasks that have not ended, the oldest first. */
static PyObject *
roster_living(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    RosterObject *const self = (RosterObject *)op;
    enter_process(self);
    trt_mutex_lock(&self->lock);
    TaskObject **const tasks = malloc((self->count + 1) * sizeof *tasks);
    size_t count = 0;
    for (Entry *e = self->newest; tasks && e; e = e->older) {
        tasks[count++] = (TaskObject *)Py_NewRef((PyObject *)e->task);
    }
    trt_mutex_unlock(&self->lock);
    if (!tasks) {
        return PyErr_NoMemory();
    }
    PyObject *const list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; i < count; i++) {
        if (list) {
            PyList_SET_ITEM(list, (Py_ssize_t)(count - 1 - i), (PyObject *)tasks[i]);
        } else {
            Py_DECREF(tasks[i]);
        }
    }
    free(tasks);
    return list;
}

/* _close(): let nobody in any more. Whether that was open before. */
static PyObject *
roster_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    RosterObject *const self = (RosterObject *)op;
    enter_process(self);
    trt_mutex_lock(&self->lock);
    const bool was_open = !self->closed;
    const bool is_over = was_open && self->count == 0;
    self->closed = true;
    trt_mutex_unlock(&self->lock);
    if (is_over) {
        finish(self);
    }
    return PyBool_FromLong(was_open);
}

/* _wait(): until it is closed and empty. A suspension point. */
static PyObject *
roster_wait(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    RosterObject *const self = (RosterObject *)op;
    enter_process(self);
    if (trt_event_is_set(&self->idle)) {
        Py_RETURN_NONE;
    }
    Worker *const w = worker_self();
    if (!w || wait_checkpoint(w->current) < 0 ||
        sync_wait_for_event(w, op, &self->idle, TRT_FOREVER) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* _cancel_pending(task): cancel it, unless it has started. Whether it did. */
PyObject *
core_cancel_pending(PyObject *Py_UNUSED(module), PyObject *op)
{
    if (!Py_IS_TYPE(op, core->task_type)) {
        PyErr_SetString(PyExc_TypeError, "_cancel_pending() takes a Task");
        return NULL;
    }
    return PyBool_FromLong(task_cancel_pending((TaskObject *)op));
}

/* _error_of(task): what it has failed with, or None. No checkpoint. */
PyObject *
core_error_of(PyObject *Py_UNUSED(module), PyObject *op)
{
    if (!Py_IS_TYPE(op, core->task_type)) {
        PyErr_SetString(PyExc_TypeError, "_error_of() takes a Task");
        return NULL;
    }
    TaskObject *const task = (TaskObject *)op;
    const bool failed = trt_task_get_state(&task->base) == TRT_TASK_FAILED;
    return Py_NewRef(failed ? task->result : Py_None);
}

/* ---- the type -------------------------------------------------------------------- */

/* _Roster(limit, name): a limit that nobody has entered, or None; a str, or None. */
static PyObject *
roster_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    PyObject *limit, *name;
    if (!PyArg_ParseTuple(args, "OO:_Roster", &limit, &name)) {
        return NULL;
    }
    if (limit != Py_None && limit_put_in_force((LimitObject *)limit) < 0) {
        return NULL;
    }
    RosterObject *const self = (RosterObject *)type->tp_alloc(type, 0);
    if (!self) {
        return NULL;
    }
    self->limit = limit == Py_None ? NULL : (LimitObject *)Py_NewRef(limit);
    self->name = name == Py_None ? NULL : Py_NewRef(name);
    trt_store_relaxed(&self->generation, trt_load_relaxed(&core->generation));
    trt_mutex_init(&self->lock);
    trt_event_init(&self->idle, false);
    return (PyObject *)self;
}

static void
roster_dealloc(RosterObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    if (trt_load_relaxed(&self->generation) == trt_load_relaxed(&core->generation)) {
        let_thread_go(self);
        trt_mutex_destroy(&self->lock);
        trt_event_destroy(&self->idle);
    }
    Py_XDECREF((PyObject *)self->limit);
    Py_XDECREF(self->name);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef roster_methods[] = {
    {"_spawn", (PyCFunction)(void (*)(void))roster_spawn, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"_spawn_more", (PyCFunction)(void (*)(void))roster_spawn_more,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_living", roster_living, METH_NOARGS, NULL},
    {"_close", roster_close, METH_NOARGS, NULL},
    {"_wait", roster_wait, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot roster_slots[] = {
    {Py_tp_new, roster_new},
    {Py_tp_methods, roster_methods},
    {Py_tp_dealloc, roster_dealloc},
    {0, NULL},
};

PyType_Spec roster_spec = {
    .name = "taskrt._core._Roster",
    .basicsize = sizeof(RosterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = roster_slots,
};
