/* The runtime's threads: start, spare ones, sizes.
 *
 * A team's threads have places from 0 on. Main has the first of the default team, which
 * makes it worker 0. Those at and beyond the team's number are spare ones, or too many.
 */
#include "core.h"

#include "blas.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/barrier.h"

enum {
    PINNED_LOG2 = 3,        /* first capacity of the queue of pinned tasks */
    STACK_BYTES = 16 << 20, /* virtual; chains of inlined tasks may be deep */
};

/* How long a spare thread rests: as long as those of run_blocking(). */
static const uint64_t REST_NS = UINT64_C(10) * 1000 * 1000 * 1000;

_Thread_local Worker *worker_current __attribute__((tls_model("initial-exec")));

static pthread_once_t process_once = PTHREAD_ONCE_INIT;

/* ---- workers --------------------------------------------------------------------- */

/* Worker.id as a place in its team, and back. */
static uint32_t
place_of(const Worker *w)
{
    return (uint32_t)(worker_is_interactive(w) ? -2 - w->id : w->id);
}

static int32_t
id_at(int team, uint32_t place)
{
    return team == TRT_INTERACTIVE ? -2 - (int32_t)place : (int32_t)place;
}

/* As configured; 0: it has not started. */
static _Atomic(uint32_t) *
number_of(int team)
{
    return team == TRT_INTERACTIVE ? &core->interactive : &core->threads;
}

static uint32_t
target_threads(int team)
{
    const uint32_t n = trt_load_relaxed(number_of(team));
    if (n == 0) {
        return 0;
    }
    /* The spare ones, see blocking.c and lifecycle_enter_blocked; that of the rosters
     * does for the latter too. */
    const bool lacks_one = team == TRT_DEFAULT && n == 1 &&
                           trt_load_relaxed(&core->blocked) > 0 &&
                           trt_load_relaxed(&core->rosters) == 0;
    const uint32_t more = trt_load_seq_cst(&core->spares[team]) + lacks_one;
    return n + more < TRT_POOL_MAX_THREADS ? n + more : TRT_POOL_MAX_THREADS;
}

/* Whether a started thread is at none of its team's places now. */
static bool
is_beyond(const Worker *w)
{
    return place_of(w) >= target_threads(worker_team(w));
}

Worker *
lifecycle_next_thread(size_t *place)
{
    size_t count = 0;
    trt_worker *const *table = core->pool ? trt_pool_workers(core->pool, &count) : NULL;
    while (*place < count) {
        trt_worker *const w = table[(*place)++];
        if (trt_worker_is_started(w)) {
            return (Worker *)w;
        }
    }
    return NULL;
}

bool
lifecycle_must_retire(Worker *w)
{
    if (trt_load_relaxed(&core->stopping)) {
        return true;
    }
    return trt_worker_is_started(&w->base) && is_beyond(w) &&
           !trt_load_relaxed(&core->draining);
}

bool
lifecycle_takes_nothing(Worker *w)
{
    /* With no other pool thread left, this one still runs what its fibers wait for. */
    return lifecycle_must_retire(w) &&
           (worker_is_interactive(w) || target_threads(TRT_DEFAULT) > 1 ||
            trt_load_relaxed(&core->stopping));
}

Worker *
worker_create_locked(trt_worker_kind kind, int32_t id)
{
    Worker *const w =
        aligned_alloc(TRT_CACHE_LINE, sizeof(Worker) + TRT_CACHE_LINE -
                                          sizeof(Worker) % TRT_CACHE_LINE);
    if (!w) {
        return NULL;
    }
    *w = (Worker){.id = id, .generation = trt_load_relaxed(&core->generation)};
    if (trt_deque_init(&w->pinned, PINNED_LOG2) < 0) {
        free(w);
        return NULL;
    }
    if (trt_worker_init(&w->base, core->pool, kind) < 0) {
        trt_deque_destroy(&w->pinned);
        free(w);
        return NULL;
    }
    trt_crew_init(&w->crew, &w->base, native_take_call);
    w->root.worker = w->hub.worker = w;
    w->root.timer.index = TRT_TIMER_IDLE;
    lineage_begin(&w->lineage);
    lineage_begin(&w->stray);
    return w;
}

void
worker_set_stack_floor(Worker *w)
{
    char *low, *high;
    if (trt_thread_stack_bounds(&low, &high)) {
        w->stack_floor = low + (high - low) / 4;
    }
}

/* A spare thread that is not needed waits a while before it ends: regions that block
 * come again. It has no fibers. Until then it is as if it were not there. */
