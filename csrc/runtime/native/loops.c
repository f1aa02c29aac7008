/* Loops over ranges. A range is split only when there is nothing left that others could
 * steal (lazy binary splitting: Tzannes, Caragea, Barua, Vishkin, PPoPP 2010): a thief
 * finds half of what is left, and while no thief comes, what is split off is one task.
 */
#include "native/loops.h"

#include <stdbool.h>
#include <stdlib.h>

#include "native/work.h"
#include "os/atomics.h"

enum {
    /* Parts of a range, at least, when the caller does not say and it is long enough.
     */
    PARTS_MIN = 128,
    /* Accumulators of a reduction, at most. */
    PARTS_MAX = 1 << 16,
};

typedef struct loop {
    trt_range_function fn;
    void *arg;
    uint64_t grain;
    _Atomic(int) status; /* of the first part that has failed; any thread */
} loop;

typedef struct range {
    loop *loop;
    int64_t begin, end;
} range;

/* Differences of 64-bit integers need 64 bits without a sign. */
static uint64_t
length(int64_t begin, int64_t end)
{
    return begin < end ? (uint64_t)end - (uint64_t)begin : 0;
}

static int64_t
advance(int64_t begin, uint64_t by)
{
    return (int64_t)((uint64_t)begin + by);
}

/* A power of two that makes about as many parts as they are long, which evens out what
 * they take, on many threads, and costs nothing; but of a short range, which may be one
 * of a few long calls, enough for dozens of threads. It does not depend on the number
 * of threads, and so neither do results. */
static uint64_t
default_grain(uint64_t n)
{
    uint64_t grain = 1;
    while (grain < n / PARTS_MIN && grain < n / grain) {
        grain *= 2;
    }
    return grain;
}

static uint64_t
choose_grain(uint64_t n, int64_t wanted, uint64_t parts_max)
{
    const uint64_t least = n / parts_max + (n % parts_max != 0);
    const uint64_t grain = wanted > 0 ? (uint64_t)wanted : default_grain(n);
    return grain > least ? grain : least; /* which is 1 at least */
}

/* Whether a thief would find something here. */
static bool
has_children(const trt_context *ctx)
{
    return trt_load_relaxed(&ctx->head) < trt_load_relaxed(&ctx->tail);
}

static void
run_part(trt_context *ctx, loop *l, int64_t begin, int64_t end)
{
    const int status =
        trt_cancelled(ctx) ? TRT_CANCELLED : l->fn(ctx, begin, end, l->arg);
    if (status) {
        int ok = TRT_OK;
        trt_cas_relaxed(&l->status, &ok, status);
    }
}

static int
run_range(trt_context *ctx, void *arg)
{
    range r = *(range *)arg;
    loop *const l = r.loop;
    while (length(r.begin, r.end) > l->grain && !trt_load_relaxed(&l->status)) {
        if (!has_children(ctx)) {
            const int64_t middle = advance(r.begin, length(r.begin, r.end) / 2);
            range left = {l, r.begin, middle}, right = {l, middle, r.end};
            trt_frame child;
            trt_spawn(ctx, &child, run_range, &right);
            run_range(ctx, &left);
            /* Failures of the tasks themselves: no stack for the join. */
            const int status = trt_join(ctx, &child);
            if (status) {
                int ok = TRT_OK;
                trt_cas_relaxed(&l->status, &ok, status);
            }
            return TRT_OK;
        }
        const int64_t next = advance(r.begin, l->grain);
        run_part(ctx, l, r.begin, next);
        r.begin = next;
    }
    if (r.begin < r.end && !trt_load_relaxed(&l->status)) {
        run_part(ctx, l, r.begin, r.end);
    }
    return TRT_OK;
}

int
trt_loop_for(trt_context *ctx, int64_t begin, int64_t end, int64_t grain,
             trt_range_function fn, void *arg)
{
    if (!fn) {
        return trt_work_fail(ctx, TRT_MISUSE,
                             "the function given to trt_parallel_for is null");
    }
    if (begin >= end) {
        return TRT_OK;
    }
    loop l = {.fn = fn,
              .arg = arg,
              .grain = choose_grain(length(begin, end), grain, UINT64_MAX)};
    trt_store_relaxed(&l.status, TRT_OK);
    range whole = {&l, begin, end};
    run_range(ctx, &whole);
    return trt_load_relaxed(&l.status);
}

