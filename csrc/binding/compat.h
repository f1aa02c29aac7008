/* Everything that differs between Python versions, and nothing else.
 *
 * Supported: CPython 3.11 to 3.14, with the GIL and free-threaded. The rest of the
 * binding calls these functions and has no version test of its own.
 */
#ifndef TRT_BINDING_COMPAT_H
#define TRT_BINDING_COMPAT_H

#include <Python.h>

#include <stdbool.h>

#include "os/atomics.h"

/* Take the error that is set, as an exception object that carries its traceback. A new
 * reference, never NULL; no error is set afterwards. */
static inline PyObject *
trt_py_take_error(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Set `exception` as the current error with its own traceback; steals the reference. */
static inline void
trt_py_set_error(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                  PyException_GetTraceback(exception));
#endif
}

/* Recursion counts: the Python one everywhere, a second one for C calls on 3.12
 * and 3.13. From 3.14 on C recursion is bounded by the stack pointer, which the
 * headroom test of wait.c looks at anyway. */
#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030E0000
#if PY_VERSION_HEX >= 0x030D0000
#define TRT_PY_C_RECURSION_LIMIT Py_C_RECURSION_LIMIT
#else
#define TRT_PY_C_RECURSION_LIMIT C_RECURSION_LIMIT
#endif
#endif

/* Whether a quarter of the recursion allowed on this stack is still unused. */
static inline bool
trt_py_recursion_has_room(const PyThreadState *tstate)
{
#if PY_VERSION_HEX >= 0x030C0000
#ifdef TRT_PY_C_RECURSION_LIMIT
    if (tstate->c_recursion_remaining < TRT_PY_C_RECURSION_LIMIT / 4) {
        return false;
    }
#endif
    return tstate->py_recursion_remaining > tstate->py_recursion_limit / 4;
#else
    return tstate->recursion_remaining > tstate->recursion_limit / 4;
#endif
}

/* Forget the recursion of whoever started this greenlet: its stack begins here. */
static inline void
trt_py_recursion_reset(PyThreadState *tstate)
{
#if PY_VERSION_HEX >= 0x030C0000
#ifdef TRT_PY_C_RECURSION_LIMIT
    tstate->c_recursion_remaining = TRT_PY_C_RECURSION_LIMIT;
#endif
    tstate->py_recursion_remaining = tstate->py_recursion_limit;
#else
    tstate->recursion_remaining = tstate->recursion_limit;
#endif
}

/* What tells the greenlet in use from others: where its Python frames begin, which
 * stays as long as it lives. NULL: it has run none yet. */
static inline const void *
trt_py_frames_begin(const PyThreadState *tstate)
{
    const _PyStackChunk *chunk = tstate->datastack_chunk;
    while (chunk && chunk->previous) {
        chunk = chunk->previous;
    }
    return chunk;
}

/* A module that has been imported, by its interned name: a new reference, or NULL
 * without an error. */
static inline PyObject *
trt_py_loaded_module(PyObject *name)
{
    PyObject *const modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *module = NULL;
#if PY_VERSION_HEX >= 0x030D0000
    if (PyDict_GetItemRef(modules, name, &module) < 0) {
        PyErr_Clear();
    }
#else
    module = Py_XNewRef(PyDict_GetItemWithError(modules, name));
    if (!module) {
        PyErr_Clear();
    }
#endif
    return module;
}

/* What a weak reference refers to: a new reference, or NULL without an error. */
static inline PyObject *
trt_py_weakref_get(PyObject *ref)
{
    PyObject *object = NULL;
#if PY_VERSION_HEX >= 0x030D0000
    if (PyWeakref_GetRef(ref, &object) < 0) {
        PyErr_Clear();
    }
#else
    object = PyWeakref_GET_OBJECT(ref); /* borrowed */
    object = object == Py_None ? NULL : Py_NewRef(object);
#endif
    return object;
}

/* Let the interpreter prepare for its first thread beside main, here and now.
 * Free-threaded 3.13 stops the world for that, when the first state for another thread
 * is made; if that were a thread of the pool while this one forks, the child would
 * inherit the lock of a stop that nobody ends. */
static inline void
trt_py_prepare_threads(void)
{
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x030E0000
    PyThreadState *const state = PyThreadState_New(PyInterpreterState_Get());
    if (state) {
        PyThreadState_Clear(state);
        PyThreadState_Delete(state);
    }
#endif
}

/* Drop what PyThreadState_SetAsyncExc has sent to this thread and was not raised yet.
 * Before 3.13 that makes all threads look for such an error at every call until one
 * finds some; a traced function of 3.11 even looks for ever. So there it is done only
 * if `sent`: whether anything was sent to anybody, known with the GIL. */
static inline void
trt_py_drop_sent_error(bool sent)
{
    if (sent || PY_VERSION_HEX >= 0x030D0000) {
        PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), NULL);
    }
}

/* The module's declarations to the interpreter. */
#if PY_VERSION_HEX >= 0x030C0000
#define TRT_PY_SLOT_INTERPRETERS                                                       \
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#else
#define TRT_PY_SLOT_INTERPRETERS
#endif
#if PY_VERSION_HEX >= 0x030D0000
#define TRT_PY_SLOT_GIL {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#else
#define TRT_PY_SLOT_GIL
#endif

/* Whether threads that wait may spin: with the GIL a spinning thread only delays the
 * one that it waits for. */
#ifdef Py_GIL_DISABLED
#define TRT_PY_SPINS 1
#else
#define TRT_PY_SPINS 0
#endif

/* Before 3.13 a thread that attaches after finalization has begun is ended by
 * pthread_exit, which unwinds its frames, ours and greenlet's C++ ones, without the
 * GIL. From 3.13 on it hangs in place instead. TRT_PY_HANG_ON_UNWIND(guard) in a
 * function gives the earlier versions the later behaviour: the frame's cleanup runs
 * first and stays. */
#if PY_VERSION_HEX < 0x030D0000 && defined(__GNUC__)
#include <unistd.h>

static inline void
trt_py_hang_unless_done(const bool *done)
{
    while (!*done) {
        pause();
    }
}
#define TRT_PY_HANG_ON_UNWIND(guard)                                                   \
    __attribute__((cleanup(trt_py_hang_unless_done))) bool guard = false
#define TRT_PY_UNWIND_DONE(guard) ((guard) = true)
#else
#define TRT_PY_HANG_ON_UNWIND(guard) ((void)0)
#define TRT_PY_UNWIND_DONE(guard) ((void)0)
#endif

#endif
