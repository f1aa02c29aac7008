/* Sorting, on one thread and on many.
 *
 * A long row is divided into buckets, which fit into a cache, in one pass that many
 * threads share: a part of the row each. The range of ranks is cut into many cells of
 * equal width; how many items each cell has, is counted; neighbouring cells with few
 * items become one bucket. From the counts of each part and bucket follows where each
 * part writes the items that it has of each bucket, so that equals keep their order.
 * Buckets are sorted by whoever is free, back to where the row was. A cell that has
 * too many items itself is divided likewise, with cells of its own.
 *
 * The division is an MSD radix sort that looks at the range before it chooses the
 * digit, and is told by counts, as in a sample sort, which digits to leave together.
 * See Obeya, Kahssay, Fan and Shun, Theoretically-Efficient and Practical Parallel
 * In-Place Radix Sorting, SPAA 2019; Satish et al., Fast Sort on CPUs and GPUs, SIGMOD
 * 2010. */
#include "kernels/sort.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/scratch.h"
#include "kernels/sort_ranks.h"
#include "kernels/sort_vector.h"

enum {
    /* Items. A row is divided from here on for several threads, which one thread would
     * sort at once in a fifth less time. */
    DIVIDED = 1 << 16,
    /* Parts of a row, which have counts of their own. */
    PARTS_MAX = 64,
    /* Bits of a cell's number. More cells than in a first-level cache are slower. */
    CELL_BITS_MAX = 14,
    /* A cell has so many items or more, on average, 2 to this. */
    CELL_ITEMS_BITS = 7,
    /* Items of a bucket, if a single cell has not more. Scattering 20,000,000 float64
     * into 1025 buckets took 36 ms, into 1540 it took 62. */
    BUCKET = 1 << 13,
    BUCKETS = 1 << 10,
    /* Any two neighbours are more than a bucket together, but for the last and NaNs. */
    BUCKETS_MAX = 2 * BUCKETS + 8,
    /* Items that a thread sorts as short rows at a time. */
    ROWS_PART = 1 << 14,
};

/* What is sorted. */
typedef struct job {
    const trt_rank_kernel *kernel;
    const trt_order *order;
} job;

/* Sort numbers that fit into a cache, no NaNs. The items end where they are, or if not
 * `stay` in the spare. */
static void
sort_leaf(const job *j, void *items, void *spare, size_t length, bool stay)
{
    const trt_signing signing = {trt_rank_sign(j->kernel) ^ j->order->flip,
                                 j->kernel->is_float};
    if (length <= TRT_SORT_SHORT ||
        !trt_sort_vectors(items, spare, length, j->kernel->size, stay, signing)) {
        j->kernel->sort(items, spare, length, stay, j->order);
    }
}

/* ---- looking at a row ------------------------------------------------------------ */

typedef struct look {
    job job;
    const void *items;
} look;

static int
look_at_part(trt_context *ctx, int64_t begin, int64_t end, void *seen, void *arg)
{
    (void)ctx;
    const look *const l = arg;
    l->job.kernel->look(l->items, (size_t)begin, (size_t)end, l->job.order, seen);
    return TRT_OK;
}

static void
start_to_look(void *seen, void *arg)
{
    (void)arg;
    *(trt_seen *)seen = trt_seen_nothing;
}

static void
add_look(void *seen, const void *after, void *arg)
{
    (void)arg;
    trt_seen *const s = seen;
    const trt_seen *const more = after;
    s->low = more->low < s->low ? more->low : s->low;
    s->high = more->high > s->high ? more->high : s->high;
    s->descents += more->descents;
}

int
trt_sort_see(trt_context *ctx, size_t length,
             int (*fold)(trt_context *ctx, int64_t begin, int64_t end, void *seen,
                         void *arg),
             void *arg, trt_seen *seen)
{
    const trt_reduction how = {sizeof(trt_seen), start_to_look, fold, add_look};
    if (ctx && length > TRT_SORT_PART) {
        return trt_parallel_reduce(ctx, 0, (int64_t)length, TRT_SORT_PART, &how, arg,
                                   seen);
    }
    start_to_look(seen, NULL);
    return fold(ctx, 0, (int64_t)length, seen, arg);
}