static void
rest(Worker *w)
{
    const uint64_t end = trt_clock_now_ns() + REST_NS;
    bool in_time = true;
    trt_store_release(&w->cancel_seen,
                      EXIT_CANCELS_ALL); /* [cancel-seen] it has none to cancel */
    trt_fetch_sub_relaxed(&w->base.team->running, 1);
    exit_let_main_look();
    PyThreadState *const tstate = PyEval_SaveThread();
    while (in_time && is_beyond(w) && !trt_load_relaxed(&core->stopping)) {
        in_time = trt_parker_park(&w->base.parker, end) != TRT_PARK_TIMED_OUT;
    }
    PyEval_RestoreThread(tstate);
    trt_fetch_add_relaxed(&w->base.team->running, 1);
    trt_store_relaxed(&w->cancel_seen, EXIT_CANCELS_NONE);
}

/* Whether this worker still has to go, decided once and for all. */
static bool
leave_pool(Worker *w)
{
    if (w->is_spare) {
        rest(w);
    }
    wait_note_end(true);
    trt_mutex_lock(&core->life);
    const bool leaves = lifecycle_must_retire(w);
    if (leaves) {
        /* Not one of ours any more before main may find that all others sleep. */
        trt_store_release(&w->alive,
                          0); /* [worker-alive] its record may be used again */
        trt_fetch_sub_seq_cst(&w->base.team->running, 1);
    }
    trt_mutex_unlock(&core->life);
    if (!leaves) {
        wait_note_end(false);
    }
    return leaves;
}

/* The body of a pool thread. */
static void
thread_main(void *arg)
{
    Worker *const w = arg;
    worker_current = w;
    worker_set_stack_floor(w);
    const PyGILState_STATE gil = PyGILState_Ensure();
    w->tstate = PyThreadState_Get();
    trt_store_relaxed(&w->thread_ident, PyThread_get_thread_ident());
    w->openmp_epoch = w->openmp_limited = 0; /* a new thread has what it had */
    w->current = &w->hub;
    PyGreenlet *const greenlet = PyGreenlet_GetCurrent();
    w->hub.greenlet = greenlet;
    w->hub.frames = NULL;
    do {
        hub_loop(w);
        if (trt_worker_hand_over(&w->base) < 0) {
            PyErr_NoMemory();
            PyErr_WriteUnraisable(NULL); /* the rest stays where thieves find it */
        }
    } while (!leave_pool(w));
    /* From here on the record may belong to a thread that was started since. */
    Py_XDECREF(greenlet);
    Worker *const main = core->main;
    worker_current = NULL;
    /* What interrupt_threads has sent too late must not hit what runs as the thread
     * ends. */
    trt_py_drop_sent_error(trt_load_relaxed(&core->interrupting));
    PyGILState_Release(gil);
    if (main) {
        trt_parker_unpark(&main->base.parker); /* it may be waiting for us to end */
    }
}

/* Start the thread of a record, as a spare one or not. Caller holds core->life. 0 or a
 * negative errno. */
static int
start_thread_locked(Worker *w, bool spare)
{
    trt_store_relaxed(&w->cancel_seen, EXIT_CANCELS_NONE);
    w->is_spare = spare;
    char name[16];
    snprintf(name, sizeof name, worker_is_interactive(w) ? "taskrt-i%u" : "taskrt-%u",
             (unsigned)place_of(w));
    trt_store_relaxed(&w->alive, 1);
    trt_fetch_add_seq_cst(&core->wakeups, 1); /* [wakeups] */
    trt_fetch_add_seq_cst(&w->base.team->running, 1);
    const int error = trt_thread_start(&w->thread, name, STACK_BYTES, thread_main, w);
    if (error) {
        trt_store_relaxed(&w->alive, 0);
        trt_fetch_sub_relaxed(&w->base.team->running, 1);
        return error;
    }
    trt_thread_detach(&w->thread);
    return 0;
}

/* Start the threads of a team at places below `count` that are not there, as spare ones
 * or not, and tell the others that they are wanted. Caller holds core->life. 0 or a
 * negative errno; those that could be started stay. */
static int
start_threads_locked(int team, uint32_t count, bool spare)
{
    const trt_worker_kind kind =
        team == TRT_INTERACTIVE ? TRT_WORKER_INTERACTIVE : TRT_WORKER_POOL;
    for (uint32_t place = team == TRT_DEFAULT; place < count; place++) {
        Worker *w = core->pool_workers[team][place];
        if (w && trt_load_acquire(&w->alive)) { /* [worker-alive] */
            /* It may rest, or have been one too many that stays for its own tasks. */
            trt_parker_unpark(&w->base.parker);
            continue;
        }
        if (!w) {
            w = worker_create_locked(kind, id_at(team, place));
            if (!w) {
                return -ENOMEM;
            }
            core->pool_workers[team][place] = w;
        }
        const int error = start_thread_locked(w, spare);
        if (error) {
            return error;
        }
    }
    return 0;
}