/* ---- reductions ------------------------------------------------------------------ */

/* The parts are the leaves of a tree that is cut in halves, whoever runs what: the
 * right half is folded into an accumulator of its own and combined into the left one's.
 * A stack needs one of those for each level, so their number is that of the levels, and
 * not that of the parts, for each thread that takes part. */

typedef struct reduction {
    const trt_reduction *how;
    void *arg;
    int64_t begin, end;
    uint64_t grain;
    size_t stride;       /* bytes from one accumulator to the next */
    _Atomic(int) status; /* of the first part that has failed; any thread */
} reduction;

typedef struct branch {
    reduction *reduction;
    uint64_t first, last;     /* parts, from `first` to before `last` */
    void *acc;                /* where the result goes */
    char *spare;              /* accumulators for the levels below, or NULL */
    const trt_context *owner; /* of those */
} branch;

static void
note_failure(reduction *r, int status)
{
    int ok = TRT_OK;
    trt_cas_relaxed(&r->status, &ok, status);
}

static void
fold_part(trt_context *ctx, const branch *b)
{
    reduction *const r = b->reduction;
    const int64_t begin = advance(r->begin, b->first * r->grain);
    const uint64_t rest = length(begin, r->end);
    const int64_t end = advance(begin, rest < r->grain ? rest : r->grain);
    r->how->start(b->acc, r->arg);
    const int status = trt_cancelled(ctx)
                           ? TRT_CANCELLED
                           : r->how->fold(ctx, begin, end, b->acc, r->arg);
    if (status) {
        note_failure(r, status);
    }
}

static unsigned
levels(uint64_t parts)
{
    unsigned n = 0;
    while (parts > (uint64_t)1 << n) {
        n++;
    }
    return n;
}

static int
reduce_branch(trt_context *ctx, void *arg)
{
    branch b = *(branch *)arg;
    reduction *const r = b.reduction;
    char *own = NULL;
    if (trt_load_relaxed(&r->status)) {
        return TRT_OK;
    }
    if (b.last - b.first == 1) {
        fold_part(ctx, &b);
        return TRT_OK;
    }
    if (!b.spare || b.owner != ctx) { /* the first; or stolen */
        own = malloc(levels(b.last - b.first) * r->stride);
        if (!own) {
            note_failure(r, TRT_NO_MEMORY);
            return TRT_OK;
        }
        b.owner = ctx;
        b.spare = own;
    }
    const uint64_t middle = b.first + (b.last - b.first) / 2;
    branch left = b, right = b;
    left.last = right.first = middle;
    right.acc = b.spare;
    left.spare = right.spare = b.spare + r->stride;
    trt_frame child;
    trt_spawn(ctx, &child, reduce_branch, &right);
    reduce_branch(ctx, &left);
    /* A failure of the task itself: no stack for the join. */
    const int status = trt_join(ctx, &child);
    if (status) {
        note_failure(r, status);
    }
    if (!trt_load_relaxed(&r->status)) {
        r->how->combine(b.acc, right.acc, r->arg);
    }
    free(own);
    return TRT_OK;
}

int
trt_loop_reduce(trt_context *ctx, int64_t begin, int64_t end, int64_t grain,
                const trt_reduction *how, void *arg, void *result)
{
    if (!how->start || !how->fold || !how->combine) {
        return trt_work_fail(ctx, TRT_MISUSE,
                             "a function given to trt_parallel_reduce is null");
    }
    if (begin >= end) {
        how->start(result, arg);
        return TRT_OK;
    }
    const uint64_t n = length(begin, end);
    reduction r = {.how = how, .arg = arg, .begin = begin, .end = end};
    r.grain = choose_grain(n, grain, PARTS_MAX);
    /* On cache lines of their own, for different threads write them. */
    r.stride = (how->size / TRT_CACHE_LINE + 1) * TRT_CACHE_LINE;
    trt_store_relaxed(&r.status, TRT_OK);
    branch whole = {.reduction = &r,
                    .last = n / r.grain + (n % r.grain != 0),
                    .acc = result}; /* and no owner: it gets its accumulators itself */
    reduce_branch(ctx, &whole);
    return trt_load_relaxed(&r.status);
}
