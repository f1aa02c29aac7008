/* What the types of the primitives share: who owns, how long to wait, and events. */
#include "sync.h"

#include <stdarg.h>

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

PyObject *
sync_statistics(const char *class_name, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    PyObject *const args = Py_VaBuildValue(format, values);
    va_end(values);
    PyObject *const module = args ? PyImport_ImportModule("taskrt.statistics") : NULL;
    PyObject *const type = module ? PyObject_GetAttrString(module, class_name) : NULL;
    PyObject *const result = type ? PyObject_CallObject(type, args) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(module);
    Py_XDECREF(args);
    return result;
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
        if (is_timeout < nargs) {
            return wait_raise_given_twice(
                "acquire", is_timeout ? "timeout" : "blocking", is_timeout + 1);
        }
        *places[is_timeout] = args[nargs + i];
    }
    return 0;
}

/* threading.TIMEOUT_MAX: seconds whose nanoseconds fit 63 bits. */
#define TIMEOUT_MOST 9223372036.0

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
    const bool may_be_none = no_timeout == Py_None;
    const double seconds =
        may_be_none && timeout == Py_None ? -1.0 : PyFloat_AsDouble(timeout);
    if (blocks < 0 || (seconds == -1.0 && PyErr_Occurred())) {
        return -1;
    }
    const bool limited = may_be_none ? timeout != Py_None : seconds != -1.0;
    if (!blocks && limited) {
        PyErr_SetString(PyExc_ValueError,
                        "can't specify a timeout for a non-blocking call");
        return -1;
    }
    if (limited && !may_be_none && !(seconds >= 0)) {
        PyErr_SetString(PyExc_ValueError,
                        "timeout value must be a non-negative number");
        return -1;
    }
    if (limited && !may_be_none && seconds > TIMEOUT_MOST) {
        PyErr_SetString(PyExc_OverflowError, "timeout value is too large");
        return -1;
    }
    if (!blocks) {
        *deadline_ns = SYNC_NOW;
    } else if (limited) {
        return wait_deadline(timeout, deadline_ns);
    }
    return 0;
}

/* ---- waiting for an event -------------------------------------------------------- */

typedef struct EventWait {
    Awaited base;
    trt_event *event;
    uint64_t place; /* from a wait that was only interrupted; or 0 */
} EventWait;

static bool
event_wait_enter(Awaited *base, Wait *wait)
{
    EventWait *const self = (EventWait *)base;
    trt_wait_node_init(&wait->nodes[0], &wait->base, NULL);
    wait->nodes[0].place = self->place;
    return !trt_event_try_or_queue(self->event, &wait->nodes[0]);
}

static void
event_wait_leave(Awaited *base, Wait *wait)
{
    EventWait *const self = (EventWait *)base;
    trt_event_leave(self->event, &wait->nodes[0]);
    self->place = wait->nodes[0].place;
    free(wait);
}

int
sync_wait_for_event(Worker *w, PyObject *object, trt_event *event, uint64_t deadline)
{
    if (wait_checkpoint(w->current) < 0) {
        return -1;
    }
    if (trt_event_try(event)) {
        return 1;
    }
    if (deadline != TRT_FOREVER && deadline <= trt_clock_now_ns()) {
        return 0;
    }
    EventWait wait = {.base = {.enter = event_wait_enter,
                               .leave = event_wait_leave,
                               .object = object,
                               .nodes = 1},
                      .event = event};
    int status;
    do {
        status = wait_once(w, &wait.base, deadline);
    } while (status == 2 && !wait.base.has_come);
    if (status >= 0) {
        return wait.base.has_come;
    }
    if (wait.base.has_come && event->autoreset) {
        trt_event_set(event); /* for somebody else */
    }
    return -1;
}
