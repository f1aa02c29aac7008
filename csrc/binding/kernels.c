/* Kernels on Python's buffers. Arguments are checked here; what is too short for
 * several threads runs at once, and the rest as native work. */
#include "core.h"

#include <stdint.h>
#include <string.h>

#include "kernels/copy.h"
#include "kernels/fill.h"
#include "kernels/merge.h"
#include "kernels/sum.h"

/* What an argument has to be besides one-dimensional and numeric. */
enum {
    CONTIGUOUS = 1,
    WRITABLE = 2,
};

/* An argument. All zeros as long as it holds no buffer; the end is release(). */
typedef struct Numbers {
    const char *name;
    Py_buffer view;
    trt_items items;
} Numbers;

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

/* Set where the items are. 0 or −1. */
static int
check_shape(Numbers *n, int needs)
{
    const Py_buffer *const view = &n->view;
    if (view->ndim != 1) {
        PyErr_Format(PyExc_ValueError, "%s has to have one dimension, not %d", n->name,
                     view->ndim);
        return -1;
    }
    if ((needs & WRITABLE) && view->readonly) {
        PyErr_Format(PyExc_ValueError, "%s is read-only, but would be written to",
                     n->name);
        return -1;
    }
    const ptrdiff_t alignment = (ptrdiff_t)dtypes[n->items.dtype].alignment;
    n->items.first = view->buf;
    n->items.length = (size_t)view->shape[0];
    /* ctypes does not say, which means that there are no gaps. */
    n->items.stride =
        n->items.length > 1 && view->strides ? view->strides[0] : view->itemsize;
    if ((needs & CONTIGUOUS) && n->items.stride != view->itemsize) {
        PyErr_Format(
            PyExc_ValueError,
            "%s has to be contiguous, but its items of %zd bytes lie %zd bytes "
            "apart: pass a copy",
            n->name, view->itemsize, n->items.stride);
        return -1;
    }
    if (n->items.length > 0 && ((uintptr_t)view->buf % (uintptr_t)alignment != 0 ||
                                n->items.stride % alignment != 0)) {
        PyErr_Format(PyExc_ValueError, "%s is not aligned: pass a copy", n->name);
        return -1;
    }
    return 0;
}

/* Hold the buffer of an argument. 0 or −1. */
static int
hold(Numbers *n, const char *name, PyObject *op, int needs)
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
        check_format(n) < 0) {
        return -1;
    }
    return check_shape(n, needs);
}

static void
release(Numbers *n)
{
    PyBuffer_Release(&n->view);
}

/* ---- what two arguments are to each other ---------------------------------------- */

static int
check_same_dtype(const Numbers *n, const Numbers *as)
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

static int
check_apart(const Numbers *n, const Numbers *from)
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

static size_t
bytes_of(const trt_items *items)
{
    return items->length * trt_dtype_size(items->dtype);
}

static bool
has_gaps(const trt_items *items)
{
    return items->stride != (ptrdiff_t)trt_dtype_size(items->dtype);
}

/* Run on this thread, detached if it takes long. A checkpoint, as native work is. 0 or
 * −1. */
static int
run_here(void (*work)(void *), void *record, size_t bytes)
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

/* Run as native work; `record` is the argument, and the outcome. It runs as a copy on
 * the heap: other threads use it while this stack is put away. 0 or −1. */
static int
run_native(trt_function fn, void *record, size_t size)
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

