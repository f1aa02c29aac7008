#include "sync/channel.h"

#include <stdlib.h>

#include "os/check.h"

enum { FIRST_SIZE = 8 };

char trt_channel_refused[1];

void
trt_channel_init(trt_channel *c, uint64_t capacity)
{
    *c = (trt_channel){.capacity = capacity};
    trt_mutex_init(&c->lock);
}

void
trt_channel_destroy(trt_channel *c)
{
    TRT_ASSERT(c->count == 0);
    TRT_ASSERT(trt_wait_queue_is_empty(&c->getters));
    TRT_ASSERT(trt_wait_queue_is_empty(&c->putters));
    free(c->ring);
    trt_mutex_destroy(&c->lock);
}

void
trt_channel_lock(trt_channel *c)
{
    trt_mutex_lock(&c->lock);
}

void
trt_channel_unlock(trt_channel *c)
{
    trt_mutex_unlock(&c->lock);
}

/* ---- the ring -------------------------------------------------------------------- */

static void **
place(const trt_channel *c, size_t index)
{
    return &c->ring[(c->head + index) & (c->size - 1)];
}

static bool
make_room(trt_channel *c)
{
    if (c->count < c->size) {
        return true;
    }
    const size_t size = c->size ? c->size * 2 : FIRST_SIZE;
    void **const ring =
        size <= SIZE_MAX / sizeof *ring ? malloc(size * sizeof *ring) : NULL;
    if (!ring) {
        return false;
    }
    for (size_t i = 0; i < c->count; i++) {
        ring[i] = *place(c, i);
    }
    free(c->ring);
    c->ring = ring;
    c->size = size;
    c->head = 0;
    return true;
}

static void *
take_oldest(trt_channel *c)
{
    void *const item = *place(c, 0);
    c->head = (c->head + 1) & (c->size - 1);
    c->count--;
    return item;
}

/* ---- operations ------------------------------------------------------------------ */

trt_channel_result
trt_channel_put_locked(trt_channel *c, void *item, trt_wait_node *node,
                       trt_wait_node **wake)
{
    *wake = NULL;
    if (c->closed) {
        return TRT_CHANNEL_CLOSED;
    }
    trt_wait_node *const getter = trt_wait_queue_claim(&c->getters);
    if (getter) {
        getter->value = item;
        *wake = getter;
        return TRT_CHANNEL_DONE;
    }
    if (c->count < c->capacity) {
        if (!make_room(c)) {
            return TRT_CHANNEL_NO_MEMORY;
        }
        *place(c, c->count++) = item;
        return TRT_CHANNEL_DONE;
    }
    if (node) {
        trt_channel_queue_locked(c, true, item, node);
    }
    return TRT_CHANNEL_MUST_WAIT;
}

trt_channel_result
trt_channel_get_locked(trt_channel *c, void **item, trt_wait_node *node,
                       trt_wait_node **wake)
{
    *wake = NULL;
    const bool was_held = c->count > 0;
    if (was_held) {
        *item = take_oldest(c);
    }
    /* With items held beyond the capacity (put back) those who wait go on waiting. */
    trt_wait_node *const putter =
        !was_held || c->count < c->capacity ? trt_wait_queue_claim(&c->putters) : NULL;
    if (putter) {
        if (was_held) {
            *place(c, c->count++) = putter->value; /* there is the room of the other */
        } else {
            *item = putter->value;
        }
        putter->value = NULL;
        *wake = putter;
        return TRT_CHANNEL_DONE;
    }
    if (was_held) {
        return TRT_CHANNEL_DONE;
    }
    if (c->closed) {
        return TRT_CHANNEL_CLOSED;
    }
    if (node) {
        trt_channel_queue_locked(c, false, NULL, node);
    }
    return TRT_CHANNEL_MUST_WAIT;
}

void
trt_channel_queue_locked(trt_channel *c, bool is_put, void *item, trt_wait_node *node)
{
    node->value = item;
    trt_wait_queue_append(is_put ? &c->putters : &c->getters, node);
}

trt_channel_result
trt_channel_put(trt_channel *c, void *item, trt_wait_node *node)
{
    trt_wait_node *wake;
    trt_channel_lock(c);
    const trt_channel_result result = trt_channel_put_locked(c, item, node, &wake);
    trt_channel_unlock(c);
    trt_wait_nodes_wake(wake);
    return result;
}

trt_channel_result
trt_channel_get(trt_channel *c, void **item, trt_wait_node *node)
{
    trt_wait_node *wake;
    trt_channel_lock(c);
    const trt_channel_result result = trt_channel_get_locked(c, item, node, &wake);
    trt_channel_unlock(c);
    trt_wait_nodes_wake(wake);
    return result;
}

void
trt_channel_leave(trt_channel *c, trt_wait_node *node, bool is_put)
{
    trt_channel_lock(c);
    trt_wait_queue_remove(is_put ? &c->putters : &c->getters, node);
    trt_channel_unlock(c);
}

bool
trt_channel_put_back(trt_channel *c, void *item)
{
    trt_channel_lock(c);
    trt_wait_node *const getter = trt_wait_queue_claim(&c->getters);
    bool done = true;
    if (getter) {
        getter->value = item;
    } else {
        done = make_room(c);
        if (done) {
            c->head = (c->head - 1) & (c->size - 1);
            c->count++;
            *place(c, 0) = item;
        }
    }
    trt_channel_unlock(c);
    trt_wait_nodes_wake(getter);
    return done;
}

bool
trt_channel_close(trt_channel *c)
{
    trt_channel_lock(c);
    const bool closes = !c->closed;
    c->closed = true;
    trt_wait_node *const getters = trt_wait_queue_claim_all(&c->getters);
    trt_wait_node *const putters = trt_wait_queue_claim_all(&c->putters);
    for (trt_wait_node *node = putters; node; node = node->next) {
        node->value = trt_channel_refused;
    }
    trt_channel_unlock(c);
    trt_wait_nodes_wake(getters);
    trt_wait_nodes_wake(putters);
    return closes;
}

size_t
trt_channel_clear(trt_channel *c, void (*drop)(void *item, void *arg), void *arg)
{
    trt_channel_lock(c);
    void **const ring = c->ring;
    const size_t size = c->size, head = c->head, count = c->count;
    c->ring = NULL;
    c->size = c->head = c->count = 0;
    trt_channel_unlock(c);
    for (size_t i = 0; i < count; i++) {
        drop(ring[(head + i) & (size - 1)], arg);
    }
    free(ring);
    return count;
}

int
trt_channel_visit(const trt_channel *c, int (*visit)(void *item, void *arg), void *arg)
{
    int result = 0;
    for (size_t i = 0; i < c->count && result == 0; i++) {
        result = visit(*place(c, i), arg);
    }
    return result;
}

size_t
trt_channel_count(trt_channel *c)
{
    trt_channel_lock(c);
    const size_t count = c->count;
    trt_channel_unlock(c);
    return count;
}

bool
trt_channel_is_closed(trt_channel *c)
{
    trt_channel_lock(c);
    const bool closed = c->closed;
    trt_channel_unlock(c);
    return closed;
}

trt_channel_state
trt_channel_look(trt_channel *c)
{
    trt_channel_lock(c);
    const trt_channel_state state = {.count = c->count,
                                     .getting = trt_wait_queue_count(&c->getters),
                                     .putting = trt_wait_queue_count(&c->putters),
                                     .closed = c->closed};
    trt_channel_unlock(c);
    return state;
}
