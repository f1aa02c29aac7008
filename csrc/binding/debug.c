/* What TASKRT_DEBUG has each spawn note: where it was, and what a closure saw. */
#include "core.h"

#include <string.h>

/* Whether a frame runs code of the package. */
static bool
is_ours(PyFrameObject *frame)
{
    PyObject *const globals = PyFrame_GetGlobals(frame);
    PyObject *const name =
        globals ? PyMapping_GetItemString(globals, "__name__") : NULL;
    const char *const text =
        name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    const bool ours =
        text && strncmp(text, "taskrt", 6) == 0 && (text[6] == '\0' || text[6] == '.');
    PyErr_Clear();
    Py_XDECREF(name);
    Py_XDECREF(globals);
    return ours;
}

/* The innermost frame that is not of the package; of those that only the package has,
 * the outermost. New reference, or NULL without an error. */
static PyFrameObject *
find_caller(void)
{
    PyFrameObject *frame = PyEval_GetFrame(); /* borrowed */
    Py_XINCREF(frame);
    while (frame && is_ours(frame)) {
        PyFrameObject *const outer = PyFrame_GetBack(frame);
        if (!outer) {
            break;
        }
        Py_SETREF(frame, outer);
    }
    return frame;
}

static PyObject *
describe_place(PyFrameObject *frame)
{
    PyCodeObject *const code = PyFrame_GetCode(frame);
    PyObject *const site =
        PyUnicode_FromFormat("%U:%d", code->co_filename, PyFrame_GetLineNumber(frame));
    Py_DECREF(code);
    return site;
}

static PyObject *
call_closures(const char *name, PyObject *first, PyObject *second)
{
    PyObject *const module = PyImport_ImportModule("taskrt._closures");
    PyObject *const result =
        module ? PyObject_CallMethod(module, name, second ? "OO" : "O", first, second)
               : NULL;
    Py_XDECREF(module);
    return result;
}

/* In place of a task's function: a function in C, so that tracebacks are as they would
 * be. `self` is that function and what it saw when the task was spawned. */
static PyObject *
call_closure(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *const checked = call_closures("check", PyTuple_GET_ITEM(self, 1), NULL);
    if (!checked) {
        return NULL; /* warnings are errors */
    }
    Py_DECREF(checked);
    return PyObject_Vectorcall(PyTuple_GET_ITEM(self, 0), args, (size_t)nargs, kwnames);
}

static PyMethodDef call_def = {"closure", (PyCFunction)(void (*)(void))call_closure,
                               METH_FASTCALL | METH_KEYWORDS, NULL};

static void
watch_closure(TaskObject *task, PyFrameObject *frame)
{
    PyObject *const seen = call_closures("look_at", task->fn, (PyObject *)frame);
    PyObject *const self =
        seen && seen != Py_None ? PyTuple_Pack(2, task->fn, seen) : NULL;
    PyObject *const call = self ? PyCFunction_New(&call_def, self) : NULL;
    if (call) {
        Py_SETREF(task->fn, call);
    }
    Py_XDECREF(self);
    Py_XDECREF(seen);
}

void
debug_note_spawn(TaskObject *task)
{
    PyFrameObject *const frame = find_caller();
    if (frame) {
        task->site = describe_place(frame);
        if (core->closures) {
            watch_closure(task, frame);
        }
        Py_DECREF(frame);
    }
    PyErr_Clear(); /* no memory for notes is no reason not to spawn */
}
