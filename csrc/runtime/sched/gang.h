/* Jobs that must all run at the same time, each on a thread of its own: a gang. They
 * may wait for one another, which is what the jobs of a parallel BLAS call do.
 *
 * A gang is run by the thread that calls trt_gang_run and by threads that have nothing
 * else to do, so that it never waits for one that may be waiting for it:
 *
 *   workers in the lounge    have just run a job and look out for another
 *   workers that sleep       are drafted from the stack of sleepers; they run their job
 *                            before they attach to anything
 *   helpers                  threads that exist for this alone and are parked between
 *                            gangs; only if there are too few of the others
 *
 * GANG.md beside this file has the steps, and why no gang waits for ever.
 *
 *     static trt_hall hall;                              // one per process
 *     trt_hall_init(&hall, NULL);
 *     trt_roster roster = {.free = 0xff00};              // numbers 8 to 15
 *     trt_gang_run(&hall, pool, &roster, job, arg, 4);   // job(arg, 0…3, number)
 */
#ifndef TRT_GANG_H
#define TRT_GANG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/atomics.h"
#include "os/parker.h"
#include "os/thread.h"
#include "sched/pool.h"
#include "sched/worker.h"

enum { TRT_GANG_MAX = 64 }; /* jobs of one gang, and numbers of a roster */

/* Job `index` of a gang. No other job of the same roster has this `number` at the same
 * time. Any thread, detached; it must not start a gang. */
typedef void (*trt_gang_job)(void *arg, uint32_t index, uint32_t number);

/* Numbers that jobs may have, one bit each. Those that are free; under hall->lock. */
typedef struct trt_roster {
    uint64_t free;
} trt_roster;

/* One call of trt_gang_run, on its caller's stack. Constant while jobs run, but for
 * what is said. */
typedef struct trt_gang {
    trt_gang_job job;
    void *arg;
    uint8_t numbers[TRT_GANG_MAX];
    uint64_t taken;         /* the same as bits */
    _Atomic(uint32_t) next; /* the job of the next thread that comes */
    /* Threads other than the caller that have not finished. Written under hall->lock,
     * the last touch of the gang by each; read by the caller. [gang-left] */
    _Atomic(uint32_t) left;
    bool asleep; /* the caller sleeps on `parker`; under hall->lock */
    trt_parker parker;
} trt_gang;

typedef struct trt_helper trt_helper;
typedef struct trt_hall_wait trt_hall_wait;

/* What all gangs of a process share. Fields without a word of their own are guarded by
 * the lock. */
typedef struct trt_hall {
    trt_mutex lock;       /* sleep.lock may be taken inside, and what `changed` takes */
    trt_worker *lounge;   /* workers there, most recent first */
    trt_helper *free;     /* helpers that are parked, most recent first */
    trt_hall_wait *waits; /* who waits for anything of this to change */
    uint32_t helpers;     /* how many there are */
    uint32_t idle;        /* how many of them are parked */
    uint32_t helpers_max; /* never more at once */
    uint32_t running;     /* gangs */
    uint64_t impatient_until_ns; /* no gang waits for searchers before then */
    bool closed;                 /* no gang begins: the process is about to fork */
    bool dismissed;              /* helpers end */
    /* How many are in the lounge or on their way from there to the stack of sleepers,
     * and how many of those are the latter. Read by anybody, as hints. */
    _Atomic(uint32_t) lounging, leaving;
    /* Gangs so far; their jobs that workers ran; those that helpers ran. Written under
     * the lock, read by anybody. */
    _Atomic(uint64_t) gangs, worker_jobs, helper_jobs;
    /* Called under the lock whenever the number of workers that could be had changes;
     * or NULL. Constant while gangs run. */
    void (*changed)(void);
} trt_hall;

void trt_hall_init(trt_hall *hall, void (*changed)(void));

/* Run job(arg, i, number) for i from 0 to count − 1, all at the same time, and return
 * when all have ended. The caller runs job 0. `count` is at most TRT_GANG_MAX and at
 * most the size of the roster. `pool` may be NULL: then there are no workers. Any
 * thread, attached or not, but not one that runs a job; it sleeps as it is, and what it
 * waits for needs no interpreter. */
void trt_gang_run(trt_hall *hall, trt_pool *pool, trt_roster *roster, trt_gang_job job,
                  void *arg, uint32_t count);

/* Run the job that the worker was drafted for, and those that come while it stays in
 * the lounge after that. True: there may be something else to do for it. Owner,
 * detached, off the stack of sleepers. */
bool trt_gang_serve(trt_worker *w);

/* The worker is on the stack of sleepers, or has turned away from it: if it has been in
 * the lounge, it does not count as one of those there any more. Whether it had. Owner.
 */
bool trt_gang_settle(trt_worker *w);

/* End the helpers that there are, as they finish; later ones end after their gang. */
void trt_hall_dismiss(trt_hall *hall);
/* Keep helpers from now on, so many at least if that many are needed. */
void trt_hall_keep(trt_hall *hall, uint32_t helpers_max);

/* Before a fork: wait until no gang runs, keep others from beginning, and hold the
 * lock. In the parent, trt_hall_open undoes that; in the child there is nothing but the
 * calling thread, and trt_hall_init makes the hall anew. */
void trt_hall_close(trt_hall *hall);
void trt_hall_open(trt_hall *hall);

#endif
