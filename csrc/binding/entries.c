/* Entries of tasks that were run without their queue: by whoever fetched them, as a
 * call.
 *
 * A deque entry is a hint and holds a reference; whoever comes upon one whose task has
 * been claimed drops it. A program that spawns and fetches on one thread, with nobody
 * to steal, comes upon them only here. Entries are looked at after they were taken out,
 * since a thief may take and free what merely lies in the deque. */
#include "core.h"

enum {
    /* Stale entries before the oldest end is tidied as well. */
    STALE_MAX = 64,
    /* How many live entries one tidying moves from the oldest end to the newest. */
    MOVES_MAX = 2,
};

/* Put back an entry that is still wanted. True: it was, and nothing more is to be done.
 */
static bool
keep(trt_deque *queue, void *item)
{
    TaskObject *const task = task_from_item(item);
    if (trt_task_get_state(&task->base) == TRT_TASK_PENDING &&
        (trt_deque_push(queue, item) == 0 ||
         trt_injector_push(&core->pool->teams[TRT_DEFAULT].injector, item) == 0)) {
        return true;
    }
    Py_DECREF(task);
    return false;
}

static void
tidy_newest(Worker *w, trt_deque *queue)
{
    void *item;
    while ((item = trt_deque_pop(queue)) != NULL) {
        if (keep(queue, item)) {
            return;
        }
        w->stale -= w->stale > 0;
    }
    w->stale = 0;
}

void
entries_tidy_oldest(Worker *w)
{
    trt_deque *const queue = &w->base.deque;
    int moves = 0;
    void *item;
    while (moves < MOVES_MAX && trt_deque_steal(queue, &item) == TRT_STEAL_GOT) {
        if (keep(queue, item)) {
            moves++;
        } else {
            w->stale -= w->stale > 0;
        }
    }
}

static bool
is_stale(void *item)
{
    return trt_task_get_state(&task_from_item(item)->base) != TRT_TASK_PENDING;
}

void
entries_tidy_posted(void)
{
    trt_injector *const posted = &core->pool->teams[TRT_INTERACTIVE].injector;
    void *item;
    while ((item = trt_injector_pop_if(posted, is_stale)) != NULL) {
        Py_DECREF(task_from_item(item));
    }
}

/* Of an interactive task that is not pinned. */
static void
drop_posted(TaskObject *task)
{
    trt_injector *const posted = &core->pool->teams[TRT_INTERACTIVE].injector;
    if (trt_injector_remove(posted, task_as_item(task))) {
        Py_DECREF(task); /* the queue's; the caller has one of its own */
    }
}

void
entries_drop_slow(Worker *w, TaskObject *task)
{
    const bool pinned = task_flag(task, TRT_TASK_PINNED);
    if (!pinned && task_flag(task, TASK_INTERACTIVE)) {
        drop_posted(task);
        return;
    }
    trt_deque *const queue = pinned ? &w->pinned : &w->base.deque;
    if (trt_deque_pop_if(queue, task_as_item(task))) {
        Py_DECREF(task); /* the queue's; the caller has one of its own */
    } else {
        w->stale++; /* if it is in this queue at all */
    }
    if (w->stale) {
        tidy_newest(w, queue);
        if (w->stale >= STALE_MAX && !pinned) { /* pinned tasks keep their order */
            entries_tidy_oldest(w);
            w->stale /= 2; /* some of them may have been in other queues */
        }
    }
}
