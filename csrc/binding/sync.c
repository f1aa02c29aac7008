/* What the types of the primitives share: who owns, and how long to wait. */
#include "sync.h"

uint64_t
sync_owner(Worker *w)
{
    TaskObject *const task = w->current->task;
    if (task) {
        return task_id(task) * 2;
    }
    return (uint64_t)PyThread_get_thread_ident() * 2 + 1;
}

PyObject *
sync_owner_name(uint64_t owner)
{
    if (owner == 0) {
        return PyUnicode_FromString("nobody");
    }
    return PyUnicode_FromFormat(owner & 1 ? "thread-%llu" : "Task-%llu",
                                (unsigned long long)(owner / 2));
}

static int
read_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
               PyObject **blocking, PyObject **timeout)
{
    PyObject **const places[] = {blocking, timeout};
    const Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    if (nargs + nkw > 2) {
        PyErr_Format(PyExc_TypeError,
                     "acquire() takes at most 2 arguments, blocking and timeout (%zd "
                     "given)",
                     nargs + nkw);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        *places[i] = args[i];
    }
    for (Py_ssize_t i = 0; i < nkw; i++) {
        PyObject *const name = PyTuple_GET_ITEM(kwnames, i);
        const bool is_timeout = PyUnicode_Compare(name, core->str.timeout) == 0;
        if (!is_timeout && PyUnicode_CompareWithASCIIString(name, "blocking") != 0) {
            PyErr_Format(PyExc_TypeError,
                         "acquire() got an unexpected keyword argument '%U'; it takes "
                         "blocking and timeout",
                         name);
            return -1;
        }
        *places[is_timeout] = args[nargs + i];
    }
    return 0;
}

int
sync_acquire_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                       PyObject *no_timeout, uint64_t *deadline_ns)
{
    PyObject *blocking = Py_True, *timeout = no_timeout;
    *deadline_ns = TRT_FOREVER;
    if (nargs == 0 && !kwnames) {
        return 0;
    }
    if (read_arguments(args, nargs, kwnames, &blocking, &timeout) < 0) {
        return -1;
    }
    const int blocks = PyObject_IsTrue(blocking);
    const double seconds = timeout == Py_None ? -1.0 : PyFloat_AsDouble(timeout);
    if (blocks < 0 || (seconds == -1.0 && PyErr_Occurred())) {
        return -1;
    }
    const bool limited = timeout != Py_None && seconds != -1.0;
    if (!blocks && limited) {
        PyErr_SetString(PyExc_ValueError,
                        "can't specify a timeout for a non-blocking call");
        return -1;
    }
    if (limited && no_timeout != Py_None && !(seconds >= 0)) {
        PyErr_SetString(PyExc_ValueError,
                        "timeout value must be a non-negative number");
        return -1;
    }
    if (!blocks) {
        *deadline_ns = SYNC_NOW;
    } else if (limited) {
        return wait_deadline(timeout, deadline_ns);
    }
    return 0;
}
