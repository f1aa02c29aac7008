/* thread.h on POSIX systems. */
#define _GNU_SOURCE 1

#include "os/thread.h"

#ifndef _WIN32

#include "os/chaos.h"
#include "os/check.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PTHREAD_STACK_MIN
#define PTHREAD_STACK_MIN 16384
#endif

/* Linux cuts names at this length, the end included. */
#define NAME_BYTES 16

void
trt_mutex_init(trt_mutex *m)
{
    if (pthread_mutex_init(&m->handle, NULL) != 0) {
        trt_panic("pthread_mutex_init failed");
    }
}

void
trt_mutex_destroy(trt_mutex *m)
{
    const int error = pthread_mutex_destroy(&m->handle);
    TRT_ASSERT(error == 0);
}

void
trt_mutex_lock(trt_mutex *m)
{
    trt_chaos();
    const int error = pthread_mutex_lock(&m->handle);
    TRT_ASSERT(error == 0);
    trt_chaos();
}

bool
trt_mutex_try_lock(trt_mutex *m)
{
    trt_chaos();
    return pthread_mutex_trylock(&m->handle) == 0;
}

void
trt_mutex_unlock(trt_mutex *m)
{
    trt_chaos();
    const int error = pthread_mutex_unlock(&m->handle);
    TRT_ASSERT(error == 0);
    trt_chaos();
}

void
trt_mutex_reinit_after_fork(trt_mutex *m)
{
    /* POSIX gives no way to free a mutex whose owner does not exist here. Its memory is
     * all there is to it, so it is made anew in place. */
    trt_mutex_init(m);
}

/* What the new thread needs to know; freed by it. */
struct start {
    void (*fn)(void *);
    void *arg;
    char name[NAME_BYTES];
};

static void
set_name_of_this_thread(const char *name)
{
    /* A thread that has no name works as well: errors do not matter. */
#if defined(__linux__)
    pthread_setname_np(pthread_self(), name);
#elif defined(__APPLE__)
    pthread_setname_np(name);
#else
    (void)name;
#endif
}

static void *
run_thread(void *data)
{
    struct start start = *(struct start *)data;
    free(data);
    set_name_of_this_thread(start.name);
    start.fn(start.arg);
    return NULL;
}

/* Bytes that the platform accepts for a stack. */
static size_t
round_stack_bytes(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t least = (size_t)PTHREAD_STACK_MIN;
    if (bytes < least) {
        bytes = least;
    }
    if (bytes > SIZE_MAX - page) {
        return bytes; /* the platform will refuse it */
    }
    return (bytes + page - 1) / page * page;
}

int
trt_thread_start(trt_thread *t, const char *name, size_t stack_bytes,
                 void (*fn)(void *), void *arg)
{
    struct start *start = malloc(sizeof *start);
    if (start == NULL) {
        return -ENOMEM;
    }
    start->fn = fn;
    start->arg = arg;
    strncpy(start->name, name, NAME_BYTES - 1);
    start->name[NAME_BYTES - 1] = '\0';

    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0) {
        goto fail;
    }
    if (stack_bytes != 0) {
        error = pthread_attr_setstacksize(&attributes, round_stack_bytes(stack_bytes));
    }
    if (error == 0) {
        error = pthread_create(&t->handle, &attributes, run_thread, start);
    }
    pthread_attr_destroy(&attributes);
    if (error != 0) {
        goto fail;
    }
    return 0;

fail:
    free(start);
    return -error;
}

void
trt_thread_join(trt_thread *t)
{
    if (pthread_join(t->handle, NULL) != 0) {
        trt_panic("joined a thread that cannot be joined");
    }
}

void
trt_thread_detach(trt_thread *t)
{
    if (pthread_detach(t->handle) != 0) {
        trt_panic("detached a thread that cannot be detached");
    }
}

void
trt_thread_yield(void)
{
    sched_yield();
}

bool
trt_thread_stack_bounds(char **low, char **high)
{
#if defined(__linux__)
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
        return false;
    }
    void *start = NULL;
    size_t bytes = 0;
    const int error = pthread_attr_getstack(&attributes, &start, &bytes);
    pthread_attr_destroy(&attributes);
    if (error != 0) {
        return false;
    }
    *low = start;
    *high = *low + bytes;
    return true;
#elif defined(__APPLE__)
    *high = pthread_get_stackaddr_np(pthread_self());
    *low = *high - pthread_get_stacksize_np(pthread_self());
    return true;
#else
    (void)low;
    (void)high;
    return false;
#endif
}

#endif
