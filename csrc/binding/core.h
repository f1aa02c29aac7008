/* The binding: Task objects, the stacks they run on, and the threads of the pool.
 *
 * Four records, from small to large:
 *
 *   TaskObject  a call to be made and what became of it; a Python object
 *   Wait        one stack's wait for a task, or for something else that will come
 *   Fiber       a stack that tasks run on: the thread's own (root), the hub's, or that
 *               of a greenlet that is used again and again (runner)
 *   Worker      a thread: its trt_worker, its fibers, those of them that are ready
 *
 * One lock, core->waits, guards who waits for what (Fiber.wait, Fiber.awaited). No
 * Python call, no wake-up and no attach happens under it. All functions here are called
 * attached and return attached unless they say otherwise.
 */
#ifndef TRT_BINDING_CORE_H
#define TRT_BINDING_CORE_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

/* greenlet's header gives each file a table of its own; all of ours use one, which
 * module.c fills in. The header's macros read the name where they are used. */
#include <greenlet/greenlet.h>
extern void **trt_greenlet_api;
#define _PyGreenlet_API trt_greenlet_api

#include "compat.h"
#include "native/crew.h"
#include "native/work.h"
#include "os/check.h"
#include "os/clock.h"
#include "os/thread.h"
#include "sched/pool.h"
#include "sched/worker.h"
#include "sync/wait_queue.h"
#include "task/task.h"

typedef struct TaskObject TaskObject;
typedef struct ScopeObject ScopeObject;
typedef struct LimitObject LimitObject;
typedef struct Fiber Fiber;
typedef struct Worker Worker;

#include "lineage.h"

/* ---- Task ------------------------------------------------------------------------ */

/* A flag beside those of the runtime, constant after spawn: `context` came from the
 * user and is entered as such; otherwise it is a copy that nobody else has. */
enum {
    TASK_IN_GIVEN_CONTEXT = TRT_TASK_FIRST_OWN_FLAG,
    /* Spawned by a foreign thread, or by a task of which that is true. The main thread
     * does not start such a task of its own accord: it would have to finish it, and a
     * main that has left taskrt to join that very thread would not. */
    TASK_FOREIGN = TRT_TASK_FIRST_OWN_FLAG << 1,
    /* Made for later, see spawn.c: nobody runs it before it is released. */
    TASK_HELD = TRT_TASK_FIRST_OWN_FLAG << 2,
    TASK_RELEASED = TRT_TASK_FIRST_OWN_FLAG << 3, /* or cancelled; set once */
    TASK_COUNTED = TRT_TASK_FIRST_OWN_FLAG << 5,  /* before it was released */
    TASK_REPORTS = TRT_TASK_FIRST_OWN_FLAG << 4,  /* a failure that nobody observes */
    TASK_LAZY = TRT_TASK_FIRST_OWN_FLAG << 6,     /* held until schedule(), or a wait */
    TASK_LEFT = TRT_TASK_FIRST_OWN_FLAG << 7,     /* its thread ended in the middle */
    TASK_ROUSED = TRT_TASK_FIRST_OWN_FLAG << 8,   /* its turn under a limit has come */
    /* For the interactive team's threads alone. Set when it is made. */
    TASK_INTERACTIVE = TRT_TASK_FIRST_OWN_FLAG << 9,
    TASK_QUIET = TRT_TASK_FIRST_OWN_FLAG << 10, /* a failure is nobody's business */
};

/* A task. Not tracked by the collector while a queue or a thread holds it, since it
 * cannot be garbage then; tracked once finished, if what it holds can be part of a
 * cycle.
 *
 * fn, kwnames, context, args: written at spawn, read and cleared by whoever has claimed
 * the task. result, traceback: written by the same before the state says that it is
 * finished [task-result], constant afterwards. */
