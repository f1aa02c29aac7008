#include "queue/deque.h"

#include "os/check.h"

#include <errno.h>
#include <stdlib.h>

struct trt_deque_buffer {
    trt_deque_buffer *outgrown; /* the buffer before this one, or NULL */
    size_t mask;                /* capacity - 1; the capacity is a power of two */
    trt_deque_slot slots[];
};

static trt_deque_buffer *
buffer_new(size_t capacity)
{
    const size_t most = (SIZE_MAX - sizeof(trt_deque_buffer)) / sizeof(trt_deque_slot);
    if (capacity == 0 || capacity > most) {
        return NULL;
    }
    /* Zeroed, as trt_deque_pop_if looks at slots that were never used. */
    trt_deque_buffer *b = calloc(1, sizeof *b + capacity * sizeof(trt_deque_slot));
    if (b != NULL) {
        b->mask = capacity - 1;
    }
    return b;
}

/* Make `b`, which thieves can see already or not at all, the one that the owner
 * uses. */
static void
use_buffer(trt_deque *d, trt_deque_buffer *b, int64_t top)
{
    d->slots = b->slots;
    d->mask = b->mask;
    d->limit = top + (int64_t)b->mask + 1;
}

int
trt_deque_init(trt_deque *d, unsigned log2_capacity)
{
    TRT_ASSERT(1 <= log2_capacity && log2_capacity <= 30);
    trt_deque_buffer *b = buffer_new((size_t)1 << log2_capacity);
    if (b == NULL) {
        return -ENOMEM;
    }
    atomic_init(&d->bottom, 0);
    atomic_init(&d->top, 0);
    atomic_init(&d->buffer, b);
    use_buffer(d, b, 0);
    return 0;
}

void
trt_deque_destroy(trt_deque *d)
{
    trt_deque_buffer *b = trt_load_relaxed(&d->buffer);
    while (b != NULL) {
        trt_deque_buffer *outgrown = b->outgrown;
        free(b);
        b = outgrown;
    }
    trt_store_relaxed(&d->buffer, NULL);
    d->slots = NULL;
}

/* Replace the buffer by one of twice the size with the same items from `top` on. A
 * thief may go on reading the old one: what it finds there under a number that it can
 * still claim is the same item. */
static int
grow(trt_deque *d, int64_t top, int64_t bottom)
{
    trt_deque_buffer *old = trt_load_relaxed(&d->buffer);
    trt_deque_buffer *b = buffer_new(2 * (old->mask + 1));
    if (b == NULL) {
        return -ENOMEM;
    }
    b->outgrown = old;
    for (int64_t n = top; n < bottom; n++) {
        trt_store_relaxed(&b->slots[(size_t)n & b->mask],
                          trt_load_relaxed(&old->slots[(size_t)n & old->mask]));
    }
    trt_store_release(&d->buffer, b); /* [deque-buffer] its mask and slots */
    use_buffer(d, b, top);
    return 0;
}

int
trt_deque_push_slow(trt_deque *d, void *item)
{
    TRT_ASSERT(item != NULL);
    const int64_t bottom = trt_load_relaxed(&d->bottom);
    /* Relaxed: numbers below `top` are taken whatever else is visible, and a thief that
     * still reads one of their slots fails to claim it. */
    const int64_t top = trt_load_relaxed(&d->top);
    d->limit = top + (int64_t)d->mask + 1;
    if (bottom >= d->limit) {
        const int error = grow(d, top, bottom);
        if (error < 0) {
            return error;
        }
    }
    return trt_deque_push(d, item);
}

void *
trt_deque_pop_slow(trt_deque *d, int64_t newest)
{
    void *const item = trt_deque_pop_last(d, newest);
    /* The deque is empty, with `top` at newest + 1. Release, as each store of `bottom`
     * by the owner is: see deque.h. [deque-item] */
    trt_store_release(&d->bottom, newest + 1);
    return item;
}

enum trt_steal
trt_deque_steal_unless(trt_deque *d, uintptr_t refused, void **out)
{
    /* [deque-last] Sequentially consistent, `top` before `bottom`. If the owner's pop
     * did not see that `top` has come to `n`, then this sees that the pop took the item
     * below `bottom`, so it does not claim n as well. */
    int64_t n = trt_load_seq_cst(&d->top);
    const int64_t bottom = trt_load_seq_cst(&d->bottom); /* [deque-item] acquires */
    if (n >= bottom) {
        return TRT_STEAL_EMPTY;
    }
    /* [deque-buffer] Not older than the push that `bottom` shows. */
    trt_deque_buffer *b = trt_load_acquire(&d->buffer);
    void *item = trt_load_relaxed(&b->slots[(size_t)n & b->mask]);
    if ((uintptr_t)item & refused) {
        return TRT_STEAL_REFUSED; /* or this slot was used again: then it is a guess */
    }
    if (!trt_cas_seq_cst(&d->top, &n, n + 1)) { /* [deque-last] */
        return TRT_STEAL_LOST;
    }
    *out = item;
    return TRT_STEAL_GOT;
}

size_t
trt_deque_size(const trt_deque *d)
{
    /* Relaxed: an estimate, or beside the caller's full fence. `top` first, so that it
     * is not counted too small when the two are read in this order. */
    const int64_t top = trt_load_relaxed(&d->top);
    const int64_t bottom = trt_load_relaxed(&d->bottom);
    return bottom > top ? (size_t)(bottom - top) : 0;
}

bool
trt_deque_offers(const trt_deque *d, uintptr_t refused)
{
    const int64_t top = trt_load_relaxed(&d->top);
    if (trt_load_acquire(&d->bottom) <= top) { /* [deque-item] */
        return false;
    }
    if (refused == 0) {
        return true;
    }
    trt_deque_buffer *b = trt_load_acquire(&d->buffer); /* [deque-buffer] */
    return !((uintptr_t)trt_load_relaxed(&b->slots[(size_t)top & b->mask]) & refused);
}