int
trt_sort_look(trt_context *ctx, const trt_rank_kernel *kernel, const trt_order *order,
              const void *items, size_t length, trt_seen *seen)
{
    look l = {{kernel, order}, items};
    return trt_sort_see(ctx, length, look_at_part, &l, seen);
}

/* ---- dividing it into buckets ---------------------------------------------------- */

typedef struct division {
    job job;
    /* From where the items go where, and whether they come back in the end. */
    char *from, *to;
    size_t length;
    bool back;
    trt_cells cells;
    size_t numbers;      /* items that are not NaN */
    size_t count;        /* of cells */
    size_t room;         /* for so many buckets */
    size_t buckets;      /* how many there are; NaNs are the last, if there are any */
    size_t part, parts;  /* items of a part, and how many parts */
    uint32_t *counts;    /* by part and cell */
    size_t *places;      /* by part and bucket: where the next item goes */
    size_t *begins;      /* of each bucket, and the end of the last */
    uint16_t *bucket_of; /* by cell */
    unsigned char *done; /* by bucket: is it sorted, or as sorted as it will be? */
} division;

static size_t
least(size_t x, size_t y)
{
    return x < y ? x : y;
}

static size_t
part_length(const division *d, size_t part)
{
    return least(d->part, d->length - part * d->part);
}

/* 0, or TRT_NO_MEMORY. */
static int
prepare(trt_context *ctx, division *d)
{
    /* Counts have 32 bits. */
    const size_t most = least(PARTS_MAX, d->length / TRT_SORT_PART + 1);
    const size_t parts = (ctx ? most : 1) + (d->length >> 31);
    d->part = (d->length + parts - 1) / parts;
    d->parts = (d->length + d->part - 1) / d->part;
    d->counts = trt_scratch_new(d->parts, d->count * sizeof *d->counts);
    d->room = least(d->count, BUCKETS_MAX);
    d->places = trt_scratch_new(d->parts, d->room * sizeof *d->places);
    d->begins = trt_scratch_new(d->room + 1, sizeof *d->begins);
    d->bucket_of = trt_scratch_new(d->count, sizeof *d->bucket_of);
    d->done = calloc(d->room, 1);
    return d->counts && d->places && d->begins && d->bucket_of && d->done
               ? TRT_OK
               : TRT_NO_MEMORY;
}

static void
clean_up(division *d)
{
    trt_scratch_free(d->counts);
    trt_scratch_free(d->places);
    trt_scratch_free(d->begins);
    trt_scratch_free(d->bucket_of);
    free(d->done);
}

static int
count_parts(trt_context *ctx, int64_t first, int64_t last, void *arg)
{
    (void)ctx;
    const division *const d = arg;
    const trt_rank_kernel *const kernel = d->job.kernel;
    for (size_t i = (size_t)first; i < (size_t)last; i++) {
        uint32_t *const counts = d->counts + i * d->count;
        memset(counts, 0, d->count * sizeof *counts);
        kernel->count(d->from + i * d->part * kernel->size, part_length(d, i),
                      d->job.order, &d->cells, counts);
    }
    return TRT_OK;
}

/* Make buckets of cells. */
static void
choose_buckets(division *d)
{
    const size_t fair = d->length / BUCKETS, full = fair > BUCKET ? fair : BUCKET;
    size_t begin = 0, here = 0, bucket = 0;
    d->begins[0] = 0;
    for (size_t cell = 0; cell < d->count; cell++) {
        size_t more = 0;
        for (size_t part = 0; part < d->parts; part++) {
            more += d->counts[part * d->count + cell];
        }
        const bool is_nans = cell == d->cells.nans && more > 0;
        if (here > 0 && (here + more > full || is_nans)) {
            begin += here;
            here = 0;
            d->begins[++bucket] = begin;
        }
        d->bucket_of[cell] = (uint16_t)bucket;
        here += more;
    }
    d->begins[++bucket] = begin + here;
    d->buckets = bucket;
}

/* For one part, count the items of each bucket. */
static int
add_up_parts(trt_context *ctx, int64_t first, int64_t last, void *arg)
{
    (void)ctx;
    const division *const d = arg;
    for (size_t i = (size_t)first; i < (size_t)last; i++) {
        size_t *const places = d->places + i * d->room;
        const uint32_t *const counts = d->counts + i * d->count;
        memset(places, 0, d->buckets * sizeof *places);
        for (size_t cell = 0; cell < d->count; cell++) {
            places[d->bucket_of[cell]] += counts[cell];
        }
    }
    return TRT_OK;
}

