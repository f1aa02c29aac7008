/* Sorting the rows of an array, as kernels.c does other things: where they are too
 * short for several threads at once, otherwise as native work. */
#include "numbers.h"

#include "kernels/sort.h"

/* 0, or −1 with an error set. */
static int
check_status(int status)
{
    if (status == TRT_NO_MEMORY) {
        PyErr_NoMemory();
    }
    return status ? -1 : 0;
}

static size_t
count_rows(const Numbers *array)
{
    return array->row > 0 ? array->items.length / array->row : 0;
}

/* ---- sorting --------------------------------------------------------------------- */

/* What runs here, and what came of it. */
typedef struct SortHere {
    trt_sort sort;
    int status;
} SortHere;

static void
sort_here(void *record)
{
    SortHere *const s = record;
    s->status = trt_sort_here(&s->sort);
}

static int
sort(const Numbers *array, bool reverse)
{
    SortHere s = {.sort = {.dtype = array->items.dtype,
                           .items = array->items.first,
                           .length = array->row,
                           .rows = count_rows(array),
                           .reverse = reverse}};
    if (array->items.length > TRT_SORT_SERIAL) {
        return numbers_run_native(trt_sort_run, &s.sort, sizeof s.sort);
    }
    return numbers_run_here(sort_here, &s, numbers_bytes(&array->items)) < 0
               ? -1
               : check_status(s.status);
}

/* _sort(array, reverse) */
PyObject *
core_sort(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *op;
    int reverse;
    Numbers array = {0};
    if (!PyArg_ParseTuple(args, "Op:sort", &op, &reverse)) {
        return NULL;
    }
    const int status =
        numbers_hold(&array, "array", op, NUMBERS_ROWS | NUMBERS_WRITABLE) < 0
            ? -1
            : sort(&array, reverse);
    numbers_release(&array);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- finding the order ----------------------------------------------------------- */

typedef struct ArgsortHere {
    trt_argsort argsort;
    int status;
} ArgsortHere;

static void
argsort_here(void *record)
{
    ArgsortHere *const a = record;
    a->status = trt_argsort_here(&a->argsort);
}

/* 0, or −1 with an error set. */
static int
check_out(const Numbers *array, const Numbers *out)
{
    if (out->items.dtype != TRT_INT64) {
        PyErr_Format(PyExc_TypeError, "out has to hold int64, not %s",
                     numbers_dtype_name(out->items.dtype));
        return -1;
    }
    if (out->items.length != array->items.length || out->row != array->row) {
        PyErr_Format(PyExc_ValueError,
                     "out has to have the shape of array, %zu items in rows of %zu, "
                     "not %zu in rows of %zu",
                     array->items.length, array->row, out->items.length, out->row);
        return -1;
    }
    return numbers_check_apart(out, array);
}

static int
argsort(const Numbers *array, const Numbers *out, bool reverse)
{
    if (check_out(array, out) < 0) {
        return -1;
    }
    ArgsortHere a = {.argsort = {.dtype = array->items.dtype,
                                 .items = array->items.first,
                                 .indices = (int64_t *)(void *)out->items.first,
                                 .length = array->row,
                                 .rows = count_rows(array),
                                 .reverse = reverse}};
    if (array->items.length > TRT_SORT_SERIAL) {
        return numbers_run_native(trt_argsort_run, &a.argsort, sizeof a.argsort);
    }
    return numbers_run_here(argsort_here, &a, numbers_bytes(&out->items)) < 0
               ? -1
               : check_status(a.status);
}

/* _argsort(array, out, reverse) */
PyObject *
core_argsort(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *op, *out_op;
    int reverse;
    Numbers array = {0}, out = {0};
    if (!PyArg_ParseTuple(args, "OOp:argsort", &op, &out_op, &reverse)) {
        return NULL;
    }
    const int status =
        numbers_hold(&array, "array", op, NUMBERS_ROWS) < 0 ||
                numbers_hold(&out, "out", out_op, NUMBERS_ROWS | NUMBERS_WRITABLE) < 0
            ? -1
            : argsort(&array, &out, reverse);
    numbers_release(&out);
    numbers_release(&array);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}
