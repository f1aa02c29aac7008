#include "sync/semaphore.h"

#include "os/check.h"

void
trt_semaphore_init(trt_semaphore *s, uint64_t permits, uint64_t most)
{
    TRT_ASSERT(permits <= most && most <= TRT_SEMAPHORE_MAX);
    atomic_init(&s->word, permits * TRT_SEMAPHORE_ONE);
    trt_mutex_init(&s->lock);
    s->losers = (trt_wait_queue){NULL, NULL, 0};
    s->queue = (trt_wait_queue){NULL, NULL, 0};
    s->most = most;
}

void
trt_semaphore_destroy(trt_semaphore *s)
{
    TRT_ASSERT(trt_wait_queue_is_empty(&s->losers));
    TRT_ASSERT(trt_wait_queue_is_empty(&s->queue));
    trt_mutex_destroy(&s->lock);
}

static trt_wait_queue *
queue_of(trt_semaphore *s, const trt_wait_node *node)
{
    return node->lost ? &s->losers : &s->queue;
}

bool
trt_semaphore_acquire_or_queue(trt_semaphore *s, trt_wait_node *node)
{
    bool taken = false;
    node->value = NULL;
    node->served = false;
    trt_mutex_lock(&s->lock);
    uint64_t word = trt_load_relaxed(&s->word);
    do {
        taken = word >= TRT_SEMAPHORE_ONE;
        /* [semaphore-word] With no permit: QUEUED in the same step that has seen none.
         */
    } while (!trt_cas_acq_rel(&s->word, &word,
                              taken ? word - TRT_SEMAPHORE_ONE
                                    : word | TRT_SEMAPHORE_QUEUED));
    if (!taken) {
        trt_wait_queue_append(queue_of(s, node), node);
    }
    trt_mutex_unlock(&s->lock);
    return taken;
}

/* Take QUEUED away if nobody is queued. Caller holds the lock. */
static void
tidy_locked(trt_semaphore *s)
{
    if (trt_wait_queue_is_empty(&s->losers) && trt_wait_queue_is_empty(&s->queue)) {
        trt_fetch_and_relaxed(&s->word, ~(uint64_t)TRT_SEMAPHORE_QUEUED);
    }
}

void
trt_semaphore_leave(trt_semaphore *s, trt_wait_node *node)
{
    trt_mutex_lock(&s->lock);
    trt_wait_queue_remove(queue_of(s, node), node);
    tidy_locked(s);
    trt_mutex_unlock(&s->lock);
}

void
trt_semaphore_pass_on(trt_semaphore *s)
{
    trt_mutex_lock(&s->lock);
    /* Losers queue while there is no permit, and get each that comes back. */
    trt_wait_node *const node =
        trt_semaphore_permits(s) > 0 ? trt_wait_queue_claim(&s->queue) : NULL;
    tidy_locked(s);
    trt_mutex_unlock(&s->lock);
    trt_wait_nodes_wake(node);
}

/* Add a permit unless there are as many as there may be. */
static bool
add_permit(trt_semaphore *s)
{
    uint64_t word = trt_load_relaxed(&s->word);
    do {
        if (word / TRT_SEMAPHORE_ONE >= s->most) {
            return false;
        }
        /* [semaphore-word] */
    } while (!trt_cas_acq_rel(&s->word, &word, word + TRT_SEMAPHORE_ONE));
    return true;
}

bool
trt_semaphore_release_slow(trt_semaphore *s)
{
    trt_mutex_lock(&s->lock);
    /* While somebody is queued permits come back here alone: there is room still when
     * one has been claimed. */
    bool released = trt_semaphore_permits(s) < s->most;
    trt_wait_node *node = released ? trt_wait_queue_claim(&s->losers) : NULL;
    if (node) {
        node->value = s; /* the permit, which nobody else has seen */
    } else if (released) {
        node = trt_wait_queue_claim(&s->queue);
        released = add_permit(s);
    }
    tidy_locked(s);
    trt_mutex_unlock(&s->lock);
    trt_wait_nodes_wake(node);
    return released;
}

size_t
trt_semaphore_waiting(trt_semaphore *s)
{
    trt_mutex_lock(&s->lock);
    const size_t count =
        trt_wait_queue_count(&s->losers) + trt_wait_queue_count(&s->queue);
    trt_mutex_unlock(&s->lock);
    return count;
}

bool
trt_semaphore_release_many(trt_semaphore *s, uint64_t n)
{
    trt_wait_node *first = NULL, **end = &first;
    trt_mutex_lock(&s->lock);
    /* From here on permits come back under the lock alone: the room stays. */
    const uint64_t word = trt_fetch_or_relaxed(&s->word, TRT_SEMAPHORE_QUEUED);
    const bool released = n <= s->most - word / TRT_SEMAPHORE_ONE;
    while (released && n > 0 && (*end = trt_wait_queue_claim(&s->losers)) != NULL) {
        (*end)->value = s; /* the permit, which nobody else has seen */
        end = &(*end)->next;
        n--;
    }
    for (uint64_t i = 0; released && i < n; i++) {
        if ((*end = trt_wait_queue_claim(&s->queue)) == NULL) {
            break;
        }
        end = &(*end)->next;
    }
    if (released) {
        trt_fetch_add_acq_rel(&s->word, n * TRT_SEMAPHORE_ONE); /* [semaphore-word] */
    }
    tidy_locked(s);
    trt_mutex_unlock(&s->lock);
    trt_wait_nodes_wake(first);
    return released;
}
