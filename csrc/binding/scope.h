/* Scopes, as the rest of the binding sees them; a part of core.h. */
#ifndef TRT_BINDING_SCOPE_H
#define TRT_BINDING_SCOPE_H

extern PyType_Spec scope_spec;

struct ScopeObject {
    PyObject_HEAD
    PyObject *weakrefs;
    /* Set once, by any thread, before it looks for waits; read by whoever is in the
     * scope, after it has entered its wait [cancel-wait]. */
    _Atomic(uint32_t) cancelled;
    /* The same, of a task's outermost scope: the task was asked. So those born into the
     * scope learn of it, also while one of them runs on top of that task's stack. */
    _Atomic(uint32_t) asked;
    _Atomic(uint64_t) deadline_ns;
    _Atomic(PyObject *) reason; /* owned; set once, before `cancelled` */
    _Atomic(uint32_t) entered;  /* set once, by who enters it */
    bool shield;                /* constant */
    bool ends_on_failure;       /* constant once tasks are born into it */
    bool caught;                /* by the task that enters it */
    /* That it was entered on, until it is left, or NULL. By that thread; others may
     * look whether it is theirs. */
    _Atomic(Fiber *) fiber;
    /* Set by who leaves it where it was not entered: it does not count any more. Read
     * by whoever is in it. */
    _Atomic(uint32_t) abandoned;
    PyObject *limit;     /* seconds after which it raises, owned; NULL: never */
    uint32_t generation; /* of the process that has entered it */
    /* Set when it is entered, owned. Kept when it is left: another thread may still
     * look outwards from a task that has ended just now. */
    ScopeObject *parent;
    /* Guarded by core->waits: */
    ScopeObject *first_child, *next, *previous;
    Wait *first_wait;
};

static inline bool
scope_was_cancelled(const ScopeObject *scope)
{
    return trt_load_seq_cst(&scope->cancelled) != 0; /* [cancel-wait] */
}

static inline bool
scope_is_abandoned(const ScopeObject *scope)
{
    return trt_load_relaxed(&scope->abandoned) != 0;
}

/* scope_block.c: enter it, on the current fiber. 0, or −1 with an error set. */
int scope_enter(ScopeObject *self);
/* Leave it with `error`, NULL if there is none. 1: it takes the error, which it may
 * only if `takes`; 0: that goes on; −1 with an error set in its place. Where it was not
 * entered, and not as the innermost one, it is left all the same, and counts no more:
 * RuntimeError, but for a note if there is an error already. */
int scope_leave(ScopeObject *self, PyObject *error, bool takes);
/* The methods. */
PyObject *scope_enter_method(PyObject *, PyObject *);
PyObject *scope_exit_method(PyObject *, PyObject *const *, Py_ssize_t);
/* _raise_when_caught(scope, seconds): let it raise TimeoutError instead of taking
 * Cancelled. Before it is entered. */
PyObject *core_raise_when_caught(PyObject *, PyObject *const *, Py_ssize_t);

/* Ask what is in it to end. The first `reason` is kept; NULL: none. Any thread. */
void scope_cancel(ScopeObject *scope, PyObject *reason);
/* Whether it was cancelled itself, or its deadline has passed. */
bool scope_cancel_called(const ScopeObject *scope);

/* Whether a scope that can be seen from `scope` outwards is cancelled, or past its
 * deadline, if that counts. `base`: where the scopes of the task end that runs here;
 * `*shielded`: whether one of those hides what is outside of the task. */
bool scope_is_cancelled(ScopeObject *scope, const ScopeObject *base, bool late_too,
                        bool *shielded);
/* What the one that is cancelled was told, borrowed; NULL: nothing. */
PyObject *scope_reason(ScopeObject *scope);
/* The earliest deadline that can be seen from `scope`. */
uint64_t scope_deadline(ScopeObject *scope);
/* Whether every deadline that binds code in `scope` binds code in `inner` too. */
static inline bool scope_binds(ScopeObject *scope, ScopeObject *inner);
bool scope_binds_slow(ScopeObject *scope, ScopeObject *inner);
/* Cancel the scopes from `scope` outwards whose deadline has passed. */
void scope_expire(ScopeObject *scope);
/* The same by a thread that is none of Python's: the waits that this cuts short are put
 * before `*decided`. Caller holds core->waits. */
void scope_expire_locked(ScopeObject *scope, Wait **decided);
/* Enter a wait, and leave it. Caller holds core->waits. */
void scope_add_wait_locked(ScopeObject *scope, Wait *wait);
void scope_remove_wait_locked(Wait *wait);
/* Leave scopes that a task has entered and not left. */
static inline void scope_unwind(Fiber *fiber, ScopeObject *base);
void scope_unwind_slow(Fiber *fiber, ScopeObject *base);
/* Ask what is in the scopes that a task has entered to end, since the task is. The
 * waits that this cuts short, to be delivered. Caller holds core->waits. */
Wait *scope_ask_locked(TaskObject *task);
/* Tell the scope that a task was born into that the task has failed. */
void scope_fail(ScopeObject *scope);
PyObject *core_cancel_on_failure(PyObject *, PyObject *);
/* Whether `inner` is `scope` or lies in it, with no shield between. */
bool scope_covers(const ScopeObject *scope, ScopeObject *inner);

#endif
