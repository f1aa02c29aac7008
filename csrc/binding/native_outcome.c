/* What came of native work, as Python sees it: None or an exception. */
#include "native.h"

#include <string.h>

/* C code's words as a str, or None: whatever is no UTF-8 is replaced. */
static PyObject *
decode(const char *message)
{
    return message
               ? PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace")
               : Py_NewRef(Py_None);
}

static void
raise_with(PyObject *type, const char *message, const char *otherwise)
{
    PyObject *const text = decode(message ? message : otherwise);
    if (text) {
        PyErr_SetObject(type, text);
        Py_DECREF(text);
    }
}

/* A status of the user's own, or without a better exception. */
static void
raise_native_error(int status, const char *message)
{
    PyObject *const text = decode(message);
    PyObject *const error =
        text ? PyObject_CallFunction(core->native_error, "iO", status, text) : NULL;
    if (error) {
        PyErr_SetObject(core->native_error, error);
        Py_DECREF(error);
    }
    Py_XDECREF(text);
}

PyObject *
native_outcome(Worker *w, const Work *work, int status)
{
    const char *const message = trt_load_relaxed(&work->base.message);
    PyObject *const raised = trt_load_acquire(&work->base.error); /* [work-error] */
    if (PyErr_Occurred()) {
        return NULL; /* thrown into the host */
    }
    if (raised) {
        trt_py_set_error(Py_NewRef(raised));
        return NULL;
    }
    switch (status) {
    case TRT_OK:
        Py_RETURN_NONE;
    case TRT_NO_MEMORY:
        raise_with(PyExc_MemoryError, message, "a native task found no memory");
        return NULL;
    case TRT_TOO_DEEP:
        raise_with(PyExc_RecursionError, message,
                   "native tasks nest too deeply: no memory for more stack");
        return NULL;
    case TRT_MISUSE:
        raise_with(PyExc_RuntimeError, message,
                   "a native task broke the rules of taskrt_native.h: it has to join "
                   "every child it has spawned, the newest first");
        return NULL;
    case TRT_UNSUPPORTED:
        raise_with(PyExc_RuntimeError, message,
                   "a native library was built for another version of taskrt "
                   "than " TASKRT_VERSION ", which runs it: build it again");
        return NULL;
    case TRT_CANCELLED:
        if (wait_checkpoint(w->current) == 0) {
            raise_with(core->cancelled_error, message,
                       "a native task has cancelled itself");
        }
        return NULL;
    default:
        raise_native_error(status, message);
        return NULL;
    }
}
