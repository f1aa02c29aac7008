/* A forked child: the threads are gone, and with them all that they were doing. What
 * lies in memory is left alone, since locks in it may be held by nobody; what the
 * parent's runtime has opened is closed. */
#include "core.h"

#include <string.h>

/* The parent's, until its descriptors are closed. By the child's first thread. */
static trt_pool *parents_pool;

void
fork_in_child(void)
{
    trt_fetch_add_relaxed(&core->generation, 1);
    core->parents_main = core->main;
    parents_pool = core->pool;
    lineage_fork_in_child();
    imports_on_fork();
    trt_mutex_reinit_after_fork(&core->waits);
    trt_mutex_reinit_after_fork(&core->life);
    trt_mutex_reinit_after_fork(&core->contexts);
    limit_forget();
    worker_current = NULL;
    trt_store_relaxed(&core->main_ident, PyThread_get_thread_ident());
    core->pool = NULL;
    core->main = NULL;
    core->free_foreign = NULL;
    core->works = NULL;
    memset(core->pool_workers, 0, sizeof core->pool_workers);
    trt_store_relaxed(&core->threads, 0);
    trt_store_relaxed(&core->interactive, 0);
    trt_store_relaxed(&core->blocked, 0);
    trt_store_relaxed(&core->timed_waits, 0);
    trt_store_relaxed(&core->main_waits, false);
    trt_store_relaxed(&core->never_ran, 0);
    trt_store_relaxed(&core->detached_live, 0);
    trt_store_relaxed(&core->foreign_running, 0);
    calls_forget();
    alarm_forget();
    for (int team = 0; team < TRT_TEAMS; team++) {
        trt_store_relaxed(&core->spares[team], 0);
    }
    trt_store_relaxed(&core->rosters, 0);
    trt_store_relaxed(&core->closing, false);
    trt_store_relaxed(&core->draining, false);
    trt_store_relaxed(&core->cancel_all, false);
    trt_store_relaxed(&core->stopping, false);
    trt_store_relaxed(&core->exited, false);
}

void
fork_close_parents(void)
{
    trt_pool *const pool = parents_pool;
    parents_pool = NULL;
    if (!pool) {
        return;
    }
    size_t count;
    trt_worker *const *table = trt_pool_workers(pool, &count);
    for (size_t i = 0; i < count; i++) {
        trt_parker_reinit_after_fork(&table[i]->parker);
    }
    for (int team = 0; team < TRT_TEAMS; team++) {
        trt_poller_reinit_after_fork(&pool->teams[team].poller);
    }
}
