/* Semaphore and BoundedSemaphore. */
#include "sync.h"

#define FAST(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL | METH_KEYWORDS
#define EXIT(fn) (PyCFunction)(void (*)(void))(fn), METH_FASTCALL

static PyObject *
new_semaphore(PyTypeObject *type, PyObject *args, PyObject *kwargs, bool bounded)
{
    static char *keywords[] = {"value", NULL};
    long long value = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs,
                                     bounded ? "|L:BoundedSemaphore" : "|L:Semaphore",
                                     keywords, &value)) {
        return NULL;
    }
    if (value < 0) {
        PyErr_SetString(PyExc_ValueError, "semaphore initial value must be >= 0");
        return NULL;
    }
    if ((uint64_t)value > TRT_SEMAPHORE_MAX) {
        PyErr_SetString(PyExc_OverflowError, "semaphore initial value is too large");
        return NULL;
    }
    return permits_new(type, (uint64_t)value,
                       bounded ? (uint64_t)value : TRT_SEMAPHORE_MAX);
}

static PyObject *
semaphore_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    return new_semaphore(type, args, kwargs, false);
}

static PyObject *
bounded_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    return new_semaphore(type, args, kwargs, true);
}

static PyObject *
semaphore_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    return permits_acquire_method(op, args, nargs, kwnames, Py_None, permits_acquire);
}

static PyObject *
semaphore_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return permits_enter_method(op, permits_acquire);
}

static PyObject *
raise_too_many(const Permits *self, long long n)
{
    if (self->permits.most != TRT_SEMAPHORE_MAX) {
        PyErr_SetString(PyExc_ValueError, "Semaphore released too many times");
        return NULL;
    }
    return PyErr_Format(PyExc_OverflowError,
                        "release(%lld) would make more permits than a Semaphore can "
                        "count, which is %llu",
                        n, (unsigned long long)TRT_SEMAPHORE_MAX);
}

static PyObject *
semaphore_release(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"n", NULL};
    Permits *const self = (Permits *)op;
    long long n = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L:release", keywords, &n)) {
        return NULL;
    }
    if (n < 1) {
        PyErr_SetString(PyExc_ValueError, "n must be one or more");
        return NULL;
    }
    const bool released = n == 1
                              ? trt_semaphore_release(&self->permits)
                              : trt_semaphore_release_many(&self->permits, (uint64_t)n);
    return released ? Py_NewRef(Py_None) : raise_too_many(self, n);
}

static PyObject *
semaphore_exit(PyObject *op, PyObject *const *Py_UNUSED(args),
               Py_ssize_t Py_UNUSED(nargs))
{
    Permits *const self = (Permits *)op;
    return trt_semaphore_release(&self->permits) ? Py_NewRef(Py_None)
                                                 : raise_too_many(self, 1);
}

static PyObject *
semaphore_repr(Permits *self)
{
    return PyUnicode_FromFormat(
        "<%s at %p: value=%llu>", Py_TYPE(self)->tp_name, self,
        (unsigned long long)trt_semaphore_permits(&self->permits));
}

static PyObject *
bounded_repr(Permits *self)
{
    return PyUnicode_FromFormat(
        "<%s at %p: value=%llu/%llu>", Py_TYPE(self)->tp_name, self,
        (unsigned long long)trt_semaphore_permits(&self->permits),
        (unsigned long long)self->permits.most);
}

static PyObject *
semaphore_statistics(Permits *self, PyObject *Py_UNUSED(ignored))
{
    const uint64_t most = self->permits.most;
    PyObject *const bound = most == TRT_SEMAPHORE_MAX
                                ? Py_NewRef(Py_None)
                                : PyLong_FromUnsignedLongLong(most);
    return bound ? sync_statistics(
                       "SemaphoreStatistics", "(KNn)",
                       (unsigned long long)trt_semaphore_permits(&self->permits), bound,
                       (Py_ssize_t)trt_semaphore_waiting(&self->permits))
                 : NULL;
}

static PyObject *
semaphore_value(Permits *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(trt_semaphore_permits(&self->permits));
}

PyDoc_STRVAR(
    semaphore_doc,
    "Semaphore(value=1)\n--\n\n"
    "A count of permits for tasks and threads; a threading.Semaphore that parks "
    "the task.\n\n"
    "Raises ValueError if value is negative. Fair as Lock is.\n\n"
    ">>> from taskrt import Semaphore\n"
    ">>> places = Semaphore(2)\n"
    ">>> with places, places:\n"
    "...     places.acquire(blocking=False)\n"
    "False");
PyDoc_STRVAR(bounded_doc, "BoundedSemaphore(value=1)\n--\n\n"
                          "A Semaphore that never has more permits than at first.");
PyDoc_STRVAR(semaphore_acquire_doc,
             "acquire($self, /, blocking=True, timeout=None)\n--\n\n"
             "Take a permit; return whether there was one.\n\n"
             "timeout  seconds to wait at most, None for no limit; only if blocking\n\n"
             "Raises ValueError for a timeout without blocking; Cancelled. A "
             "suspension point and "
             "a\n"
             "checkpoint, unless blocking is false.");
PyDoc_STRVAR(
    semaphore_release_doc,
    "release($self, /, n=1)\n--\n\n"
    "Give back n permits, and let those go on that wait for one.\n\n"
    "Raises ValueError if n is less than 1, or a bounded one would have too "
    "many; then\n"
    "nothing has changed; OverflowError if there would be 2**62 or more. Not a\n"
    "suspension point.");

PyDoc_STRVAR(semaphore_statistics_doc,
             "statistics($self, /)\n--\n\n"
             "Return a taskrt.statistics.SemaphoreStatistics. Not a suspension point.");

static PyMethodDef semaphore_methods[] = {
    {"acquire", FAST(semaphore_acquire), semaphore_acquire_doc},
    {"release", (PyCFunction)(void (*)(void))semaphore_release,
     METH_VARARGS | METH_KEYWORDS, semaphore_release_doc},
    {"statistics", (PyCFunction)semaphore_statistics, METH_NOARGS,
     semaphore_statistics_doc},
    {"__enter__", semaphore_enter, METH_NOARGS, NULL},
    {"__exit__", EXIT(semaphore_exit), NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef semaphore_getset[] = {
    {"_value", (getter)semaphore_value, NULL, "Permits that are free.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot semaphore_slots[] = {
    {Py_tp_doc, (void *)semaphore_doc}, {Py_tp_new, semaphore_new},
    {Py_tp_dealloc, permits_dealloc},   {Py_tp_repr, semaphore_repr},
    {Py_tp_methods, semaphore_methods}, {Py_tp_getset, semaphore_getset},
    {Py_tp_members, permits_members},   {0, NULL},
};

PyType_Spec semaphore_spec = {
    .name = "taskrt.Semaphore",
    .basicsize = sizeof(Permits),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = semaphore_slots,
};

static PyType_Slot bounded_slots[] = {
    {Py_tp_doc, (void *)bounded_doc},
    {Py_tp_new, bounded_new},
    {Py_tp_repr, bounded_repr},
    {0, NULL},
};

PyType_Spec bounded_spec = {
    .name = "taskrt.BoundedSemaphore",
    .basicsize = sizeof(Permits),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = bounded_slots,
};
