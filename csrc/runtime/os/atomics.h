/* The atomic operations of the runtime: C11 atomics with the order in the name.
 *
 * All code uses these names and never `x++` or plain assignment on an _Atomic, so that
 * each order is a decision that can be read. What the orders are for:
 *
 *     relaxed   the value alone matters
 *     acquire   load: sees all that the thread wrote before the release store it reads
 *     release   store: publishes all that this thread wrote before
 *     acq_rel   read-modify-write: both; a compare-and-swap that fails only acquires
 *     seq_cst   takes part in the one order that all threads agree on; write down why
 *
 *     _Atomic(uint32_t) count;
 *     trt_fetch_add_relaxed(&count, 1);
 *     uint32_t expected = 3;
 *     if (trt_cas_acq_rel(&count, &expected, 4)) { ... } // else `expected` is new
 */
#ifndef TRT_ATOMICS_H
#define TRT_ATOMICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "os/chaos.h"

#define trt_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define trt_load_acquire(p) TRT_CHAOTIC(atomic_load_explicit((p), memory_order_acquire))
#define trt_load_seq_cst(p) TRT_CHAOTIC(atomic_load_explicit((p), memory_order_seq_cst))

#define trt_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define trt_store_release(p, v)                                                        \
    TRT_CHAOTIC_STORE(atomic_store_explicit((p), (v), memory_order_release))
#define trt_store_seq_cst(p, v)                                                        \
    TRT_CHAOTIC_STORE(atomic_store_explicit((p), (v), memory_order_seq_cst))

/* Store `v`, return what was there. */
#define trt_exchange_relaxed(p, v)                                                     \
    TRT_CHAOTIC(atomic_exchange_explicit((p), (v), memory_order_relaxed))
#define trt_exchange_acq_rel(p, v)                                                     \
    TRT_CHAOTIC(atomic_exchange_explicit((p), (v), memory_order_acq_rel))
#define trt_exchange_seq_cst(p, v)                                                     \
    TRT_CHAOTIC(atomic_exchange_explicit((p), (v), memory_order_seq_cst))

/* Compare and swap, never failing without a reason. True: it was `*expected` and is now
 * `desired`. False: `*expected` now holds what was found. */
#define trt_cas_relaxed(p, expected, desired)                                          \
    TRT_CHAOTIC(atomic_compare_exchange_strong_explicit(                               \
        (p), (expected), (desired), memory_order_relaxed, memory_order_relaxed))
#define trt_cas_acq_rel(p, expected, desired)                                          \
    TRT_CHAOTIC(atomic_compare_exchange_strong_explicit(                               \
        (p), (expected), (desired), memory_order_acq_rel, memory_order_acquire))
#define trt_cas_seq_cst(p, expected, desired)                                          \
    TRT_CHAOTIC(atomic_compare_exchange_strong_explicit(                               \
        (p), (expected), (desired), memory_order_seq_cst, memory_order_acquire))

/* Read-modify-write; the value is the one before the operation. */
#define trt_fetch_add_relaxed(p, v)                                                    \
    TRT_CHAOTIC(atomic_fetch_add_explicit((p), (v), memory_order_relaxed))
#define trt_fetch_add_acq_rel(p, v)                                                    \
    TRT_CHAOTIC(atomic_fetch_add_explicit((p), (v), memory_order_acq_rel))
#define trt_fetch_add_seq_cst(p, v)                                                    \
    TRT_CHAOTIC(atomic_fetch_add_explicit((p), (v), memory_order_seq_cst))
#define trt_fetch_sub_relaxed(p, v)                                                    \
    TRT_CHAOTIC(atomic_fetch_sub_explicit((p), (v), memory_order_relaxed))
#define trt_fetch_sub_acq_rel(p, v)                                                    \
    TRT_CHAOTIC(atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel))
#define trt_fetch_sub_seq_cst(p, v)                                                    \
    TRT_CHAOTIC(atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst))
#define trt_fetch_or_relaxed(p, v)                                                     \
    TRT_CHAOTIC(atomic_fetch_or_explicit((p), (v), memory_order_relaxed))
#define trt_fetch_or_acq_rel(p, v)                                                     \
    TRT_CHAOTIC(atomic_fetch_or_explicit((p), (v), memory_order_acq_rel))
#define trt_fetch_or_seq_cst(p, v)                                                     \
    TRT_CHAOTIC(atomic_fetch_or_explicit((p), (v), memory_order_seq_cst))
#define trt_fetch_and_relaxed(p, v)                                                    \
    TRT_CHAOTIC(atomic_fetch_and_explicit((p), (v), memory_order_relaxed))
#define trt_fetch_and_acq_rel(p, v)                                                    \
    TRT_CHAOTIC(atomic_fetch_and_explicit((p), (v), memory_order_acq_rel))
#define trt_fetch_and_seq_cst(p, v)                                                    \
    TRT_CHAOTIC(atomic_fetch_and_explicit((p), (v), memory_order_seq_cst))

/* TRT_THREAD_SANITIZER is 1 when ThreadSanitizer watches this build. */
#if defined(__SANITIZE_THREAD__)
#define TRT_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TRT_THREAD_SANITIZER 1
#endif
#endif
#ifndef TRT_THREAD_SANITIZER
#define TRT_THREAD_SANITIZER 0
#endif

/* Order everything before it against everything after it, among all threads that do the
 * same. ThreadSanitizer does not see fences; there every fence is a read-modify-write
 * of one word that exists for this alone, which gives at least the same order. */
#if TRT_THREAD_SANITIZER
extern _Atomic(uint32_t) trt_fence_word;

static inline void
trt_fence_seq_cst(void)
{
    trt_fetch_add_seq_cst(&trt_fence_word, 0);
}
#else
static inline void
trt_fence_seq_cst(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}
#endif

/* Keep the compiler, not the machine, from moving memory accesses across. */
static inline void
trt_fence_compiler(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

/* Tell the core that this is a spin loop, so that its sibling thread gets the slots. */
static inline void
trt_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ __volatile__("yield" ::: "memory");
#else
    trt_fence_compiler();
#endif
}

/* What one core's write takes away from the others' caches. 64 on x86-64 and nearly all
 * arm64; where it is 128 the padding helps less and nothing breaks. */
#define TRT_CACHE_LINE 64

/* Start a variable or field on a line of its own. A struct that has such a field must
 * not come from malloc(), which aligns to less: there use TRT_LINE_GAP. */
#define TRT_ALIGNED_TO_LINE _Alignas(TRT_CACHE_LINE)

/* An unused field that keeps what is before it and what is after it on different lines,
 * however the struct is aligned. */
#define TRT_LINE_GAP(name) char name[TRT_CACHE_LINE]

#endif
