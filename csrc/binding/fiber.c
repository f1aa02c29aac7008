/* Stacks: switching between them, the list of ready ones, the runners that tasks run
 * on. */
#include "core.h"

#include <stdlib.h>

enum {
    /* Runners kept for the next tasks. Each holds 4 to 8 KiB; making one costs as much
     * as twenty switches. */
    IDLE_MAX = 64,
    /* How often a yield lets unstarted work go before ready fibers. A prime. */
    UNSTARTED_PERIOD = 61,
    /* How often a yield with nothing else to do looks at the clock for its timers. */
    CLOCK_PERIOD = 16,
};

/* ---- ready fibers ---------------------------------------------------------------- */

void
fiber_ready_push(Worker *w, Fiber *fiber)
{
    fiber->ready.next = NULL;
    if (w->ready_tail) {
        w->ready_tail->next = &fiber->ready;
    } else {
        w->ready_head = &fiber->ready;
    }
    w->ready_tail = &fiber->ready;
}

static void
take_inbox(Worker *w)
{
    if (!trt_inbox_is_empty(&w->base.inbox)) {
        trt_inbox_node *node = trt_inbox_take_all(&w->base.inbox);
        while (node) {
            trt_inbox_node *const next = node->next;
            fiber_ready_push(w, fiber_from_ready(node));
            node = next;
        }
    }
}

static void
unlink_ready(Worker *w, trt_inbox_node *previous, trt_inbox_node *node)
{
    if (previous) {
        previous->next = node->next;
    } else {
        w->ready_head = node->next;
    }
    if (w->ready_tail == node) {
        w->ready_tail = previous;
    }
}

/* Whether a fiber that is put aside, or no more, has waited for a time. */
static void
count_aside(Worker *w, const Fiber *fiber, bool aside)
{
    if (fiber->timed && aside) {
        w->timed--;
        trt_fetch_sub_seq_cst(&core->timed_waits, 1);
    } else if (fiber->timed) {
        w->timed++;
        trt_fetch_add_seq_cst(&core->timed_waits, 1);
    }
}

/* Put the first one aside that an isolated block keeps from going on. NULL: all may. */
static Fiber *
put_one_aside(Worker *w)
{
    trt_inbox_node *previous = NULL, *node = w->ready_head;
    while (node && isolation_admits(w, fiber_from_ready(node))) {
        previous = node;
        node = node->next;
    }
    if (!node) {
        return NULL;
    }
    Fiber *const fiber = fiber_from_ready(node);
    fiber->is_aside = true;
    unlink_ready(w, previous, node);
    node->next = NULL;
    *(w->aside_tail ? &w->aside_tail->next : &w->aside_head) = node;
    w->aside_tail = node;
    count_aside(w, fiber, true);
    return fiber;
}

bool
fiber_gather_ready(Worker *w)
{
    const Fiber *fiber;
    take_inbox(w);
    while (w->isolation && (fiber = put_one_aside(w)) != NULL) {
        if (fiber->roused_for) {
            limit_pass_on(fiber->roused_for); /* it does not come for the place now */
        }
    }
    return w->ready_head != NULL;
}

void
fiber_take_back_aside(Worker *w)
{
    if (!w->aside_head) {
        return;
    }
    for (trt_inbox_node *node = w->aside_head; node; node = node->next) {
        fiber_from_ready(node)->is_aside = false;
        count_aside(w, fiber_from_ready(node), false);
    }
    w->aside_tail->next = w->ready_head;
    w->ready_head = w->aside_head;
    if (!w->ready_tail) {
        w->ready_tail = w->aside_tail;
    }
    w->aside_head = w->aside_tail = NULL;
}

Fiber *
fiber_ready_pop(Worker *w)
{
    if (!fiber_gather_ready(w)) {
        return NULL;
    }
    trt_inbox_node *const node = w->ready_head;
    unlink_ready(w, NULL, node);
    return fiber_from_ready(node);
}

bool
fiber_ready_remove(Worker *w, Fiber *fiber)
{
    take_inbox(w);
    fiber_take_back_aside(w); /* it may be one of those */
    trt_inbox_node *previous = NULL;
    for (trt_inbox_node *node = w->ready_head; node;
         previous = node, node = node->next) {
        if (node == &fiber->ready) {
            unlink_ready(w, previous, node);
            return true;
        }
    }
    return false;
}

void
fiber_interrupt(Fiber *fiber, wake_reason reason)
{
    Worker *const w = fiber->worker;
    if (reason == WAKE_SIGNAL && fiber == &w->root) {
        isolation_exempt_root(w);
    }
    if (wait_interrupt(fiber, reason)) {
        return;
    }
    if (reason == WAKE_SIGNAL) {
        limit_interrupt(fiber);
    }
    if (w->wants_quiet && fiber == &w->root) {
        w->wants_quiet = false;
        isolation_exempt_root(w);
        fiber_ready_push(w, fiber);
    }
}

