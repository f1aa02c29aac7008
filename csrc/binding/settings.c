/* What the user has chosen: the environment, and the number of threads. */
#include "core.h"

/* Whether a setting is on; anything with an error set. */
static bool
read_switch(PyObject *settings, const char *name)
{
    PyObject *const value = PyObject_GetAttrString(settings, name);
    const bool is_on = value && PyObject_IsTrue(value);
    Py_XDECREF(value);
    return is_on;
}

int
settings_read(Settings *read)
{
    PyObject *const settings = lifecycle_call_python("taskrt._config", "read_settings");
    long n = 0;
    if (settings) {
        PyObject *const value = PyObject_GetAttrString(settings, "num_threads");
        n = value ? PyLong_AsLong(value) : -1;
        Py_XDECREF(value);
        read->inline_tasks = read_switch(settings, "inline");
        read->debug = read_switch(settings, "debug");
        read->closures = read_switch(settings, "closures");
        Py_DECREF(settings);
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    read->threads = core->chosen_threads ? core->chosen_threads : (uint32_t)n;
    return 0;
}

PyObject *
core_num_threads(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Settings settings = {.threads = trt_load_relaxed(&core->threads)};
    if (settings.threads == 0 && settings_read(&settings) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLong(settings.threads);
}

PyObject *
core_set_num_threads(PyObject *Py_UNUSED(module), PyObject *arg)
{
    const long n = PyLong_AsLong(arg);
    if (n == -1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return NULL;
        }
        PyErr_Clear();
    }
    if (n < 1 || n > TRT_POOL_MAX_THREADS) {
        return PyErr_Format(PyExc_ValueError,
                            "set_num_threads() takes a number from 1 to %d, not %R",
                            TRT_POOL_MAX_THREADS, arg);
    }
    return lifecycle_resize((uint32_t)n) < 0 ? NULL : Py_NewRef(Py_None);
}
