/* The hub: what a worker does when none of its stacks has anything to run. It fires
 * timers, resumes ready fibers, takes tasks, and sleeps. It runs no Python code of its
 * own. */
#include "core.h"

#include "blas.h"

enum {
    BREATH = 64, /* tasks between two pauses for others */
    /* Between two looks at the poller, and how long what can go on waits for tasks that
     * run as calls, beyond the end of one. */
    SLICE_NS = 1000 * 1000,
    SPIN_NS = 20 * 1000, /* free-threaded: look for work this long before sleeping */
    SPIN_RELAX = 32,     /* pauses between two looks, so as not to disturb the owners */
};

void
hub_look_outside(Worker *w)
{
    trt_poller *const poller = &w->base.team->poller;
    if (trt_load_relaxed(&poller->waits) == 0) {
        return;
    }
    const uint64_t now = trt_clock_now_ns();
    if (now - w->looked_ns >= SLICE_NS && trt_poller_try_hold(poller)) {
        w->looked_ns = now;
        trt_poller_collect(poller);
        trt_poller_release(poller);
        /* One that fell asleep meanwhile found it held. */
        if (trt_load_seq_cst(&poller->waits) > 0) { /* [poller-waits] */
            trt_worker_need_poller(w->base.team);
        }
    }
}

void
hub_breathe(Worker *w)
{
    if (w->base.kind == TRT_WORKER_MAIN) {
        signals_check(w);
    }
    hub_look_outside(w);
    if (++w->breaths % BREATH == 0) {
        Py_BEGIN_ALLOW_THREADS Py_END_ALLOW_THREADS
    }
}

void
hub_fire_timers(Worker *w)
{
    if (trt_timers_next_deadline(&w->base.timers) == TRT_FOREVER) {
        return;
    }
    const uint64_t now = trt_clock_now_ns();
    trt_timer *timer;
    while ((timer = trt_timers_pop_due(&w->base.timers, now)) != NULL) {
        fiber_interrupt(fiber_from_timer(timer), WAKE_TIMED_OUT);
    }
}

bool
hub_owes_turn_slow(Worker *w)
{
    const uint64_t now = trt_clock_now_ns();
    if (w->owes_since_ns == 0) {
        w->owes_since_ns = now;
    }
    if (now - w->owes_since_ns < SLICE_NS) {
        return false;
    }
    w->owes_since_ns = 0;
    hub_look_outside(w);
    hub_fire_timers(w);
    return fiber_any_ready(w);
}

bool
hub_is_needed(Worker *w)
{
    return fiber_any_ready(w) || native_can_go_on(w) || w->prefers_unstarted ||
           trt_timers_next_deadline(&w->base.timers) != TRT_FOREVER ||
           exit_cancels() > trt_load_relaxed(&w->cancel_seen) ||
           lifecycle_must_retire(w);
}

/* End a task whose thread has ended: one that was claimed here, or was begun there. */
static void
conclude_lost(TaskObject *task)
{
    PyObject *const name = task_name(task);
    if (name) {
        PyErr_Format(core->lost_error,
                     task_flag(task, TASK_LEFT)
                         ? "%U was left in the middle, in a greenlet of the program's "
                           "own, by a thread that has ended"
                         : "%U was pinned to a thread that has ended without running "
                           "it: wait for pinned tasks before the thread ends",
                     name);
        Py_DECREF(name);
    }
    PyObject *const error = trt_py_take_error();
    task_conclude(task, TRT_TASK_FAILED, error);
}

void
hub_choose(Worker *w)
{
    if (w->base.kind == TRT_WORKER_MAIN) {
        const bool all = trt_load_relaxed(&core->draining);
        const bool has_spare = trt_load_relaxed(&core->rosters) > 0; /* see roster.c */
        w->base.refused = all ? 0 : ITEM_FOREIGN;
        w->base.refuses_own = !all && has_spare;
        /* What threads that have ended left behind; with other workers, theirs to run.
         */
        w->base.takes_injected =
            all || (trt_load_relaxed(&core->threads) == 1 && !has_spare);
    }
}

/* The next entry of a queue. */
static void *
next_item(Worker *w, bool local)
{
    void *item = NULL;
    if (isolation_holds(w)) {
        item = isolation_take(w);
    } else if (trt_deque_steal(&w->pinned, &item) == TRT_STEAL_GOT) {
        trt_worker_stop_searching(&w->base);
    } else if (!local && !w->own_only) {
        item = trt_worker_take(&w->base);
    }
    return item;
}

TaskObject *
hub_next_task(Worker *w)
{
    const bool local = lifecycle_takes_nothing(w);
    hub_choose(w);
    for (;;) {
        void *const item = next_item(w, local);
        if (!item) {
            return NULL;
        }
        TaskObject *const task = task_from_item(item);
        if (task_flag(task, TASK_LEFT)) {
            /* Older entries of it may be about. */
            if (trt_exchange_relaxed(&task->fiber, NULL)) {
                conclude_lost(task);
            }
        } else if (exit_cancels_task(task)) {
            task_cancel_pending(task);
        } else if (task->limit && !task_flag(task, TRT_TASK_PINNED)) {
            const limit_admission admission = limit_admit(w, task);
            if (admission == LIMIT_ADMITTED) {
                return task;
            }
            if (admission == LIMIT_KEPT) {
                continue;
            }
        } else if (trt_task_claim(&task->base)) {
            if (!task_flag(task, TRT_TASK_PINNED) ||
                trt_load_relaxed(&task->pinned_to) == w) {
                return task;
            }
            conclude_lost(task);
        }
        Py_DECREF(task); /* a stale entry */
    }
}

/* Look for work a little longer, detached. Free-threaded builds only: what a thread
 * that holds the GIL produces cannot be run before that thread sleeps or is asked to
 * pause. */
