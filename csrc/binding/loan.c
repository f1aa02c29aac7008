/* Threads lent to event loops.
 *
 * A thread that runs an event loop sleeps in the loop's own selector, where the runtime
 * cannot wake it. As long as something in the loop waits for a task, the thread is on
 * loan:
 *
 *   - others run what it would have run: with one thread a spare one is started, and in
 *     place of a pool thread another;
 *   - what only this thread can run (stacks that have started here, pinned tasks) makes
 *     a descriptor readable that the loop watches, and the loop then calls _run_own().
 *     Nothing is started there that another thread could: that would hold up the loop.
 *
 * And the other way around: code that a foreign event loop runs for a task, which the
 * exit waits for. */
#include "core.h"

#include <errno.h>
#include <structmember.h>

typedef struct LoanObject {
    PyObject_HEAD
    Worker *worker;      /* NULL: ended; never freed */
    uint32_t generation; /* of the process that it was made in */
    int fd;              /* what the loop watches */
} LoanObject;

/* What the others do for a thread that is on loan. 0, or −1 with an error set. */
static int
begin(const Worker *w)
{
    return trt_worker_is_started(&w->base) ? lifecycle_bring_in_spare(worker_team(w))
                                           : lifecycle_enter_blocked();
}

static void
end(const Worker *w)
{
    if (trt_worker_is_started(&w->base)) {
        lifecycle_dismiss_spare(worker_team(w));
    } else {
        lifecycle_leave_blocked();
    }
}

static bool
has_own(Worker *w)
{
    if (isolation_holds(w)) {
        return fiber_gather_ready(w) || isolation_sees_pinned(w);
    }
    return fiber_any_ready(w) || w->calls || trt_deque_size(&w->pinned) > 0;
}

/* What sleeps in a selector does not run: others may have its places, until the thread
 * is on loan no more. */
static void
give_up_places(Worker *w)
{
    Fiber *const fiber = w->current;
    if (fiber->held) {
        w->lent_fiber = fiber;
        w->lent_held = (LimitObject *)Py_NewRef((PyObject *)fiber->held);
        limit_leave(fiber);
    }
}

/* 0 or −1. */
static int
take_places_back(Worker *w)
{
    LimitObject *const held = w->lent_held;
    int status = 0;
    w->lent_held = NULL;
    if (held && w->current == w->lent_fiber && !w->lent_fiber->held) {
        status = limit_rejoin(w->lent_fiber, held);
    }
    Py_XDECREF((PyObject *)held);
    return status;
}

/* _lend(): lend this thread to the event loop that runs on it, until end() of what is
 * returned. */
