/* Waiting for a task: run it here, or let others run until it has finished. */
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
    trt_store_release(&wait->delivered, true); /* [wait-delivered] */
    make_runnable(fiber, on_thread);
}

/* The waiter's callback: the task has finished. */
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

/* Cut short one wait of a task that has been asked to end, or of a call into Python
 * that its native work makes; NULL if none is left. Caller holds core->waits. */
static Wait *
cancel_locked(TaskObject *task)
{
    Fiber *const fiber = trt_load_relaxed(&task->fiber);
    if (!fiber || task_is_finished(task)) {
        return NULL;
    }
    Wait *const wait = native_cancel_locked(fiber, task);
    return wait || fiber->task != task ? wait
                                       : wait_decide_locked(fiber, WAKE_CANCELLED);
}

bool
task_cancel(TaskObject *task, PyObject *message)
{
    if (task_is_finished(task)) {
        return false;
    }
    if (message) {
        PyObject *none = NULL;
        Py_INCREF(message);
        if (!trt_cas_acq_rel(&task->message, &none, message)) { /* [task-message] */
            Py_DECREF(message);
        }
    }
    if (task_cancel_pending(task)) {
        return true;
    }
    /* [cancel-wait] the flag first, then the look for a wait; the waiter enters its
     * wait first and then looks for the flag, both under the lock. */
    trt_task_set_flags(&task->base, TRT_TASK_CANCEL_REQUESTED);
    Wait *wait;
    do {
        trt_mutex_lock(&core->waits);
        wait = cancel_locked(task);
        trt_mutex_unlock(&core->waits);
        if (wait) {
            wait_deliver(wait);
        }
    } while (wait);
    return true;
}

bool
wait_cancel_requested(TaskObject *task)
{
    return task_flag(task, TRT_TASK_CANCEL_REQUESTED) ||
           (trt_load_relaxed(&core->closing) && (task_flag(task, TRT_TASK_DETACHED) ||
                                                 trt_load_relaxed(&core->cancel_all)));
}

int
wait_checkpoint(Fiber *fiber)
{
    TaskObject *const task = fiber->task;
    if (!task || !wait_cancel_requested(task)) {
        return 0;
    }
    PyObject *const message = trt_load_acquire(&task->message); /* [task-message] */
    PyErr_SetObject(core->cancelled, message);
    return -1;
}

/* ---- entering a wait ------------------------------------------------------------- */

enum { CIRCLE_MAX = 64 }; /* calls into Python inside one another, while looking */

/* Whether `stack` waits, over any number of others, for `fiber`. What a stack waits
 * for: the task that it awaits, and all that call Python for native work that runs on
 * it. Each stack is looked at once in a search. */
static bool
waits_for_locked(Fiber *stack, Fiber *fiber, bool on_thread, int depth)
{
    while (stack->searched != core->searches) {
        stack->searched = core->searches;
        if (stack == fiber || (on_thread && stack->worker == fiber->worker)) {
            return true; /* with the thread asleep, none of its stacks goes on */
        }
        Fiber *host = depth > 0 ? native_next_host_locked(stack, NULL) : NULL;
        for (; host; host = native_next_host_locked(stack, host)) {
            if (waits_for_locked(host, fiber, on_thread, depth - 1)) {
                return true;
            }
        }
        TaskObject *const task = stack->awaited;
        if (!task || task_is_finished(task) ||
            trt_task_get_state(&task->base) == TRT_TASK_PENDING ||
            !trt_load_relaxed(&task->fiber)) {
            return false;
        }
        stack = trt_load_relaxed(&task->fiber);
    }
    return false;
}

/* Whether waiting for `task` from `fiber` would close a circle of waits that nothing
 * can end. Follows task, the stack it runs on, what that stack waits for, and so on.
 * Caller holds core->waits, so the circle cannot change and nothing in it can be freed:
 * each wait is left under the lock before its reference to the task is dropped. */
static bool
closes_cycle_locked(Fiber *fiber, TaskObject *task, bool on_thread)
{
    Fiber *const stack = trt_load_relaxed(&task->fiber);
    core->searches++;
    return stack && !task_is_finished(task) &&
           trt_task_get_state(&task->base) != TRT_TASK_PENDING &&
           waits_for_locked(stack, fiber, on_thread, CIRCLE_MAX);
}

