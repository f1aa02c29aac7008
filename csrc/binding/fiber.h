/* Fibers: the stacks that tasks run on, and the switch between them; a part of core.h.
 */
#ifndef TRT_BINDING_FIBER_H
#define TRT_BINDING_FIBER_H

/* A stack. Fields belong to its worker's thread unless they say otherwise. */
struct Fiber {
    trt_inbox_node ready;    /* in the worker's inbox or list of ready fibers */
    trt_timer timer;         /* deadline of the present wait */
    Worker *worker;          /* constant: a stack never changes its thread */
    PyGreenlet *greenlet;    /* owned; root: the one that waits, while it waits */
    TaskObject *task;        /* innermost task that runs here, borrowed */
    ScopeObject *scope;      /* innermost scope of what runs here, or NULL */
    LimitObject *limit;      /* in force for what runs here, or NULL; see limit.h */
    LimitObject *held;       /* whose places it has, with those around that, or NULL */
    bool timed;              /* part of core->timed_waits, unless */
    bool is_aside;           /* put aside, see isolation.h */
    LimitObject *roused_for; /* waits for a place, or comes for it: in which; or NULL */
    uintptr_t aside;         /* 0, or 1 + the task that what runs is no part of */
    Fiber *previous, *next;  /* all runners of the worker */
    Fiber *next_idle;        /* runners that wait for a task */
    const void *frames;      /* what trt_py_frames_begin says on its own greenlet; NULL:
                              * not known. Not kept for foreign threads */
    const void *place;       /* foreign root: greenlet that its tasks run on */
    uint32_t cancels;        /* of tasks that follow others, one within another */
    struct LateCancel *late_cancels; /* put off until those are done */
    wake_reason reason;              /* of the last wait that was cut short */
    /* Guarded by core->limits: */
    LimitObject *awaits_place; /* in which limit, or NULL */
    Wait *place_wait;
    Fiber *next_placeless; /* in the list of its worker */
    /* Guarded by core->waits: */
    trt_work *work;      /* native work that runs here, innermost first, or NULL */
    trt_work *serves;    /* native work that `host` here calls Python for, or NULL */
    TaskObject *host;    /* that task; others may run on top of it */
    Fiber *next_host;    /* others that serve it */
    uint64_t searched;   /* the last search for a circle that came here */
    Wait *wait;          /* present wait, for cancellation */
    TaskObject *awaited; /* what it waits for without a deadline, borrowed */
};

static inline Fiber *
fiber_from_ready(trt_inbox_node *node)
{
    return (Fiber *)((char *)node - offsetof(Fiber, ready));
}

static inline Fiber *
fiber_from_timer(trt_timer *timer)
{
    return (Fiber *)((char *)timer - offsetof(Fiber, timer));
}

/* Whether the current stack can be switched away from: it is one of ours, and no
 * collection or hub frame is beneath. */
bool fiber_can_switch(Worker *w);
/* Whether the greenlet in use is the one that tasks of the current fiber run on: its
 * own, and for root the thread's main greenlet. Greenlets of the program's own run none
 * as calls: who leaves one in the middle would leave the task there, on top of others.
 * `may_move`: on a foreign thread any other becomes that as long as no task runs, for
 * tasks that nobody else can run. */
static inline bool fiber_is_at_home(Worker *w, const PyThreadState *tstate,
                                    bool may_move);
bool fiber_is_at_home_slow(Worker *w, bool may_move);
/* Let others run until this fiber has been made ready. 0, or −1 with an error set when
 * the greenlet was thrown into from outside. */
int fiber_park(Worker *w);
/* Switch from the current fiber to `to`. 0 or −1 as above. */
int fiber_switch(Worker *w, Fiber *to);
/* Ready fibers, oldest first. Owner only; pop takes from the inbox too. */
void fiber_ready_push(Worker *w, Fiber *fiber);
Fiber *fiber_ready_pop(Worker *w);
/* Take over what others have made ready, and put aside what an isolated block keeps
 * from going on. Whether something may. Owner. */
bool fiber_gather_ready(Worker *w);
bool fiber_ready_remove(Worker *w, Fiber *fiber);
/* Make those ready again that were put aside: an isolated block is left, or holds no
 * more. Owner. */
void fiber_take_back_aside(Worker *w);
/* It waits for a time, or does not any more. */
void fiber_count_timed(Fiber *fiber, bool waits);
static inline bool fiber_any_ready(const Worker *w);
/* End the present wait of a fiber of this thread, be it for a task or for quiet. */
void fiber_interrupt(Fiber *fiber, wake_reason reason);
/* Whether this worker has something else to run right now without looking at others. */
bool fiber_has_others(Worker *w);
/* Let it run; this fiber is ready again behind it. 0 or −1. */
int fiber_yield(Worker *w);
/* Run a claimed task on a runner; steals the reference. Called by the hub. */
void fiber_start_task(Worker *w, TaskObject *task);
/* End the idle runners. Called by the hub. */
void fiber_drop_idle(Worker *w);
/* How many runners are in the middle of a task. */
size_t fiber_suspended(Worker *w);
/* Cancel every task on the worker's runners, or those that are detached. Owner. */
void fiber_cancel_all(Worker *w);
void fiber_cancel_detached(Worker *w);
PyObject *fiber_runner(PyObject *, PyObject *);

#endif