struct TaskObject {
    PyObject_VAR_HEAD /* size: number of args, positional first */
        trt_task base;
    PyObject *fn;
    PyObject *kwnames;  /* tuple of the last args' names, or NULL */
    PyObject *context;  /* what it runs in; NULL: an empty one */
    ScopeObject *scope; /* that it is born into, see scope.c, owned; NULL: none */
    /* The outermost scope that it has entered, borrowed; NULL: none. Guarded by
     * core->waits. */
    ScopeObject *entered;
    union {
        PyObject *result;  /* done: the value; failed: the exception; else NULL */
        TaskObject *outer; /* started: the task beneath on the same stack, borrowed */
    };
    PyObject *traceback; /* failed: the traceback as it was then, or NULL */
    PyObject *name;      /* str, or NULL: made from the id when asked for */
    PyObject *site;      /* where it was spawned, under TASKRT_DEBUG; else NULL */
    PyObject *locals;    /* dict of its TaskLocals, or NULL; by whoever runs it */
    PyObject *weakrefs;
    /* What cancel() was told, the first time; set once, by any thread [task-message].
     */
    _Atomic(PyObject *) message;
    /* A pinned task's worker, NULL once that thread has ended; NULL otherwise. */
    _Atomic(Worker *) pinned_to;
    /* Where it runs or ran. Written by its runner, read by others under core->waits as
     * a hint: NULL until its runner has got to it. */
    _Atomic(Fiber *) fiber;
    _Atomic(uint64_t) id; /* 0 until somebody asks; then constant */
    LimitObject *limit;   /* that it was spawned under, owned, constant; NULL: none */
    Lineage lineage;
    PyObject *scratch; /* args[-1], which vectorcall may overwrite during the call */
    PyObject *args[];
};

extern PyType_Spec task_spec;

/* A task as an item of the queues: the low bit tells thieves of TASK_FOREIGN without a
 * look at the task, which they do not own. */
enum { ITEM_FOREIGN = 1 };

/* A task that calls fn(*args, **kw) where `args` holds `nargs` positional values and
 * then those named by `kwnames`. Copies the current context. NULL with MemoryError. */
TaskObject *task_new(PyObject *fn, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames);
/* Slots of the type. */
int task_traverse(TaskObject *self, visitproc visit, void *arg);
int task_clear(TaskObject *self);
void task_finalize(PyObject *op);
void task_dealloc(TaskObject *self);
/* The task's number, given when first asked for. */
uint64_t task_id(TaskObject *task);
/* The task's name, made up if it has none. New reference or NULL. */
PyObject *task_name(TaskObject *task);
/* The outcome of a finished task as a function result: a new reference, or NULL with
 * the task's own exception or CancelledError set. Counts as observing a failure. */
PyObject *task_outcome(TaskObject *task);
/* Cancel: see Task.cancel. `message` may be NULL. Whether it was still unfinished. */
bool task_cancel(TaskObject *task, PyObject *message);
/* Report a failure and mark it as observed, unless it has been already. */
void task_report(TaskObject *task);
/* Whether a waiter is a done callback; those run after everybody was released. */
bool task_waiter_is_callback(const trt_waiter *waiter);

static inline bool
task_is_finished(TaskObject *task)
{
    return trt_task_is_finished(&task->base);
}

static inline bool
task_flag(const TaskObject *task, uint32_t flag)
{
    return (trt_load_relaxed(&task->base.flags) & flag) != 0;
}

static inline void *
task_as_item(TaskObject *task)
{
    return (char *)task + (task_flag(task, TASK_FOREIGN) ? ITEM_FOREIGN : 0);
}

static inline TaskObject *
task_from_item(void *item)
{
    return (TaskObject *)((uintptr_t)item & ~(uintptr_t)ITEM_FOREIGN);
}

/* ---- entries (entries.c) -------------------------------------------------------- */

/* Drop the queue's entry of a task that this worker has claimed, and others that are
 * stale, as far as they come to hand. Owner. */
static inline void entries_drop(Worker *w, TaskObject *task);
void entries_drop_slow(Worker *w, TaskObject *task);
/* Drop stale entries from the end that nobody pops. Owner, now and then. */
void entries_tidy_oldest(Worker *w);
/* The same of the interactive team's. Any thread. */
void entries_tidy_posted(void);

/* ---- running (run.c) ------------------------------------------------------------- */

/* Run a task that the caller has claimed, on the current stack, to its end. */
void task_execute(Fiber *fiber, TaskObject *task);
/* End a task that the caller has claimed. `final` says how; steals `result`, NULL if it
 * was cancelled. Wakes whoever waits. */
void task_conclude(TaskObject *task, enum trt_task_state final, PyObject *result);
/* Cancel a pending task, unless somebody has claimed it. */
bool task_cancel_pending(TaskObject *task);

#include "context.h"
#include "park.h"

