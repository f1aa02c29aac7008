/* Running a task, and ending one: what every way to a task's end goes through. */
#include "core.h"

#include "blas.h"

/* Notes on one exception object that passes through many tasks, or is raised by many:
 * beyond this they tell nobody anything and only take memory. */
enum { NOTES_MAX = 16 };

/* Give up what the task was made of. Objects may run code as they die, in no task. */
static inline void
drop_call(TaskObject *task)
{
    PyObject *const fn = task->fn, *const kwnames = task->kwnames;
    PyObject *const context = task->context;
    PyObject *const locals = task->locals;
    task->fn = task->kwnames = task->context = task->locals = NULL;
    for (Py_ssize_t i = Py_SIZE(task); i-- > 0;) {
        Py_CLEAR(task->args[i]);
    }
    Py_XDECREF(locals);
    Py_XDECREF(kwnames);
    Py_XDECREF(context);
    Py_XDECREF(fn);
}

/* Note on the exception which task it comes from. Failing to is no reason to lose it.
 */
static void
add_note(TaskObject *task, PyObject *exception)
{
    PyObject *note = NULL;
    PyObject *const notes = PyObject_GetAttr(exception, core->str.notes);
    const bool full =
        notes && PyList_Check(notes) && PyList_GET_SIZE(notes) >= NOTES_MAX;
    PyErr_Clear();
    Py_XDECREF(notes);
    PyObject *const name = full ? NULL : task_name(task);
    if (name) {
        note = task->site
                   ? PyUnicode_FromFormat("in task %U, spawned at %U", name, task->site)
                   : PyUnicode_FromFormat("in task %U", name);
    }
    if (note) {
        Py_XDECREF(PyObject_CallMethodOneArg(exception, core->str.add_note, note));
    }
    PyErr_Clear();
    Py_XDECREF(note);
    Py_XDECREF(name);
}

static void
fire_waiters(trt_waiter *all)
{
    enum { WAITERS, CALLBACKS, ROSTERS, KINDS };
    trt_waiter *first[KINDS] = {NULL}, **last[KINDS];
    for (int kind = 0; kind < KINDS; kind++) {
        last[kind] = &first[kind];
    }
    for (trt_waiter *w = all; w; w = w->next) {
        const int kind = task_waiter_is_callback(w) ? CALLBACKS
                         : roster_is_waiter(w)      ? ROSTERS
                                                    : WAITERS;
        *last[kind] = w;
        last[kind] = &w->next;
    }
    for (int kind = 0; kind < KINDS; kind++) {
        *last[kind] = NULL;
    }
    for (int kind = 0; kind < KINDS; kind++) {
        trt_waiters_fire(first[kind]);
    }
}

/* Release everybody who waits, and only then call back: a callback may take its time.
 * Last of all tell rosters: who waits for one waits for the callbacks too. */
static inline void
release_waiters(TaskObject *task)
{
    trt_waiter *const first = trt_waiters_close(&task->base.waiters);
    if (first) {
        fire_waiters(first);
    }
}

/* Count what an exit waits for, and have main look whether that was all. */
static inline void
count_end(TaskObject *task)
{
    if (task->lineage.generation != trt_load_relaxed(&core->generation)) {
        return; /* a parent's task, ended in a forked child */
    }
    if (task_flag(task, TRT_TASK_DETACHED)) {
        trt_fetch_sub_seq_cst(&core->detached_live, 1);
    }
    if (trt_load_relaxed(&core->draining) && core->main != worker_current) {
        trt_parker_unpark(&core->main->base.parker);
    }
}

void
task_conclude(TaskObject *task, enum trt_task_state final, PyObject *result)
{
    Worker *const w = worker_current;
    drop_call(task);
    task->result = result;
    if (result && PyObject_IS_GC(result)) {
        PyObject_GC_Track(task); /* from now on it can be part of a cycle */
    }
    if (final == TRT_TASK_FAILED && task->scope) {
        scope_fail(task->scope); /* its siblings know before anybody who waits for it */
    }
    trt_count(&w->base.counters.ran);
    trt_task_finish(&task->base, final); /* [task-result] */
    release_waiters(task);
    count_end(task);
    if (final == TRT_TASK_FAILED && task_flag(task, TRT_TASK_DETACHED | TASK_REPORTS)) {
        task_report(task);
    }
}

bool
task_cancel_pending(TaskObject *task)
{
    if (!trt_task_cancel_pending(&task->base)) {
        return false;
    }
    const bool was_counted = !task_flag(task, TASK_HELD) || !spawn_release(task);
    if (was_counted &&
        task->lineage.generation == trt_load_relaxed(&core->generation)) {
        trt_fetch_add_seq_cst(&core->never_ran, 1);
    }
    if (task->limit) {
        limit_pass_on(task->limit);
    }
    drop_call(task);
    release_waiters(task);
    count_end(task);
    return true;
}