/* The names along the circle, for the message. */
static void
raise_deadlock(Fiber *fiber, TaskObject *task)
{
    PyObject *const names = PyList_New(0);
    TaskObject *tasks[8]; /* a longer circle is cut short */
    int count = 0;
    trt_mutex_lock(&core->waits);
    for (TaskObject *t = task; t && count < 8 && !task_is_finished(t);) {
        Fiber *const stack = trt_load_relaxed(&t->fiber);
        /* Another thread may let go of its own reference once the lock is released. */
        tasks[count++] = (TaskObject *)Py_NewRef((PyObject *)t);
        t = stack && stack != fiber ? stack->awaited : NULL;
    }
    trt_mutex_unlock(&core->waits);
    for (int i = 0; i < count; i++) {
        PyObject *const name = task_name(tasks[i]);
        if (!names || !name || PyList_Append(names, name) < 0) {
            PyErr_Clear();
        }
        Py_XDECREF(name);
        Py_DECREF(tasks[i]);
    }
    PyObject *const arrow = PyUnicode_FromString(" waits for ");
    PyObject *const chain = names && arrow ? PyUnicode_Join(arrow, names) : NULL;
    PyObject *const waiter =
        fiber->task ? task_name(fiber->task) : PyUnicode_FromString("this thread");
    if (chain && waiter) {
        PyErr_Format(
            core->deadlock_error,
            "this wait would never end: %U waits for %U, which waits for %U; let "
            "one of them go on without the other's result, or give the wait a "
            "timeout",
            waiter, chain, waiter);
    }
    Py_XDECREF(waiter);
    Py_XDECREF(chain);
    Py_XDECREF(arrow);
    Py_XDECREF(names);
}

/* Enter the wait where cancellation and the search for circles find it. 0; or −1 with
 * an error set and nothing entered. */
static int
enter_wait(Fiber *fiber, Wait *wait, TaskObject *task, bool timed)
{
    bool cycle = false, cancelled = false;
    trt_mutex_lock(&core->waits);
    if (fiber->task) {
        cancelled = wait_cancel_requested(fiber->task); /* [cancel-wait] */
    }
    cycle = !timed && closes_cycle_locked(fiber, task, wait->on_thread);
    if (!cancelled && !cycle) {
        wait->outer = fiber->wait;
        wait->outer_awaited = fiber->awaited;
        fiber->wait = wait;
        fiber->awaited = timed ? NULL : task;
    }
    trt_mutex_unlock(&core->waits);
    if (cancelled) {
        return wait_checkpoint(fiber);
    }
    if (cycle) {
        raise_deadlock(fiber, task);
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
    fiber->wait = wait->outer;
    fiber->awaited = wait->outer_awaited;
    Wait *cancelled = NULL;
    if (fiber->task && wait_cancel_requested(fiber->task)) {
        cancelled = wait_decide_locked(fiber, WAKE_CANCELLED);
    }
    trt_mutex_unlock(&core->waits);
    if (cancelled) {
        wait_deliver(cancelled);
    }
    return reason;
}

/* ---- the two ways to sleep ------------------------------------------------------- */

/* Sleep on the thread's parker, detached, until the wait is decided. 0; or −1 with an
 * error set by a signal handler. */
static int
sleep_on_thread(Worker *w, TaskObject *task, Wait *wait, uint64_t deadline)
{
    const bool is_main = w->base.kind == TRT_WORKER_MAIN;
    /* What is awaited, or may be awaited by that: only others can run it now. */
    const bool leaves_work = trt_task_get_state(&task->base) == TRT_TASK_PENDING ||
                             trt_deque_size(&w->base.deque) > 0;
    trt_worker_stop_searching(
        &w->base); /* handlers may run, and nobody may count on us */
    if (leaves_work && lifecycle_enter_blocked() < 0) {
        return -1;
    }
    int status = 0;
    for (;;) {
        native_serve_asleep(w);
        if (trt_load_acquire(&wait->delivered)) { /* [wait-delivered] */
            break;
        }
        if (is_main) {
            status = signals_enter_sleep(w);
            if (status == 0) {
                status = PyErr_CheckSignals();
            }
            /* A handler may have waited too, and used up the token that came for us. */
            if (status < 0 || trt_load_acquire(&wait->delivered)) {
                signals_leave_sleep(w);
                break;
            }
        }
        PyThreadState *const tstate = PyEval_SaveThread();
        const enum trt_park_result why =
            is_main ? trt_parker_park_signals(&w->base.parker, deadline)
                    : trt_parker_park(&w->base.parker, deadline);
        PyEval_RestoreThread(tstate);
        if (is_main) {
            signals_leave_sleep(w);
        }
        if (why == TRT_PARK_TIMED_OUT) {
            break;
        }
    }
    if (leaves_work) {
        lifecycle_leave_blocked();
    }
    return status;
}

/* Let other fibers of this worker run until the wait is decided. 0 or −1. */
static int
sleep_on_fiber(Worker *w, Fiber *fiber, TaskObject *task, uint64_t deadline)
{
    /* Main does not start it, so another thread has to. */
    const bool needs_thread = w->base.kind == TRT_WORKER_MAIN &&
                              task_flag(task, TASK_FOREIGN) &&
                              trt_task_get_state(&task->base) == TRT_TASK_PENDING;
    if (needs_thread && lifecycle_enter_blocked() < 0) {
        return -1;
    }
    Suspended suspended;
    context_suspend(PyThreadState_Get(), &suspended);
    if (deadline != TRT_FOREVER) {
        fiber->timer = (trt_timer){.deadline_ns = deadline, .index = TRT_TIMER_IDLE};
        if (trt_timers_add(&w->base.timers, &fiber->timer) < 0) {
            context_resume(&suspended);
            if (needs_thread) {
                lifecycle_leave_blocked();
            }
            PyErr_NoMemory();
            return -1;
        }
        trt_fetch_add_seq_cst(&core->timed_waits, 1);
    }
    int status = fiber_park(w);
    if (deadline != TRT_FOREVER) {
        trt_timers_remove(&w->base.timers, &fiber->timer);
        trt_fetch_sub_seq_cst(&core->timed_waits, 1);
    }
    context_resume(&suspended);
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

/* What a wait that did not fail comes to, as wait_once returns it. */
static int
judge(Fiber *fiber, TaskObject *task, bool fired, wake_reason reason)
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
    case WAKE_CANCELLED:
        return wait_checkpoint(fiber);
    default:
        return task_is_finished(task);
    }
}

