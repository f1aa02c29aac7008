/* select(): one of several operations. */
#include "sync.h"

/* The keyword arguments timeout and default; `*fallback` is borrowed, or NULL. 0 or −1.
 */
static int
read_keywords(PyObject *const *values, PyObject *kwnames, uint64_t *deadline,
              PyObject **fallback)
{
    PyObject *timeout = Py_None;
    const Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    *fallback = NULL;
    for (Py_ssize_t i = 0; i < nkw; i++) {
        PyObject *const name = PyTuple_GET_ITEM(kwnames, i);
        if (PyUnicode_Compare(name, core->str.timeout) == 0) {
            timeout = values[i];
        } else if (PyUnicode_Compare(name, core->str.fallback) == 0) {
            *fallback = values[i];
        } else {
            PyErr_Format(PyExc_TypeError,
                         "select() got an unexpected keyword argument '%U'; it takes "
                         "timeout and default",
                         name);
            return -1;
        }
    }
    if (*fallback && timeout == Py_None) {
        *deadline = SYNC_NOW;
        return 0;
    }
    return wait_deadline(timeout, deadline);
}

static int
read_operations(PyObject *const *args, size_t count, Step *steps)
{
    if (count == 0) {
        PyErr_SetString(PyExc_ValueError,
                        "select() takes at least one operation: with none it would "
                        "wait forever");
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!Py_IS_TYPE(args[i], core->operation_type)) {
            PyErr_Format(PyExc_TypeError,
                         "select() takes operations, such as channel.get_op() and "
                         "event.wait_op(), not '%.100s'",
                         Py_TYPE(args[i])->tp_name);
            return -1;
        }
        if (operation_as_step((OperationObject *)args[i], &steps[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
by_address(const void *left, const void *right)
{
    const uintptr_t a = (uintptr_t)*(trt_mutex *const *)left;
    const uintptr_t b = (uintptr_t)*(trt_mutex *const *)right;
    return a < b ? -1 : a > b;
}

/* List the locks of what the steps are for, each once, by address; and the earliest
 * time. */
static void
list_locks(Choice *choice)
{
    trt_mutex **const locks = choice->locks;
    size_t found = 0, kept = 0;
    for (size_t i = 0; i < choice->count; i++) {
        const Step *const step = &choice->steps[i];
        if (step->channel) {
            locks[found++] = &step->channel->channel.lock;
        } else if (step->event) {
            locks[found++] = &step->event->lock;
        } else if (step->due_ns < choice->due_ns) {
            choice->due_ns = step->due_ns;
        }
    }
    qsort(locks, found, sizeof *locks, by_address);
    for (size_t i = 0; i < found; i++) {
        if (kept == 0 || locks[kept - 1] != locks[i]) {
            locks[kept++] = locks[i];
        }
    }
    choice->lock_count = kept;
}

/* What has come of it, as a result of select(). */
static PyObject *
outcome(const Choice *choice, PyObject *const *operations, int status,
        PyObject *fallback)
{
    if (status < 0) {
        return NULL;
    }
    if (status > 0) {
        const OperationObject *const operation =
            (OperationObject *)operations[choice->chosen];
        PyObject *const value =
            operation->result ? Py_NewRef(operation->result) : choice->item;
        return Py_BuildValue("nN", (Py_ssize_t)choice->chosen, value);
    }
    if (fallback) {
        return Py_BuildValue("iO", -1, fallback);
    }
    PyErr_SetString(PyExc_TimeoutError,
                    "none of the operations of select() was possible in time");
    return NULL;
}

PyObject *
core_select(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    const size_t count = (size_t)nargs;
    PyObject *result = NULL, *fallback;
    uint64_t deadline;
    Worker *const w = worker_self();
    Step *const steps = calloc(count + 1, sizeof *steps);
    size_t *const order = calloc(count + 1, sizeof *order);
    trt_mutex **const locks = calloc(count + 1, sizeof *locks);
    if (!steps || !order || !locks) {
        PyErr_NoMemory();
        goto done;
    }
    Choice choice = {.steps = steps,
                     .count = count,
                     .operations = args,
                     .order = order,
                     .locks = locks,
                     .due_ns = TRT_FOREVER};
    if (w && read_keywords(args + nargs, kwnames, &deadline, &fallback) == 0 &&
        read_operations(args, count, steps) == 0 && wait_checkpoint(w->current) == 0) {
        list_locks(&choice);
        result = outcome(&choice, args, choice_take(w, &choice, deadline), fallback);
    }
done:
    free(locks);
    free(order);
    free(steps);
    return result;
}
