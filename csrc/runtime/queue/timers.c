#include "queue/timers.h"

#include "os/check.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 16

void
trt_timers_init(trt_timers *h)
{
    *h = (trt_timers){0};
}

void
trt_timers_destroy(trt_timers *h)
{
    for (size_t i = 0; i < h->count; i++) {
        h->heap[i]->index = TRT_TIMER_IDLE;
    }
    free(h->heap);
    *h = (trt_timers){0};
}

static void
place(trt_timers *h, size_t index, trt_timer *timer)
{
    h->heap[index] = timer;
    timer->index = index;
}

/* Put `timer` at `index` or, where a parent is due later, above. */
static void
sift_up(trt_timers *h, size_t index, trt_timer *timer)
{
    while (index > 0) {
        const size_t parent = (index - 1) / 2;
        if (h->heap[parent]->deadline_ns <= timer->deadline_ns) {
            break;
        }
        place(h, index, h->heap[parent]);
        index = parent;
    }
    place(h, index, timer);
}

/* Put `timer` at `index` or, where a child is due earlier, below. */
static void
sift_down(trt_timers *h, size_t index, trt_timer *timer)
{
    while (2 * index + 1 < h->count) {
        size_t child = 2 * index + 1;
        if (child + 1 < h->count &&
            h->heap[child + 1]->deadline_ns < h->heap[child]->deadline_ns) {
            child++;
        }
        if (h->heap[child]->deadline_ns >= timer->deadline_ns) {
            break;
        }
        place(h, index, h->heap[child]);
        index = child;
    }
    place(h, index, timer);
}

static int
grow(trt_timers *h)
{
    const size_t capacity = h->capacity == 0 ? FIRST_CAPACITY : 2 * h->capacity;
    if (capacity > SIZE_MAX / sizeof *h->heap) {
        return -ENOMEM;
    }
    trt_timer **heap = realloc(h->heap, capacity * sizeof *heap);
    if (heap == NULL) {
        return -ENOMEM;
    }
    h->heap = heap;
    h->capacity = capacity;
    return 0;
}

int
trt_timers_add(trt_timers *h, trt_timer *timer)
{
    TRT_ASSERT(timer->index == TRT_TIMER_IDLE);
    if (h->count == h->capacity) {
        const int error = grow(h);
        if (error < 0) {
            return error;
        }
    }
    h->count++;
    sift_up(h, h->count - 1, timer);
    return 0;
}

bool
trt_timers_remove(trt_timers *h, trt_timer *timer)
{
    const size_t index = timer->index;
    if (index == TRT_TIMER_IDLE) {
        return false;
    }
    TRT_ASSERT(index < h->count && h->heap[index] == timer);
    h->count--;
    trt_timer *last = h->heap[h->count];
    if (last != timer) {
        /* The last one fills the place. It may belong above, as it comes from another
         * branch, or below; one of the two does nothing. */
        sift_up(h, index, last);
        sift_down(h, last->index, last);
    }
    timer->index = TRT_TIMER_IDLE;
    return true;
}

trt_timer *
trt_timers_pop_due(trt_timers *h, uint64_t now_ns)
{
    if (h->count == 0 || h->heap[0]->deadline_ns > now_ns) {
        return NULL;
    }
    trt_timer *due = h->heap[0];
    trt_timers_remove(h, due);
    return due;
}
