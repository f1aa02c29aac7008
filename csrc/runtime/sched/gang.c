#include "sched/gang.h"

#include <stdlib.h>

#include "os/check.h"
#include "os/clock.h"
#include "sched/sleep.h"

enum {
    /* How long a worker looks out for the next job before it sleeps: LAPACK calls BLAS
     * again and again, and waking a thread takes 50 us and more. */
    LINGER_NS = 200 * 1000,
    /* How long the caller looks out for the end of the others before it sleeps. */
    SPIN_NS = 50 * 1000,
    RELAX = 16, /* pauses between two looks at queues and clock */
    /* Until a thread that could not be started is tried again. */
    RETRY_NS = 1000 * 1000,
    /* How long a gang waits for workers that search to fall asleep. */
    PATIENCE_NS = 200 * 1000,
    /* How long it does not after it has waited in vain. */
    IMPATIENCE_NS = 10 * 1000 * 1000,
    STACK_BYTES = 8 << 20,
};

struct trt_helper {
    trt_helper *next;
    trt_hall *hall;
    trt_gang *gang; /* that it is to run a job of, or NULL; under hall->lock */
    bool ends;      /* it is to end; the same */
    trt_parker parker;
    trt_thread thread;
};

/* Somebody who waits for the hall to change, on its stack. */
struct trt_hall_wait {
    trt_hall_wait *next;
    trt_parker parker;
};

void
trt_hall_init(trt_hall *hall, void (*changed)(void))
{
    *hall = (trt_hall){.changed = changed};
    trt_mutex_init(&hall->lock);
}

/* ---- waiting for the hall -------------------------------------------------------- */

static void
wait_locked(trt_hall *hall, uint64_t deadline_ns)
{
    trt_hall_wait wait = {.next = hall->waits};
    trt_parker_init(&wait.parker);
    hall->waits = &wait;
    trt_mutex_unlock(&hall->lock);
    trt_parker_park(&wait.parker, deadline_ns);
    trt_mutex_lock(&hall->lock);
    /* Unparked under the lock, so whoever did has let go of the parker. */
    for (trt_hall_wait **at = &hall->waits; *at; at = &(*at)->next) {
        if (*at == &wait) {
            *at = wait.next;
            break;
        }
    }
    trt_parker_destroy(&wait.parker);
}

static void
wake_waits_locked(trt_hall *hall)
{
    for (trt_hall_wait *wait; (wait = hall->waits) != NULL;) {
        hall->waits = wait->next;
        trt_parker_unpark(&wait->parker);
    }
}

static void
changed_locked(trt_hall *hall)
{
    if (hall->changed) {
        hall->changed();
    }
}

/* ---- jobs ------------------------------------------------------------------------ */

static void
run_next(trt_gang *gang)
{
    const uint32_t index = trt_fetch_add_relaxed(&gang->next, 1);
    gang->job(gang->arg, index, gang->numbers[index]);
}

/* One of the gang's threads has finished; the last touch of the gang. */
static void
finish_locked(trt_gang *gang)
{
    const uint32_t left = trt_load_relaxed(&gang->left) - 1;
    if (left == 0 && gang->asleep) {
        trt_parker_unpark(&gang->parker);
    }
    trt_store_release(&gang->left, left); /* [gang-left] what the job has written */
}

/* ---- workers --------------------------------------------------------------------- */

static void
leave_lounge_locked(trt_hall *hall, trt_worker *w)
{
    for (trt_worker **at = &hall->lounge; *at; at = &(*at)->next_lounging) {
        if (*at == w) {
            *at = w->next_lounging;
            break;
        }
    }
}

/* Look out for another job, in the lounge. True: drafted again. Otherwise `wanted` says
 * whether there may be something else to do. */
