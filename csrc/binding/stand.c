/* Threads that stand; stand.h has the protocol. */
#include "core.h"

/* What has begun here and does not go on meanwhile is not due either. */
static uint32_t
timed_beneath(const Worker *w, uint32_t holds)
{
    return holds & STAND_HOLDS_FIBERS ? w->timed : 0;
}

static void
begin(Worker *w, uint32_t holds)
{
    trt_store_seq_cst(&w->stand, holds); /* T1 [stands] */
    trt_fetch_sub_seq_cst(&core->timed_waits, timed_beneath(w, holds));
    trt_fetch_sub_seq_cst(&w->base.team->running, 1); /* T2 */
}

static void
end(Worker *w, uint32_t holds)
{
    trt_fetch_add_seq_cst(&core->wakeups, 1);         /* T5 */
    trt_fetch_add_seq_cst(&w->base.team->running, 1); /* T6 */
    trt_fetch_add_seq_cst(&core->timed_waits, timed_beneath(w, holds));
    trt_store_seq_cst(&w->stand, 0);
}

void
stand_serve(Worker *w)
{
    if (!w->isolation) {
        native_serve_asleep(w);
    }
    if (w->base.kind != TRT_WORKER_FOREIGN) {
        hub_see_exit(w);
    }
}

void
stand_call(Worker *w, _Atomic(bool) *done)
{
    trt_store_seq_cst(done, true); /* E1 [stands] */
    uint32_t holds = trt_load_seq_cst(&w->stand);
    while (
        holds & STAND_HOLDS_FIBERS && !(holds & STAND_CALLED) &&
        !trt_cas_seq_cst(&w->stand, &holds, holds | STAND_CALLED)) { /* E2 [stands] */
    }
}

static bool
has_come(Worker *w, const _Atomic(bool) *done, uint32_t holds)
{
    if (done) {
        return trt_load_seq_cst(done);
    }
    return !trt_inbox_is_empty(&w->base.inbox) ||
           (!(holds & STAND_HOLDS_STRANDS) &&
            !trt_inbox_is_empty(&w->base.strand_inbox));
}

enum trt_park_result
stand(Worker *w, const _Atomic(bool) *done, uint64_t deadline, bool signals)
{
    /* Foreign threads are none that anybody counts. */
    const bool counts = w->base.kind != TRT_WORKER_FOREIGN;
    const uint32_t holds = (done ? STAND_HOLDS_FIBERS : 0) |
                           (isolation_holds(w) ? STAND_HOLDS_STRANDS : 0);
    enum trt_park_result why = TRT_PARK_NOTIFIED;
    PyThreadState *const tstate = PyEval_SaveThread();
    if (counts) {
        begin(w, holds);
    }
    if (!has_come(w, done, holds) && (!counts || exit_stands(w))) {        /* T3 */
        why = signals ? trt_parker_park_signals(&w->base.parker, deadline) /* T4 */
                      : trt_parker_park(&w->base.parker, deadline);
    }
    if (counts) {
        end(w, holds);
    }
    PyEval_RestoreThread(tstate);
    return why;
}
