/* Loops over ranges. A range is split only when there is nothing left that others could
 * steal (lazy binary splitting: Tzannes, Caragea, Barua, Vishkin, PPoPP 2010): a thief
 * finds half of what is left, and while no thief comes, what is split off is one task.
 */
#include "native/loops.h"

#include <stdbool.h>
#include <stdlib.h>

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

typedef struct reduction {
    const trt_reduction *how;
    void *arg;
    int64_t begin, end;
    uint64_t grain;
    size_t stride; /* bytes from one accumulator to the next */
    char *accumulators;
} reduction;

/* Fold parts: one accumulator each. */
static int
fold_parts(trt_context *ctx, int64_t first, int64_t last, void *arg)
{
    const reduction *const r = arg;
    for (int64_t part = first; part < last; part++) {
        const int64_t begin = advance(r->begin, (uint64_t)part * r->grain);
        const uint64_t rest = length(begin, r->end);
        const int64_t end = advance(begin, rest < r->grain ? rest : r->grain);
        void *const acc = r->accumulators + (size_t)part * r->stride;
        r->how->start(acc, r->arg);
        const int status = r->how->fold(ctx, begin, end, acc, r->arg);
        if (status) {
            return status;
        }
    }
    return TRT_OK;
}

int
trt_loop_reduce(trt_context *ctx, int64_t begin, int64_t end, int64_t grain,
                const trt_reduction *how, void *arg, void *result)
{
    how->start(result, arg);
    if (begin >= end) {
        return TRT_OK;
    }
    const uint64_t n = length(begin, end);
    reduction r = {.how = how, .arg = arg, .begin = begin, .end = end};
    r.grain = choose_grain(n, grain, PARTS_MAX);
    const int64_t parts = (int64_t)(n / r.grain + (n % r.grain != 0));
    /* On cache lines of their own, for different threads write them. */
    r.stride = (how->size + TRT_CACHE_LINE - 1) / TRT_CACHE_LINE * TRT_CACHE_LINE;
    r.stride = r.stride ? r.stride : TRT_CACHE_LINE;
    r.accumulators = malloc((size_t)parts * r.stride);
    if (!r.accumulators) {
        return TRT_NO_MEMORY;
    }
    const int status = trt_loop_for(ctx, 0, parts, 1, fold_parts, &r);
    for (int64_t part = 0; part < parts && status == TRT_OK; part++) {
        how->combine(result, r.accumulators + (size_t)part * r.stride, arg);
    }
    free(r.accumulators);
    return status;
}
