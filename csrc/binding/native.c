/* Native work: C functions that spawn and join children of their own, see
 * taskrt_native.h.
 *
 * Its first task runs on a strand that belongs to a Python stack, a task's or a
 * thread's own: the host. While the strand runs, its thread is detached; when it waits
 * for a child that somebody has taken, the host parks like any that waits; when it
 * wants to call Python, the host calls. The children are taken by workers that have no
 * task to run, detached, on strands without a host; one of those that wants to call
 * Python gets one then. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* Stolen children between two looks for Python tasks in the queues of others. */
    TURNS = 16,
};

/* One piece of work. On the heap: other threads look at it while the stack of its host
 * is put away. */
typedef struct Work {
    trt_work base;
    trt_frame first;   /* the task that the work began with; nobody joins it */
    PyObject *context; /* what functions that are called run in copies of, or NULL */
    trt_work *outer;   /* the work that runs beneath on the same fiber */
    /* Arguments of loops. */
    int64_t begin, end, grain;
    void *fn, *arg;
    trt_reduction how; /* of a reduction; its arg is the work */
    void (*combine)(void *, const void *, void *);
    void *result;
    void *neutral; /* owned: what *result was at first */
} Work;

/* ---- hosts ----------------------------------------------------------------------- */

/* The thief's side: what the strand waits for has ended. Any thread, attached or not.
 */
static void
resume_host(trt_frame_waiter *waiter)
{
    trt_strand *const s = (trt_strand *)((char *)waiter - offsetof(trt_strand, waiter));
    Fiber *const fiber = s->host;
    Worker *const home = fiber->worker;
    const bool on_thread = s->host_sleeps;
    /* After this a thread goes on; a fiber does when it is in the list too. */
    trt_store_release(&s->resumed, true); /* [host-resumed] */
    if (!on_thread) {
        trt_inbox_push(&home->base.inbox, &fiber->ready);
    }
    trt_parker_unpark(&home->base.parker);
}

static void
sleep_until_resumed(Worker *w, trt_strand *s)
{
    while (!trt_load_acquire(&s->resumed)) { /* [host-resumed] */
        PyThreadState *const tstate = PyEval_SaveThread();
        trt_parker_park(&w->base.parker, TRT_FOREVER);
        PyEval_RestoreThread(tstate);
    }
}

/* Let other fibers run until the strand can go on. What is thrown into this one
 * meanwhile is kept for later. */
static void
park_until_resumed(Worker *w, trt_strand *s)
{
    PyObject *error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    Suspended suspended;
    context_suspend(PyThreadState_Get(), &suspended);
    while (fiber_park(w) < 0 || !trt_load_acquire(&s->resumed)) { /* [host-resumed] */
        if (PyErr_Occurred()) {
            Py_XSETREF(error, trt_py_take_error());
        }
    }
    context_resume(&suspended);
    if (error) {
        trt_py_set_error(error);
    }
}

/* Call what a strand wants called. An error becomes the work's, unless it has one. */
static void
call_python(Worker *w, trt_strand *s)
{
    trt_work *const work = trt_work_of(&s->frames.base);
    PyObject *const earlier = PyErr_Occurred() ? trt_py_take_error() : NULL;
    s->call_status = s->call_fn(s->call_arg);
    if (w->generation != trt_load_relaxed(&core->generation)) {
        lifecycle_end_child(Py_None); /* it has forked: the rest is the parent's */
    }
    if (PyErr_Occurred()) {
        PyObject *const error = trt_py_take_error();
        void *none = NULL;
        if (!trt_cas_acq_rel(&work->error, &none, error)) { /* [work-error] */
            Py_DECREF(error);
        }
        s->call_status = TRT_RAISED;
    }
    if (earlier) {
        trt_py_set_error(earlier);
    }
}

/* Go on with a strand on this Python stack until it has ended. */
static void
drive(Worker *w, trt_strand *s)
{
    s->waiter.resume = resume_host;
    for (;;) {
        trt_store_relaxed(&s->resumed, false);
        s->host = w->current;
        s->host_sleeps = !fiber_can_switch(w);
        PyThreadState *const tstate = PyEval_SaveThread();
        const trt_strand_why why = trt_strand_go(s);
        PyEval_RestoreThread(tstate);
        switch (why) {
        case TRT_STRAND_ENDED:
            return;
        case TRT_STRAND_WAITS:
            (s->host_sleeps ? sleep_until_resumed : park_until_resumed)(w, s);
            break;
        case TRT_STRAND_CALLS:
            call_python(w, s);
            break;
        }
    }
}

/* ---- work that begins here ------------------------------------------------------- */

