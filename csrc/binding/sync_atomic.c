/* AtomicInt: a number that many may change at once. */
#include "sync.h"

/* All operations take part in the one order that all threads agree on (seq_cst): in
 * Python nobody would notice what less of an order saves. */
typedef struct NumberObject {
    PyObject_HEAD
    PyObject *weakrefs;
    _Atomic(int64_t) value; /* any thread; orders whatever the program means it to */
} NumberObject;

/* ---- arguments ------------------------------------------------------------------- */

static PyObject *
raise_overflow(const char *what)
{
    return PyErr_Format(PyExc_OverflowError,
                        "%s does not fit an AtomicInt, which has 64 bits with a sign",
                        what);
}

/* A Python int, or what has __index__, as 64 bits. 0, or −1 with an error set. */
static int
as_int64(PyObject *op, int64_t *value)
{
    PyObject *const number = PyNumber_Index(op);
    int overflow = 0;
    if (!number) {
        return -1;
    }
    *value = PyLong_AsLongLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    if (overflow) {
        raise_overflow("the argument");
    }
    return overflow || (*value == -1 && PyErr_Occurred()) ? -1 : 0;
}

static bool
sum_fits(int64_t a, int64_t b)
{
    return b >= 0 ? a <= INT64_MAX - b : a >= INT64_MIN - b;
}

static bool
difference_fits(int64_t a, int64_t b)
{
    return b >= 0 ? a >= INT64_MIN + b : a <= INT64_MAX + b;
}

/* The one optional argument n=1. */
static int
read_step(const char *method, PyObject *const *args, Py_ssize_t nargs, int64_t *n)
{
    *n = 1;
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most 1 argument (%zd given)",
                     method, nargs);
        return -1;
    }
    return nargs == 1 ? as_int64(args[0], n) : 0;
}

/* ---- operations ------------------------------------------------------------------ */

static PyObject *
number_load(NumberObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLongLong(trt_load_seq_cst(&self->value));
}

static PyObject *
number_as_int(PyObject *op)
{
    return number_load((NumberObject *)op, NULL);
}

static PyObject *
number_store(NumberObject *self, PyObject *op)
{
    int64_t value;
    if (as_int64(op, &value) < 0) {
        return NULL;
    }
    trt_store_seq_cst(&self->value, value);
    Py_RETURN_NONE;
}

static PyObject *
number_exchange(NumberObject *self, PyObject *op)
{
    int64_t value;
    if (as_int64(op, &value) < 0) {
        return NULL;
    }
    return PyLong_FromLongLong(trt_exchange_seq_cst(&self->value, value));
}

static PyObject *
number_compare_exchange(NumberObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    int64_t expected, desired;
    if (nargs != 2) {
        return PyErr_Format(PyExc_TypeError,
                            "compare_exchange() takes 2 arguments, expected and "
                            "desired (%zd given)",
                            nargs);
    }
    if (as_int64(args[0], &expected) < 0 || as_int64(args[1], &desired) < 0) {
        return NULL;
    }
    return PyBool_FromLong(trt_cas_seq_cst(&self->value, &expected, desired));
}

static PyObject *
number_fetch_add(NumberObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    int64_t n, value = trt_load_relaxed(&self->value);
    if (read_step("fetch_add", args, nargs, &n) < 0) {
        return NULL;
    }
    do {
        if (!sum_fits(value, n)) {
            return raise_overflow("the sum");
        }
    } while (!trt_cas_seq_cst(&self->value, &value, value + n));
    return PyLong_FromLongLong(value);
}

static PyObject *
number_fetch_sub(NumberObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    int64_t n, value = trt_load_relaxed(&self->value);
    if (read_step("fetch_sub", args, nargs, &n) < 0) {
        return NULL;
    }
    do {
        if (!difference_fits(value, n)) {
            return raise_overflow("the difference");
        }
    } while (!trt_cas_seq_cst(&self->value, &value, value - n));
    return PyLong_FromLongLong(value);
}

/* ---- the type -------------------------------------------------------------------- */

static PyObject *
number_repr(NumberObject *self)
{
    return PyUnicode_FromFormat("AtomicInt(%lld)",
                                (long long)trt_load_seq_cst(&self->value));
}

static PyObject *
number_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"value", NULL};
    PyObject *op = NULL;
    int64_t value = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:AtomicInt", keywords, &op) ||
        (op && as_int64(op, &value) < 0)) {
        return NULL;
    }
    NumberObject *const self = (NumberObject *)type->tp_alloc(type, 0);
    if (self) {
        atomic_init(&self->value, value);
    }
    return (PyObject *)self;
}

static void
number_dealloc(NumberObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    if (self->weakrefs) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(
    number_doc,
    "AtomicInt(value=0)\n--\n\n"
    "An integer of 64 bits with a sign that tasks and threads change without a "
    "lock.\n\n"
    "`n += 1` on a shared name loses steps without the GIL; fetch_add does not. Each "
    "method is\n"
    "one step that others see whole, in one order for all (seq_cst). int(), indexing "
    "and range()\n"
    "read it. Every argument may be anything with __index__; OverflowError, with "
    "nothing\n"
    "changed, where 64 bits do not hold it. No method is a suspension point. Source: "
    "C++'s\n"
    "std::atomic.\n\n"
    ">>> from taskrt import AtomicInt\n"
    ">>> count = AtomicInt()\n"
    ">>> count.fetch_add(2)\n"
    "0\n"
    ">>> count.load()\n"
    "2");
PyDoc_STRVAR(load_doc, "load($self, /)\n--\n\nReturn the value.");
PyDoc_STRVAR(store_doc, "store($self, value, /)\n--\n\nReplace the value.");
PyDoc_STRVAR(exchange_doc, "exchange($self, value, /)\n--\n\n"
                           "Replace the value; return the one before.");
PyDoc_STRVAR(compare_exchange_doc,
             "compare_exchange($self, expected, desired, /)\n--\n\n"
             "Replace the value by desired if it is expected; return whether it was.");
PyDoc_STRVAR(fetch_add_doc, "fetch_add($self, n=1, /)\n--\n\n"
                            "Add n; return the value before.\n\n"
                            "Raises OverflowError, and adds nothing, if the sum does "
                            "not fit.");
PyDoc_STRVAR(fetch_sub_doc, "fetch_sub($self, n=1, /)\n--\n\n"
                            "Subtract n; return the value before.\n\n"
                            "Raises OverflowError, and subtracts nothing, if the "
                            "difference does not fit.");

#define FAST(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL

static PyMethodDef number_methods[] = {
    {"load", (PyCFunction)number_load, METH_NOARGS, load_doc},
    {"store", (PyCFunction)number_store, METH_O, store_doc},
    {"exchange", (PyCFunction)number_exchange, METH_O, exchange_doc},
    {"compare_exchange", FAST(number_compare_exchange), compare_exchange_doc},
    {"fetch_add", FAST(number_fetch_add), fetch_add_doc},
    {"fetch_sub", FAST(number_fetch_sub), fetch_sub_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef number_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(NumberObject, weakrefs), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot number_slots[] = {
    {Py_tp_doc, (void *)number_doc},
    {Py_tp_new, number_new},
    {Py_tp_dealloc, number_dealloc},
    {Py_tp_repr, number_repr},
    {Py_tp_methods, number_methods},
    {Py_tp_members, number_members},
    {Py_nb_index, number_as_int},
    {Py_nb_int, number_as_int},
    {0, NULL},
};

PyType_Spec atomic_spec = {
    .name = "taskrt.AtomicInt",
    .basicsize = sizeof(NumberObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = number_slots,
};
