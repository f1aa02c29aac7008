/* What sorting knows of the numbers that it sorts. Internal: for sort.c and argsort.c.
 *
 * A number has a rank, an unsigned integer: the smaller one goes first, equals have the
 * same. NaNs have ranks beyond those of all numbers. From ranks come digits, and from
 * these the place to which an item goes.
 *
 *     integer      with the sign bit inverted, if it has one
 *     float        its sign and magnitude as an integer, from -infinity on
 *     packed word  the bits above an index: see argsort.c
 *
 * To sort in reverse, all bits of an integer or the sign of a float are inverted. */
#ifndef TRT_SORT_RANKS_H
#define TRT_SORT_RANKS_H

#include <stdbool.h>

#include "kernels/dtype.h"
#include "taskrt_native.h"

enum {
    /* Items. Up to here each is inserted where it belongs. */
    TRT_SORT_SHORT = 24,
    /* Items. Up to here they are sorted by two digits without being divided. */
    TRT_SORT_LEAF_MAX = 1 << 19,
    /* Items of a part that one thread goes through: some ten microseconds. */
    TRT_SORT_PART = 1 << 16,
};

/* How ranks come about. */
typedef struct trt_order {
    uint64_t flip; /* bits to invert, of a float in its sign */
    unsigned drop; /* bits to leave out, of a packed word */
} trt_order;

/* What a look at items shows. Before the first: trt_seen_nothing. */
typedef struct trt_seen {
    uint64_t low, high; /* of all ranks; those of NaNs count as one, beyond all */
    size_t descents;    /* ranks that are lower than the one in front of them */
} trt_seen;

static const trt_seen trt_seen_nothing = {UINT64_MAX, 0, 0};

/* Cells are ranges of ranks of equal width; the last is that of NaNs. */
typedef struct trt_cells {
    uint64_t low, span; /* the lowest rank of a number, and the highest from there */
    unsigned shift;     /* a cell is 2^shift ranks */
    size_t nans;        /* the cell of NaNs, if there are any */
} trt_cells;

/* Where packed words come from: see argsort.c. */
typedef struct trt_packing {
    const void *items;
    const trt_order *order;
    uint64_t *words;
    uint64_t low;   /* the lowest rank */
    unsigned drop;  /* bits of ranks that find no place */
    unsigned index; /* bits of indices, the lowest */
} trt_packing;

/* The loops, for one type of items. All run on this thread. */
typedef struct trt_rank_kernel {
    size_t size;
    uint64_t most; /* the highest rank of a number */
    bool is_float;
    /* Look at the items from `begin` to before `end`, the first of them beside the one
     * in front of it. */
    void (*look)(const void *items, size_t begin, size_t end, const trt_order *order,
                 trt_seen *seen);
    /* How many are numbers, and the highest rank of one. */
    size_t (*look_for_numbers)(const void *items, size_t length, const trt_order *order,
                               uint64_t *high);
    /* Count the items of each cell. */
    void (*count)(const void *items, size_t length, const trt_order *order,
                  const trt_cells *cells, uint32_t *counts);
    /* Write each item to the next place of its cell's bucket. */
    void (*scatter)(const void *items, size_t length, const trt_order *order,
                    const trt_cells *cells, const uint16_t *buckets, size_t *places,
                    void *out);
    /* Sort at most TRT_SORT_LEAF_MAX items, without NaNs if they are not few, with as
     * much room to spare. They end where they are, or if not `stay` in the spare. */
    void (*sort)(void *items, void *spare, size_t length, bool stay,
                 const trt_order *order);
    void (*reverse)(void *items, size_t length, size_t begin, size_t end);
    /* Make words of the items from `begin` to before `end`. NULL for packed words, as
     * are those that follow. */
    void (*pack)(const trt_packing *p, size_t begin, size_t end);
    /* Make them of the items whose indices the words from `begin` on hold. */
    void (*pack_again)(const trt_packing *p, size_t begin, size_t end);
    /* Look at those items. */
    void (*look_again)(const trt_packing *p, size_t begin, size_t end, trt_seen *seen);
} trt_rank_kernel;

/* The kernel of a type, and the order of its items. */
const trt_rank_kernel *trt_rank_find(trt_dtype dtype, bool reverse, trt_order *order);

extern const trt_rank_kernel *const trt_rank_words;

/* What to invert besides, to have integers with a sign where there are ranks. */
static inline uint64_t
trt_rank_sign(const trt_rank_kernel *kernel)
{
    return kernel->is_float ? 0 : (uint64_t)1 << (8 * kernel->size - 1);
}

/* How many bits `x` has. */
static inline unsigned
trt_rank_width(uint64_t x)
{
    unsigned width = 0;
    for (unsigned step = 32; step > 0; step /= 2) {
        if (x >> step != 0) {
            x >>= step;
            width += step;
        }
    }
    return width + (x != 0);
}

/* Call fn for the numbers from 0 to before `count`: here without a context, otherwise
 * on all threads. */
static inline int
trt_sort_each(trt_context *ctx, size_t count, trt_range_function fn, void *arg)
{
    return ctx ? trt_parallel_for(ctx, 0, (int64_t)count, 1, fn, arg)
               : fn(NULL, 0, (int64_t)count, arg);
}

/* Sort one row. `seen` is what is known of it; `spare` has room for as many items, none
 * if they are at most TRT_SORT_SHORT. */
int trt_sort_row(trt_context *ctx, const trt_rank_kernel *kernel,
                 const trt_order *order, void *items, void *spare, size_t length,
                 const trt_seen *seen);

/* Look at all items of a row. */
int trt_sort_look(trt_context *ctx, const trt_rank_kernel *kernel,
                  const trt_order *order, const void *items, size_t length,
                  trt_seen *seen);

/* Call fn for all rows, each of `length`, several at a time if they are short. */
int trt_sort_rows(trt_context *ctx, size_t length, size_t count, trt_range_function fn,
                  void *arg);

/* Look at `length` items by `fold`, that of a reduction to a trt_seen, on many
 * threads if they are many and there is a context. */
int trt_sort_see(trt_context *ctx, size_t length,
                 int (*fold)(trt_context *ctx, int64_t begin, int64_t end, void *seen,
                             void *arg),
                 void *arg, trt_seen *seen);

#endif
