/* A piece of native work as a whole: what all its tasks share, from the one that was
 * spawned from outside down to the last child. */
#ifndef TRT_WORK_H
#define TRT_WORK_H

#include <stdbool.h>

#include "os/atomics.h"
#include "taskrt_native.h"

/* Lives until its first task has ended. Contexts point to `cancel`. */
typedef struct trt_work {
    _Atomic(uint32_t) cancel; /* nonzero: asked to end. Any thread sets it. */
    /* Set once, by whoever fails first; read when the work has ended, which orders it.
     */
    _Atomic(char *) message; /* owned, or NULL */
    _Atomic(void *) error;   /* the binding's: an exception, or NULL */
    /* A child was never joined, and a thief had it: it may use the work for ever. */
    _Atomic(bool) lost;
} trt_work;

void trt_work_init(trt_work *work);

/* Free the message. The binding has taken `error`. */
void trt_work_destroy(trt_work *work);

/* The work that a native task belongs to. */
trt_work *trt_work_of(const trt_context *ctx);

/* See trt_fail. */
int trt_work_fail(trt_context *ctx, int status, const char *message);

#endif
