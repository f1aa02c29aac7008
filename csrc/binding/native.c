/* Native work: C functions that spawn and join children of their own, see
 * taskrt_native.h.
 *
 * Its first task runs on a strand that belongs to a Python stack, a task's or a
 * thread's own: the host. While the strand runs, its thread is detached; when it waits
 * for a child that somebody has taken, the host parks like any that waits; when it
 * wants to call Python, the host calls. The children are taken by workers that have no
 * task to run, detached, on strands without a host; one of those that wants to call
 * Python gets one then. */
#include "native.h"

#include <stdlib.h>

enum {
    /* Stolen children between two looks for Python tasks in the queues of others. */
    TURNS = 16,
    /* Waits for one another that are followed in the search for main's work. */
    STEPS_MAX = 64,
};

/* ---- hosts ----------------------------------------------------------------------- */

/* The thief's side: what the strand waits for has ended. Any thread, attached or not.
 */
static void
resume_host(trt_frame_waiter *waiter)
{
    trt_strand *const s = (trt_strand *)((char *)waiter - offsetof(trt_strand, waiter));
    Fiber *const fiber = s->host;
    Worker *const home = fiber->worker;
    const bool on_thread = s->host_sleeps;
    /* After this a thread goes on; a fiber does when it is in the list too. */
    if (on_thread) {
        stand_call(home, &s->resumed); /* [host-resumed] */
    } else {
        trt_store_release(&s->resumed, true); /* [host-resumed] */
        trt_inbox_push(&home->base.inbox, &fiber->ready);
    }
    trt_parker_unpark(&home->base.parker);
}

static void
sleep_until_resumed(Worker *w, trt_strand *s)
{
    for (;;) {
        stand_serve(w);
        if (trt_load_acquire(&s->resumed)) { /* [host-resumed] */
            break;
        }
        stand(w, &s->resumed, TRT_FOREVER, false);
    }
}

/* Let other fibers run until the strand can go on. What is thrown into this one
 * meanwhile is kept for later. */
static void
park_until_resumed(Worker *w, trt_strand *s)
{
    PyObject *error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    Suspended suspended;
    context_suspend(PyThreadState_Get(), &suspended);
    while (fiber_park(w) < 0 || !trt_load_acquire(&s->resumed)) { /* [host-resumed] */
        if (PyErr_Occurred()) {
            Py_XSETREF(error, trt_py_take_error());
        }
    }
    context_resume(PyThreadState_Get(), &suspended);
    if (error) {
        trt_py_set_error(error);
    }
}

/* Make the call of a strand, in a copy of the context in which its work was begun. */
static int
call_in_context(trt_strand *s, PyObject *context)
{
    PyThreadState *const tstate = PyThreadState_Get();
    PyObject *const copy = context ? PyContext_Copy(context) : NULL;
    if (context && !copy) {
        return -1;
    }
    PyObject *const before = tstate->context;
    tstate->context = copy;
    tstate->context_ver++;
    const int status = s->call_fn(s->call_arg);
    PyObject *const after = tstate->context;
    tstate->context = before;
    tstate->context_ver++;
    PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    Py_XDECREF(after); /* values may run code as they die */
    if (error) {
        trt_py_set_error(error);
    } else if (status == -1) {
        PyErr_SetString(PyExc_SystemError,
                        "a function called by trt_call_python has returned -1 without "
                        "an exception set");
    }
    return status;
}

/* Call what a strand wants called. An error becomes the work's, unless it has one. */
static void
call_python(Worker *w, trt_strand *s)
{
    trt_work *const work = trt_work_of(&s->frames.base);
    PyObject *const earlier = PyErr_Occurred() ? trt_py_take_error() : NULL;
    Fiber *const fiber = w->current;
    const uintptr_t aside = lineage_step_aside(fiber); /* on any thread, in any order */
    s->call_status = call_in_context(s, ((Work *)work)->context);
    fiber->aside = aside;
    if (w->generation != trt_load_relaxed(&core->generation)) {
        /* It has forked: the rest is the parent's. */
        lifecycle_end_child(PyErr_Occurred() ? NULL : Py_None);
    }
    if (PyErr_Occurred()) {
        PyObject *const error = trt_py_take_error();
        void *none = NULL;
        if (!trt_cas_acq_rel(&work->error, &none, error)) { /* [work-error] */
            Py_DECREF(error);
        }
        s->call_status = TRT_RAISED;
    }
    if (earlier) {
        trt_py_set_error(earlier);
    }
}

