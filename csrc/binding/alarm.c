/* The alarm: the thread that looks when something is due that nobody else can look at.
 *
 * There are two such things: regions that get old enough for a spare thread, see
 * blocking.c, and deadlines of native work, see native_deadlines.c. Both happen to
 * workers that are busy and look at no clock. The thread sleeps until the earliest of
 * them, never runs Python, is started for the first and ends with the runtime or after
 * a while in which nothing was due.
 *
 * `due_ns` is when it looks next at the latest. Who notes something that is due earlier
 * lowers it and unparks the thread:
 *
 *     setter                                 alarm
 *     W1 note what is due, and when          V1 due_ns = TRT_FOREVER
 *     W2 due_ns <= when? done                V2 look at all, find the earliest
 *     W3 lower due_ns, unpark the alarm      V3 lower due_ns to that
 *                                            V4 sleep until due_ns, read again with
 *                                               each token, then from V1
 *
 * W1, W2 and V1, V2 are sequentially consistent, or under one lock [alarm-due]. So if
 * W2 comes before V1, V2 sees what W1 noted, and V3 takes care of it. Otherwise W2 has
 * seen what V1 left or something lower, and from V1 to the next V1 due_ns only
 * decreases: it is not above `when` after W3. Who lowers it puts a token after that,
 * so V4 does not oversleep. The end of the runtime is the third thing that V2 looks at.
 *
 * A thread that was woken sleeps on until something is due. So regions, which come by
 * the million and are over before they are old, wake it at most once in the time after
 * which one is old. */
#include "core.h"

enum { STACK_BYTES = 128 << 10 };

/* How long the thread stays when nothing is due. */
static const uint64_t IDLE_NS = UINT64_C(10) * 1000 * 1000 * 1000;

static struct {
    _Atomic(uint64_t) due_ns; /* see above */
    trt_parker parker;
    trt_thread thread;
    bool prepared;                /* the parker; under core->life */
    _Atomic(bool) alive;          /* written under core->life */
    _Atomic(bool) stops;          /* written by main, under core->life */
    _Atomic(unsigned long) ident; /* Python's name for the thread; by itself, once */
} the_alarm = {.due_ns = TRT_FOREVER};

/* Whether that has made it earlier. */
static bool
lower(uint64_t due_ns)
{
    uint64_t before = trt_load_seq_cst(&the_alarm.due_ns); /* W2 [alarm-due] */
    while (due_ns < before) {
        if (trt_cas_seq_cst(&the_alarm.due_ns, &before, due_ns)) { /* W3, V3 */
            return true;
        }
    }
    return false;
}

/* Do what is due. When the next is. */
static uint64_t
look(void)
{
    if (trt_load_seq_cst(&the_alarm.stops)) {
        return 0;
    }
    const uint64_t region = blocking_look(), work = native_look();
    return region < work ? region : work;
}

/* Sleep until something is due. False: nothing was for long. */
static bool
sleep_until_due(void)
{
    for (;;) {
        const uint64_t due = trt_load_relaxed(&the_alarm.due_ns);
        const bool none = due == TRT_FOREVER;
        const uint64_t until = none ? trt_clock_now_ns() + IDLE_NS : due;
        if (trt_parker_park(&the_alarm.parker, until) == TRT_PARK_TIMED_OUT) {
            return !none;
        }
    }
}

/* Whether the thread ends, decided once and for all. */
static bool
leave(bool idle)
{
    trt_mutex_lock(&core->life);
    const bool leaves = trt_load_relaxed(&the_alarm.stops) ||
                        (idle && trt_load_seq_cst(&the_alarm.due_ns) == TRT_FOREVER);
    if (leaves) {
        trt_store_seq_cst(&the_alarm.due_ns,
                          TRT_FOREVER);             /* who lowers it starts one */
        trt_store_release(&the_alarm.alive, false); /* [alarm-alive] */
    }
    trt_mutex_unlock(&core->life);
    return leaves;
}

static void
alarm_main(void *Py_UNUSED(arg))
{
    trt_store_relaxed(&the_alarm.ident, PyThread_get_thread_ident());
    bool idle;
    do {
        trt_store_seq_cst(&the_alarm.due_ns, TRT_FOREVER); /* V1 [alarm-due] */
        lower(look());                                     /* V2, V3 */
        idle = !sleep_until_due();                         /* V4 */
    } while (!leave(idle));
    Worker *const main = core->main;
    if (main) {
        trt_parker_unpark(&main->base.parker); /* it may be waiting for us to end */
    }
}

/* Caller holds core->life. 0 or a negative errno. */
static int
start_locked(void)
{
    if (!the_alarm.prepared) {
        the_alarm.prepared = true;
        trt_parker_init(&the_alarm.parker);
    }
    const int error = trt_thread_start(&the_alarm.thread, "taskrt-alarm", STACK_BYTES,
                                       alarm_main, NULL);
    if (!error) {
        trt_store_relaxed(&the_alarm.alive, true); /* it looks at that under the lock */
        trt_thread_detach(&the_alarm.thread);
    }
    return error;
}

bool
alarm_is_set(uint64_t due_ns)
{
    return trt_load_seq_cst(&the_alarm.due_ns) <= due_ns; /* W2 [alarm-due] */
}

int
alarm_set(uint64_t due_ns)
{
    int error = 0;
    const bool is_earlier = lower(due_ns);
    trt_mutex_lock(&core->life);
    if (trt_load_relaxed(&the_alarm.alive)) {
        if (is_earlier) {
            trt_parker_unpark(&the_alarm.parker);
        }
    } else {
        /* Also if it was not earlier: who has lowered it may have got no thread. */
        const bool stops = trt_load_relaxed(&the_alarm.stops);
        error = stops ? 0 : start_locked();
        if (stops || error) {
            trt_store_seq_cst(&the_alarm.due_ns, TRT_FOREVER);
        }
    }
    trt_mutex_unlock(&core->life);
    return error;
}

bool
alarm_is_alive(unsigned long *ident)
{
    *ident = trt_load_relaxed(&the_alarm.ident);
    return trt_load_acquire(&the_alarm.alive); /* [alarm-alive] */
}

void
alarm_stop(void)
{
    trt_mutex_lock(&core->life);
    trt_store_seq_cst(&the_alarm.stops, true); /* W1 [alarm-due] */
    if (trt_load_relaxed(&the_alarm.alive)) {
        trt_store_seq_cst(&the_alarm.due_ns, 0); /* W3 */
        trt_parker_unpark(&the_alarm.parker);
    }
    trt_mutex_unlock(&core->life);
}

void
alarm_go_on(void)
{
    trt_mutex_lock(&core->life);
    trt_store_seq_cst(&the_alarm.stops, false);
    trt_mutex_unlock(&core->life);
    /* What was noted meanwhile, by threads that are not the pool's. */
    const uint64_t due = look();
    if (due != TRT_FOREVER) {
        (void)alarm_set(due); /* without memory for a thread nobody looks */
    }
}

void
alarm_forget(void)
{
    if (the_alarm.prepared) {
        trt_parker_reinit_after_fork(&the_alarm.parker);
    }
    trt_store_relaxed(&the_alarm.due_ns, TRT_FOREVER);
    trt_store_relaxed(&the_alarm.alive, false);
    trt_store_relaxed(&the_alarm.stops, false);
}
