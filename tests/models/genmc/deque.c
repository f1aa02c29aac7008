/* The real deque under GenMC: an owner and thieves, growth from capacity 2.
 *
 *     -DPUSHES=2 -DPOPS=2 -DTHIEVES=1 -DSTEALS=2
 */
#include "genmc.h"

/* Plant a bug: -DPOP_STORE=trt_store_relaxed or -DPOP_STORE=trt_store_release. */
#ifdef POP_STORE
#define TRT_DEQUE_POP_STORE(p, v) POP_STORE(p, v)
#endif

#include "queue/deque.c"

#ifndef PUSHES
#define PUSHES 3
#endif
#ifndef POPS
#define POPS 2
#endif
#ifndef THIEVES
#define THIEVES 1
#endif
#ifndef STEALS
#define STEALS 1
#endif

static trt_deque deque;
static int content[PUSHES]; /* plain: a taker must see what the pusher wrote */
static int taken[PUSHES];   /* plain: two takers would be a race */

static void
take(int *item)
{
    assert(*item == (int)(item - content) + 1);
    taken[item - content]++;
}

static void *
steal(void *unused)
{
    (void)unused;
    for (int i = 0; i < STEALS; i++) {
        void *item;
        if (trt_deque_steal(&deque, &item) == TRT_STEAL_GOT) {
            take(item);
        }
    }
    return NULL;
}

int
main(void)
{
    pthread_t thieves[THIEVES];
    if (trt_deque_init(&deque, 1) != 0) {
        return 0;
    }
    for (int i = 0; i < THIEVES; i++) {
        pthread_create(&thieves[i], NULL, steal, NULL);
    }
    for (int i = 0; i < PUSHES; i++) {
        content[i] = i + 1;
        if (trt_deque_push(&deque, &content[i]) != 0) {
            return 0;
        }
    }
    for (int i = 0; i < POPS; i++) {
        int *item = trt_deque_pop(&deque);
        if (item != NULL) {
            take(item);
        }
    }
    for (int i = 0; i < THIEVES; i++) {
        pthread_join(thieves[i], NULL);
    }
    int *item;
    while ((item = trt_deque_pop(&deque)) != NULL) {
        take(item);
    }
    for (int i = 0; i < PUSHES; i++) {
        assert(taken[i] == 1);
    }
    trt_deque_destroy(&deque);
    return 0;
}
