#include "queue/injector.h"

#include "os/check.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64

static void
make_empty(trt_injector *q)
{
    q->ring = NULL;
    q->capacity = 0;
    q->first = 0;
    atomic_init(&q->size, 0);
}

void
trt_injector_init(trt_injector *q)
{
    trt_mutex_init(&q->lock);
    make_empty(q);
}

void
trt_injector_destroy(trt_injector *q)
{
    trt_mutex_destroy(&q->lock);
    free(q->ring);
    q->ring = NULL;
}

/* The slot of the item that `offset` others are before. */
static void **
slot_locked(trt_injector *q, size_t offset)
{
    return &q->ring[(q->first + offset) & (q->capacity - 1)];
}

static int
grow_locked(trt_injector *q)
{
    const size_t size = trt_load_relaxed(&q->size);
    const size_t capacity = q->capacity == 0 ? FIRST_CAPACITY : 2 * q->capacity;
    if (capacity > SIZE_MAX / sizeof *q->ring) {
        return -ENOMEM;
    }
    void **ring = malloc(capacity * sizeof *ring);
    if (ring == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < size; i++) {
        ring[i] = *slot_locked(q, i);
    }
    free(q->ring);
    q->ring = ring;
    q->capacity = capacity;
    q->first = 0;
    return 0;
}

int
trt_injector_push(trt_injector *q, void *item)
{
    TRT_ASSERT(item != NULL);
    int error = 0;
    trt_mutex_lock(&q->lock);
    const size_t size = trt_load_relaxed(&q->size);
    if (size == q->capacity) {
        error = grow_locked(q);
    }
    if (error == 0) {
        *slot_locked(q, size) = item;
        trt_store_relaxed(&q->size, size + 1);
    }
    trt_mutex_unlock(&q->lock);
    return error;
}

/* The queue is not empty. */
static void
drop_oldest_locked(trt_injector *q)
{
    q->first = (q->first + 1) & (q->capacity - 1);
    trt_store_relaxed(&q->size, trt_load_relaxed(&q->size) - 1);
}

void *
trt_injector_pop_if(trt_injector *q, bool (*unwanted)(void *item))
{
    if (trt_injector_size(q) == 0) {
        return NULL;
    }
    void *item = NULL;
    trt_mutex_lock(&q->lock);
    if (trt_load_relaxed(&q->size) > 0) {
        void *const oldest = *slot_locked(q, 0);
        if (!unwanted || unwanted(oldest)) {
            item = oldest;
            drop_oldest_locked(q);
        }
    }
    trt_mutex_unlock(&q->lock);
    return item;
}

void *
trt_injector_pop(trt_injector *q)
{
    return trt_injector_pop_if(q, NULL);
}

bool
trt_injector_remove(trt_injector *q, const void *item)
{
    bool found = false;
    trt_mutex_lock(&q->lock);
    const size_t size = trt_load_relaxed(&q->size);
    if (size > 0 && *slot_locked(q, size - 1) == item) {
        trt_store_relaxed(&q->size, size - 1);
        found = true;
    } else if (size > 0 && *slot_locked(q, 0) == item) {
        drop_oldest_locked(q);
        found = true;
    }
    trt_mutex_unlock(&q->lock);
    return found;
}

size_t
trt_injector_size(const trt_injector *q)
{
    return trt_load_relaxed(&q->size);
}

void
trt_injector_reinit_after_fork(trt_injector *q)
{
    trt_mutex_reinit_after_fork(&q->lock);
    make_empty(q);
}
