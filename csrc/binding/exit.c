/* The end: shutdown(), the drain at exit, and knowing when nothing can run any more. */
#include "core.h"

#include "blas.h"

enum {
    GRACE_NS = 100 * 1000 * 1000, /* for what does not end by itself */
};

uint32_t
exit_cancels(void)
{
    if (trt_load_relaxed(&core->cancel_all)) {
        return EXIT_CANCELS_ALL;
    }
    /* Exit functions use taskrt as if nothing had been: the drain that follows them
     * cancels what they leave. */
    return trt_load_relaxed(&core->closing) && !trt_load_relaxed(&core->exited)
               ? EXIT_CANCELS_DETACHED
               : EXIT_CANCELS_NONE;
}

bool
exit_cancels_task(const TaskObject *task)
{
    const uint32_t cancels = exit_cancels();
    return cancels == EXIT_CANCELS_ALL ||
           (cancels == EXIT_CANCELS_DETACHED && task_flag(task, TRT_TASK_DETACHED));
}

/* ---- quiet: nothing can run any more --------------------------------------------- */

/* How many tasks that somebody may want have not ended. Ends are read before
 * beginnings: then 0 means that all had ended when the first sum was complete. */
uint64_t
exit_live_tasks(void)
{
    size_t count;
    uint64_t ended = trt_load_seq_cst(&core->never_ran);
    trt_worker *const *table = trt_pool_workers(core->pool, &count);
    for (size_t i = 0; i < count; i++) {
        ended += trt_load_acquire(&table[i]->counters.ran); /* [count] */
    }
    uint64_t begun = 0;
    table = trt_pool_workers(core->pool, &count);
    for (size_t i = 0; i < count; i++) {
        begun += trt_load_acquire(&table[i]->counters.spawned);
    }
    return begun - ended;
}

static bool
only_detached_left(void)
{
    return exit_live_tasks() <= trt_load_seq_cst(&core->detached_live);
}

/* Whether all threads that run tasks sleep. */
static bool
all_sleep(const trt_pool *pool)
{
    for (int team = 0; team < TRT_TEAMS; team++) {
        if (trt_team_sleeping(&pool->teams[team]) !=
            trt_load_relaxed(&pool->teams[team].running)) {
            return false;
        }
    }
    return true;
}

/* Whether a team waits for descriptors, or has something that belongs to no worker. */
static bool
any_expects(const trt_pool *pool)
{
    for (int team = 0; team < TRT_TEAMS; team++) {
        if (trt_load_seq_cst(&pool->teams[team].poller.waits) > 0 ||
            trt_injector_size(&pool->teams[team].injector) > 0) {
            return true;
        }
    }
    return false;
}

/* Whether every thread of the pool sleeps and nothing is queued anywhere. Called by
 * main after it has announced its own sleep. The count of wake-ups is the same before
 * and after: so nobody has left its sleep during the look, and what was seen empty one
 * after another was empty all at once. [wakeups] */
static bool
is_quiescent(void)
{
    trt_pool *const pool = core->pool;
    const uint32_t before = trt_load_seq_cst(&core->wakeups);
    if (!all_sleep(pool) || trt_load_seq_cst(&core->timed_waits) > 0 ||
        trt_load_seq_cst(&core->foreign_running) > 0 ||
        /* [calls] before the queues, where a call that has ended leaves what it has
         * made ready. */
        trt_load_seq_cst(&core->calls) > 0 || any_expects(pool)) {
        return false;
    }
    const uint32_t cancels = exit_cancels();
    size_t count;
    trt_worker *const *table = trt_pool_workers(pool, &count);
    for (size_t i = 0; i < count; i++) {
        const Worker *const w = (const Worker *)table[i];
        if (trt_worker_is_started(&w->base) && trt_load_acquire(&w->alive) &&
            cancels > trt_load_acquire(&w->cancel_seen)) { /* [cancel-seen] */
            return false; /* it has been woken for that and has not come to it */
        }
        const uint32_t stand = trt_load_seq_cst(&w->stand); /* L3 [stands] */
        if (stand & STAND_CALLED || trt_deque_size(&table[i]->deque) > 0 ||
            (!(stand & STAND_HOLDS_FIBERS) && !trt_inbox_is_empty(&table[i]->inbox)) ||
            (!(stand & STAND_HOLDS_STRANDS) &&
             !trt_inbox_is_empty(&table[i]->strand_inbox))) {
            return false;
        }
    }
    core->quiet_wakeups = before;
    return all_sleep(pool) && trt_load_seq_cst(&core->wakeups) == before;
}

