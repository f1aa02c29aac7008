/* The hot path: what every spawn, every fetch and every run of a task goes through, in
 * line. Each function looks at a word or two and is done in the usual case; the rest of
 * it is where the name with `_slow` is defined, and its contract where it is declared.
 * The last part of core.h. */
#ifndef TRT_BINDING_HOT_H
#define TRT_BINDING_HOT_H

static inline bool
lifecycle_accepts(Worker *w)
{
    return !trt_load_relaxed(&core->closing) || lifecycle_accepts_slow(w);
}

static inline Lineage *
lineage_here(Worker *w)
{
    Fiber *const fiber = w->current;
    if (fiber->aside == (uintptr_t)fiber->task + 1) {
        return &w->stray;
    }
    return fiber->task ? &fiber->task->lineage : &w->lineage;
}

static inline int
wait_checkpoint(Fiber *fiber)
{
    const TaskObject *const task = fiber->task;
    const bool may_be_asked = fiber->scope || trt_load_relaxed(&core->closing) ||
                              (task && task_flag(task, TRT_TASK_CANCEL_REQUESTED));
    return may_be_asked ? wait_checkpoint_slow(fiber) : 0;
}

static inline bool
fiber_any_ready(const Worker *w)
{
    return w->ready_head || !trt_inbox_is_empty(&w->base.inbox);
}

static inline bool
isolation_holds(const Worker *w)
{
    return w->isolation && !trt_load_relaxed(&core->cancel_all);
}

static inline bool
fiber_is_at_home(Worker *w, const PyThreadState *tstate, bool may_move)
{
    const void *const home = w->current->frames;
    const void *const here = trt_py_frames_begin(tstate);
    return home && here ? home == here : fiber_is_at_home_slow(w, may_move);
}

static inline bool
scope_binds(ScopeObject *scope, ScopeObject *inner)
{
    return !scope || scope_binds_slow(scope, inner);
}

static inline void
scope_unwind(Fiber *fiber, ScopeObject *base)
{
    if (fiber->scope != base) {
        scope_unwind_slow(fiber, base);
    }
}

static inline void
entries_drop(Worker *w, TaskObject *task)
{
    if (w->stale == 0 && !task_flag(task, TRT_TASK_PINNED | TASK_INTERACTIVE) &&
        trt_deque_pop_if(&w->base.deque, task_as_item(task))) {
        Py_DECREF(task); /* the queue's; the caller has one of its own */
        return;
    }
    entries_drop_slow(w, task);
}

static inline bool
hub_owes_turn(Worker *w)
{
    if (fiber_any_ready(w) || trt_load_relaxed(&w->base.team->poller.waits) > 0 ||
        trt_timers_next_deadline(&w->base.timers) != TRT_FOREVER) {
        return hub_owes_turn_slow(w);
    }
    w->owes_since_ns = 0;
    return false;
}

/* ---- surroundings ---------------------------------------------------------------- */

static inline void
context_suspend(PyThreadState *tstate, Suspended *suspended)
{
    suspended->blocking = worker_current->blocking;
    if (suspended->blocking) {
        context_set_blocking(0);
    }
    suspended->loop = tstate->context ? context_take_loop() : NULL;
    suspended->firstiter = tstate->async_gen_firstiter;
    suspended->finalizer = tstate->async_gen_finalizer;
    tstate->async_gen_firstiter = NULL;
    tstate->async_gen_finalizer = NULL;
}

static inline void
context_resume(PyThreadState *tstate, Suspended *suspended)
{
    const Worker *const w = worker_current;
    if (w && w->blocking != suspended->blocking) {
        context_set_blocking(suspended->blocking);
    }
    PyObject *const firstiter = tstate->async_gen_firstiter;
    PyObject *const finalizer = tstate->async_gen_finalizer;
    tstate->async_gen_firstiter = suspended->firstiter;
    tstate->async_gen_finalizer = suspended->finalizer;
    if (suspended->loop || firstiter || finalizer) {
        context_resume_slow(suspended, firstiter, finalizer);
    }
}

static inline int
context_enter(PyThreadState *tstate, TaskObject *task, Surroundings *saved)
{
    context_suspend(tstate, &saved->suspended);
    saved->entered = task_flag(task, TASK_IN_GIVEN_CONTEXT);
    if (saved->entered) {
        if (context_enter_given(task) < 0) {
            context_resume(tstate, &saved->suspended);
            return -1;
        }
    } else {
        /* The task's own copy needs no mark against being entered twice: nobody else
         * has it. NULL is an empty context, made when a variable is first set. Raising
         * the version drops what variables have cached for this thread. */
        saved->context = tstate->context;
        tstate->context = task->context;
        tstate->context_ver++;
        task->context = NULL;
    }
    saved->outer_handled = tstate->exc_info;
    saved->handled = (_PyErr_StackItem){0};
    tstate->exc_info = &saved->handled;
    return 0;
}

static inline void
context_leave(PyThreadState *tstate, TaskObject *task, Surroundings *saved)
{
    tstate->exc_info = saved->outer_handled;
    if (saved->entered) {
        context_leave_given(task);
    } else {
        /* Dropped with the task's other belongings: values may run code as they die. */
        task->context = tstate->context;
        tstate->context = saved->context;
        tstate->context_ver++;
    }
    context_resume(tstate, &saved->suspended);
}

#endif
