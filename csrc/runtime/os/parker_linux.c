/* How a thread sleeps on Linux: a futex. The pipe is in parker_posix.c. */
#define _GNU_SOURCE 1

#include "os/parker_os.h"

#ifdef TRT_PARKER_ON_FUTEX

#include "os/check.h"
#include "os/clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec
timespec_of_ns(uint64_t ns)
{
    return (struct timespec){
        .tv_sec = (time_t)(ns / 1000000000),
        .tv_nsec = (long)(ns % 1000000000),
    };
}

void
trt_parker_os_init(trt_parker *p)
{
    (void)p; /* a futex is nothing but the word */
}

void
trt_parker_os_destroy(trt_parker *p)
{
    trt_parker_os_close(p);
}

enum trt_parker_end
trt_parker_os_sleep(trt_parker *p, uint64_t deadline_ns)
{
    /* The BITSET form because its timeout is absolute, on CLOCK_MONOTONIC. */
    const struct timespec deadline = timespec_of_ns(deadline_ns);
    const long result = syscall(
        SYS_futex, &p->word, FUTEX_WAIT_BITSET_PRIVATE, TRT_PARKER_ASLEEP,
        deadline_ns == TRT_FOREVER ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
    if (result == 0 || errno == EAGAIN) {
        return TRT_PARKER_WOKEN;
    }
    if (errno == ETIMEDOUT) {
        return TRT_PARKER_TIMED_OUT;
    }
    if (errno == EINTR) {
        return TRT_PARKER_INTERRUPTED;
    }
    trt_panic("futex wait failed");
}

void
trt_parker_os_wake(trt_parker *p)
{
    syscall(SYS_futex, &p->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif
