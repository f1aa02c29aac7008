/* How a thread sleeps on POSIX systems: on a pipe when signals shall end it, and on a
 * condition variable when not and there is no futex.
 */
#define _GNU_SOURCE 1

#include "os/parker_os.h"

#ifndef TRT_PARKER_ON_WINDOWS

#include "os/check.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
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

/* A pipe whose ends neither block nor outlive exec. 0 or negative errno. */
static int
open_pipe(int ends[2])
{
#ifdef __APPLE__
    if (pipe(ends) != 0) {
        return -errno;
    }
    for (int i = 0; i < 2; i++) {
        if (fcntl(ends[i], F_SETFD, FD_CLOEXEC) != 0 ||
            fcntl(ends[i], F_SETFL, O_NONBLOCK) != 0) {
            const int error = errno;
            close(ends[0]);
            close(ends[1]);
            return -error;
        }
    }
    return 0;
#else
    /* Both at once, or a process that another thread starts meanwhile inherits it. */
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : -errno;
#endif
}

int
trt_parker_os_open(trt_parker *p)
{
    int ends[2];
    const int error = open_pipe(ends);
    if (error == 0) {
        p->read_fd = ends[0];
        p->write_fd = ends[1];
    }
    return error;
}

void
trt_parker_os_close(trt_parker *p)
{
    if (p->read_fd >= 0) {
        close(p->read_fd);
        close(p->write_fd);
    }
    p->read_fd = -1;
    p->write_fd = -1;
}

/* As poll(), with a deadline. */
static int
poll_until(struct pollfd *polled, nfds_t count, uint64_t deadline_ns)
{
    const uint64_t now = deadline_ns == TRT_FOREVER ? 0 : trt_clock_now_ns();
    const uint64_t left_ns = deadline_ns > now ? deadline_ns - now : 0;
#ifdef __APPLE__
    /* It has no ppoll, and its pselect fails on high descriptors: in milliseconds,
     * rounded up, or the last one would be spent polling. */
    const uint64_t ms = left_ns / 1000000 + (left_ns % 1000000 != 0);
    const int left = ms < INT_MAX ? (int)ms : INT_MAX;
    return poll(polled, count, deadline_ns == TRT_FOREVER ? -1 : left);
#else
    const struct timespec left = timespec_of_ns(left_ns);
    return ppoll(polled, count, deadline_ns == TRT_FOREVER ? NULL : &left, NULL);
#endif
}

enum trt_parker_end
trt_parker_os_poll(trt_parker *p, uint64_t deadline_ns)
{
    struct pollfd polled[] = {{.fd = p->read_fd, .events = POLLIN},
                              {.fd = p->watched_fd, .events = POLLIN}};
    const int ready = poll_until(polled, p->watched_fd < 0 ? 1 : 2, deadline_ns);
    if (ready == 0) {
        return TRT_PARKER_TIMED_OUT;
    }
    if (ready < 0 && errno != EINTR) {
        trt_panic("polling the pipe that wakes the main thread failed");
    }
    /* After EINTR too: the handler that ran may have written, and the same signal shall
     * not end two sleeps. */
    const bool is_signalled = trt_parker_os_read(p) || polled[1].revents != 0;
    return ready < 0 || is_signalled ? TRT_PARKER_INTERRUPTED : TRT_PARKER_WOKEN;
}

void
trt_parker_os_ring(trt_parker *p)
{
    /* EAGAIN: the pipe is full, so the owner wakes anyway. */
    if (write(p->write_fd, "", 1) < 0 && errno != EAGAIN) {
        trt_panic("the pipe that wakes the main thread was closed");
    }
}

bool
trt_parker_os_read(trt_parker *p)
{
    if (p->read_fd < 0) {
        return false;
    }
    bool is_signalled = false;
    for (;;) {
        unsigned char bytes[256];
        const ssize_t count = read(p->read_fd, bytes, sizeof bytes);
        if (count == 0 || (count < 0 && errno != EAGAIN)) {
            trt_panic("the pipe that wakes the main thread was closed");
        }
        for (ssize_t i = 0; i < count; i++) {
            if (bytes[i] == 0) {
                continue; /* a ring */
            }
            is_signalled = true;
            if (p->signal_count < TRT_PARKER_SIGNALS) {
                p->signals[p->signal_count++] = bytes[i];
            }
        }
        if (count < (ssize_t)sizeof bytes) {
            return is_signalled;
        }
    }
}

#ifdef TRT_PARKER_ON_CONDVAR

/* Block every signal wherever `lock` is held, so that a signal handler that unparks
 * never meets its own thread holding it. */
static void
block_signals(sigset_t *saved)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
    pthread_sigmask(SIG_SETMASK, saved, NULL);
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
    sigset_t saved;
    bool is_late = false;
    block_signals(&saved);
    require_zero(pthread_mutex_lock(&p->lock));
    while (trt_load_relaxed(&p->word) == TRT_PARKER_ASLEEP && !is_late) {
        is_late = wait_for_change_locked(p, deadline_ns);
    }
    require_zero(pthread_mutex_unlock(&p->lock));
    restore_signals(&saved);
    return is_late ? TRT_PARKER_TIMED_OUT : TRT_PARKER_WOKEN;
}

void
trt_parker_os_wake(trt_parker *p)
{
    sigset_t saved;
    block_signals(&saved);
    /* The owner is before its look at the word, which has changed, or it waits. Taking
     * the lock excludes that it is in between. Signalled after unlock, or the owner
     * would block on the lock at once. */
    require_zero(pthread_mutex_lock(&p->lock));
    require_zero(pthread_mutex_unlock(&p->lock));
    require_zero(pthread_cond_signal(&p->changed));
    restore_signals(&saved);
}

#endif

#endif