int
lifecycle_raise_start_error(int error)
{
    errno = -error;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

int
lifecycle_enter_blocked(void)
{
    trt_fetch_add_seq_cst(&core->blocked, 1);
    if (trt_load_relaxed(&core->threads) != 1) {
        return 0;
    }
    trt_mutex_lock(&core->life);
    const int error =
        start_threads_locked(TRT_DEFAULT, target_threads(TRT_DEFAULT), false);
    trt_mutex_unlock(&core->life);
    if (error) {
        trt_fetch_sub_seq_cst(&core->blocked, 1);
        return lifecycle_raise_start_error(error);
    }
    return 0;
}

void
lifecycle_leave_blocked(void)
{
    Worker *const spare = core->pool_workers[TRT_DEFAULT][1];
    if (trt_fetch_sub_seq_cst(&core->blocked, 1) == 1 && spare &&
        trt_load_relaxed(&core->threads) == 1) {
        trt_parker_unpark(&spare->base.parker); /* so that it ends */
    }
}

int
lifecycle_bring_in_spare(int team)
{
    int error = 0;
    trt_fetch_add_seq_cst(&core->spares[team], 1);
    trt_mutex_lock(&core->life);
    if (!trt_load_relaxed(&core->stopping)) {
        error = start_threads_locked(team, target_threads(team), true);
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        trt_fetch_sub_seq_cst(&core->spares[team], 1);
        return lifecycle_raise_start_error(error);
    }
    return 0;
}

void
lifecycle_start_spares(void)
{
    trt_mutex_lock(&core->life);
    if (!trt_load_relaxed(&core->stopping)) {
        /* Without memory for a thread, tasks wait for those that there are. */
        for (int team = 0; team < TRT_TEAMS; team++) {
            (void)start_threads_locked(team, target_threads(team), true);
        }
    }
    trt_mutex_unlock(&core->life);
}

void
lifecycle_dismiss_spare(int team)
{
    const uint32_t left = trt_fetch_sub_seq_cst(&core->spares[team], 1) - 1;
    const uint32_t first = trt_load_relaxed(number_of(team)) + left;
    /* One more if main has a spare thread for itself. */
    for (uint32_t at = first; at <= first + 1 && at <= TRT_POOL_MAX_THREADS; at++) {
        Worker *const spare = core->pool_workers[team][at];
        if (spare && trt_load_acquire(&spare->alive)) { /* [worker-alive] */
            trt_parker_unpark(&spare->base.parker);
        }
    }
}

/* ---- start ----------------------------------------------------------------------- */

static void
prepare_process(void)
{
    adopt_prepare();
    pthread_atfork(lineage_prepare_fork, NULL, fork_in_child);
}

void
lifecycle_end_child(PyObject *result)
{
    PyObject *const error = result ? Py_NewRef(Py_None) : trt_py_take_error();
    PyObject *const runtime = PyImport_ImportModule("taskrt.runtime");
    if (runtime) {
        Py_XDECREF(PyObject_CallMethod(runtime, "_end_child", "O", error));
    }
    PyErr_Print();
    _exit(1); /* only if that has failed */
}

PyObject *
lifecycle_call_python(const char *module, const char *function)
{
    PyObject *const imported = PyImport_ImportModule(module);
    PyObject *const result =
        imported ? PyObject_CallMethod(imported, function, NULL) : NULL;
    Py_XDECREF(imported);
    return result;
}

/* Hooks into the interpreter, once a process: the drain at exit, collections. */
static int
install_hooks(void)
{
    PyObject *const result = lifecycle_call_python("taskrt.runtime", "_install_hooks");
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* Make imports fit for tasks, before there is one. 0 or −1. */
static int
prepare_imports(void)
{
    PyObject *const result = lifecycle_call_python("taskrt._imports", "own_by_stack");
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* Which thread signals go to, by Python's name for it. 0 or −1. */
static int
find_main_thread(void)
{
    PyObject *const main = lifecycle_call_python("threading", "main_thread");
    PyObject *const ident = main ? PyObject_GetAttrString(main, "ident") : NULL;
    const unsigned long value = ident ? PyLong_AsUnsignedLong(ident) : 0;
    Py_XDECREF(ident);
    Py_XDECREF(main);
    if (PyErr_Occurred()) {
        return -1;
    }
    trt_store_relaxed(&core->main_ident, value);
    return 0;
}

int
lifecycle_start(void)
{
    /* Exit functions: main runs everything, as it was set. */
    Settings settings = {{1, 0}, core->inline_tasks, core->debug, core->closures};
    int error = 0;
    if (!trt_load_relaxed(&core->exited) &&
        (settings_read(&settings) < 0 ||
         (!trt_load_relaxed(&core->main_ident) && find_main_thread() < 0) ||
         prepare_imports() < 0)) {
        return -1;
    }
    bool hooks = false;
    pthread_once(&process_once, prepare_process);
    trt_py_prepare_threads();
    trt_mutex_lock(&core->life);
    if (trt_load_relaxed(&core->threads) == 0) {
        if (!core->pool) {
            trt_pool *const pool =
                aligned_alloc(TRT_CACHE_LINE, sizeof *pool + TRT_CACHE_LINE -
                                                  sizeof *pool % TRT_CACHE_LINE);
            error = pool ? trt_pool_init(pool) : -ENOMEM;
            if (error) {
                free(pool);
            } else {
                core->pool = pool;
            }
        }
        if (!error) {
            core->inline_tasks = settings.inline_tasks;
            core->debug = settings.debug;
            core->closures = settings.closures;
            error =
                start_threads_locked(TRT_DEFAULT, settings.threads[TRT_DEFAULT], false);
        }
        if (!error) {
            trt_store_relaxed(&core->threads, settings.threads[TRT_DEFAULT]);
            core->interactive_due = settings.threads[TRT_INTERACTIVE];
            hooks = !core->hooked;
            core->hooked = true;
            if (!trt_load_relaxed(&core->exited)) {
                blas_resume();
            }
        }
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        return lifecycle_raise_start_error(error);
    }
    return hooks ? install_hooks() : 0;
}

int
lifecycle_start_interactive(void)
{
    if (trt_load_relaxed(&core->interactive) > 0 || trt_load_relaxed(&core->exited)) {
        return 0; /* the latter: exit functions, where main runs everything */
    }
    int error = 0;
    trt_mutex_lock(&core->life);
    if (trt_load_relaxed(&core->threads) > 0 && !trt_load_relaxed(&core->stopping) &&
        trt_load_relaxed(&core->interactive) == 0) {
        const uint32_t n = core->interactive_due;
        error = start_threads_locked(TRT_INTERACTIVE, n, false);
        if (!error) {
            trt_store_relaxed(&core->interactive, n);
        }
    }
    trt_mutex_unlock(&core->life);
    return error ? lifecycle_raise_start_error(error) : 0;
}

bool
lifecycle_is_main_thread(void)
{
    return trt_load_relaxed(&core->main_ident) == PyThread_get_thread_ident();
}

bool
lifecycle_accepts_slow(Worker *w)
{
    if ((w && w->current->task) ||
        (calls_run_here() && !trt_load_relaxed(&core->exited))) {
        return true; /* a call is waited for as tasks are */
    }
    if (w && w->serves_tasks && trt_load_seq_cst(&core->foreign_running) > 0) {
        return true; /* for a task that waits for it */
    }
    /* Exit functions may still use taskrt: main runs what they spawn. */
    return trt_load_relaxed(&core->exited) && lifecycle_is_main_thread();
}

/* ---- sizes ----------------------------------------------------------------------- */

void
lifecycle_unpark_all(void)
{
    size_t place = 0;
    for (Worker *w; (w = lifecycle_next_thread(&place)) != NULL;) {
        trt_parker_unpark(&w->base.parker);
    }
}

int
lifecycle_resize(int team, uint32_t n)
{
    _Atomic(uint32_t) *const number = number_of(team);
    int error = 0;
    trt_mutex_lock(&core->life);
    core->chosen_threads[team] = n;
    if (team == TRT_INTERACTIVE) {
        core->interactive_due = n;
    }
    if (trt_load_relaxed(number) > 0) {
        const uint32_t before = trt_load_relaxed(number);
        trt_store_seq_cst(number, n);
        error = start_threads_locked(team, n, false);
        if (error) {
            core->chosen_threads[team] = before;
            trt_store_seq_cst(number, before);
        }
        lifecycle_unpark_all(); /* those that are too many end when they have no task
                                   left */
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        return lifecycle_raise_start_error(error);
    }
    return 0;
}
