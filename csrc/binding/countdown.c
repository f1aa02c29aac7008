/* A countdown: until all of some tasks have ended, or the first has not ended well.
 *
 * Then one that waits for it goes on, or a task that was to follow them is let run, or
 * cancelled. It counts in C, see subscription.h: a count that was lost would be waited
 * for in vain. */
#include "sync.h"

typedef struct CountdownObject {
    PyObject_HEAD
    /* Tasks that have not ended well yet. Who ends one takes it off; the last one sees
     * what the others did before [countdown-left]. */
    _Atomic(size_t) left;
    trt_event event;                   /* set at the end, if nobody follows */
    TaskObject *follower;              /* owned; or NULL. Constant */
    SubscriptionObject *subscriptions; /* owned. The maker's; then who closes it */
} CountdownObject;

static void
countdown_close(CountdownObject *self)
{
    SubscriptionObject *const first = self->subscriptions;
    self->subscriptions = NULL;
    subscription_cancel_list(first);
}

/* ---- cancelling who follows ------------------------------------------------------ */

/* Followers of followers are cancelled one within another, since each hears of the end
 * of the one before; so many at most, then one after another. */
enum { CANCELS_DEEP = 16 };

typedef struct LateCancel LateCancel;
struct LateCancel {
    TaskObject *task; /* owned */
    PyObject *cause;  /* owned, or NULL */
    LateCancel *next;
};

/* Leave it to those cancels of this stack that it is within. False: no memory. */
static bool
put_off(Fiber *fiber, TaskObject *task, PyObject *cause)
{
    LateCancel *const late = malloc(sizeof *late);
    if (!late) {
        return false;
    }
    late->task = (TaskObject *)Py_NewRef((PyObject *)task);
    late->cause = Py_XNewRef(cause);
    late->next = fiber->late_cancels;
    fiber->late_cancels = late;
    return true;
}

static void
cancel_within(Fiber *fiber, TaskObject *task, PyObject *cause)
{
    fiber->cancels++;
    task_cancel(task, cause);
    fiber->cancels--;
}

static void
cancel(TaskObject *task, PyObject *cause)
{
    Worker *const w = worker_self();
    if (!w) {
        PyErr_Clear();
        task_cancel(task, cause);
        return;
    }
    Fiber *const fiber = w->current;
    if (fiber->cancels >= CANCELS_DEEP && put_off(fiber, task, cause)) {
        return;
    }
    cancel_within(fiber, task, cause);
    while (fiber->cancels == 0 && fiber->late_cancels) {
        LateCancel *const late = fiber->late_cancels;
        fiber->late_cancels = late->next;
        cancel_within(fiber, late->task, late->cause);
        Py_DECREF(late->task);
        Py_XDECREF(late->cause);
        free(late);
    }
}

/* Why who was to follow `task` never runs. NULL with an error set. */
static PyObject *
cause_of(TaskObject *task)
{
    PyObject *const name = task_name(task);
    if (!name) {
        return NULL;
    }
    PyObject *cause;
    if (trt_task_get_state(&task->base) == TRT_TASK_FAILED) {
        cause = PyUnicode_FromFormat("%U, which it was to follow, failed: %R", name,
                                     task->result);
        if (!cause) { /* its repr is the program's: report what that has raised */
            PyErr_WriteUnraisable((PyObject *)task);
            cause = PyUnicode_FromFormat("%U, which it was to follow, failed: a %s",
                                         name, Py_TYPE(task->result)->tp_name);
        }
    } else {
        cause = PyUnicode_FromFormat("%U, which it was to follow, was cancelled", name);
    }
    Py_DECREF(name);
    return cause;
}

static void
follow_failure(TaskObject *follower, TaskObject *task)
{
    if (task_is_finished(follower)) {
        return;
    }
    PyObject *const cause = cause_of(task);
    PyErr_Clear(); /* no memory for it */
    cancel(follower, cause);
    Py_XDECREF(cause);
}

/* ---- counting -------------------------------------------------------------------- */

static void
let_run(TaskObject *follower)
{
    PyObject *const submitted = core_submit(NULL, (PyObject *)follower);
    if (!submitted) {
        PyErr_WriteUnraisable((PyObject *)follower);
        task_cancel(follower, NULL);
    }
    Py_XDECREF(submitted);
}

static void
hear_end(PyObject *receiver, TaskObject *task)
{
    CountdownObject *const self = (CountdownObject *)receiver;
    const bool well = trt_task_get_state(&task->base) == TRT_TASK_DONE;
    if (well && trt_fetch_sub_acq_rel(&self->left, 1) > 1) { /* [countdown-left] */
        return;
    }
    if (!self->follower) {
        trt_event_set(&self->event);
    } else if (well) {
        let_run(self->follower);
    } else {
        follow_failure(self->follower, task);
    }
}

/* The follower has ended, perhaps by a cancellation: leave nothing at the others. */
static void
hear_follower(PyObject *receiver, TaskObject *Py_UNUSED(follower))
{
    countdown_close((CountdownObject *)receiver);
}

/* Subscribe to those of `tasks`, a list that nobody changes, that have not ended well.
 * Nothing is started yet. NULL with an error set. */