static void
choose_places(const division *d)
{
    for (size_t bucket = 0; bucket < d->buckets; bucket++) {
        size_t place = d->begins[bucket];
        for (size_t part = 0; part < d->parts; part++) {
            size_t *const its = &d->places[part * d->room + bucket];
            const size_t count = *its;
            *its = place;
            place += count;
        }
    }
}

static int
scatter_parts(trt_context *ctx, int64_t first, int64_t last, void *arg)
{
    (void)ctx;
    const division *const d = arg;
    const trt_rank_kernel *const kernel = d->job.kernel;
    for (size_t i = (size_t)first; i < (size_t)last; i++) {
        kernel->scatter(d->from + i * d->part * kernel->size, part_length(d, i),
                        d->job.order, &d->cells, d->bucket_of, d->places + i * d->room,
                        d->to);
    }
    return TRT_OK;
}

/* ---- sorting them ---------------------------------------------------------------- */

static int sort_long(trt_context *ctx, const job *j, char *items, char *spare,
                     size_t length, bool stay);

static int
sort_buckets(trt_context *ctx, int64_t first, int64_t last, void *arg)
{
    const division *const d = arg;
    const size_t size = d->job.kernel->size;
    for (size_t i = (size_t)first; i < (size_t)last; i++) {
        const size_t begin = d->begins[i], length = d->begins[i + 1] - begin;
        char *const items = d->to + begin * size, *const spare = d->from + begin * size;
        int status = TRT_OK;
        if (begin < d->numbers) {
            status = sort_long(ctx, &d->job, items, spare, length, !d->back);
        } else if (d->back) {
            memcpy(spare, items, length * size);
        }
        d->done[i] = 1;
        if (status) {
            return status;
        }
    }
    return TRT_OK;
}

/* Put the items where they should end, after a failure. */
static void
bring_back(const division *d)
{
    const size_t size = d->job.kernel->size;
    for (size_t i = 0; d->back && i < d->buckets; i++) {
        if (!d->done[i]) {
            const size_t begin = d->begins[i], length = d->begins[i + 1] - begin;
            memcpy(d->from + begin * size, d->to + begin * size, length * size);
        }
    }
}

/* Divide and sort, with the fields of the division set that say what. */
static int
divide(trt_context *ctx, division *d)
{
    int status = prepare(ctx, d);
    if (!status) {
        status = trt_sort_each(ctx, d->parts, count_parts, d);
    }
    if (!status) {
        choose_buckets(d);
        status = trt_sort_each(ctx, d->parts, add_up_parts, d);
    }
    if (!status) {
        choose_places(d);
        status = trt_sort_each(ctx, d->parts, scatter_parts, d);
    }
    if (!status) {
        status = trt_sort_each(ctx, d->buckets, sort_buckets, d);
        if (status) {
            bring_back(d);
        }
    } else if (!d->back) {
        memcpy(d->to, d->from, d->length * d->job.kernel->size);
    }
    clean_up(d);
    return status;
}

/* Sort what `seen` shows to be out of order. The items end where they are, or if not
 * `stay` in the spare. */
static int
sort_seen(trt_context *ctx, const job *j, char *items, char *spare, size_t length,
          bool stay, const trt_seen *seen)
{
    const uint64_t most = j->kernel->most;
    const bool has_nans = seen->high > most;
    uint64_t high = seen->high;
    size_t numbers = length;
    if (has_nans) {
        numbers = j->kernel->look_for_numbers(items, length, j->order, &high);
    }
    if (numbers == 0) {
        return TRT_OK; /* this is a row, which stays where it is */
    }
    const uint64_t span = high - seen->low;
    const unsigned width = trt_rank_width(span), items_width = trt_rank_width(length);
    unsigned bits = items_width > CELL_ITEMS_BITS ? items_width - CELL_ITEMS_BITS : 1;
    bits = bits < CELL_BITS_MAX ? bits : CELL_BITS_MAX;
    const unsigned shift = width > bits ? width - bits : 0;
    const size_t cells = (size_t)(span >> shift) + 1;
    division d = {
        .job = *j,
        .from = items,
        .to = spare,
        .length = length,
        .back = stay,
        .cells = {.low = seen->low, .span = span, .shift = shift, .nans = cells},
        .numbers = numbers,
        .count = cells + 1,
    };
    return divide(ctx, &d);
}

