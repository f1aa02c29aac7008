/* The end of hope: main waits, without a deadline, and nothing can ever run again. */
#include "core.h"

/* Tasks that are named in the message. */
enum { NAMED_MAX = 8 };

typedef struct Waiting {
    TaskObject *task;   /* that waits */
    PyObject *for_whom; /* a task, another object, or NULL */
} Waiting;

/* Who waits for what, with references to both. Caller holds core->waits. */
static int
collect_locked(Waiting *found)
{
    int count = 0;
    size_t workers;
    trt_worker *const *table = trt_pool_workers(core->pool, &workers);
    for (size_t i = 0; i < workers; i++) {
        Worker *const w = (Worker *)table[i];
        for (Fiber *f = w->runners; f && count < NAMED_MAX; f = f->next) {
            if (f->wait && f->task) {
                PyObject *const object =
                    f->awaited ? (PyObject *)f->awaited : f->wait->object;
                found[count++] = (Waiting){(TaskObject *)Py_NewRef((PyObject *)f->task),
                                           Py_XNewRef(object)};
            }
        }
    }
    return count;
}

static PyObject *
describe(PyObject *object)
{
    return object ? PyObject_Repr(object) : PyUnicode_FromString("something");
}

/* "; <Task ...> waits for ..." for each, appended to `text`, which is stolen. */
static PyObject *
append_all(PyObject *text, const Waiting *found, int count)
{
    for (int i = 0; i < count; i++) {
        PyObject *const task = text ? describe((PyObject *)found[i].task) : NULL;
        PyObject *const object = task ? describe(found[i].for_whom) : NULL;
        PyObject *const longer =
            object ? PyUnicode_FromFormat("%U; %U waits for %U", text, task, object)
                   : NULL;
        Py_XDECREF(object);
        Py_XDECREF(task);
        Py_XSETREF(text, longer);
    }
    return text;
}

static void
raise_hopeless(const Awaited *awaited)
{
    Waiting found[NAMED_MAX];
    trt_mutex_lock(&core->waits);
    const int count = collect_locked(found);
    trt_mutex_unlock(&core->waits);
    PyObject *const object =
        describe(awaited->task ? (PyObject *)awaited->task : awaited->object);
    PyObject *text =
        object
            ? PyUnicode_FromFormat("this wait would never end: the main thread waits "
                                   "for %U and nothing is left that can run",
                                   object)
            : NULL;
    text = append_all(text, found, count);
    if (text) {
        PyErr_SetObject(core->deadlock_error, text);
    }
    Py_XDECREF(text);
    Py_XDECREF(object);
    for (int i = 0; i < count; i++) {
        Py_DECREF(found[i].task);
        Py_XDECREF(found[i].for_whom);
    }
}

static void
append_ident(PyObject *idents, unsigned long value)
{
    PyObject *const ident = PyLong_FromUnsignedLong(value);
    if (!ident || PyList_Append(idents, ident) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(ident);
}

/* The pool's threads by Python's names for them. */
static PyObject *
pool_threads(void)
{
    PyObject *const idents = PyList_New(0);
    unsigned long watch;
    for (uint32_t id = 1; idents && id <= core->pool_count; id++) {
        const Worker *const w = core->pool_workers[id];
        if (trt_load_acquire(&w->alive)) { /* [worker-alive] */
            append_ident(idents, trt_load_relaxed(&w->thread_ident));
        }
    }
    if (idents && blocking_watch_is_alive(&watch)) {
        append_ident(idents, watch);
    }
    if (idents && core->alarm.runs) {
        append_ident(idents, trt_load_relaxed(&core->alarm.ident));
    }
    return idents;
}

int
wait_raise_if_hopeless(Awaited *awaited)
{
    /* Who was there when nothing ran may have let something run and be gone at the look
     * for others. So there are two looks, and the second finds that nothing has
     * happened but the beginning of main's own wait in between. */
    if (awaited->hopeless_at && awaited->hopeless_at == core->quiet_at) {
        raise_hopeless(awaited);
        return -1;
    }
    const uint64_t quiet_at = core->quiet_at;
    /* While guests ran the handler of SIGINT was ours, which would pass for hope. */
    if (signals_resume_root(core->main) < 0) {
        return -1;
    }
    PyObject *const runtime = PyImport_ImportModule("taskrt.runtime");
    PyObject *const idents = runtime ? pool_threads() : NULL;
    PyObject *const answer = idents
                                 ? PyObject_CallMethod(runtime, "_something_may_come",
                                                       "Oi", idents, core->debug)
                                 : NULL;
    const int hope = answer ? PyObject_IsTrue(answer) : 1;
    Py_XDECREF(answer);
    Py_XDECREF(idents);
    Py_XDECREF(runtime);
    if (PyErr_Occurred()) {
        return -1;
    }
    awaited->was_hopeful = hope;
    awaited->hopeless_at = hope ? 0 : quiet_at + 1;
    return 0;
}
