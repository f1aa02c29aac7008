/* A full fence split into a side that is nearly free and a side that pays for both.
 *
 * Two threads that each write one place and then read the other's may both miss the
 * other's write, unless each has a full fence in between. When one side runs a million
 * times as often as the other (a spawn, against a worker that goes to sleep), its fence
 * is too dear. Here the rare side asks the kernel to run a fence on every core that
 * runs a thread of this process (Linux membarrier), and the frequent side only keeps
 * the compiler from reordering.
 *
 *     frequent side                 rare side
 *     publish work                  publish "I sleep"
 *     trt_barrier_light()           trt_barrier_heavy()        [asym-fence]
 *     read who sleeps               read whether there is work
 *
 * At least one of them sees what the other wrote: the kernel's fence falls before or
 * after the frequent side's light barrier. Before: that side then reads after "I sleep"
 * was written. After: its work is visible when the rare side looks. Two light sides are
 * not ordered against each other; two heavy sides are.
 *
 * Where the kernel cannot do this, and under ThreadSanitizer, which would not see it,
 * both sides are plain full fences.
 */
#ifndef TRT_BARRIER_H
#define TRT_BARRIER_H

#include "os/atomics.h"

#include <stdbool.h>

/* True when light barriers may be free. Written by trt_barrier_init before the threads
 * that read it start; a fact about the process, hence global. Relaxed: thread start
 * orders it. */
extern _Atomic(bool) trt_barrier_asymmetric;

/* Find out whether the kernel helps and register the process for it. Call before any
 * other function here, while no other thread uses them; call again in a forked child.
 * Repeating it is harmless. Cannot fail: without help, barriers are full fences. */
void trt_barrier_init(void);

/* The frequent side. Any thread. */
static inline void
trt_barrier_light(void)
{
#if TRT_THREAD_SANITIZER
    trt_fence_seq_cst();
#else
    if (trt_load_relaxed(&trt_barrier_asymmetric)) {
        trt_fence_compiler(); /* [asym-fence] completed by trt_barrier_heavy */
    } else {
        trt_fence_seq_cst();
    }
#endif
}

/* The rare side: microseconds, as it interrupts the other cores. Any thread. */
void trt_barrier_heavy(void);

#endif
