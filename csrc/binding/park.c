/* Parking: how a stack waits until somebody lets it go on, or somebody else gives up on
 * its behalf. What it waits for is an Awaited. */
#include "core.h"

/* ---- waking ---------------------------------------------------------------------- */

/* Let a fiber whose wait has been decided go on. Any thread, attached or not. */
static void
make_runnable(Fiber *fiber, bool on_thread)
{
    Worker *const home = fiber->worker;
    Worker *const self = worker_current;
    if (!on_thread) {
        /* It cannot go on before it is in a list, so its task stays what it is. */
        if (fiber->task) {
            trt_task_ready(&fiber->task->base);
        }
        if (home == self) {
            fiber_ready_push(home, fiber);
            if (trt_parker_is_lent(&home->base.parker)) {
                trt_parker_unpark(&home->base.parker); /* an event loop runs here */
            }
            return;
        }
        trt_inbox_push(&home->base.inbox, &fiber->ready);
    }
    if (trt_parker_unpark(&home->base.parker) && self) {
        trt_count(&self->base.counters.wakes);
    }
}

/* Tell the one that waits that its wait has been decided. After this the wait may be
 * gone: a fiber goes on once it is in a list, a thread once it sees `delivered`. */
static void
wait_deliver(Wait *wait)
{
    Fiber *const fiber = wait->fiber;
    const bool on_thread = wait->on_thread;
    if (on_thread) {
        stand_call(fiber->worker, &wait->delivered); /* [wait-delivered] */
    } else {
        trt_store_release(&wait->delivered, true); /* [wait-delivered] */
    }
    make_runnable(fiber, on_thread);
}

/* The waiter's callback: what it waits for has come. */
static void
wait_wake(trt_waiter *waiter)
{
    Wait *const wait = (Wait *)waiter;
    wait_deliver(wait);
}

Wait *
wait_decide_locked(Fiber *fiber, wake_reason reason)
{
    Wait *const wait = fiber->wait;
    if (!wait || !trt_waiter_abandon(&wait->base)) {
        return NULL;
    }
    fiber->reason = reason;
    wait->next_decided = NULL;
    return wait;
}

bool
wait_interrupt(Fiber *fiber, wake_reason reason)
{
    trt_mutex_lock(&core->waits);
    Wait *const wait = wait_decide_locked(fiber, reason);
    trt_mutex_unlock(&core->waits);
    if (wait) {
        wait_deliver(wait);
    }
    return wait != NULL;
}

void
wait_deliver_all(Wait *decided)
{
    while (decided) {
        Wait *const wait = decided;
        decided = wait->next_decided; /* before the wait may be gone */
        wait_deliver(wait);
    }
}

/* ---- entering a wait ------------------------------------------------------------- */

static bool
shields_from_task(Fiber *fiber)
{
    bool shielded = false;
    if (fiber->scope) {
        scope_is_cancelled(fiber->scope, fiber->task ? fiber->task->scope : NULL, false,
                           &shielded);
    }
    return shielded;
}

/* Enter the wait where cancellation and the search for circles find it. The deadline
 * becomes the earliest that is in force; those of scopes are read under the lock, so
 * that whoever changes one later finds the wait. 0; or −1 with an error set and nothing
 * entered. */
static int
enter_wait(Fiber *fiber, Wait *wait, TaskObject *task, uint64_t *deadline)
{
    bool cycle = false;
    trt_mutex_lock(&core->waits);
    while (wait_cancel_requested(fiber)) { /* [cancel-wait] */
        trt_mutex_unlock(&core->waits);
        if (wait_checkpoint(fiber) < 0) {
            return -1;
        }
        trt_mutex_lock(&core->waits); /* a deadline that was just put off */
    }
    const uint64_t scopes = scope_deadline(fiber->scope);
    *deadline = *deadline < scopes ? *deadline : scopes;
    const bool timed = *deadline != TRT_FOREVER;
    cycle = task && !timed && wait_closes_circle_locked(fiber, task, wait->on_thread);
    if (!cycle) {
        scope_add_wait_locked(fiber->scope, wait);
        wait->shielded = shields_from_task(fiber);
        wait->outer = fiber->wait;
        wait->outer_awaited = fiber->awaited;
        fiber->wait = wait;
        fiber->awaited = timed ? NULL : task;
        if (wait->on_thread) {
            wait->outer_stood = fiber->worker->stood;
            fiber->worker->stood = wait;
        }
    }
    trt_mutex_unlock(&core->waits);
    if (cycle) {
        wait_raise_deadlock(fiber, task);
        return -1;
    }
    return 0;
}

/* Leave a wait; returns the reason that whoever has cut it short gave. A wait that this
 * one was nested in (a signal handler's) is in force again, and learns of a
 * cancellation that only the inner one has seen. */