void
native_cancel_locked(Fiber *fiber)
{
    for (trt_work *work = fiber->work; work; work = ((Work *)work)->outer) {
        trt_store_relaxed(&work->cancel, 1);
    }
}

bool
native_waits_for(const Fiber *fiber, const Fiber *caller)
{
    const trt_work *work = caller->serves ? fiber->work : NULL;
    while (work && work != caller->serves) {
        work = ((const Work *)work)->outer;
    }
    return work != NULL;
}

/* Enter the work where cancellation finds it. */
static void
enter_work(Fiber *fiber, Work *work)
{
    trt_mutex_lock(&core->waits);
    work->outer = fiber->work;
    fiber->work = &work->base;
    /* [cancel-wait] a request that has come before has not seen the work. */
    if (fiber->task && wait_cancel_requested(fiber->task)) {
        trt_store_relaxed(&work->base.cancel, 1);
    }
    trt_mutex_unlock(&core->waits);
}

static void
leave_work(Fiber *fiber, Work *work)
{
    trt_mutex_lock(&core->waits);
    fiber->work = work->outer;
    trt_mutex_unlock(&core->waits);
}

/* A status of the user's own, or without a better exception. */
static void
raise_native_error(int status, const char *message)
{
    PyObject *const errors = PyImport_ImportModule("taskrt.errors");
    PyObject *const type =
        errors ? PyObject_GetAttrString(errors, "NativeError") : NULL;
    PyObject *const error =
        type ? PyObject_CallFunction(type, "iz", status, message) : NULL;
    if (error) {
        PyErr_SetObject(type, error);
    }
    Py_XDECREF(error);
    Py_XDECREF(type);
    Py_XDECREF(errors);
}

/* Turn what came of the work into a result: None, or NULL with an error set. */
static PyObject *
outcome(Worker *w, const Work *work, int status)
{
    const char *const message = trt_load_relaxed(&work->base.message);
    PyObject *const raised = trt_load_acquire(&work->base.error); /* [work-error] */
    if (PyErr_Occurred()) {
        return NULL; /* thrown into the host */
    }
    if (raised) {
        trt_py_set_error(Py_NewRef(raised));
        return NULL;
    }
    switch (status) {
    case TRT_OK:
        Py_RETURN_NONE;
    case TRT_NO_MEMORY:
        return PyErr_NoMemory();
    case TRT_TOO_DEEP:
        PyErr_SetString(PyExc_RecursionError,
                        "native tasks nest too deeply: no memory for more stack");
        return NULL;
    case TRT_MISUSE:
        PyErr_SetString(PyExc_RuntimeError,
                        "a native task broke the rules of taskrt_native.h: it has to "
                        "join every child it has spawned, the newest first");
        return NULL;
    case TRT_CANCELLED:
        if (wait_checkpoint(w->current) == 0) {
            PyErr_SetString(core->cancelled_error,
                            message ? message : "a native task has cancelled itself");
        }
        return NULL;
    default:
        raise_native_error(status, message);
        return NULL;
    }
}

static void
work_free(Work *work)
{
    Py_XDECREF(work->context);
    Py_XDECREF((PyObject *)trt_load_relaxed(&work->base.error));
    trt_work_destroy(&work->base);
    free(work->neutral);
    free(work);
}

static Work *
work_new(trt_function fn, void *arg)
{
    Work *const work = calloc(1, sizeof *work);
    if (!work) {
        PyErr_NoMemory();
        return NULL;
    }
    trt_work_init(&work->base);
    work->first.fn = fn;
    work->first.arg = arg;
    PyObject *const context = PyThreadState_Get()->context;
    if (context) {
        work->context = PyContext_Copy(context);
        if (!work->context) {
            work_free(work);
            return NULL;
        }
    }
    return work;
}

