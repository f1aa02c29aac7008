/* What the runtime tells of itself. */
#include "core.h"

#include "os/barrier.h"

static PyObject *
counters_as_dict(const trt_counters_snapshot *c)
{
    return Py_BuildValue(
        "{sKsKsKsKsKsKsKsK}", "spawned", (unsigned long long)c->spawned, "inlined",
        (unsigned long long)c->inlined, "stolen", (unsigned long long)c->stolen, "ran",
        (unsigned long long)c->ran, "parked", (unsigned long long)c->parked, "wakes",
        (unsigned long long)c->wakes, "spurious_wakes",
        (unsigned long long)c->spurious_wakes, "sleeps", (unsigned long long)c->sleeps);
}

/* {"total": {...}, "workers": {id: {...}}, "foreign": {...}, "live": n, "blocking": n}
 */
PyObject *
core_stats(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    trt_counters_snapshot total = {0};
    size_t count = 0;
    trt_worker *const *table = core->pool ? trt_pool_workers(core->pool, &count) : NULL;
    PyObject *const workers = PyDict_New();
    PyObject *total_dict = NULL, *result = NULL;
    if (!workers) {
        return NULL;
    }
    trt_counters_snapshot foreign = {0};
    for (size_t i = 0; i < count; i++) {
        trt_counters_add_to(&table[i]->counters, &total);
        if (table[i]->kind == TRT_WORKER_FOREIGN) {
            trt_counters_add_to(&table[i]->counters, &foreign);
            continue;
        }
        trt_counters_snapshot own = {0};
        trt_counters_add_to(&table[i]->counters, &own);
        PyObject *const key = PyLong_FromLong(((Worker *)table[i])->id);
        PyObject *const value = counters_as_dict(&own);
        const int failed = !key || !value || PyDict_SetItem(workers, key, value) < 0;
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (failed) {
            goto end;
        }
    }
    PyObject *const outside = counters_as_dict(&foreign);
    total_dict = counters_as_dict(&total);
    if (outside && total_dict) {
        result = Py_BuildValue(
            "{sOsOsOsKsk}", "total", total_dict, "workers", workers, "foreign", outside,
            "live", (unsigned long long)(core->pool ? exit_live_tasks() : 0),
            "blocking", (unsigned long)trt_load_relaxed(&core->calls));
    }
    Py_XDECREF(outside);
end:
    Py_XDECREF(total_dict);
    Py_DECREF(workers);
    return result;
}

/* What info() tells of the inside. */
PyObject *
core_state(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    unsigned long alive = 0, interactive = 0;
    size_t place = 0;
    for (const Worker *w; (w = lifecycle_next_thread(&place)) != NULL;) {
        *(worker_is_interactive(w) ? &interactive : &alive) +=
            trt_load_acquire(&w->alive);
    }
    return Py_BuildValue(
        "{sOsksksO}", "started", trt_load_relaxed(&core->threads) ? Py_True : Py_False,
        "pool_threads", alive, "interactive_threads", interactive, "membarrier",
        trt_load_relaxed(&trt_barrier_asymmetric) ? Py_True : Py_False);
}
