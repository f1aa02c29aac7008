/* Making tasks, and hearing of their end; a part of core.h. */
#ifndef TRT_BINDING_SPAWN_H
#define TRT_BINDING_SPAWN_H

extern PyType_Spec spawner_spec; /* spawn.c */
PyObject *core_spawn(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
/* Make a task that is born into a scope, which is not left before it has ended; or into
 * none, NULL. It is counted: spawn_enqueue or spawn_give_up has to follow. NULL
 * with an error set. */
TaskObject *spawn_born(Worker **worker, ScopeObject *scope, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *kwnames);
/* Cancel it instead, and drop it. Keeps the error that may be set. */
void spawn_give_up(TaskObject *task);
/* Put it where a thread finds it. 0; or −1 with an error set, and it is cancelled. */
int spawn_enqueue(Worker *w, TaskObject *task);
/* How a task is made that is submitted later. */
enum {
    MAKE_COUNTED = 1, /* exit waits for it from now on */
    MAKE_FOREIGN = 2, /* main leaves it to others, if there are any */
    MAKE_DETACHED = 4,
    MAKE_LAZY = 8, /* it is submitted by who first waits for it, if not before */
};
/* Make such a task: a call of args[0] with the others. NULL with an error set. */
TaskObject *spawn_held(long how, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames);
PyObject *core_make(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *core_submit(PyObject *, PyObject *);
PyObject *spawn_new_lazy(PyTypeObject *, PyObject *, PyObject *);
/* Let a lazy task run, unless it was, or was cancelled. 0 or −1. */
int spawn_schedule(TaskObject *task);
/* Count a task that was held and now is not, unless somebody has. Whether it was this
 * call. */
bool spawn_release(TaskObject *task);
PyObject *core_locals(PyObject *, PyObject *);

extern PyType_Spec family_spec; /* family.c */

extern PyType_Spec roster_spec; /* roster.c */
/* Whether a waiter tells a roster that all which hear of the task's end have. */
bool roster_is_waiter(const trt_waiter *waiter);
PyObject *core_cancel_pending(PyObject *, PyObject *);
PyObject *core_error_of(PyObject *, PyObject *);

extern PyType_Spec subscription_spec; /* subscription.c */
bool subscription_is_waiter(const trt_waiter *waiter);
PyObject *core_subscribe(PyObject *, PyObject *const *, Py_ssize_t);

extern PyType_Spec countdown_spec; /* countdown.c */
PyObject *core_wait_all(PyObject *, PyObject *const *, Py_ssize_t);
PyObject *core_spawn_after(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

extern PyType_Spec arrivals_spec; /* arrivals.c */

/* debug.c: note where a task is spawned, and what its function sees there. For
 * core->debug; before it is submitted, by who has made it. */
void debug_note_spawn(TaskObject *task);

#endif