/* How often a task has ended or a stack has begun a wait: at two quiet moments the same
 * if nothing has run between them. */
static uint64_t
progress(void)
{
    size_t count;
    uint64_t sum = 0;
    trt_worker *const *table = trt_pool_workers(core->pool, &count);
    for (size_t i = 0; i < count; i++) {
        sum += trt_load_acquire(&table[i]->counters.ran) +
               trt_load_acquire(&table[i]->counters.parked);
    }
    return sum;
}

/* The stack on which main has come to its sleep: that which it stands on; or that which
 * has it isolated, before which root does not go on; or root. */
static Fiber *
mains_stack(Worker *main)
{
    if (main->current != &main->hub) {
        return main->current;
    }
    return isolation_holds(main) ? main->isolation->fiber : &main->root;
}

/* Nobody drains. Tell main if it waits and nothing runs any more. */
static bool
look_whether_hopeless(trt_worker *base)
{
    Worker *const main = core->main;
    if (!trt_load_seq_cst(&core->main_waits)) {
        return true;
    }
    if (base != &main->base) {
        if (all_sleep(core->pool)) {
            trt_parker_unpark(&main->base.parker); /* so that it looks */
        }
        return true;
    }
    if (!is_quiescent()) {
        return true;
    }
    trt_store_relaxed(&core->main_waits, false); /* once a wait */
    core->quiet_at = progress();
    return !wait_interrupt(mains_stack(main), WAKE_QUIET);
}

/* Main drains, and is about to sleep: whether what it waits for is so. */
static bool
is_drained(Worker *main)
{
    if (!main->wants_quiet ||
        !(is_quiescent() ||
          (only_detached_left() && trt_load_seq_cst(&core->calls) == 0))) {
        return false;
    }
    main->wants_quiet = false;
    isolation_exempt_root(main);
    fiber_ready_push(main, &main->root);
    return true;
}

/* Main drains and stands on a stack that it cannot leave for root: what would be
 * cancelled next is cancelled now. Once; whether it was. */
static bool
cancel_here(Fiber *fiber)
{
    TaskObject *const task = fiber->task;
    if (!task || task_flag(task, TRT_TASK_CANCEL_REQUESTED) || !is_quiescent()) {
        return false;
    }
    trt_task_set_flags(&task->base, TRT_TASK_CANCEL_REQUESTED);
    return wait_interrupt(fiber, WAKE_CANCELLED);
}

bool
exit_stands(Worker *w)
{
    if (!trt_load_seq_cst(&core->draining)) {
        return look_whether_hopeless(&w->base);
    }
    if (w != core->main) {
        trt_parker_unpark(&core->main->base.parker);
        return true;
    }
    if (w->current == &w->hub) {
        return !is_drained(w);
    }
    return !(w->wants_quiet && cancel_here(w->current));
}

void
exit_let_main_look(void)
{
    Worker *const main = core->main;
    if (main && main != worker_current &&
        (trt_load_seq_cst(&core->draining) || trt_load_seq_cst(&core->main_waits))) {
        trt_parker_unpark(&main->base.parker);
    }
}

bool
exit_asleep(trt_worker *base)
{
    Worker *const w = (Worker *)base;
    if (w == core->main && !w->leaves_work && hub_leaves_work_to_nobody(w)) {
        return false; /* pushed before the sleep was announced: it must not be missed */
    }
    if (!trt_load_seq_cst(&core->draining)) {
        return look_whether_hopeless(base);
    }
    Worker *const main = core->main;
    if (base != &main->base) {
        trt_parker_unpark(
            &main->base.parker); /* perhaps it was waiting for just this */
        return true;
    }
    return !is_drained(main);
}