/* Go on with a strand on this Python stack until it has ended. */
static void
drive(Worker *w, trt_strand *s)
{
    s->waiter.resume = resume_host;
    for (;;) {
        trt_store_relaxed(&s->resumed, false);
        s->host = w->current;
        s->host_sleeps = !fiber_can_switch(w);
        PyThreadState *const tstate = PyEval_SaveThread();
        const trt_strand_why why = trt_strand_go(s);
        PyEval_RestoreThread(tstate);
        if (why != TRT_STRAND_ENDED &&
            w->generation != trt_load_relaxed(&core->generation)) {
            lifecycle_end_child(Py_None); /* a callback of its own has forked */
        }
        switch (why) {
        case TRT_STRAND_ENDED:
            return;
        case TRT_STRAND_WAITS: {
            Fiber *const fiber = w->current;
            LimitObject *const held = fiber->held;
            if (held) {
                limit_leave(fiber);
            }
            (s->host_sleeps ? sleep_until_resumed : park_until_resumed)(w, s);
            if (held) {
                (void)limit_rejoin(fiber, held); /* an error stays set */
            }
            break;
        }
        case TRT_STRAND_CALLS:
            call_python(w, s);
            break;
        }
    }
}

/* ---- work that begins here ------------------------------------------------------- */

Fiber *
native_next_host_locked(const Fiber *fiber, const Fiber *host)
{
    const trt_work *work = host ? host->serves : fiber->work;
    Fiber *next = host ? host->next_host : work ? ((const Work *)work)->hosts : NULL;
    while (!next && work) {
        work = ((const Work *)work)->outer;
        next = work ? ((const Work *)work)->hosts : NULL;
    }
    return next;
}

Wait *
native_cancel_locked(Fiber *fiber, const TaskObject *task)
{
    Wait *wait = NULL;
    for (Work *work = (Work *)fiber->work; work; work = (Work *)work->outer) {
        if (work->task != task) {
            continue; /* of a task beneath or on top, on the same stack */
        }
        trt_store_relaxed(&work->base.cancel, 1);
        for (Fiber *host = work->hosts; host && !wait; host = host->next_host) {
            trt_task_set_flags(&host->host->base, TRT_TASK_CANCEL_REQUESTED);
            if (host->task == host->host) {
                wait = wait_decide_locked(host, WAKE_CANCELLED);
            }
        }
    }
    return wait;
}

void
native_cancel_all(void)
{
    trt_mutex_lock(&core->waits);
    for (Work *work = (Work *)core->works; work; work = work->next) {
        trt_store_relaxed(&work->base.cancel, 1);
    }
    trt_mutex_unlock(&core->waits);
}

void
native_cancel_scope_locked(const ScopeObject *scope)
{
    for (Work *work = (Work *)core->works; work; work = work->next) {
        if (scope_covers(scope, work->scope)) {
            trt_store_relaxed(&work->base.cancel, 1); /* hosts are in the scope too */
        }
    }
}

/* Enter the work where others find it. */
static void
enter_work(Worker *w, Fiber *fiber, Work *work)
{
    work->task = fiber->task;
    work->scope = fiber->scope;
    work->foreign = fiber->task ? task_flag(fiber->task, TASK_FOREIGN)
                                : w->base.kind == TRT_WORKER_FOREIGN;
    trt_mutex_lock(&core->waits);
    work->next = (Work *)core->works;
    if (work->next) {
        work->next->previous = work;
    }
    core->works = &work->base;
    work->outer = fiber->work;
    fiber->work = &work->base;
    /* [cancel-wait] a request that has come before has not seen the work. */
    if (trt_load_relaxed(&core->cancel_all) || wait_cancel_requested(fiber)) {
        trt_store_relaxed(&work->base.cancel, 1);
    }
    trt_mutex_unlock(&core->waits);
}

/* It is the innermost on its fiber, unless user code has switched between greenlets of
 * its own. */
static void
leave_work(Fiber *fiber, Work *work)
{
    trt_mutex_lock(&core->waits);
    trt_work **link = &fiber->work;
    while (*link != &work->base) {
        link = &((Work *)*link)->outer;
    }
    *link = work->outer;
    if (work->previous) {
        work->previous->next = work->next;
    } else {
        core->works = work->next ? &work->next->base : NULL;
    }
    if (work->next) {
        work->next->previous = work->previous;
    }
    trt_mutex_unlock(&core->waits);
}

