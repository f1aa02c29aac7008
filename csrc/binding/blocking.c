/* Regions in which a task blocks its thread: `with blocking()`.
 *
 * What the worker has started stays on it and waits. Its unstarted tasks can be stolen,
 * but with each worker in a region there would be nobody to do it. So a region that
 * lasts brings in a spare thread: a thread of the pool beyond its number, which takes
 * tasks as all do until the region ends. Then it ends what it has started and rests for
 * a while, see rest() in lifecycle.c.
 *
 * Most regions are short, and nothing is done for them but to note when they began. One
 * thread, the watch, sleeps until the oldest of them is old enough. It is woken by a
 * region that begins while it is not armed, that is while it knows of none:
 *
 *     begin                                  watch, having found none
 *     W1 note the beginning                  V1 armed = false
 *     W2 exchange armed for true             V2 look at all workers again
 *     W3 it was false: unpark the watch      V3 found: armed = true; else park
 *
 * All of these are sequentially consistent [region-watch]: of W1, W2 and V1, V2 one
 * side sees the other. So the watch is woken at most once in the time after which a
 * region is old. */
#include "core.h"

enum {
    /* A region that has lasted this long brings in a spare thread. As long as it takes
     * to start one, so at most twice the best is lost; Go's monitor waits 20 us or
     * more. */
    OLD_NS = 100 * 1000,
    STACK_BYTES = 128 << 10,
};

/* How long the watch stays without a region. */
static const uint64_t WATCH_NS = UINT64_C(10) * 1000 * 1000 * 1000;

/* A bit of Worker.blocked_since, beside the time: a spare thread is there for it. */
static const uint64_t HAS_SPARE = 1;

static struct {
    trt_parker parker;
    trt_thread thread;
    _Atomic(bool) armed; /* see above */
    bool prepared;       /* parker; under core->life */
    _Atomic(bool) alive; /* written under core->life */
    _Atomic(unsigned long) ident;
} watch;

/* Bring in spare threads for regions that are old. When the next one will be:
 * TRT_FOREVER, there is none. */
static uint64_t
look(void)
{
    uint64_t next = TRT_FOREVER;
    const uint64_t now = trt_clock_now_ns();
    bool found = false;
    size_t count;
    trt_worker *const *table = trt_pool_workers(core->pool, &count);
    for (size_t i = 0; i < count; i++) {
        Worker *const w = (Worker *)table[i];
        uint64_t since = trt_load_seq_cst(&w->blocked_since); /* V2 [region-watch] */
        if (!since || since & HAS_SPARE) {
            continue;
        }
        if (since + OLD_NS > now) {
            next = since + OLD_NS < next ? since + OLD_NS : next;
            continue;
        }
        /* Counted before the region can know of it, since that counts it back. */
        trt_fetch_add_seq_cst(&core->spares, 1);
        if (trt_cas_seq_cst(&w->blocked_since, &since, since | HAS_SPARE)) {
            found = true;
        } else {
            trt_fetch_sub_seq_cst(&core->spares, 1);
        }
    }
    if (found) {
        lifecycle_start_spares();
    }
    return next;
}

/* Whether the watch ends: after a while without a region, or with the runtime. */
static bool
leave_watch(bool idle)
{
    bool leaves = trt_load_relaxed(&core->stopping);
    if (!leaves && !idle) {
        return false;
    }
    trt_mutex_lock(&core->life);
    leaves = trt_load_relaxed(&core->stopping) || !trt_load_seq_cst(&watch.armed);
    if (leaves) {
        trt_store_seq_cst(&watch.armed, false);
        trt_store_release(&watch.alive, false); /* [watch-alive] */
    }
    trt_mutex_unlock(&core->life);
    return leaves;
}

static void
watch_main(void *Py_UNUSED(arg))
{
    bool idle = false;
    trt_store_relaxed(&watch.ident, PyThread_get_thread_ident());
    while (!leave_watch(idle)) {
        uint64_t due = look();
        if (due == TRT_FOREVER) {
            trt_store_seq_cst(&watch.armed, false); /* V1 [region-watch] */
            due = look();
            if (due != TRT_FOREVER) {
                trt_store_seq_cst(&watch.armed, true); /* V3 */
            }
        }
        const bool none = due == TRT_FOREVER;
        const uint64_t until = none ? trt_clock_now_ns() + WATCH_NS : due;
        idle = trt_parker_park(&watch.parker, until) == TRT_PARK_TIMED_OUT && none;
    }
    Worker *const main = core->main;
    if (main) {
        trt_parker_unpark(&main->base.parker); /* it may be waiting for us to end */
    }
}

/* A region has begun, and the watch knew of none. Without memory for a thread there is
 * no watch, and nobody comes in. */
static void
wake_watch(void)
{
    trt_mutex_lock(&core->life);
    if (!watch.prepared) {
        watch.prepared = true;
        trt_parker_init(&watch.parker);
    }
    if (trt_load_relaxed(&watch.alive)) {
        trt_parker_unpark(&watch.parker);
    } else if (trt_load_relaxed(&core->stopping) ||
               trt_thread_start(&watch.thread, "taskrt-watch", STACK_BYTES, watch_main,
                                NULL)) {
        trt_store_seq_cst(&watch.armed, false);
    } else {
        trt_store_relaxed(&watch.alive, true); /* it looks at that under the lock */
        trt_thread_detach(&watch.thread);
    }
    trt_mutex_unlock(&core->life);
}

void
blocking_begin(Worker *w)
{
    const uint64_t now = trt_clock_now_ns() | HAS_SPARE;
    trt_store_seq_cst(&w->blocked_since, now ^ HAS_SPARE); /* W1 [region-watch] */
    if (!trt_exchange_seq_cst(&watch.armed, true)) {       /* W2 */
        wake_watch();                                      /* W3 */
    }
}

void
blocking_end(Worker *w)
{
    if (trt_exchange_seq_cst(&w->blocked_since, 0) & HAS_SPARE) {
        lifecycle_dismiss_spare();
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

bool
blocking_watch_is_alive(unsigned long *ident)
{
    *ident = trt_load_relaxed(&watch.ident);
    return trt_load_acquire(&watch.alive); /* [watch-alive] */
}

void
blocking_stop_watch(void)
{
    trt_mutex_lock(&core->life);
    if (watch.prepared) {
        trt_parker_unpark(&watch.parker);
    }
    trt_mutex_unlock(&core->life);
}

void
blocking_forget(void)
{
    if (watch.prepared) {
        trt_parker_reinit_after_fork(&watch.parker);
    }
    trt_store_relaxed(&watch.armed, false);
    trt_store_relaxed(&watch.alive, false);
    trt_store_relaxed(&core->spares, 0);
}

/* _spares(): how many regions have a spare thread, and how many threads take work. For
 * tests. */
PyObject *
core_spares(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    const size_t running = core->pool ? trt_load_relaxed(&core->pool->running) : 0;
    return Py_BuildValue("kn", (unsigned long)trt_load_seq_cst(&core->spares),
                         (Py_ssize_t)running);
}

/* ---- what Python calls ----------------------------------------------------------- */

PyObject *
core_blocking_begin(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *w = worker_current;
    if (!w && trt_load_relaxed(&core->threads) > 0 &&
        core->main_ident == PyThread_get_thread_ident()) {
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
