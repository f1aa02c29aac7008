/* Threads and a mutex: what the runtime needs of the platform. */
#ifndef TRT_THREAD_H
#define TRT_THREAD_H

#include <stdbool.h>
#include <stddef.h>

#ifndef _WIN32
#include <pthread.h>
#endif

/* Mutual exclusion; not recursive, not fair. For short sections without calls into
 * Python, allocation callbacks or wake-ups. Initialise before use, do not copy. */
typedef struct trt_mutex {
#ifdef _WIN32
    void *srw; /* an SRWLOCK, whose header need not be included here */
#else
    pthread_mutex_t handle;
#endif
} trt_mutex;

/* Make the mutex unlocked and ready. */
void trt_mutex_init(trt_mutex *m);

/* Release what the mutex holds. It must be unlocked and nobody may use it again. */
void trt_mutex_destroy(trt_mutex *m);

/* Wait until this thread owns the mutex. Illegal when it already does. */
void trt_mutex_lock(trt_mutex *m);

/* Take the mutex unless somebody has it. Whether this thread owns it now. */
bool trt_mutex_try_lock(trt_mutex *m);

/* Give the mutex up. Owner only. */
void trt_mutex_unlock(trt_mutex *m);

/* In a forked child, while it has one thread: make the mutex unlocked whatever it was.
 * The data it guards is whatever the parent's owner was in the middle of, unless the
 * parent took the lock around fork(). */
void trt_mutex_reinit_after_fork(trt_mutex *m);

/* A thread that the runtime started. Valid from trt_thread_start until exactly one call
 * of trt_thread_join or trt_thread_detach. */
typedef struct trt_thread {
#ifdef _WIN32
    void *handle;
#else
    pthread_t handle;
#endif
} trt_thread;

/* Run fn(arg) on a new thread. `name` (copied, cut to 15 bytes) shows in debuggers and
 * `top`. `stack_bytes` is the size of its stack, rounded up to what the platform wants;
 * 0 is the platform's default. The thread blocks the signals that its creator blocks,
 * and so do the processes that it starts: blocking more here would make those deaf.
 * Returns 0, or negative errno (-ENOMEM, -EAGAIN) with nothing started. Any thread. */
int trt_thread_start(trt_thread *t, const char *name, size_t stack_bytes,
                     void (*fn)(void *), void *arg);

/* Wait until the thread has ended, and release it. Any other thread, once. */
void trt_thread_join(trt_thread *t);

/* Let the thread release itself when it ends. Any thread, once. */
void trt_thread_detach(trt_thread *t);

/* Let another thread that is ready run on this core. */
void trt_thread_yield(void);

/* Addresses between which the stack of the calling thread lies: *low is the last that
 * may be used as the stack grows down, *high the end. False, with both untouched, where
 * the platform does not tell. Costs microseconds: ask once a thread. */
bool trt_thread_stack_bounds(char **low, char **high);

#endif
