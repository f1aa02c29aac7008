/* The runtime's threads: start, spare ones, foreign ones, sizes. */
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

static pthread_key_t thread_end_key; /* its destructor gives a foreign record back */
static pthread_once_t process_once = PTHREAD_ONCE_INIT;

/* ---- workers --------------------------------------------------------------------- */

static uint32_t
target_threads(void)
{
    const uint32_t n = trt_load_relaxed(&core->threads);
    if (n == 0) {
        return 0;
    }
    /* The spare ones, see blocking.c and lifecycle_enter_blocked; that of the rosters
     * does for the latter too. */
    const bool lacks_one = n == 1 && trt_load_relaxed(&core->blocked) > 0 &&
                           trt_load_relaxed(&core->rosters) == 0;
    const uint32_t more = trt_load_seq_cst(&core->spares) + lacks_one;
    return n + more < TRT_POOL_MAX_THREADS ? n + more : TRT_POOL_MAX_THREADS;
}

bool
lifecycle_must_retire(Worker *w)
{
    if (trt_load_relaxed(&core->stopping)) {
        return true;
    }
    return w->id > 0 && (uint32_t)w->id >= target_threads() &&
           !trt_load_relaxed(&core->draining);
}

bool
lifecycle_takes_nothing(Worker *w)
{
    /* With no other pool thread left, this one still runs what its fibers wait for. */
    return lifecycle_must_retire(w) &&
           (target_threads() > 1 || trt_load_relaxed(&core->stopping));
}

/* A record for a thread, entered into the pool. Caller holds core->life. */
static Worker *
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

static void
set_stack_floor(Worker *w)
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
    trt_fetch_sub_relaxed(&core->pool->running, 1);
    exit_let_main_look();
    PyThreadState *const tstate = PyEval_SaveThread();
    while (in_time && (uint32_t)w->id >= target_threads() &&
           !trt_load_relaxed(&core->stopping)) {
        in_time = trt_parker_park(&w->base.parker, end) != TRT_PARK_TIMED_OUT;
    }
    PyEval_RestoreThread(tstate);
    trt_fetch_add_relaxed(&core->pool->running, 1);
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
        trt_fetch_sub_seq_cst(&core->pool->running, 1);
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
    set_stack_floor(w);
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

/* Start the threads with ids below `count` that are not there, as spare ones or not,
 * and tell the others that they are wanted. Caller holds core->life. 0 or a negative
 * errno; those that could be started stay. */
static int
start_threads_locked(uint32_t count, bool spare)
{
    for (uint32_t id = 1; id < count; id++) {
        Worker *w = core->pool_workers[id];
        if (w && trt_load_acquire(&w->alive)) { /* [worker-alive] */
            /* It may rest, or have been one too many that stays for its own tasks. */
            trt_parker_unpark(&w->base.parker);
            continue;
        }
        if (!w) {
            w = worker_create_locked(TRT_WORKER_POOL, (int32_t)id);
            if (!w) {
                return -ENOMEM;
            }
            core->pool_workers[id] = w;
            core->pool_count = id > core->pool_count ? id : core->pool_count;
        }
        trt_store_relaxed(&w->cancel_seen, EXIT_CANCELS_NONE);
        w->is_spare = spare;
        char name[16];
        snprintf(name, sizeof name, "taskrt-%u", (unsigned)id);
        trt_store_relaxed(&w->alive, 1);
        trt_fetch_add_relaxed(&core->pool->running, 1);
        const int error =
            trt_thread_start(&w->thread, name, STACK_BYTES, thread_main, w);
        if (error) {
            trt_store_relaxed(&w->alive, 0);
            trt_fetch_sub_relaxed(&core->pool->running, 1);
            return error;
        }
        trt_thread_detach(&w->thread);
    }
    return 0;
}

static int
raise_start_error(int error)
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
    const int error = start_threads_locked(target_threads(), false);
    trt_mutex_unlock(&core->life);
    if (error) {
        trt_fetch_sub_seq_cst(&core->blocked, 1);
        return raise_start_error(error);
    }
    return 0;
}

