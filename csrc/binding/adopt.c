/* Threads that the runtime has not started: how they come to have a record, and what
 * becomes of what they leave. */
#include "core.h"

#include <errno.h>
#include <pthread.h>

static pthread_key_t thread_end_key; /* its destructor gives a foreign record back */

/* ---- the end of a thread --------------------------------------------------------- */

void
lifecycle_leave_behind(Worker *w)
{
    trt_worker_hand_over(&w->base); /* or the rest stays where thieves find it */
    void *lost;
    while (trt_deque_steal(&w->pinned, &lost) == TRT_STEAL_GOT) {
        /* Only this thread could run it. Whoever takes it now ends it as lost; without
         * memory for that it stays pending. */
        trt_store_relaxed(&task_from_item(lost)->pinned_to, NULL);
        (void)trt_injector_push(&core->pool->teams[TRT_DEFAULT].injector, lost);
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
        (void)trt_injector_push(&core->pool->teams[TRT_DEFAULT].injector,
                                task_as_item(task));
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

void
adopt_prepare(void)
{
    pthread_key_create(&thread_end_key, on_thread_end);
}

/* ---- adoption -------------------------------------------------------------------- */

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
            trt_fetch_add_relaxed(&w->base.team->running, 1);
        }
    }
    trt_mutex_unlock(&core->life);
    if (error) {
        lifecycle_raise_start_error(error);
        return NULL;
    }
    worker_set_stack_floor(w);
    w->is_joined = is_joined;
    w->serves_tasks = false;
    w->current = &w->root;
    w->tstate = PyThreadState_Get();
    worker_current = w;
    if (!is_main) {
        pthread_setspecific(thread_end_key, w);
    }
    scope_unwind(&w->root, NULL); /* what a thread before this one has not left */
    limit_unwind(&w->root, NULL);
    return w;
}
