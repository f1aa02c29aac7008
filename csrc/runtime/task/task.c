#include "task/task.h"

bool
trt_task_cancel_pending(trt_task *t)
{
    uint32_t expected = TRT_TASK_PENDING;
    /* [task-claim] One of this and the claims wins. [task-result] Release: CANCELLED is
     * final and publishes what the canceller left in the task. */
    return trt_cas_acq_rel(&t->state, &expected, TRT_TASK_CANCELLED);
}

/* Make a step that only one thread may take at this time. A plain store, as the rules
 * in task.h leave no other thread that would change the state. */
static void
step(trt_task *t, enum trt_task_state from, enum trt_task_state to)
{
    TRT_ASSERT(trt_load_relaxed(&t->state) == from);
    /* Relaxed: whoever takes the next step was ordered after this one by the waiter's
     * decision and the inbox; others only look. */
    trt_store_relaxed(&t->state, to);
}

void
trt_task_suspend(trt_task *t)
{
    step(t, TRT_TASK_RUNNING, TRT_TASK_SUSPENDED);
}

void
trt_task_ready(trt_task *t)
{
    step(t, TRT_TASK_SUSPENDED, TRT_TASK_READY);
}

void
trt_task_resume(trt_task *t)
{
    step(t, TRT_TASK_READY, TRT_TASK_RUNNING);
}

uint32_t
trt_task_set_flags(trt_task *t, uint32_t flags)
{
    /* [task-flags] Sequentially consistent: setting a flag and then looking for the
     * waiter pairs with announcing a waiter and then looking at the flags. */
    return trt_fetch_or_seq_cst(&t->flags, flags);
}
