/* Calls of run_blocking(), as far as the runtime has to know of them: while there are
 * any, something may come from outside of the pool. Their threads are Python's, see
 * taskrt/blocking_calls.py. */
#include "core.h"

#include <stdlib.h>

/* Whether this thread runs such a call. */
static _Thread_local bool runs_call __attribute__((tls_model("initial-exec")));

bool
calls_run_here(void)
{
    return runs_call;
}

/* What a call is counted by. Its last reference may be dropped late, since on a
 * free-threaded build that is left to the thread that made it, asleep perhaps: so it is
 * ended by hand, and its destructor is for whoever was interrupted before. */
typedef struct Count {
    _Atomic(bool) ended; /* by the first that ends it */
    uint32_t generation; /* of the process that counts it */
} Count;

static const char COUNT_NAME[] = "taskrt.call";

static void
end_count(Count *count)
{
    if (!trt_exchange_relaxed(&count->ended, true) &&
        count->generation == trt_load_relaxed(&core->generation)) {
        /* [calls] before the look at whether main waits: of this and main's saying that
         * it waits, which goes before its look here, one sees the other. */
        trt_fetch_sub_seq_cst(&core->calls, 1);
        exit_let_main_look();
    }
}

static void
destroy_count(PyObject *capsule)
{
    Count *const count = PyCapsule_GetPointer(capsule, COUNT_NAME);
    end_count(count);
    free(count);
}

/* _call_begin(): count a call that will be queued. Returns what _call_end() takes. */
PyObject *
core_call_begin(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    if (!lifecycle_accepts(worker_current)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot run_blocking: taskrt is shutting down; call before the "
                        "main thread ends or calls shutdown()");
        return NULL;
    }
    if (trt_load_relaxed(&core->threads) == 0 && lifecycle_start() < 0) {
        return NULL;
    }
    Count *const count = malloc(sizeof *count);
    if (!count) {
        return PyErr_NoMemory();
    }
    atomic_init(&count->ended, false);
    count->generation = trt_load_relaxed(&core->generation);
    PyObject *const capsule = PyCapsule_New(count, COUNT_NAME, destroy_count);
    if (!capsule) {
        free(count);
        return NULL;
    }
    trt_fetch_add_seq_cst(&core->calls, 1);
    return capsule;
}

/* _call_run(fn): run a call, or what stands for it, on its thread. */
PyObject *
core_call_run(PyObject *Py_UNUSED(module), PyObject *fn)
{
    runs_call = true;
    PyObject *const result = PyObject_CallNoArgs(fn);
    runs_call = false;
    if (worker_current) {
        /* The thread stays, but nobody knows for how long it will have nothing to do.
         */
        lifecycle_leave_behind(worker_current);
    }
    return result;
}

/* _call_end(count): its waiter has been told, or it will not be made. */
PyObject *
core_call_end(PyObject *Py_UNUSED(module), PyObject *capsule)
{
    Count *const count = PyCapsule_GetPointer(capsule, COUNT_NAME);
    if (!count) {
        return NULL;
    }
    end_count(count);
    Py_RETURN_NONE;
}

/* _call_report(error, text): report an error that nobody will be given. */
PyObject *
core_call_report(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !PyExceptionInstance_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "_call_report() takes an exception and a str");
        return NULL;
    }
    trt_py_set_error(Py_NewRef(args[0]));
    PyErr_WriteUnraisable(args[1]);
    Py_RETURN_NONE;
}

/* In a forked child: its only thread is main now, whatever it was. */
void
calls_forget(void)
{
    runs_call = false;
    trt_store_relaxed(&core->calls, 0);
}