void
lifecycle_leave_blocked(void)
{
    Worker *const spare = core->pool_workers[1];
    if (trt_fetch_sub_seq_cst(&core->blocked, 1) == 1 && spare &&
        trt_load_relaxed(&core->threads) == 1) {
        trt_parker_unpark(&spare->base.parker); /* so that it ends */
    }
}

int
lifecycle_bring_in_spare(void)
{
    int error = 0;
    trt_fetch_add_seq_cst(&core->spares, 1);
    trt_mutex_lock(&core->life);
    if (!trt_load_relaxed(&core->stopping) && trt_load_relaxed(&core->threads) > 0) {
        error = start_threads_locked(target_threads(), true);
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        trt_fetch_sub_seq_cst(&core->spares, 1);
        return raise_start_error(error);
    }
    return 0;
}

void
lifecycle_start_spares(void)
{
    trt_mutex_lock(&core->life);
    if (!trt_load_relaxed(&core->stopping)) {
        /* Without memory for a thread, tasks wait for those that there are. */
        (void)start_threads_locked(target_threads(), true);
    }
    trt_mutex_unlock(&core->life);
}

void
lifecycle_dismiss_spare(void)
{
    const uint32_t left = trt_fetch_sub_seq_cst(&core->spares, 1) - 1;
    const uint32_t first = trt_load_relaxed(&core->threads) + left;
    /* One more if main has a spare thread for itself. */
    for (uint32_t id = first; id <= first + 1 && id <= TRT_POOL_MAX_THREADS; id++) {
        Worker *const w = core->pool_workers[id];
        if (w && trt_load_acquire(&w->alive)) { /* [worker-alive] */
            trt_parker_unpark(&w->base.parker);
        }
    }
}

/* ---- threads that come and go ---------------------------------------------------- */

void
lifecycle_leave_behind(Worker *w)
{
    trt_worker_hand_over(&w->base); /* or the rest stays where thieves find it */
    void *lost;
    while (trt_deque_steal(&w->pinned, &lost) == TRT_STEAL_GOT) {
        /* Only this thread could run it. Whoever takes it now ends it as lost; without
         * memory for that it stays pending. */
        trt_store_relaxed(&task_from_item(lost)->pinned_to, NULL);
        (void)trt_injector_push(&w->base.pool->injector, lost);
        trt_pool_notify(w->base.pool);
    }
}

/* What a foreign thread has begun and left in the middle, on greenlets of the program's
 * own, never goes on. Whoever takes it ends it as lost, see task_execute for the
 * reference. */
static void
leave_begun(Worker *w)
{
    TaskObject *task = w->root.task;
    w->root.task = NULL;
    if (task && w->is_joined) {
        trt_fetch_sub_seq_cst(&core->foreign_running, 1);
    }
    while (task) {
        TaskObject *const outer = task->outer;
        trt_task_set_flags(&task->base, TASK_LEFT);
        (void)trt_injector_push(&w->base.pool->injector, task_as_item(task));
        trt_pool_notify(w->base.pool);
        task = outer;
    }
}

/* At the end of a foreign thread; no Python here. */
static void
on_thread_end(void *arg)
{
    Worker *const w = arg;
    worker_current = NULL;
    if (w->generation != trt_load_relaxed(&core->generation)) {
        return; /* a parent's record */
    }
    lifecycle_leave_behind(w);
    leave_begun(w);
    trt_mutex_lock(&core->life);
    w->next_free = core->free_foreign;
    core->free_foreign = w;
    trt_mutex_unlock(&core->life);
}

static void
prepare_process(void)
{
    pthread_key_create(&thread_end_key, on_thread_end);
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

/* ---- start ----------------------------------------------------------------------- */

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
    Settings settings = {1, core->inline_tasks, core->debug, core->closures};
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
            error = start_threads_locked(settings.threads, false);
        }
        if (!error) {
            trt_store_relaxed(&core->threads, settings.threads);
            hooks = !core->hooked;
            core->hooked = true;
            if (!trt_load_relaxed(&core->exited)) {
                blas_resume();
            }
        }
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        return raise_start_error(error);
    }
    return hooks ? install_hooks() : 0;
}