static bool
spin(Worker *w, bool tasks_only)
{
    if (!TRT_PY_SPINS) {
        return false;
    }
    const uint64_t end = trt_clock_now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < SPIN_RELAX; i++) {
            trt_cpu_relax();
        }
        if (tasks_only ? trt_worker_sees_tasks(&w->base)
                       : trt_worker_sees_work(&w->base)) {
            return true;
        }
    } while (trt_clock_now_ns() < end);
    return false;
}

/* What main waits for may depend on tasks of foreign threads. */
bool
hub_leaves_work_to_nobody(Worker *w)
{
    return w->base.kind == TRT_WORKER_MAIN && trt_load_relaxed(&core->threads) == 1 &&
           trt_worker_sees_refused(&w->base);
}

/* Sleep, detached, as one of the pool. */
static void
sleep_in_pool(Worker *w, uint64_t deadline, bool tasks_only)
{
    const bool is_main = w->base.kind == TRT_WORKER_MAIN;
    if (w->woken) {
        trt_count(&w->base.counters.spurious_wakes);
    }
    const enum trt_park_result why =
        tasks_only
            ? trt_worker_sleep_for_tasks(&w->base, deadline, is_main, native_asleep)
            : trt_worker_sleep(&w->base, deadline, is_main, exit_asleep);
    w->woken = why == TRT_PARK_NOTIFIED;
    /* [wakeups] before anything is taken: see exit_asleep. */
    trt_fetch_add_seq_cst(&core->wakeups, 1);
    if (!is_main) {
        native_serve_detached(w); /* which needs no turn at the interpreter */
    }
}

static void
sleep_until_due(Worker *w)
{
    const uint64_t deadline = trt_timers_next_deadline(&w->base.timers);
    const bool is_main = w->base.kind == TRT_WORKER_MAIN;
    if (is_main) {
        /* Main refuses some work, and handlers may run here: nobody may count on its
         * search, so it passes the duty on instead of taking it to bed. */
        trt_worker_stop_searching(&w->base);
        if (signals_enter_sleep(w) < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        signals_check(w);
        if (fiber_any_ready(w) || trt_deque_size(&w->pinned) > 0 ||
            w->generation != trt_load_relaxed(&core->generation)) {
            signals_leave_sleep(w);
            return;
        }
    }
    w->leaves_work = hub_leaves_work_to_nobody(w);
    if (w->leaves_work && lifecycle_enter_blocked() < 0) {
        PyErr_WriteUnraisable(NULL);
        w->leaves_work = false;
    }
    if (lifecycle_takes_nothing(w)) {
        /* Only what its own fibers wait for can wake it; that leaves a token. */
        trt_worker_stop_searching(&w->base);
        stand(w, NULL, deadline, false);
    } else {
        const bool tasks_only = native_is_refused(w);
        PyThreadState *const tstate = PyEval_SaveThread();
        if (!spin(w, tasks_only)) {
            sleep_in_pool(w, deadline, tasks_only);
        }
        PyEval_RestoreThread(tstate);
    }
    if (w->leaves_work) {
        w->leaves_work = false;
        lifecycle_leave_blocked();
    }
    if (is_main) {
        signals_leave_sleep(w);
    }
}

void
hub_see_exit(Worker *w)
{
    const uint32_t which = exit_cancels();
    if (which <= trt_load_relaxed(&w->cancel_seen)) {
        return;
    }
    trt_store_release(&w->cancel_seen, which); /* [cancel-seen] */
    if (which == EXIT_CANCELS_ALL) {
        limit_open_all();
        fiber_take_back_aside(w);
        fiber_cancel_all(w);
    } else {
        fiber_cancel_detached(w);
    }
}

void
hub_loop(Worker *w)
{
    for (;;) {
        hub_see_exit(w);
        if (w->generation != trt_load_relaxed(&core->generation)) {
            lifecycle_end_child(
                Py_None); /* forked by a callback, or as something died */
        }
        openmp_adjust(w);
        hub_fire_timers(w);
        const bool isolated = isolation_holds(w);
        if (w->calls && !isolated) {
            native_host_calls(w);
            continue;
        }
        Fiber *const fiber = w->prefers_unstarted ? NULL : fiber_ready_pop(w);
        if (fiber) {
            w->woken = false;
            trt_worker_stop_searching(&w->base);
            if (fiber_switch(w, fiber) < 0) {
                PyErr_WriteUnraisable(NULL);
            }
            continue;
        }
        TaskObject *const task = hub_next_task(w);
        if (task) {
            w->prefers_unstarted = w->woken = false;
            fiber_start_task(w, task);
            continue;
        }
        if (w->prefers_unstarted || fiber_any_ready(w)) {
            /* The latter: a task that was ended unstarted has released who waited. */
            w->prefers_unstarted = false;
            continue;
        }
        if (isolated) {
            isolation_sleep(w);
            continue;
        }
        if (native_serve(w)) {
            continue;
        }
        if (lifecycle_must_retire(w) && fiber_suspended(w) == 0 &&
            w->crew.active == 0) {
            break;
        }
        sleep_until_due(w);
    }
    fiber_drop_idle(w);
    trt_worker_stop_searching(&w->base);
}

PyObject *
hub_main(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    trt_py_recursion_reset(PyThreadState_Get());
    hub_loop(w);
    w->current = &w->root; /* the parent, which goes on when this greenlet ends */
    Py_RETURN_NONE;
}

int
hub_ensure(Worker *w)
{
    if (!w->hub.greenlet) {
        w->hub.frames = NULL;
        w->hub.greenlet = PyGreenlet_New(core->hub_function, NULL);
    }
    return w->hub.greenlet ? 0 : -1;
}
