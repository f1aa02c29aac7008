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
    /* Take over a strand that has come back as CALLS, until it has ended. It runs a
     * stolen frame. Constant. */
    void (*call)(struct trt_crew *crew, trt_strand *s);
} trt_crew;

void trt_crew_init(trt_crew *crew, trt_worker *w,
                   void (*call)(trt_crew *crew, trt_strand *s));

/* Free its strands; see trt_strands_destroy. */
void trt_crew_destroy(trt_crew *crew);

/* Do one thing, if there is one. Owner, detached. */
bool trt_crew_turn(trt_crew *crew);

/* Do one thing, or look around for a while, as long as others have native work that may
 * be shared soon, and nothing else has come. False: found nothing. Owner, detached. */
bool trt_crew_serve(trt_crew *crew);

/* Run a frame whose state is STOLEN, on a strand that nobody uses, until it waits or
 * has ended. */
void trt_crew_adopt(trt_crew *crew, trt_strand *s, trt_frame *frame,
                    const _Atomic(uint32_t) *cancel);

/* Go on with a strand that runs a stolen frame, until it waits or has ended. */
void trt_crew_go(trt_crew *crew, trt_strand *s);

#endif
