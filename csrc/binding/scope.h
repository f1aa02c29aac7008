/* Scopes, as the rest of the binding sees them; a part of core.h. */
#ifndef TRT_BINDING_SCOPE_H
#define TRT_BINDING_SCOPE_H

extern PyType_Spec scope_spec;

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
bool scope_binds(ScopeObject *scope, ScopeObject *inner);
/* Cancel the scopes from `scope` outwards whose deadline has passed. */
void scope_expire(ScopeObject *scope);
/* The same by a thread that is none of Python's: the waits that this cuts short are put
 * before `*decided`. Caller holds core->waits. */
void scope_expire_locked(ScopeObject *scope, Wait **decided);
/* Enter a wait, and leave it. Caller holds core->waits. */
void scope_add_wait_locked(ScopeObject *scope, Wait *wait);
void scope_remove_wait_locked(Wait *wait);
/* Leave scopes that a task has entered and not left. */
void scope_unwind(Fiber *fiber, ScopeObject *base);
/* Ask what is in the scopes that a task has entered to end, since the task is. The
 * waits that this cuts short, to be delivered. Caller holds core->waits. */
Wait *scope_ask_locked(TaskObject *task);
/* Tell the scope that a task was born into that the task has failed. */
void scope_fail(ScopeObject *scope);
PyObject *core_cancel_on_failure(PyObject *, PyObject *);
/* Whether `inner` is `scope` or lies in it, with no shield between. */
bool scope_covers(const ScopeObject *scope, const ScopeObject *inner);

#endif
