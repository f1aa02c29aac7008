/* A module whose one function works until the task that called it has been asked to end. */
#include <Python.h>

#include <taskrt.h>

static PyObject *
polite_work(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    unsigned long long steps = 0;
    Py_BEGIN_ALLOW_THREADS
    while (!trt_cancel_requested()) {
        steps++; /* a part of the real work */
    }
    Py_END_ALLOW_THREADS
    return PyLong_FromUnsignedLongLong(steps);
}

static int
polite_exec(PyObject *Py_UNUSED(module))
{
    return trt_import(); /* once, before any other function of taskrt.h */
}

static PyMethodDef functions[] = {
    {"work", polite_work, METH_NOARGS, "Work until asked to end; return the steps done."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)polite_exec},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* or the import turns the GIL on */
#endif
    {0, NULL},
};

static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "polite",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit_polite(void)
{
    return PyModuleDef_Init(&module_def);
}