static CountdownObject *
countdown_new(PyObject *tasks, TaskObject *follower)
{
    CountdownObject *const self = PyObject_New(CountdownObject, core->countdown_type);
    if (!self) {
        return NULL;
    }
    size_t count = 0;
    trt_event_init(&self->event, false);
    self->follower = (TaskObject *)Py_XNewRef((PyObject *)follower);
    self->subscriptions = NULL;
    for (Py_ssize_t i = PyList_GET_SIZE(tasks); i-- > 0;) {
        TaskObject *const task = (TaskObject *)PyList_GET_ITEM(tasks, i);
        if (trt_task_get_state(&task->base) == TRT_TASK_DONE) {
            continue;
        }
        SubscriptionObject *const subscription =
            subscription_new(task, (PyObject *)self, hear_end);
        if (!subscription) {
            countdown_close(self);
            Py_DECREF(self);
            return NULL;
        }
        subscription->next = self->subscriptions;
        self->subscriptions = subscription;
        count++;
    }
    atomic_init(&self->left, count);
    return self;
}

/* Have the ends counted; those that were before are, too. */
static void
countdown_start(CountdownObject *self)
{
    SubscriptionObject *next;
    for (SubscriptionObject *s = self->subscriptions; s; s = next) {
        next = s->next;
        subscription_start(s);
    }
}

/* wait_begin() for each that has not ended: 0 or −1. */
static int
begin_all(PyObject *tasks)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tasks); i++) {
        TaskObject *const task = (TaskObject *)PyList_GET_ITEM(tasks, i);
        if (!task_is_finished(task) && wait_begin(task) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Whether nothing is to be waited for: 1; 0; or −1 with an error set, if something
 * never ends here. */
static int
is_over(PyObject *tasks)
{
    bool over = true;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tasks); i++) {
        TaskObject *const task = (TaskObject *)PyList_GET_ITEM(tasks, i);
        if (task_is_finished(task)) {
            if (trt_task_get_state(&task->base) != TRT_TASK_DONE) {
                return 1;
            }
        } else {
            over = false;
        }
    }
    return over ? 1 : begin_all(tasks);
}

/* Whether these are tasks in a list, of the caller's own: nobody changes it. */
static bool
are_tasks(PyObject *tasks)
{
    bool good = PyList_CheckExact(tasks);
    for (Py_ssize_t i = 0; good && i < PyList_GET_SIZE(tasks); i++) {
        good = Py_IS_TYPE(PyList_GET_ITEM(tasks, i), core->task_type);
    }
    return good;
}

static PyObject *
refuse(const char *text)
{
    PyErr_SetString(PyExc_TypeError, text);
    return NULL;
}

/* _wait_all(tasks, timeout): wait once, not once for each, until all have ended or one
 * not well, or time is up. */
PyObject *
core_wait_all(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    uint64_t deadline;
    if (nargs != 2 || !are_tasks(args[0])) {
        return refuse("_wait_all() takes a list of tasks and a timeout");
    }
    Worker *const w = worker_self();
    if (!w || wait_deadline(args[1], &deadline) < 0) {
        return NULL;
    }
    if (w->base.kind == TRT_WORKER_FOREIGN) {
        wait_run_pinned(w); /* some of these, perhaps */
    }
    const int over = is_over(args[0]);
    if (over) {
        return over < 0 ? NULL : Py_NewRef(Py_None);
    }
    CountdownObject *const self = countdown_new(args[0], NULL);
    if (!self) {
        return NULL;
    }
    int status = 0;
    if (self->subscriptions) {
        countdown_start(self);
        status = sync_wait_for_event(w, args[0], &self->event, deadline);
        countdown_close(self);
    }
    Py_DECREF(self);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* _spawn_after(tasks, fn, /, *args, **kwargs): a task that runs once all of these have
 * ended, and is cancelled by the first that has not ended well. In one step: one that
 * was made and let go of would hold up the exit for ever. */
PyObject *
core_spawn_after(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    if (nargs < 1 || !are_tasks(args[0])) {
        return refuse("_spawn_after() takes a list of tasks first, and a callable");
    }
    if (begin_all(args[0]) < 0) {
        return NULL;
    }
    TaskObject *const task = spawn_held(MAKE_COUNTED, args + 1, nargs - 1, kwnames);
    if (!task) {
        return NULL;
    }
    CountdownObject *const self = countdown_new(args[0], task);
    SubscriptionObject *const end =
        self ? subscription_new(task, (PyObject *)self, hear_follower) : NULL;
    if (!end) {
        PyObject *const error = trt_py_take_error();
        if (self) {
            countdown_close(self);
            Py_DECREF(self);
        }
        task_cancel_pending(task);
        Py_DECREF(task);
        trt_py_set_error(error);
        return NULL;
    }
    if (self->subscriptions) {
        countdown_start(self);
        subscription_start(end); /* last: from now on it may be closed */
    } else {
        let_run(task);
    }
    Py_DECREF(end);
    Py_DECREF(self);
    return (PyObject *)task;
}

/* ---- life of the object ---------------------------------------------------------- */

/* Not one for the collector: nobody but its subscriptions has it, and it is closed when
 * what it is for is over. */
static void
countdown_dealloc(CountdownObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    countdown_close(self);
    trt_event_destroy(&self->event);
    Py_CLEAR(self->follower);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot countdown_slots[] = {
    {Py_tp_dealloc, countdown_dealloc},
    {0, NULL},
};

PyType_Spec countdown_spec = {
    .name = "taskrt._core._Countdown",
    .basicsize = sizeof(CountdownObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = countdown_slots,
};
