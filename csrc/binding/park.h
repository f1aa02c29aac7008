/* Waiting: how a stack waits for a task or for something else, and who may cut it
 * short. park.c has the wait itself, wait.c what is particular to tasks, hopeless.c the
 * end of hope. Part of core.h, which includes it. */
#ifndef TRT_BINDING_PARK_H
#define TRT_BINDING_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "sync/wait_queue.h"

/* Why a wait ended without its task: written by whoever wins the decision. */
typedef enum wake_reason {
    WAKE_TIMED_OUT,
    WAKE_CANCELLED,
    WAKE_SIGNAL,
    WAKE_QUIET, /* main's root: nothing runs any more, see hopeless.c */
} wake_reason;

/* One wait of one stack. On the heap, since the stack may be moved away. The decision
 * of `base` is taken once, and whoever takes it makes the stack runnable. */
typedef struct Wait Wait;
struct Wait {
    trt_waiter base;
    Fiber *fiber;
    /* That waits, to be compared with; NULL: none. Constant. What runs on the stack may
     * be another by now, on top of this wait: a signal handler's. */
    const TaskObject *task;
    const LimitObject *limit; /* that is in force around it, or NULL; constant */
    bool on_thread; /* the whole thread sleeps on its parker: no switch. Constant. */
    /* Last write of whoever decides it; read by a sleeping thread [wait-delivered]. */
    _Atomic(bool) delivered;
    /* Guarded by core->waits: */
    Wait *outer;               /* the wait that this one is nested in, or NULL */
    TaskObject *outer_awaited; /* what that one waits for */
    Wait *outer_stood;         /* on_thread: Worker.stood before it */
    ScopeObject *scope;        /* innermost around it, or NULL */
    Wait *next_in_scope, *previous_in_scope;
    Wait *next_decided;    /* on the way to delivery */
    bool shielded;         /* from a request to its task */
    PyObject *object;      /* what it waits for if that is no task, borrowed, or NULL */
    const char *verb;      /* as in Awaited */
    trt_wait_node nodes[]; /* as many as the Awaited says */
};

/* What a stack waits for: how a wait gets there and away. Lives on that stack: nobody
 * else looks at it. */
typedef struct Awaited Awaited;
struct Awaited {
    /* Enter the wait where it will be decided. False: not entered, what it is for has
     * come already. */
    bool (*enter)(Awaited *self, Wait *wait);
    /* It was decided by what it waits for: take what has come. Before it is freed. May
     * be NULL. */
    void (*served)(Awaited *self, Wait *wait);
    /* It was abandoned: take it out, and free it. */
    void (*leave)(Awaited *self, Wait *wait);
    TaskObject *task; /* or NULL */
    PyObject *object; /* for reports if it is no task; or NULL */
    const char *verb; /* the same: it waits "to get from" that; NULL: "for" */
    size_t nodes;     /* that the wait needs */
    bool has_come;    /* set by wait_once: it was decided, or it had come already */
    /* Of a wait that nothing seems left to end, see hopeless.c. */
    bool was_hopeful; /* something may come from elsewhere */
    uint64_t
        hopeless_at; /* progress at which nobody was there who could end it, or 0 */
};

/* Wait until the task has finished, running it here if that is possible. 1: finished;
 * 0: deadline passed; −1: error set. A suspension point and a checkpoint. */
int wait_for(Worker *w, TaskObject *task, uint64_t deadline_ns);
/* TimeoutError: the task has not ended in a wait that began then. */
void wait_raise_late(TaskObject *task, uint64_t begun_ns);
/* Before any wait for an unfinished task: it is scheduled, if it was waiting for that.
 * TaskLostError, if it was left behind by a fork and never ends here. 0 or −1. */
int wait_begin(TaskObject *task);
/* Wait for something else, once. 1: it has come; 0: deadline passed; −1: error set; 2:
 * interrupted, to be tried again. Whatever is returned, `has_come` tells whether it
 * has: with −1 the caller gives it back. A suspension point; wait_checkpoint goes
 * before. */
int wait_once(Worker *w, Awaited *awaited, uint64_t own_deadline);
/* Wait for nothing that anybody hears of: no request ends it, no report names it. Who
 * shall end it delivers the wait, by wait_deliver_all. Between begin and end it may be
 * handed out; `waits` tells whether it was. NULL with MemoryError. The end: 0; or −1
 * with an error that has come meanwhile, and it has ended all the same. */
Wait *wait_begin_unheard(Worker *w);
int wait_end_unheard(Worker *w, Wait *wait, bool waits);
/* Take the decision of the fiber's present wait, for `reason`, before its task does.
 * Returns the wait, to be delivered without the lock, or NULL. It stays: until then,
 * the one that waits does not go on. Caller holds core->waits, which publishes the
 * reason to whoever leaves the wait. */
Wait *wait_decide_locked(Fiber *fiber, wake_reason reason);
/* Decide the fiber's present wait, if it has one that is undecided, for `reason`, and
 * make the fiber runnable. Any thread, attached or not. */
bool wait_interrupt(Fiber *fiber, wake_reason reason);
/* Raise Cancelled if what runs on `fiber` has been asked to end: 0 or −1. */
static inline int wait_checkpoint(Fiber *fiber);
int wait_checkpoint_slow(Fiber *fiber);
/* Take Cancelled out of a group of exceptions. 0: `*rest` is NULL if nothing else was
 * in it, or a new reference, the group itself if Cancelled was not; −1 with an error
 * set. */
int wait_split_cancelled(PyObject *group, PyObject **rest);
/* Let go on who waits in this and those that follow through `next_decided`. */
void wait_deliver_all(Wait *decided);
/* Let others of this worker run; fiber_can_switch, and not a foreign thread. 0 or −1. A
 * suspension point, no checkpoint. */
int wait_yield(Worker *w);
/* The steps of a task around a wait, see trt_task. suspend: whether it was taken, which
 * is not so for NULL and in a wait nested in another; then there is no resume. */
bool wait_suspend_task(TaskObject *task);
void wait_resume_task(TaskObject *task);
/* Whether what runs on `fiber` should end: somebody has asked its task for it, or a
 * scope that it is in, or the process exits. Owner of the fiber. */
bool wait_cancel_requested(Fiber *fiber);
/* Whether a wait of `fiber` for `task` would close a circle of waits that nothing can
 * end. Caller holds core->waits. */
bool wait_closes_circle_locked(Fiber *fiber, TaskObject *task, bool on_thread);
/* The same for a wait for whatever only `stack` can bring about. */
bool wait_is_vain_locked(Fiber *fiber, Fiber *stack, bool on_thread);
/* DeadlockError with the names along it. */
void wait_raise_deadlock(Fiber *fiber, TaskObject *task);
/* hopeless.c: main's root waits for `awaited` and nothing runs any more. DeadlockError
 * if nothing can come from elsewhere either and nothing has run since that was first
 * seen: −1; or 0, and it is to wait again. */
int wait_raise_if_hopeless(Awaited *awaited);
/* Have it known, or not any more, that this thread of the pool is about to end: until
 * the system has forgotten it too, it would pass for one that may bring something. */
void wait_note_end(bool ends);

#endif
