/* Lineages: keys of random streams, one for each task, by whom it was spawned and in
 * which order.
 *
 * The idea is that of Leiserson, Schardl and Sukha, "Deterministic parallel
 * random-number generation for dynamic-multithreading platforms", PPoPP 2012: hash the
 * path of spawns. The keys need only differ, since a generator is seeded with a hash of
 * its key; they are 128 bits wide, so that among 2^32 tasks two are the same with a
 * probability of 2^-65. */
#include "core.h"

/* What the lineages of threads come from; a child process has another one. `count` is
 * that of threads so far. */
static struct {
    uint64_t key[2];
    _Atomic(uint32_t) count;
} origin;

/* What a fork hands to the child process, by the thread that forks. */
static _Thread_local Lineage forked;
/* That of the first thread of a forked child, until main is adopted. */
static Lineage inherited;
static bool has_inherited;

/* One lane is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), which is a
 * bijection, so that siblings differ; the other makes what the first confuses differ
 * unless it does so too. */
static void
derive(uint64_t key[2], uint32_t number)
{
    const uint64_t first = key[0] + number * UINT64_C(0x9E3779B97F4A7C15);
    uint64_t x = first;
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    x ^= x >> 31;
    key[0] = x;
    key[1] = (key[1] ^ number) * UINT64_C(0xD1342543DE82EF95) + x;
}

void
lineage_settle(Lineage *self)
{
    const bool is_own = !(self->count & LINEAGE_UNSETTLED);
    derive(self->key, is_own ? LINEAGE_NUMBER : self->count & LINEAGE_NUMBER);
    self->count = 0;
}

int
lineage_init(void)
{
    PyObject *const os = PyImport_ImportModule("os");
    PyObject *const bytes =
        os ? PyObject_CallMethod(os, "urandom", "i", (int)sizeof origin.key) : NULL;
    Py_XDECREF(os);
    if (!bytes) {
        return -1;
    }
    memcpy(origin.key, PyBytes_AS_STRING(bytes), sizeof origin.key);
    Py_DECREF(bytes);
    return 0;
}

void
lineage_begin(Lineage *self)
{
    self->key[0] = origin.key[0];
    self->key[1] = origin.key[1];
    const uint32_t number = trt_fetch_add_relaxed(&origin.count, 1) & LINEAGE_NUMBER;
    self->count = number | LINEAGE_UNSETTLED;
    lineage_settle(self);
}

/* ---- where code is --------------------------------------------------------------- */

static PyObject *
key_of(Lineage *lineage)
{
    if (lineage->count & LINEAGE_UNSETTLED) {
        lineage_settle(lineage);
    }
    return PyBytes_FromStringAndSize((const char *)lineage->key, sizeof lineage->key);
}

/* _random_key(): the key of what runs here, 16 bytes; None: it has none that could be
 * relied upon. */
PyObject *
core_random_key(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    Lineage *const lineage = lineage_here(w);
    return lineage == &w->stray ? Py_NewRef(Py_None) : key_of(lineage);
}

/* _random_child(): the key of one more child, which is no task. */
PyObject *
core_random_child(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    Lineage child;
    lineage_inherit(&child, lineage_here(w));
    return key_of(&child);
}

/* _seed_random(key): begin anew with this key, 16 bytes, and no children so far. False:
 * not here. */
PyObject *
core_seed_random(PyObject *Py_UNUSED(module), PyObject *key)
{
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    Lineage *const lineage = lineage_here(w);
    const bool strays = lineage == &w->stray;
    if (!PyBytes_Check(key) || PyBytes_GET_SIZE(key) != sizeof lineage->key) {
        PyErr_SetString(PyExc_TypeError, "_seed_random() takes 16 bytes");
        return NULL;
    }
    if (!strays) {
        memcpy(lineage->key, PyBytes_AS_STRING(key), sizeof lineage->key);
        lineage->count = 0;
    }
    return PyBool_FromLong(!strays);
}

uintptr_t
lineage_step_aside(Fiber *fiber)
{
    const uintptr_t before = fiber->aside;
    fiber->aside = (uintptr_t)fiber->task + 1;
    return before;
}

/* _aside(fn, /, *args, **kwargs): call it, and return what it does; what it spawns is
 * not counted as children of the task that it runs in. */
PyObject *
core_aside(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames)
{
    Worker *const w = worker_self();
    if (!w) {
        return NULL;
    }
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "_aside() takes a callable and its arguments");
        return NULL;
    }
    Fiber *const fiber = w->current;
    const uintptr_t before = lineage_step_aside(fiber);
    PyObject *const result =
        PyObject_Vectorcall(args[0], args + 1, (size_t)(nargs - 1), kwnames);
    fiber->aside = before;
    return result;
}

/* ---- forks ----------------------------------------------------------------------- */

void
lineage_prepare_fork(void)
{
    Worker *const w = worker_current;
    if (w) {
        lineage_inherit(&forked, lineage_here(w));
    } else {
        lineage_begin(&forked);
    }
}

void
lineage_fork_in_child(void)
{
    Lineage next;
    lineage_settle(&forked);
    inherited = forked;
    has_inherited = true;
    lineage_inherit(&next, &forked); /* threads of this process are other children */
    lineage_settle(&next);
    derive(next.key, LINEAGE_NUMBER);
    origin.key[0] = next.key[0];
    origin.key[1] = next.key[1];
    trt_store_relaxed(&origin.count, 0);
}

void
lineage_begin_main(Lineage *self)
{
    if (has_inherited) {
        *self = inherited;
        has_inherited = false;
    } else {
        lineage_begin(self);
    }
}