/* On main's root: work until nothing can run, until only detached tasks are left, or
 * until the deadline. 0; or −1 with the error of a signal handler. */
static int
work_until_quiet(Worker *w, uint64_t deadline)
{
    Fiber *const root = &w->root;
    int status = 0;
    if (deadline != TRT_FOREVER) {
        root->timer = (trt_timer){.deadline_ns = deadline, .index = TRT_TIMER_IDLE};
        if (trt_timers_add(&w->base.timers, &root->timer) < 0) {
            PyErr_NoMemory();
            return -1;
        }
    }
    trt_store_seq_cst(&core->draining, true);
    w->wants_quiet = true;
    status = fiber_park(w);
    w->wants_quiet = false;
    trt_store_seq_cst(&core->draining, false);
    trt_timers_remove(&w->base.timers, &root->timer);
    return signals_resume_root(w) < 0 ? -1 : status;
}

/* ---- stop ------------------------------------------------------------------------ */

static bool
any_alive(void)
{
    size_t place = 0;
    for (const Worker *w; (w = lifecycle_next_thread(&place)) != NULL;) {
        if (trt_load_acquire(&w->alive)) {
            return true;
        }
    }
    unsigned long ident;
    return alarm_is_alive(&ident);
}

/* Raise Cancelled in the Python code that pool threads run now. The last resort at
 * exit, for code that reaches no checkpoint. */
static void
interrupt_threads(void)
{
    trt_store_relaxed(&core->interrupting, true);
    size_t place = 0;
    for (const Worker *w; (w = lifecycle_next_thread(&place)) != NULL;) {
        if (trt_load_acquire(&w->alive) && trt_load_relaxed(&w->thread_ident)) {
            PyThreadState_SetAsyncExc(trt_load_relaxed(&w->thread_ident),
                                      core->cancelled);
        }
    }
}

/* Tell pool threads to end and wait until they have, at most until the deadline; Ctrl-C
 * shortens that. */
static bool
stop_threads(Worker *w, uint64_t deadline)
{
    trt_store_seq_cst(&core->stopping, true);
    lifecycle_unpark_all();
    alarm_stop();
    bool in_time = true;
    while (any_alive() && in_time) {
        if (signals_enter_sleep(w) < 0 || PyErr_CheckSignals() < 0) {
            PyErr_Clear();
            deadline = trt_clock_now_ns() + GRACE_NS;
        }
        PyThreadState *const tstate = PyEval_SaveThread();
        in_time = !any_alive() || trt_parker_park_signals(&w->base.parker, deadline) !=
                                      TRT_PARK_TIMED_OUT;
        PyEval_RestoreThread(tstate);
        signals_leave_sleep(w);
    }
    const bool ended = !any_alive();
    alarm_go_on();
    return ended;
}

