#include "sched/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

static trt_table *
table_create(size_t capacity)
{
    trt_table *const table =
        malloc(sizeof *table + capacity * sizeof table->workers[0]);
    if (table) {
        table->older = NULL;
        table->capacity = capacity;
        trt_store_relaxed(&table->count, 0);
    }
    return table;
}

static int
team_init(trt_team *team, bool steals)
{
    const int error = trt_sleep_init(&team->sleep, TRT_POOL_MAX_THREADS + 1);
    if (error) {
        return error;
    }
    trt_injector_init(&team->injector);
    trt_poller_init(&team->poller);
    trt_store_relaxed(&team->running, 0);
    trt_store_relaxed(&team->light_sleeper, NULL);
    team->steals = steals;
    return 0;
}

static void
team_destroy(trt_team *team)
{
    trt_poller_destroy(&team->poller);
    trt_injector_destroy(&team->injector);
    trt_sleep_destroy(&team->sleep);
}

int
trt_pool_init(trt_pool *pool)
{
    trt_table *const table = table_create(FIRST_CAPACITY);
    if (!table) {
        return -ENOMEM;
    }
    int ready = 0, error = 0;
    for (; ready < TRT_TEAMS; ready++) {
        error = team_init(&pool->teams[ready], ready == TRT_DEFAULT);
        if (error) {
            goto fail;
        }
    }
    trt_mutex_init(&pool->lock);
    trt_store_relaxed(&pool->table, table);
    return 0;

fail:
    while (ready > 0) {
        team_destroy(&pool->teams[--ready]);
    }
    free(table);
    return error;
}

void
trt_pool_destroy(trt_pool *pool)
{
    for (trt_table *table = trt_load_relaxed(&pool->table); table;) {
        trt_table *const older = table->older;
        free(table);
        table = older;
    }
    for (int team = 0; team < TRT_TEAMS; team++) {
        team_destroy(&pool->teams[team]);
    }
    trt_mutex_destroy(&pool->lock);
}

/* Replace the table by one twice as large. Caller holds the lock. */
static trt_table *
grow_locked(trt_pool *pool, trt_table *table)
{
    trt_table *const larger = table_create(table->capacity * 2);
    if (larger) {
        memcpy(larger->workers, table->workers,
               table->capacity * sizeof table->workers[0]);
        trt_store_relaxed(&larger->count, table->capacity);
        larger->older = table;
        /* [table-grow] whoever sees the new table sees its entries. */
        trt_store_release(&pool->table, larger);
    }
    return larger;
}

int
trt_pool_enter(trt_pool *pool, trt_worker *w)
{
    int error = 0;
    trt_mutex_lock(&pool->lock);
    trt_table *table = trt_load_relaxed(&pool->table);
    const size_t count = trt_load_relaxed(&table->count);
    if (count == table->capacity) {
        table = grow_locked(pool, table);
        if (!table) {
            error = -ENOMEM;
        }
    }
    if (!error) {
        w->index = count;
        table->workers[count] = w;
        /* [table-count] whoever sees the count sees the entry. */
        trt_store_release(&table->count, count + 1);
    }
    trt_mutex_unlock(&pool->lock);
    return error;
}

int
trt_pool_post(trt_pool *pool, void *item)
{
    trt_team *const team = &pool->teams[TRT_INTERACTIVE];
    const int error = trt_injector_push(&team->injector, item);
    if (!error) {
        trt_team_notify(team);
    }
    return error;
}
