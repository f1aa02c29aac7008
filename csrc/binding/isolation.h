/* Isolated blocks, with isolated(); a part of core.h.
 *
 * From the entry to the exit of a block, its thread runs nothing but what is inside of
 * it: the code of the block, and tasks that were spawned there. A block is a link of
 * the chain of limits, see limit.h, and so known by all that was spawned in it; the
 * thread has a list of those that are open on it, the innermost first. Since only what
 * is inside runs there, blocks of one thread are left in the reverse order.
 *
 *   - What its stacks and tasks have to be inside of is Worker.isolation. Stacks from
 *     outside that become ready are put aside, and those that have waited for a time
 * are not due any more: nothing of them comes before the block is left.
 *   - The thread takes no tasks but its own: pinned ones, and those on its deque that
 *     were pushed since the block was entered. Others may steal these as ever. What
 *     turns out to be from outside goes to the injector.
 *   - With nothing to run it stands, see stand.h, in a region that blocks: a spare
 *     thread comes in for it, see blocking.c, since it takes no part in what the others
 *     wait for. So tasks from outside, and those from inside that are elsewhere, find
 *     somebody.
 *
 * Main's root goes on in spite of a block of another stack once Ctrl-C or the end of
 * the process has come for it. When all that waits is cancelled at exit, no block holds
 * anything up. */
#ifndef TRT_BINDING_ISOLATION_H
#define TRT_BINDING_ISOLATION_H

/* The current stack enters a block, and leaves one. Its thread. */
void isolation_begin(Worker *w, LimitObject *block);
void isolation_end(Worker *w, LimitObject *block);
/* Whether the thread is in one that holds. */
static inline bool isolation_holds(const Worker *w);
/* Whether a stack of it may go on now, or a task may start. */
bool isolation_admits(const Worker *w, const Fiber *fiber);
bool isolation_admits_task(const Worker *w, const TaskObject *task);
/* Whether the task cannot start here before the current stack has left a block. */
bool isolation_refuses(const Worker *w, const TaskObject *task);
/* Whether a pinned task of the thread is admitted. Owner. */
bool isolation_sees_pinned(Worker *w);
/* Let main's root go on. Main, attached or not. */
void isolation_exempt_root(Worker *w);
/* The next entry of the queues for this thread, as trt_worker_take. */
void *isolation_take(Worker *w);
/* Sleep until something inside may go on. The hub. */
void isolation_sleep(Worker *w);
/* Whether a stack waits that cannot go on before the block of another is left; that
 * one, or NULL. Not for roots, of which main's may be exempt. Caller holds core->waits.
 */
Fiber *isolation_awaited_locked(const Fiber *stack);

#endif