/* End main's hub and its runners. */
static void
stop_hub(Worker *w)
{
    if (w->hub.greenlet) {
        /* Its parent is whoever waited first, perhaps a greenlet of the user's. */
        PyGreenlet *const here = PyGreenlet_GetCurrent();
        if (!here || PyGreenlet_SetParent(w->hub.greenlet, here) < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        Py_XDECREF(here);
        if (fiber_switch(w, &w->hub) < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        Py_CLEAR(w->hub.greenlet);
        Py_CLEAR(w->root.greenlet);
    }
    if (signals_resume_root(w) < 0) {
        PyErr_Clear();
    }
}

/* Drain and stop, on main's root. `patient`: wait for running tasks however long they
 * take. `give_up_blas` is called when they have ended. True: all threads have ended. */
static bool
end_runtime(Worker *w, bool patient, uint64_t deadline, void (*give_up_blas)(void))
{
    LimitObject *const held = w->root.held; /* inside of a limit that goes on */
    if (held) {
        limit_leave(&w->root);
    }
    trt_store_seq_cst(&core->closing, true);
    lifecycle_unpark_all(); /* detached tasks that wait are cancelled now */
    if (patient && work_until_quiet(w, deadline) < 0) {
        patient = false; /* Ctrl-C ends the drain */
        PyErr_Clear();
    }
    /* What is left waits for somebody who never comes, or is not wanted. */
    trt_store_seq_cst(&core->cancel_all, true);
    native_cancel_all();
    lifecycle_unpark_all();
    for (int round = 0; round < 2; round++) {
        const bool bounded =
            !patient || only_detached_left() || deadline != TRT_FOREVER;
        const uint64_t until = bounded ? trt_clock_now_ns() + GRACE_NS : TRT_FOREVER;
        if (work_until_quiet(w, until) < 0) {
            patient = false;
            PyErr_Clear();
        }
        if (exit_live_tasks() == 0 || (patient && !bounded)) {
            break; /* the latter: what lives is not on these threads */
        }
        interrupt_threads();
    }
    const bool bounded = exit_live_tasks() > 0;
    give_up_blas();
    const bool ended =
        stop_threads(w, bounded ? trt_clock_now_ns() + GRACE_NS : TRT_FOREVER);
    stop_hub(w);
    limit_rejoin_now(&w->root, held);
    return ended;
}

/* Make ready for a new start. */
static void
reset(void)
{
    trt_store_relaxed(&core->threads, 0);
    trt_store_relaxed(&core->interactive, 0);
    trt_store_relaxed(&core->cancel_all, false);
    trt_store_relaxed(&core->stopping, false);
    trt_store_relaxed(&core->closing, false);
    if (core->main) {
        trt_store_relaxed(&core->main->cancel_seen, EXIT_CANCELS_NONE);
    }
}

PyObject *
core_shutdown(PyObject *Py_UNUSED(module), PyObject *args)
{
    int wait, cancel;
    PyObject *timeout;
    uint64_t deadline;
    if (!PyArg_ParseTuple(args, "ppO:shutdown", &wait, &cancel, &timeout) ||
        wait_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    if (trt_load_relaxed(&core->threads) == 0) {
        Py_RETURN_TRUE;
    }
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    if (w->base.kind != TRT_WORKER_MAIN || w->current != &w->root || w->root.task ||
        w->root.work) {
        PyErr_SetString(PyExc_RuntimeError,
                        "shutdown() must be called by the main thread outside of tasks "
                        "and of what native tasks call");
        return NULL;
    }
    if (!wait && !cancel) {
        trt_store_seq_cst(&core->closing, true);
        lifecycle_unpark_all();
        return PyBool_FromLong(exit_live_tasks() == 0);
    }
    const bool ended = end_runtime(w, wait && !cancel, deadline, blas_pause);
    if (ended) {
        reset();
    }
    return PyBool_FromLong(ended);
}

/* Whether the program ends because of Ctrl-C that nobody has caught. */
static bool
ends_by_interrupt(void)
{
    PyObject *const type = PySys_GetObject("last_type"); /* borrowed */
    return type && PyErr_GivenExceptionMatches(type, PyExc_KeyboardInterrupt);
}

/* `late`: an earlier call was due. If it did not come, Ctrl-C has ended what calls it.
 */
PyObject *
core_at_exit(PyObject *Py_UNUSED(module), PyObject *late)
{
    const bool interrupted =
        (late == Py_True && !trt_load_relaxed(&core->exited)) || ends_by_interrupt();
    if (trt_load_relaxed(&core->threads) == 0) {
        Py_RETURN_NONE;
    }
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    if (w->base.kind == TRT_WORKER_MAIN && w->current == &w->root && !w->root.work) {
        if (end_runtime(w, !interrupted, TRT_FOREVER, blas_leave)) {
            reset();
        }
        trt_store_relaxed(&core->exited, true);
        trt_store_seq_cst(&core->closing,
                          true); /* but for main, see lifecycle_accepts */
    }
    Py_RETURN_NONE;
}
