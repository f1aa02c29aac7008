/* Life of the runtime: start, threads, sizes, fork, shutdown, exit. */
#include "core.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/barrier.h"

enum {
    STACK_BYTES = 16 << 20,         /* virtual; chains of inlined tasks may be deep */
    GRACE_NS = 100 * 1000 * 1000,   /* at exit, for what does not end by itself */
};

_Thread_local Worker *worker_current __attribute__((tls_model("initial-exec")));

static pthread_key_t thread_end_key; /* its destructor gives a foreign record back */
static pthread_once_t process_once = PTHREAD_ONCE_INIT;

/* ---- workers ---------------------------------------------------------------------- */

static uint32_t
target_threads(void)
{
    const uint32_t n = trt_load_relaxed(&core->threads);
    if (n == 1 && trt_load_relaxed(&core->blocked) > 0) {
        return 2; /* the spare one, see lifecycle_enter_blocked */
    }
    return n;
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
    Worker *const w = aligned_alloc(TRT_CACHE_LINE, sizeof(Worker) + TRT_CACHE_LINE -
                                                        sizeof(Worker) % TRT_CACHE_LINE);
    if (!w) {
        return NULL;
    }
    *w = (Worker){.id = id, .generation = trt_load_relaxed(&core->generation)};
    if (trt_worker_init(&w->base, core->pool, kind) < 0) {
        free(w);
        return NULL;
    }
    trt_injector_init(&w->pinned);
    w->root.worker = w->hub.worker = w;
    w->root.timer.index = TRT_TIMER_IDLE;
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

/* Whether this worker still has to go, decided once and for all. */
static bool
leave_pool(Worker *w)
{
    trt_mutex_lock(&core->life);
    const bool leaves = lifecycle_must_retire(w);
    if (leaves) {
        trt_fetch_sub_relaxed(&core->pool->running, 1);
        trt_store_release(&w->alive, 0); /* [worker-alive] its record may be used again */
    }
    trt_mutex_unlock(&core->life);
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
    w->current = &w->hub;
    PyGreenlet *const greenlet = PyGreenlet_GetCurrent();
    w->hub.greenlet = greenlet;
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
    PyGILState_Release(gil);
    if (main) {
        trt_parker_unpark(&main->base.parker); /* it may be waiting for us to end */
    }
}

/* Start the threads with ids below `count` that are not there. Caller holds core->life.
 * 0 or a negative errno; those that could be started stay. */
static int
start_threads_locked(uint32_t count)
{
    for (uint32_t id = 1; id < count; id++) {
        Worker *w = core->pool_workers[id];
        if (w && trt_load_acquire(&w->alive)) { /* [worker-alive] */
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
        w->cancel_seen = false;
        char name[16];
        snprintf(name, sizeof name, "taskrt-%u", (unsigned)id);
        trt_store_relaxed(&w->alive, 1);
        trt_fetch_add_relaxed(&core->pool->running, 1);
        const int error = trt_thread_start(&w->thread, name, STACK_BYTES, thread_main, w);
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
    const int error = start_threads_locked(target_threads());
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

/* ---- threads that come and go ----------------------------------------------------- */

/* At the end of a foreign thread; no Python here. */
static void
on_thread_end(void *arg)
{
    Worker *const w = arg;
    worker_current = NULL;
    if (w->generation != trt_load_relaxed(&core->generation)) {
        return; /* a parent's record */
    }
    trt_worker_hand_over(&w->base); /* or the rest stays where thieves find it */
    void *lost;
    while ((lost = trt_injector_pop(&w->pinned)) != NULL) {
        /* Only this thread could run it. Whoever takes it now ends it as lost; without
         * memory for that it stays pending. */
        (void)trt_injector_push(&w->base.pool->injector, lost);
        trt_sleep_notify(&w->base.pool->sleep);
    }
    trt_mutex_lock(&core->life);
    w->next_free = core->free_foreign;
    core->free_foreign = w;
    trt_mutex_unlock(&core->life);
}

/* In a forked child: the threads are gone, and with them all that they were doing. What
 * lies in memory is left alone, since locks in it may be held by nobody. */
static void
on_fork_child(void)
{
    trt_fetch_add_relaxed(&core->generation, 1);
    trt_mutex_reinit_after_fork(&core->waits);
    trt_mutex_reinit_after_fork(&core->life);
    worker_current = NULL;
    core->pool = NULL;
    core->main = NULL;
    core->free_foreign = NULL;
    core->pool_count = 0;
    for (size_t i = 0; i < sizeof core->pool_workers / sizeof core->pool_workers[0]; i++) {
        core->pool_workers[i] = NULL;
    }
    trt_store_relaxed(&core->threads, 0);
    trt_store_relaxed(&core->blocked, 0);
    trt_store_relaxed(&core->timed_waits, 0);
    trt_store_relaxed(&core->never_ran, 0);
    trt_store_relaxed(&core->detached_live, 0);
    trt_store_relaxed(&core->closing, false);
    trt_store_relaxed(&core->draining, false);
    trt_store_relaxed(&core->cancel_all, false);
    trt_store_relaxed(&core->stopping, false);
    core->exited = false;
}

static void
prepare_process(void)
{
    pthread_key_create(&thread_end_key, on_thread_end);
    pthread_atfork(NULL, NULL, on_fork_child);
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

/* ---- start ------------------------------------------------------------------------ */

/* Call a function of the Python part. */
static PyObject *
call_python(const char *module, const char *function)
{
    PyObject *const imported = PyImport_ImportModule(module);
    PyObject *const result =
        imported ? PyObject_CallMethod(imported, function, NULL) : NULL;
    Py_XDECREF(imported);
    return result;
}

/* What the environment asks for. 0 or −1 with ValueError. */
static int
read_settings(uint32_t *threads, int *inline_tasks, int *debug)
{
    PyObject *const settings = call_python("taskrt._config", "read_settings");
    long n = 0;
    if (settings) {
        PyObject *value = PyObject_GetAttrString(settings, "num_threads");
        n = value ? PyLong_AsLong(value) : -1;
        Py_XDECREF(value);
        value = PyObject_GetAttrString(settings, "inline");
        *inline_tasks = value ? PyObject_IsTrue(value) : -1;
        Py_XDECREF(value);
        value = PyObject_GetAttrString(settings, "debug");
        *debug = value ? PyObject_IsTrue(value) : -1;
        Py_XDECREF(value);
        Py_DECREF(settings);
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    *threads = core->chosen_threads ? core->chosen_threads : (uint32_t)n;
    return 0;
}

/* Hooks into the interpreter, once a process: the drain at exit, collections. */
static int
install_hooks(void)
{
    PyObject *const result = call_python("taskrt.runtime", "_install_hooks");
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static int
start(void)
{
    uint32_t threads;
    int inline_tasks, debug, error = 0;
    if (read_settings(&threads, &inline_tasks, &debug) < 0) {
        return -1;
    }
    bool hooks = false;
    pthread_once(&process_once, prepare_process);
    trt_mutex_lock(&core->life);
    if (trt_load_relaxed(&core->threads) == 0) {
        if (!core->pool) {
            trt_pool *const pool = aligned_alloc(
                TRT_CACHE_LINE,
                sizeof *pool + TRT_CACHE_LINE - sizeof *pool % TRT_CACHE_LINE);
            error = pool ? trt_pool_init(pool) : -ENOMEM;
            if (error) {
                free(pool);
            }
            else {
                core->pool = pool;
            }
        }
        if (!error) {
            if (core->exited) {
                threads = 1; /* exit functions: main runs everything */
            }
            core->inline_tasks = inline_tasks;
            core->debug = debug;
            error = start_threads_locked(threads);
        }
        if (!error) {
            trt_store_relaxed(&core->threads, threads);
            hooks = !core->hooked;
            core->hooked = true;
        }
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        return raise_start_error(error);
    }
    return hooks ? install_hooks() : 0;
}

/* Whether this is the thread that signals go to. */
static int
is_main_thread(void)
{
    PyObject *const main = call_python("threading", "main_thread");
    PyObject *const ident = main ? PyObject_GetAttrString(main, "ident") : NULL;
    const unsigned long value = ident ? PyLong_AsUnsignedLong(ident) : 0;
    Py_XDECREF(ident);
    Py_XDECREF(main);
    if (PyErr_Occurred()) {
        return -1;
    }
    return value == PyThread_get_thread_ident();
}

bool
lifecycle_accepts(Worker *w)
{
    if (!trt_load_relaxed(&core->closing) || (w && w->current->task)) {
        return true;
    }
    /* Exit functions may still use taskrt: main runs what they spawn. */
    return core->exited && is_main_thread() == 1;
}

Worker *
worker_adopt(void)
{
    if (trt_load_relaxed(&core->threads) == 0 && start() < 0) {
        return NULL;
    }
    const int is_main = is_main_thread();
    if (is_main < 0) {
        return NULL;
    }
    trt_mutex_lock(&core->life);
    Worker *w = NULL;
    if (!is_main && core->free_foreign) {
        w = core->free_foreign;
        core->free_foreign = w->next_free;
    }
    else {
        w = worker_create_locked(is_main ? TRT_WORKER_MAIN : TRT_WORKER_FOREIGN,
                                 is_main ? 0 : -1);
        if (w && is_main) {
            core->main = w;
            trt_fetch_add_relaxed(&core->pool->running, 1);
        }
    }
    trt_mutex_unlock(&core->life);
    if (!w) {
        PyErr_NoMemory();
        return NULL;
    }
    if (is_main && trt_parker_enable_signals(&w->base.parker) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return NULL;
    }
    set_stack_floor(w);
    w->current = &w->root;
    w->tstate = PyThreadState_Get();
    worker_current = w;
    if (!is_main) {
        pthread_setspecific(thread_end_key, w);
    }
    return w;
}

/* ---- quiet: nothing can run any more ---------------------------------------------- */

/* How many tasks that somebody may want have not ended. Ends are read before beginnings:
 * then 0 means that all had ended when the first sum was complete. */
static uint64_t
live_tasks(void)
{
    size_t count;
    uint64_t ended = trt_load_seq_cst(&core->never_ran);
    trt_worker *const *table = trt_pool_workers(core->pool, &count);
    for (size_t i = 0; i < count; i++) {
        ended += trt_load_acquire(&table[i]->counters.ran);
    }
    uint64_t begun = 0;
    table = trt_pool_workers(core->pool, &count);
    for (size_t i = 0; i < count; i++) {
        begun += trt_load_acquire(&table[i]->counters.spawned);
    }
    return begun - ended;
}

static bool
only_detached_left(void)
{
    return live_tasks() <= trt_load_seq_cst(&core->detached_live);
}

/* Whether every thread of the pool sleeps and nothing is queued anywhere. Called by main
 * after it has announced its own sleep. The count of wake-ups is the same before and after:
 * so nobody has left its sleep during the look, and what was seen empty one after another
 * was empty all at once. [wakeups] */
static bool
is_quiescent(void)
{
    trt_pool *const pool = core->pool;
    const uint32_t before = trt_load_seq_cst(&core->wakeups);
    if (trt_sleep_sleeping(&pool->sleep) != trt_load_relaxed(&pool->running) ||
        trt_load_seq_cst(&core->timed_waits) > 0 || trt_injector_size(&pool->injector) > 0) {
        return false;
    }
    size_t count;
    trt_worker *const *table = trt_pool_workers(pool, &count);
    for (size_t i = 0; i < count; i++) {
        if (trt_deque_size(&table[i]->deque) > 0 || !trt_inbox_is_empty(&table[i]->inbox)) {
            return false;
        }
    }
    return trt_sleep_sleeping(&pool->sleep) == trt_load_relaxed(&pool->running) &&
           trt_load_seq_cst(&core->wakeups) == before;
}

bool
lifecycle_asleep(trt_worker *base)
{
    if (!trt_load_seq_cst(&core->draining)) {
        return true;
    }
    Worker *const main = core->main;
    if (base != &main->base) {
        trt_parker_unpark(&main->base.parker); /* perhaps it was waiting for just this */
        return true;
    }
    if (main->wants_quiet && (is_quiescent() || only_detached_left())) {
        main->wants_quiet = false;
        fiber_ready_push(main, &main->root);
        return false;
    }
    return true;
}

/* On main's root: work until nothing can run, until only detached tasks are left, or until
 * the deadline. 0; or −1 with the error of a signal handler. */
static int
work_until_quiet(Worker *w, uint64_t deadline)
{
    Fiber *const root = &w->root;
    int status = 0;
    if (deadline != TRT_FOREVER) {
        root->timer = (trt_timer){.deadline_ns = deadline, .index = TRT_TIMER_IDLE};
        if (trt_timers_add(&w->base.timers, &root->timer) < 0) {
            PyErr_NoMemory();
            return -1;
        }
    }
    trt_store_seq_cst(&core->draining, true);
    w->wants_quiet = true;
    status = fiber_park(w);
    w->wants_quiet = false;
    trt_store_seq_cst(&core->draining, false);
    trt_timers_remove(&w->base.timers, &root->timer);
    if (signals_unguard(w) < 0) {
        status = -1;
    }
    if (status == 0) {
        status = signals_run_pending(w);
    }
    return status;
}

/* ---- stop ------------------------------------------------------------------------- */

static void
unpark_all(void)
{
    for (uint32_t id = 1; id <= core->pool_count; id++) {
        trt_parker_unpark(&core->pool_workers[id]->base.parker);
    }
}

static bool
any_alive(void)
{
    for (uint32_t id = 1; id <= core->pool_count; id++) {
        if (trt_load_acquire(&core->pool_workers[id]->alive)) {
            return true;
        }
    }
    return false;
}

/* Raise Cancelled in the Python code that pool threads run now. The last resort at exit,
 * for code that reaches no checkpoint. */
static void
interrupt_threads(void)
{
    for (uint32_t id = 1; id <= core->pool_count; id++) {
        Worker *const w = core->pool_workers[id];
        if (trt_load_acquire(&w->alive) && trt_load_relaxed(&w->thread_ident)) {
            PyThreadState_SetAsyncExc(trt_load_relaxed(&w->thread_ident), core->cancelled);
        }
    }
}

/* Tell pool threads to end and wait until they have, at most until the deadline. */
static bool
stop_threads(Worker *w, uint64_t deadline)
{
    trt_store_seq_cst(&core->stopping, true);
    unpark_all();
    PyThreadState *const tstate = PyEval_SaveThread();
    while (any_alive() &&
           trt_parker_park(&w->base.parker, deadline) != TRT_PARK_TIMED_OUT) {
    }
    PyEval_RestoreThread(tstate);
    return !any_alive();
}

/* End main's hub and its runners. */
static void
stop_hub(Worker *w)
{
    if (w->hub.greenlet) {
        if (fiber_switch(w, &w->hub) < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        Py_CLEAR(w->hub.greenlet);
        Py_CLEAR(w->root.greenlet);
    }
    signals_unguard(w);
}

/* Drain and stop, on main's root. `patient`: wait for running tasks however long they take.
 * True: all threads have ended. */
static bool
end_runtime(Worker *w, bool patient, uint64_t deadline)
{
    trt_store_seq_cst(&core->closing, true);
    if (patient && work_until_quiet(w, deadline) < 0) {
        patient = false; /* Ctrl-C ends the drain */
        PyErr_Clear();
    }
    /* What is left waits for somebody who never comes, or is not wanted. */
    trt_store_seq_cst(&core->cancel_all, true);
    unpark_all();
    for (int round = 0; round < 2; round++) {
        const bool bounded = !patient || only_detached_left() || deadline != TRT_FOREVER;
        const uint64_t until = bounded ? trt_clock_now_ns() + GRACE_NS : TRT_FOREVER;
        if (work_until_quiet(w, until) < 0) {
            patient = false;
            PyErr_Clear();
        }
        if (live_tasks() == 0) {
            break;
        }
        interrupt_threads();
    }
    const bool bounded = live_tasks() > 0;
    const bool ended =
        stop_threads(w, bounded ? trt_clock_now_ns() + GRACE_NS : TRT_FOREVER);
    stop_hub(w);
    return ended;
}

/* Make ready for a new start. */
static void
reset(void)
{
    trt_store_relaxed(&core->threads, 0);
    trt_store_relaxed(&core->cancel_all, false);
    trt_store_relaxed(&core->stopping, false);
    trt_store_relaxed(&core->closing, false);
    if (core->main) {
        core->main->cancel_seen = false;
    }
}

PyObject *
core_shutdown(PyObject *Py_UNUSED(module), PyObject *args)
{
    int wait, cancel;
    PyObject *timeout;
    uint64_t deadline;
    if (!PyArg_ParseTuple(args, "ppO:shutdown", &wait, &cancel, &timeout) ||
        wait_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    if (trt_load_relaxed(&core->threads) == 0) {
        Py_RETURN_TRUE;
    }
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    if (w->base.kind != TRT_WORKER_MAIN || w->current != &w->root || w->root.task) {
        PyErr_SetString(PyExc_RuntimeError,
                        "shutdown() must be called by the main thread outside of tasks");
        return NULL;
    }
    if (!wait && !cancel) {
        trt_store_seq_cst(&core->closing, true);
        return PyBool_FromLong(live_tasks() == 0);
    }
    const bool ended = end_runtime(w, wait && !cancel, deadline);
    if (ended) {
        reset();
    }
    return PyBool_FromLong(ended);
}

/* Whether the program ends because of Ctrl-C that nobody has caught. */
static bool
ends_by_interrupt(void)
{
    PyObject *const type = PySys_GetObject("last_type"); /* borrowed */
    return type && PyErr_GivenExceptionMatches(type, PyExc_KeyboardInterrupt);
}

PyObject *
core_at_exit(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    if (trt_load_relaxed(&core->threads) == 0) {
        Py_RETURN_NONE;
    }
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    if (w->base.kind == TRT_WORKER_MAIN && w->current == &w->root) {
        if (end_runtime(w, !ends_by_interrupt(), TRT_FOREVER)) {
            reset();
        }
        core->exited = true;
        trt_store_seq_cst(&core->closing, true); /* but for main, see lifecycle_accepts */
    }
    Py_RETURN_NONE;
}

/* gc.callbacks: code that a collection runs must not be left for another stack. */
PyObject *
core_on_collection(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Worker *const w = worker_current;
    if (w && nargs > 0 && PyUnicode_Check(args[0])) {
        w->in_collection = PyUnicode_CompareWithASCIIString(args[0], "start") == 0;
    }
    Py_RETURN_NONE;
}

/* ---- sizes and counts ------------------------------------------------------------- */

PyObject *
core_num_threads(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    uint32_t threads = trt_load_relaxed(&core->threads);
    int inline_tasks, debug;
    if (threads == 0 && read_settings(&threads, &inline_tasks, &debug) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLong(threads);
}

PyObject *
core_set_num_threads(PyObject *Py_UNUSED(module), PyObject *arg)
{
    const long n = PyLong_AsLong(arg);
    if (n == -1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return NULL;
        }
        PyErr_Clear();
    }
    if (n < 1 || n > TRT_POOL_MAX_THREADS) {
        return PyErr_Format(PyExc_ValueError,
                            "set_num_threads() takes a number from 1 to %d, not %R",
                            TRT_POOL_MAX_THREADS, arg);
    }
    int error = 0;
    trt_mutex_lock(&core->life);
    core->chosen_threads = (uint32_t)n;
    if (trt_load_relaxed(&core->threads) > 0) {
        trt_store_seq_cst(&core->threads, (uint32_t)n);
        error = start_threads_locked((uint32_t)n);
        unpark_all(); /* those that are too many end when they have no task left */
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        raise_start_error(error);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
counters_as_dict(const trt_counters_snapshot *c)
{
    return Py_BuildValue("{sKsKsKsKsKsKsKsK}", "spawned", (unsigned long long)c->spawned,
                         "inlined", (unsigned long long)c->inlined, "stolen",
                         (unsigned long long)c->stolen, "ran", (unsigned long long)c->ran,
                         "parked", (unsigned long long)c->parked, "wakes",
                         (unsigned long long)c->wakes, "spurious_wakes",
                         (unsigned long long)c->spurious_wakes, "sleeps",
                         (unsigned long long)c->sleeps);
}

/* {"total": {...}, "workers": {id: {...}}, "live": n} */
PyObject *
core_stats(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    trt_counters_snapshot total = {0};
    size_t count = 0;
    trt_worker *const *table = core->pool ? trt_pool_workers(core->pool, &count) : NULL;
    PyObject *const workers = PyDict_New();
    PyObject *total_dict = NULL, *result = NULL;
    if (!workers) {
        return NULL;
    }
    trt_counters_snapshot foreign = {0};
    for (size_t i = 0; i < count; i++) {
        trt_counters_add_to(&table[i]->counters, &total);
        if (table[i]->kind == TRT_WORKER_FOREIGN) {
            trt_counters_add_to(&table[i]->counters, &foreign);
            continue;
        }
        trt_counters_snapshot own = {0};
        trt_counters_add_to(&table[i]->counters, &own);
        PyObject *const key = PyLong_FromLong(((Worker *)table[i])->id);
        PyObject *const value = counters_as_dict(&own);
        const int failed = !key || !value || PyDict_SetItem(workers, key, value) < 0;
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (failed) {
            goto end;
        }
    }
    PyObject *const outside = counters_as_dict(&foreign);
    total_dict = counters_as_dict(&total);
    if (outside && total_dict) {
        result = Py_BuildValue("{sOsOsOsK}", "total", total_dict, "workers", workers,
                               "foreign", outside, "live",
                               (unsigned long long)(core->pool ? live_tasks() : 0));
    }
    Py_XDECREF(outside);
end:
    Py_XDECREF(total_dict);
    Py_DECREF(workers);
    return result;
}

/* What info() tells of the inside: {"started": bool, "pool_threads": n} */
PyObject *
core_state(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    unsigned long alive = 0;
    for (uint32_t id = 1; id <= core->pool_count; id++) {
        alive += trt_load_acquire(&core->pool_workers[id]->alive);
    }
    return Py_BuildValue("{sOsksO}", "started",
                         trt_load_relaxed(&core->threads) ? Py_True : Py_False,
                         "pool_threads", alive, "membarrier",
                         trt_load_relaxed(&trt_barrier_asymmetric) ? Py_True : Py_False);
}
