/* One that waits for a primitive: it is woken when it is served, it may lose patience,
 * and others may cancel its wait.
 *
 *     sleeper_begin(&s);
 *     if (happens_at_once_or_queue(&primitive, &node)) {    // a node of s.waiter
 *         sleeper_end(&s);
 *     } else if (!sleeper_wait(&s, sleeper_patience(&random))) {
 *         leave(&primitive, &node);                         // it was abandoned
 *     }
 */
#ifndef TRT_TEST_SLEEPER_H
#define TRT_TEST_SLEEPER_H

#include "check.h"

#include "os/parker.h"
#include "sync/wait_queue.h"

struct sleeper {
    trt_waiter waiter; /* first; a new one for each wait */
    trt_parker parker;
    _Atomic(bool) woken; /* in this wait; by who serves it */
    trt_mutex lock;
    bool waits; /* whether its waiter may be abandoned by others; under the lock */
};

static inline void
sleeper_wake(trt_waiter *w)
{
    struct sleeper *s = (struct sleeper *)w;
    CHECK_EQ(trt_load_relaxed(&w->decision), TRT_WAITER_FIRED);
    CHECK(!trt_exchange_acq_rel(&s->woken, true)); /* the waiter may be another now */
    trt_parker_unpark(&s->parker);
}

static inline void
sleeper_init(struct sleeper *s)
{
    trt_parker_init(&s->parker);
    trt_mutex_init(&s->lock);
    atomic_init(&s->woken, false);
    s->waits = false;
}

/* Nobody wakes or cancels it any more. */
static inline void
sleeper_destroy(struct sleeper *s)
{
    CHECK(!s->waits);
    trt_parker_destroy(&s->parker);
    trt_mutex_destroy(&s->lock);
}

static inline void
sleeper_begin(struct sleeper *s)
{
    trt_waiter_init(&s->waiter, sleeper_wake);
    trt_store_relaxed(&s->woken, false);
    trt_mutex_lock(&s->lock);
    CHECK(!s->waits);
    s->waits = true;
    trt_mutex_unlock(&s->lock);
}

static inline void
sleeper_end(struct sleeper *s)
{
    trt_mutex_lock(&s->lock);
    CHECK(s->waits);
    s->waits = false;
    trt_mutex_unlock(&s->lock);
}

static inline bool
sleeper_is_woken(const struct sleeper *s)
{
    return trt_load_acquire(&s->woken);
}

/* Wait until it is served (true) or abandoned, which it is by itself at `deadline_ns`.
 * Ends the wait. By its owner. */
static inline bool
sleeper_wait(struct sleeper *s, uint64_t deadline_ns)
{
    while (!sleeper_is_woken(s) &&
           trt_load_acquire(&s->waiter.decision) != TRT_WAITER_ABANDONED) {
        if (trt_parker_park(&s->parker, deadline_ns) == TRT_PARK_TIMED_OUT) {
            trt_waiter_abandon(&s->waiter);
            deadline_ns = TRT_FOREVER; /* if it was fired, the wake-up is on its way */
        }
    }
    sleeper_end(s);
    return sleeper_is_woken(s);
}

/* Abandon its wait, if it waits and was not served yet. Any thread. */
static inline bool
sleeper_cancel(struct sleeper *s)
{
    trt_mutex_lock(&s->lock);
    const bool cancels = s->waits && trt_waiter_abandon(&s->waiter);
    trt_mutex_unlock(&s->lock);
    if (cancels) {
        trt_parker_unpark(&s->parker);
    }
    return cancels;
}

/* A deadline: none, which is most likely, or a short one, or one that has passed. */
static inline uint64_t
sleeper_patience(uint64_t *random)
{
    switch (check_random(random, 4)) {
    case 0:
        return 0;
    case 1:
        return trt_clock_now_ns() + check_random(random, 50000);
    default:
        return TRT_FOREVER;
    }
}

/* One with a node, for tests in which one thread plays all. */
struct guest {
    struct sleeper sleeper;
    trt_wait_node node;
};

static inline void
guests_init(struct guest *guests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sleeper_init(&guests[i].sleeper);
    }
}

static inline void
guests_destroy(struct guest *guests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(!guests[i].node.queued);
        sleeper_destroy(&guests[i].sleeper);
    }
}

static inline void
guest_begin(struct guest *g)
{
    sleeper_begin(&g->sleeper);
    trt_wait_node_init(&g->node, &g->sleeper.waiter, g); /* a value that has to go */
}

/* Whether it was woken, which ends its wait. */
static inline bool
guest_goes_on(struct guest *g)
{
    if (!sleeper_is_woken(&g->sleeper)) {
        return false;
    }
    CHECK(g->node.served && !g->node.queued);
    sleeper_end(&g->sleeper);
    return true;
}

/* It has not been served, and will not be. */
static inline void
guest_abandon(struct guest *g)
{
    CHECK(sleeper_cancel(&g->sleeper));
    sleeper_end(&g->sleeper);
}

/* Many sleepers, and how many of their owners are at it still. */
struct dormitory {
    struct sleeper beds[CHECK_MOST_THREADS];
    unsigned count;
    _Atomic(unsigned) busy;
};

static inline void
dormitory_open(struct dormitory *d, unsigned count)
{
    d->count = count;
    trt_store_relaxed(&d->busy, count);
    for (unsigned i = 0; i < count; i++) {
        sleeper_init(&d->beds[i]);
    }
}

static inline void
dormitory_close(struct dormitory *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        sleeper_destroy(&d->beds[i]);
    }
}

/* Said once by the owner of each. */
static inline void
dormitory_leave(struct dormitory *d)
{
    trt_fetch_sub_acq_rel(&d->busy, 1);
}

static inline bool
dormitory_is_busy(const struct dormitory *d)
{
    return trt_load_acquire(&d->busy) > 0;
}

/* Cancel the waits of anybody until there is nobody. Returns how many. */
static inline size_t
dormitory_disturb(struct dormitory *d, uint64_t *random)
{
    size_t cancelled = 0;
    while (dormitory_is_busy(d)) {
        cancelled += sleeper_cancel(&d->beds[check_random(random, d->count)]);
        check_delay(random, 300);
        if (check_random(random, 4) == 0) {
            trt_thread_yield();
        }
    }
    return cancelled;
}

#endif
