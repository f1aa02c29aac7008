/* Kernels on Python's buffers. Arguments are checked here; what is too short for
 * several threads runs at once, and the rest as native work. */
#include "numbers.h"

#include <stdint.h>
#include <string.h>

#include "kernels/copy.h"
#include "kernels/fill.h"
#include "kernels/merge.h"
#include "kernels/sum.h"

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
    return numbers_hold(left, "left", left_op, NUMBERS_CONTIGUOUS) < 0 ||
                   numbers_hold(right, "right", right_op, NUMBERS_CONTIGUOUS) < 0
               ? -1
               : numbers_check_same_dtype(right, left);
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
    if (numbers_check_same_dtype(out, left) < 0 || numbers_check_apart(out, left) < 0 ||
        numbers_check_apart(out, right) < 0) {
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
    return length > TRT_MERGE_SERIAL
               ? numbers_run_native(trt_merge_run, &m, sizeof m)
               : numbers_run_here(merge_here, &m, numbers_bytes(&out->items));
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
                               numbers_hold(&out, "out", out_op,
                                            NUMBERS_CONTIGUOUS | NUMBERS_WRITABLE) < 0
                           ? -1
                           : merge(&left, &right, &out);
    numbers_release(&out);
    numbers_release(&right);
    numbers_release(&left);
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
    numbers_release(&right);
    numbers_release(&left);
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
                     numbers_dtype_name(dtype));
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
    const bool is_long = numbers_have_gaps(items)
                             ? items->length > TRT_STRIDED_SERIAL
                             : numbers_bytes(items) > TRT_FILL_SERIAL;
    return is_long ? numbers_run_native(trt_fill_run, &f, sizeof f)
                   : numbers_run_here(fill_here, &f, numbers_bytes(items));
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
    const int status = numbers_hold(&array, "array", op, NUMBERS_WRITABLE) < 0
                           ? -1
                           : fill(&array, value);
    numbers_release(&array);
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
    if (numbers_check_same_dtype(target, source) < 0 ||
        numbers_check_apart(target, source) < 0) {
        return -1;
    }
    if (c.target.length != length) {
        PyErr_Format(PyExc_ValueError,
                     "target has to have %zu items, as many as source, not %zu", length,
                     c.target.length);
        return -1;
    }
    const bool is_long = numbers_have_gaps(&c.source) || numbers_have_gaps(&c.target)
                             ? length > TRT_STRIDED_SERIAL
                             : numbers_bytes(&c.source) > TRT_COPY_SERIAL;
    return is_long ? numbers_run_native(trt_copy_run, &c, sizeof c)
                   : numbers_run_here(copy_here, &c, numbers_bytes(&c.source));
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
    const int status =
        numbers_hold(&source, "source", source_op, 0) < 0 ||
                numbers_hold(&target, "target", target_op, NUMBERS_WRITABLE) < 0
            ? -1
            : copy(&source, &target);
    numbers_release(&target);
    numbers_release(&source);
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
                           ? numbers_run_native(trt_sum_run, &s, sizeof s)
                           : numbers_run_here(sum_here, &s, numbers_bytes(&s.items));
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
    PyObject *const result =
        numbers_hold(&array, "array", op, 0) < 0 ? NULL : sum(&array);
    numbers_release(&array);
    return result;
}
