/* Arguments that are arrays of numbers: what they have to be, and how kernels are run
 * on them. */
#include "numbers.h"

#include <stdint.h>
#include <string.h>

static const struct {
    const char *name;
    size_t alignment;
} dtypes[] = {
#define ROW(constant, type, name) [constant] = {#name, _Alignof(type)},
    TRT_EACH_DTYPE(ROW)
#undef ROW
};

/* ---- what an argument is --------------------------------------------------------- */

/* The dtype of so many bytes among four, or −1. */
static int
sized(const trt_dtype of_sizes[4], Py_ssize_t size)
{
    switch (size) {
    case 1:
        return of_sizes[0];
    case 2:
        return of_sizes[1];
    case 4:
        return of_sizes[2];
    case 8:
        return of_sizes[3];
    default:
        return -1;
    }
}

/* The dtype of one item: its code as in the module struct, its size as the buffer says,
 * for ctypes writes "<l" for 64 bits. −1 if there is none. */
static int
find_dtype(char code, Py_ssize_t size)
{
    static const trt_dtype integers[] = {TRT_INT8, TRT_INT16, TRT_INT32, TRT_INT64};
    static const trt_dtype naturals[] = {TRT_UINT8, TRT_UINT16, TRT_UINT32, TRT_UINT64};
    if (code == '\0') {
        return -1;
    }
    if (strchr("bhilqn", code)) {
        return sized(integers, size);
    }
    if (strchr("BHILQN", code)) {
        return sized(naturals, size);
    }
    if (code == 'f' && size == sizeof(float)) {
        return TRT_FLOAT32;
    }
    return code == 'd' && size == sizeof(double) ? TRT_FLOAT64 : -1;
}

/* Set the dtype. 0 or −1. */
static int
check_format(Numbers *n)
{
    const char *const format = n->view.format ? n->view.format : "B";
    const bool has_order = *format != '\0' && strchr("@=<>!", *format);
    const char *const code = format + has_order;
    const int dtype = find_dtype(*code, n->view.itemsize);
    if (dtype < 0 || code[1] != '\0') {
        PyErr_Format(PyExc_TypeError,
                     "%s has to hold integers of 8 to 64 bits, float32 or float64, not "
                     "items of %zd bytes with the format '%s'",
                     n->name, n->view.itemsize, format);
        return -1;
    }
    const char foreign = PY_BIG_ENDIAN ? '<' : '>';
    if (n->view.itemsize > 1 &&
        (*format == foreign || (*format == '!' && PY_LITTLE_ENDIAN))) {
        PyErr_Format(PyExc_ValueError,
                     "%s holds numbers in the byte order of other machines (format "
                     "'%s'): pass a converted copy",
                     n->name, format);
        return -1;
    }
    n->items.dtype = (trt_dtype)dtype;
    return 0;
}

/* Set where the items are: in one dimension, or in rows. 0 or −1. */
static int
check_shape(Numbers *n, int needs)
{
    const Py_buffer *const view = &n->view;
    const bool in_rows = needs & NUMBERS_ROWS;
    if (in_rows ? view->ndim < 1 : view->ndim != 1) {
        PyErr_Format(PyExc_ValueError, "%s has to have %s dimension, not %d", n->name,
                     in_rows ? "at least one" : "one", view->ndim);
        return -1;
    }
    n->items.first = view->buf;
    n->row = (size_t)view->shape[view->ndim - 1];
    n->items.length = n->row;
    for (int i = 0; i < view->ndim - 1; i++) {
        n->items.length *= (size_t)view->shape[i];
    }
    /* ctypes does not say, which means that there are no gaps. */
    n->items.stride = !in_rows && n->items.length > 1 && view->strides
                          ? view->strides[0]
                          : view->itemsize;
    return 0;
}

/* 0 or −1. */
static int
check_access(const Numbers *n, int needs)
{
    const Py_buffer *const view = &n->view;
    if ((needs & NUMBERS_WRITABLE) && view->readonly) {
        PyErr_Format(PyExc_ValueError, "%s is read-only, but would be written to",
                     n->name);
        return -1;
    }
    const ptrdiff_t alignment = (ptrdiff_t)dtypes[n->items.dtype].alignment;
    if ((needs & NUMBERS_CONTIGUOUS) && n->items.stride != view->itemsize) {
        PyErr_Format(
            PyExc_ValueError,
            "%s has to be contiguous, but its items of %zd bytes lie %zd bytes "
            "apart: pass a copy",
            n->name, view->itemsize, n->items.stride);
        return -1;
    }
    if ((needs & NUMBERS_ROWS) && !PyBuffer_IsContiguous(view, 'C')) {
        PyErr_Format(PyExc_ValueError,
                     "%s has to be contiguous, with its rows one after the other: pass "
                     "a copy",
                     n->name);
        return -1;
    }
    if (n->items.length > 0 && ((uintptr_t)view->buf % (uintptr_t)alignment != 0 ||
                                n->items.stride % alignment != 0)) {
        PyErr_Format(PyExc_ValueError, "%s is not aligned: pass a copy", n->name);
        return -1;
    }
    return 0;
}

