/* What Condition and Guarded are made on: a with-block that takes a lock, of any kind,
 * in one step. A signal handler can raise before it or after it, but not with the lock
 * taken and the block not entered. */
#include "sync.h"

#include <stddef.h>

typedef struct GuardObject {
    PyObject_HEAD
    PyObject *enter, *leave; /* the lock's bound methods; NULL until __init__ */
    PyObject *value;         /* what the block is given; NULL: what enter() returns */
} GuardObject;

/* _guard_by(lock): use that. Once, by __init__. */
static PyObject *
guard_by(PyObject *op, PyObject *lock)
{
    GuardObject *const self = (GuardObject *)op;
    Py_XSETREF(self->enter, PyObject_GetAttrString(lock, "__enter__"));
    Py_XSETREF(self->leave, PyObject_GetAttrString(lock, "__exit__"));
    return self->enter && self->leave ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
guard_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    GuardObject *const self = (GuardObject *)op;
    if (!self->enter) {
        return PyErr_Format(PyExc_RuntimeError, "%.100s.__init__() was not called",
                            Py_TYPE(op)->tp_name);
    }
    PyObject *const entered = PyObject_CallNoArgs(self->enter);
    if (!entered || !self->value) {
        return entered;
    }
    Py_DECREF(entered);
    return Py_NewRef(self->value); /* which changes under the lock alone */
}

/* Whether the lock is not the block's any more, see forfeit() in sync_condition.c. */
static bool
is_forfeited(PyObject *op, PyObject *error)
{
    PyObject *const owner =
        error == Py_None ? NULL : PyObject_GetAttrString(error, "_without");
    if (!owner) {
        PyErr_Clear();
    }
    Py_XDECREF(owner);
    return owner == op;
}

static PyObject *
guard_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    GuardObject *const self = (GuardObject *)op;
    if (nargs != 3 || !self->leave) {
        PyErr_SetString(PyExc_TypeError, "__exit__() takes what a with-block gives it");
        return NULL;
    }
    if (is_forfeited(op, args[1])) {
        Py_RETURN_NONE;
    }
    PyObject *const left = PyObject_Vectorcall(self->leave, args, 3, NULL);
    Py_XDECREF(left);
    return left ? Py_NewRef(Py_None) : NULL;
}

/* ---- life of the object ---------------------------------------------------------- */

static PyObject *
guard_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return type->tp_alloc(type, 0);
}

static int
guard_traverse(GuardObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->enter);
    Py_VISIT(self->leave);
    Py_VISIT(self->value);
    return 0;
}

static int
guard_clear(GuardObject *self)
{
    Py_CLEAR(self->enter);
    Py_CLEAR(self->leave);
    Py_CLEAR(self->value);
    return 0;
}

static void
guard_dealloc(GuardObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)guard_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef guard_methods[] = {
    {"_guard_by", guard_by, METH_O, NULL},
    {"__enter__", guard_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))guard_exit, METH_FASTCALL, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef guard_members[] = {
    {"_value", T_OBJECT_EX, offsetof(GuardObject, value), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot guard_slots[] = {
    {Py_tp_new, guard_new},
    {Py_tp_traverse, guard_traverse},
    {Py_tp_clear, guard_clear},
    {Py_tp_dealloc, guard_dealloc},
    {Py_tp_methods, guard_methods},
    {Py_tp_members, guard_members},
    {0, NULL},
};

PyType_Spec guard_spec = {
    .name = "taskrt._core._Guard",
    .basicsize = sizeof(GuardObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = guard_slots,
};
