/* OpenMP beside the pool: each pool thread is given one OpenMP thread of its own, so
 * that a parallel region in a task runs on the task's thread. The number belongs to a
 * thread, and each sets its own: at the first turn of its hub after the change. */
#include "blas.h"

enum { RUNTIMES_MAX = TASKRT_OPENMP_RUNTIMES };

/* Functions of a runtime that is loaded; constant once it is counted. */
static struct {
    void (*set_number)(int);
    int (*get_number)(void);
} runtimes[RUNTIMES_MAX];

/* Who limits writes them, in this order; threads read them in the other. */
static _Atomic(uint32_t) runtime_count;
static _Atomic(bool) limited;
/* Changes with each change; what a thread has seen of it is in its record.
 * [openmp-epoch] */
_Atomic(uint32_t) openmp_epoch;

void
openmp_adjust_slow(Worker *w)
{
    w->openmp_epoch = trt_load_acquire(&openmp_epoch); /* [openmp-epoch] */
    if (!trt_worker_is_started(&w->base)) {
        return; /* main's is the program's */
    }
    const bool limit = trt_load_relaxed(&limited);
    const uint32_t count = limit ? trt_load_relaxed(&runtime_count) : 0;
    for (; w->openmp_limited < count; w->openmp_limited++) {
        w->openmp_numbers[w->openmp_limited] = runtimes[w->openmp_limited].get_number();
        runtimes[w->openmp_limited].set_number(1);
    }
    while (w->openmp_limited > count) {
        w->openmp_limited--;
        runtimes[w->openmp_limited].set_number(w->openmp_numbers[w->openmp_limited]);
    }
}

/* _openmp_limit(limit, functions): give each pool thread one thread of the runtimes
 * whose omp_set_num_threads and omp_get_max_threads are at these addresses, or give
 * them back what they had. Caller holds the lock of interop.blas. */
PyObject *
core_openmp_limit(PyObject *Py_UNUSED(module), PyObject *args)
{
    int limit;
    PyObject *functions;
    if (!PyArg_ParseTuple(args, "pO!:_openmp_limit", &limit, &PyTuple_Type,
                          &functions)) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_Size(functions); i++) {
        unsigned long long set, get;
        if (!PyArg_ParseTuple(PyTuple_GetItem(functions, i), "KK", &set, &get)) {
            return NULL;
        }
        uint32_t known = trt_load_relaxed(&runtime_count);
        for (uint32_t j = 0; j < known; j++) {
            if ((uintptr_t)runtimes[j].set_number == (uintptr_t)set) {
                set = 0;
            }
        }
        if (set && known < RUNTIMES_MAX) {
            runtimes[known].set_number = (void (*)(int))(uintptr_t)set;
            runtimes[known].get_number = (int (*)(void))(uintptr_t)get;
            trt_store_relaxed(&runtime_count, known + 1);
        }
    }
    trt_store_relaxed(&limited, limit != 0);
    /* [openmp-epoch] whoever sees it sees the runtimes, and whether they are limited */
    trt_store_release(&openmp_epoch, trt_load_relaxed(&openmp_epoch) + 1);
    return PyLong_FromUnsignedLong(trt_load_relaxed(&runtime_count));
}
