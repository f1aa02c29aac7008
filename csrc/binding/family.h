/* Families: family.c has the block, children.c what is kept of the tasks. */
#ifndef TRT_BINDING_FAMILY_H
#define TRT_BINDING_FAMILY_H

#include "sync.h"

/* What is kept of a child: itself while it lives and if it has failed, else its result.
 * Of one that has returned None, or was cancelled, nothing. */
typedef struct Child {
    PyObject *what;  /* owned */
    uint64_t number; /* in spawn order */
    enum { CHILD_LIVES, CHILD_FAILED, CHILD_VALUE } state;
} Child;

typedef struct FamilyObject {
    PyObject_HEAD
    ScopeObject *scope; /* owned, constant */
    Permits *permits; /* for how many children there may be, owned; NULL: any number */
    uint32_t generation; /* of the process that has entered it */
    trt_mutex lock;      /* guards the rest */
    Child *children;     /* by number */
    size_t count, room, sweep_at;
    uint64_t spawned;
    bool closed; /* the block has ended */
} FamilyObject;

/* Whether it belongs to the parent of this forked process. */
static inline bool
is_parents(const FamilyObject *self)
{
    return self->generation != trt_load_relaxed(&core->generation);
}

/* Record a child. 0; −1 with an error set, and it is not. */
int children_record(FamilyObject *self, TaskObject *task);
/* Those who live, as owned references; closes the family if there are none. NULL
 * without memory, with an error set. */
PyObject **children_living(FamilyObject *self, size_t *count);
/* Drop these references, and free the array. Without locks. */
void children_drop(PyObject **objects, size_t count);
PyObject *family_results(PyObject *, PyObject *);
PyObject *family_errors(PyObject *, PyObject *);

#endif
