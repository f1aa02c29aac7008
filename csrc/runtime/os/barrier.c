#define _GNU_SOURCE 1

#include "os/barrier.h"

#include "os/check.h"

#ifdef __linux__
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

_Atomic(bool) trt_barrier_asymmetric;

#if TRT_THREAD_SANITIZER
/* What the fences of atomics.h modify; holds nothing. */
_Atomic(uint32_t) trt_fence_word;
#endif

#if defined(__linux__) && defined(SYS_membarrier) && !TRT_THREAD_SANITIZER

static bool
register_process(void)
{
    const long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands < 0 || (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0) {
        return false;
    }
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) ==
           0;
}

static void
fence_every_core(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
        /* The light sides of the past had no fence of their own. */
        trt_panic("the kernel took membarrier back");
    }
}

#else

static bool
register_process(void)
{
    return false;
}

static void
fence_every_core(void)
{
    trt_panic("this platform has no asymmetric barrier");
}

#endif

void
trt_barrier_init(void)
{
    trt_store_relaxed(&trt_barrier_asymmetric, register_process());
}

void
trt_barrier_heavy(void)
{
    /* [asym-fence] Completes the barriers that trt_barrier_light left to the compiler.
     * The kernel also runs it on this core, between what is before and after here. */
    if (trt_load_relaxed(&trt_barrier_asymmetric)) {
        fence_every_core();
    } else {
        trt_fence_seq_cst();
    }
}
