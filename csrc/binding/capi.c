/* The table behind taskrt.h. */
#include "sync.h"

#include "taskrt.h"

static uint32_t
api_num_threads(void)
{
    return trt_load_relaxed(&core->threads);
}

static int32_t
api_thread_id(void)
{
    Worker *const w = worker_current;
    return w && w->id >= 0 ? w->id : -1;
}

static int
api_cancel_requested(void)
{
    Worker *const w = worker_current;
    if (w && w->crew.strands.inside) {
        return trt_cancelled(&w->crew.strands.inside->frames.base);
    }
    return w && wait_cancel_requested(w->current);
}

static const trt_api api = {
    .major = TRT_API_MAJOR,
    .minor = TRT_API_MINOR,
    .num_threads = api_num_threads,
    .thread_id = api_thread_id,
    .cancel_requested = api_cancel_requested,
    .wake = waiter_wake,
};

int
capi_add(PyObject *module)
{
    PyObject *const capsule = PyCapsule_New((void *)&api, TRT_API_CAPSULE, NULL);
    if (!capsule) {
        return -1;
    }
    const int status = PyModule_AddObjectRef(module, "_C_API", capsule);
    Py_DECREF(capsule);
    return status;
}
