/* What surrounds a task while it runs; a part of core.h. See context.c. */
#ifndef TRT_BINDING_CONTEXT_H
#define TRT_BINDING_CONTEXT_H

/* What belongs to a stack but is kept by thread: taken off while the stack waits and
 * others run. asyncio's running loop, and the hooks for asynchronous generators. */
typedef struct Suspended {
    PyObject *loop, *firstiter, *finalizer; /* owned, or NULL */
    uint32_t blocking;                      /* regions, see blocking.c */
} Suspended;

/* What a task's frame replaces in the thread state, to be put back when it ends. */
typedef struct Surroundings {
    PyObject *context;        /* the one before, owned, unless `entered` */
    _PyErr_StackItem handled; /* an empty stack of exceptions being handled */
    _PyErr_StackItem *outer_handled;
    Suspended suspended; /* of the stack beneath */
    bool entered;
} Surroundings;

/* Enter the surroundings of `task`. Returns 0, or −1 with an error set and nothing
 * done. */
static inline int context_enter(PyThreadState *tstate, TaskObject *task,
                                Surroundings *saved);
/* Leave them again; keeps the error that may be set. */
static inline void context_leave(PyThreadState *tstate, TaskObject *task,
                                 Surroundings *saved);
static inline void context_suspend(PyThreadState *tstate, Suspended *suspended);
/* Put it back, in the same thread state; keeps the error that may be set. */
static inline void context_resume(PyThreadState *tstate, Suspended *suspended);

/* Not for callers: the loop that runs on this thread, taken off, a new reference or
 * NULL; how many regions that block what runs is in; the end of context_resume if there
 * is a loop, or a hook that was set meanwhile; enter and leave the context that a user
 * gave: 0 or −1. */
PyObject *context_take_loop(void);
void context_set_blocking(uint32_t regions);
void context_resume_slow(Suspended *suspended, PyObject *firstiter,
                         PyObject *finalizer);
int context_enter_given(TaskObject *task);
void context_leave_given(TaskObject *task);

#endif
