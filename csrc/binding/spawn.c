/* spawn(), and Spawner for what spawn has no room for. */
#include "core.h"

#include <structmember.h>

#include <stddef.h>

/* Spawns between two looks for stale entries at the oldest end of the deque. */
enum { TIDY_PERIOD = 256 };

/* Count a new task, before others can end it: see exit_live_tasks. */
static inline void
count_new(Worker *w, TaskObject *task)
{
    if (task_flag(task, TRT_TASK_DETACHED)) {
        trt_fetch_add_seq_cst(&core->detached_live, 1);
    }
    trt_count(&w->base.counters.spawned);
}

/* What a task has from the one that spawns it: random numbers, a limit, and whom main
 * leaves it to, see TASK_FOREIGN. */
static inline void
inherit(Worker *w, TaskObject *task)
{
    lineage_inherit(&task->lineage, lineage_here(w));
    task->limit =
        (LimitObject *)Py_XNewRef((PyObject *)limit_in_force(w->current->limit));
    const TaskObject *const parent = w->current->task;
    if (parent ? task_flag(parent, TASK_FOREIGN) : w->base.kind == TRT_WORKER_FOREIGN) {
        trt_task_set_flags(&task->base, TASK_FOREIGN);
    }
}

/* The same for one under a limit: nobody is woken for what could not start. The push
 * comes first, so that who gives a place back after the look finds it. */
static int
push_limited(Worker *w, TaskObject *task)
{
    const int error = trt_deque_push(&w->base.deque, task_as_item(task));
    if (!error && !limit_is_full(task->limit)) {
        trt_pool_notify(w->base.pool);
    }
    return error;
}

/* The same for one that not every thread of the default team may start. */
static int
push_apart(Worker *w, TaskObject *task)
{
    return task_flag(task, TRT_TASK_PINNED)
               ? trt_deque_push(&w->pinned, task_as_item(task))
               : trt_pool_post(w->base.pool, task_as_item(task));
}

/* Put a task where a thread finds it. 0 or a negative errno. */
static inline int
enqueue(Worker *w, TaskObject *task)
{
    const bool apart = task_flag(task, TRT_TASK_PINNED | TASK_INTERACTIVE);
    if (trt_load_relaxed(&w->base.counters.spawned) % TIDY_PERIOD == 0) {
        entries_tidy_oldest(
            w); /* of what others have fetched, if this one only spawns */
        entries_tidy_posted();
    }
    Py_INCREF(task); /* the queue's */
    int error;
    if (apart) {
        error = push_apart(w, task);
    } else if (task->limit) {
        error = push_limited(w, task);
    } else {
        error = trt_worker_push(&w->base, task_as_item(task));
    }
    if (error) {
        task_cancel_pending(task);
        Py_DECREF(task);
    }
    return error;
}

/* Hand a new task to the pool; takes over the reference, returns it to the caller. */
static inline PyObject *
submit(Worker *w, TaskObject *task)
{
    count_new(w, task);
    inherit(w, task);
    if (enqueue(w, task)) {
        Py_DECREF(task);
        return PyErr_NoMemory();
    }
    return (PyObject *)task;
}

static Worker *
accepting_slow(void)
{
    if (!lifecycle_accepts(worker_current)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(
                PyExc_RuntimeError,
                "cannot spawn: taskrt is shutting down; spawn before the main "
                "thread ends or calls shutdown()");
        }
        return NULL;
    }
    if (trt_load_relaxed(&core->threads) == 0 && lifecycle_start() < 0) {
        return NULL;
    }
    return worker_self();
}

/* The worker to spawn from, and a pool that runs. */
static inline Worker *
accepting(void)
{
    Worker *const w = worker_current;
    const bool usual =
        w && !trt_load_relaxed(&core->closing) && trt_load_relaxed(&core->threads) > 0;
    return usual ? w : accepting_slow();
}

/* What every spawn checks: that, and a callable. */
static inline Worker *
prepare(const char *who, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1) {
        PyErr_Format(PyExc_TypeError, "%s takes a callable and its arguments", who);
        return NULL;
    }
    if (!PyCallable_Check(args[0])) {
        PyErr_Format(PyExc_TypeError, "%s takes a callable first, not '%.100s'", who,
                     Py_TYPE(args[0])->tp_name);
        return NULL;
    }
    return accepting();
}

