/* Who waits for descriptors to become readable or writable, on one set of
 * os/poll.h.
 *
 * Nobody polls all the time. A worker that goes to sleep while somebody waits takes the
 * poller to bed: it holds it, sleeps on its descriptor too (trt_parker_watch), and when
 * that is readable collects what has come. Who lets go of it while others still wait
 * makes sure that somebody who sleeps takes it; see trt_worker_sleep.
 *
 *     who waits                                 who holds
 *     trt_poller_enter(p);                      if (trt_poller_try_hold(p)) {
 *     trt_poller_queue(p, fd, false, node);         watch trt_poller_fd(p), and sleep
 *     sleep until served                            trt_poller_release(p);
 *     trt_poller_leave(p, fd, false, node);         trt_poller_collect(p);
 *                                               }
 *
 * Each wait is for one event. Linux only; elsewhere trt_poller_enter fails with
 * -ENOSYS.
 */
#ifndef TRT_POLLER_H
#define TRT_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/atomics.h"
#include "os/thread.h"
#include "sync/wait_queue.h"

/* Who waits for one descriptor. */
typedef struct trt_polled {
    trt_wait_queue readers, writers;
} trt_polled;

typedef struct trt_poller {
    int fd; /* the set; -1 until somebody waits; under the lock, then constant */
    /* Waits that are entered. Written by those who wait, read by who goes to sleep
     * [poller-waits]. */
    _Atomic(uint32_t) waits;
    _Atomic(uint32_t) held; /* somebody sleeps on it, or collects */
    trt_mutex lock;         /* guards what follows; nothing is taken inside */
    trt_polled *polled;     /* by descriptor */
    size_t size;
} trt_poller;

void trt_poller_init(trt_poller *p);
void trt_poller_destroy(trt_poller *p);

/* In a forked child: as if initialised, but for its descriptor, which is closed; what
 * the parent asks for stays. */
void trt_poller_reinit_after_fork(trt_poller *p);

/* Count as one who waits, from before trt_poller_queue to after trt_poller_leave. 0, or
 * negative errno with nothing done (-ENOSYS, -EMFILE). */
int trt_poller_enter(trt_poller *p);
void trt_poller_exit(trt_poller *p);

/* Enter the node for `fd`, to be served when it is readable, or writable if `writes`,
 * or has an error. 0, or negative errno: -EBADF, -EPERM for what cannot be polled
 * (files), -ENOMEM. */
int trt_poller_queue(trt_poller *p, int fd, bool writes, trt_wait_node *node);

/* The node's waiter was abandoned: take it out. */
void trt_poller_leave(trt_poller *p, int fd, bool writes, trt_wait_node *node);

/* Serve all that wait for `fd`, which is about to be closed, and forget its file. */
void trt_poller_forget(trt_poller *p, int fd);

/* Whether somebody waits and nobody held the poller; then the caller does. */
bool trt_poller_try_hold(trt_poller *p);
void trt_poller_release(trt_poller *p);

/* What to watch. Holder. */
int trt_poller_fd(const trt_poller *p);

/* Serve those whose descriptors are ready. How many. Any thread. */
size_t trt_poller_collect(trt_poller *p);

#endif