/* Run it to its end, on a strand of this thread. Frees it. */
static PyObject *
run(Work *work)
{
    Worker *const w = worker_self();
    if (!w || wait_checkpoint(w->current) < 0) {
        work_free(work);
        return NULL;
    }
    Fiber *const fiber = w->current;
    trt_strand *const s = trt_strand_take(&w->crew.strands);
    if (!s) {
        work_free(work);
        return PyErr_NoMemory();
    }
    enter_work(fiber, work);
    trt_strand_begin(s, &work->first, &work->base.cancel);
    drive(w, s);
    const int status = s->status;
    trt_strand_give_back(&w->crew.strands, s);
    leave_work(fiber, work);
    PyObject *result = outcome(w, work, status);
    if (status != TRT_MISUSE) { /* or a child that was forgotten may still run */
        work_free(work);
    }
    if (fiber == &w->root && signals_resume_root(w) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* ---- work that others run -------------------------------------------------------- */

static bool
finds_python_work(Worker *w, uint32_t turn)
{
    return w->calls || fiber_any_ready(w) || w->base.kind == TRT_WORKER_MAIN ||
           trt_timers_next_deadline(&w->base.timers) != TRT_FOREVER ||
           lifecycle_must_retire(w) || trt_load_relaxed(&core->cancel_all) ||
           turn % TURNS == 0;
}

bool
native_serve_detached(Worker *w)
{
    if (!trt_crew_is_needed(&w->crew)) {
        return false;
    }
    const bool takes_nothing = lifecycle_takes_nothing(w);
    uint32_t turn = 0;
    bool found;
    do {
        found = takes_nothing ? trt_crew_resume(&w->crew) : trt_crew_serve(&w->crew);
        turn += found;
    } while (found && !finds_python_work(w, turn));
    return turn > 0;
}

bool
native_serve(Worker *w)
{
    if (!trt_crew_is_needed(&w->crew)) {
        return false;
    }
    PyThreadState *const tstate = PyEval_SaveThread();
    const bool served = native_serve_detached(w);
    PyEval_RestoreThread(tstate);
    return served;
}

void
native_take_call(trt_crew *crew, trt_strand *s)
{
    Worker *const w = (Worker *)((char *)crew - offsetof(Worker, crew));
    s->next = w->calls;
    w->calls = s;
}

/* A task that goes on with the first strand of w->calls; it starts at once. */
void
native_host_calls(Worker *w)
{
    trt_strand *const s = w->calls;
    const Work *const work = (Work *)trt_work_of(&s->frames.base);
    TaskObject *const task = task_new(core->host_function, NULL, 0, NULL);
    PyObject *context = NULL;
    if (task && (!work->context || (context = PyContext_Copy(work->context)))) {
        Py_XSETREF(task->context, context);
        trt_count(&w->base.counters.spawned);
        const bool claimed = trt_task_claim(&task->base);
        TRT_ASSERT(claimed);
        (void)claimed;
        fiber_start_task(w, task);
        return;
    }
    Py_XDECREF(task);
    PyErr_Clear();
    w->calls = s->next;
    s->call_status = TRT_NO_MEMORY; /* the call has not been made */
    trt_crew_go_on(&w->crew, s);
}

/* The function of that task. */
PyObject *
core_host_strand(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    trt_strand *const s = w->calls;
    w->calls = s->next;
    /* What it waits for must not wait for this work: see native_waits_for. */
    Fiber *const fiber = w->current;
    fiber->serves = trt_work_of(&s->frames.base);
    call_python(w, s);
    drive(w, s);
    fiber->serves = NULL;
    trt_crew_end(&w->crew, s);
    if (PyErr_Occurred()) {
        return NULL; /* thrown into this stack */
    }
    Py_RETURN_NONE;
}

/* ---- what Python calls ----------------------------------------------------------- */

/* A pointer from Python: an integer, or where a buffer begins, which stays put until
 * the view is released. 0 or −1. */
static int
get_pointer(PyObject *op, Py_buffer *view, int flags, void **pointer)
{
    *pointer = NULL;
    view->obj = NULL;
    if (op == Py_None) {
        return 0;
    }
    if (PyLong_Check(op)) {
        *pointer = PyLong_AsVoidPtr(op);
        return PyErr_Occurred() ? -1 : 0;
    }
    if (PyObject_GetBuffer(op, view, flags) < 0) {
        return -1;
    }
    *pointer = view->buf;
    return 0;
}

static void *
get_function(PyObject *op)
{
    void *const fn = PyLong_AsVoidPtr(op);
    if (!fn && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "the native function is a null pointer");
    }
    return fn;
}

static bool
check_count(const char *who, Py_ssize_t given, Py_ssize_t taken)
{
    if (given != taken) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)", who,
                     taken, given);
    }
    return given == taken;
}

/* _run_native(address, data): call int32_t fn(trt_context *, void *). */
PyObject *
core_run_native(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (!check_count("_run_native", nargs, 2)) {
        return NULL;
    }
    Py_buffer view;
    void *arg;
    void *const fn = get_function(args[0]);
    if (!fn || get_pointer(args[1], &view, PyBUF_SIMPLE, &arg) < 0) {
        return NULL;
    }
    Work *const work = work_new((trt_function)fn, arg);
    PyObject *const result = work ? run(work) : NULL;
    PyBuffer_Release(&view);
    return result;
}