static wake_reason
leave_wait(Fiber *fiber, Wait *wait)
{
    trt_mutex_lock(&core->waits);
    const wake_reason reason = fiber->reason;
    scope_remove_wait_locked(wait);
    fiber->wait = wait->outer;
    fiber->awaited = wait->outer_awaited;
    if (wait->on_thread) {
        fiber->worker->stood = wait->outer_stood;
    }
    Wait *cancelled = NULL;
    if (wait_cancel_requested(fiber)) {
        cancelled = wait_decide_locked(fiber, WAKE_CANCELLED);
    }
    trt_mutex_unlock(&core->waits);
    if (cancelled) {
        wait_deliver(cancelled);
    }
    trt_parker *const parker = &fiber->worker->base.parker;
    if (trt_parker_is_lent(parker)) {
        trt_parker_ring(parker); /* for who was made ready with this one */
    }
    return reason;
}

/* ---- the two ways to sleep ------------------------------------------------------- */

/* Whether a task waits for a thread of the default team. Interactive ones have threads
 * of their own. */
static bool
is_unstarted(const TaskObject *task)
{
    return task && trt_task_get_state(&task->base) == TRT_TASK_PENDING &&
           !task_flag(task, TASK_INTERACTIVE);
}

/* Whether what a thread waits for may be what it leaves to threads of the default team:
 * a task that has not started, or its own children. Who will end a wait for something
 * else than a task is unknown: perhaps a task that only a thread that does not wait
 * would have run. */
static bool
leaves_work(Worker *w, const Awaited *awaited)
{
    return trt_deque_size(&w->base.deque) > 0 ||
           (awaited->task ? is_unstarted(awaited->task) : awaited->nodes > 0);
}

/* What has just run in the middle of this wait may have forked: the wait is the
 * parent's, so the child ends here. `status`: −1 if an error is set. */
static void
end_if_forked(Worker *w, int status)
{
    if (w->generation != trt_load_relaxed(&core->generation)) {
        lifecycle_end_child(status < 0 ? NULL : Py_None);
    }
}

/* Sleep on the thread, once, unless a handler ends that. 0; or −1 with an error set by
 * a handler. */
static int
sleep_standing(Worker *w, const Wait *wait, uint64_t deadline, bool *in_time)
{
    if (w->base.kind != TRT_WORKER_MAIN) {
        *in_time = stand(w, &wait->delivered, deadline, false) != TRT_PARK_TIMED_OUT;
        return 0;
    }
    int status = signals_enter_sleep(w);
    if (status == 0) {
        status = PyErr_CheckSignals();
    }
    end_if_forked(w, status);
    /* A handler may have waited too, and used up the token that came for us. */
    if (status == 0 && !trt_load_acquire(&wait->delivered)) {
        *in_time = stand(w, &wait->delivered, deadline, true) != TRT_PARK_TIMED_OUT;
    }
    signals_leave_sleep(w);
    return status;
}

/* Sleep on the thread's parker, detached, until the wait is decided. 0; or −1 with an
 * error set by a signal handler. */
static int
sleep_on_thread(Worker *w, const Awaited *awaited, Wait *wait, uint64_t deadline)
{
    const bool needs_thread = leaves_work(w, awaited); /* only others can run it now */
    trt_worker_stop_searching(
        &w->base); /* handlers may run, and nobody may count on us */
    if (needs_thread && lifecycle_enter_blocked() < 0) {
        return -1;
    }
    blocking_enter(w); /* others may each sleep like this */
    const bool is_timed = deadline != TRT_FOREVER && w->base.kind != TRT_WORKER_FOREIGN;
    trt_fetch_add_seq_cst(&core->timed_waits, is_timed);
    int status = 0;
    bool in_time = true;
    while (status == 0 && in_time) {
        stand_serve(w);
        if (trt_load_acquire(&wait->delivered)) { /* [wait-delivered] */
            break;
        }
        status = sleep_standing(w, wait, deadline, &in_time);
    }
    trt_fetch_sub_seq_cst(&core->timed_waits, is_timed);
    blocking_leave(w);
    /* Otherwise a handler has forked, and in the child nobody sleeps like that. */
    if (needs_thread && w->generation == trt_load_relaxed(&core->generation)) {
        lifecycle_leave_blocked();
    }
    return status;
}

