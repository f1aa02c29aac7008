/* Native work ends at the deadline of a scope around it.
 *
 * Python code meets a deadline by itself, at its next checkpoint or when its wait ends.
 * Native work looks at a flag and at no clock, and may have all workers to itself. So
 * the alarm cancels the scopes around it that are late. */
#include "native.h"

#include <errno.h>

/* Never later than the earliest deadline of work that has been entered and was told to
 * native_set_deadline: the alarm computes it from all work, and whoever adds one or
 * moves one makes it smaller. Under core->waits, as the work [alarm-due]. */
static uint64_t next_ns = TRT_FOREVER;

/* Cancel the scopes that are past their deadline; what that decides is put before
 * `*decided`. The earliest deadline of the rest. Caller holds core->waits. */
static uint64_t
expire_locked(Wait **decided, uint64_t now)
{
    uint64_t next = TRT_FOREVER;
    for (Work *work = (Work *)core->works; work; work = work->next) {
        if (trt_load_relaxed(&work->base.cancel)) {
            continue;
        }
        const uint64_t deadline = scope_deadline(work->scope);
        if (deadline <= now) {
            scope_expire_locked(work->scope, decided);
        } else if (deadline < next) {
            next = deadline;
        }
    }
    return next;
}

uint64_t
native_look(void)
{
    Wait *decided = NULL;
    const uint64_t now = trt_clock_now_ns();
    trt_mutex_lock(&core->waits); /* V2 [alarm-due] */
    if (next_ns <= now) {
        next_ns = expire_locked(&decided, now);
    }
    const uint64_t next = next_ns;
    trt_mutex_unlock(&core->waits);
    wait_deliver_all(decided);
    return next;
}

uint64_t
native_deadline_in(const ScopeObject *scope)
{
    uint64_t earliest = TRT_FOREVER;
    trt_mutex_lock(&core->waits);
    for (Work *work = (Work *)core->works; work; work = work->next) {
        if (scope_covers(scope, work->scope)) {
            const uint64_t deadline = scope_deadline(work->scope);
            earliest = deadline < earliest ? deadline : earliest;
        }
    }
    trt_mutex_unlock(&core->waits);
    return earliest;
}

int
native_set_deadline(uint64_t deadline_ns)
{
    if (deadline_ns == TRT_FOREVER) {
        return 0;
    }
    trt_mutex_lock(&core->waits); /* W1 [alarm-due] */
    next_ns = deadline_ns < next_ns ? deadline_ns : next_ns;
    trt_mutex_unlock(&core->waits);
    const int error = alarm_set(deadline_ns);
    if (error) {
        errno = -error;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}
