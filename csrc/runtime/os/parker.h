/* A place where one thread sleeps until somebody hands it a token.
 *
 * A parker holds at most one token. Unparking puts it there and wakes the owner if it
 * sleeps; parking takes it, and sleeps until it is there. As the token stays until it
 * is taken, an unpark before the park is not lost, and any number of them count as one.
 * Whatever a thread wrote before it unparked is visible to the owner after the park
 * that took the token.
 *
 *     owner                                      others
 *     while (!trt_load_acquire(&ready)) {        trt_store_release(&ready, true);
 *         trt_parker_park(&p, TRT_FOREVER);      trt_parker_unpark(&p);
 *     }
 *
 * One thread at a time is the owner and calls the park functions. Tokens left from
 * earlier wake-ups make a park return at once, so the owner always looks again.
 *
 * A thread that must react to signals (Python's main thread) cannot sleep in
 * trt_parker_park: a signal between its last look and the sleep would be missed. It
 * calls trt_parker_enable_signals once, and then
 *
 *     trt_signals_block(&saved);
 *     if (!signal_was_seen()) {
 *         result = trt_parker_park_signals(&p, deadline, &saved);
 *     }
 *     trt_signals_restore(&saved);
 */
#ifndef TRT_PARKER_H
#define TRT_PARKER_H

#include "os/atomics.h"
#include "os/thread.h"

#include <stdbool.h>
#include <stdint.h>

/* How the owner sleeps: futex on Linux, WaitOnAddress on Windows, a condition variable
 * elsewhere. Defining TRT_PARKER_CONDVAR selects the last on Linux too; tests do. */
#if defined(_WIN32)
#define TRT_PARKER_ON_WINDOWS 1
#elif defined(__linux__) && defined(__LP64__) && !defined(TRT_PARKER_CONDVAR)
#define TRT_PARKER_ON_FUTEX 1
#else
#define TRT_PARKER_ON_CONDVAR 1
#endif

/* Why a park returned. */
enum trt_park_result {
    TRT_PARK_NOTIFIED,    /* took the token */
    TRT_PARK_TIMED_OUT,   /* the deadline passed and there was no token */
    TRT_PARK_INTERRUPTED, /* a signal was handled; a token that came too is kept */
};

/* Opaque but for its size. Must not move while another thread may use it. */
typedef struct trt_parker {
    /* One of the values in parker_os.h. The owner stores that it sleeps and takes the
     * token; any thread exchanges the token in. [park-token] */
    _Atomic(uint32_t) word;
    int wake_fd;  /* what the owner polls; -1 until trt_parker_enable_signals */
    int write_fd; /* what unparkers write; the same as wake_fd for an eventfd */
#ifdef TRT_PARKER_ON_CONDVAR
    pthread_mutex_t lock; /* orders a change of `word` against falling asleep */
    pthread_cond_t changed;
#endif
} trt_parker;

/* Make a parker without a token. */
void trt_parker_init(trt_parker *p);

/* Release what the parker holds. Nobody may be parked, and no trt_parker_unpark may be
 * running or come later. */
void trt_parker_destroy(trt_parker *p);

/* In a forked child, while it has one thread: as if destroyed and initialised, whoever
 * was parked or unparking in the parent. Signals must be enabled anew. */
void trt_parker_reinit_after_fork(trt_parker *p);

/* Put the token there, and wake the owner if it sleeps. True if it had to be woken,
 * which cost a system call; false if it was awake or had the token already. Any thread,
 * also in a signal handler; errno is kept. Takes no runtime lock: call it without
 * holding one. */
bool trt_parker_unpark(trt_parker *p);

/* Take the token if it is there, without sleeping. Owner only. */
bool trt_parker_take_token(trt_parker *p);

/* Take the token, sleeping until it is there or `deadline_ns` has passed. Owner only.
 * INTERRUPTED only on the platforms whose sleep a signal ends (Linux); elsewhere
 * signals stay pending while the thread sleeps. */
enum trt_park_result trt_parker_park(trt_parker *p, uint64_t deadline_ns);

/* Let the owner use trt_parker_park_signals. Opens one or two descriptors, closed on
 * exec. Returns 0, also when it was done before, or negative errno (-EMFILE). Before
 * the owner first parks and before others may unpark. */
int trt_parker_enable_signals(trt_parker *p);

/* As trt_parker_park, but called with signals blocked: while it sleeps the mask is
 * `*unmask`, and a signal that this lets through, pending already or not, is handled
 * and ends the sleep with INTERRUPTED. When it returns signals are blocked as before. A
 * token that is there from the start is taken without a look at signals; they stay
 * pending for the caller's trt_signals_restore. On Windows, where no signal ends a
 * sleep, it says INTERRUPTED every 50 ms instead. Owner only. */
enum trt_park_result trt_parker_park_signals(trt_parker *p, uint64_t deadline_ns,
                                             const trt_signals *unmask);

#endif
