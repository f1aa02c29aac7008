/* Primitives: what their types share. */
#ifndef TRT_BINDING_SYNC_H
#define TRT_BINDING_SYNC_H

#include "subscription.h"

#include <structmember.h>

#include <stdlib.h>

#include "sync/channel.h"
#include "sync/event.h"
#include "sync/semaphore.h"

extern PyType_Spec event_spec, lock_spec, rlock_spec, semaphore_spec, bounded_spec;
extern PyType_Spec waiter_spec, atomic_spec, tally_spec, channel_spec, operation_spec;
extern PyType_Spec guard_spec;

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

/* Who has this lock; 0 if it is free, or no lock. */
uint64_t sync_owner_of(PyObject *object);

/* An object of a class of taskrt.statistics, made from values as Py_BuildValue takes
 * them. New reference or NULL. */
PyObject *sync_statistics(const char *class_name, const char *format, ...);

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
    /* At the tasks that it was bound to, owned. Who binds adds one, and closes it once
     * more if that came too late; who closes it takes all [channel-bindings]. */
    _Atomic(SubscriptionObject *) bindings;
} ChannelObject;

/* Something that a task may wait to do: with a channel; or see an event set, and reset
 * it if it does that by itself; or, with neither, find that a time has come. */
typedef struct Step {
    ChannelObject *channel; /* borrowed, or NULL */
    PyObject *item;         /* to be put, borrowed; NULL: get one */
    trt_event *event;       /* of an object that lives, or NULL */
    uint64_t due_ns;
    PyObject *what; /* that is waited for by that, for reports, borrowed; or NULL */
    uint64_t place; /* in its queue, from a wait that was only interrupted; or 0 */
} Step;

/* One of several steps that is taken, at once or as soon as one is possible. */
typedef struct Choice {
    Awaited base;
    Step *steps;
    size_t count;
    PyObject *const *operations; /* that the steps are of, for reports; or NULL */
    size_t *order;               /* of trying; place for `count` */
    trt_mutex **locks; /* of their channels and events, each once, by address */
    size_t lock_count;
    uint64_t due_ns; /* the earliest of steps that wait for a time; or never */
    size_t chosen;   /* the step that was taken */
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
int choice_take_step(Worker *w, Step *step, PyObject **got, bool *taken,
                     uint64_t deadline_ns);

/* Raise queue.Full or queue.Empty: with a text after a wait, without one where it is
 * only the answer to a look. */
void sync_raise_unable(PyObject *error, uint64_t deadline_ns, const char *text);
/* Raise what a step on a closed channel ends with. */
void channel_raise_closed(ChannelObject *self, bool is_put);

/* ---- operations (sync_operation.c) ----------------------------------------------- */

/* What select() chooses from. Constant. */
typedef struct OperationObject {
    PyObject_HEAD
    PyObject *object;      /* a channel, an event, a task; owned. NULL: sleep() */
    PyObject *item;        /* to be put, owned; or NULL */
    PyObject *result;      /* what select() returns for it, owned; NULL: what was got */
    trt_event *event;      /* to be set: that of the object, or of `ending`; or NULL */
    struct Ending *ending; /* a task's; or NULL */
    uint64_t delay_ns;     /* of sleep() */
} OperationObject;

/* put_op and get_op of a channel, the latter with NULL. */
PyObject *operation_on_channel(ChannelObject *channel, PyObject *item);
PyObject *operation_on_event(PyObject *object, trt_event *event);
PyObject *core_sleep_op(PyObject *, PyObject *);
/* The argument of `who`, sleep() or sleep_op(). 0, or −1 with an error set. */
int sleep_seconds(const char *who, PyObject *seconds, double *value);
/* As a step that begins now. 0, or −1 with an error set. */
int operation_as_step(const OperationObject *self, Step *step);

/* ---- events (sync_event.c) ------------------------------------------------------- */

/* An Event, or a Waiter, which has more. */
typedef struct EventObject {
    PyObject_HEAD
    PyObject *weakrefs;
    trt_event event;
} EventObject;

extern PyMemberDef event_members[];

/* What the types have in common. */
PyObject *event_make(PyTypeObject *type, bool autoreset);
void event_dealloc(EventObject *self);

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
