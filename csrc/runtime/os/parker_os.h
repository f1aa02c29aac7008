/* Between parker.c, which holds the protocol, and the files that know how a thread
 * sleeps on each platform. Not for others.
 */
#ifndef TRT_PARKER_OS_H
#define TRT_PARKER_OS_H

#include "os/parker.h"

/* Values of trt_parker.word. */
enum trt_parker_word {
    TRT_PARKER_EMPTY,   /* no token; the owner is awake */
    TRT_PARKER_TOKEN,   /* the token is there; the owner is awake or waking */
    TRT_PARKER_NUDGED,  /* the same, and so far from trt_parker_nudge alone */
    TRT_PARKER_ASLEEP,  /* no token; the owner sleeps, or is about to, on the word */
    TRT_PARKER_POLLING, /* no token; the same, on read_fd */
};

/* Why a sleep ended. WOKEN may also be for no reason: look at the word. */
enum trt_parker_end {
    TRT_PARKER_WOKEN,
    TRT_PARKER_TIMED_OUT,
    TRT_PARKER_INTERRUPTED,
};

/* Set up and release what the platform needs besides the word. */
void trt_parker_os_init(trt_parker *p);
void trt_parker_os_destroy(trt_parker *p);

/* Sleep while the word is ASLEEP. A trt_parker_os_wake after the word changed ends the
 * sleep or keeps it from beginning. */
enum trt_parker_end trt_parker_os_sleep(trt_parker *p, uint64_t deadline_ns);
void trt_parker_os_wake(trt_parker *p);

/* Open the pipe: 0, or negative errno with both ends still -1. Close it if open. */
int trt_parker_os_open(trt_parker *p);
void trt_parker_os_close(trt_parker *p);

/* Sleep until a signal or a trt_parker_os_ring since the last return. A ring that comes
 * late makes the next sleep end for no reason. */
enum trt_parker_end trt_parker_os_poll(trt_parker *p, uint64_t deadline_ns);
void trt_parker_os_ring(trt_parker *p);

/* Empty the pipe, if there is one, and keep the signal numbers in it. True if there
 * were any, kept or not. Owner only. */
bool trt_parker_os_read(trt_parker *p);

#endif
