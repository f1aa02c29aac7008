/* The inside of a parallel loop: one block of calls, without a frame of Python between
 * them. taskrt/parallel/_blocks.py hands out the blocks. */
#include "core.h"

#include <stdlib.h>

/* Arguments of a call that lie on the stack. */
enum { FEW_ARGUMENTS = 8 };

/* A block of calls: fn(*prefix, *items), where `items` has the next of each column. */
typedef struct Calls {
    PyObject *fn;        /* borrowed, as all but what says otherwise */
    PyObject *iterators; /* a tuple with one for each column, owned */
    PyObject *results;   /* list, or NULL: what the calls return is dropped */
    PyObject **args;     /* the prefix, then room for an item of each column */
    Py_ssize_t prefix, columns;
} Calls;

/* The caller has promised as many items, and room for as many results. */
static int
raise_ended(void)
{
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError, "_call_each(): too few items, or results");
    }
    return -1;
}

/* Fetch the next item of each column. How many it has got: all, or an error is set. */
static Py_ssize_t
next_items(const Calls *calls)
{
    for (Py_ssize_t i = 0; i < calls->columns; i++) {
        PyObject *const iterator = PyTuple_GET_ITEM(calls->iterators, i);
        PyObject *const item = Py_TYPE(iterator)->tp_iternext(iterator);
        if (!item) {
            raise_ended();
            return i;
        }
        calls->args[calls->prefix + i] = item;
    }
    return calls->columns;
}

static PyObject *
call_next(const Calls *calls)
{
    const Py_ssize_t got = next_items(calls);
    const size_t nargs = (size_t)(calls->prefix + calls->columns);
    PyObject *const value =
        got < calls->columns
            ? NULL
            : PyObject_Vectorcall(calls->fn, calls->args,
                                  nargs | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    for (Py_ssize_t i = 0; i < got; i++) {
        Py_DECREF(calls->args[calls->prefix + i]);
    }
    return value;
}

/* The same where the one column has rows, which are the arguments. */
static PyObject *
call_next_row(const Calls *calls)
{
    if (next_items(calls) < 1) {
        return NULL;
    }
    PyObject *const row = calls->args[calls->prefix];
    PyObject *values = PySequence_Tuple(row); /* a tuple itself, if it is one */
    Py_DECREF(row);
    if (values && calls->prefix > 0) {
        PyObject *const rest = values;
        const Py_ssize_t count = calls->prefix + PyTuple_GET_SIZE(rest);
        values = PyTuple_New(count);
        for (Py_ssize_t i = 0; values && i < count; i++) {
            PyObject *const value = i < calls->prefix
                                        ? calls->args[i]
                                        : PyTuple_GET_ITEM(rest, i - calls->prefix);
            PyTuple_SET_ITEM(values, i, Py_NewRef(value));
        }
        Py_DECREF(rest);
    }
    PyObject *const value = values ? PyObject_Call(calls->fn, values, NULL) : NULL;
    Py_XDECREF(values);
    return value;
}

/* Make `count` calls; what they return goes to `results` from `index` on. 0 or −1. */
static int
call_all(const Calls *calls, bool starred, Py_ssize_t index, Py_ssize_t count)
{
    for (const Py_ssize_t end = index + count; index < end; index++) {
        PyObject *const value = starred ? call_next_row(calls) : call_next(calls);
        if (!value) {
            return -1;
        }
        if (!calls->results) {
            Py_DECREF(value);
        } else if (index >= PyList_GET_SIZE(calls->results)) {
            Py_DECREF(value);
            return raise_ended();
        } else {
            PyObject *const before = PyList_GET_ITEM(calls->results, index);
            PyList_SET_ITEM(calls->results, index, value);
            Py_DECREF(before);
        }
    }
    return 0;
}

static PyObject *
iterators_of(PyObject *columns)
{
    const Py_ssize_t count = PyTuple_GET_SIZE(columns);
    PyObject *const iterators = PyTuple_New(count);
    for (Py_ssize_t i = 0; iterators && i < count; i++) {
        PyObject *const iterator = PyObject_GetIter(PyTuple_GET_ITEM(columns, i));
        if (!iterator) {
            Py_DECREF(iterators);
            return NULL;
        }
        PyTuple_SET_ITEM(iterators, i, iterator);
    }
    return iterators;
}

/* _call_each(fn, prefix, columns, starred, results, index, count): call
 * fn(*prefix, *items) `count` times, with the next item of each of the columns, or,
 * starred, with what is in the next item of the only one. Return values go to the list
 * `results` from `index` on, where nobody else writes meanwhile, or nowhere if it is
 * None. */
PyObject *
core_call_each(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *prefix, *columns, *results;
    Py_ssize_t index, count;
    int starred;
    PyObject *few[FEW_ARGUMENTS + 1];
    Calls calls = {0};
    if (!PyArg_ParseTuple(args, "OO!O!pOnn:_call_each", &calls.fn, &PyTuple_Type,
                          &prefix, &PyTuple_Type, &columns, &starred, &results, &index,
                          &count)) {
        return NULL;
    }
    if (index < 0 || (results != Py_None && !PyList_CheckExact(results)) ||
        (starred && PyTuple_GET_SIZE(columns) != 1)) {
        PyErr_SetString(PyExc_ValueError, "_call_each(): no such calls");
        return NULL;
    }
    calls.results = results == Py_None ? NULL : results;
    calls.prefix = PyTuple_GET_SIZE(prefix);
    calls.columns = PyTuple_GET_SIZE(columns);
    const Py_ssize_t room = calls.prefix + calls.columns;
    PyObject **const many =
        room > FEW_ARGUMENTS ? malloc(((size_t)room + 1) * sizeof *many) : few;
    if (!many) {
        return PyErr_NoMemory();
    }
    many[0] = NULL; /* for the callee, see vectorcall */
    calls.args = many + 1;
    for (Py_ssize_t i = 0; i < calls.prefix; i++) {
        calls.args[i] = PyTuple_GET_ITEM(prefix, i);
    }
    calls.iterators = iterators_of(columns);
    const int status = calls.iterators ? call_all(&calls, starred, index, count) : -1;
    Py_XDECREF(calls.iterators);
    if (many != few) {
        free(many);
    }
    return status < 0 ? NULL : Py_NewRef(Py_None);
}