PyObject *
core_lend(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    LoanObject *const self = w ? PyObject_New(LoanObject, core->loan_type) : NULL;
    if (!self) {
        return NULL;
    }
    self->worker = NULL;
    self->generation = trt_load_relaxed(&core->generation);
    const int before = trt_parker_lend(&w->base.parker);
    if (before < 0) {
        Py_DECREF(self);
        errno = -before;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (before == 0 && begin(w) < 0) {
        trt_parker_take_back(&w->base.parker);
        Py_DECREF(self);
        return NULL;
    }
    if (before == 0) {
        give_up_places(w);
    }
    self->worker = w;
    self->fd = trt_parker_lent_fd(&w->base.parker);
    if (has_own(w) || fiber_suspended(w) > 0 || native_can_go_on(w)) {
        trt_parker_ring(&w->base.parker); /* for what has come before */
    }
    return (PyObject *)self;
}

/* end(): the same again does nothing. By the one that has lent it, not at the same time
 * as another; any thread. */
static PyObject *
loan_end(LoanObject *self, PyObject *Py_UNUSED(ignored))
{
    Worker *const w = self->worker;
    int status = 0;
    self->worker = NULL;
    if (w && self->generation == trt_load_relaxed(&core->generation) &&
        trt_parker_take_back(&w->base.parker) == 1) {
        end(w);
        status = w == worker_current ? take_places_back(w) : 0;
    }
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static void
loan_dealloc(LoanObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    PyObject *const done = loan_end(self, NULL);
    if (!done) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(done);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* Let what is ready on this thread have its turn, and the oldest pinned task; this
 * stack is last. 0 or −1. */
static int
give_turns(Worker *w)
{
    Fiber *const self = w->current;
    TaskObject *const task = self->task;
    if (hub_ensure(w) < 0) {
        return -1;
    }
    const bool stepped = wait_suspend_task(task);
    if (stepped) {
        trt_task_ready(&task->base);
    }
    LimitObject *const held = self->held; /* the loop's, while it awaits no task */
    if (held) {
        limit_leave(self);
    }
    Suspended suspended;
    context_suspend(PyThreadState_Get(), &suspended);
    w->own_only = true;
    w->prefers_unstarted = trt_deque_size(&w->pinned) > 0;
    fiber_ready_push(w, self);
    int status = fiber_switch(w, &w->hub);
    if (status < 0) {
        fiber_ready_remove(w, self);
    }
    w->own_only = false;
    context_resume(PyThreadState_Get(), &suspended);
    if (stepped) {
        wait_resume_task(task);
    }
    if (held && limit_rejoin(self, held) < 0) {
        status = -1;
    }
    if (self == &w->root && signals_resume_root(w) < 0) {
        status = -1;
    }
    return status;
}

/* Native code that stopped on this thread and can go on. */
static void
resume_strands(Worker *w)
{
    if (w->crew.ready || !trt_inbox_is_empty(&w->base.strand_inbox)) {
        PyThreadState *const tstate = PyEval_SaveThread();
        while (trt_crew_resume(&w->crew)) {
        }
        PyEval_RestoreThread(tstate);
    }
}

/* _run_own(): run what only this thread can, as far as it can go on now. Returns in how
 * many seconds to call again, or None. Called by the loop when the descriptor is
 * readable, and then. */
PyObject *
core_run_own(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    if (!w) {
        Py_RETURN_NONE;
    }
    trt_parker_hush(&w->base.parker);
    if (trt_load_relaxed(&w->base.parker.lent) == 0) {
        Py_RETURN_NONE; /* nobody waits any more */
    }
    if (w->base.kind == TRT_WORKER_FOREIGN) {
        wait_run_pinned(w);
        Py_RETURN_NONE;
    }
    if (!fiber_can_switch(w)) {
        Py_RETURN_NONE;
    }
    hub_fire_timers(w);
    resume_strands(w);
    if (has_own(w) && give_turns(w) < 0) {
        return NULL;
    }
    if (has_own(w)) {
        trt_parker_ring(&w->base.parker); /* after a turn for the loop */
    }
    const uint64_t next = trt_timers_next_deadline(&w->base.timers);
    if (next == TRT_FOREVER) {
        Py_RETURN_NONE;
    }
    const uint64_t now = trt_clock_now_ns();
    return PyFloat_FromDouble(next > now ? (double)(next - now) * 1e-9 : 0.0);
}

/* _expect(count): that many more things, or fewer if it is negative, will come from
 * event loops for tasks that wait for them: neither an exit nor the search for waits
 * that never end goes by them. */
PyObject *
core_expect(PyObject *Py_UNUSED(module), PyObject *count)
{
    const long n = PyLong_AsLong(count);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    trt_fetch_add_seq_cst(&core->foreign_running, (uint32_t)n);
    if (n < 0 && trt_load_seq_cst(&core->draining)) {
        trt_parker_unpark(&core->main->base.parker); /* perhaps that was the last */
    }
    Py_RETURN_NONE;
}

/* _serve_tasks(): what this foreign thread runs is what tasks wait for, so it may spawn
 * as long as they do. */
PyObject *
core_serve_tasks(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    w->serves_tasks = true;
    Py_RETURN_NONE;
}

static PyMethodDef loan_methods[] = {
    {"end", (PyCFunction)loan_end, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef loan_members[] = {
    {"fd", T_INT, offsetof(LoanObject, fd), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot loan_slots[] = {
    {Py_tp_methods, loan_methods},
    {Py_tp_members, loan_members},
    {Py_tp_dealloc, loan_dealloc},
    {0, NULL},
};

PyType_Spec loan_spec = {
    .name = "taskrt._core._Loan",
    .basicsize = sizeof(LoanObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = loan_slots,
};
