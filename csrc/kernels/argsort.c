/* The order that would sort a row, found by sorting words of 64 bits.
 *
 *     63           index                 0
 *     [ leading bits of the rank | index ]
 *
 * The rank is that above the lowest in the row. Its bits that find no place beside the
 * index are left out. Sorting the words by what is above the index, stably, leaves
 * those that have the same bits there in the order of their indices. If bits have been
 * left out, such a group is packed again, with the ranks above the lowest in the group,
 * and sorted, until nothing is left out or the group is in order. */
#include <stdlib.h>

#include "kernels/scratch.h"
#include "kernels/sort.h"
#include "kernels/sort_ranks.h"

enum {
    /* Groups are looked for in so many blocks at the most, by several threads. */
    BLOCKS_MAX = 256,
};

/* Words that lie one after the other, and where else their places begin. */
typedef struct span {
    const trt_rank_kernel *kernel;
    trt_packing packing; /* its words begin here */
    uint64_t *spare;
    size_t length;
} span;

static int sort_groups(trt_context *ctx, const span *s);

/* ---- loops over words ------------------------------------------------------------ */

static int
loop(trt_context *ctx, size_t length, trt_range_function fn, span *s)
{
    return ctx && length > TRT_SORT_PART
               ? trt_parallel_for(ctx, 0, (int64_t)length, TRT_SORT_PART, fn, s)
               : fn(NULL, 0, (int64_t)length, s);
}

static int
pack(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    (void)ctx;
    const span *const s = arg;
    s->kernel->pack(&s->packing, (size_t)begin, (size_t)end);
    return TRT_OK;
}

static int
pack_again(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    (void)ctx;
    const span *const s = arg;
    s->kernel->pack_again(&s->packing, (size_t)begin, (size_t)end);
    return TRT_OK;
}

/* Leave nothing but the indices. */
static int
unpack(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    (void)ctx;
    const span *const s = arg;
    uint64_t *const words = s->packing.words;
    const uint64_t indices = ((uint64_t)1 << s->packing.index) - 1;
    for (int64_t i = begin; i < end; i++) {
        words[i] &= indices;
    }
    return TRT_OK;
}

static int
number(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    (void)ctx;
    const span *const s = arg;
    for (int64_t i = begin; i < end; i++) {
        s->packing.words[i] = (uint64_t)i;
    }
    return TRT_OK;
}

static int
number_backwards(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    (void)ctx;
    const span *const s = arg;
    for (int64_t i = begin; i < end; i++) {
        s->packing.words[i] = s->length - 1 - (uint64_t)i;
    }
    return TRT_OK;
}

static int
look_at_part(trt_context *ctx, int64_t begin, int64_t end, void *seen, void *arg)
{
    (void)ctx;
    const span *const s = arg;
    s->kernel->look_again(&s->packing, (size_t)begin, (size_t)end, seen);
    return TRT_OK;
}

/* ---- sorting words --------------------------------------------------------------- */

/* How to pack what has been seen. */
static void
choose_packing(span *s, const trt_seen *seen)
{
    const unsigned width = trt_rank_width(seen->high - seen->low);
    const unsigned room = 64 - s->packing.index;
    s->packing.low = seen->low;
    s->packing.drop = width > room ? width - room : 0;
}

static int
sort_words(trt_context *ctx, const span *s)
{
    const trt_order by_rank = {.drop = s->packing.index};
    uint64_t *const words = s->packing.words;
    trt_seen seen = trt_seen_nothing;
    const int status =
        trt_sort_look(ctx, trt_rank_words, &by_rank, words, s->length, &seen);
    return status ? status
                  : trt_sort_row(ctx, trt_rank_words, &by_rank, words, s->spare,
                                 s->length, &seen);
}

/* Sort words that have the same leading bits. */
static int
sort_group(trt_context *ctx, const span *s, size_t begin, size_t length)
{
    span group = *s;
    group.packing.words += begin;
    group.spare += begin;
    group.length = length;
    trt_seen seen;
    int status = trt_sort_see(ctx, length, look_at_part, &group, &seen);
    if (status || seen.descents == 0) {
        return status;
    }
    choose_packing(&group, &seen);
    status = loop(ctx, length, pack_again, &group);
    if (!status) {
        status = sort_words(ctx, &group);
    }
    if (!status && group.packing.drop > 0) {
        status = sort_groups(ctx, &group);
    }
    return status;
}

/* Where a group begins, at or after `at`. */
static size_t
find_group(const span *s, size_t at)
{
    const uint64_t *const words = s->packing.words;
    const unsigned index = s->packing.index;
    while (at > 0 && at < s->length && words[at] >> index == words[at - 1] >> index) {
        at++;
    }
    return at;
}

