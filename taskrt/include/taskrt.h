/* taskrt.h - use taskrt's runtime from C.
 *
 * Include path: python -c "import taskrt; print(taskrt.get_include())". Nothing to
 * link: the functions come through a table that the module taskrt._core exports as a
 * capsule.
 *
 *     #include <Python.h>
 *     #include <taskrt.h>
 *
 *     if (trt_import() < 0) {              // once, in your module's init, attached
 *         return NULL;                     // ImportError is set
 *     }
 *     ...
 *     while (!trt_cancel_requested()) {    // anywhere, also detached
 *         work_a_little();
 *     }
 *
 * Native tasks, which spawn and join without Python, are in taskrt_native.h, which this
 * header includes.
 *
 * C11 and C++17. Names begin with trt_ or TRT_. Each file that calls these functions
 * has to call trt_import itself.
 */
#ifndef TASKRT_H
#define TASKRT_H

#include <Python.h>

#include <stdint.h>

#include "taskrt_native.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the table. A table with the same major number has at least the members
 * that it had at the minor number that this header names. */
#define TRT_API_MAJOR 1
#define TRT_API_MINOR 2
#define TRT_API_CAPSULE "taskrt._core._C_API"

typedef struct trt_api {
    uint32_t major;
    uint32_t minor;
    uint32_t (*num_threads)(void);
    int32_t (*thread_id)(void);
    int (*cancel_requested)(void);
    int (*wake)(PyObject *waiter); /* since 1.2 */
} trt_api;

static const trt_api *trt_api_table = NULL;

/* Get the table; 0, or -1 with ImportError set. Attached. */
static inline int
trt_import(void)
{
    const trt_api *table = (const trt_api *)PyCapsule_Import(TRT_API_CAPSULE, 0);
    if (table == NULL) {
        return -1;
    }
    /* One more on both sides: `minor < 0`, where the header names 0, is never true,
     * which GCC's -Wtype-limits takes for a mistake. */
    if (table->major != TRT_API_MAJOR || table->minor + 1 < TRT_API_MINOR + 1) {
        PyErr_Format(
            PyExc_ImportError,
            "this extension was built for taskrt's C API %d.%d, and the installed "
            "taskrt has %u.%u: rebuild it, or install the taskrt it was built for",
            TRT_API_MAJOR, TRT_API_MINOR, (unsigned)table->major,
            (unsigned)table->minor);
        return -1;
    }
    trt_api_table = table;
    return 0;
}

/* How many threads run tasks of the default pool; 0 while the runtime has not started.
 * Any thread, attached or not. */
static inline uint32_t
trt_num_threads(void)
{
    return trt_api_table->num_threads();
}

/* Number of the calling thread: 0 main, 1... threads of the default pool, -1 any other,
 * those of the interactive one too. Attached or not. */
static inline int32_t
trt_thread_id(void)
{
    return trt_api_table->thread_id();
}

/* Whether the task that called this code has been asked to end: a few loads, no lock,
 * so it may stand in an inner loop. 0 outside of tasks. Attached or not, on the task's
 * thread. Native tasks ask trt_cancelled(ctx) instead: a child may run on any thread,
 * and this knows of the task that has begun there, not of the child's work. */
static inline int
trt_cancel_requested(void)
{
    return trt_api_table->cancel_requested();
}

/* Let the one go on that parks on a taskrt.Waiter, or the next to come: Waiter.wake().
 * 1: one did park; 0: there is a token for the next; -1: `waiter` is something else,
 * and nothing has happened, no error is set. Any thread, also one that Python does not
 * know, attached or not; takes a lock for some instructions, so not in a handler that
 * the kernel calls (sigaction). The caller keeps the object alive, by a reference that
 * it owns, until this has returned. Since 1.2. */
static inline int
trt_wake(PyObject *waiter)
{
    return trt_api_table->wake(waiter);
}

/* In a native task: attach to Python, call fn(arg), detach. `fn` returns 0, or -1 with
 * a Python exception set; then this returns TRT_RAISED, and the exception is raised
 * where the work was spawned, whatever the native tasks make of it. fn may spawn, fetch
 * and wait; it runs in a copy of the context of the work, and while it waits the thread
 * goes on with other work. Another status than 0 and -1 is returned as it is. Needs no
 * trt_import.
 *
 * Code that attaches by itself (PyGILState_Ensure, a ctypes or cffi callback) may do
 * all that too, but then its waits keep the thread. */
static inline int
trt_call_python(trt_context *ctx, int (*fn)(void *arg), void *arg)
{
    return ctx->api->call(ctx, fn, arg);
}

#ifdef __cplusplus
}
#endif
#endif
