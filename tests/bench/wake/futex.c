/* A thread that sleeps on a futex, and how long it takes to wake: the least that any
 * scheduler must pay. Built and loaded by problem.py; Linux only.
 *
 * One caller: sleeper_start once, then sleeper_wake and sleeper_latency_ns in turn. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint32_t round_wanted; /* the futex word; the caller adds one to wake */
static _Atomic uint32_t round_seen;   /* the sleeper publishes `woken_ns` with it */
static int64_t called_ns;
static int64_t woken_ns;

static int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *
sleep_and_note(void *unused)
{
    (void)unused;
    for (uint32_t seen = 0;; seen++) {
        while (atomic_load(&round_wanted) == seen) {
            syscall(SYS_futex, &round_wanted, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        }
        woken_ns = now_ns();
        atomic_store(&round_seen, seen + 1);
    }
    return NULL;
}

/* Start the thread; returns 0 or an errno. */
int
sleeper_start(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, sleep_and_note, NULL);
}

/* Wake it and return at once. */
void
sleeper_wake(void)
{
    called_ns = now_ns();
    atomic_fetch_add(&round_wanted, 1);
    syscall(SYS_futex, &round_wanted, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Wait until it has woken; returns how long that took. */
int64_t
sleeper_latency_ns(void)
{
    while (atomic_load(&round_seen) != atomic_load(&round_wanted)) {
    }
    return woken_ns - called_ns;
}
