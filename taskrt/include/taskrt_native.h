/* taskrt_native.h - spawn and join native tasks in nanoseconds, without Python.
 *
 * A native task is a C function and a pointer. It runs on taskrt's pool, needs no
 * interpreter, and forks children of its own:
 *
 *     #include <taskrt_native.h>
 *
 *     typedef struct { int n; long result; } fib_arg;
 *
 *     static int
 *     fib(trt_context *ctx, void *p)
 *     {
 *         fib_arg *const f = p;
 *         if (f->n < 2) {
 *             f->result = f->n;
 *             return TRT_OK;
 *         }
 *         fib_arg a = {f->n - 1, 0}, b = {f->n - 2, 0};
 *         trt_frame child;
 *         trt_spawn(ctx, &child, fib, &a);        // others may take it from here on
 *         const int mine = fib(ctx, &b);          // meanwhile: a plain call
 *         const int its = trt_join(ctx, &child);  // nobody took it: a plain call too
 *         f->result = a.result + b.result;
 *         return mine ? mine : its;
 *     }
 *
 * Rules. A child is joined by the function that spawned it, on every path out of it, in
 * the reverse order of the spawns (newest first). The frame and what the argument
 * points to live until then; the caller's stack is the place for both. A context is
 * passed on to what is called, never through Python code, and used by nobody else. A
 * function waits for nothing but its children: it holds no lock across a join. It runs
 * on a stack of taskrt's, with at least 4 MiB left for a function that a join calls. No
 * C++ exception leaves a function that taskrt calls, nor skips a join; catch it inside
 * and return a status.
 *
 * This header needs no Python.h and nothing to link: what is not inline is called
 * through the context. C11 and C++17; names begin with trt_ or TRT_.
 */
