/* The real task word and list of waiters under GenMC: one runs the task, one cancels
 * it, some stay to the end, some leave early. Nobody waits in a loop: who has been
 * woken is looked at when all threads have ended.
 *
 *     -DSTAY=1 -DLEAVE=1 -DCANCEL=0
 */
#include "genmc.h"

#include "task/task.c"
#include "task/waiters.c"

#ifndef STAY
#define STAY 1
#endif
#ifndef LEAVE
#define LEAVE 1
#endif
#ifndef CANCEL
#define CANCEL 0
#endif

typedef struct {
    trt_waiter base;
    _Atomic(int) woken; /* how often */
} waiter;

enum { WAITERS = STAY + LEAVE };

static trt_task task;
static waiter *fired[WAITERS + 1]; /* of waiters that must have been woken by the end */
static int result; /* plain: a waiter must see what the one that ends the task wrote */

static void
wake(trt_waiter *w)
{
    trt_fetch_add_acq_rel(&((waiter *)w)->woken, 1);
}

static waiter *
waiter_new(void)
{
    waiter *w = malloc(sizeof *w);
    trt_waiter_init(&w->base, wake);
    atomic_init(&w->woken, 0);
    return w;
}

static void
end_task(void)
{
    trt_waiters_fire(trt_waiters_close(&task.waiters));
}

static void *
run(void *unused)
{
    (void)unused;
    if (trt_task_claim(&task)) {
        result = 1;
        trt_task_finish(&task, TRT_TASK_DONE);
        end_task();
    }
    return NULL;
}

#if CANCEL > 0
static void *
cancel(void *unused)
{
    (void)unused;
    if (trt_task_cancel_pending(&task)) {
        end_task();
    }
    return NULL;
}
#endif

static void
look_at_end(void)
{
    assert(trt_task_is_finished(&task));
    assert(trt_task_get_state(&task) != TRT_TASK_DONE || result == 1);
}

#if STAY > 0
static void *
stay(void *place)
{
    waiter *w = waiter_new();
    if (trt_waiters_add(&task.waiters, &w->base)) {
        *(waiter **)place = w;
    } else {
        look_at_end();
        free(w);
    }
    return NULL;
}
#endif

#if LEAVE > 0
static void *
leave(void *place)
{
    waiter *w = waiter_new();
    if (!trt_waiters_add(&task.waiters, &w->base)) {
        look_at_end();
        free(w);
    } else if (!trt_waiters_remove(&task.waiters, &w->base)) {
        assert(result == 1 || trt_task_get_state(&task) == TRT_TASK_CANCELLED);
        *(waiter **)place = w;
    }
    return NULL;
}
#endif

int
main(void)
{
    pthread_t threads[1 + STAY + LEAVE + CANCEL];
    int count = 0;
    trt_task_init(&task, 0);
#if STAY > 0
    for (int i = 0; i < STAY; i++) {
        pthread_create(&threads[count], NULL, stay, &fired[count]);
        count++;
    }
#endif
#if LEAVE > 0
    for (int i = 0; i < LEAVE; i++) {
        pthread_create(&threads[count], NULL, leave, &fired[count]);
        count++;
    }
#endif
    pthread_create(&threads[count++], NULL, run, NULL);
#if CANCEL > 0
    pthread_create(&threads[count++], NULL, cancel, NULL);
#endif
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    look_at_end();
    assert(trt_waiters_is_closed(&task.waiters));
    for (int i = 0; i < WAITERS; i++) {
        if (fired[i] != NULL) {
            assert(trt_load_relaxed(&fired[i]->woken) == 1);
            free(fired[i]);
        }
    }
    return 0;
}
