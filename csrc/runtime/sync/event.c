#include "sync/event.h"

#include "os/check.h"

void
trt_event_init(trt_event *e, bool autoreset)
{
    atomic_init(&e->is_set, 0);
    e->autoreset = autoreset;
    trt_mutex_init(&e->lock);
    e->queue = (trt_wait_queue){NULL, NULL, 0};
}

void
trt_event_destroy(trt_event *e)
{
    TRT_ASSERT(trt_wait_queue_is_empty(&e->queue));
    trt_mutex_destroy(&e->lock);
}

bool
trt_event_try(trt_event *e)
{
    if (!e->autoreset) {
        return trt_event_is_set(e);
    }
    uint32_t set = 1;
    return trt_event_is_set(e) &&
           trt_cas_acq_rel(&e->is_set, &set, 0); /* [event-set] */
}

bool
trt_event_try_or_queue(trt_event *e, trt_wait_node *node)
{
    trt_mutex_lock(&e->lock);
    const bool was_set = trt_event_try(e);
    if (!was_set) {
        trt_event_queue_locked(e, node);
    }
    trt_mutex_unlock(&e->lock);
    return was_set;
}

void
trt_event_queue_locked(trt_event *e, trt_wait_node *node)
{
    trt_wait_queue_append(&e->queue, node);
}

void
trt_event_leave(trt_event *e, trt_wait_node *node)
{
    trt_mutex_lock(&e->lock);
    trt_wait_queue_remove(&e->queue, node);
    trt_mutex_unlock(&e->lock);
}

trt_event_result
trt_event_set(trt_event *e)
{
    bool was_set = false;
    trt_mutex_lock(&e->lock);
    trt_wait_node *const wake = e->autoreset ? trt_wait_queue_claim(&e->queue)
                                             : trt_wait_queue_claim_all(&e->queue);
    if (!wake || !e->autoreset) {
        was_set = trt_exchange_acq_rel(&e->is_set, 1); /* [event-set] */
    }
    trt_mutex_unlock(&e->lock);
    trt_wait_nodes_wake(wake);
    return wake ? TRT_EVENT_WOKE : was_set ? TRT_EVENT_WAS_SET : TRT_EVENT_SET;
}

void
trt_event_clear(trt_event *e)
{
    trt_mutex_lock(&e->lock);
    trt_store_relaxed(&e->is_set, 0);
    trt_mutex_unlock(&e->lock);
}

size_t
trt_event_waiting(trt_event *e)
{
    trt_mutex_lock(&e->lock);
    const size_t count = trt_wait_queue_count(&e->queue);
    trt_mutex_unlock(&e->lock);
    return count;
}
