/* Threads that stand: asleep, with stacks and tasks that they do not go on with; a part
 * of core.h.
 *
 * A thread sleeps in the middle of a stack's wait where that stack cannot be left: the
 * code has switched to a greenlet of its own, or a handler or a finalizer waits. And it
 * sleeps in the hub with an isolated block open on one of its stacks, or when it only
 * ends what it has started, as one too many. Such a thread is not on the pool's stack
 * of sleepers, since nobody may wake it for work. Who looks whether anything can run
 * any more takes it for one that sleeps [stands]:
 *
 *     who ends the wait             the thread             who looks, main
 *     E1 set what it waits for      T1 stand = what it holds   L1 read the wake-ups
 *     E2 stand |= CALLED            T2 running - 1             L2 all that run sleep?
 *     E3 unpark                     T3 E1? do not park         L3 CALLED? not quiet
 *                                   T4 tell main, park         L4 L2 again, L1 the same
 *                                   T5 wake-ups + 1
 *                                   T6 running + 1, stand = 0
 *
 * All of these are sequentially consistent. If E2 comes before T1, T3 sees what E1 has
 * set. Otherwise it is seen by L3 until T6, and T5 before that is seen by L4. In the
 * hub E1 is a push on the inbox, which L3 looks at as ever, and there is no E2. */
#ifndef TRT_BINDING_STAND_H
#define TRT_BINDING_STAND_H

/* Worker.stand: the sum of what holds. */
enum {
    STAND_HOLDS_FIBERS = 1,  /* none of its stacks but one goes on */
    STAND_HOLDS_STRANDS = 2, /* nor native code that has stopped here */
    STAND_CALLED = 4,        /* what that stack waits for has come */
};

/* Sleep once: until `*done`, or if that is NULL until the inbox has something; until an
 * unpark, the deadline, or a signal if `signals`, which main has enabled. Detaches and
 * attaches again. Owner. */
enum trt_park_result stand(Worker *w, const _Atomic(bool) *done, uint64_t deadline_ns,
                           bool signals);
/* What a thread that stands in the middle of a stack does before each sleep: go on with
 * native code that stopped here, unless it is isolated, and see the end of the process.
 */
void stand_serve(Worker *w);
/* E1 and E2, before E3, for a wait in the middle of a stack: `*done` may be gone once
 * it is set. Any thread, attached or not. */
void stand_call(Worker *w, _Atomic(bool) *done);

/* T4, in exit.c, as exit_asleep: false to not park. Detached. */
bool exit_stands(Worker *w);
/* Cancel what the end of the process has come to since this worker last looked; who
 * stands is to look by itself. Owner. */
void hub_see_exit(Worker *w);

#endif