static bool
linger(trt_hall *hall, trt_worker *w, bool *wanted)
{
    const uint64_t end = trt_clock_now_ns() + LINGER_NS;
    bool late = false;
    do {
        for (int i = 0; i < RELAX; i++) {
            trt_cpu_relax();
            if (trt_load_relaxed(&w->drafted)) {
                return true;
            }
        }
        *wanted = trt_parker_is_unparked(&w->parker) || trt_worker_sees_work(w);
        late = trt_clock_now_ns() >= end;
    } while (!*wanted && !late);
    trt_mutex_lock(&hall->lock);
    const bool drafted = trt_load_relaxed(&w->drafted) != NULL;
    if (!drafted) {
        leave_lounge_locked(hall, w);
        w->leaves_lounge = true;
        trt_fetch_add_relaxed(&hall->leaving, 1);
    }
    trt_mutex_unlock(&hall->lock);
    return drafted;
}

bool
trt_gang_settle(trt_worker *w)
{
    if (!w->leaves_lounge) {
        return false;
    }
    w->leaves_lounge = false;
    trt_fetch_sub_relaxed(&w->hall->lounging, 1);
    trt_fetch_sub_relaxed(&w->hall->leaving, 1);
    return true;
}

bool
trt_gang_serve(trt_worker *w)
{
    bool wanted = false;
    trt_hall *hall;
    do {
        trt_gang *const gang = trt_load_acquire(&w->drafted); /* [gang-draft] */
        hall = w->hall;
        trt_store_relaxed(&w->drafted, NULL);
        run_next(gang);
        trt_mutex_lock(&hall->lock);
        /* There before the gang ends: its caller's next one wants the same workers. */
        w->next_lounging = hall->lounge;
        hall->lounge = w;
        trt_fetch_add_relaxed(&hall->lounging, 1);
        changed_locked(hall);
        finish_locked(gang);
        trt_mutex_unlock(&hall->lock);
    } while (linger(hall, w, &wanted));
    return wanted;
}

/* What a draft tells the worker. */
typedef struct {
    trt_hall *hall;
    trt_gang *gang;
} Order;

static void
give_order(trt_worker *w, const Order *order)
{
    if (w->hall != order->hall) {
        w->hall = order->hall; /* the first time; later its owner may read it */
    }
    trt_store_release(&w->drafted, order->gang); /* [gang-draft] all of the gang */
}

static void
mark_drafted(trt_parker *parker, void *order)
{
    give_order((trt_worker *)((char *)parker - offsetof(trt_worker, parker)), order);
}

/* ---- helpers --------------------------------------------------------------------- */

static void
rest_locked(trt_hall *hall, trt_helper *helper)
{
    helper->next = hall->free;
    hall->free = helper;
    hall->idle++;
    wake_waits_locked(hall);
}

/* What the thread of a helper does: its jobs, and rest between them. */
static void
help(void *arg)
{
    trt_helper *const helper = arg;
    trt_hall *const hall = helper->hall;
    trt_mutex_lock(&hall->lock);
    while (!helper->ends) {
        trt_gang *const gang = helper->gang;
        trt_mutex_unlock(&hall->lock);
        if (gang) {
            run_next(gang);
        } else {
            trt_parker_park(&helper->parker, TRT_FOREVER);
        }
        trt_mutex_lock(&hall->lock);
        if (gang) {
            helper->gang = NULL;
            helper->ends = hall->dismissed;
            if (!helper->ends) {
                rest_locked(hall, helper);
            }
            finish_locked(gang);
        }
    }
    hall->helpers--;
    wake_waits_locked(hall);
    trt_mutex_unlock(&hall->lock);
    /* Unparked under the lock only, so nobody is at it any more. */
    trt_parker_destroy(&helper->parker);
    free(helper);
}

/* Start a helper that rests. Whether it could be. */
static bool
start_helper_locked(trt_hall *hall)
{
    trt_helper *const helper = malloc(sizeof *helper);
    if (!helper) {
        return false;
    }
    *helper = (trt_helper){.hall = hall};
    trt_parker_init(&helper->parker);
    if (trt_thread_start(&helper->thread, "taskrt-gang", STACK_BYTES, help, helper)) {
        trt_parker_destroy(&helper->parker);
        free(helper);
        return false;
    }
    trt_thread_detach(&helper->thread);
    hall->helpers++;
    rest_locked(hall, helper);
    return true;
}