static int
sort_groups_between(trt_context *ctx, const span *s, size_t begin, size_t end)
{
    const uint64_t *const words = s->packing.words;
    const unsigned index = s->packing.index;
    for (size_t i = begin; i + 1 < end;) {
        const uint64_t bits = words[i] >> index;
        size_t next = i + 1;
        while (next < end && words[next] >> index == bits) {
            next++;
        }
        if (next - i > 1) {
            const int status = sort_group(ctx, s, i, next - i);
            if (status) {
                return status;
            }
        }
        i = next;
    }
    return TRT_OK;
}

typedef struct blocks {
    const span *span;
    size_t begins[BLOCKS_MAX + 1];
} blocks;

static int
sort_groups_of_blocks(trt_context *ctx, int64_t first, int64_t last, void *arg)
{
    const blocks *const b = arg;
    for (int64_t i = first; i < last; i++) {
        const int status =
            sort_groups_between(ctx, b->span, b->begins[i], b->begins[i + 1]);
        if (status) {
            return status;
        }
    }
    return TRT_OK;
}

static int
sort_groups(trt_context *ctx, const span *s)
{
    if (!ctx || s->length <= TRT_SORT_PART) {
        return sort_groups_between(ctx, s, 0, s->length);
    }
    const size_t fair = s->length / BLOCKS_MAX + 1;
    const size_t step = fair > TRT_SORT_PART ? fair : TRT_SORT_PART;
    blocks b = {.span = s};
    size_t count = 0;
    while (b.begins[count] < s->length) {
        const size_t begin = b.begins[count];
        b.begins[++count] =
            s->length - begin > step ? find_group(s, begin + step) : s->length;
    }
    return trt_sort_each(ctx, count, sort_groups_of_blocks, &b);
}

/* ---- rows ------------------------------------------------------------------------ */

/* Sort what `seen` shows to be out of order. */
static int
sort_row(trt_context *ctx, span *s, const trt_seen *seen)
{
    choose_packing(s, seen);
    int status = loop(ctx, s->length, pack, s);
    if (!status) {
        status = sort_words(ctx, s);
    }
    if (!status && s->packing.drop > 0) {
        status = sort_groups(ctx, s);
    }
    return status ? status : loop(ctx, s->length, unpack, s);
}

typedef struct rows {
    const trt_argsort *argsort;
    const trt_rank_kernel *kernel;
    trt_order order;
} rows;

static int
argsort_rows(trt_context *ctx, int64_t first, int64_t last, void *arg)
{
    const rows *const r = arg;
    const trt_argsort *const a = r->argsort;
    const size_t size = r->kernel->size, length = a->length;
    uint64_t *spare = NULL;
    int status = TRT_OK;
    for (int64_t row = first; row < last && !status; row++) {
        const size_t begin = (size_t)row * length;
        span s = {.kernel = r->kernel,
                  .packing = {.items = (const char *)a->items + begin * size,
                              .order = &r->order,
                              .words = (uint64_t *)a->indices + begin,
                              .index = trt_rank_width(length - 1)},
                  .length = length};
        trt_seen seen;
        status =
            trt_sort_look(ctx, r->kernel, &r->order, s.packing.items, length, &seen);
        if (status) {
            break;
        }
        trt_range_function numbers = NULL;
        if (seen.descents == 0) {
            numbers = number;
        } else if (seen.descents == length - 1 && seen.high <= r->kernel->most) {
            numbers = number_backwards;
        }
        if (!numbers && !spare) {
            spare = trt_scratch_new(length, sizeof *spare);
            status = spare ? TRT_OK : TRT_NO_MEMORY;
        }
        s.spare = spare;
        if (!status) {
            status =
                numbers ? loop(ctx, length, numbers, &s) : sort_row(ctx, &s, &seen);
        }
    }
    trt_scratch_free(spare);
    return status;
}

static int
argsort(trt_context *ctx, const trt_argsort *a)
{
    rows r = {.argsort = a};
    r.kernel = trt_rank_find(a->dtype, a->reverse, &r.order);
    for (size_t row = 0; a->length == 1 && row < a->rows; row++) {
        a->indices[row] = 0;
    }
    return trt_sort_rows(ctx, a->length, a->rows, argsort_rows, &r);
}

int
trt_argsort_here(trt_argsort *a)
{
    return argsort(NULL, a);
}

int
trt_argsort_run(trt_context *ctx, void *argsort_record)
{
    return argsort(ctx, argsort_record);
}
