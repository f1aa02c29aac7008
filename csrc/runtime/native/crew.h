/* A thread's part in native work: its strands, and what it takes from others.
 *
 * While a thread has nothing better to do it calls trt_crew_turn, which goes on with a
 * strand of this thread that can go on, or steals a child from another thread's native
 * code and runs it. It needs no Python; what calls Python is handed to `call`.
 */
#ifndef TRT_CREW_H
#define TRT_CREW_H

#include <stdbool.h>

#include "native/strand.h"
#include "sched/worker.h"

typedef struct trt_crew {
    trt_strands strands;
    trt_worker *worker;
    trt_inbox_node *ready; /* strands that can go on, oldest first; owner */
    size_t active; /* strands that run stolen frames and have not ended; owner */
    /* Owner. After loot that was not worth its steal, this long none is made, until
     * then; 0 otherwise. */
    uint64_t pause_ns, pause_until_ns;
    /* Take over a strand that runs a stolen frame and has come back as CALLS, until it
     * has ended; it is not active any more. Constant. */
    void (*call)(struct trt_crew *crew, trt_strand *s);
} trt_crew;

void trt_crew_init(trt_crew *crew, trt_worker *w,
                   void (*call)(trt_crew *crew, trt_strand *s));

/* Free its strands; see trt_strands_destroy. */
void trt_crew_destroy(trt_crew *crew);

/* Whether there is or may soon be something to do: a strand can go on, or native code
 * runs on another thread. Owner. */
bool trt_crew_is_needed(const trt_crew *crew);

/* Go on with a strand that can, if there is one. Owner, detached. */
bool trt_crew_resume(trt_crew *crew);

/* Do that, or steal a frame and run it; only one of the work that goes by the cancel
 * word `only`, unless that is NULL. Owner, detached. */
bool trt_crew_turn(trt_crew *crew, const _Atomic(uint32_t) *only);

/* Do one of these, or look around for a while, as long as native code runs elsewhere
 * and nothing else has come. False: found nothing. Owner, detached. */
bool trt_crew_serve(trt_crew *crew, const _Atomic(uint32_t) *only);

/* Run a frame whose state is STOLEN, on a strand that nobody uses, until it waits or
 * has ended. Which of these. */
trt_strand_why trt_crew_adopt(trt_crew *crew, trt_strand *s, trt_frame *frame,
                              const _Atomic(uint32_t) *cancel);

/* `call` gives a strand back that has not ended: go on with it as before. */
trt_strand_why trt_crew_go_on(trt_crew *crew, trt_strand *s);

/* A strand that `call` has taken over has ended. */
void trt_crew_end(trt_crew *crew, trt_strand *s);

#endif