/* A group of exceptions without what is Cancelled in it; NULL if that was all. Any
 * other error is returned as it is. */
static PyObject *
without_cancelled(PyObject *error)
{
    PyObject *rest;
    if (!PyErr_GivenExceptionMatches(error, PyExc_BaseExceptionGroup)) {
        return error;
    }
    if (wait_split_cancelled(error, &rest) < 0) {
        PyErr_Clear(); /* a subclass that cannot be split stays whole */
        return error;
    }
    Py_DECREF(error);
    return rest;
}

/* What became of a call that has raised: takes the error. */
static enum trt_task_state
take_failure(TaskObject *task, PyObject **result)
{
    PyObject *error = trt_py_take_error();
    error = without_cancelled(error);
    if (!error || PyErr_GivenExceptionMatches(error, core->cancelled) ||
        PyErr_GivenExceptionMatches(error, PyExc_GreenletExit)) {
        Py_XDECREF(error);
        *result = NULL;
        return TRT_TASK_CANCELLED;
    }
    task->traceback = PyException_GetTraceback(error);
    add_note(task, error);
    *result = error;
    return TRT_TASK_FAILED;
}

/* Take a task that has returned off its stack. It is the innermost one, since tasks
 * run on one greenlet, see fiber_is_at_home; but for what native code calls while its
 * thread sleeps on another, if that is left in the middle. */
static void
unlink_task(Fiber *fiber, TaskObject *task, ScopeObject *outer_scope)
{
    if (fiber->task == task) {
        fiber->task = task->outer;
        fiber->scope = outer_scope;
        return;
    }
    TaskObject *above = fiber->task;
    while (above && above->outer != task) {
        above = above->outer;
    }
    if (above) {
        above->outer = task->outer;
    }
}

/* Call what the task is to run, in its own surroundings: its result or NULL. */
static inline PyObject *
call_function(Worker *w, TaskObject *task)
{
    PyThreadState *const tstate = PyThreadState_Get();
    Surroundings saved;
    if (context_enter(tstate, task, &saved) < 0) {
        return NULL;
    }
    blas_begin_task(w);
    const size_t nkw = task->kwnames ? (size_t)PyTuple_GET_SIZE(task->kwnames) : 0;
    PyObject *const result = PyObject_Vectorcall(
        task->fn, task->args,
        ((size_t)Py_SIZE(task) - nkw) | PY_VECTORCALL_ARGUMENTS_OFFSET, task->kwnames);
    if (task->lineage.generation != trt_load_relaxed(&core->generation)) {
        lifecycle_end_child(result);
    }
    context_leave(tstate, task, &saved);
    return result;
}

/* A foreign thread begins a task. Whether it counts as running one from now on. */
static bool
begin_foreign(Fiber *fiber, TaskObject *task)
{
    Py_INCREF(task); /* for leave_begun() */
    const bool enters = fiber->worker->is_joined && !fiber->task;
    if (enters) {
        trt_fetch_add_seq_cst(&core->foreign_running, 1);
    }
    return enters;
}

void
task_execute(Fiber *fiber, TaskObject *task)
{
    PyObject *result = NULL;
    const bool is_foreign = fiber->worker->base.kind == TRT_WORKER_FOREIGN;
    const bool enters_foreign = is_foreign && begin_foreign(fiber, task);
    ScopeObject *const outer_scope = fiber->scope;
    LimitObject *const outer_limit = fiber->limit, *const outer_held = fiber->held;
    const bool limited = outer_limit || task->limit;
    const bool may_run = !limited || limit_begin(fiber, task) == 0;
    task->outer = fiber->task;
    trt_store_relaxed(&task->fiber, fiber);
    fiber->task = task;
    fiber->scope = task->scope;
    if (!may_run || (task->scope && wait_checkpoint(fiber) < 0)) {
        /* Interrupted or cancelled before it has begun: it never runs. */
    } else {
        result = call_function(fiber->worker, task);
    }
    enum trt_task_state final = TRT_TASK_DONE;
    if (!result) {
        final = take_failure(task, &result);
    }
    scope_unwind(fiber, task->scope);
    unlink_task(fiber, task, outer_scope);
    if (limited || fiber->limit) { /* the latter: a block that was not left */
        limit_end(fiber, task, outer_limit, outer_held);
    }
    if (enters_foreign) {
        trt_fetch_sub_seq_cst(&core->foreign_running,
                              1); /* then count_end wakes main */
    }
    task_conclude(task, final, result);
    if (is_foreign) {
        Py_DECREF(task);
    }
}