/* Let other fibers of this worker run until the wait is decided. 0 or −1. */
static int
sleep_on_fiber(Worker *w, Fiber *fiber, const Awaited *awaited, uint64_t deadline)
{
    /* This thread does not start it, so another has to. */
    TaskObject *const task = awaited->task;
    const bool needs_thread = worker_is_interactive(w)
                                  ? leaves_work(w, awaited)
                                  : w->base.kind == TRT_WORKER_MAIN &&
                                        is_unstarted(task) &&
                                        task_flag(task, TASK_FOREIGN);
    if (needs_thread && lifecycle_enter_blocked() < 0) {
        return -1;
    }
    Suspended suspended;
    context_suspend(PyThreadState_Get(), &suspended);
    if (deadline != TRT_FOREVER) {
        fiber->timer = (trt_timer){.deadline_ns = deadline, .index = TRT_TIMER_IDLE};
        if (trt_timers_add(&w->base.timers, &fiber->timer) < 0) {
            context_resume(PyThreadState_Get(), &suspended);
            if (needs_thread) {
                lifecycle_leave_blocked();
            }
            PyErr_NoMemory();
            return -1;
        }
        fiber_count_timed(fiber, true);
    }
    int status = fiber_park(w);
    if (deadline != TRT_FOREVER) {
        trt_timers_remove(&w->base.timers, &fiber->timer);
        fiber_count_timed(fiber, false);
    }
    context_resume(PyThreadState_Get(), &suspended);
    if (needs_thread) {
        lifecycle_leave_blocked();
    }
    return status;
}

/* The steps of the task that waits, before and after. On a fiber, whoever decides the
 * wait has taken the step to READY. A wait nested in another leaves the task as it is.
 */
bool
wait_suspend_task(TaskObject *task)
{
    if (!task || trt_task_get_state(&task->base) != TRT_TASK_RUNNING) {
        return false;
    }
    trt_task_suspend(&task->base);
    return true;
}

void
wait_resume_task(TaskObject *task)
{
    if (trt_task_get_state(&task->base) == TRT_TASK_SUSPENDED) {
        trt_task_ready(&task->base);
    }
    trt_task_resume(&task->base);
}

/* See that nobody will make the fiber ready any more, and whether its task has
 * finished. The wait has been left, so only the task can still decide it. */
static bool
end_sleep(Fiber *fiber, Wait *wait, wake_reason *reason, bool park_failed)
{
    if (trt_waiter_abandon(&wait->base)) {
        *reason =
            WAKE_TIMED_OUT; /* on the thread; or it does not matter, with an error */
    } else if (wait->on_thread) {
        /* Perhaps decided just as time was up: until whoever did it has let go. */
        while (!trt_load_acquire(&wait->delivered)) { /* [wait-delivered] */
            trt_cpu_relax();
        }
    } else if (park_failed) {
        /* Thrown into from outside while somebody has made this fiber ready, or is just
         * doing so: take it off the list, or it would be resumed twice. */
        while (!fiber_ready_remove(fiber->worker, fiber)) {
            trt_cpu_relax();
        }
    }
    return trt_load_acquire(&wait->base.decision) == TRT_WAITER_FIRED;
}

/* What a wait that did not fail comes to, as wait_once returns it. `deadline`: the
 * caller's own. */
static int
judge(Fiber *fiber, Awaited *awaited, bool fired, wake_reason reason, uint64_t deadline)
{
    if (fired) {
        /* At exit all that waits is cancelled, in no order: what is waited for may have
         * learnt of it first, and its CancelledError is not what happened here. */
        const bool exits = trt_load_relaxed(&core->cancel_all);
        return exits && wait_checkpoint(fiber) < 0 ? -1 : 1;
    }
    switch (reason) {
    case WAKE_SIGNAL:
        return 2;
    case WAKE_QUIET: {
        const int status = wait_raise_if_hopeless(awaited);
        end_if_forked(fiber->worker, status);
        return status < 0 ? -1 : 2;
    }
    case WAKE_CANCELLED:
        return wait_checkpoint(fiber) < 0 ? -1 : 2;
    default:
        if (fiber->scope && wait_checkpoint(fiber) < 0) {
            return -1;
        }
        /* Or by a scope's deadline that has been put off meanwhile. */
        return deadline > trt_clock_now_ns() ? 2 : 0;
    }
}

static Wait *
new_wait(Worker *w, const Awaited *awaited)
{
    Wait *const wait = malloc(sizeof *wait + awaited->nodes * sizeof wait->nodes[0]);
    if (!wait) {
        PyErr_NoMemory();
        return NULL;
    }
    trt_waiter_init(&wait->base, wait_wake);
    wait->fiber = w->current;
    wait->task = w->current->task;
    wait->limit = w->current->limit;
    wait->on_thread = !fiber_can_switch(w);
    wait->object = awaited->object;
    wait->verb = awaited->verb;
    trt_store_relaxed(&wait->delivered, false);
    return wait;
}

