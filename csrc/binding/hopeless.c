/* The end of hope: main waits, without a deadline, and nothing can ever run again. It
 * waits on its root, or on a stack of another task that it stands on. */
#include "sync.h"

/* Tasks that are named in the message. */
enum { NAMED_MAX = 8 };

typedef struct Waiting {
    TaskObject *task; /* that waits; NULL: main, outside of tasks */
    const char *verb;
    PyObject *object; /* what for: a task, another object, or NULL */
} Waiting;

/* All stacks of all workers but hubs, one after another: the next after `f`, or the
 * first. NULL: no more. Caller holds core->waits. */
static Fiber *
next_stack_locked(const Fiber *f)
{
    size_t count, i = 0;
    trt_worker *const *table = trt_pool_workers(core->pool, &count);
    if (f) {
        Fiber *const next = f == &f->worker->root ? f->worker->runners : f->next;
        if (next) {
            return next;
        }
        while (table[i] != &f->worker->base) {
            i++;
        }
        i++;
    }
    return i < count ? &((Worker *)table[i])->root : NULL;
}

/* Who waits for what, with references to both, the present stack first; `*more` is how
 * many there are besides. Caller holds core->waits. */
static int
collect_locked(const Awaited *awaited, Waiting *found, int *more)
{
    Fiber *const here = core->main->current;
    int count = 0;
    *more = 0;
    found[count++] = (Waiting){
        (TaskObject *)Py_XNewRef((PyObject *)here->task), awaited->verb,
        Py_XNewRef(awaited->task ? (PyObject *)awaited->task : awaited->object)};
    for (Fiber *f = next_stack_locked(NULL); f; f = next_stack_locked(f)) {
        if (f == here || !f->wait || !f->task) {
            continue;
        }
        if (count == NAMED_MAX) {
            ++*more;
            continue;
        }
        PyObject *const object = f->awaited ? (PyObject *)f->awaited : f->wait->object;
        found[count++] = (Waiting){(TaskObject *)Py_NewRef((PyObject *)f->task),
                                   f->wait->verb, Py_XNewRef(object)};
    }
    return count;
}

/* The task with this number, on some stack, be it beneath others. New reference, or
 * NULL: it has ended. */
static PyObject *
find_task(uint64_t id)
{
    PyObject *found = NULL;
    trt_mutex_lock(&core->waits);
    for (Fiber *f = next_stack_locked(NULL); f && !found; f = next_stack_locked(f)) {
        for (TaskObject *task = f->task; task && !found; task = task->outer) {
            if (trt_load_relaxed(&task->id) == id) {
                found = Py_NewRef((PyObject *)task);
            }
        }
    }
    trt_mutex_unlock(&core->waits);
    return found;
}

/* An object in a few words. */
static PyObject *
describe(PyObject *object)
{
    if (!object) {
        return PyUnicode_FromString("something");
    }
    PyObject *const text = PyUnicode_FromFormat("%.300R", object);
    if (text || !PyErr_ExceptionMatches(PyExc_Exception)) {
        return text;
    }
    PyErr_Clear();
    return PyUnicode_FromFormat("a %s", Py_TYPE(object)->tp_name);
}

/* ", which <Task ...> has" of a lock; else "". */
static PyObject *
describe_owner(PyObject *object)
{
    const uint64_t owner = object ? sync_owner_of(object) : 0;
    if (owner == 0) {
        return PyUnicode_FromString("");
    }
    if (owner == (uint64_t)trt_load_relaxed(&core->main_ident) * 2 + 1) {
        return PyUnicode_FromString(", which the main thread has");
    }
    PyObject *const task = owner & 1 ? NULL : find_task(owner / 2);
    PyObject *const who = task ? describe(task) : sync_owner_name(owner);
    Py_XDECREF(task);
    PyObject *const text =
        who ? PyUnicode_FromFormat(
                  task ? ", which %U has" : ", which %U had when it ended", who)
            : NULL;
    Py_XDECREF(who);
    return text;
}

