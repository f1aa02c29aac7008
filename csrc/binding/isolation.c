/* Isolated blocks: what a thread may run while one is open; see isolation.h. */
#include "core.h"

void
isolation_begin(Worker *w, LimitObject *block)
{
    block->mark = trt_deque_next_number(&w->base.deque);
    trt_mutex_lock(&core->waits);
    block->outer = w->isolation;
    w->isolation = block;
    trt_mutex_unlock(&core->waits);
}

void
isolation_end(Worker *w, LimitObject *block)
{
    trt_store_relaxed(&block->idle, true); /* what is spawned from now on is outside */
    trt_mutex_lock(&core->waits);
    LimitObject **link = &w->isolation;
    while (*link && *link != block) {
        link = &(*link)->outer; /* root has gone on in the middle of it */
    }
    if (*link) {
        *link = block->outer;
    }
    trt_mutex_unlock(&core->waits);
    if (!w->isolation) {
        w->root_exempt = false;
    }
    fiber_take_back_aside(w);
}

bool
isolation_admits(const Worker *w, const Fiber *fiber)
{
    return !isolation_holds(w) || limit_is_within(fiber->limit, w->isolation) ||
           (fiber == &w->root &&
            (w->root_exempt || w->interrupted || w->interrupt_error));
}

bool
isolation_refuses(const Worker *w, const TaskObject *task)
{
    const LimitObject *block = isolation_holds(w) ? w->isolation : NULL;
    while (block &&
           (block->fiber != w->current || limit_is_within(task->limit, block))) {
        block = block->outer;
    }
    return block != NULL;
}

bool
isolation_admits_task(const Worker *w, const TaskObject *task)
{
    return !isolation_holds(w) || limit_is_within(task->limit, w->isolation);
}

void
isolation_exempt_root(Worker *w)
{
    if (w->isolation && !w->root_exempt) {
        w->root_exempt = true;
        fiber_take_back_aside(w);
    }
}

/* One that was just taken, as the newest: once round the queue and all are in order. */
static void
put_pinned_back(Worker *w, void *item)
{
    const int error = trt_deque_push(&w->pinned, item);
    TRT_ASSERT(error == 0); /* into the place that it has left */
    (void)error;
}

bool
isolation_sees_pinned(Worker *w)
{
    bool found = false;
    void *item;
    for (size_t left = trt_deque_size(&w->pinned); left > 0; left--) {
        if (trt_deque_steal(&w->pinned, &item) == TRT_STEAL_GOT) {
            found = found || isolation_admits_task(w, task_from_item(item));
            put_pinned_back(w, item);
        }
    }
    return found;
}

/* The oldest pinned task from inside. */
static void *
take_pinned(Worker *w)
{
    void *item;
    for (size_t left = trt_deque_size(&w->pinned); left > 0; left--) {
        if (trt_deque_steal(&w->pinned, &item) != TRT_STEAL_GOT) {
            break;
        }
        if (isolation_admits_task(w, task_from_item(item))) {
            return item;
        }
        put_pinned_back(w, item);
    }
    return NULL;
}

void *
isolation_take(Worker *w)
{
    void *item = take_pinned(w);
    while (!item && w->base.team->steals && !w->own_only &&
           trt_deque_next_number(&w->base.deque) > w->isolation->mark) {
        item = trt_deque_pop(&w->base.deque);
        if (!item) {
            break;
        }
        if (isolation_admits_task(w, task_from_item(item))) {
            break;
        }
        /* One that was let run inside, but made outside. */
        if (trt_injector_push(&w->base.team->injector, item) < 0) {
            const int error = trt_deque_push(&w->base.deque, item);
            TRT_ASSERT(error == 0);
            (void)error;
            return NULL;
        }
        trt_pool_notify(w->base.pool);
        item = NULL;
    }
    return item;
}

/* Stand until something inside may go on, a timer is due, a signal has come, or the
 * process ends. All of that is one region: others are unparked as spare threads come
 * and go, so a region for each sleep would bring in the next ones for ever. */
static void
stand_in_region(Worker *w, bool is_main)
{
    enum trt_park_result why = TRT_PARK_NOTIFIED;
    blocking_begin(w);
    while (why == TRT_PARK_NOTIFIED && !fiber_gather_ready(w) &&
           exit_cancels() <= trt_load_relaxed(&w->cancel_seen)) {
        why = stand(w, NULL, trt_timers_next_deadline(&w->base.timers), is_main);
    }
    blocking_end(w);
}

void
isolation_sleep(Worker *w)
{
    const bool is_main = w->base.kind == TRT_WORKER_MAIN;
    trt_worker_stop_searching(&w->base);
    if (is_main) {
        if (signals_enter_sleep(w) < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        signals_check(w);
    }
    if (w->generation == trt_load_relaxed(&core->generation)) {
        stand_in_region(w, is_main);
    }
    if (is_main) {
        signals_leave_sleep(w);
    }
}

Fiber *
isolation_awaited_locked(const Fiber *stack)
{
    const Worker *const w = stack->worker;
    const Wait *const wait = stack->wait;
    const bool is_held_up = isolation_holds(w) && wait && stack != &w->root &&
                            !limit_is_within(wait->limit, w->isolation);
    return is_held_up ? w->isolation->fiber : NULL;
}