#ifndef TASKRT_NATIVE_H
#define TASKRT_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#include <atomic>
#define TRT_ATOMIC(type) std::atomic<type>
#define TRT_ORDER(order) std::memory_order_##order
extern "C" {
#else
#include <stdatomic.h>
#define TRT_ATOMIC(type) _Atomic(type)
#define TRT_ORDER(order) memory_order_##order
#endif

typedef struct trt_context trt_context;

/* What a native function returns. 0 is success; anything else is handed on by whoever
 * joins, and becomes an exception where Python waits. Positive values are for your own
 * use. */
enum {
    TRT_OK = 0,
    TRT_NO_MEMORY = -1,   /* MemoryError */
    TRT_MISUSE = -2,      /* RuntimeError: a rule of this header was broken */
    TRT_CANCELLED = -3,   /* CancelledError: see trt_cancelled */
    TRT_TOO_DEEP = -4,    /* RecursionError: no memory for more stack */
    TRT_RAISED = -5,      /* what a function called by trt_call_python has raised */
    TRT_UNSUPPORTED = -6, /* RuntimeError: see trt_is_supported */
};

/* A native task. Called detached: without the GIL, or any right to touch Python. */
typedef int (*trt_function)(trt_context *ctx, void *arg);

/* Part of a loop: the indices from `begin` to before `end`. */
typedef int (*trt_range_function)(trt_context *ctx, int64_t begin, int64_t end,
                                  void *arg);

/* How to sum up a range, in the widest sense. */
typedef struct trt_reduction {
    size_t size; /* bytes of an accumulator, which is aligned as malloc aligns */
    /* Make *acc neutral. */
    void (*start)(void *acc, void *arg);
    /* Add what the indices from `begin` to before `end` contribute. */
    int (*fold)(trt_context *ctx, int64_t begin, int64_t end, void *acc, void *arg);
    /* Add what comes after *acc. */
    void (*combine)(void *acc, const void *after, void *arg);
} trt_reduction;

/* A spawned child until it is joined. All fields are private. Uninitialised before
 * trt_spawn; not to be moved until trt_join has returned. */
typedef struct trt_frame {
    trt_function fn;
    void *arg;
    /* Written by the spawner before the frame can be seen; then by the thief alone. The
     * outcome and the end of the thief's use of the frame [frame-done]. */
    TRT_ATOMIC(uintptr_t) state;
    int status; /* written by the thief before the state says so */
} trt_frame;

/* What trt_context looks like: another number, another layout. */
#define TRT_CONTEXT_LAYOUT 1

/* What is not inline. Grows at its end. */
typedef struct trt_context_api {
    uint32_t size;   /* of this table, in bytes */
    uint32_t layout; /* of the contexts */
    /* No room for one more frame. Whether there is now; if not, the child has run. */
    int (*spawn_slow)(trt_context *ctx, trt_frame *frame);
    /* The frame was stolen, or a thief is looking at it, or the stack is short. */
    int (*join_slow)(trt_context *ctx, trt_frame *frame);
    /* Somebody sleeps and nobody is looking for work. */
    void (*wake)(trt_context *ctx);
    /* A full fence, where the kernel does not help out (see full_fence). */
    void (*fence)(void);
    int (*parallel_for)(trt_context *ctx, int64_t begin, int64_t end, int64_t grain,
                        trt_range_function fn, void *arg);
    int (*parallel_reduce)(trt_context *ctx, int64_t begin, int64_t end, int64_t grain,
                           const trt_reduction *how, void *arg, void *result);
    int (*fail)(trt_context *ctx, int status, const char *message);
    int (*call)(trt_context *ctx, int (*fn)(void *), void *arg);
} trt_context_api;

/* What a running native task knows of its surroundings: where its children go. One for
 * each stack that native code runs on. All fields are private.
 *
 * The children are a stack of pointers to frames, slots[head .. tail). The owner pushes
 * and pops at the tail; thieves take at the head, one at a time, under a lock. */
struct trt_context {
    const trt_context_api *api;    /* constant */
    TRT_ATOMIC(trt_frame **) tail; /* owner writes; thieves read [frame-push] */
    trt_frame **limit;             /* owner: where the slots end */
    char *floor;                   /* owner: below this address joins do not call */
    const TRT_ATOMIC(uint32_t) * sleepers; /* constant: the pool's sleep word */
    const TRT_ATOMIC(uint32_t) * cancel;   /* owner: nonzero when it is time to end */
    int full_fence;                /* constant: light barriers have to be fences */
    char gap[64];                  /* thieves write what follows */
    TRT_ATOMIC(trt_frame **) head; /* thieves under the lock, owner in join_slow */
};

/* Whether the taskrt that runs this has all that this header uses. For libraries that
 * are not built together with it and do not call trt_import: ask once, before anything
 * else, and return TRT_UNSUPPORTED if not. */
static inline int
trt_is_supported(const trt_context *ctx)
{
    return ctx->api->layout == TRT_CONTEXT_LAYOUT &&
           ctx->api->size >= sizeof(trt_context_api);
}

/* Order what precedes against what follows, as seen by a thief or a sleeper, which has
 * the kernel run the fence for both [asym-fence]. */
static inline void
trt_context_barrier(const trt_context *ctx)
{
    if (ctx->full_fence) {
        ctx->api->fence();
    } else {
        atomic_signal_fence(TRT_ORDER(seq_cst));
    }
}

/* Let others run fn(ctx, arg), with a context of theirs, until trt_join(ctx, frame).
 * Needs no memory, or runs it at once. */
static inline void
trt_spawn(trt_context *ctx, trt_frame *frame, trt_function fn, void *arg)
{
    frame->fn = fn;
    frame->arg = arg;
    atomic_store_explicit(&frame->state, (uintptr_t)0, TRT_ORDER(relaxed));
    trt_frame **tail = atomic_load_explicit(&ctx->tail, TRT_ORDER(relaxed));
    if (tail == ctx->limit) {
        if (!ctx->api->spawn_slow(ctx, frame)) {
            return;
        }
        tail = atomic_load_explicit(&ctx->tail, TRT_ORDER(relaxed));
    }
    *tail = frame;
    /* [frame-push] publishes the slot and the frame. */
    atomic_store_explicit(&ctx->tail, tail + 1, TRT_ORDER(release));
    trt_context_barrier(ctx); /* [asym-fence] step P2 of waking */
    /* Sleepers in the lower half, searchers in the upper: some of those, none of these.
     */
    if (atomic_load_explicit(ctx->sleepers, TRT_ORDER(relaxed)) - 1 < UINT16_MAX) {
        ctx->api->wake(ctx);
    }
}

/* An address near the top of the stack; that of a local variable need not be, under
 * AddressSanitizer. */
#if defined(__GNUC__) || defined(__clang__)
#define TRT_STACK_ADDRESS() ((char *)__builtin_frame_address(0))
#else
#define TRT_STACK_ADDRESS() ((char *)_AddressOfReturnAddress())
#endif

/* Wait until the child has ended, and return what it has returned. Runs it here, as a
 * call, if nobody has taken it. Otherwise this stack is left to wait, and its thread
 * goes on with other work. */
static inline int
trt_join(trt_context *ctx, trt_frame *frame)
{
    trt_frame **const tail = atomic_load_explicit(&ctx->tail, TRT_ORDER(relaxed)) - 1;
    /* Released like a push: who reads this value sees the older frames too. */
    atomic_store_explicit(&ctx->tail, tail, TRT_ORDER(release));
    trt_context_barrier(ctx); /* [asym-fence] against a thief's claim */
    if (atomic_load_explicit(&ctx->head, TRT_ORDER(relaxed)) <= tail &&
        *tail == frame && TRT_STACK_ADDRESS() > ctx->floor) {
        return frame->fn(ctx, frame->arg);
    }
    atomic_store_explicit(&ctx->tail, tail + 1, TRT_ORDER(release));
    return ctx->api->join_slow(ctx, frame);
}

/* Whether the work that this task belongs to has been asked to end: a relaxed load. It
 * then returns TRT_CANCELLED as soon as it has joined its children. */
static inline int
trt_cancelled(const trt_context *ctx)
{
    return atomic_load_explicit(ctx->cancel, TRT_ORDER(relaxed)) != 0;
}

/* Call fn for parts of the range from `begin` to before `end` until all of it is done,
 * and return TRT_OK, or the first status that is not. Parts are at most `grain` long; 0
 * makes about 100 parts, or the square root of the length if that is more. A part is
 * given to others only when they have nothing to do, so that with one thread, or where
 * all are busy, this is a plain loop. When a part fails or the work is cancelled, parts
 * that have not begun do not. */
static inline int
trt_parallel_for(trt_context *ctx, int64_t begin, int64_t end, int64_t grain,
                 trt_range_function fn, void *arg)
{
    return ctx->api->parallel_for(ctx, begin, end, grain, fn, arg);
}

/* Fold the range into *result, of how->size bytes. The range is cut into parts of
 * `grain` (0: as above; never more than 65,536 parts), and their accumulators are
 * combined in their order, along a tree that is cut in halves: the result depends on
 * the range and the grain, not on the number of threads, also for floating-point
 * numbers. Returns like trt_parallel_for; on failure *result is undefined. */
static inline int
trt_parallel_reduce(trt_context *ctx, int64_t begin, int64_t end, int64_t grain,
                    const trt_reduction *how, void *arg, void *result)
{
    return ctx->api->parallel_reduce(ctx, begin, end, grain, how, arg, result);
}

/* Say why: `message`, in UTF-8, which is copied, becomes the text of the exception in
 * Python, unless one has come before, or it is NULL. Returns `status`, for `return
 * trt_fail(...)`. */
static inline int
trt_fail(trt_context *ctx, int status, const char *message)
{
    return ctx->api->fail(ctx, status, message);
}

#ifdef __cplusplus
}
#endif
#endif
