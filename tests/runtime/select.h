/* One put or get that waits at several channels and happens at one.
 *
 *     struct select s = {.sleeper = &sleeper, .channels = channels, .where = 5};
 *     result = select_begin(&s);
 *     if (result == TRT_CHANNEL_MUST_WAIT) {
 *         result = select_finish(&s, sleeper_wait(&sleeper, deadline_ns));
 *     }
 */
#ifndef TRT_TEST_SELECT_H
#define TRT_TEST_SELECT_H

#include "sleeper.h"

#include "sync/channel.h"

enum { CHANNELS = 3 };

struct select {
    struct sleeper *sleeper;
    trt_channel *channels; /* an array, so later ones have higher addresses */
    unsigned where;        /* a bit for each channel */
    bool is_put;
    void *item; /* to put, or that was got */
    size_t at;  /* the channel where it happened */
    trt_wait_node nodes[CHANNELS];
};

static inline void
select_lock(struct select *s)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        if (s->where >> i & 1) {
            trt_channel_lock(&s->channels[i]);
        }
    }
}

static inline void
select_unlock(struct select *s)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        if (s->where >> i & 1) {
            trt_channel_unlock(&s->channels[i]);
        }
    }
}

static inline trt_channel_result
select_try_locked(struct select *s, size_t i, trt_wait_node *node, trt_wait_node **wake)
{
    trt_channel *c = &s->channels[i];
    return s->is_put ? trt_channel_put_locked(c, s->item, node, wake)
                     : trt_channel_get_locked(c, &s->item, node, wake);
}

/* Try each, then enter a node in each. CLOSED if any refuses a put, or none has an item
 * nor will. */
static inline trt_channel_result
select_begin(struct select *s)
{
    trt_wait_node *wake = NULL;
    trt_channel_result result = s->is_put ? TRT_CHANNEL_MUST_WAIT : TRT_CHANNEL_CLOSED;
    sleeper_begin(s->sleeper);
    select_lock(s);
    for (size_t i = 0; i < CHANNELS; i++) {
        trt_wait_node_init(&s->nodes[i], &s->sleeper->waiter, NULL);
        if (!(s->where >> i & 1)) {
            continue;
        }
        const trt_channel_result here = select_try_locked(s, i, NULL, &wake);
        CHECK(here != TRT_CHANNEL_NO_MEMORY);
        if (here == TRT_CHANNEL_DONE || (here == TRT_CHANNEL_CLOSED && s->is_put)) {
            s->at = i;
            result = here;
            break;
        }
        CHECK(wake == NULL);
        if (here == TRT_CHANNEL_MUST_WAIT) {
            result = here;
        }
    }
    for (size_t i = 0; i < CHANNELS && result == TRT_CHANNEL_MUST_WAIT; i++) {
        if (s->where >> i & 1) {
            const trt_channel_result here =
                select_try_locked(s, i, &s->nodes[i], &wake);
            CHECK(here == TRT_CHANNEL_MUST_WAIT || here == TRT_CHANNEL_CLOSED);
            CHECK_EQ(s->nodes[i].queued, here == TRT_CHANNEL_MUST_WAIT);
        }
    }
    select_unlock(s);
    trt_wait_nodes_wake(wake);
    if (result != TRT_CHANNEL_MUST_WAIT) {
        sleeper_end(s->sleeper);
    }
    return result;
}

/* After it was served (woken) or abandoned, and the wait has ended. MUST_WAIT: nothing
 * has happened, or a channel was closed that had no item for it. */
static inline trt_channel_result
select_finish(struct select *s, bool woken)
{
    size_t served = 0;
    for (size_t i = 0; i < CHANNELS; i++) {
        if (s->where >> i & 1) {
            trt_channel_leave(&s->channels[i], &s->nodes[i], s->is_put);
        }
        CHECK(!s->nodes[i].queued);
        if (s->nodes[i].served) {
            served++;
            s->at = i;
        }
    }
    CHECK_EQ(served, woken);
    if (!woken) {
        return TRT_CHANNEL_MUST_WAIT;
    }
    void *const value = s->nodes[s->at].value;
    if (s->is_put) {
        CHECK(value == NULL || value == trt_channel_refused);
        return value == NULL ? TRT_CHANNEL_DONE : TRT_CHANNEL_CLOSED;
    }
    if (value == NULL) {
        CHECK(trt_channel_is_closed(&s->channels[s->at]));
        return TRT_CHANNEL_MUST_WAIT;
    }
    s->item = value;
    return TRT_CHANNEL_DONE;
}

#endif
