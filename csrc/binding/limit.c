/* Limits: places, and who waits for them. See limit.h for the protocol. */
#include "core.h"

#include <stdlib.h>

enum {
    FIRST_TASKS = 8, /* capacity of a queue */
    BATCH = 16,      /* tasks that are taken off a queue at a time */
};

/* What is to be done once the lock is released. */
typedef struct Roused {
    LimitObject *limit; /* for which somebody was roused, borrowed; or NULL */
    Wait *stacks;
    bool notifies;           /* threads that sleep: something can start now */
    LimitObject *unfinished; /* its queue has to be looked at again, owned; or NULL */
    uint32_t stale_count, other_count;
    TaskObject *stale[BATCH];  /* owned */
    TaskObject *others[BATCH]; /* that this thread does not run; owned */
} Roused;

/* ---- places ---------------------------------------------------------------------- */

/* The first limit of `to` and those around it, but not around `held`, that has no
 * place. */
static LimitObject *
find_full_locked(LimitObject *to, const LimitObject *held)
{
    if (trt_load_relaxed(&core->cancel_all)) {
        return NULL; /* nobody waits for what may never come */
    }
    for (LimitObject *limit = to; limit && !limit_is_within(held, limit);
         limit = limit->parent) {
        if (limit->running >= limit->most) {
            return limit;
        }
    }
    return NULL;
}

static void
enter_locked(LimitObject *to, const LimitObject *held)
{
    for (LimitObject *limit = to; limit && !limit_is_within(held, limit);
         limit = limit->parent) {
        limit->running++;
    }
}

/* ---- who waits ------------------------------------------------------------------- */

static TaskObject *
pop_task_locked(LimitObject *limit)
{
    TaskObject *const task = limit->tasks[limit->first];
    limit->first = limit->first + 1 < limit->capacity ? limit->first + 1 : 0;
    limit->count--;
    return task;
}

static void
put_task_locked(LimitObject *limit, TaskObject *task, bool in_front)
{
    if (in_front) {
        limit->first = (limit->first > 0 ? limit->first : limit->capacity) - 1;
        limit->tasks[limit->first] = task;
    } else {
        const size_t place = limit->first + limit->count;
        limit->tasks[place < limit->capacity ? place : place - limit->capacity] = task;
    }
    limit->count++;
}

/* Have room for one more. Tasks that have been claimed meanwhile are moved to `*stale`,
 * an array that ends with NULL, to be dropped without the lock. False: no memory. */
static bool
make_room_locked(LimitObject *limit, TaskObject ***stale)
{
    if (limit->count < limit->capacity) {
        return true;
    }
    const size_t capacity = limit->capacity ? 2 * limit->capacity : 8;
    TaskObject **const tasks = malloc(capacity * sizeof *tasks);
    TaskObject **const others = malloc((limit->count + 1) * sizeof *others);
    if (!tasks || !others) {
        free(tasks);
        free(others);
        return false;
    }
    size_t kept = 0, dropped = 0;
    while (limit->count > 0) {
        TaskObject *const task = pop_task_locked(limit);
        if (trt_task_get_state(&task->base) == TRT_TASK_PENDING) {
            tasks[kept++] = task;
        } else {
            others[dropped++] = task;
        }
    }
    others[dropped] = NULL;
    *stale = others;
    free(limit->tasks);
    limit->tasks = tasks;
    limit->first = 0;
    limit->count = kept;
    limit->capacity = capacity;
    return true;
}

static void
drop_stale(TaskObject **stale)
{
    for (size_t i = 0; stale && stale[i]; i++) {
        Py_DECREF(stale[i]);
    }
    free(stale);
}

/* The list of a worker's stacks that wait for places, of whatever limit. */
static void
add_stack_locked(Fiber *fiber, LimitObject *limit, Wait *wait, bool in_front)
{
    Worker *const w = fiber->worker;
    fiber->awaits_place = limit;
    fiber->place_wait = wait;
    fiber->next_placeless = in_front ? w->placeless : NULL;
    Fiber **link = &w->placeless;
    while (!in_front && *link) {
        link = &(*link)->next_placeless;
    }
    *link = fiber;
    limit->stacks++;
}

static void
rouse_stack_locked(Fiber **link, Roused *roused)
{
    Fiber *const fiber = *link;
    *link = fiber->next_placeless;
    fiber->awaits_place->stacks--;
    fiber->awaits_place = NULL;
    Wait *const wait = fiber->place_wait;
    wait->next_decided = roused->stacks;
    roused->stacks = wait;
}