/* Give `need` jobs to helpers, all at once. Until there are so many it holds none, and
 * what it waits for is the end of gangs that have all their threads. */
static void
take_helpers_locked(trt_hall *hall, trt_gang *gang, uint32_t need)
{
    while (hall->idle < need) {
        if (hall->helpers >= hall->helpers_max && hall->helpers >= need) {
            wait_locked(hall, TRT_FOREVER);
        } else if (!start_helper_locked(hall)) {
            wait_locked(hall, trt_clock_now_ns() + RETRY_NS);
        }
    }
    for (uint32_t i = 0; i < need; i++) {
        trt_helper *const helper = hall->free;
        hall->free = helper->next;
        hall->idle--;
        helper->gang = gang;
        trt_parker_unpark(&helper->parker);
    }
}

void
trt_hall_dismiss(trt_hall *hall)
{
    trt_mutex_lock(&hall->lock);
    hall->dismissed = true;
    for (trt_helper *helper; (helper = hall->free) != NULL;) {
        hall->free = helper->next;
        hall->idle--;
        helper->ends = true;
        trt_parker_unpark(&helper->parker);
    }
    trt_mutex_unlock(&hall->lock);
}

void
trt_hall_keep(trt_hall *hall, uint32_t helpers_max)
{
    trt_mutex_lock(&hall->lock);
    hall->dismissed = false;
    if (helpers_max > hall->helpers_max) {
        hall->helpers_max = helpers_max;
    }
    trt_mutex_unlock(&hall->lock);
}

/* ---- a gang ---------------------------------------------------------------------- */

static uint32_t
count_bits(uint64_t bits)
{
    return (uint32_t)__builtin_popcountll(bits);
}

/* Count a gang. */
static void
note_locked(trt_hall *hall, uint32_t workers, uint32_t helpers)
{
    trt_store_relaxed(&hall->gangs, trt_load_relaxed(&hall->gangs) + 1);
    trt_store_relaxed(&hall->worker_jobs,
                      trt_load_relaxed(&hall->worker_jobs) + workers);
    trt_store_relaxed(&hall->helper_jobs,
                      trt_load_relaxed(&hall->helper_jobs) + helpers);
}

static void
take_numbers_locked(trt_roster *roster, trt_gang *gang, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        gang->numbers[i] = (uint8_t)__builtin_ctzll(roster->free);
        gang->taken |= roster->free & (0 - roster->free);
        roster->free &= roster->free - 1;
    }
}

/* Call workers who look out for a job. How many came. */
static uint32_t
call_lounge_locked(trt_hall *hall, const Order *order, uint32_t most)
{
    uint32_t count = 0;
    for (; count < most && hall->lounge; count++) {
        trt_worker *const w = hall->lounge;
        leave_lounge_locked(hall, w);
        trt_fetch_sub_relaxed(&hall->lounging, 1);
        give_order(w, order);
    }
    return count;
}

/* Take workers that have nothing to do, and unlock to wake those that sleep. How many
 * came. */
static uint32_t
take_workers_locked(trt_hall *hall, trt_pool *pool, trt_gang *gang, uint32_t most)
{
    Order order = {.hall = hall, .gang = gang};
    trt_parker *drafted[TRT_GANG_MAX];
    const uint32_t met = call_lounge_locked(hall, &order, most);
    uint32_t woken = 0;
    if (pool && met < most) {
        woken = (uint32_t)trt_sleep_draft(&pool->teams[TRT_DEFAULT].sleep, most - met,
                                          drafted, mark_drafted, &order);
    }
    if (met + woken > 0) {
        changed_locked(hall);
    }
    if (woken > 0) {
        trt_mutex_unlock(&hall->lock);
        for (uint32_t i = 0; i < woken; i++) {
            trt_parker_nudge(drafted[i]);
        }
        trt_mutex_lock(&hall->lock);
    }
    return met + woken;
}

