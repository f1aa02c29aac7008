/* Waiting for a task: run it here, or let others run until it has finished. */
#include "core.h"

/* Cut short one wait of a task that has been asked to end, or of a call into Python
 * that its native work makes; NULL if none is left. Caller holds core->waits. */
static Wait *
cancel_locked(TaskObject *task)
{
    Fiber *const fiber = trt_load_relaxed(&task->fiber);
    if (!fiber || task_is_finished(task)) {
        return NULL;
    }
    Wait *const inner = native_cancel_locked(fiber, task);
    const Wait *const wait = fiber->wait;
    if (inner || !wait || wait->task != task || wait->shielded) {
        return inner;
    }
    return wait_decide_locked(fiber, WAKE_CANCELLED);
}

bool
task_cancel(TaskObject *task, PyObject *message)
{
    if (task_is_finished(task)) {
        return false;
    }
    if (message) {
        PyObject *none = NULL;
        Py_INCREF(message);
        if (!trt_cas_acq_rel(&task->message, &none, message)) { /* [task-message] */
            Py_DECREF(message);
        }
    }
    if (task_cancel_pending(task)) {
        return true;
    }
    /* [cancel-wait] the flag first, then the look for a wait; the waiter enters its
     * wait first and then looks for the flag, both under the lock. */
    trt_task_set_flags(&task->base, TRT_TASK_CANCEL_REQUESTED);
    Wait *wait;
    do {
        trt_mutex_lock(&core->waits);
        wait = scope_ask_locked(task);
        if (!wait) {
            wait = cancel_locked(task);
        }
        trt_mutex_unlock(&core->waits);
        if (wait) {
            wait_deliver_all(wait);
        }
    } while (wait);
    return true;
}

static bool
is_requested(Fiber *fiber, bool late_too)
{
    TaskObject *const task = fiber->task;
    bool shielded = false;
    if (task && trt_load_relaxed(&core->closing) && exit_cancels_task(task)) {
        return true;
    }
    if (fiber->scope && scope_is_cancelled(fiber->scope, task ? task->scope : NULL,
                                           late_too, &shielded)) {
        return true;
    }
    return task && !shielded && task_flag(task, TRT_TASK_CANCEL_REQUESTED);
}

bool
wait_cancel_requested(Fiber *fiber)
{
    return is_requested(fiber, true);
}

int
wait_checkpoint_slow(Fiber *fiber)
{
    if (!wait_cancel_requested(fiber)) {
        return 0;
    }
    PyObject *reason = NULL;
    if (fiber->scope) {
        /* What raises Cancelled has to stay in force until the scope takes it: a
         * deadline that has passed cancels, one that was put off just now is none. */
        scope_expire(fiber->scope);
        if (!is_requested(fiber, false)) {
            return 0;
        }
        reason = scope_reason(fiber->scope);
    }
    if (!reason && fiber->task) {
        reason = trt_load_acquire(&fiber->task->message); /* [task-message] */
    }
    /* Made here: what PyErr_SetObject makes of a tuple or an exception is another. */
    PyObject *const error = reason ? PyObject_CallOneArg(core->cancelled, reason)
                                   : PyObject_CallNoArgs(core->cancelled);
    if (error) {
        PyErr_SetObject(core->cancelled, error);
        Py_DECREF(error);
    }
    return -1;
}

int
wait_split_cancelled(PyObject *group, PyObject **rest)
{
    PyObject *const halves =
        PyObject_CallMethodOneArg(group, core->str.split, core->cancelled);
    *rest = NULL;
    if (!halves) {
        return -1;
    }
    PyObject *const half = PyTuple_Check(halves) && PyTuple_GET_SIZE(halves) == 2
                               ? PyTuple_GET_ITEM(halves, 1)
                               : Py_False;
    if (half != Py_None && !PyExceptionInstance_Check(half)) {
        PyErr_Format(PyExc_TypeError,
                     "%.100s.split() must return two groups, each of which may be None",
                     Py_TYPE(group)->tp_name);
        Py_DECREF(halves);
        return -1;
    }
    if (half != Py_None) { /* a copy of the group if nothing was taken out */
        *rest = Py_NewRef(PyTuple_GET_ITEM(halves, 0) == Py_None ? group : half);
    }
    Py_DECREF(halves);
    return 0;
}