PyObject *
core_spawn(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    Worker *const w = prepare("spawn()", args, nargs);
    if (!w) {
        return NULL;
    }
    TaskObject *const task = task_new(args[0], args + 1, nargs - 1, kwnames);
    if (!task) {
        return NULL;
    }
    if (core->debug) {
        debug_note_spawn(task);
    }
    return submit(w, task);
}

TaskObject *
spawn_born(Worker **worker, ScopeObject *scope, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    Worker *const w = *worker = prepare("spawn()", args, nargs);
    if (!w) {
        return NULL;
    }
    TaskObject *const task = task_new(args[0], args + 1, nargs - 1, kwnames);
    if (!task) {
        return NULL;
    }
    task->scope = (ScopeObject *)Py_XNewRef((PyObject *)scope);
    if (core->debug) {
        debug_note_spawn(task);
    }
    count_new(w, task);
    inherit(w, task);
    return task;
}

void
spawn_give_up(TaskObject *task)
{
    PyObject *const error = PyErr_Occurred() ? trt_py_take_error() : NULL;
    task_cancel_pending(task);
    Py_DECREF(task);
    if (error) {
        trt_py_set_error(error);
    }
}

int
spawn_enqueue(Worker *w, TaskObject *task)
{
    if (enqueue(w, task)) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* ---- tasks for later ------------------------------------------------------------- */

/* A task that is made now and submitted later is held until then: no wait for it runs
 * it, no thread finds it. It is counted, so that exit waits for it, when it is made or
 * only when it is submitted. In the second case one that is cancelled before must not
 * count as ended: whoever sets TASK_RELEASED first, the one that submits or the one
 * that cancels, knows that it was not counted yet. */

TaskObject *
spawn_held(long how, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Worker *const w = prepare(
        how & MAKE_LAZY ? "Task()" : "spawn_after() or spawn_later()", args, nargs);
    if (!w) {
        return NULL;
    }
    TaskObject *const task = task_new(args[0], args + 1, nargs - 1, kwnames);
    if (!task) {
        return NULL;
    }
    if (core->debug) {
        debug_note_spawn(task);
    }
    const bool counted = how & MAKE_COUNTED;
    trt_task_set_flags(&task->base,
                       TASK_HELD | (how & MAKE_LAZY ? (uint32_t)TASK_LAZY : 0u) |
                           (how & MAKE_DETACHED ? (uint32_t)TRT_TASK_DETACHED : 0u));
    inherit(w, task);
    if (how & MAKE_FOREIGN && trt_load_relaxed(&core->threads) > 1) {
        trt_task_set_flags(&task->base, TASK_FOREIGN);
    }
    if (counted) {
        trt_task_set_flags(&task->base, TASK_COUNTED);
        count_new(w, task);
    }
    return task;
}

/* _make(how, fn, /, *args, **kwargs): a task that _submit() lets run. `how`: the sum of
 * what the enum says. */
PyObject *
core_make(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
          PyObject *kwnames)
{
    const long how = nargs > 0 ? PyLong_AsLong(args[0]) : 0;
    if (how == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return (PyObject *)spawn_held(how, args + 1, nargs - 1, kwnames);
}

/* Task(fn, /, *args, **kwargs) is held until schedule(), or until somebody waits for
 * it. Only the collector knows of it before, so it is tracked as long. */

static PyObject *
make_lazy(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs,
          PyObject *kwnames)
{
    TaskObject *const task = spawn_held(MAKE_LAZY, args, nargs, kwnames);
    if (task) {
        PyObject_GC_Track(task);
    }
    return (PyObject *)task;
}

/* The type's tp_new. */
PyObject *
spawn_new_lazy(PyTypeObject *Py_UNUSED(type), PyObject *args, PyObject *kwargs)
{
    static PyMethodDef def = {"Task", (PyCFunction)(void (*)(void))make_lazy,
                              METH_FASTCALL | METH_KEYWORDS, NULL};
    PyObject *const maker = PyCFunction_New(&def, NULL);
    PyObject *const task = maker ? PyObject_Call(maker, args, kwargs) : NULL;
    Py_XDECREF(maker);
    return task;
}

/* Let a held task run, unless somebody has, or has cancelled it. 0 or −1. */
static int
let_run(Worker *w, TaskObject *task)
{
    const uint32_t before = trt_task_set_flags(&task->base, TASK_RELEASED);
    if (before & TASK_RELEASED) {
        return 0;
    }
    if (before & TASK_LAZY) {
        PyObject_GC_UnTrack(task);
    }
    if (!(before & TASK_COUNTED)) {
        count_new(w, task);
    }
    return spawn_enqueue(w, task);
}

int
spawn_schedule(TaskObject *task)
{
    if (task_flag(task, TASK_RELEASED)) {
        return 0;
    }
    Worker *const w = accepting();
    return w ? let_run(w, task) : -1;
}

bool
spawn_release(TaskObject *task)
{
    const uint32_t before = trt_task_set_flags(&task->base, TASK_RELEASED);
    return !(before & (TASK_RELEASED | TASK_COUNTED));
}

/* _submit(task): let a task run that _make() has made. Nothing if it was cancelled, or
 * belongs to a parent process. */
PyObject *
core_submit(PyObject *Py_UNUSED(module), PyObject *op)
{
    if (!Py_IS_TYPE(op, core->task_type) || !task_flag((TaskObject *)op, TASK_HELD)) {
        PyErr_SetString(PyExc_TypeError, "_submit() takes a task made by _make()");
        return NULL;
    }
    TaskObject *const task = (TaskObject *)op;
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    if (task->lineage.generation != trt_load_relaxed(&core->generation)) {
        Py_RETURN_NONE;
    }
    return let_run(w, task) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- Spawner --------------------------------------------------------------------- */

typedef struct SpawnerObject {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *name;    /* str or NULL */
    PyObject *context; /* a Context, Py_None for an empty one, or NULL to inherit */
    uint32_t flags;    /* TRT_TASK_PINNED, TRT_TASK_DETACHED */
    int pool;          /* a team, or SAME_TEAM; constant */
} SpawnerObject;

/* In place of a team: that of the thread that spawns. */
enum { SAME_TEAM = TRT_TEAMS };

/* The worker to spawn from, with threads there for what the spawner asks for. */
static Worker *
prepare_pool(const SpawnerObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    Worker *const w = prepare("Spawner()()", args, nargs);
    if (!w || self->pool != TRT_INTERACTIVE ||
        trt_load_relaxed(&core->interactive) > 0) {
        return w;
    }
    return lifecycle_start_interactive() < 0 ? NULL : worker_self();
}

/* Whether a task is the interactive team's. Without threads there is no such team, nor
 * in exit functions, where main runs everything. */
static bool
is_interactive(const SpawnerObject *self, const Worker *w)
{
    if (self->pool == SAME_TEAM) {
        return worker_is_interactive(w);
    }
    return self->pool == TRT_INTERACTIVE && trt_load_relaxed(&core->interactive) > 0 &&
           !trt_load_relaxed(&core->exited);
}

static PyObject *
spawner_vectorcall(PyObject *op, PyObject *const *args, size_t nargsf,
                   PyObject *kwnames)
{
    SpawnerObject *const self = (SpawnerObject *)op;
    const Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    Worker *const w = prepare_pool(self, args, nargs);
    if (!w) {
        return NULL;
    }
    TaskObject *const task = task_new(args[0], args + 1, nargs - 1, kwnames);
    if (!task) {
        return NULL;
    }
    task->name = Py_XNewRef(self->name);
    if (self->context) {
        PyObject *const context =
            self->context == Py_None ? NULL : Py_NewRef(self->context);
        Py_XSETREF(task->context, context);
    }
    if (core->debug) {
        debug_note_spawn(task);
    }
    if (self->flags) {
        trt_task_set_flags(&task->base, self->flags);
        if (self->flags & TRT_TASK_PINNED) {
            trt_store_relaxed(&task->pinned_to, w);
        }
    }
    if (is_interactive(self, w)) {
        trt_task_set_flags(&task->base, TASK_INTERACTIVE);
    }
    return submit(w, task);
}

/* What a spawner's pool=... means, or −1 with an error set. */
static int
read_pool(PyObject *pool, bool pinned)
{
    if (pool == Py_None) {
        return pinned ? SAME_TEAM : TRT_DEFAULT;
    }
    const int team = settings_pool(pool, SAME_TEAM);
    if (team < 0 || !pinned || team == SAME_TEAM) {
        return team;
    }
    PyErr_Format(PyExc_ValueError,
                 "a pinned task runs on the thread that spawns it, so pool cannot be "
                 "%R: leave one of the two out",
                 pool);
    return -1;
}

static PyObject *
spawner_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"name", "pool", "pinned", "context", "detached", NULL};
    PyObject *name = Py_None, *pool = Py_None, *context = core->inherit;
    int pinned = 0, detached = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOpOp:Spawner", keywords, &name,
                                     &pool, &pinned, &context, &detached)) {
        return NULL;
    }
    const int team = read_pool(pool, pinned);
    if (team < 0) {
        return NULL;
    }
    if (name != Py_None && !PyUnicode_Check(name)) {
        return PyErr_Format(PyExc_TypeError, "name must be a str or None, not '%.100s'",
                            Py_TYPE(name)->tp_name);
    }
    if (context != core->inherit && context != Py_None &&
        !PyContext_CheckExact(context)) {
        return PyErr_Format(
            PyExc_TypeError,
            "context must be a contextvars.Context, None for an empty one, "
            "or INHERIT, not '%.100s'",
            Py_TYPE(context)->tp_name);
    }
    SpawnerObject *const self = (SpawnerObject *)type->tp_alloc(type, 0);
    if (!self) {
        return NULL;
    }
    self->vectorcall = spawner_vectorcall;
    self->pool = team;
    self->name = name == Py_None ? NULL : Py_NewRef(name);
    self->context = context == core->inherit ? NULL : Py_NewRef(context);
    self->flags =
        (self->context && context != Py_None ? (uint32_t)TASK_IN_GIVEN_CONTEXT : 0u) |
        (pinned ? (uint32_t)TRT_TASK_PINNED : 0u) |
        (detached ? (uint32_t)TRT_TASK_DETACHED : 0u);
    return (PyObject *)self;
}

