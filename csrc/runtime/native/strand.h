/* A native task at work: a stack of its own, and the children it has spawned.
 *
 * Native code can stop in the middle, to wait for a child that a thief has taken, while
 * its thread goes on with something else. So it runs on a stack that nothing else uses
 * and that is never moved: thieves read the arguments of its children there.
 *
 *     trt_strand *s = trt_strand_take(&w->strands);
 *     trt_strand_begin(s, &frame, &cancel);
 *     while (trt_strand_go(s) == TRT_STRAND_WAITS) {
 *         ... do something else until s->waiter.resume is called ...
 *     }
 *     status = s->status;
 *     trt_strand_give_back(&w->strands, s);
 *
 * A strand belongs to one thread for good. When a join finds little room left on the
 * stack, the child gets another stack, so that recursion is bounded by memory alone.
 */
#ifndef TRT_STRAND_H
#define TRT_STRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "os/stack.h"
#include "queue/frames.h"
#include "queue/inbox.h"

enum {
    /* Address space of a stack. Memory is taken as it is touched. ThreadSanitizer keeps
     * track of 65,536 calls on one stack, and ends the program after that. */
    TRT_STRAND_STACK = TRT_THREAD_SANITIZER ? 1 << 20 : 16 << 20,
    /* What a function that is called by a join can rely on, as by a call from Python.
     */
    TRT_STRAND_RESERVE = TRT_STRAND_STACK / 4,
};

/* Why a strand has come back. */
typedef enum trt_strand_why {
    TRT_STRAND_ENDED, /* `status` is what its function has returned */
    TRT_STRAND_WAITS, /* `waiter` will be resumed: then go on */
    TRT_STRAND_CALLS, /* wants `call_fn(call_arg)` called outside: then go on */
} trt_strand_why;

typedef struct trt_strand {
    trt_frames frames;       /* first: its context is the strand */
    trt_frame_waiter waiter; /* `resume` is set by who runs the strand */
    struct trt_strands *home;
    trt_stack *stack;  /* the innermost one in use; idle: NULL, or its first */
    trt_point outside; /* of whoever runs it */
    trt_strand_why why;
    trt_frame *job;     /* what to run */
    int status;         /* what came of it */
    bool lost;          /* others may still use what was on its stack */
    trt_frame *awaited; /* the stolen frame that it waits for */
    int (*call_fn)(void *);
    void *call_arg;
    int call_status;
    /* For who runs it. */
    void *host;
    bool host_sleeps;
    _Atomic(bool) resumed;
    trt_inbox_node ready;    /* for who runs it */
    struct trt_strand *next; /* idle ones */
} trt_strand;

/* The strands of one thread, and stacks to spare. Initialise with trt_strands_init.
 * Owner only, but for *shown. */
typedef struct trt_strands {
    const _Atomic(uint32_t) *sleepers;      /* constant */
    void (*wake)(struct trt_strands *home); /* constant: see trt_context_api.wake */
    /* Where thieves find the children of the strand that runs [frames-shown]. */
    _Atomic(trt_frames *) *shown;
    trt_strand *inside; /* the strand whose stack this thread is on, or NULL */
    trt_strand *idle;   /* never freed before the pool: thieves may look at them */
    unsigned idle_count;
    trt_stack *spare;
    unsigned spare_count;
} trt_strands;

void trt_strands_init(trt_strands *home, _Atomic(trt_frames *) *shown,
                      const _Atomic(uint32_t) *sleepers,
                      void (*wake)(trt_strands *home));

/* Free all strands. None is in use, and no thief can come upon one any more. */
void trt_strands_destroy(trt_strands *home);

/* A strand that nobody uses; NULL without memory. */
trt_strand *trt_strand_take(trt_strands *home);

/* It has ended, or has not begun. */
void trt_strand_give_back(trt_strands *home, trt_strand *s);

/* Let it run frame->fn(context, frame->arg) when it goes on next. `cancel` is the word
 * that trt_cancelled looks at, for it and all that it spawns. */
void trt_strand_begin(trt_strand *s, trt_frame *job, const _Atomic(uint32_t) *cancel);

/* Run it until it comes back. */
trt_strand_why trt_strand_go(trt_strand *s);

/* Have fn(arg) called outside, by whoever runs the strand of `ctx`, and return what it
 * returns. */
int trt_strand_call(trt_context *ctx, int (*fn)(void *), void *arg);

#endif