int
numbers_hold(Numbers *n, const char *name, PyObject *op, int needs)
{
    n->name = name;
    if (!PyObject_CheckBuffer(op)) {
        PyErr_Format(PyExc_TypeError,
                     "%s has to be an array of numbers with a buffer, such as "
                     "array.array or numpy.ndarray, not '%s'",
                     name, Py_TYPE(op)->tp_name);
        return -1;
    }
    if (PyObject_GetBuffer(op, &n->view, PyBUF_STRIDES | PyBUF_FORMAT) < 0 ||
        check_format(n) < 0 || check_shape(n, needs) < 0) {
        return -1;
    }
    return check_access(n, needs);
}

void
numbers_release(Numbers *n)
{
    PyBuffer_Release(&n->view);
}

const char *
numbers_dtype_name(trt_dtype dtype)
{
    return dtypes[dtype].name;
}

/* ---- what two arguments are to each other ---------------------------------------- */

int
numbers_check_same_dtype(const Numbers *n, const Numbers *as)
{
    if (n->items.dtype != as->items.dtype) {
        PyErr_Format(PyExc_TypeError,
                     "%s holds %s, but %s holds %s: they have to agree", n->name,
                     dtypes[n->items.dtype].name, as->name,
                     dtypes[as->items.dtype].name);
        return -1;
    }
    return 0;
}

/* Where the items begin and end in memory. */
static void
get_extent(const trt_items *items, uintptr_t *begin, uintptr_t *end)
{
    const uintptr_t first = (uintptr_t)items->first;
    const uintptr_t last =
        first + (uintptr_t)((ptrdiff_t)(items->length - 1) * items->stride);
    *begin = first < last ? first : last;
    *end = (first < last ? last : first) + trt_dtype_size(items->dtype);
}

int
numbers_check_apart(const Numbers *n, const Numbers *from)
{
    if (n->items.length == 0 || from->items.length == 0) {
        return 0;
    }
    uintptr_t begin, end, from_begin, from_end;
    get_extent(&n->items, &begin, &end);
    get_extent(&from->items, &from_begin, &from_end);
    if (begin < from_end && from_begin < end) {
        PyErr_Format(PyExc_ValueError, "%s overlaps %s in memory", n->name, from->name);
        return -1;
    }
    return 0;
}

/* ---- running --------------------------------------------------------------------- */

enum {
    /* Bytes. During longer work here others may use the interpreter. */
    ATTACHED_MAX = 1 << 16,
};

size_t
numbers_bytes(const trt_items *items)
{
    return items->length * trt_dtype_size(items->dtype);
}

bool
numbers_have_gaps(const trt_items *items)
{
    return items->stride != (ptrdiff_t)trt_dtype_size(items->dtype);
}

int
numbers_run_here(void (*work)(void *), void *record, size_t bytes)
{
    Worker *const w = worker_current;
    if (w && wait_checkpoint(w->current) < 0) {
        return -1;
    }
    PyThreadState *const tstate = bytes > ATTACHED_MAX ? PyEval_SaveThread() : NULL;
    work(record);
    if (tstate) {
        PyEval_RestoreThread(tstate);
    }
    return 0;
}

/* It runs as a copy on the heap: other threads use it while this stack is put away. */
int
numbers_run_native(trt_function fn, void *record, size_t size)
{
    void *const copy = PyMem_RawMalloc(size);
    if (!copy) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(copy, record, size);
    PyObject *const args[] = {PyLong_FromVoidPtr((void *)fn), PyLong_FromVoidPtr(copy)};
    PyObject *const result = args[0] && args[1] ? core_run_native(NULL, args, 2) : NULL;
    Py_XDECREF(args[0]);
    Py_XDECREF(args[1]);
    memcpy(record, copy, size);
    PyMem_RawFree(copy);
    Py_XDECREF(result);
    return result ? 0 : -1;
}