/* ---- waiting, from Python ------------------------------------------------------- */

/* fetch.c: a deadline from a timeout, None or seconds. 0, or −1 with an error set. */
int wait_deadline(PyObject *timeout, uint64_t *deadline_ns);
/* The one optional argument `timeout`, after `before` others. */
int wait_timeout_argument(const char *method, Py_ssize_t before, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames, uint64_t *deadline_ns);
/* Raise that an argument was given by name and at that place, from 1 on. Returns −1. */
int wait_raise_given_twice(const char *method, const char *name, Py_ssize_t place);

PyObject *core_fetch(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *core_wait(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *core_yield_now(PyObject *, PyObject *);
/* _take_turn(): a checkpoint of a loop, where those go on that it has held up for long.
 */
PyObject *core_take_turn(PyObject *, PyObject *);
PyObject *core_call_each(PyObject *, PyObject *); /* loops.c */
PyObject *core_sleep(PyObject *, PyObject *);
PyObject *core_wait_readable(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *core_wait_writable(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *core_notify_closing(PyObject *, PyObject *);
PyObject *fetch_task(TaskObject *task, uint64_t deadline_ns);
/* Whether Ctrl-C has ended the task that this wait of main has just run as a call. */
bool fetch_was_interrupted(Worker *w, TaskObject *task);

#include "scope.h"

#include "fiber.h"
#include "limit.h"

/* ---- the hub (hub.c) ------------------------------------------------------------- */

/* Note what main leaves to others as things are now. */
void hub_choose(Worker *w);
/* Take and claim the next task for this worker, or NULL. New reference. */
TaskObject *hub_next_task(Worker *w);
/* Make those ready whose time is up. Owner. */
void hub_fire_timers(Worker *w);
/* Serve until the worker is to end. The body of a hub. */
void hub_loop(Worker *w);
/* The hub of the main thread, made at its first need. 0 or −1. */
int hub_ensure(Worker *w);
PyObject *hub_main(PyObject *, PyObject *);
/* Whether a runner that has ended a task must leave what comes next to the hub. */
bool hub_is_needed(Worker *w);
/* Look now and then, while nobody sleeps, for what others wait for outside. */
void hub_look_outside(Worker *w);
/* Whether there are tasks that main does not take, and no other thread that would. */
bool hub_leaves_work_to_nobody(Worker *w);
/* Whether tasks that were run as calls have kept a ready fiber waiting for long; looks
 * at the timers and outside for that. */
static inline bool hub_owes_turn(Worker *w);
bool hub_owes_turn_slow(Worker *w);
/* Give others a turn at the interpreter now and then, on behalf of tasks that never
 * reach the evaluation loop. */
void hub_breathe(Worker *w);

/* ---- workers (lifecycle.c, adopt.c) --------------------------------------------- */

enum { TASKRT_OPENMP_RUNTIMES = 8 }; /* of one process that are limited, at most */

struct Worker {
    trt_worker base;
    trt_crew crew;       /* its part in native work */
    trt_strand *calls;   /* strands that want to call Python and have no stack for it */
    trt_strand *hosting; /* the one that the task which is started now shall host */
    Fiber root;          /* the thread's own stack */
    Lineage lineage;     /* of what runs in no task */
    Lineage stray;       /* of what runs aside, see lineage_step_aside */
    Fiber hub;           /* the pool thread's own stack, or main's hub greenlet */
    Fiber *current;      /* whose stack is in use */
    trt_inbox_node *ready_head, *ready_tail;
    trt_inbox_node *aside_head, *aside_tail; /* that are ready, but not admitted now */
    Fiber *runners;                          /* all of them */
    Fiber *idle;   /* those without a task, most recent first */
    Fiber *unused; /* records of runners that have ended; never freed, since
                    * others may look at one through a task's `fiber` */
    size_t runner_count, idle_count;
    TaskObject *admitted; /* that a limit has a place for, and is run next; borrowed */
    Fiber *lent_fiber;    /* on loan: that runs the event loop, */
    LimitObject *lent_held; /* and whose places it has given up, owned; or NULL */
    Fiber *placeless;       /* its stacks that wait for places, under core->limits */
    TaskObject *handoff;    /* claimed task for the runner that is switched to; owned */
    Fiber *starting;        /* runner that is started now */
    trt_deque pinned;       /* pinned tasks that have not started; owner only */
    char *stack_floor;      /* below this address, tasks do not run inline */
    PyThreadState *tstate;  /* main and pool threads */
    _Atomic(unsigned long) thread_ident; /* pool threads: Python's name of the thread */
    /* 0 main, 1… threads of the default team, −1 foreign, −2… interactive ones */
    int32_t id;
    bool is_joined; /* foreign: the interpreter waits for this thread at exit */
    uint32_t generation;
    uint32_t stale; /* entries that were left in the queues by runs inline, at most */
    uint32_t breaths, yields; /* counters for what happens now and then */
    uint64_t looked_ns;       /* the last look at the poller by one that is awake */
    uint64_t owes_since_ns;   /* how long calls may have held up others, or 0 */
    uint32_t blocking;        /* regions around what runs here now, one in another */
    /* When the outermost of those began, on the monotonic clock, and a bit; 0: there is
     * none. See blocking.c. Its thread writes, the alarm sets the bit [alarm-due]. */
    _Atomic(uint64_t) blocked_since;
    bool is_spare;          /* pool threads: rests before it ends; under core->life */
    bool woken;             /* has been woken and has found nothing to run yet */
    bool prefers_unstarted; /* a fiber has yielded: start something before it resumes */
    bool guarded;           /* main: the interrupt handler is ours, see signals.c */
    PyObject *guarded_handler; /* the one before, owned; NULL if none was replaced */
    uint32_t asleep;           /* main: depth of sleeps, one in a handler in another; if
                                * not 0, Python's wake-up descriptor is the parker's */
    int outer_wakeup_fd;       /* the one before */
    bool interrupted; /* SIGINT has come while root waited: root calls the handler */
    PyObject *interrupt_error;   /* to be raised by root, owned */
    PyObject *interrupt_handler; /* to be called by root for SIGINT, owned */
    bool wants_quiet;            /* main's root waits until nothing can run any more */
    bool leaves_work;        /* main: sleeps, and a spare thread runs what it refuses */
    bool in_collection;      /* a garbage collection runs on this thread */
    bool own_only;           /* it starts nothing that others could, see loan.c */
    bool root_exempt;        /* main: root goes on in spite of isolation */
    bool serves_tasks;       /* foreign: what runs here is what tasks wait for */
    _Atomic(uint32_t) stand; /* see stand.h */
    uint32_t timed;          /* its fibers' part of core->timed_waits; owner */
    /* Innermost isolated block that is open here, owned by the stack that has entered
     * it, or NULL; its thread's, and read by others under core->waits. */
    LimitObject *isolation;
    Wait *stood; /* innermost wait in which it stands; under core->waits */
    /* Which of its fibers it has cancelled at exit, see exit_cancels. Written by its
     * thread, before it sleeps again; read by main, which is not done before
     * [cancel-seen]. */
    _Atomic(uint32_t) cancel_seen;
    /* What it has seen of openmp_epoch, how many runtimes it has limited, and what they
     * had before: see openmp.c. Owner. */
    uint32_t openmp_epoch, openmp_limited;
    int openmp_numbers[TASKRT_OPENMP_RUNTIMES];
    trt_thread thread;
    _Atomic(uint32_t) alive; /* pool threads: the OS thread has not ended */
    Worker *next_free;
};

typedef struct Core {
    PyTypeObject *task_type, *spawner_type, *scope_type;
    PyTypeObject *operation_type; /* for select() */
    PyTypeObject *subscription_type, *countdown_type;
    PyTypeObject *waiter_type, *lock_type, *rlock_type, *semaphore_type;
    PyTypeObject *loan_type, *channel_type, *family_type;
    PyObject *cancelled_error, *cancelled, *deadlock_error, *lost_error, *native_error;
    PyObject *channel_closed, *queue_empty, *queue_full;
    PyObject *inherit; /* Spawner's default for context */
    PyObject *minus_one;
    /* Names that are looked up again and again. Made anew each time they would pile up
     * in the interpreter's cache of attributes, thousands of them. */
    struct {
        PyObject *timeout, *asyncio_events, *get_running_loop, *set_running_loop;
        PyObject *threading, *enumerate, *ident, *daemon, *notes, *add_note;
        PyObject *split;
        PyObject *interop_aio, *await_task;
        PyObject *fallback; /* "default" */
    } str;
    PyObject *runner_function, *hub_function, *interrupt_function, *host_function;
    PyObject *signal_function, *getsignal_function, *wakeup_function; /* NULL until */
    PyObject *sigint;                                                 /* needed */

    trt_pool *pool;
    trt_mutex waits;         /* who waits for what, and all native work; a leaf */
    trt_work *works;         /* all native work; under core->waits */
    uint64_t searches;       /* for circles so far; the same */
    trt_mutex limits;        /* places of limits, and who waits for them; a leaf */
    LimitObject *all_limits; /* that were entered; under core->limits */
    trt_mutex contexts;      /* entering and leaving contexts that users gave; a leaf */
    trt_mutex life;          /* start, stop, resize, adopt; pool->lock inside */
    _Atomic(uint32_t) generation; /* of this process; a fork makes it larger */
    _Atomic(uint64_t) last_id;
    _Atomic(uint32_t) threads; /* N as configured; 0 while not started */
    /* M as configured; 0 while no interactive thread has been started. */
    _Atomic(uint32_t) interactive;
    _Atomic(uint32_t)
        blocked; /* threads that sleep and leave pending tasks to others */
    /* By team: regions, and threads on loan, that have one more. */
    _Atomic(uint32_t) spares[TRT_TEAMS];
    _Atomic(uint32_t) rosters; /* in use, which have one more together; see roster.c */
    _Atomic(uint64_t) never_ran; /* tasks cancelled before they started */
    /* Foreign threads that the interpreter will join and that are running a task: what
     * others wait for can still come from there. */
    _Atomic(uint32_t) foreign_running;
    _Atomic(uint32_t) calls;         /* of run_blocking() that have not ended */
    _Atomic(uint64_t) detached_live; /* detached tasks that have not ended */
    /* By team, by set_num_threads; 0: as the environment says. */
    uint32_t chosen_threads[TRT_TEAMS];
    uint32_t interactive_due; /* how many there are to be; of this start, under life */
    _Atomic(uint32_t) timed_waits; /* fibers that a timer will wake */
    _Atomic(uint32_t) wakeups;     /* how often a worker has left its sleep, or begun */
    /* Main's root waits for something without a deadline, and has not been told yet
     * that nothing runs any more. Main writes; who falls asleep reads. */
    _Atomic(bool) main_waits;
    uint64_t quiet_at; /* progress when main last found that nothing runs; main's */
    uint32_t quiet_wakeups;     /* the same of `wakeups` */
    _Atomic(bool) closing;      /* no new spawn from outside of tasks */
    _Atomic(bool) draining;     /* main waits until nothing can run */
    _Atomic(bool) cancel_all;   /* whatever waits or has not started is cancelled */
    _Atomic(bool) stopping;     /* pool threads end when they have no task left */
    _Atomic(bool) interrupting; /* Cancelled was sent to threads, at exit; stays */
    bool inline_tasks, debug, closures; /* settings, written at start */
    _Atomic(unsigned long) main_ident;  /* where signals go; 0 before the start */
    Worker *main;
    Worker *parents_main; /* in a forked child: main's record as it was in the parent */
    /* By team and place, see lifecycle.c; the default team's first is unused. */
    Worker *pool_workers[TRT_TEAMS][TRT_POOL_MAX_THREADS + 1];
    Worker *free_foreign; /* records of foreign threads that have ended */
    bool hooked;          /* exit, fork and collection hooks are in place */
    _Atomic(bool) exited; /* the exit drain is over; main writes */
} Core;

/* The one instance. The runtime exists once per process, so the module's state does;
 * the thread-exit and fork handlers, which get no module, reach it here. Set when the
 * module is first executed. */
extern Core *core;

/* This thread's worker, if it has one. Not cached across a switch by the compiler,
 * since the switch is a call it cannot see through; a stack never changes its thread.
 */
extern _Thread_local Worker *worker_current __attribute__((tls_model("initial-exec")));
/* The same for a thread that has none yet, starting the runtime if need be. NULL with
 * an error set. (adopt.c) */
Worker *worker_adopt(void);
/* Have the ends of such threads noticed. Once a process. */
void adopt_prepare(void);
/* A record for a thread, entered into the pool. Caller holds core->life. NULL: no
 * memory.
 */
Worker *worker_create_locked(trt_worker_kind kind, int32_t id);
/* Note how far the stack of the calling thread, whose record it is, may be used. */
void worker_set_stack_floor(Worker *w);

/* Whether a thread is one that runs interactive tasks, and those alone. */
static inline bool
worker_is_interactive(const Worker *w)
{
    return w->base.kind == TRT_WORKER_INTERACTIVE;
}

static inline int
worker_team(const Worker *w)
{
    return worker_is_interactive(w) ? TRT_INTERACTIVE : TRT_DEFAULT;
}

static inline Worker *
worker_self(void)
{
    Worker *const w = worker_current;
    return w ? w : worker_adopt();
}

/* Say that a thread is going to sleep and leaves tasks that have not started to others,
 * and that it is back. With one worker this starts a spare one, which ends when nobody
 * sleeps like that any more: no other thread might be there to run them. 0, or −1 with
 * an error set and nothing said. */
int lifecycle_enter_blocked(void);
void lifecycle_leave_blocked(void);
/* Have one thread more in a team while one of it does something else than running
 * tasks: 0, or −1 with an error set and none more. And let it go to rest again; any
 * thread. */
int lifecycle_bring_in_spare(int team);
void lifecycle_dismiss_spare(int team);
/* Have `n` threads in a team from now on, also in what starts later. 0, or −1 with an
 * error set and as many as before. */
int lifecycle_resize(int team, uint32_t n);
/* Raise what has kept a thread from starting, a negative errno. Returns −1. */
int lifecycle_raise_start_error(int error);
/* Start the interactive threads of a runtime that runs, unless they have been, or there
 * are to be none. 0, or −1 with an error set. */
int lifecycle_start_interactive(void);
/* The records of threads that the runtime has started, one after another; `*place` is 0
 * at first. NULL: there is no more. Some of those threads may have ended. */
Worker *lifecycle_next_thread(size_t *place);
/* Call a function of the Python part without arguments. */
PyObject *lifecycle_call_python(const char *module, const char *function);
#include "fork.h"
#include "settings.h"

/* Start the runtime unless it runs. 0, or −1 with an error set. */
int lifecycle_start(void);
/* Whether a new task is accepted from the present code; `w` is this thread's, or NULL.
 */
static inline bool lifecycle_accepts(Worker *w);
bool lifecycle_accepts_slow(Worker *w);
/* Whether signals go to the calling thread. False before the first start. */
bool lifecycle_is_main_thread(void);
/* Whether the worker's thread should end once it has no task left. */
bool lifecycle_must_retire(Worker *w);
/* Whether it starts no task any more, and only ends those it has started. */
bool lifecycle_takes_nothing(Worker *w);
/* Called by a worker that has announced its sleep and found nothing: false to not park.
 */
bool exit_asleep(trt_worker *base);
/* Which waits the end of the process cuts short; each includes those before. */
enum { EXIT_CANCELS_NONE, EXIT_CANCELS_DETACHED, EXIT_CANCELS_ALL };
uint32_t exit_cancels(void);
/* Whether those of this task, which is not started any more either. */
bool exit_cancels_task(const TaskObject *task);
/* How many tasks have not ended; exact once it is 0. Any thread. */
uint64_t exit_live_tasks(void);
/* Have all pool threads look again at what they are to do. */
void lifecycle_unpark_all(void);
/* The process has been forked by a task whose function has just returned `result`, or
 * raised if that is NULL: the stack below is the parent's. Ends the process. */
void lifecycle_end_child(PyObject *result);

PyObject *core_num_threads(PyObject *, PyObject *, PyObject *);
PyObject *core_set_num_threads(PyObject *, PyObject *, PyObject *);
PyObject *core_shutdown(PyObject *, PyObject *);
PyObject *core_stats(PyObject *, PyObject *);
PyObject *core_state(PyObject *, PyObject *);
PyObject *core_at_exit(PyObject *, PyObject *);
PyObject *core_on_collection(PyObject *, PyObject *const *, Py_ssize_t);

/* ---- native work (native.c) ------------------------------------------------------ */

/* Run native code that others share, until there is none or there are tasks to run.
 * Whether there was any. Called by the hub; the first detaches and attaches again. */
bool native_serve(Worker *w);
bool native_serve_detached(Worker *w);
/* Whether main would be woken up for children of native code that it does not take. */
bool native_is_refused(Worker *w);
/* Called by main when it has announced that it sleeps for tasks alone: false to not
 * park. */
bool native_asleep(trt_worker *base);
/* Give each of w->calls a stack of Python's to go on with. Called by the hub. */
void native_host_calls(Worker *w);
/* Go on with native code that stopped on this thread, while the thread sleeps in the
 * middle of a stack's wait: nobody else can. */
void native_serve_asleep(Worker *w);
/* The crew's hook: a strand that was run without Python needs it. Detached. */
void native_take_call(trt_crew *crew, trt_strand *s);
/* Whether some of what stopped on this worker can go on. */
bool native_can_go_on(Worker *w);
/* A fiber that calls Python for work that runs on `fiber`, after `host`, NULL for the
 * first; NULL if there is no other. Caller holds core->waits. */
Fiber *native_next_host_locked(const Fiber *fiber, const Fiber *host);
/* Ask the native work of `task`, on `fiber`, to end, and those that call Python for it.
 * Cuts short the wait of one of those; returns it, to be delivered, or NULL. Caller
 * holds core->waits. */
Wait *native_cancel_locked(Fiber *fiber, const TaskObject *task);
/* Ask the native work that was begun in a scope to end. Caller holds core->waits. */
void native_cancel_scope_locked(const ScopeObject *scope);
/* Ask all native work to end. */
void native_cancel_all(void);
PyObject *core_run_native(PyObject *, PyObject *const *, Py_ssize_t);
PyObject *core_run_native_range(PyObject *, PyObject *const *, Py_ssize_t);
PyObject *core_run_native_reduce(PyObject *, PyObject *const *, Py_ssize_t);
PyObject *core_host_strand(PyObject *, PyObject *);

/* ---- deadlines of native work (native_deadlines.c) ------------------------------- */

/* Cancel the scopes around native work that are past their deadline. When the next one
 * will be: TRT_FOREVER, there is none. Any thread. */
uint64_t native_look(void);
/* The earliest deadline of native work that was begun in a scope. */
uint64_t native_deadline_in(const ScopeObject *scope);
/* See that native work, which has been entered, ends at this deadline of a scope around
 * it. 0, or −1 with an error set: no thread. */
int native_set_deadline(uint64_t deadline_ns);

/* ---- kernels on buffers (kernels.c) ---------------------------------------------- */

PyObject *core_merge(PyObject *, PyObject *);
PyObject *core_merge_path(PyObject *, PyObject *);
PyObject *core_fill(PyObject *, PyObject *);
PyObject *core_copy(PyObject *, PyObject *);
PyObject *core_sum(PyObject *, PyObject *);
PyObject *core_sort(PyObject *, PyObject *);    /* sorting.c */
PyObject *core_argsort(PyObject *, PyObject *); /* sorting.c */

/* ---- imports (imports.c) --------------------------------------------------------- */

/* In a forked child, while worker_current and main_ident are still the parent's. No
 * Python. */
void imports_on_fork(void);
PyObject *core_stack_id(PyObject *, PyObject *);
PyObject *core_never_lets_go(PyObject *, PyObject *const *, Py_ssize_t);

/* ---- the rest -------------------------------------------------------------------- */

PyObject *operation_on_task(PyObject *task, PyObject *);
PyObject *core_select(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
#include "alarm.h"
#include "blocking.h"
#include "isolation.h"
#include "loan.h"
#include "spawn.h"
#include "stand.h"

/* signals.c: interrupts of the main thread while it runs somebody else's task. */
void signals_guard(Worker *w);
/* On root, after it let others run: the handler from before is back, and what has come
 * for root meanwhile is run. 0; or −1 with what that has raised, in place of an earlier
 * error. */
int signals_resume_root(Worker *w);
/* Run what signals have arrived, in whatever frame this is; an error goes to root.
 * Main. */
void signals_check(Worker *w);
/* Around a sleep of main: between the two, a signal ends the sleep. A look for signals
 * that have come before has to follow the first. 0 or −1. */
int signals_enter_sleep(Worker *w);
void signals_leave_sleep(Worker *w);
PyObject *core_after_fork(PyObject *, PyObject *);
PyObject *core_on_interrupt(PyObject *, PyObject *const *, Py_ssize_t);

int capi_add(PyObject *module); /* capi.c */

#include "hot.h"

#endif
