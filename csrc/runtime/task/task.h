/* The part of a task that the scheduler knows: its state, its flags, who waits for it.
 *
 * Embedded in the binding's Task object, which adds the function, its arguments and its
 * result. Neither allocates nor frees anything.
 *
 *     PENDING -> RUNNING -> (SUSPENDED -> READY -> RUNNING)* -> DONE, FAILED, CANCELLED
 *        \-> CANCELLED
 *
 *     step                     from -> to              by
 *     trt_task_claim           PENDING -> RUNNING      any thread; the winner runs it
 *     trt_task_cancel_pending  PENDING -> CANCELLED    any thread; one wins
 *     trt_task_suspend         RUNNING -> SUSPENDED    the thread that runs the task,
 *                                                      before it adds its waiter
 *     trt_task_ready           SUSPENDED -> READY      who decided the task's waiter;
 *                                                      the task if it could not add one
 *     trt_task_resume          READY -> RUNNING        the thread that runs the task
 *     trt_task_finish          RUNNING -> final        the thread that runs the task
 *
 * Only the first two can lose, so only they tell. The others assert the state that they
 * leave; breaking the rules above is a bug.
 */
#ifndef TRT_TASK_H
#define TRT_TASK_H

#include "os/atomics.h"
#include "os/check.h"
#include "task/waiters.h"

#include <stdbool.h>
#include <stdint.h>

enum trt_task_state {
    TRT_TASK_PENDING,   /* nobody has started it */
    TRT_TASK_RUNNING,   /* on a thread's stack, running */
    TRT_TASK_SUSPENDED, /* waits for something */
    TRT_TASK_READY,     /* may go on when its thread gets to it */
    TRT_TASK_DONE,      /* has a result */
    TRT_TASK_FAILED,    /* has an exception */
    TRT_TASK_CANCELLED, /* ended, or never started, because it was cancelled */
};

/* Bits of `flags`; once set they stay. Bits from TRT_TASK_FIRST_OWN_FLAG upwards belong
 * to whoever embeds the task. */
enum trt_task_flag {
    TRT_TASK_CANCEL_REQUESTED = 1u << 0, /* it meets this at its next checkpoint */
    TRT_TASK_OBSERVED = 1u << 1,         /* its failure was taken; do not report it */
    TRT_TASK_DETACHED = 1u << 2,         /* nobody will fetch it; exit does not wait */
    TRT_TASK_PINNED = 1u << 3,           /* runs on its worker only, from the start */
    TRT_TASK_FIRST_OWN_FLAG = 1u << 8,
};

typedef struct trt_task {
    /* A trt_task_state. Written by the steps above, read by anybody. A final state
     * publishes the result [task-result]; leaving PENDING hands the spawner's writes to
     * the one that runs [task-claim]. */
    _Atomic(uint32_t) state;
    /* trt_task_flag bits. Set by any thread, read by any [task-flags]. */
    _Atomic(uint32_t) flags;
    trt_waiters waiters;
} trt_task;

/* Make a PENDING task with these flags and no waiters. Before others can see it. */
static inline void
trt_task_init(trt_task *t, uint32_t flags)
{
    atomic_init(&t->state, TRT_TASK_PENDING);
    atomic_init(&t->flags, flags);
    trt_waiters_init(&t->waiters);
}

/* PENDING -> RUNNING. True: the caller must run the task; a deque entry that still
 * names it is stale. Any thread. */
static inline bool
trt_task_claim(trt_task *t)
{
    uint32_t expected = TRT_TASK_PENDING;
    /* [task-claim] release: the loser of the race may read who runs it from there on;
     * acquire: sees what the spawner wrote, however the task was found. */
    return trt_cas_acq_rel(&t->state, &expected, TRT_TASK_RUNNING);
}

/* PENDING -> CANCELLED. True: it will never run, and the caller closes and fires the
 * waiters. What the caller wrote before is visible to who sees CANCELLED. Any
 * thread. */
bool trt_task_cancel_pending(trt_task *t);

/* RUNNING -> SUSPENDED. */
void trt_task_suspend(trt_task *t);

/* SUSPENDED -> READY. */
void trt_task_ready(trt_task *t);

/* READY -> RUNNING. */
void trt_task_resume(trt_task *t);

/* The state now. Any thread. When it is final, the result is visible. */
static inline enum trt_task_state
trt_task_get_state(const trt_task *t)
{
    return (enum trt_task_state)trt_load_acquire(&t->state); /* [task-result] */
}

/* True for DONE, FAILED and CANCELLED. */
static inline bool
trt_task_state_is_final(enum trt_task_state state)
{
    return state >= TRT_TASK_DONE;
}

/* RUNNING -> `final`, which is DONE, FAILED or CANCELLED. All that the caller wrote
 * before is visible to who sees the final state. The caller then closes and fires the
 * waiters. */
static inline void
trt_task_finish(trt_task *t, enum trt_task_state final)
{
    TRT_ASSERT(trt_load_relaxed(&t->state) == TRT_TASK_RUNNING);
    TRT_ASSERT(trt_task_state_is_final(final));
    trt_store_release(&t->state, final); /* [task-result] */
}

/* True once the task has ended; the result is visible then. Any thread. */
static inline bool
trt_task_is_finished(const trt_task *t)
{
    return trt_task_state_is_final(trt_task_get_state(t));
}

/* Set flag bits and return the flags from before. Any thread. */
uint32_t trt_task_set_flags(trt_task *t, uint32_t flags);

/* The flags now. Any thread. Sequentially consistent with trt_task_set_flags: of a task
 * that announces its waiter and then looks for CANCEL_REQUESTED, and a canceller that
 * sets it and then looks for the waiter, at least one sees the other, provided the
 * waiter is announced and read by sequentially consistent operations too. */
static inline uint32_t
trt_task_get_flags(const trt_task *t)
{
    return trt_load_seq_cst(&t->flags); /* [task-flags] */
}

#endif