/* "<Task ...> waits for <...>, which <Task ...> has". */
static PyObject *
describe_waiting(const Waiting *waiting)
{
    const char *const verb = waiting->verb ? waiting->verb : "for";
    PyObject *const who = waiting->task ? describe((PyObject *)waiting->task)
                                        : PyUnicode_FromString("the main thread");
    PyObject *const object = who ? describe(waiting->object) : NULL;
    PyObject *const owner = object ? describe_owner(waiting->object) : NULL;
    PyObject *const text =
        owner ? PyUnicode_FromFormat("%U waits %s %U%U", who, verb, object, owner)
              : NULL;
    Py_XDECREF(owner);
    Py_XDECREF(object);
    Py_XDECREF(who);
    return text;
}

/* A text and one more clause, both stolen. */
static PyObject *
append(PyObject *text, const char *between, PyObject *clause)
{
    PyObject *const longer =
        text && clause ? PyUnicode_FromFormat("%U%s%U", text, between, clause) : NULL;
    Py_XDECREF(clause);
    Py_XDECREF(text);
    return longer;
}

#define ENDING ", and nothing is left that can run"

static void
raise_hopeless(const Awaited *awaited)
{
    Waiting found[NAMED_MAX];
    int more;
    trt_mutex_lock(&core->waits);
    const int count = collect_locked(awaited, found, &more);
    trt_mutex_unlock(&core->waits);
    PyObject *text = PyUnicode_FromString("this wait would never end: ");
    for (int i = 0; i < count; i++) {
        const char *const between = i == 0 ? "" : i == 1 ? ENDING "; " : "; ";
        text = append(text, between, text ? describe_waiting(&found[i]) : NULL);
        Py_XDECREF(found[i].task);
        Py_XDECREF(found[i].object);
    }
    if (count == 1) {
        text = append(text, ENDING, PyUnicode_FromString(""));
    }
    if (more) {
        text = append(text, "; ", PyUnicode_FromFormat("%d more tasks wait", more));
    }
    if (text) {
        PyErr_SetObject(core->deadlock_error, text);
    }
    Py_XDECREF(text);
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
    unsigned long ident;
    size_t place = 0;
    for (const Worker *w; idents && (w = lifecycle_next_thread(&place)) != NULL;) {
        if (trt_load_acquire(&w->alive)) { /* [worker-alive] */
            append_ident(idents, trt_load_relaxed(&w->thread_ident));
        }
    }
    if (idents && alarm_is_alive(&ident)) {
        append_ident(idents, ident);
    }
    return idents;
}

void
wait_note_end(bool ends)
{
    PyObject *const done =
        lifecycle_call_python("taskrt.runtime", ends ? "_note_end" : "_note_stay");
    if (!done) {
        PyErr_Clear(); /* interrupted at exit, where nobody asks */
    }
    Py_XDECREF(done);
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
    PyObject *const replaced = core->main->guarded_handler;
    PyObject *const handler = Py_NewRef(replaced ? replaced : Py_None);
    PyObject *const runtime = PyImport_ImportModule("taskrt.runtime");
    PyObject *const idents = runtime ? pool_threads() : NULL;
    PyObject *const answer =
        idents ? PyObject_CallMethod(runtime, "_something_may_come", "OiOO", idents,
                                     core->debug, core->interrupt_function, handler)
               : NULL;
    const int hope = answer ? PyObject_IsTrue(answer) : 1;
    Py_XDECREF(answer);
    Py_XDECREF(idents);
    Py_XDECREF(runtime);
    Py_DECREF(handler);
    if (PyErr_Occurred()) {
        return -1;
    }
    /* Somebody beside main has woken up, or started: one of ours that was not known yet
     * may have passed for another. Then there will be another quiet moment. */
    const bool is_certain = trt_load_seq_cst(&core->wakeups) == core->quiet_wakeups + 1;
    awaited->was_hopeful = hope && is_certain;
    awaited->hopeless_at = hope ? 0 : quiet_at + 1;
    return 0;
}
