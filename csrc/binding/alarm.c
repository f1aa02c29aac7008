/* The alarm: what ends native work at the deadline of a scope around it.
 *
 * Python code meets a deadline by itself, at its next checkpoint or when its wait ends.
 * Native work looks at a flag and at no clock, and may have all workers to itself; so a
 * thread of its own, which never runs Python, sleeps until the earliest deadline of all
 * native work and cancels the scopes that are late. It is started for the first work
 * that has a deadline, and stays.
 *
 * core->alarm.next_ns is never later than the earliest deadline of work that has been
 * entered and whose scope has been told to alarm_set: the thread computes it from all
 * work under core->waits, and whoever adds one or moves one makes it smaller there. */
#include "core.h"

#include <errno.h>

/* It walks lists and takes locks. */
enum { STACK_BYTES = 64 * 1024 };

static void
run_alarm(void *Py_UNUSED(arg))
{
    trt_store_relaxed(&core->alarm.ident, PyThread_get_thread_ident());
    for (;;) {
        Wait *decided = NULL;
        trt_mutex_lock(&core->waits);
        const uint64_t next = native_expire_locked(&decided);
        core->alarm.next_ns = next;
        trt_mutex_unlock(&core->waits);
        wait_deliver_all(decided);
        trt_parker_park(&core->alarm.parker, next);
    }
}

static int
start(void)
{
    int error = 0;
    trt_mutex_lock(&core->life);
    if (!core->alarm.runs) {
        trt_thread thread;
        core->alarm.next_ns = TRT_FOREVER;
        trt_parker_init(&core->alarm.parker);
        error = trt_thread_start(&thread, "taskrt-alarm", STACK_BYTES, run_alarm, NULL);
        if (!error) {
            trt_thread_detach(&thread);
            core->alarm.runs = true;
        }
    }
    trt_mutex_unlock(&core->life);
    return error;
}

int
alarm_set(uint64_t deadline_ns)
{
    if (deadline_ns == TRT_FOREVER) {
        return 0;
    }
    const int error = start();
    if (error) {
        errno = -error;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    trt_mutex_lock(&core->waits);
    const bool is_earlier = deadline_ns < core->alarm.next_ns;
    if (is_earlier) {
        core->alarm.next_ns = deadline_ns;
    }
    trt_mutex_unlock(&core->waits);
    if (is_earlier) {
        trt_parker_unpark(&core->alarm.parker);
    }
    return 0;
}
