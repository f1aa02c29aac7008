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

/* The number of threads of a team, as set, or else as the environment says; anything
 * with an error set. */
static uint32_t
read_number(PyObject *settings, int team, const char *name)
{
    PyObject *const value = PyObject_GetAttrString(settings, name);
    const long n = value ? PyLong_AsLong(value) : -1;
    Py_XDECREF(value);
    return core->chosen_threads[team] ? core->chosen_threads[team] : (uint32_t)n;
}

int
settings_read(Settings *read)
{
    PyObject *const settings = lifecycle_call_python("taskrt._config", "read_settings");
    if (settings) {
        read->threads[TRT_DEFAULT] = read_number(settings, TRT_DEFAULT, "num_threads");
        read->threads[TRT_INTERACTIVE] =
            read_number(settings, TRT_INTERACTIVE, "interactive_threads");
        read->inline_tasks = read_switch(settings, "inline");
        read->debug = read_switch(settings, "debug");
        read->closures = read_switch(settings, "closures");
        Py_DECREF(settings);
    }
    return PyErr_Occurred() ? -1 : 0;
}

int
settings_pool(PyObject *name, int same)
{
    static const struct {
        const char *name;
        int team;
    } pools[] = {{"default", TRT_DEFAULT}, {"interactive", TRT_INTERACTIVE}};
    if (!PyUnicode_Check(name)) {
        goto fail;
    }
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        if (PyUnicode_CompareWithASCIIString(name, pools[i].name) == 0) {
            return pools[i].team;
        }
    }
    if (same >= 0 && PyUnicode_CompareWithASCIIString(name, "same") == 0) {
        return same;
    }
fail:
    PyErr_Format(PyExc_ValueError,
                 same < 0 ? "pool must be 'default' or 'interactive', not %R"
                          : "pool must be 'default', 'interactive', 'same' or None, "
                            "not %R",
                 name);
    return -1;
}

PyObject *
core_num_threads(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"pool", NULL};
    PyObject *pool = core->str.fallback;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:num_threads", keywords, &pool)) {
        return NULL;
    }
    const int team = settings_pool(pool, -1);
    if (team < 0) {
        return NULL;
    }
    const _Atomic(uint32_t) *const started[] = {&core->threads, &core->interactive};
    uint32_t n = trt_load_relaxed(started[team]);
    if (n == 0) {
        Settings settings;
        if (settings_read(&settings) < 0) {
            return NULL;
        }
        n = settings.threads[team];
    }
    return PyLong_FromUnsignedLong(n);
}

PyObject *
core_set_num_threads(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", "pool", NULL};
    PyObject *number, *pool = core->str.fallback;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:set_num_threads", keywords,
                                     &number, &pool)) {
        return NULL;
    }
    const int team = settings_pool(pool, -1);
    if (team < 0) {
        return NULL;
    }
    const long n = PyLong_AsLong(number);
    if (n == -1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return NULL;
        }
        PyErr_Clear();
    }
    if (n < 1 || n > TRT_POOL_MAX_THREADS) {
        return PyErr_Format(PyExc_ValueError,
                            "set_num_threads() takes a number from 1 to %d, not %R",
                            TRT_POOL_MAX_THREADS, number);
    }
    return lifecycle_resize(team, (uint32_t)n) < 0 ? NULL : Py_NewRef(Py_None);
}
