/* limit(n): at most n of the tasks spawned in a block run at a time; and isolated(),
 * whose thread starts none but those while it waits there; a part of core.h.
 *
 * A task is under the limit that was in force where it was spawned, and under those
 * around that: its chain. A stack takes a place in each limit of the chain while it
 * runs, and gives them back while it waits: nobody who does not run holds a place, so
 * whoever has one needs no other thread to go on. A task that finds no place waits,
 * unstarted, in the queue of the first limit that is full; a stack that finds none when
 * it goes on waits in a list of its worker's.
 *
 * Places are not handed over. Who gives one back rouses one task and one stack of each
 * thread; they try again as anybody does, and whoever has tried rouses the next if
 * there is still a place. So as long as there is one, somebody is on the way to it.
 *
 * An isolated block, see isolation.h, is a link of the chain that has places for all,
 * and by which tasks are known that were spawned inside. Once it is left it is idle.
 *
 * Where no limit is in force, a spawn and the run of a task look at one pointer each.
 */
#ifndef TRT_BINDING_LIMIT_H
#define TRT_BINDING_LIMIT_H

extern PyType_Spec limit_spec, isolated_spec; /* limit_block.c */
/* Put it in force around nothing but what is spawned under it by name, within what is
 * in force here. 0; or −1 with an error set, if it was entered before. */
int limit_put_in_force(LimitObject *self);
/* The same again in a forked child, where nothing of the parent's runs. */
void limit_enter_process(LimitObject *self);

struct LimitObject {
    PyObject_HEAD
    uint32_t most;       /* places; constant */
    LimitObject *parent; /* in force around it, owned; constant once it is in force */
    bool isolates;       /* an isolated block; constant */
    /* One around it leaves no more tasks than it does: constant likewise. Or an
     * isolated block that was left: set once, by who leaves it. */
    _Atomic(bool) idle;
    LimitObject *outer; /* isolates: that was open on its thread before, borrowed */
    int64_t mark;       /* isolates: number of the deque's next push at its entry */
    _Atomic(uint32_t) entered; /* set once, by who enters it */
    Fiber *fiber;              /* that has entered and not left it; its thread's */
    LimitObject *outer_held;   /* whose places that fiber had then, borrowed */
    uint32_t generation;       /* of the process that has entered it */
    /* Guarded by core->limits: */
    uint32_t running;   /* places that are taken; more than `most` at exit only */
    uint32_t stacks;    /* that wait for a place in this one */
    TaskObject **tasks; /* that wait, a ring; owns them */
    size_t first, count, capacity;
    LimitObject *previous, *next; /* all that were entered */
};

/* The limit that tasks spawned here are under: not an idle one, so that places are
 * fewer from limit to limit of a chain, and a task that spawns the next within a limit,
 * and so on, makes no chain that grows. */
static inline LimitObject *
limit_in_force(LimitObject *limit)
{
    while (limit && trt_load_relaxed(&limit->idle)) {
        limit = limit->parent;
    }
    return limit;
}

/* Whether `inner` is this limit, or within it. */
static inline bool
limit_is_within(const LimitObject *inner, const LimitObject *limit)
{
    while (inner && inner != limit) {
        inner = inner->parent;
    }
    return inner == limit;
}

/* Give back the places of what runs on the fiber, before it waits. */
void limit_leave(Fiber *fiber);
/* Have the places of `to` and no others, once there are some, and for Ctrl-C at once;
 * NULL: none. 0; or −1 with an error that came meanwhile, and the places. Keeps an
 * error that is set. A suspension point. */
int limit_rejoin(Fiber *fiber, LimitObject *to);
/* Let one who waits for a place that the fiber has go first. 1: somebody did; 0: nobody
 * waits; −1 as above. A suspension point. */
int limit_yield(Fiber *fiber);
/* The same at once, be there places or not. */
void limit_rejoin_now(Fiber *fiber, LimitObject *to);
/* Have a stack of this thread that waits for a place look why: a signal has come. */
void limit_interrupt(Fiber *fiber);

/* What became of a task under a limit that was taken from a queue. */
typedef enum limit_admission {
    LIMIT_STALE,    /* somebody else has claimed it */
    LIMIT_KEPT,     /* it waits; the reference is taken over */
    LIMIT_ADMITTED, /* it is claimed, and this worker runs it next */
} limit_admission;
limit_admission limit_admit(Worker *w, TaskObject *task);
/* Claim a task that this fiber waits for, to be run as a call with the places that the
 * fiber has, or with its own. False: somebody else has, or there is no place. */
bool limit_claim(Fiber *fiber, TaskObject *task);
/* Around the run of a task on a fiber. 0 or −1 as above. */
int limit_begin(Fiber *fiber, TaskObject *task);
void limit_end(Fiber *fiber, TaskObject *task, LimitObject *limit, LimitObject *held);
/* Leave the blocks within `base` that were not left. */
void limit_unwind(Fiber *fiber, LimitObject *base);
/* A task that was admitted cannot run after all. */
void limit_withdraw(Worker *w);

/* Whether what is pushed under this limit could not start now: nobody need be woken,
 * since who gives a place back does that. */
bool limit_is_full(LimitObject *limit);
/* A task under it will not come for the place that it may have been roused for. */
void limit_pass_on(LimitObject *limit);
/* Let all go on: the process ends. */
void limit_open_all(void);
/* In a forked child: those of the parent do not count. */
void limit_forget(void);

#endif
