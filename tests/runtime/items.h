/* Things to put through a queue, which know whether they came out exactly once.
 *
 * The payload is a plain field on purpose: that whoever takes an item sees it is part
 * of what the queue promises, and ThreadSanitizer checks it.
 */
#ifndef TRT_TEST_ITEMS_H
#define TRT_TEST_ITEMS_H

#include "check.h"

struct item {
    size_t payload;          /* written by the pusher just before the push */
    _Atomic(uint32_t) taken; /* by how many */
};

struct items {
    struct item *all;
    size_t count;
    _Atomic(size_t) taken; /* sum over all */
};

static inline void
items_init(struct items *items, size_t count)
{
    items->all = calloc(count, sizeof *items->all);
    items->count = count;
    atomic_init(&items->taken, 0);
    CHECK(items->all != NULL);
}

/* The item number `index`, ready to be pushed. */
static inline struct item *
items_make(struct items *items, size_t index)
{
    items->all[index].payload = index + 1;
    return &items->all[index];
}

static inline size_t
items_index(const struct items *items, const struct item *item)
{
    return (size_t)(item - items->all);
}

/* Say that `taken` came out of the queue. */
static inline void
items_take(struct items *items, void *taken)
{
    struct item *item = taken;
    CHECK_EQ(item->payload, items_index(items, item) + 1);
    CHECK_EQ(trt_fetch_add_relaxed(&item->taken, 1), 0);
    trt_fetch_add_relaxed(&items->taken, 1);
}

static inline bool
items_are_all_taken(const struct items *items)
{
    return trt_load_relaxed(&items->taken) == items->count;
}

/* Each came out once. */
static inline void
items_finish(struct items *items)
{
    CHECK_EQ(trt_load_relaxed(&items->taken), items->count);
    for (size_t i = 0; i < items->count; i++) {
        CHECK_EQ(trt_load_relaxed(&items->all[i].taken), 1);
    }
    free(items->all);
}

#endif