/* ---- circles of waits ------------------------------------------------------------ */

enum { CIRCLE_MAX = 64 }; /* calls into Python inside one another, while looking */

/* Whether its wait is undecided: a stack that was cancelled goes on when it gets to it,
 * however the task that it awaited does. */
static bool
is_waiting_locked(const Fiber *stack)
{
    return stack->wait &&
           trt_load_acquire(&stack->wait->base.decision) == TRT_WAITER_WAITING;
}

static bool waits_for_locked(Fiber *stack, Fiber *fiber, bool on_thread, int depth);

/* The same for the stack that its thread stands on or is isolated by, if that is
 * another: this one does not go on before it. */
static bool
stands_for_locked(const Fiber *stack, Fiber *fiber, bool on_thread, int depth)
{
    const Wait *const wait = stack->worker->stood;
    Fiber *const before = wait ? wait->fiber : isolation_awaited_locked(stack);
    return before && before != stack && depth > 0 &&
           waits_for_locked(before, fiber, on_thread, depth - 1);
}

/* Whether `stack` waits, over any number of others, for `fiber`. What a stack waits
 * for: the task that it awaits, all that call Python for native work that runs on it,
 * and what has its thread before it. Each stack is looked at once in a search. */
static bool
waits_for_locked(Fiber *stack, Fiber *fiber, bool on_thread, int depth)
{
    while (stack->searched != core->searches) {
        stack->searched = core->searches;
        if (stack == fiber || (on_thread && stack->worker == fiber->worker)) {
            return true; /* with the thread asleep, none of its stacks goes on */
        }
        if (stands_for_locked(stack, fiber, on_thread, depth)) {
            return true;
        }
        Fiber *host = depth > 0 ? native_next_host_locked(stack, NULL) : NULL;
        for (; host; host = native_next_host_locked(stack, host)) {
            if (waits_for_locked(host, fiber, on_thread, depth - 1)) {
                return true;
            }
        }
        TaskObject *const task = stack->awaited;
        if (!task || task_is_finished(task) || !is_waiting_locked(stack) ||
            trt_task_get_state(&task->base) == TRT_TASK_PENDING ||
            !trt_load_relaxed(&task->fiber)) {
            return false;
        }
        stack = trt_load_relaxed(&task->fiber);
    }
    return false;
}

/* Whether waiting for `task` from `fiber` would close a circle of waits that nothing
 * can end. Follows task, the stack it runs on, what that stack waits for, and so on.
 * Caller holds core->waits, so the circle cannot change and nothing in it can be freed:
 * each wait is left under the lock before its reference to the task is dropped. */
bool
wait_closes_circle_locked(Fiber *fiber, TaskObject *task, bool on_thread)
{
    Fiber *const stack = trt_load_relaxed(&task->fiber);
    core->searches++;
    return stack && !task_is_finished(task) &&
           trt_task_get_state(&task->base) != TRT_TASK_PENDING &&
           waits_for_locked(stack, fiber, on_thread, CIRCLE_MAX);
}

bool
wait_is_vain_locked(Fiber *fiber, Fiber *stack, bool on_thread)
{
    core->searches++;
    return waits_for_locked(stack, fiber, on_thread, CIRCLE_MAX);
}

