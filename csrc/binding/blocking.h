/* Code that blocks its thread: calls on other threads, and regions of tasks; a part of
 * core.h. */
#ifndef TRT_BINDING_BLOCKING_H
#define TRT_BINDING_BLOCKING_H

/* ---- calls that block (calls.c) -------------------------------------------------- */

/* Whether this thread runs a call of run_blocking(). */
bool calls_run_here(void);
/* In a forked child. */
void calls_forget(void);
PyObject *core_call_begin(PyObject *, PyObject *);
PyObject *core_call_run(PyObject *, PyObject *);
PyObject *core_call_end(PyObject *, PyObject *);
PyObject *core_call_report(PyObject *, PyObject *const *, Py_ssize_t);

/* ---- regions that block (blocking.c) --------------------------------------------- */

/* What the worker runs now blocks its thread from now on; and does so no more. Owner,
 * of main or a pool thread, in turns. */
void blocking_begin(Worker *w);
void blocking_end(Worker *w);
/* Bring in spare threads for regions that are old. When the next one will be:
 * TRT_FOREVER, there is none. The alarm. */
uint64_t blocking_look(void);
/* Enter a region, and leave it; those within another and those of foreign threads do
 * nothing. Owner. */
void blocking_enter(Worker *w);
void blocking_leave(Worker *w);
PyObject *core_spares(PyObject *, PyObject *);
PyObject *core_blocking_begin(PyObject *, PyObject *);
PyObject *core_blocking_end(PyObject *, PyObject *);

/* ---- what they need of others ---------------------------------------------------- */

/* Have main look again, if it waits, whether anything can still come. Any thread. */
void exit_let_main_look(void);
/* Give what a foreign thread has spawned and not run to others: it ends, or is about to
 * do nothing for a while. What is pinned to it is lost. Its thread; no Python. */
void lifecycle_leave_behind(Worker *w);
/* Have as many threads as there are to be with spare ones. Any thread, attached or not.
 */
void lifecycle_start_spares(void);

#endif
