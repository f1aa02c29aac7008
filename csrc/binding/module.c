/* The module taskrt._core: its functions, its state, its one entry point. */
#include "sync.h"

#include "blas.h"

#include <stdlib.h>
#include <string.h>

Core *core;
void **trt_greenlet_api;

static PyObject *
core_current_task(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    TaskObject *const task = w ? w->current->task : NULL;
    return Py_NewRef(task ? (PyObject *)task : Py_None);
}

/* _value_of(task): what it has returned, or None if it has not. No checkpoint. */
static PyObject *
core_value_of(PyObject *Py_UNUSED(module), PyObject *op)
{
    if (!Py_IS_TYPE(op, core->task_type)) {
        PyErr_SetString(PyExc_TypeError, "expected a Task");
        return NULL;
    }
    TaskObject *const task = (TaskObject *)op;
    const bool done = trt_task_get_state(&task->base) == TRT_TASK_DONE;
    return Py_NewRef(done ? task->result : Py_None);
}

PyObject *
core_locals(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    TaskObject *const task = w ? w->current->task : NULL;
    if (!task) {
        Py_RETURN_NONE;
    }
    if (!task->locals) {
        task->locals = PyDict_New();
    }
    return Py_XNewRef(task->locals);
}

static PyObject *
core_checkpoint(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    if (w && wait_checkpoint(w->current) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
core_cancel_requested(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    return PyBool_FromLong(w && wait_cancel_requested(w->current));
}

static PyObject *
core_thread_id(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    return w ? PyLong_FromLong(w->id) : NULL;
}

static PyObject *
core_is_interactive(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(worker_current && worker_is_interactive(worker_current));
}

PyDoc_STRVAR(
    spawn_doc,
    "spawn(fn, /, *args, **kwargs)\n--\n\n"
    "Call fn(*args, **kwargs) in a new task, in parallel; return the Task at once.\n\n"
    "Legal anywhere: in a task, on the main thread, on any other thread. Arguments "
    "are\n"
    "evaluated now, and the task sees a copy of the present context variables. It "
    "never runs\n"
    "inside this call. Raises TypeError if fn is not callable, ValueError if an "
    "environment\n"
    "variable of taskrt is wrong (at first use), RuntimeError while taskrt shuts down. "
    "Not a\n"
    "suspension point.\n\n"
    ">>> from taskrt import spawn, fetch\n"
    ">>> task = spawn(pow, 2, 10)\n"
    ">>> fetch(task)\n"
    "1024");
PyDoc_STRVAR(fetch_doc,
             "fetch(task, timeout=None)\n--\n\n"
             "Wait for a task and return its value.\n\n"
             "A task that nobody has started is run here, as a call, unless there is a "
             "timeout;\n"
             "otherwise the caller's thread runs other tasks meanwhile. timeout is in "
             "seconds, None for\n"
             "no limit, 0 to only look. Raises the task's own exception if it failed, "
             "CancelledError if\n"
             "it was cancelled, TimeoutError if time is up (the task goes on), "
             "DeadlockError if the\n"
             "wait could never end, TaskLostError for a task of the parent in a forked "
             "child. A\n"
             "suspension point and a checkpoint. Any thread, any number of times.");
PyDoc_STRVAR(
    wait_doc,
    "wait(*tasks, timeout=None)\n--\n\n"
    "Wait until all tasks have ended; return False if timeout seconds pass first.\n\n"
    "Never raises a task's own error and does not count as observing it. Raises\n"
    "DeadlockError and TaskLostError as fetch does. A suspension point and a "
    "checkpoint.");
PyDoc_STRVAR(
    current_task_doc,
    "current_task()\n--\n\n"
    "Return the task that this code runs in, or None. Not a suspension point.\n\n"
    ">>> from taskrt import current_task, fetch, spawn\n"
    ">>> task = spawn(current_task)\n"
    ">>> fetch(task) is task, current_task()\n"
    "(True, None)");
PyDoc_STRVAR(
    wait_readable_doc,
    "wait_readable(file, /, timeout=None)\n--\n\n"
    "Let the task wait until a read from `file` would not block; return whether so.\n\n"
    "file     a descriptor, or an object with fileno(): a socket, a pipe, a terminal\n"
    "timeout  seconds, None for no limit; then False is returned\n\n"
    "The end of the file, a hang-up and an error count as readable. Several tasks may "
    "wait for\n"
    "one file: all go on. Raises OSError for what cannot be waited for, such as a file "
    "on disk,\n"
    "Cancelled. Call notify_closing() before a file that is waited for is closed. A "
    "suspension\n"
    "point and a checkpoint.");
PyDoc_STRVAR(wait_writable_doc,
             "wait_writable(file, /, timeout=None)\n--\n\n"
             "Let the task wait until a write to `file` would not block; as "
             "wait_readable().");
PyDoc_STRVAR(notify_closing_doc,
             "notify_closing(file, /)\n--\n\n"
             "Let all go on that wait for `file`, which is about to be closed. Not a "
             "suspension\n"
             "point.");
PyDoc_STRVAR(
    sleep_doc,
    "sleep(seconds, /)\n--\n\n"
    "Let the task, or a thread outside of tasks, rest for that long; others run "
    "meanwhile.\n\n"
    "sleep(0) is yield_now(). Raises ValueError for a negative number or NaN, "
    "Cancelled. A\n"
    "suspension point and a checkpoint.");
PyDoc_STRVAR(yield_now_doc,
             "yield_now()\n--\n\n"
             "Let other tasks of this thread run; return whether any did.\n\n"
             "Returns at once if there is nothing else to run here. On a thread that "
             "is not taskrt's\n"
             "it yields the processor. A suspension point and a checkpoint.");
PyDoc_STRVAR(checkpoint_doc, "checkpoint()\n--\n\n"
                             "Raise Cancelled if the current task has been asked to "
                             "end. Not a suspension point.");
PyDoc_STRVAR(
    cancel_requested_doc,
    "cancel_requested()\n--\n\n"
    "Return whether the current task has been asked to end. Not a suspension point.");
PyDoc_STRVAR(
    thread_id_doc,
    "thread_id()\n--\n\n"
    "Return the number of this thread: 0 for main, 1 to num_threads() - 1 for the "
    "default pool's,\n"
    "-2 and less for interactive ones, -1 for any other.\n\n"
    "Constant within a task, since a started task stays on its thread. Not an index "
    "for\n"
    "scratch arrays: another task can run on this thread at every suspension point.");
PyDoc_STRVAR(
    num_threads_doc,
    "num_threads(pool='default')\n--\n\n"
    "Return how many threads run the tasks of a pool.\n\n"
    "pool  'default', main included, or 'interactive', whose threads start with "
    "its first\n"
    "      task. 0 of these: there are none, and the default pool runs the "
    "tasks\n\n"
    "Raises ValueError for another pool. Not a suspension point; any thread.");
PyDoc_STRVAR(set_num_threads_doc,
             "set_num_threads(n, /, pool='default')\n--\n\n"
             "Run the tasks of a pool on n threads (1 to 1024) from now on.\n\n"
             "pool  'default' or 'interactive'\n\n"
             "More threads start at once, interactive ones with the first interactive "
             "task. Threads that\n"
             "are too many end when the tasks that they have started have ended; main "
             "always stays. For\n"
             "applications: libraries leave this alone. Raises ValueError or TypeError "
             "for another n or\n"
             "pool, OSError if a thread cannot be started.");

PyDoc_STRVAR(
    select_doc,
    "select(*operations, timeout=None, default=...)\n--\n\n"
    "Do one of several operations, the first that is possible; return its index and "
    "its value.\n\n"
    "operations  channel.put_op(item), with the value None; channel.get_op(), the "
    "item;\n"
    "            event.wait_op(), True, and an autoreset event is no longer set then;\n"
    "            task.wait_op(), the task, which has ended; sleep_op(seconds), None\n"
    "timeout     seconds to wait at most; None for no limit, 0 or less only looks\n"
    "default     what is returned with the index -1 if none is possible: at once, or "
    "after\n"
    "            timeout seconds if that is given; without it, TimeoutError is "
    "raised\n\n"
    "If several are possible now, each is as likely as the others; none of the others "
    "leaves a\n"
    "trace. A step on a closed channel is possible, unless it gets an item that is "
    "left there,\n"
    "and ends with the error that put() or get() would raise; a ChannelClosed has the "
    "channel.\n"
    "Several may be for the same channel: a put and a get of it meet others, not each "
    "other.\n"
    "That a task has failed is not raised, and not observed by this. Raises ValueError "
    "without\n"
    "operations; TypeError for anything else; TaskLostError for a task of the process "
    "that has\n"
    "forked this one; Cancelled, see put() and get(). A suspension point, unless it "
    "only looks,\n"
    "and a checkpoint. Source: Go's select.\n\n"
    ">>> from taskrt import Channel, select\n"
    ">>> a, b = Channel(1), Channel(1)\n"
    ">>> b.put('from b')\n"
    ">>> select(a.get_op(), b.get_op())\n"
    "(1, 'from b')\n"
    ">>> select(a.get_op(), b.get_op(), default='nothing')\n"
    "(-1, 'nothing')");
PyDoc_STRVAR(
    sleep_op_doc,
    "sleep_op(seconds, /)\n--\n\n"
    "Return an operation for select() that is possible when so many seconds have "
    "passed.\n\n"
    "They begin with each select() that is given it. For a time limit of select() "
    "there is its\n"
    "timeout. Raises ValueError for a negative number or NaN. Not a suspension "
    "point.\n\n"
    ">>> from taskrt import Event, select, sleep_op\n"
    ">>> select(Event().wait_op(), sleep_op(0.001))\n"
    "(1, None)");

#define FAST(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL | METH_KEYWORDS
#define KEYWORDS(fn) (PyCFunction)(void (*)(void))(fn), METH_VARARGS | METH_KEYWORDS
static PyMethodDef functions[] = {
    {"spawn", FAST(core_spawn), spawn_doc},
    {"_make", FAST(core_make), "For timers."},
    {"_submit", core_submit, METH_O, "For timers."},
    {"_cancel_on_failure", core_cancel_on_failure, METH_O, "For groups."},
    {"_raise_when_caught", (PyCFunction)(void (*)(void))core_raise_when_caught,
     METH_FASTCALL, "For fail_after."},
    {"_subscribe", (PyCFunction)(void (*)(void))core_subscribe, METH_FASTCALL,
     "For interop."},
    {"_wait_all", (PyCFunction)(void (*)(void))core_wait_all, METH_FASTCALL,
     "For waits."},
    {"_spawn_after", FAST(core_spawn_after), "For timers."},
    {"_cancel_pending", core_cancel_pending, METH_O, "For interop.futures."},
    {"_error_of", core_error_of, METH_O, "For interop.futures."},
    {"_lend", core_lend, METH_NOARGS, "For interop.aio."},
    {"_run_own", core_run_own, METH_NOARGS, "For interop.aio."},
    {"_expect", core_expect, METH_O, "For interop.aio."},
    {"_serve_tasks", core_serve_tasks, METH_NOARGS, "For interop.aio."},
    {"_condition_wait", (PyCFunction)(void (*)(void))core_condition_wait, METH_FASTCALL,
     NULL},
    {"_condition_wake", (PyCFunction)(void (*)(void))core_condition_wake, METH_FASTCALL,
     NULL},
    {"_take_turn", core_take_turn, METH_NOARGS, "For parallel."},
    {"_call_each", core_call_each, METH_VARARGS, "For parallel."},
    {"_value_of", core_value_of, METH_O, "For groups."},
    {"_spares", core_spares, METH_NOARGS, "For tests."},
    {"_blocking_begin", core_blocking_begin, METH_NOARGS, "For blocking_calls."},
    {"_blocking_end", core_blocking_end, METH_NOARGS, "For blocking_calls."},
    {"_call_begin", core_call_begin, METH_NOARGS, "For blocking_calls."},
    {"_call_run", core_call_run, METH_O, "For blocking_calls."},
    {"_call_end", core_call_end, METH_O, "For blocking_calls."},
    {"_call_report", (PyCFunction)(void (*)(void))core_call_report, METH_FASTCALL,
     "For blocking_calls."},
    {"_blas_steer", core_blas_steer, METH_VARARGS, "For interop.blas."},
    {"_blas_release", core_blas_release, METH_NOARGS, "For interop.blas."},
    {"_blas_state", core_blas_state, METH_NOARGS, "For interop.blas."},
    {"_openmp_limit", core_openmp_limit, METH_VARARGS, "For interop.blas."},
    {"_locals", core_locals, METH_NOARGS, "For locals."},
    {"_random_key", core_random_key, METH_NOARGS, "For randoms."},
    {"_random_child", core_random_child, METH_NOARGS, "For randoms."},
    {"_seed_random", core_seed_random, METH_O, "For randoms."},
    {"_aside", FAST(core_aside), "For parallel."},
    {"fetch", FAST(core_fetch), fetch_doc},
    {"wait", FAST(core_wait), wait_doc},
    {"current_task", core_current_task, METH_NOARGS, current_task_doc},
    {"yield_now", core_yield_now, METH_NOARGS, yield_now_doc},
    {"sleep", core_sleep, METH_O, sleep_doc},
    {"wait_readable", (PyCFunction)(void (*)(void))core_wait_readable,
     METH_FASTCALL | METH_KEYWORDS, wait_readable_doc},
    {"wait_writable", (PyCFunction)(void (*)(void))core_wait_writable,
     METH_FASTCALL | METH_KEYWORDS, wait_writable_doc},
    {"notify_closing", core_notify_closing, METH_O, notify_closing_doc},
    {"select", FAST(core_select), select_doc},
    {"sleep_op", core_sleep_op, METH_O, sleep_op_doc},
    {"checkpoint", core_checkpoint, METH_NOARGS, checkpoint_doc},
    {"cancel_requested", core_cancel_requested, METH_NOARGS, cancel_requested_doc},
    {"thread_id", core_thread_id, METH_NOARGS, thread_id_doc},
    {"num_threads", KEYWORDS(core_num_threads), num_threads_doc},
    {"set_num_threads", KEYWORDS(core_set_num_threads), set_num_threads_doc},
    {"_is_interactive", core_is_interactive, METH_NOARGS, "For parallel."},
    {"_shutdown", core_shutdown, METH_VARARGS, "For runtime.shutdown."},
    {"_stats", core_stats, METH_NOARGS, "For runtime.stats."},
    {"_state", core_state, METH_NOARGS, "For runtime.info."},
    {"_at_exit", core_at_exit, METH_O, "For runtime._install_hooks."},
    {"_after_fork", core_after_fork, METH_NOARGS, "For runtime._install_hooks."},
    {"_run_native", (PyCFunction)(void (*)(void))core_run_native, METH_FASTCALL, NULL},
    {"_run_native_range", (PyCFunction)(void (*)(void))core_run_native_range,
     METH_FASTCALL, NULL},
    {"_run_native_reduce", (PyCFunction)(void (*)(void))core_run_native_reduce,
     METH_FASTCALL, NULL},
    {"_merge", core_merge, METH_VARARGS, NULL},
    {"_merge_path", core_merge_path, METH_VARARGS, NULL},
    {"_fill", core_fill, METH_VARARGS, NULL},
    {"_copy", core_copy, METH_VARARGS, NULL},
    {"_sum", core_sum, METH_O, NULL},
    {"_sort", core_sort, METH_VARARGS, NULL},
    {"_argsort", core_argsort, METH_VARARGS, NULL},
    {"_stack_id", core_stack_id, METH_NOARGS, "For _imports."},
    {"_never_lets_go", (PyCFunction)(void (*)(void))core_never_lets_go, METH_FASTCALL,
     "For _imports."},
    {"_on_collection", (PyCFunction)(void (*)(void))core_on_collection, METH_FASTCALL,
     "For runtime._install_hooks."},
    {NULL, NULL, 0, NULL},
};
#undef FAST
#undef KEYWORDS

/* Callables for greenlet and the signal module; not names of the module. */
static PyMethodDef runner_def = {"runner", fiber_runner, METH_NOARGS, NULL};
static PyMethodDef hub_def = {"hub", hub_main, METH_NOARGS, NULL};
static PyMethodDef host_def = {"host", core_host_strand, METH_NOARGS, NULL};
static PyMethodDef interrupt_def = {
    "interrupt", (PyCFunction)(void (*)(void))core_on_interrupt, METH_FASTCALL,
    "Handler of SIGINT while the main thread runs somebody else's task."};

static PyTypeObject *
add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base)
{
    PyObject *const type = PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
    if (type && PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_DECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

/* The primitives' types. */
static int
add_primitives(PyObject *module, Core *state)
{
    state->waiter_type = add_type(module, &waiter_spec, NULL);
    state->loan_type = add_type(module, &loan_spec, NULL);
    state->channel_type = add_type(module, &channel_spec, NULL);
    state->semaphore_type = add_type(module, &semaphore_spec, NULL);
    state->lock_type = add_type(module, &lock_spec, NULL);
    state->rlock_type = add_type(module, &rlock_spec, NULL);
    return state->waiter_type && state->loan_type && state->channel_type &&
                   state->semaphore_type && state->lock_type && state->rlock_type &&
                   add_type(module, &bounded_spec, state->semaphore_type) &&
                   add_type(module, &event_spec, NULL) &&
                   add_type(module, &tally_spec, NULL) &&
                   add_type(module, &guard_spec, NULL) &&
                   add_type(module, &arrivals_spec, NULL) &&
                   add_type(module, &roster_spec, NULL) &&
                   add_type(module, &isolated_spec, NULL) &&
                   add_type(module, &atomic_spec, NULL)
               ? 0
               : -1;
}

static int
get_errors(Core *state)
{
    PyObject *const errors = PyImport_ImportModule("taskrt.errors");
    PyObject *const queue = errors ? PyImport_ImportModule("queue") : NULL;
    if (!queue) {
        Py_XDECREF(errors);
        return -1;
    }
    const struct {
        PyObject **where, *module;
        const char *name;
    } names[] = {
        {&state->cancelled_error, errors, "CancelledError"},
        {&state->cancelled, errors, "Cancelled"},
        {&state->deadlock_error, errors, "DeadlockError"},
        {&state->lost_error, errors, "TaskLostError"},
        {&state->native_error, errors, "NativeError"},
        {&state->channel_closed, errors, "ChannelClosed"},
        {&state->queue_empty, queue, "Empty"},
        {&state->queue_full, queue, "Full"},
    };
    int status = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        *names[i].where = PyObject_GetAttrString(names[i].module, names[i].name);
        if (!*names[i].where) {
            status = -1;
        }
    }
    Py_DECREF(errors);
    Py_DECREF(queue);
    return status;
}

static int
get_names(Core *state)
{
    const struct {
        PyObject **where;
        const char *name;
    } names[] = {
        {&state->str.timeout, "timeout"},
        {&state->str.asyncio_events, "asyncio.events"},
        {&state->str.get_running_loop, "_get_running_loop"},
        {&state->str.set_running_loop, "_set_running_loop"},
        {&state->str.threading, "threading"},
        {&state->str.enumerate, "enumerate"},
        {&state->str.ident, "ident"},
        {&state->str.daemon, "daemon"},
        {&state->str.notes, "__notes__"},
        {&state->str.add_note, "add_note"},
        {&state->str.split, "split"},
        {&state->str.interop_aio, "taskrt.interop.aio"},
        {&state->str.await_task, "_await_task"},
        {&state->str.fallback, "default"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        *names[i].where = PyUnicode_InternFromString(names[i].name);
        if (!*names[i].where) {
            return -1;
        }
    }
    return 0;
}

static int
get_inherit(Core *state)
{
    PyObject *const module = PyImport_ImportModule("taskrt._inherit");
    state->inherit = module ? PyObject_GetAttrString(module, "INHERIT") : NULL;
    Py_XDECREF(module);
    return state->inherit ? 0 : -1;
}

static int
core_exec(PyObject *module)
{
    /* The interpreter declares what it refuses from 3.12 on; 3.11 asks here. */
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(
            PyExc_ImportError,
            "taskrt cannot be used in a subinterpreter: its threads and their "
            "greenlets belong to one interpreter; import it in the main one");
        return -1;
    }
    if (core) {
        PyErr_SetString(PyExc_ImportError,
                        "taskrt._core can be loaded once per process, and it has been");
        return -1;
    }
    PyGreenlet_Import();
    if (!_PyGreenlet_API) {
        return -1;
    }
    Core *const state = PyModule_GetState(module);
    memset(state, 0, sizeof *state);
    trt_mutex_init(&state->waits);
    trt_mutex_init(&state->life);
    trt_mutex_init(&state->contexts);
    trt_mutex_init(&state->limits);
    state->task_type = add_type(module, &task_spec, NULL);
    state->spawner_type = add_type(module, &spawner_spec, NULL);
    state->scope_type = add_type(module, &scope_spec, NULL);
    PyTypeObject *const limit_type = add_type(module, &limit_spec, NULL);
    state->family_type = add_type(module, &family_spec, NULL);
    state->operation_type = add_type(module, &operation_spec, NULL);
    state->subscription_type = add_type(module, &subscription_spec, NULL);
    state->countdown_type = add_type(module, &countdown_spec, NULL);
    state->minus_one = PyLong_FromLong(-1);
    state->runner_function = PyCFunction_New(&runner_def, NULL);
    state->hub_function = PyCFunction_New(&hub_def, NULL);
    state->host_function = PyCFunction_New(&host_def, NULL);
    state->interrupt_function = PyCFunction_New(&interrupt_def, NULL);
    if (!limit_type || !state->task_type || !state->spawner_type ||
        !state->scope_type || !state->family_type || !state->operation_type ||
        !state->subscription_type || !state->countdown_type || !state->minus_one ||
        !state->runner_function || !state->hub_function || !state->host_function ||
        !state->interrupt_function || get_names(state) < 0 ||
        add_primitives(module, state) < 0 || get_errors(state) < 0 ||
        get_inherit(state) < 0 ||
        PyModule_AddStringConstant(module, "__version__", TASKRT_VERSION) < 0 ||
        lineage_init() < 0 || capi_add(module) < 0) {
        return -1;
    }
    core = state;
    Py_INCREF(module); /* threads use the state until the process ends */
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, core_exec},
    TRT_PY_SLOT_INTERPRETERS TRT_PY_SLOT_GIL{0, NULL},
};

static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "taskrt._core",
    .m_doc = "Tasks, their stacks and their threads: the compiled part of taskrt.",
    .m_size = sizeof(Core),
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&module_def);
}
