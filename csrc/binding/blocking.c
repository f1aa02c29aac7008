/* Regions in which a task blocks its thread: `with blocking()`.
 *
 * What the worker has started stays on it and waits. Its unstarted tasks can be stolen,
 * but with each worker in a region there would be nobody to do it. So a region that
 * lasts brings in a spare thread: a thread of the pool beyond its number, which takes
 * tasks as all do until the region ends. Then it ends what it has started and rests for
 * a while, see rest() in lifecycle.c.
 *
 * Most regions are short, and nothing is done for them but to note when they began and
 * to see that the alarm looks when they are old. */
#include "core.h"

/* A region that has lasted this long brings in a spare thread. As long as it takes to
 * start one, so at most twice the best is lost; Go's monitor waits 20 us or more. */
enum { OLD_NS = 100 * 1000 };

/* A bit of Worker.blocked_since, beside the time: a spare thread is there for it. */
static const uint64_t HAS_SPARE = 1;

uint64_t
blocking_look(void)
{
    uint64_t next = TRT_FOREVER;
    const uint64_t now = trt_clock_now_ns();
    bool found = false;
    size_t count;
    trt_worker *const *table = trt_pool_workers(core->pool, &count);
    for (size_t i = 0; i < count; i++) {
        Worker *const w = (Worker *)table[i];
        uint64_t since = trt_load_seq_cst(&w->blocked_since); /* V2 [alarm-due] */
        if (!since || since & HAS_SPARE) {
            continue;
        }
        if (since + OLD_NS > now) {
            next = since + OLD_NS < next ? since + OLD_NS : next;
            continue;
        }
        /* Counted before the region can know of it, since that counts it back. */
        _Atomic(uint32_t) *const spares = &core->spares[worker_team(w)];
        trt_fetch_add_seq_cst(spares, 1);
        if (trt_cas_seq_cst(&w->blocked_since, &since, since | HAS_SPARE)) {
            found = true;
        } else {
            trt_fetch_sub_seq_cst(spares, 1);
        }
    }
    if (found) {
        lifecycle_start_spares();
    }
    return next;
}

void
blocking_begin(Worker *w)
{
    const uint64_t since = trt_clock_now_ns() & ~HAS_SPARE;
    trt_store_seq_cst(&w->blocked_since, since); /* W1 [alarm-due] */
    if (!alarm_is_set(since + OLD_NS)) {
        (void)alarm_set(since + OLD_NS); /* without memory for it nobody comes in */
    }
}

void
blocking_end(Worker *w)
{
    if (trt_exchange_seq_cst(&w->blocked_since, 0) & HAS_SPARE) {
        lifecycle_dismiss_spare(worker_team(w));
    }
}

void
blocking_enter(Worker *w)
{
    if (w->base.kind != TRT_WORKER_FOREIGN && w->blocking++ == 0) {
        blocking_begin(w);
    }
}

void
blocking_leave(Worker *w)
{
    if (w->blocking > 0 && --w->blocking == 0 &&
        w->generation == trt_load_relaxed(&core->generation)) {
        blocking_end(w);
    }
}

/* _spares(): how many regions have a spare thread, and how many threads take work, in
 * the default pool. For tests. */
PyObject *
core_spares(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    size_t spares = 0, running = 0;
    if (core->pool) {
        spares = trt_load_seq_cst(&core->spares[TRT_DEFAULT]);
        running = trt_load_relaxed(&core->pool->teams[TRT_DEFAULT].running);
    }
    return Py_BuildValue("nn", (Py_ssize_t)spares, (Py_ssize_t)running);
}

/* ---- what Python calls ----------------------------------------------------------- */

PyObject *
core_blocking_begin(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *w = worker_current;
    if (!w && trt_load_relaxed(&core->threads) > 0 && lifecycle_is_main_thread()) {
        w = worker_adopt(); /* main has not used taskrt, but others have */
        if (!w) {
            return NULL;
        }
    }
    if (w) {
        blocking_enter(w);
    }
    Py_RETURN_NONE;
}

PyObject *
core_blocking_end(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    if (worker_current) {
        blocking_leave(worker_current);
    }
    Py_RETURN_NONE;
}