/* Rouse the first stack of each thread that waits for a place here. */
static void
rouse_stacks_locked(LimitObject *limit, Roused *roused)
{
    size_t count;
    trt_worker *const *table = trt_pool_workers(core->pool, &count);
    for (size_t i = 0; i < count && limit->stacks > 0; i++) {
        Fiber **link = &((Worker *)table[i])->placeless;
        while (*link && (*link)->awaits_place != limit) {
            link = &(*link)->next_placeless;
        }
        if (*link) {
            rouse_stack_locked(link, roused);
            roused->limit = limit;
        }
    }
}

/* Put the first task that waits here, and is not stale, where a thread finds it. */
static void
rouse_task_locked(LimitObject *limit, Roused *roused)
{
    Worker *const w = worker_current;
    bool found = false;
    while (limit->count > 0 && !found && !roused->unfinished) {
        if (roused->stale_count == BATCH || roused->other_count == BATCH) {
            roused->unfinished = (LimitObject *)Py_NewRef((PyObject *)limit);
            break;
        }
        TaskObject *const task = pop_task_locked(limit);
        found = trt_task_get_state(&task->base) == TRT_TASK_PENDING;
        if (!found) {
            roused->stale[roused->stale_count++] = task;
            continue;
        }
        trt_task_set_flags(&task->base, TASK_ROUSED);
        const bool is_others =
            task_flag(task, TASK_INTERACTIVE) ||
            (w->base.kind == TRT_WORKER_MAIN && task_flag(task, TASK_FOREIGN));
        if (is_others || trt_deque_push(&w->base.deque, task_as_item(task)) < 0) {
            roused->others[roused->other_count++] = task;
        }
        roused->limit = limit;
        roused->notifies = true;
    }
}

static void
rouse_locked(LimitObject *limit, Roused *roused)
{
    if (limit->running < limit->most) {
        rouse_stacks_locked(limit, roused);
        rouse_task_locked(limit, roused);
    }
}

/* Who has come and tried: if there is a place left, the next one is to try. */
static void
pass_on_locked(LimitObject *limit, Roused *roused)
{
    for (; limit; limit = limit->parent) {
        rouse_locked(limit, roused);
    }
}

static void
leave_locked(LimitObject *held, const LimitObject *to, Roused *roused)
{
    for (LimitObject *limit = held; limit && !limit_is_within(to, limit);
         limit = limit->parent) {
        roused->notifies = roused->notifies || limit->running == limit->most;
        limit->running--;
    }
    for (LimitObject *limit = held; limit && !limit_is_within(to, limit);
         limit = limit->parent) {
        rouse_locked(limit, roused);
    }
}

/* Without the lock, which the caller has just released. */
static void
deliver(Roused *roused)
{
    wait_deliver_all(roused->stacks);
    for (uint32_t i = 0; i < roused->other_count; i++) {
        TaskObject *const task = roused->others[i];
        const int team =
            task_flag(task, TASK_INTERACTIVE) ? TRT_INTERACTIVE : TRT_DEFAULT;
        if (trt_injector_push(&core->pool->teams[team].injector, task_as_item(task)) <
            0) {
            task_cancel_pending(task); /* no memory */
            Py_DECREF(task);
        }
    }
    for (int team = 0; roused->notifies && team < TRT_TEAMS; team++) {
        trt_team_notify(&core->pool->teams[team]);
    }
    for (uint32_t i = 0; i < roused->stale_count; i++) {
        Py_DECREF(roused->stale[i]);
    }
    if (roused->unfinished) {
        limit_pass_on(roused->unfinished);
        Py_DECREF(roused->unfinished);
    }
}

void
limit_pass_on(LimitObject *limit)
{
    Roused roused = {.stacks = NULL};
    trt_mutex_lock(&core->limits);
    pass_on_locked(limit, &roused);
    trt_mutex_unlock(&core->limits);
    deliver(&roused);
}

bool
limit_is_full(LimitObject *limit)
{
    trt_mutex_lock(&core->limits);
    const bool full = find_full_locked(limit, NULL) != NULL;
    trt_mutex_unlock(&core->limits);
    return full;
}

/* ---- stacks ---------------------------------------------------------------------- */

