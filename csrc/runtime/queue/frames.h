/* The children of a native task that have not been joined: a stack of frames whose
 * oldest end others steal from.
 *
 * The owner's side, trt_spawn and trt_join, is inline in taskrt_native.h, for it is to
 * cost a nanosecond: it has neither a locked instruction nor a fence. Thieves pay for
 * both: one at a time, under a lock, a thief claims the oldest frame by moving `head`
 * past it, has the kernel run a fence on every core (trt_barrier_heavy), and looks
 * whether the owner has meanwhile taken that frame back. README.md has the argument.
 *
 *     trt_frames frames;
 *     trt_frames_init(&frames, &api, &pool->sleep.word);
 *     ... run code that spawns and joins with &frames.base ...
 *     trt_frame *frame = trt_frames_steal(&frames, &work);     // another thread
 */
#ifndef TRT_FRAMES_H
#define TRT_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "os/atomics.h"
#include "os/thread.h"
#include "taskrt_native.h"

/* What becomes of a frame after it was spawned. Owner: PENDING to RAN. Thief: PENDING
 * to STOLEN under the lock, STOLEN or waited for to ENDED. Owner, whose code has left
 * its stack to wait: STOLEN to the address of a trt_frame_waiter. */
enum {
    TRT_FRAME_PENDING,
    TRT_FRAME_STOLEN,
    TRT_FRAME_ENDED, /* the outcome is there, and the thief has let go */
    TRT_FRAME_RAN,   /* there was no room for it, so it ran when it was spawned */
    TRT_FRAME_STATES /* above: addresses */
};

/* Who waits for a stolen frame. `resume` is called once, by the thief's thread. */
typedef struct trt_frame_waiter {
    void (*resume)(struct trt_frame_waiter *waiter);
} trt_frame_waiter;

/* What trt_frames_clear has found, from good to bad. */
typedef enum trt_clear_result {
    TRT_CLEAR_EMPTY,     /* as it must be when a task has returned */
    TRT_CLEAR_FORGOTTEN, /* children were not joined, or others were */
    TRT_CLEAR_STOLEN,    /* and thieves may still be using them */
} trt_clear_result;

typedef struct trt_frames {
    trt_context base; /* what native code sees of it */
    trt_mutex lock;   /* guards head, and the slots against thieves */
    trt_frame **slots;
    size_t capacity;
    trt_clear_result worst; /* owner: what the next clear has to say at least */
} trt_frames;

/* Prepare an empty stack. 0 or -ENOMEM with nothing to undo. `sleepers` is the sleep
 * word to look at after each push. */
int trt_frames_init(trt_frames *f, const trt_context_api *api,
                    const _Atomic(uint32_t) *sleepers);

/* Release what init took. Empty, and nobody uses it any more. */
void trt_frames_destroy(trt_frames *f);

/* How many frames were spawned and not joined. Owner. */
static inline size_t
trt_frames_count(const trt_frames *f)
{
    return (size_t)(trt_load_relaxed(&f->base.tail) - f->slots);
}

/* Make room for more. Whether there is. Owner. */
bool trt_frames_grow(trt_frames *f);

typedef enum trt_take_result {
    TRT_TAKE_GOT,    /* it is the caller's again, who runs it */
    TRT_TAKE_STOLEN, /* wait for the thief */
    TRT_TAKE_RAN,    /* it has run already */
    TRT_TAKE_WRONG,  /* it is not there: a bug in the user's code */
} trt_take_result;

/* Take back a frame, which should be the newest, whatever thieves do. Newer ones are
 * forgotten. Owner. */
trt_take_result trt_frames_take(trt_frames *f, trt_frame *frame);

/* Forget all frames. Owner, when a task has returned. */
trt_clear_result trt_frames_clear(trt_frames *f);

/* Whether there seems to be something to steal. Any thread. */
static inline bool
trt_frames_offer(const trt_frames *f)
{
    return trt_load_relaxed(&f->base.head) < trt_load_relaxed(&f->base.tail);
}

/* Say by which cancel word the work goes that is about to begin. Owner, while empty. */
void trt_frames_begin(trt_frames *f, const _Atomic(uint32_t) *cancel);

/* Take the oldest frame; NULL if there is none, or if another thief is at it. `work`
 * gets the cancel word that the frame's work goes by; unless it was NULL, a frame of
 * other work is not taken. Any thread but the owner's. */
trt_frame *trt_frames_steal(trt_frames *f, const _Atomic(uint32_t) **work);

/* The thief has run the frame: tell the one that joins it. After this the frame may be
 * gone. */
void trt_frame_end(trt_frame *frame, int status);

/* Wait for a stolen frame: true, and `waiter` will be resumed; false: it has ended.
 * Owner, once its code has left the stack it ran on. */
bool trt_frame_await(trt_frame *frame, trt_frame_waiter *waiter);

#endif