/* Sort numbers, no NaNs. The items end where they are, or if not `stay` in the spare,
 * whatever the outcome. */
static int
sort_long(trt_context *ctx, const job *j, char *items, char *spare, size_t length,
          bool stay)
{
    if (length <= TRT_SORT_LEAF_MAX) {
        sort_leaf(j, items, spare, length, stay);
        return TRT_OK;
    }
    trt_seen seen;
    const int status = trt_sort_look(ctx, j->kernel, j->order, items, length, &seen);
    if (status || seen.descents == 0) {
        if (!stay) {
            memcpy(spare, items, length * j->kernel->size);
        }
        return status;
    }
    return sort_seen(ctx, j, items, spare, length, stay, &seen);
}

typedef struct turn {
    const trt_rank_kernel *kernel;
    void *items;
    size_t length;
} turn;

static int
turn_part(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    (void)ctx;
    const turn *const t = arg;
    t->kernel->reverse(t->items, t->length, (size_t)begin, (size_t)end);
    return TRT_OK;
}

int
trt_sort_row(trt_context *ctx, const trt_rank_kernel *kernel, const trt_order *order,
             void *items, void *spare, size_t length, const trt_seen *seen)
{
    if (length <= TRT_SORT_SHORT) {
        kernel->sort(items, spare, length, true, order);
        return TRT_OK;
    }
    if (seen->descents == 0) {
        return TRT_OK;
    }
    if (seen->descents == length - 1 && seen->high <= kernel->most) {
        turn t = {kernel, items, length};
        const int64_t half = (int64_t)(length / 2);
        return ctx ? trt_parallel_for(ctx, 0, half, TRT_SORT_PART, turn_part, &t)
                   : turn_part(NULL, 0, half, &t);
    }
    const job j = {kernel, order};
    const size_t leaf = ctx ? DIVIDED : TRT_SORT_LEAF_MAX;
    if (length <= leaf && seen->high <= kernel->most) {
        sort_leaf(&j, items, spare, length, true);
        return TRT_OK;
    }
    return sort_seen(ctx, &j, items, spare, length, true, seen);
}

/* ---- rows ------------------------------------------------------------------------ */

typedef struct rows {
    job job;
    char *items;
    size_t length;
} rows;

static int
sort_rows(trt_context *ctx, int64_t first, int64_t last, void *arg)
{
    const rows *const r = arg;
    const size_t size = r->job.kernel->size;
    void *spare = NULL;
    int status = TRT_OK;
    for (int64_t row = first; row < last && !status; row++) {
        char *const items = r->items + (size_t)row * r->length * size;
        trt_seen seen = trt_seen_nothing;
        if (r->length > TRT_SORT_SHORT) {
            status = trt_sort_look(ctx, r->job.kernel, r->job.order, items, r->length,
                                   &seen);
            if (!status && seen.descents > 0 && !spare) {
                spare = trt_scratch_new(r->length, size);
                status = spare ? TRT_OK : TRT_NO_MEMORY;
            }
        }
        if (!status) {
            status = trt_sort_row(ctx, r->job.kernel, r->job.order, items, spare,
                                  r->length, &seen);
        }
    }
    trt_scratch_free(spare);
    return status;
}

static int
sort(trt_context *ctx, const trt_sort *s)
{
    trt_order order;
    const trt_rank_kernel *const kernel = trt_rank_find(s->dtype, s->reverse, &order);
    rows r = {{kernel, &order}, s->items, s->length};
    return trt_sort_rows(ctx, s->length, s->rows, sort_rows, &r);
}

int
trt_sort_rows(trt_context *ctx, size_t length, size_t count, trt_range_function fn,
              void *arg)
{
    if (length < 2) {
        return TRT_OK;
    }
    const int64_t grain = length < ROWS_PART ? ROWS_PART / (int64_t)length : 1;
    return ctx ? trt_parallel_for(ctx, 0, (int64_t)count, grain, fn, arg)
               : fn(NULL, 0, (int64_t)count, arg);
}

int
trt_sort_here(trt_sort *s)
{
    return sort(NULL, s);
}

int
trt_sort_run(trt_context *ctx, void *sort_record)
{
    return sort(ctx, sort_record);
}