/* Whether there are workers that search, or that leave the lounge to sleep. */
static bool
are_coming(trt_hall *hall, trt_pool *pool)
{
    return trt_sleep_searching(&pool->teams[TRT_DEFAULT].sleep) > 0 ||
           trt_load_relaxed(&hall->leaving) > 0;
}

/* Workers that search find something, or fall asleep and can be taken; not for sure
 * soon, since they may need the interpreter that the caller holds. How many came. */
static uint32_t
wait_for_searchers_locked(trt_hall *hall, trt_pool *pool, trt_gang *gang,
                          uint32_t missing)
{
    const uint64_t now = trt_clock_now_ns(), end = now + PATIENCE_NS;
    uint32_t came = 0;
    bool any_left = now >= hall->impatient_until_ns;
    while (came < missing && any_left && trt_clock_now_ns() < end) {
        trt_mutex_unlock(&hall->lock);
        for (int i = 0; i < RELAX; i++) {
            trt_cpu_relax();
        }
        trt_mutex_lock(&hall->lock);
        any_left = are_coming(hall, pool);
        came += take_workers_locked(hall, pool, gang, missing - came);
    }
    if (came < missing && trt_clock_now_ns() >= end && any_left) {
        /* They may need what the caller holds, through all of many gangs. */
        hall->impatient_until_ns = end + IMPATIENCE_NS;
    }
    return came;
}

static void
wait_for_others(trt_hall *hall, trt_gang *gang)
{
    const uint64_t end = trt_clock_now_ns() + SPIN_NS;
    uint32_t spins = 0;
    while (trt_load_acquire(&gang->left) > 0) { /* [gang-left] */
        trt_cpu_relax();
        if (++spins % RELAX != 0 || trt_clock_now_ns() < end) {
            continue;
        }
        trt_mutex_lock(&hall->lock);
        gang->asleep = trt_load_relaxed(&gang->left) > 0;
        trt_mutex_unlock(&hall->lock);
        if (gang->asleep) {
            trt_parker_park(&gang->parker, TRT_FOREVER);
        }
    }
}

void
trt_gang_run(trt_hall *hall, trt_pool *pool, trt_roster *roster, trt_gang_job job,
             void *arg, uint32_t count)
{
    TRT_ASSERT(count >= 1 && count <= TRT_GANG_MAX);
    trt_gang gang;
    gang.job = job;
    gang.arg = arg;
    gang.taken = 0;
    gang.asleep = false;
    trt_store_relaxed(&gang.next, 1);
    trt_store_relaxed(&gang.left, count - 1);
    trt_parker_init(&gang.parker);
    trt_mutex_lock(&hall->lock);
    while (hall->closed || count_bits(roster->free) < count) {
        wait_locked(hall, TRT_FOREVER);
    }
    hall->running++;
    take_numbers_locked(roster, &gang, count);
    uint32_t missing = count - 1;
    missing -= take_workers_locked(hall, pool, &gang, missing);
    if (missing > 0 && pool && are_coming(hall, pool)) {
        missing -= wait_for_searchers_locked(hall, pool, &gang, missing);
    }
    note_locked(hall, count - 1 - missing, missing);
    if (missing > 0) {
        take_helpers_locked(hall, &gang, missing);
    }
    trt_mutex_unlock(&hall->lock);

    job(arg, 0, gang.numbers[0]);
    wait_for_others(hall, &gang);

    trt_mutex_lock(&hall->lock);
    roster->free |= gang.taken;
    hall->running--;
    wake_waits_locked(hall);
    while (hall->closed) {
        wait_locked(hall, TRT_FOREVER); /* with no lock of its caller's held */
    }
    trt_mutex_unlock(&hall->lock);
    trt_parker_destroy(&gang.parker);
}

/* ---- fork ------------------------------------------------------------------------ */

void
trt_hall_close(trt_hall *hall)
{
    trt_mutex_lock(&hall->lock);
    hall->closed = true;
    while (hall->running > 0) {
        wait_locked(hall, TRT_FOREVER);
    }
}

void
trt_hall_open(trt_hall *hall)
{
    hall->closed = false;
    wake_waits_locked(hall);
    trt_mutex_unlock(&hall->lock);
}
