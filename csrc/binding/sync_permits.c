/* A count of permits, which locks and semaphores have: waiting for one. */
#include "sync.h"

#include <stddef.h>

/* A wait for a permit. */
typedef struct Claim {
    Awaited base;
    trt_semaphore *permits;
    uint64_t place; /* in the queue, from a wait that was only interrupted; or 0 */
    bool lost;      /* an earlier wait was woken up too late */
    bool owes;      /* the same, and it has not tried again since */
    bool granted;   /* has the permit */
} Claim;

static bool
claim_enter(Awaited *base, Wait *wait)
{
    Claim *const self = (Claim *)base;
    trt_wait_node_init(&wait->nodes[0], &wait->base, NULL);
    wait->nodes[0].lost = self->lost;
    wait->nodes[0].place = self->place;
    self->owes = false;
    self->granted = trt_semaphore_acquire_or_queue(self->permits, &wait->nodes[0]);
    return !self->granted;
}

static void
claim_served(Awaited *base, Wait *wait)
{
    ((Claim *)base)->granted = wait->nodes[0].value != NULL;
}

static void
claim_leave(Awaited *base, Wait *wait)
{
    Claim *const self = (Claim *)base;
    trt_semaphore_leave(self->permits, &wait->nodes[0]);
    self->place = wait->nodes[0].place;
    free(wait);
}

/* Give back what a wait that has failed was given all the same. */
static void
give_back(Claim *claim)
{
    if (claim->granted) {
        trt_semaphore_release(claim->permits);
    } else if (claim->base.has_come || claim->owes) {
        trt_semaphore_pass_on(claim->permits);
    }
}

static int
acquire_slow(Worker *w, Permits *self, uint64_t deadline)
{
    Claim claim = {
        .base = {.enter = claim_enter,
                 .served = claim_served,
                 .leave = claim_leave,
                 .object = (PyObject *)self,
                 .nodes = 1},
        .permits = &self->permits,
    };
    for (;;) {
        claim.granted = false;
        const int status = wait_once(w, &claim.base, deadline);
        if (status < 0) {
            give_back(&claim);
            return -1;
        }
        if (claim.granted) {
            return 1;
        }
        if (status == 0) {
            return 0;
        }
        claim.owes = status == 1;
        if (claim.owes) {
            claim.lost = true;
            claim.place = 0; /* losers have a queue of their own */
        }
    }
}

int
permits_acquire(Worker *w, Permits *self, uint64_t deadline)
{
    if (deadline != SYNC_NOW && wait_checkpoint(w->current) < 0) {
        return -1;
    }
    if (trt_semaphore_try_acquire(&self->permits)) {
        return 1;
    }
    return deadline == SYNC_NOW ? 0 : acquire_slow(w, self, deadline);
}

PyObject *
permits_new(PyTypeObject *type, uint64_t permits, uint64_t most)
{
    Permits *const self = (Permits *)type->tp_alloc(type, 0);
    if (self) {
        trt_semaphore_init(&self->permits, permits, most);
        trt_store_relaxed(&self->owner, 0);
    }
    return (PyObject *)self;
}

void
permits_dealloc(Permits *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    if (self->weakrefs) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    trt_semaphore_destroy(&self->permits);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMemberDef permits_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Permits, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyObject *
permits_acquire_method(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames, PyObject *no_timeout,
                       permits_acquire_function how)
{
    uint64_t deadline;
    Worker *const w = worker_self();
    if (!w || sync_acquire_arguments(args, nargs, kwnames, no_timeout, &deadline) < 0) {
        return NULL;
    }
    const int acquired = how(w, (Permits *)op, deadline);
    return acquired < 0 ? NULL : PyBool_FromLong(acquired);
}

PyObject *
permits_enter_method(PyObject *op, permits_acquire_function how)
{
    Worker *const w = worker_self();
    return w && how(w, (Permits *)op, TRT_FOREVER) > 0 ? Py_NewRef(Py_True) : NULL;
}