static int
spawner_traverse(SpawnerObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->context);
    return 0;
}

static void
spawner_dealloc(SpawnerObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->name);
    Py_CLEAR(self->context);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(
    spawner_doc,
    "Spawner(*, name=None, pool=None, pinned=False, context=INHERIT, "
    "detached=False)\n--\n\n"
    "A spawn() with options; call it as spawn(fn, /, *args, **kwargs).\n\n"
    "name      what the task is called in messages; default 'Task-<id>'\n"
    "pool      'default' or None: on the threads that run what spawn() spawns;\n"
    "          'interactive': on threads that run nothing else, at once whatever the "
    "default pool\n"
    "          does; 'same': on those of the pool whose thread spawns. What an "
    "interactive task\n"
    "          spawns is the default pool's unless it says otherwise\n"
    "pinned    run on the thread that spawns, in the order of spawning, when it waits; "
    "if that\n"
    "          thread ends before, the task is lost and a fetch raises TaskLostError\n"
    "context   INHERIT: a copy of the spawner's context; None: an empty one; a\n"
    "          contextvars.Context: that one itself, which no two tasks can be in at "
    "once\n"
    "detached  nobody will fetch the task: a failure is reported when it happens, and "
    "the task\n"
    "          is cancelled when the process exits\n\n"
    "Raises TypeError or ValueError for other values. May be kept and used from any "
    "thread.");

static PyMemberDef spawner_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(SpawnerObject, vectorcall), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot spawner_slots[] = {
    {Py_tp_doc, (void *)spawner_doc},
    {Py_tp_new, spawner_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, spawner_traverse},
    {Py_tp_dealloc, spawner_dealloc},
    {Py_tp_members, spawner_members},
    {0, NULL},
};

PyType_Spec spawner_spec = {
    .name = "taskrt.Spawner",
    .basicsize = sizeof(SpawnerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = spawner_slots,
};
