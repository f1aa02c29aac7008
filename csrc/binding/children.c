/* What is kept of the tasks of a family: those that live, errors, results. */
#include "family.h"

/* Children before the first sweep, and in the first array. */
enum { FEW = 64, ROOM_FIRST = 4 };

void
children_drop(PyObject **objects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Py_DECREF(objects[i]);
    }
    free(objects);
}

/* Reduce a child that has ended to what is kept of it. What is given up for that: its
 * `what` then; or NULL, if it stays. */
static PyObject *
reduce(Child *child)
{
    if (child->state != CHILD_LIVES || !task_is_finished((TaskObject *)child->what)) {
        return NULL;
    }
    TaskObject *const task = (TaskObject *)child->what;
    const enum trt_task_state state = trt_task_get_state(&task->base);
    if (state == TRT_TASK_FAILED) {
        child->state = CHILD_FAILED;
        return NULL;
    }
    child->what = NULL;
    if (state == TRT_TASK_DONE && task->result != Py_None) {
        child->state = CHILD_VALUE;
        child->what = Py_NewRef(task->result);
    }
    return (PyObject *)task;
}

/* Sort out children that have ended: so a family that lives long holds what lives. The
 * references that this gives up, to be dropped without the lock; NULL without memory,
 * and nothing done. */
static PyObject **
sweep_locked(FamilyObject *self, size_t *given_up)
{
    PyObject **const garbage = malloc((self->count + 1) * sizeof *garbage);
    size_t kept = 0;
    *given_up = 0;
    if (!garbage) {
        return NULL;
    }
    for (size_t i = 0; i < self->count; i++) {
        PyObject *const task = reduce(&self->children[i]);
        if (task) {
            garbage[(*given_up)++] = task;
        }
        if (self->children[i].what) {
            self->children[kept++] = self->children[i];
        }
    }
    self->count = kept;
    self->sweep_at = 2 * kept > FEW ? 2 * kept : FEW;
    return garbage;
}

static bool
make_room_locked(FamilyObject *self)
{
    if (self->count < self->room) {
        return true;
    }
    const size_t room = self->room ? 2 * self->room : ROOM_FIRST;
    Child *const children = realloc(self->children, room * sizeof *children);
    if (!children) {
        return false;
    }
    self->children = children;
    self->room = room;
    return true;
}

int
children_record(FamilyObject *self, TaskObject *task)
{
    PyObject **garbage = NULL;
    size_t given_up = 0;
    trt_mutex_lock(&self->lock);
    const bool closed = self->closed;
    if (!closed && self->count >= FEW && self->count >= self->sweep_at) {
        garbage = sweep_locked(self, &given_up);
    }
    const bool has_room = !closed && make_room_locked(self);
    if (has_room) {
        self->children[self->count++] =
            (Child){.what = Py_NewRef((PyObject *)task), .number = self->spawned++};
    }
    trt_mutex_unlock(&self->lock);
    children_drop(garbage, given_up);
    if (closed) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot spawn into a group whose block has ended: all its "
                        "tasks have; spawn before the end of the with statement, or "
                        "from a task of the group");
    } else if (!has_room) {
        PyErr_NoMemory();
    }
    return has_room ? 0 : -1;
}

PyObject **
children_living(FamilyObject *self, size_t *count)
{
    size_t given_up;
    *count = 0;
    trt_mutex_lock(&self->lock);
    PyObject **const garbage = sweep_locked(self, &given_up);
    PyObject **const found = malloc((self->count + 1) * sizeof *found);
    for (size_t i = 0; garbage && found && i < self->count; i++) {
        if (self->children[i].state == CHILD_LIVES) {
            found[(*count)++] = Py_NewRef(self->children[i].what);
        }
    }
    self->closed = self->closed || (garbage && found && *count == 0);
    trt_mutex_unlock(&self->lock);
    if (!garbage || !found) {
        PyErr_NoMemory();
        free(garbage);
        free(found);
        return NULL;
    }
    children_drop(garbage, given_up);
    return found;
}

/* How a child has ended, also one that was not waited for: CHILD_LIVES, CHILD_FAILED
 * with the task, or CHILD_VALUE; `*what` is borrowed. Once the family is closed. */
static int
look_at(const Child *child, PyObject **what)
{
    *what = child->what;
    if (child->state != CHILD_LIVES || !task_is_finished((TaskObject *)child->what)) {
        return child->state;
    }
    TaskObject *const task = (TaskObject *)child->what;
    switch (trt_task_get_state(&task->base)) {
    case TRT_TASK_FAILED:
        return CHILD_FAILED;
    case TRT_TASK_DONE:
        *what = task->result;
        return CHILD_VALUE;
    default:
        return CHILD_LIVES;
    }
}

/* _results(): what the children have returned, in spawn order; None of those that have
 * returned nothing. After the block: nobody changes the list any more. */
PyObject *
family_results(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const FamilyObject *const self = (FamilyObject *)op;
    PyObject *const list = PyList_New((Py_ssize_t)self->spawned);
    size_t next = 0;
    for (uint64_t number = 0; list && number < self->spawned; number++) {
        PyObject *value = Py_None;
        if (next < self->count && self->children[next].number == number &&
            look_at(&self->children[next++], &value) != CHILD_VALUE) {
            value = Py_None;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)number, Py_NewRef(value));
    }
    return list;
}

/* _errors(): the errors of those that have failed, in spawn order: now observed. As
 * above. */
PyObject *
family_errors(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const FamilyObject *const self = (FamilyObject *)op;
    PyObject *const list = PyList_New(0);
    for (size_t i = 0; list && i < self->count; i++) {
        PyObject *what;
        if (look_at(&self->children[i], &what) == CHILD_FAILED) {
            TaskObject *const task = (TaskObject *)what;
            trt_task_set_flags(&task->base, TRT_TASK_OBSERVED);
            if (PyList_Append(list, task->result) < 0) {
                Py_DECREF(list);
                return NULL;
            }
        }
    }
    return list;
}