bool
lifecycle_is_main_thread(void)
{
    return trt_load_relaxed(&core->main_ident) == PyThread_get_thread_ident();
}

/* Whether the interpreter will join the calling thread at exit: threads of the
 * threading module that are not daemons. */
static bool
is_joined_thread(void)
{
    bool joined = false;
    PyObject *const module = PyImport_Import(core->str.threading);
    PyObject *const threads =
        module ? PyObject_CallMethodNoArgs(module, core->str.enumerate) : NULL;
    const Py_ssize_t count = threads ? PyList_Size(threads) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *const thread =
            PyList_GetItem(threads, i); /* borrowed: the list is ours */
        PyObject *const ident = PyObject_GetAttr(thread, core->str.ident);
        if (ident && ident != Py_None &&
            PyLong_AsUnsignedLong(ident) == PyThread_get_thread_ident()) {
            PyObject *const daemon = PyObject_GetAttr(thread, core->str.daemon);
            joined = daemon == Py_False;
            Py_XDECREF(daemon);
        }
        Py_XDECREF(ident);
    }
    Py_XDECREF(threads);
    Py_XDECREF(module);
    PyErr_Clear();
    return joined;
}

bool
lifecycle_accepts(Worker *w)
{
    if (!trt_load_relaxed(&core->closing) || (w && w->current->task) ||
        (calls_run_here() && !trt_load_relaxed(&core->exited))) {
        return true; /* a call is waited for as tasks are */
    }
    if (w && w->serves_tasks && trt_load_seq_cst(&core->foreign_running) > 0) {
        return true; /* for a task that waits for it */
    }
    /* Exit functions may still use taskrt: main runs what they spawn. */
    return trt_load_relaxed(&core->exited) && lifecycle_is_main_thread();
}

Worker *
worker_adopt(void)
{
    bool is_main, is_joined;
    /* What runs in the start may fork; in the child nothing has started then. */
    do {
        if (trt_load_relaxed(&core->threads) == 0 && lifecycle_start() < 0) {
            return NULL;
        }
        is_main = lifecycle_is_main_thread();
        is_joined = !is_main && is_joined_thread();
    } while (trt_load_relaxed(&core->threads) == 0);
    int error = 0;
    trt_mutex_lock(&core->life);
    Worker *w = NULL;
    if (!is_main && core->free_foreign) {
        w = core->free_foreign;
        core->free_foreign = w->next_free;
        lineage_begin(&w->lineage);
    } else {
        w = worker_create_locked(is_main ? TRT_WORKER_MAIN : TRT_WORKER_FOREIGN,
                                 is_main ? 0 : -1);
        error = !w ? -ENOMEM : is_main ? trt_parker_enable_signals(&w->base.parker) : 0;
        if (!error && is_main) {
            lineage_begin_main(&w->lineage);
            core->main = w;
            trt_fetch_add_relaxed(&core->pool->running, 1);
        }
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        raise_start_error(error);
        return NULL;
    }
    set_stack_floor(w);
    w->is_joined = is_joined;
    w->serves_tasks = false;
    w->current = &w->root;
    w->tstate = PyThreadState_Get();
    worker_current = w;
    if (!is_main) {
        pthread_setspecific(thread_end_key, w);
    }
    scope_unwind(&w->root, NULL); /* what a thread before this one has not left */
    return w;
}

/* ---- sizes ----------------------------------------------------------------------- */

void
lifecycle_unpark_all(void)
{
    for (uint32_t id = 1; id <= core->pool_count; id++) {
        trt_parker_unpark(&core->pool_workers[id]->base.parker);
    }
}

int
lifecycle_resize(uint32_t n)
{
    int error = 0;
    trt_mutex_lock(&core->life);
    core->chosen_threads = n;
    if (trt_load_relaxed(&core->threads) > 0) {
        const uint32_t before = trt_load_relaxed(&core->threads);
        trt_store_seq_cst(&core->threads, n);
        error = start_threads_locked(n, false);
        if (error) {
            core->chosen_threads = before;
            trt_store_seq_cst(&core->threads, before);
        }
        lifecycle_unpark_all(); /* those that are too many end when they have no task
                                   left */
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        return raise_start_error(error);
    }
    return 0;
}
