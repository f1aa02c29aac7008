/* Lineage: where the random numbers of a task come from; a part of core.h.
 *
 * Each task and each thread has a key of 128 bits, from which its generators are
 * seeded. A child's key is a function of its parent's and of how many the parent has
 * spawned before it, so it depends on nothing that happens elsewhere, and the parent
 * draws nothing for it. A spawn copies the parent's key and the child's number; the
 * function itself is evaluated once for each task that spawns or draws, which most do
 * not.
 *
 *     Lineage child;
 *     lineage_inherit(&child, lineage_here(w));
 */
#ifndef TRT_BINDING_LINEAGE_H
#define TRT_BINDING_LINEAGE_H

enum {
    /* Of `count`: the key is still the parent's, the rest is the child's number. */
    LINEAGE_UNSETTLED = 1u << 31,
    LINEAGE_NUMBER = LINEAGE_UNSETTLED - 1,
    LINEAGE_LAST = LINEAGE_NUMBER - 1, /* a child's highest number */
};

/* By the thread that runs its task; by the spawner until the task can be found. */
typedef struct Lineage {
    uint64_t key[2];
    uint32_t count; /* of children so far, see LINEAGE_UNSETTLED */
    /* Of a task: of the process that spawned it, see fork in lifecycle.c. Here, where
     * there is room. */
    uint32_t generation;
} Lineage;

/* See that the key is its own, and if it is, begin numbers from 1 again with another.
 */
void lineage_settle(Lineage *self);

/* Become the next child of `parent`. */
static inline void
lineage_inherit(Lineage *self, Lineage *parent)
{
    if (parent->count >= LINEAGE_LAST) {
        lineage_settle(parent);
    }
    self->key[0] = parent->key[0];
    self->key[1] = parent->key[1];
    self->count = ++parent->count | LINEAGE_UNSETTLED;
}

/* What the code that runs on this thread now draws from: its task's, or that of its
 * thread; aside, a stray one, which nobody counts on. In line, see hot.h. */
static inline Lineage *lineage_here(Worker *w);
/* Have what runs on the fiber, until its `aside` is set to what is returned, count as
 * no part of its task: a callback of another task, or a loop that spawns as it likes.
 */
uintptr_t lineage_step_aside(Fiber *fiber);

/* Become that of a thread that no task of ours has begun: each is another, and in each
 * process. Any thread, attached or not. */
void lineage_begin(Lineage *self);
/* Draw what the processes differ by. Once, at import. 0, or −1 with an error set. */
int lineage_init(void);
/* Become that of main, which in a forked child is what the fork was given. */
void lineage_begin_main(Lineage *self);
/* Around a fork: what forks gives the child process a lineage as it does a task.
 * Handlers of pthread_atfork: no Python. */
void lineage_prepare_fork(void);
void lineage_fork_in_child(void);

PyObject *core_random_key(PyObject *, PyObject *);
PyObject *core_random_child(PyObject *, PyObject *);
PyObject *core_seed_random(PyObject *, PyObject *);
PyObject *core_aside(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

#endif