/* Sleep, of either kind, and let it be known if main waits here with nothing but hope:
 * whoever finds that nothing runs any more decides such a wait. 0 or −1. */
static int
sleep_until_decided(Worker *w, const Awaited *awaited, Wait *wait, uint64_t deadline)
{
    Fiber *const fiber = wait->fiber;
    if (fiber->held) {
        limit_leave(fiber); /* the caller takes the places back */
    }
    const bool is_mains = w->base.kind == TRT_WORKER_MAIN &&
                          (wait->on_thread || w->isolation || fiber == &w->root);
    const bool may_be_hopeless =
        is_mains && deadline == TRT_FOREVER && !awaited->was_hopeful;
    const bool outer_waits = may_be_hopeless && trt_load_relaxed(&core->main_waits);
    if (may_be_hopeless) {
        trt_store_seq_cst(&core->main_waits, true);
    }
    const int status = wait->on_thread ? sleep_on_thread(w, awaited, wait, deadline)
                                       : sleep_on_fiber(w, fiber, awaited, deadline);
    if (may_be_hopeless) {
        trt_store_seq_cst(&core->main_waits, outer_waits);
    }
    return status;
}

Wait *
wait_begin_unheard(Worker *w)
{
    const Awaited nothing = {.nodes = 0};
    Wait *const wait = new_wait(w, &nothing);
    if (wait) {
        TaskObject *const self = w->current->task;
        wait->task = wait_suspend_task(self) ? self : NULL;
    }
    return wait;
}

int
wait_end_unheard(Worker *w, Wait *wait, bool waits)
{
    /* Nodes: as far as anybody knows, what ends it may be a task that is not running.
     */
    const Awaited nothing = {.nodes = 1};
    Fiber *const fiber = wait->fiber;
    PyObject *late = NULL;
    /* A fiber is in a list once it is delivered, so it parks even then; and an error
     * from outside leaves it there. */
    bool ended = !waits;
    while (!ended) {
        const int status = wait->on_thread
                               ? sleep_on_thread(w, &nothing, wait, TRT_FOREVER)
                               : sleep_on_fiber(w, fiber, &nothing, TRT_FOREVER);
        if (status < 0) {
            PyObject *const error = trt_py_take_error();
            Py_XSETREF(late, error);
        }
        const bool delivered =
            trt_load_acquire(&wait->delivered); /* [wait-delivered] */
        ended = delivered && (wait->on_thread || status == 0);
    }
    if (wait->task) {
        wait_resume_task(fiber->task);
    }
    free(wait);
    if (late) {
        trt_py_set_error(late);
    }
    return (fiber == &w->root && signals_resume_root(w) < 0) || late ? -1 : 0;
}

static void
let_go(Awaited *awaited, Wait *wait)
{
    if (awaited->has_come) {
        free(wait);
    } else {
        awaited->leave(awaited, wait);
    }
}

int
wait_once(Worker *w, Awaited *awaited, uint64_t own_deadline)
{
    end_if_forked(w, 0); /* by what ran since the last time */
    Fiber *const fiber = w->current;
    TaskObject *const self = fiber->task;
    uint64_t deadline = own_deadline;
    Wait *const wait = new_wait(w, awaited);
    awaited->has_come = false;
    if (!wait) {
        return -1;
    }
    const bool stepped = wait_suspend_task(self);
    int status = enter_wait(fiber, wait, awaited->task, &deadline);
    if (status < 0) {
        if (stepped) {
            wait_resume_task(self);
        }
        free(wait);
        return status;
    }
    trt_count(&w->base.counters.parked);
    const bool added = awaited->enter(awaited, wait);
    /* Not added: it has just come, unless a cancellation has decided first; then that
     * has made this fiber ready, which must be taken off the list. */
    const bool sleeps = added || !trt_waiter_abandon(&wait->base);
    LimitObject *const held = fiber->held;
    if (sleeps) {
        status = sleep_until_decided(w, awaited, wait, deadline);
    }
    wake_reason reason = leave_wait(fiber, wait);
    const bool fired = !sleeps || end_sleep(fiber, wait, &reason, status < 0);
    if (stepped) {
        wait_resume_task(self);
    }
    status = fiber->held == held || limit_rejoin(fiber, held) == 0 ? status : -1;
    awaited->has_come = fired || !added;
    if (status == 0) {
        status = judge(fiber, awaited, fired, reason, own_deadline);
    }
    if (fired && added && awaited->served) {
        awaited->served(awaited, wait);
    }
    /* Last, since either may run user code: handlers, or callbacks of a task that has
     * finished this moment. */
    let_go(awaited, wait);
    if (fiber == &w->root && signals_resume_root(w) < 0) {
        status = -1;
    }
    return status;
}