/* The names along the circle, for the message. */
void
wait_raise_deadlock(Fiber *fiber, TaskObject *task)
{
    PyObject *const names = PyList_New(0);
    TaskObject *tasks[8]; /* a longer circle is cut short */
    int count = 0;
    trt_mutex_lock(&core->waits);
    for (TaskObject *t = task; t && count < 8 && !task_is_finished(t);) {
        Fiber *const stack = trt_load_relaxed(&t->fiber);
        /* Another thread may let go of its own reference once the lock is released. */
        tasks[count++] = (TaskObject *)Py_NewRef((PyObject *)t);
        t = stack && stack != fiber ? stack->awaited : NULL;
    }
    trt_mutex_unlock(&core->waits);
    for (int i = 0; i < count; i++) {
        PyObject *const name = task_name(tasks[i]);
        if (!names || !name || PyList_Append(names, name) < 0) {
            PyErr_Clear();
        }
        Py_XDECREF(name);
        Py_DECREF(tasks[i]);
    }
    PyObject *const arrow = PyUnicode_FromString(" waits for ");
    PyObject *const chain = names && arrow ? PyUnicode_Join(arrow, names) : NULL;
    PyObject *const waiter =
        fiber->task ? task_name(fiber->task) : PyUnicode_FromString("this thread");
    if (chain && waiter) {
        PyErr_Format(
            core->deadlock_error,
            "this wait would never end: %U waits for %U, which waits for %U; let "
            "one of them go on without the other's result, or give the wait a "
            "timeout",
            waiter, chain, waiter);
    }
    Py_XDECREF(waiter);
    Py_XDECREF(chain);
    Py_XDECREF(arrow);
    Py_XDECREF(names);
}

/* ---- waiting for a task ---------------------------------------------------------- */

/* A task as something to wait for. */
static bool
enter_task(Awaited *self, Wait *wait)
{
    return trt_waiters_add(&self->task->base.waiters, &wait->base);
}

static void
leave_task(Awaited *self, Wait *wait)
{
    trt_waiters_release(&self->task->base.waiters, &wait->base);
}

/* ---- the choice ------------------------------------------------------------------ */

/* Whether there is room on this stack for one more task as a call. */
static inline bool
has_headroom(Worker *w, const PyThreadState *tstate)
{
    const trt_strand *const s = w->crew.strands.inside;
    char here;
    return &here > (s ? s->frames.base.floor : w->stack_floor) &&
           trt_py_recursion_has_room(tstate);
}

/* Whether this thread may start the task at all, be it as a call: it was released, and
 * is pinned to no other; and neither team runs what is the other's. */
static inline bool
is_own_kind(Worker *w, TaskObject *task)
{
    enum { SPECIAL = TASK_HELD | TRT_TASK_PINNED | TASK_INTERACTIVE };
    const uint32_t flags = trt_load_relaxed(&task->base.flags);
    if (!(flags & SPECIAL)) {
        return !worker_is_interactive(w);
    }
    return (!(flags & TASK_HELD) || flags & TASK_RELEASED) &&
           (!(flags & TRT_TASK_PINNED) || trt_load_relaxed(&task->pinned_to) == w) &&
           !(flags & TASK_INTERACTIVE) == !worker_is_interactive(w);
}

/* Run a pending task here, as a call, if that is allowed; after wait_begin(). A wait
 * with a deadline could not leave it, so that never comes here. 1: it has run; 0: not;
 * −1: it has, and an error has come while this stack waited for its place again. */
static inline int
run_inline(Worker *w, TaskObject *task)
{
    PyThreadState *const tstate = PyThreadState_Get();
    if (trt_task_get_state(&task->base) != TRT_TASK_PENDING || !core->inline_tasks ||
        !has_headroom(w, tstate)) {
        return false;
    }
    if (!is_own_kind(w, task)) {
        return false;
    }
    if (!scope_binds(w->current->scope, task->scope)) {
        return false; /* a deadline that could not be kept */
    }
    if (!fiber_is_at_home(w, tstate, false)) {
        return false;
    }
    Fiber *const fiber = w->current;
    LimitObject *const held = fiber->held;
    if (w->isolation && !isolation_admits_task(w, task)) {
        return false;
    }
    if (task->limit ? !limit_claim(fiber, task) : !trt_task_claim(&task->base)) {
        return false;
    }
    entries_drop(w, task);
    trt_count(&w->base.counters.inlined);
    task_execute(fiber, task);
    return fiber->held == held ? true : limit_rejoin(fiber, held) < 0 ? -1 : true;
}

/* Run the tasks that only this foreign thread may run: it has no hub that would. Those
 * from outside of an isolated block are left for later. */
