/* Subscriptions: hearing of the end of a task, and leaving again before.
 *
 * What is done then is a C function. A Python function may be interrupted anywhere by a
 * signal handler that raises, and what it was to do is lost; in C a handler runs before
 * or after. One that calls a Python function is for programs, and for those who can
 * bear that loss.
 *
 *     SubscriptionObject *s = subscription_new(task, receiver, hear);
 *     if (s) {
 *         subscription_start(s);   // hear(receiver, task) comes, perhaps at once
 *         ...
 *         subscription_cancel(s);  // unless it has come
 *         Py_DECREF(s);
 *     }
 *
 * Whoever drops one without a cancel hears all the same. */
#ifndef TRT_BINDING_SUBSCRIPTION_H
#define TRT_BINDING_SUBSCRIPTION_H

#include "core.h"

/* Told once that `task` has ended: on the thread that ends it, after those who wait for
 * it were released; or by subscription_start. Attached, without an error set. */
typedef void subscription_hear(PyObject *receiver, TaskObject *task);

typedef struct SubscriptionObject SubscriptionObject;
struct SubscriptionObject {
    PyObject_HEAD
    TaskObject *task;   /* owned; NULL once it was heard of */
    PyObject *receiver; /* the same */
    subscription_hear *hear;
    struct Node *node;        /* NULL: cancelled; else freed by whoever dies last */
    SubscriptionObject *next; /* for who keeps several in a list, as it likes */
};

/* NULL with an error set. Not started; then it may be dropped, too. */
SubscriptionObject *subscription_new(TaskObject *task, PyObject *receiver,
                                     subscription_hear *hear);
/* Once. */
void subscription_start(SubscriptionObject *self);
/* Whether it was not heard and never will be; if not, it was, is being, or is about to
 * be. By one thread at a time, and not during the start. */
bool subscription_cancel(SubscriptionObject *self);
/* Cancel all that are linked by `next`, and drop these references. */
void subscription_cancel_list(SubscriptionObject *first);

#endif
