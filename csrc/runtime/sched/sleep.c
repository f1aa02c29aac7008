#include "sched/sleep.h"

#include <errno.h>
#include <stdlib.h>

#include "os/check.h"

/* Change the word by `delta`, a sum of TRT_SLEEP_ONE_x taken with sign, and return the
 * new value. Relaxed: the word publishes nothing, and what its changes must be ordered
 * against is ordered by [asym-fence]. */
static uint32_t
add(trt_sleep *s, uint32_t delta)
{
    const uint32_t word = trt_fetch_add_relaxed(&s->word, delta) + delta;
    const size_t searching = trt_sleep_word_searching(word);
    TRT_ASSERT(searching + trt_sleep_word_sleeping(word) <= s->max_workers);
    (void)searching;
    return word;
}

void
trt_sleep_tell(trt_sleep *s)
{
    void (*const told)(trt_sleep *) = trt_load_relaxed(&s->told);
    if (told) {
        told(s);
    }
}

/* Height of the stack. Exact under the lock. */
static size_t
height_locked(const trt_sleep *s)
{
    return trt_sleep_sleeping(s);
}

int
trt_sleep_init(trt_sleep *s, size_t max_workers)
{
    TRT_ASSERT(max_workers >= 1 && max_workers <= TRT_SLEEP_MAX_WORKERS);
    s->stack = malloc(2 * max_workers * sizeof(*s->stack));
    if (s->stack == NULL) {
        return -ENOMEM;
    }
    trt_barrier_init();
    trt_mutex_init(&s->lock);
    s->woken = s->stack + max_workers;
    s->woken_count = 0;
    s->max_workers = max_workers;
    trt_store_relaxed(&s->word, 0);
    trt_store_relaxed(&s->told, NULL);
    return 0;
}

void
trt_sleep_destroy(trt_sleep *s)
{
    TRT_ASSERT(trt_load_relaxed(&s->word) == 0);
    trt_mutex_destroy(&s->lock);
    free(s->stack);
    s->stack = NULL;
}

/* Take the most recent sleeper off the stack and count it as a searcher; NULL if there
 * is nobody to wake after all. Others change the searching half meanwhile, hence the
 * loop. */
static trt_parker *
pop_sleeper_locked(trt_sleep *s)
{
    uint32_t word = trt_load_relaxed(&s->word);
    uint32_t woken;
    do {
        if (!trt_sleep_word_wants_wake(word)) {
            return NULL;
        }
        woken = word - TRT_SLEEP_ONE_SLEEPING + TRT_SLEEP_ONE_SEARCHING;
    } while (!trt_cas_relaxed(&s->word, &word, woken));
    const trt_sleeper sleeper = s->stack[trt_sleep_word_sleeping(woken)];
    s->woken[s->woken_count++] = sleeper;
    return sleeper.parker;
}

bool
trt_sleep_wake_slow(trt_sleep *s)
{
    trt_mutex_lock(&s->lock);
    trt_parker *parker = pop_sleeper_locked(s); /* P4 */
    trt_mutex_unlock(&s->lock);
    if (parker != NULL) {
        trt_sleep_tell(s);
        /* After the lock, which the woken worker takes first thing. */
        trt_parker_nudge(parker); /* P5 */
    }
    return parker != NULL;
}

bool
trt_sleep_try_search(trt_sleep *s, size_t awake)
{
    uint32_t word = trt_load_relaxed(&s->word);
    do {
        size_t searching = trt_sleep_word_searching(word);
        if (searching > 0 && 2 * searching >= awake) {
            return false;
        }
    } while (!trt_cas_relaxed(&s->word, &word, word + TRT_SLEEP_ONE_SEARCHING));
    return true;
}

void
trt_sleep_found(trt_sleep *s)
{
    /* The look is at the value that the step itself has left: no fence between them. */
    if (trt_sleep_word_wants_wake(add(s, 0 - TRT_SLEEP_ONE_SEARCHING))) {
        trt_sleep_wake_slow(s);
    }
}

void
trt_sleep_announce(trt_sleep *s, size_t id, trt_parker *parker, bool searching)
{
    trt_mutex_lock(&s->lock);
    s->stack[height_locked(s)] = (trt_sleeper){.id = id, .parker = parker};
    /* G1: one step for both counts, as a worker is counted at most once. */
    add(s, TRT_SLEEP_ONE_SLEEPING - (searching ? TRT_SLEEP_ONE_SEARCHING : 0));
    trt_mutex_unlock(&s->lock);
    /* G2 [asym-fence]: the word, then the rescan. Whoever pushed before this point is
     * seen by the rescan; whoever pushes later sees this worker in the word. */
    trt_barrier_heavy();
}

/* Take worker `id` off a list, keeping the order of the rest; false if it is not there.
 * The look begins at the end, where those are that have come last. */
static bool
remove_sleeper(trt_sleeper *list, size_t count, size_t id)
{
    size_t place = count;
    while (place > 0 && list[place - 1].id != id) {
        place--;
    }
    if (place == 0) {
        return false;
    }
    for (; place < count; place++) {
        list[place - 1] = list[place];
    }
    return true;
}

bool
trt_sleep_retract(trt_sleep *s, size_t id, bool search)
{
    trt_mutex_lock(&s->lock);
    const bool removed = remove_sleeper(s->stack, height_locked(s), id);
    if (removed) {
        add(s, (search ? TRT_SLEEP_ONE_SEARCHING : 0) - TRT_SLEEP_ONE_SLEEPING);
    } else if (remove_sleeper(s->woken, s->woken_count, id)) {
        s->woken_count--;
    }
    trt_mutex_unlock(&s->lock);
    if (removed) {
        trt_sleep_tell(s);
    }
    return search || !removed;
}

size_t
trt_sleep_draft(trt_sleep *s, size_t most, trt_parker **drafted,
                void (*mark)(trt_parker *, void *), void *arg)
{
    if (trt_load_relaxed(&s->word) == 0) {
        return 0;
    }
    size_t count = 0;
    trt_mutex_lock(&s->lock);
    for (; count < most && height_locked(s) > 0; count++) {
        drafted[count] = s->stack[height_locked(s) - 1].parker;
        add(s, 0 - TRT_SLEEP_ONE_SLEEPING);
        mark(drafted[count], arg);
    }
    for (; count < most && s->woken_count > 0; count++) {
        /* As S2. Nobody sleeps, so there is nobody to hand the search on to. */
        drafted[count] = s->woken[--s->woken_count].parker;
        add(s, 0 - TRT_SLEEP_ONE_SEARCHING);
        mark(drafted[count], arg);
    }
    trt_mutex_unlock(&s->lock);
    return count;
}