void
limit_leave(Fiber *fiber)
{
    Roused roused = {.stacks = NULL};
    LimitObject *const held = fiber->held;
    fiber->held = NULL;
    trt_mutex_lock(&core->limits);
    leave_locked(held, NULL, &roused);
    trt_mutex_unlock(&core->limits);
    deliver(&roused);
}

/* Change from the places that the fiber has to those of `to`, if there are. Otherwise
 * that limit which is full, and then none are had but those from before. */
static LimitObject *
try_change(Fiber *fiber, LimitObject *to, bool forced)
{
    Roused roused = {.stacks = NULL};
    LimitObject *const held = fiber->held;
    trt_mutex_lock(&core->limits);
    LimitObject *const full = forced ? NULL : find_full_locked(to, held);
    if (!full) {
        enter_locked(to, held);
        leave_locked(held, to, &roused);
        fiber->held = to;
    }
    pass_on_locked(to, &roused);
    trt_mutex_unlock(&core->limits);
    deliver(&roused);
    return full;
}

void
limit_rejoin_now(Fiber *fiber, LimitObject *to)
{
    if (fiber->held != to) {
        (void)try_change(fiber, to, true);
    }
}

/* Wait until roused for a place in `full`, unless it has one by now. `again`: it was
 * its turn before, and somebody else came first. 0 or −1. */
static int
wait_for_place(Fiber *fiber, LimitObject *full, bool again)
{
    Wait *const wait = wait_begin_unheard(fiber->worker);
    if (!wait) {
        return -1;
    }
    trt_mutex_lock(&core->limits);
    const bool waits =
        !trt_load_relaxed(&core->cancel_all) && full->running >= full->most;
    if (waits) {
        add_stack_locked(fiber, full, wait, again);
    }
    trt_mutex_unlock(&core->limits);
    fiber->roused_for = full;
    const int status = wait_end_unheard(fiber->worker, wait, waits);
    fiber->roused_for = NULL;
    return status;
}

void
limit_interrupt(Fiber *fiber)
{
    Roused roused = {.stacks = NULL};
    trt_mutex_lock(&core->limits);
    if (fiber->awaits_place) {
        Fiber **link = &fiber->worker->placeless;
        while (*link != fiber) {
            link = &(*link)->next_placeless;
        }
        rouse_stack_locked(link, &roused);
    }
    trt_mutex_unlock(&core->limits);
    deliver(&roused);
}

/* Whether main is to raise what a signal has brought, and must not be held up. */
static bool
is_interrupted(const Fiber *fiber)
{
    const Worker *const w = fiber->worker;
    return w->base.kind == TRT_WORKER_MAIN && fiber == &w->root &&
           (w->interrupted || w->interrupt_error || PyErr_Occurred());
}

int
limit_rejoin(Fiber *fiber, LimitObject *to)
{
    int status = 0;
    bool again = false;
    LimitObject *full = try_change(fiber, to, is_interrupted(fiber));
    if (!full) {
        return 0;
    }
    PyObject *error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    if (fiber->held) {
        limit_leave(fiber); /* nobody who waits has places */
    }
    while (full) {
        bool forced = false;
        if (wait_for_place(fiber, full, again) < 0) {
            forced = is_interrupted(fiber) || PyErr_ExceptionMatches(PyExc_MemoryError);
            PyObject *const late = trt_py_take_error();
            Py_XSETREF(error, late);
            status = -1;
        }
        again = true;
        full = try_change(fiber, to, forced);
    }
    if (error) {
        trt_py_set_error(error);
    }
    return status;
}

int
limit_yield(Fiber *fiber)
{
    LimitObject *const held = fiber->held;
    Wait *const wait = wait_begin_unheard(fiber->worker);
    if (!wait) {
        return -1;
    }
    Roused roused = {.stacks = NULL};
    trt_mutex_lock(&core->limits);
    leave_locked(held, NULL, &roused);
    /* In one step with that: whoever was roused may have come and gone right after. */
    LimitObject *const behind = roused.limit;
    if (behind) {
        fiber->held = NULL;
        add_stack_locked(fiber, behind, wait, false);
    } else {
        enter_locked(held, NULL);
    }
    trt_mutex_unlock(&core->limits);
    deliver(&roused);
    fiber->roused_for = behind;
    int status = wait_end_unheard(fiber->worker, wait, behind);
    fiber->roused_for = NULL;
    if (behind && limit_rejoin(fiber, held) < 0) {
        status = -1;
    }
    return status < 0 ? -1 : behind != NULL;
}

