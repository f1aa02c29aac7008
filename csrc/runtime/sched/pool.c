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

int
trt_pool_init(trt_pool *pool)
{
    trt_table *const table = table_create(FIRST_CAPACITY);
    if (!table) {
        return -ENOMEM;
    }
    trt_injector_init(&pool->injector);
    /* Foreign threads never sleep as workers do, but they have an index like all. */
    const int error = trt_sleep_init(&pool->sleep, TRT_POOL_MAX_THREADS + 1);
    if (error) {
        goto fail;
    }
    trt_mutex_init(&pool->lock);
    trt_poller_init(&pool->poller);
    trt_store_relaxed(&pool->running, 0);
    trt_store_relaxed(&pool->light_sleeper, NULL);
    trt_store_relaxed(&pool->table, table);
    return 0;

fail:
    trt_injector_destroy(&pool->injector);
    free(table);
    return error;
}

void
trt_pool_destroy(trt_pool *pool)
{
    trt_poller_destroy(&pool->poller);
    for (trt_table *table = trt_load_relaxed(&pool->table); table;) {
        trt_table *const older = table->older;
        free(table);
        table = older;
    }
    trt_sleep_destroy(&pool->sleep);
    trt_injector_destroy(&pool->injector);
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