/* None, if the status is 0. */
static PyObject *
none_if(int status)
{
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- merging --------------------------------------------------------------------- */

static int
hold_runs(Numbers *left, PyObject *left_op, Numbers *right, PyObject *right_op)
{
    return hold(left, "left", left_op, CONTIGUOUS) < 0 ||
                   hold(right, "right", right_op, CONTIGUOUS) < 0
               ? -1
               : check_same_dtype(right, left);
}

static trt_merge
merge_of(const Numbers *left, const Numbers *right)
{
    return (trt_merge){.dtype = left->items.dtype,
                       .left = left->items.first,
                       .left_length = left->items.length,
                       .right = right->items.first,
                       .right_length = right->items.length};
}

static void
merge_here(void *record)
{
    const trt_merge *const m = record;
    trt_merge_kernels[m->dtype].merge(m);
}

static int
merge(const Numbers *left, const Numbers *right, const Numbers *out)
{
    trt_merge m = merge_of(left, right);
    const size_t length = m.left_length + m.right_length;
    if (check_same_dtype(out, left) < 0 || check_apart(out, left) < 0 ||
        check_apart(out, right) < 0) {
        return -1;
    }
    if (out->items.length != length) {
        PyErr_Format(PyExc_ValueError,
                     "out has to have %zu items, as many as left and right together, "
                     "not %zu",
                     length, out->items.length);
        return -1;
    }
    m.out = out->items.first;
    return length > TRT_MERGE_SERIAL ? run_native(trt_merge_run, &m, sizeof m)
                                     : run_here(merge_here, &m, bytes_of(&out->items));
}

/* _merge(left, right, out) */
PyObject *
core_merge(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *left_op, *right_op, *out_op;
    Numbers left = {0}, right = {0}, out = {0};
    if (!PyArg_ParseTuple(args, "OOO:merge", &left_op, &right_op, &out_op)) {
        return NULL;
    }
    const int status = hold_runs(&left, left_op, &right, right_op) < 0 ||
                               hold(&out, "out", out_op, CONTIGUOUS | WRITABLE) < 0
                           ? -1
                           : merge(&left, &right, &out);
    release(&out);
    release(&right);
    release(&left);
    return none_if(status);
}

/* _merge_path(left, right, diagonal) */
PyObject *
core_merge_path(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *left_op, *right_op, *result = NULL;
    Py_ssize_t diagonal;
    Numbers left = {0}, right = {0};
    if (!PyArg_ParseTuple(args, "OOn:merge_path", &left_op, &right_op, &diagonal)) {
        return NULL;
    }
    if (hold_runs(&left, left_op, &right, right_op) == 0) {
        const trt_merge m = merge_of(&left, &right);
        const size_t length = m.left_length + m.right_length;
        if (diagonal < 0 || (size_t)diagonal > length) {
            PyErr_Format(PyExc_ValueError, "diagonal has to be from 0 to %zu, not %zd",
                         length, diagonal);
        } else {
            const size_t i = trt_merge_kernels[m.dtype].path(&m, (size_t)diagonal);
            result = Py_BuildValue("nn", (Py_ssize_t)i, diagonal - (Py_ssize_t)i);
        }
    }
    release(&right);
    release(&left);
    return result;
}

/* ---- filling and copying --------------------------------------------------------- */

/* Write an integer as it lies in memory. 0 or −1. */
static int
pack_integer(PyObject *op, trt_dtype dtype, unsigned char *value)
{
    const size_t size = trt_dtype_size(dtype);
    const int unused = 64 - 8 * (int)size;
    PyObject *const index = PyNumber_Index(op);
    if (!index) {
        return -1;
    }
    uint64_t bits;
    bool fits;
    if (dtype >= TRT_UINT8) {
        bits = PyLong_AsUnsignedLongLong(index);
        fits = bits <= UINT64_MAX >> unused;
    } else {
        const int64_t x = PyLong_AsLongLong(index);
        bits = (uint64_t)x;
        fits = x <= INT64_MAX >> unused && x >= -(INT64_MAX >> unused) - 1;
    }
    Py_DECREF(index);
    if (PyErr_Occurred() ? PyErr_ExceptionMatches(PyExc_OverflowError) : !fits) {
        PyErr_Format(PyExc_OverflowError, "value %S does not fit %s", op,
                     dtypes[dtype].name);
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    memcpy(value, (char *)&bits + (PY_BIG_ENDIAN ? sizeof bits - size : 0), size);
    return 0;
}

static int
pack(PyObject *op, trt_dtype dtype, unsigned char *value)
{
    if (dtype < TRT_FLOAT32) {
        return pack_integer(op, dtype, value);
    }
    const double x = PyFloat_AsDouble(op);
    if (x == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (dtype == TRT_FLOAT32) {
        return PyFloat_Pack4(x, (char *)value, PY_LITTLE_ENDIAN);
    }
    memcpy(value, &x, sizeof x);
    return 0;
}

static void
fill_here(void *record)
{
    const trt_fill *const f = record;
    trt_fill_kernels[f->target.dtype](f, 0, f->target.length);
}

static int
fill(const Numbers *array, PyObject *value)
{
    const trt_items *const items = &array->items;
    trt_fill f = {.target = *items};
    if (pack(value, items->dtype, f.value) < 0) {
        return -1;
    }
    const bool is_long = has_gaps(items) ? items->length > TRT_STRIDED_SERIAL
                                         : bytes_of(items) > TRT_FILL_SERIAL;
    return is_long ? run_native(trt_fill_run, &f, sizeof f)
                   : run_here(fill_here, &f, bytes_of(items));
}

/* _fill(array, value) */
PyObject *
core_fill(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *op, *value;
    Numbers array = {0};
    if (!PyArg_ParseTuple(args, "OO:fill", &op, &value)) {
        return NULL;
    }
    const int status =
        hold(&array, "array", op, WRITABLE) < 0 ? -1 : fill(&array, value);
    release(&array);
    return none_if(status);
}

static void
copy_here(void *record)
{
    const trt_copy *const c = record;
    trt_copy_kernels[c->source.dtype](c, 0, c->source.length);
}

static int
copy(const Numbers *source, const Numbers *target)
{
    trt_copy c = {source->items, target->items};
    const size_t length = c.source.length;
    if (check_same_dtype(target, source) < 0 || check_apart(target, source) < 0) {
        return -1;
    }
    if (c.target.length != length) {
        PyErr_Format(PyExc_ValueError,
                     "target has to have %zu items, as many as source, not %zu", length,
                     c.target.length);
        return -1;
    }
    const bool is_long = has_gaps(&c.source) || has_gaps(&c.target)
                             ? length > TRT_STRIDED_SERIAL
                             : bytes_of(&c.source) > TRT_COPY_SERIAL;
    return is_long ? run_native(trt_copy_run, &c, sizeof c)
                   : run_here(copy_here, &c, bytes_of(&c.source));
}

/* _copy(source, target) */
PyObject *
core_copy(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *source_op, *target_op;
    Numbers source = {0}, target = {0};
    if (!PyArg_ParseTuple(args, "OO:copy", &source_op, &target_op)) {
        return NULL;
    }
    const int status = hold(&source, "source", source_op, 0) < 0 ||
                               hold(&target, "target", target_op, WRITABLE) < 0
                           ? -1
                           : copy(&source, &target);
    release(&target);
    release(&source);
    return none_if(status);
}

/* ---- adding up ------------------------------------------------------------------- */

static void
sum_here(void *record)
{
    trt_sum_here(record);
}

static PyObject *
sum(const Numbers *array)
{
    trt_sum s = {.items = array->items};
    const int status = s.items.length > TRT_SUM_SERIAL
                           ? run_native(trt_sum_run, &s, sizeof s)
                           : run_here(sum_here, &s, bytes_of(&s.items));
    if (status < 0) {
        return NULL;
    }
    if (s.items.dtype >= TRT_FLOAT32) {
        return PyFloat_FromDouble(trt_total_float(&s.total));
    }
    return s.items.dtype >= TRT_UINT8 ? PyLong_FromUnsignedLongLong(s.total.integer)
                                      : PyLong_FromLongLong((long long)s.total.integer);
}

/* _sum(array) */
PyObject *
core_sum(PyObject *Py_UNUSED(module), PyObject *op)
{
    Numbers array = {0};
    PyObject *const result = hold(&array, "array", op, 0) < 0 ? NULL : sum(&array);
    release(&array);
    return result;
}