void
wait_run_pinned(Worker *w)
{
    size_t left = 0;
    void *item;
    while (trt_deque_size(&w->pinned) > left &&
           fiber_is_at_home(w, PyThreadState_Get(), true) &&
           trt_deque_steal(&w->pinned, &item) == TRT_STEAL_GOT) { /* oldest first */
        TaskObject *const task = task_from_item(item);
        if (!isolation_admits_task(w, task)) {
            const int error = trt_deque_push(&w->pinned, item);
            TRT_ASSERT(error == 0); /* into the place that it had */
            (void)error;
            left++;
            continue;
        }
        left = 0; /* it may have spawned others */
        if (trt_task_claim(&task->base)) {
            task_execute(w->current, task);
        }
        Py_DECREF(task);
    }
}

int
wait_yield(Worker *w)
{
    Fiber *const fiber = w->current;
    TaskObject *const task = fiber->task;
    const bool stepped = wait_suspend_task(task);
    if (stepped) {
        trt_task_ready(&task->base);
    }
    LimitObject *const held = fiber->held;
    if (held) {
        limit_leave(fiber);
    }
    Suspended suspended;
    context_suspend(PyThreadState_Get(), &suspended);
    int status = fiber_yield(w);
    context_resume(PyThreadState_Get(), &suspended);
    if (stepped) {
        wait_resume_task(task);
    }
    if (held && limit_rejoin(fiber, held) < 0) {
        status = -1;
    }
    if (fiber == &w->root && signals_resume_root(w) < 0) {
        status = -1;
    }
    return status;
}

/* Between two calls that may have held up others for long: let those go on. As
 * wait_for.
 */
static int
share_thread(Worker *w)
{
    const bool yields =
        w->base.kind != TRT_WORKER_FOREIGN && hub_owes_turn(w) && fiber_can_switch(w);
    return yields && wait_yield(w) < 0 ? -1 : 1;
}

PyObject *
core_take_turn(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_current;
    if (w && (wait_checkpoint(w->current) < 0 || share_thread(w) < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

int
wait_begin(TaskObject *task)
{
    if (task->lineage.generation == trt_load_relaxed(&core->generation)) {
        return task_flag(task, TASK_LAZY) ? spawn_schedule(task) : 0;
    }
    PyErr_Format(core->lost_error,
                 "%R was lost in a fork: it belongs to the parent process; spawn it "
                 "again in this one",
                 task);
    return -1;
}

/* DeadlockError, if the wait would put the one thread to sleep that can run the task: 0
 * or −1. */
static int
refuse_pinned(Worker *w, TaskObject *task)
{
    if (!task_flag(task, TRT_TASK_PINNED) || trt_load_relaxed(&task->pinned_to) != w ||
        (task_flag(task, TASK_HELD) && !task_flag(task, TASK_RELEASED)) ||
        trt_task_get_state(&task->base) != TRT_TASK_PENDING ||
        scope_deadline(w->current->scope) != TRT_FOREVER ||
        (fiber_can_switch(w) && !isolation_refuses(w, task))) {
        return 0;
    }
    PyErr_Format(core->deadlock_error,
                 "this wait would never end: %R is pinned to this thread, which would "
                 "sleep here, since a greenlet of the program's own, a finalizer or a "
                 "nearly full stack runs no task, and an isolated block none from "
                 "outside; wait for it elsewhere, or give the wait a timeout",
                 task);
    return -1;
}

int
wait_for(Worker *w, TaskObject *task, uint64_t deadline)
{
    if (wait_checkpoint(w->current) < 0) {
        return -1;
    }
    if (task_is_finished(task)) {
        return 1;
    }
    if (wait_begin(task) < 0) {
        return -1;
    }
    const int inlined = deadline == TRT_FOREVER ? run_inline(w, task) : 0;
    if (inlined) {
        return inlined < 0 ? -1 : share_thread(w);
    }
    if (deadline != TRT_FOREVER && deadline <= trt_clock_now_ns()) {
        return 0;
    }
    if (w->base.kind == TRT_WORKER_FOREIGN) {
        wait_run_pinned(w);
    }
    if (deadline == TRT_FOREVER && refuse_pinned(w, task) < 0) {
        return -1;
    }
    Awaited awaited = {.enter = enter_task, .leave = leave_task, .task = task};
    int status;
    do {
        status = wait_once(w, &awaited, deadline);
    } while (status == 2);
    return status == 0 ? task_is_finished(task) : status;
}
