/* What taskrt.native calls: run a native function, a loop, a reduction. */
#include "native.h"

#include <stdlib.h>
#include <string.h>

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
    Work *const work = native_new((trt_function)fn, arg);
    PyObject *const result = work ? native_run(work) : NULL;
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
    Work *const work = native_new(range_task, NULL);
    PyObject *result = NULL;
    if (work) {
        work->first.arg = work;
        work->fn = fn;
        work->arg = arg;
        work->begin = begin;
        work->end = end;
        work->grain = grain;
        result = native_run(work);
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
    Work *const work = native_new(reduce_task, NULL);
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
        native_free(work);
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
            outcome = native_run(work);
        }
        PyBuffer_Release(&result);
    }
    PyBuffer_Release(&data);
    return outcome;
}