/* Wait once. 1: finished; 0: timed out; −1: error set; 2: a signal has interrupted. */
static int
wait_once(Worker *w, TaskObject *task, uint64_t deadline)
{
    Fiber *const fiber = w->current;
    TaskObject *const self = fiber->task;
    Wait *const wait = malloc(sizeof *wait);
    if (!wait) {
        PyErr_NoMemory();
        return -1;
    }
    trt_waiter_init(&wait->base, wait_wake);
    wait->fiber = fiber;
    wait->on_thread = !fiber_can_switch(w);
    trt_store_relaxed(&wait->delivered, false);
    const bool on_thread = wait->on_thread;
    const bool stepped = wait_suspend_task(self);
    int status = enter_wait(fiber, wait, task, deadline != TRT_FOREVER);
    if (status < 0) {
        if (stepped) {
            wait_resume_task(self);
        }
        free(wait);
        return -1;
    }
    trt_count(&w->base.counters.parked);
    const bool added = trt_waiters_add(&task->base.waiters, &wait->base);
    /* Not added: the task has just finished, unless a cancellation has decided first;
     * then that has made this fiber ready, which must be taken off the list. */
    const bool sleeps = added || !trt_waiter_abandon(&wait->base);
    if (sleeps) {
        status = on_thread ? sleep_on_thread(w, task, wait, deadline)
                           : sleep_on_fiber(w, fiber, task, deadline);
    }
    wake_reason reason = leave_wait(fiber, wait);
    const bool fired = !sleeps || end_sleep(fiber, wait, &reason, status < 0);
    if (stepped) {
        wait_resume_task(self);
    }
    if (status == 0) {
        status = judge(fiber, task, fired, reason);
    }
    /* Last, since either may run user code: handlers, or callbacks of a task that has
     * finished this moment. */
    if (fired || !added) {
        free(wait);
    } else {
        trt_waiters_release(&task->base.waiters, &wait->base);
    }
    if (fiber == &w->root && signals_resume_root(w) < 0) {
        status = -1;
    }
    return status;
}

/* ---- the choice ------------------------------------------------------------------ */

/* Whether there is room on this stack for one more task as a call. */
static inline bool
has_headroom(Worker *w)
{
    const trt_strand *const s = w->crew.strands.inside;
    char here;
    return &here > (s ? s->frames.base.floor : w->stack_floor) &&
           trt_py_recursion_has_room(PyThreadState_Get());
}

/* Run a pending task here, as a call, if that is allowed. A wait with a deadline could
 * not leave it, so that never comes here. */
static bool
run_inline(Worker *w, TaskObject *task)
{
    if (trt_task_get_state(&task->base) != TRT_TASK_PENDING || !core->inline_tasks ||
        task->generation != trt_load_relaxed(&core->generation) || !has_headroom(w)) {
        return false;
    }
    if (task_flag(task, TRT_TASK_PINNED) && trt_load_relaxed(&task->pinned_to) != w) {
        return false;
    }
    if (!trt_task_claim(&task->base)) {
        return false;
    }
    entries_drop(w, task);
    trt_count(&w->base.counters.inlined);
    task_execute(w->current, task);
    return true;
}

/* Run the tasks that only this foreign thread may run: it has no hub that would. */
static void
run_pinned(Worker *w)
{
    void *item;
    while (trt_deque_steal(&w->pinned, &item) == TRT_STEAL_GOT) { /* oldest first */
        TaskObject *const task = task_from_item(item);
        if (trt_task_claim(&task->base)) {
            task_execute(w->current, task);
        }
        Py_DECREF(task);
    }
}

int
wait_for(Worker *w, TaskObject *task, uint64_t deadline)
{
    if (wait_checkpoint(w->current) < 0) {
        return -1;
    }
    if (task_is_finished(task) || (deadline == TRT_FOREVER && run_inline(w, task))) {
        return 1;
    }
    if (task->generation != trt_load_relaxed(&core->generation)) {
        PyErr_Format(
            core->lost_error,
            "%R was lost in a fork: it belongs to the parent process; spawn it "
            "again in this one",
            task);
        return -1;
    }
    if (deadline != TRT_FOREVER && deadline <= trt_clock_now_ns()) {
        return 0;
    }
    if (w->base.kind == TRT_WORKER_FOREIGN) {
        run_pinned(w);
    }
    int status;
    do {
        status = wait_once(w, task, deadline);
    } while (status == 2);
    return status;
}