/* ---- tasks ----------------------------------------------------------------------- */

limit_admission
limit_admit(Worker *w, TaskObject *task)
{
    Roused roused = {.stacks = NULL};
    TaskObject **stale = NULL;
    limit_admission result = LIMIT_STALE;
    trt_mutex_lock(&core->limits);
    LimitObject *const full = find_full_locked(task->limit, NULL);
    if (full && trt_task_get_state(&task->base) != TRT_TASK_PENDING) {
        /* dropped */
    } else if (full && make_room_locked(full, &stale)) {
        put_task_locked(full, task, task_flag(task, TASK_ROUSED));
        result = LIMIT_KEPT;
    } else if (trt_task_claim(&task->base)) {
        result = LIMIT_ADMITTED;
        if (!full) { /* otherwise it waits on its stack, see limit_begin */
            enter_locked(task->limit, NULL);
            w->admitted = task;
        }
    }
    pass_on_locked(task->limit, &roused);
    trt_mutex_unlock(&core->limits);
    deliver(&roused);
    drop_stale(stale);
    return result;
}

void
limit_withdraw(Worker *w)
{
    TaskObject *const task = w->admitted;
    Roused roused = {.stacks = NULL};
    w->admitted = NULL;
    if (task) {
        trt_mutex_lock(&core->limits);
        leave_locked(task->limit, NULL, &roused);
        trt_mutex_unlock(&core->limits);
        deliver(&roused);
    }
}

bool
limit_claim(Fiber *fiber, TaskObject *task)
{
    Roused roused = {.stacks = NULL};
    LimitObject *const to = task->limit, *const held = fiber->held;
    trt_mutex_lock(&core->limits);
    const bool claimed = !find_full_locked(to, held) && trt_task_claim(&task->base);
    if (claimed && !limit_is_within(held, to)) {
        enter_locked(to, held);
        leave_locked(held, to, &roused);
        fiber->held = to;
    }
    if (claimed) {
        pass_on_locked(to, &roused);
    }
    trt_mutex_unlock(&core->limits);
    deliver(&roused);
    return claimed;
}

int
limit_begin(Fiber *fiber, TaskObject *task)
{
    Worker *const w = fiber->worker;
    fiber->limit = task->limit;
    if (w->admitted == task) {
        w->admitted = NULL;
        fiber->held = task->limit;
        return 0;
    }
    return limit_is_within(fiber->held, task->limit) ? 0
                                                     : limit_rejoin(fiber, task->limit);
}

void
limit_unwind(Fiber *fiber, LimitObject *base)
{
    while (fiber->limit && fiber->limit != base && fiber->limit->fiber == fiber) {
        LimitObject *const inner = fiber->limit;
        fiber->limit = inner->parent;
        if (inner->isolates) {
            isolation_end(fiber->worker, inner);
        }
        inner->fiber = NULL;
        limit_rejoin_now(fiber, base);
        Py_DECREF(inner);
    }
}

void
limit_end(Fiber *fiber, TaskObject *task, LimitObject *limit, LimitObject *held)
{
    limit_unwind(fiber, task->limit);
    fiber->limit = limit;
    if (!held && fiber->held) {
        limit_leave(fiber);
    }
}

/* ---- the end of the process, and forks ------------------------------------------- */

void
limit_open_all(void)
{
    Worker *const w = worker_current;
    Roused roused = {.stacks = NULL};
    trt_mutex_lock(&core->limits);
    for (LimitObject *limit = core->all_limits; limit; limit = limit->next) {
        while (limit->count > 0) {
            TaskObject *const task = pop_task_locked(limit);
            if (trt_deque_push(&w->base.deque, task_as_item(task)) < 0) {
                put_task_locked(limit, task, true);
                break;
            }
        }
    }
    size_t count;
    trt_worker *const *table = trt_pool_workers(core->pool, &count);
    for (size_t i = 0; i < count; i++) {
        while (((Worker *)table[i])->placeless) {
            rouse_stack_locked(&((Worker *)table[i])->placeless, &roused);
        }
    }
    trt_mutex_unlock(&core->limits);
    deliver(&roused);
}

void
limit_forget(void)
{
    trt_mutex_reinit_after_fork(&core->limits);
    core->all_limits = NULL;
}
