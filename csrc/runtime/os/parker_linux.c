/* How a thread sleeps on Linux: a futex, or an eventfd when signals shall end it. */
#define _GNU_SOURCE 1

#include "os/parker_os.h"

#ifdef TRT_PARKER_ON_FUTEX

#include "os/check.h"
#include "os/clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
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

int
trt_parker_os_open(trt_parker *p)
{
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    p->wake_fd = fd;
    p->write_fd = fd;
    return 0;
}

void
trt_parker_os_close(trt_parker *p)
{
    if (p->wake_fd >= 0) {
        close(p->wake_fd);
    }
    p->wake_fd = -1;
    p->write_fd = -1;
}

enum trt_parker_end
trt_parker_os_poll(trt_parker *p, uint64_t deadline_ns, const trt_signals *unmask)
{
    struct pollfd wake = {.fd = p->wake_fd, .events = POLLIN};
    struct timespec left = {0};
    sigset_t mask;
    memcpy(&mask, unmask, sizeof mask);
    if (deadline_ns != TRT_FOREVER) {
        const uint64_t now = trt_clock_now_ns();
        left = timespec_of_ns(deadline_ns > now ? deadline_ns - now : 0);
    }
    const int ready = ppoll(&wake, 1, deadline_ns == TRT_FOREVER ? NULL : &left, &mask);
    if (ready == 0) {
        return TRT_PARKER_TIMED_OUT;
    }
    if (ready < 0) {
        if (errno == EINTR) {
            return TRT_PARKER_INTERRUPTED;
        }
        trt_panic("ppoll failed");
    }
    uint64_t rings;
    if (read(p->wake_fd, &rings, sizeof rings) < 0 && errno != EAGAIN) {
        trt_panic("the descriptor that wakes the main thread was closed");
    }
    return TRT_PARKER_WOKEN;
}

void
trt_parker_os_ring(trt_parker *p)
{
    const uint64_t one = 1;
    /* EAGAIN: the count is at its limit, so the owner wakes anyway. */
    if (write(p->write_fd, &one, sizeof one) < 0 && errno != EAGAIN) {
        trt_panic("the descriptor that wakes the main thread was closed");
    }
}

#endif
