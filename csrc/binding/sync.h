/* Primitives: what their types share. */
#ifndef TRT_BINDING_SYNC_H
#define TRT_BINDING_SYNC_H

#include "core.h"

#include <structmember.h>

#include <stdlib.h>

#include "sync/channel.h"
#include "sync/event.h"
#include "sync/semaphore.h"

extern PyType_Spec event_spec, lock_spec, rlock_spec, semaphore_spec, bounded_spec;
extern PyType_Spec waiter_spec, atomic_spec, tally_spec;

/* sync_waiter.c: see trt_wake in taskrt.h. Any thread, attached or not. */
int waiter_wake(PyObject *op);

/* sync_condition.c, for Condition. */
PyObject *core_condition_wait(PyObject *, PyObject *const *, Py_ssize_t);
PyObject *core_condition_wake(PyObject *, PyObject *const *, Py_ssize_t);

/* A deadline that allows no wait at all. */
#define SYNC_NOW ((uint64_t)0)

/* Who runs here: a number that no other task or thread has at the same time, not 0. */
uint64_t sync_owner(Worker *w);
/* Its name, "Task-5" or "thread 7"; for 0 "nobody". New reference. */
PyObject *sync_owner_name(uint64_t owner);

/* The arguments blocking=True, timeout=`no_timeout` as a deadline: TRT_FOREVER,
 * SYNC_NOW, or another. `no_timeout` is −1, as threading.Lock has it, or None, as its
 * semaphores have. 0 or −1. */
int sync_acquire_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                           PyObject *no_timeout, uint64_t *deadline_ns);

/* ---- channels -------------------------------------------------------------------- */

typedef struct ChannelObject {
    PyObject_HEAD
    PyObject *weakrefs;
    trt_channel channel; /* items are owned */
    /* Why it is closed: None; or an exception and its traceback, or None for that, as a
     * tuple; or the Task it was bound to, which has failed or was cancelled. Owned. Set
     * once, by the first that closes it, before that; NULL until then, and once it is
     * garbage [close-reason]. */
    _Atomic(PyObject *) reason;
} ChannelObject;

/* Something that can be done with a channel. */
typedef struct Step {
    ChannelObject *channel; /* borrowed */
    PyObject *item;         /* to be put, borrowed; NULL: get one */
} Step;

/* One of several steps that is taken, at once or as soon as one is possible. */
typedef struct Choice {
    Awaited base;
    const Step *steps;
    size_t count;
    size_t *order;         /* of trying; place for `count` */
    ChannelObject **locks; /* their channels, each once, by address */
    size_t lock_count;
    size_t chosen;             /* the step that was taken */
    trt_channel_result result; /* of that; MUST_WAIT: none was */
    PyObject *item;            /* that was got, owned */
} Choice;

/* Take one of the steps. 1: `chosen` was taken, `item` says what was got; 0: none was
 * possible before the deadline; −1: error set, and nothing was done, but for a put
 * whose item was taken just before a signal handler raised. A suspension point unless
 * the deadline is SYNC_NOW; wait_checkpoint goes before. */
int choice_take(Worker *w, Choice *self, uint64_t deadline_ns);
/* The same for one step. `*got` becomes the item that was got, or NULL; `*taken`
 * whether the step was taken, which a put may have been although −1 is returned. */
int choice_take_step(Worker *w, const Step *step, PyObject **got, bool *taken,
                     uint64_t deadline_ns);

/* Raise what a step on a closed channel ends with. */
void channel_raise_closed(ChannelObject *self, bool is_put);
PyObject *operation_new(ChannelObject *channel, PyObject *item);
/* Wait until it is set. 1: it was; 0: deadline passed; −1: error set. `object` is for
 * reports. */
int sync_wait_for_event(Worker *w, PyObject *object, trt_event *event,
                        uint64_t deadline_ns);

/* ---- permits (sync_permits.c) ---------------------------------------------------- */

/* A lock or a semaphore. */
typedef struct Permits {
    PyObject_HEAD
    PyObject *weakrefs;
    trt_semaphore permits;
    /* Locks: who has it, see sync_owner, 0 for nobody. Written by the owner, read by
     * anybody: only the owner finds itself. */
    _Atomic(uint64_t) owner;
    uint64_t depth; /* RLock: how often it was acquired; the owner's */
} Permits;

extern PyMemberDef permits_members[];

/* Take a permit. 1: has it; 0: deadline passed; −1: error set. */
typedef int (*permits_acquire_function)(Worker *, Permits *, uint64_t deadline_ns);
int permits_acquire(Worker *w, Permits *self, uint64_t deadline_ns);

/* What the types have in common; `no_timeout` as for sync_acquire_arguments. */
PyObject *permits_new(PyTypeObject *type, uint64_t permits, uint64_t most);
void permits_dealloc(Permits *self);
PyObject *permits_acquire_method(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *kwnames, PyObject *no_timeout,
                                 permits_acquire_function how);
PyObject *permits_enter_method(PyObject *op, permits_acquire_function how);

#endif