void
fiber_count_timed(Fiber *fiber, bool waits)
{
    fiber->timed = !fiber->is_aside; /* one that is was taken off already */
    count_aside(fiber->worker, fiber, !waits);
    fiber->timed = waits;
}

/* ---- switching ------------------------------------------------------------------- */

bool
fiber_can_switch(Worker *w)
{
    if (w->base.kind == TRT_WORKER_FOREIGN || w->current == &w->hub ||
        w->in_collection || w->crew.strands.inside || w->current->wait) {
        return false; /* the last: a handler runs in the middle of this stack's wait */
    }
    if (w->current == &w->root && !w->root.task) {
        return true; /* whatever greenlet user code runs in: it is kept while it waits
                      */
    }
    /* Code that switches greenlets of its own inside a task waits with the thread. */
    return fiber_is_at_home(w, PyThreadState_Get(), false);
}

/* May run code of greenlets that nobody refers to. */
bool
fiber_is_at_home_slow(Worker *w, bool may_move)
{
    Fiber *const fiber = w->current;
    PyGreenlet *const here = PyGreenlet_GetCurrent();
    if (!here) {
        PyErr_Clear(); /* the process ends: nobody switches any more */
        return true;
    }
    const bool is_foreign = w->base.kind == TRT_WORKER_FOREIGN;
    bool is_home;
    if (fiber != &w->root) {
        is_home = here == fiber->greenlet;
    } else if (is_foreign && fiber->task) {
        is_home = here == fiber->place;
    } else {
        is_home = may_move || PyGreenlet_MAIN(here);
    }
    if (is_home && is_foreign) {
        fiber->place = here;
    } else if (is_home) {
        fiber->frames = trt_py_frames_begin(PyThreadState_Get());
    }
    Py_DECREF(here);
    return is_home;
}

/* gc.callbacks: code that a collection runs must not be left for another stack. */
PyObject *
core_on_collection(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Worker *const w = worker_current;
    if (w && nargs > 0 && PyUnicode_Check(args[0])) {
        w->in_collection = PyUnicode_CompareWithASCIIString(args[0], "start") == 0;
    }
    Py_RETURN_NONE;
}

