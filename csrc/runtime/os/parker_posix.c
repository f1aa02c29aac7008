/* How a thread sleeps on other POSIX systems: a condition variable, or a pipe when
 * signals shall end it.
 *
 * All signals are blocked wherever `lock` is held, so that a signal handler that
 * unparks never meets its own thread holding it.
 */
#define _GNU_SOURCE 1

#include "os/parker_os.h"

#ifdef TRT_PARKER_ON_CONDVAR

#include "os/check.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/select.h>
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

/* A bug or a broken platform, either of which would lose wake-ups. */
static void
require_zero(int error)
{
    if (error != 0) {
        trt_panic("a condition variable of a parker failed");
    }
}

void
trt_parker_os_init(trt_parker *p)
{
    require_zero(pthread_mutex_init(&p->lock, NULL));
#ifdef __APPLE__
    require_zero(pthread_cond_init(&p->changed, NULL));
#else
    pthread_condattr_t attributes;
    require_zero(pthread_condattr_init(&attributes));
    require_zero(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    require_zero(pthread_cond_init(&p->changed, &attributes));
    pthread_condattr_destroy(&attributes);
#endif
}

void
trt_parker_os_destroy(trt_parker *p)
{
    trt_parker_os_close(p);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
}

/* Wait for `changed` with `lock` held. True when the deadline passed. */
static bool
wait_for_change_locked(trt_parker *p, uint64_t deadline_ns)
{
    if (deadline_ns == TRT_FOREVER) {
        require_zero(pthread_cond_wait(&p->changed, &p->lock));
        return false;
    }
#ifdef __APPLE__
    /* Its condition variables know wall-clock time only, or relative time. */
    const uint64_t now = trt_clock_now_ns();
    if (now >= deadline_ns) {
        return true;
    }
    const struct timespec left = timespec_of_ns(deadline_ns - now);
    const int error = pthread_cond_timedwait_relative_np(&p->changed, &p->lock, &left);
#else
    const struct timespec deadline = timespec_of_ns(deadline_ns);
    const int error = pthread_cond_timedwait(&p->changed, &p->lock, &deadline);
#endif
    if (error == ETIMEDOUT) {
        return true;
    }
    require_zero(error);
    return false;
}

enum trt_parker_end
trt_parker_os_sleep(trt_parker *p, uint64_t deadline_ns)
{
    trt_signals saved;
    bool is_late = false;
    trt_signals_block(&saved);
    require_zero(pthread_mutex_lock(&p->lock));
    while (trt_load_relaxed(&p->word) == TRT_PARKER_ASLEEP && !is_late) {
        is_late = wait_for_change_locked(p, deadline_ns);
    }
    require_zero(pthread_mutex_unlock(&p->lock));
    trt_signals_restore(&saved);
    return is_late ? TRT_PARKER_TIMED_OUT : TRT_PARKER_WOKEN;
}

void
trt_parker_os_wake(trt_parker *p)
{
    trt_signals saved;
    trt_signals_block(&saved);
    /* The owner is before its look at the word, which has changed, or it waits. Taking
     * the lock excludes that it is in between. Signalled after unlock, or the owner
     * would block on the lock at once. */
    require_zero(pthread_mutex_lock(&p->lock));
    require_zero(pthread_mutex_unlock(&p->lock));
    require_zero(pthread_cond_signal(&p->changed));
    trt_signals_restore(&saved);
}

static bool
set_flags(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

int
trt_parker_os_open(trt_parker *p)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return -errno;
    }
    p->wake_fd = ends[0];
    p->write_fd = ends[1];
    int error = 0;
    if (!set_flags(ends[0]) || !set_flags(ends[1])) {
        error = errno;
    } else if (ends[0] >= FD_SETSIZE) {
        error = EMFILE; /* pselect cannot watch it */
    }
    if (error != 0) {
        trt_parker_os_close(p);
    }
    return -error;
}

void
trt_parker_os_close(trt_parker *p)
{
    if (p->wake_fd >= 0) {
        close(p->wake_fd);
        close(p->write_fd);
    }
    p->wake_fd = -1;
    p->write_fd = -1;
}

enum trt_parker_end
trt_parker_os_poll(trt_parker *p, uint64_t deadline_ns, const trt_signals *unmask)
{
    /* pselect and not ppoll, which macOS lacks. */
    struct timespec left = {0};
    fd_set readable;
    sigset_t mask;
    FD_ZERO(&readable);
    FD_SET(p->wake_fd, &readable);
    memcpy(&mask, unmask, sizeof mask);
    if (deadline_ns != TRT_FOREVER) {
        const uint64_t now = trt_clock_now_ns();
        left = timespec_of_ns(deadline_ns > now ? deadline_ns - now : 0);
    }
    const int ready = pselect(p->wake_fd + 1, &readable, NULL, NULL,
                              deadline_ns == TRT_FOREVER ? NULL : &left, &mask);
    if (ready == 0) {
        return TRT_PARKER_TIMED_OUT;
    }
    if (ready < 0) {
        if (errno == EINTR) {
            return TRT_PARKER_INTERRUPTED;
        }
        trt_panic("pselect failed");
    }
    char rings[64];
    if (read(p->wake_fd, rings, sizeof rings) < 0 && errno != EAGAIN) {
        trt_panic("the descriptor that wakes the main thread was closed");
    }
    return TRT_PARKER_WOKEN;
}

void
trt_parker_os_ring(trt_parker *p)
{
    /* EAGAIN: the pipe is full, so the owner wakes anyway. */
    if (write(p->write_fd, "", 1) < 0 && errno != EAGAIN) {
        trt_panic("the descriptor that wakes the main thread was closed");
    }
}

#endif