static int
range_task(trt_context *ctx, void *arg)
{
    const Work *const work = arg;
    return trt_parallel_for(ctx, work->begin, work->end, work->grain,
                            (trt_range_function)work->fn, work->arg);
}

/* The parts of a loop that are numbers: begin, end, grain. 0 or −1. */
static int
get_range(PyObject *const *args, int64_t *begin, int64_t *end, int64_t *grain)
{
    *begin = PyLong_AsLongLong(args[0]);
    *end = PyErr_Occurred() ? 0 : PyLong_AsLongLong(args[1]);
    *grain = PyErr_Occurred() ? 0 : PyLong_AsLongLong(args[2]);
    return PyErr_Occurred() ? -1 : 0;
}

/* _run_native_range(address, begin, end, grain, data): call
 * int32_t fn(trt_context *, int64_t, int64_t, void *) for parts of the range. */
PyObject *
core_run_native_range(PyObject *Py_UNUSED(module), PyObject *const *args,
                      Py_ssize_t nargs)
{
    int64_t begin, end, grain;
    Py_buffer view;
    void *arg;
    if (!check_count("_run_native_range", nargs, 5)) {
        return NULL;
    }
    void *const fn = get_function(args[0]);
    if (!fn || get_range(args + 1, &begin, &end, &grain) < 0 ||
        get_pointer(args[4], &view, PyBUF_SIMPLE, &arg) < 0) {
        return NULL;
    }
    Work *const work = work_new(range_task, NULL);
    PyObject *result = NULL;
    if (work) {
        work->first.arg = work;
        work->fn = fn;
        work->arg = arg;
        work->begin = begin;
        work->end = end;
        work->grain = grain;
        result = run(work);
    }
    PyBuffer_Release(&view);
    return result;
}

/* ---- reductions ------------------------------------------------------------------ */

typedef int (*fold_function)(trt_context *, int64_t, int64_t, void *, void *);

static void
reduce_start(void *acc, void *arg)
{
    const Work *const work = arg;
    memcpy(acc, work->neutral, work->how.size);
}

static int
reduce_fold(trt_context *ctx, int64_t begin, int64_t end, void *acc, void *arg)
{
    const Work *const work = arg;
    return ((fold_function)work->fn)(ctx, begin, end, acc, work->arg);
}

static void
reduce_combine(void *acc, const void *after, void *arg)
{
    const Work *const work = arg;
    work->combine(acc, after, work->arg);
}

static int
reduce_task(trt_context *ctx, void *arg)
{
    Work *const work = arg;
    return trt_parallel_reduce(ctx, work->begin, work->end, work->grain, &work->how,
                               work, work->result);
}

/* Fill in what reduce_task needs, but for the numbers. */
static Work *
reduction_new(void *fold, void *combine, void *arg, const Py_buffer *result)
{
    Work *const work = work_new(reduce_task, NULL);
    if (!work) {
        return NULL;
    }
    work->first.arg = work;
    work->fn = fold;
    work->combine = (void (*)(void *, const void *, void *))combine;
    work->arg = arg;
    work->how = (trt_reduction){.size = (size_t)result->len,
                                .start = reduce_start,
                                .fold = reduce_fold,
                                .combine = reduce_combine};
    work->result = result->buf;
    work->neutral = malloc(work->how.size + 1);
    if (!work->neutral) {
        work_free(work);
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(work->neutral, result->buf, work->how.size);
    return work;
}

/* _run_native_reduce(fold, combine, begin, end, grain, data, result): fold the range
 * into the buffer `result`, whose content is the neutral element. */
PyObject *
core_run_native_reduce(PyObject *Py_UNUSED(module), PyObject *const *args,
                       Py_ssize_t nargs)
{
    int64_t begin, end, grain;
    Py_buffer data, result;
    void *arg;
    if (!check_count("_run_native_reduce", nargs, 7)) {
        return NULL;
    }
    void *const fold = get_function(args[0]);
    void *const combine = fold ? get_function(args[1]) : NULL;
    if (!combine || get_range(args + 2, &begin, &end, &grain) < 0 ||
        get_pointer(args[5], &data, PyBUF_SIMPLE, &arg) < 0) {
        return NULL;
    }
    PyObject *outcome = NULL;
    if (PyObject_GetBuffer(args[6], &result, PyBUF_WRITABLE) == 0) {
        Work *const work = reduction_new(fold, combine, arg, &result);
        if (work) {
            work->begin = begin;
            work->end = end;
            work->grain = grain;
            outcome = run(work);
        }
        PyBuffer_Release(&result);
    }
    PyBuffer_Release(&data);
    return outcome;
}