int
fiber_switch(Worker *w, Fiber *to)
{
    Fiber *const from = w->current;
    TRT_ASSERT(from != to);
    if (from == &w->root) {
        Py_XSETREF(from->greenlet, PyGreenlet_GetCurrent());
    }
    if (w->base.kind == TRT_WORKER_MAIN && to != &w->root && to != &w->hub) {
        signals_guard(w);
    }
    w->current = to;
    PyObject *const result = PyGreenlet_Switch(to->greenlet, NULL, NULL);
    w->current = from;
    if (!result) {
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

int
fiber_park(Worker *w)
{
    Fiber *next = fiber_ready_pop(w);
    if (next == w->current) {
        return 0; /* made ready meanwhile: no switch at all */
    }
    if (!next) {
        if (hub_ensure(w) < 0) {
            return -1;
        }
        next = &w->hub;
    }
    return fiber_switch(w, next);
}

/* Whether a timer is due; looks at the clock only now and then. */
static bool
timer_is_due(Worker *w)
{
    const uint64_t next = trt_timers_next_deadline(&w->base.timers);
    return next != TRT_FOREVER && ++w->yields % CLOCK_PERIOD == 0 &&
           next <= trt_clock_now_ns();
}

bool
fiber_has_others(Worker *w)
{
    hub_look_outside(w);
    hub_choose(w);
    return timer_is_due(w) || fiber_any_ready(w) || native_can_go_on(w) ||
           trt_deque_size(&w->pinned) > 0 || trt_worker_has_at_hand(&w->base);
}

int
fiber_yield(Worker *w)
{
    Fiber *const self = w->current;
    Fiber *next = NULL;
    if (++w->yields % UNSTARTED_PERIOD != 0) {
        next = fiber_ready_pop(w);
    }
    if (!next) {
        if (hub_ensure(w) < 0) {
            return -1;
        }
        w->prefers_unstarted = true;
        next = &w->hub;
    }
    fiber_ready_push(w, self);
    const int status = fiber_switch(w, next);
    if (status < 0) {
        fiber_ready_remove(w, self);
    }
    return status;
}

/* ---- runners --------------------------------------------------------------------- */

static Fiber *
runner_create(Worker *w)
{
    Fiber *fiber = w->unused;
    if (fiber) {
        w->unused = fiber->next_idle;
    } else {
        fiber = calloc(1, sizeof *fiber);
        if (!fiber) {
            PyErr_NoMemory();
            return NULL;
        }
        fiber->worker = w;
        fiber->timer.index = TRT_TIMER_IDLE;
    }
    fiber->greenlet = PyGreenlet_New(core->runner_function, NULL); /* parent: the hub */
    if (!fiber->greenlet) {
        fiber->next_idle = w->unused;
        w->unused = fiber;
        return NULL;
    }
    fiber->frames = NULL;
    fiber->previous = NULL;
    fiber->next = w->runners;
    if (fiber->next) {
        fiber->next->previous = fiber;
    }
    w->runners = fiber;
    w->runner_count++;
    return fiber;
}

static void
runner_retire(Worker *w, Fiber *fiber)
{
    if (fiber->previous) {
        fiber->previous->next = fiber->next;
    } else {
        w->runners = fiber->next;
    }
    if (fiber->next) {
        fiber->next->previous = fiber->previous;
    }
    w->runner_count--;
    Py_CLEAR(fiber->greenlet);
    fiber->next_idle = w->unused;
    w->unused = fiber;
}

size_t
fiber_suspended(Worker *w)
{
    return w->runner_count - w->idle_count;
}

void
fiber_cancel_all(Worker *w)
{
    for (Fiber *fiber = w->runners; fiber; fiber = fiber->next) {
        for (TaskObject *task = fiber->task; task; task = task->outer) {
            trt_task_set_flags(&task->base, TRT_TASK_CANCEL_REQUESTED);
        }
        wait_interrupt(fiber, WAKE_CANCELLED);
    }
}

/* Being detached is a request by now, so there is nothing to set. */
void
fiber_cancel_detached(Worker *w)
{
    for (Fiber *fiber = w->runners; fiber; fiber = fiber->next) {
        if (fiber->task && task_flag(fiber->task, TRT_TASK_DETACHED)) {
            wait_interrupt(fiber, WAKE_CANCELLED);
        }
    }
}

/* Let go of the runner's stack until there is another task. False: the runner is to
 * end. */
static bool
runner_rest(Worker *w, Fiber *fiber)
{
    if (w->idle_count >= IDLE_MAX) {
        return false;
    }
    fiber->next_idle = w->idle;
    w->idle = fiber;
    w->idle_count++;
    Fiber *const next = fiber_ready_pop(w);
    if (next) {
        trt_worker_stop_searching(&w->base); /* the look for a task has counted it */
    }
    if (fiber_switch(w, next ? next : &w->hub) < 0) {
        PyErr_Clear(); /* thrown into while idle: whoever did it cannot mean a task */
    }
    if (w->handoff) {
        return true;
    }
    for (Fiber **link = &w->idle; *link; link = &(*link)->next_idle) {
        if (*link ==
            fiber) { /* not switched to by the hub, which takes it off the list */
            *link = fiber->next_idle;
            w->idle_count--;
            break;
        }
    }
    return false;
}

/* The body of a runner: task after task on one greenlet, since a new one costs
 * microseconds and a chunk of Python stack. Goes on by itself as long as nothing else
 * is due. */
PyObject *
fiber_runner(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    Fiber *const fiber = w->starting;
    TRT_PY_HANG_ON_UNWIND(done);
    w->starting = NULL;
    do {
        trt_py_recursion_reset(PyThreadState_Get());
        TaskObject *task = w->handoff;
        w->handoff = NULL;
        while (task) {
            task_execute(fiber, task);
            Py_DECREF(task);
            if (w->generation != trt_load_relaxed(&core->generation)) {
                lifecycle_end_child(Py_None); /* forked by a callback */
            }
            hub_breathe(w);
            task = hub_is_needed(w) ? NULL : hub_next_task(w);
        }
    } while (runner_rest(w, fiber));
    runner_retire(w, fiber);
    TRT_PY_UNWIND_DONE(done);
    w->current = &w->hub; /* the parent, which goes on when this greenlet ends */
    Py_RETURN_NONE;
}

void
fiber_start_task(Worker *w, TaskObject *task)
{
    Fiber *fiber = w->idle;
    if (fiber) {
        w->idle = fiber->next_idle;
        w->idle_count--;
    } else {
        fiber = runner_create(w);
        if (!fiber) {
            PyObject *const error = trt_py_take_error();
            limit_withdraw(w);
            task_conclude(task, TRT_TASK_FAILED, error);
            Py_DECREF(task);
            return;
        }
        w->starting = fiber;
    }
    w->handoff = task;
    if (fiber_switch(w, fiber) < 0) {
        PyErr_WriteUnraisable(NULL); /* somebody has thrown into the hub */
    }
}

void
fiber_drop_idle(Worker *w)
{
    while (w->idle) {
        Fiber *const fiber = w->idle;
        w->idle = fiber->next_idle;
        w->idle_count--;
        w->handoff = NULL;
        if (fiber_switch(w, fiber) < 0) {
            PyErr_WriteUnraisable(NULL);
        }
    }
}