static void
enter_host(Fiber *fiber, Work *work)
{
    trt_mutex_lock(&core->waits);
    fiber->serves = &work->base;
    fiber->host = fiber->task;
    fiber->next_host = work->hosts;
    work->hosts = fiber;
    if (trt_load_relaxed(&work->base.cancel)) { /* [cancel-wait] as in enter_work */
        trt_task_set_flags(&fiber->host->base, TRT_TASK_CANCEL_REQUESTED);
    }
    trt_mutex_unlock(&core->waits);
}

static void
leave_host(Fiber *fiber)
{
    trt_mutex_lock(&core->waits);
    Fiber **link = &((Work *)fiber->serves)->hosts;
    while (*link != fiber) {
        link = &(*link)->next_host;
    }
    *link = fiber->next_host;
    fiber->serves = NULL;
    fiber->host = NULL;
    trt_mutex_unlock(&core->waits);
}

void
native_free(Work *work)
{
    Py_XDECREF(work->context);
    Py_XDECREF((PyObject *)trt_load_relaxed(&work->base.error));
    trt_work_destroy(&work->base);
    free(work->neutral);
    free(work);
}

Work *
native_new(trt_function fn, void *arg)
{
    Work *const work = calloc(1, sizeof *work);
    if (!work) {
        PyErr_NoMemory();
        return NULL;
    }
    trt_work_init(&work->base);
    work->first.fn = fn;
    work->first.arg = arg;
    PyObject *const context = PyThreadState_Get()->context;
    if (context) {
        work->context = PyContext_Copy(context);
        if (!work->context) {
            native_free(work);
            return NULL;
        }
    }
    return work;
}

