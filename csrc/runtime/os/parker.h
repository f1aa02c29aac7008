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
 * trt_parker_park: a signal that is handled between its last look and the sleep, or on
 * another thread, would be missed. It sleeps on a pipe that the handler writes to:
 *
 *     trt_parker_enable_signals(&p);           // once
 *     on_signal_write_number_to(trt_parker_signal_fd(&p));
 *     if (!signal_was_seen()) {
 *         result = trt_parker_park_signals(&p, deadline);
 *     }
 *     count = trt_parker_take_signals(&p, numbers, sizeof numbers);
 *
 * The handler notes the signal where signal_was_seen() looks before it writes.
 */
#ifndef TRT_PARKER_H
#define TRT_PARKER_H

#include "os/atomics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef _WIN32
#include <pthread.h>
#endif

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
    TRT_PARK_INTERRUPTED, /* a signal was handled, or what is watched is readable; a
                           * token that came too is kept */
};

/* Signal numbers that wait to be taken, at most. */
#define TRT_PARKER_SIGNALS 64

/* Opaque but for its size. Must not move while another thread may use it. */
typedef struct trt_parker {
    /* One of the values in parker_os.h. The owner stores that it sleeps and takes the
     * token; any thread exchanges the token in. [park-token] */
    _Atomic(uint32_t) word;
    int read_fd;    /* what the owner polls; -1 until trt_parker_enable_signals */
    int write_fd;   /* the other end of that pipe */
    int watched_fd; /* owner: ends a park with signals when it is readable; or -1 */
    /* How often it is lent. The owner makes it larger, anybody smaller; read by who
     * unparks [parker-lent]. */
    _Atomic(uint32_t) lent;
    bool nudged;           /* owner: whether the token taken last was a nudge alone */
    uint32_t signal_count; /* owner */
    unsigned char signals[TRT_PARKER_SIGNALS]; /* owner: read and not taken, in order */
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
 * was parked or unparking in the parent. The pipe, which is the parent's too, is
 * closed and there is none until signals are enabled anew: make the signal handler
 * forget it first. What the child's handler writes before that, the parent reads. */
void trt_parker_reinit_after_fork(trt_parker *p);

/* Put the token there, and wake the owner if it sleeps. True if it had to be woken,
 * which cost a system call; false if it was awake or had the token already. Any thread,
 * also in a signal handler; errno is kept. Takes no runtime lock: call it without
 * holding one. */
bool trt_parker_unpark(trt_parker *p);

/* As trt_parker_unpark, with a token that the owner can tell from an unpark: for
 * somebody who has left word for it elsewhere. An unpark makes it a full token; where
 * one is already nothing happens, and nothing is published. True if the owner had to be
 * woken. Any thread. */
bool trt_parker_nudge(trt_parker *p);

/* Whether the token that the owner has taken last came from nudges alone. Owner. */
static inline bool
trt_parker_was_nudged(const trt_parker *p)
{
    return p->nudged;
}

/* Whether somebody has unparked the owner, not only nudged it, since it last took the
 * token. A hint for an owner that looks again. Owner. */
bool trt_parker_is_unparked(const trt_parker *p);

/* Take the token if it is there, without sleeping. Owner only. */
bool trt_parker_take_token(trt_parker *p);

/* Take the token, sleeping until it is there or `deadline_ns` has passed. Owner only.
 * INTERRUPTED only on the platforms whose sleep a signal ends (Linux); elsewhere
 * signals stay pending while the thread sleeps. */
enum trt_park_result trt_parker_park(trt_parker *p, uint64_t deadline_ns);

/* Let the owner use trt_parker_park_signals. Opens a pipe, not blocking and closed on
 * exec. Returns 0, also when it was done before, or negative errno (-EMFILE). Before
 * the owner first parks and before others may unpark. */
int trt_parker_enable_signals(trt_parker *p);

/* Have trt_parker_park_signals end as INTERRUPTED also when descriptor `fd` is
 * readable; -1: none. Enables signals. Returns 0 or negative errno. Owner, while not
 * parked; not on Windows. */
int trt_parker_watch(trt_parker *p, int fd);

/* For an owner that sleeps elsewhere, in an event loop: while the parker is lent, an
 * unpark that finds the owner awake makes trt_parker_lent_fd readable too. That may
 * also be for no reason. The owner then calls trt_parker_hush, and after that looks for
 * what it was unparked for. It may park in between as ever; that takes the token and
 * leaves the descriptor readable.
 *
 *     trt_parker_lend(&p);                       // 0, or negative errno (-ENOSYS)
 *     while (event_loop_sees(trt_parker_lent_fd(&p))) {
 *         trt_parker_hush(&p);
 *         look_for_work();
 *     }
 *     trt_parker_take_back(&p);                  // as often as it was lent
 *
 * Owner only, but for trt_parker_take_back: any thread. It and trt_parker_lend return
 * how often the parker was lent before. Lent for the first time, the token is taken:
 * the owner has to look. */
int trt_parker_lend(trt_parker *p);
uint32_t trt_parker_take_back(trt_parker *p);
int trt_parker_lent_fd(const trt_parker *p);
void trt_parker_hush(trt_parker *p);

/* Make the descriptor of a parker that is lent readable, whatever became of tokens and
 * rings: after a park, which may have used up the one and not the other. Owner only. */
void trt_parker_ring(trt_parker *p);

static inline bool
trt_parker_is_lent(const trt_parker *p)
{
    return trt_load_relaxed(&p->lent) > 0;
}

/* Where a signal handler, on any thread, writes the number of the signal as one byte,
 * not 0; a full pipe is no error. -1 when signals are not enabled, and on Windows. It
 * belongs to the parker. Any thread. */
int trt_parker_signal_fd(const trt_parker *p);

/* As trt_parker_park, with signals enabled. INTERRUPTED when a signal number was there
 * or comes, or when a signal was handled on this thread while it slept. A token that is
 * there from the start is taken without a look at signals, which stay for the next park
 * or trt_parker_take_signals. On Windows, where no signal ends a sleep, it says
 * INTERRUPTED every 50 ms instead. Owner only. */
enum trt_park_result trt_parker_park_signals(trt_parker *p, uint64_t deadline_ns);

/* Move the numbers of signals that have come since the last call to `signals`, in
 * order, at most `room`, and return how many. What is left stays for the next call, but
 * TRT_PARKER_SIGNALS are kept at most: those that come later are dropped. No later park
 * is INTERRUPTED because of a number that was there in this call. Owner only; 0 when
 * signals are not enabled. */
size_t trt_parker_take_signals(trt_parker *p, unsigned char *signals, size_t room);

#endif