PyObject *
native_run(Work *work)
{
    const bool started = trt_load_relaxed(&core->threads) > 0 || lifecycle_start() == 0;
    Worker *const w = started ? worker_self() : NULL;
    if (!w || wait_checkpoint(w->current) < 0) {
        native_free(work);
        return NULL;
    }
    Fiber *const fiber = w->current;
    trt_strand *const s = trt_strand_take(&w->crew.strands);
    if (!s) {
        native_free(work);
        return PyErr_NoMemory();
    }
    enter_work(w, fiber, work);
    PyObject *result = NULL;
    if (native_set_deadline(scope_deadline(fiber->scope)) < 0) {
        trt_strand_give_back(&w->crew.strands, s);
        leave_work(fiber, work);
    } else {
        trt_team_rouse(
            &core->pool
                 ->teams[TRT_DEFAULT]); /* [light-sleeper] main may be waiting for it */
        trt_strand_begin(s, &work->first, &work->base.cancel);
        drive(w, s);
        const int status = s->status;
        trt_strand_give_back(&w->crew.strands, s);
        leave_work(fiber, work);
        result = native_outcome(w, work, status);
    }
    if (!trt_load_relaxed(&work->base.lost)) {
        native_free(work);
    }
    if (fiber == &w->root && signals_resume_root(w) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* ---- work that others run -------------------------------------------------------- */

static bool
finds_python_work(Worker *w, uint32_t turn)
{
    return w->calls || fiber_any_ready(w) || w->base.kind == TRT_WORKER_MAIN ||
           trt_timers_next_deadline(&w->base.timers) != TRT_FOREVER ||
           lifecycle_must_retire(w) || trt_load_relaxed(&core->cancel_all) ||
           turn % TURNS == 0;
}

bool
native_can_go_on(Worker *w)
{
    return w->calls || w->crew.ready || !trt_inbox_is_empty(&w->base.strand_inbox);
}

/* The work that main's own code waits for, in the end, without a deadline; NULL if
 * there is none. Main takes children of that alone, since its code cannot go on before
 * those have ended: it might never come back to go on with one of them. */
static const _Atomic(uint32_t) *
awaited_work(Worker *main)
{
    trt_mutex_lock(&core->waits);
    const TaskObject *task = main->root.awaited;
    const trt_work *work = task ? NULL : main->root.work; /* it waits in a join */
    for (int steps = 0; task && !work && steps < STEPS_MAX; steps++) {
        const Fiber *const fiber = trt_load_relaxed(&task->fiber);
        if (!fiber || task_is_finished((TaskObject *)task)) {
            break;
        }
        const Work *const inner = (const Work *)fiber->work;
        work = inner && inner->task == task ? &inner->base : NULL;
        task = fiber->wait && fiber->wait->task == task ? fiber->awaited : NULL;
    }
    trt_mutex_unlock(&core->waits);
    return work ? &work->cancel : NULL;
}

bool
native_serve_detached(Worker *w)
{
    if (!trt_crew_is_needed(&w->crew)) {
        return false;
    }
    const bool is_main = w->base.kind == TRT_WORKER_MAIN;
    const _Atomic(uint32_t) *const only = is_main ? awaited_work(w) : NULL;
    const bool steals =
        w->base.team->steals && !lifecycle_takes_nothing(w) && (!is_main || only);
    uint32_t turn = 0;
    bool found;
    do {
        found = steals ? trt_crew_serve(&w->crew, only) : trt_crew_resume(&w->crew);
        turn += found;
    } while (found && !finds_python_work(w, turn));
    return turn > 0;
}

bool
native_is_refused(Worker *w)
{
    return w->base.kind == TRT_WORKER_MAIN && trt_crew_is_needed(&w->crew) &&
           !awaited_work(w);
}

bool
native_asleep(trt_worker *base)
{
    /* [light-sleeper] who begins work looks for main afterwards, both under the lock.
     */
    return !awaited_work((Worker *)base) && exit_asleep(base);
}

bool
native_serve(Worker *w)
{
    if (!trt_crew_is_needed(&w->crew)) {
        return false;
    }
    PyThreadState *const tstate = PyEval_SaveThread();
    const bool served = native_serve_detached(w);
    PyEval_RestoreThread(tstate);
    return served;
}

void
native_take_call(trt_crew *crew, trt_strand *s)
{
    Worker *const w = (Worker *)((char *)crew - offsetof(Worker, crew));
    s->next = w->calls;
    w->calls = s;
}

/* A task, claimed, that hosts a strand. */
static TaskObject *
host_task(const Work *work)
{
    TaskObject *const task = task_new(core->host_function, NULL, 0, NULL);
    if (!task) {
        return NULL;
    }
    lineage_inherit(&task->lineage, &worker_current->stray);
    Py_CLEAR(task->context);
    task->scope = (ScopeObject *)Py_XNewRef((PyObject *)work->scope);
    if (work->foreign) {
        trt_task_set_flags(&task->base, TASK_FOREIGN);
    }
    const bool claimed = trt_task_claim(&task->base);
    TRT_ASSERT(claimed);
    (void)claimed;
    return task;
}

static void
start_on_this_stack(Worker *w, TaskObject *task)
{
    task_execute(w->current, task);
    Py_DECREF(task);
}

/* Give the first of w->calls a host, which is started by `start`. */
static void
host_call(Worker *w, void (*start)(Worker *, TaskObject *))
{
    trt_strand *const s = w->calls;
    TaskObject *const task = host_task((Work *)trt_work_of(&s->frames.base));
    w->calls = s->next;
    w->hosting = s;
    if (task) {
        trt_count(&w->base.counters.spawned);
        start(w, task);
    }
    if (w->hosting == s) { /* no memory for it */
        w->hosting = NULL;
        PyErr_Clear();
        s->call_status = TRT_NO_MEMORY; /* the call has not been made */
        trt_crew_go_on(&w->crew, s);
    }
}

void
native_host_calls(Worker *w)
{
    host_call(w, fiber_start_task);
}

/* Whoever waits for what stopped here may be what this thread sleeps for. */
void
native_serve_asleep(Worker *w)
{
    while (native_can_go_on(w)) {
        PyThreadState *const tstate = PyEval_SaveThread();
        while (trt_crew_resume(&w->crew)) {
        }
        PyEval_RestoreThread(tstate);
        if (w->calls && w->current->serves) {
            break; /* a stack hosts one strand: these wait until it is awake */
        }
        if (w->calls) {
            host_call(w, start_on_this_stack);
        }
    }
}

/* The function of that task, which starts at once. */
PyObject *
core_host_strand(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    trt_strand *const s = w->hosting;
    w->hosting = NULL;
    Fiber *const fiber = w->current;
    enter_host(fiber, (Work *)trt_work_of(&s->frames.base));
    call_python(w, s);
    drive(w, s);
    leave_host(fiber);
    trt_crew_end(&w->crew, s);
    if (PyErr_Occurred()) {
        return NULL; /* thrown into this stack */
    }
    Py_RETURN_NONE;
}
