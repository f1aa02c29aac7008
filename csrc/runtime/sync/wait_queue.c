#include "sync/wait_queue.h"

#include "os/check.h"

void
trt_wait_node_init(trt_wait_node *node, trt_waiter *waiter, void *value)
{
    *node = (trt_wait_node){.waiter = waiter, .value = value};
}

void
trt_wait_queue_append(trt_wait_queue *q, trt_wait_node *node)
{
    TRT_ASSERT(!node->queued);
    trt_wait_node *before = q->tail;
    if (!node->place) {
        node->place = ++q->places;
    }
    while (before && before->place > node->place) {
        before = before->previous;
    }
    node->queued = true;
    node->previous = before;
    node->next = before ? before->next : q->head;
    *(before ? &before->next : &q->head) = node;
    *(node->next ? &node->next->previous : &q->tail) = node;
}

void
trt_wait_queue_remove(trt_wait_queue *q, trt_wait_node *node)
{
    if (!node->queued) {
        return;
    }
    node->queued = false;
    *(node->previous ? &node->previous->next : &q->head) = node->next;
    *(node->next ? &node->next->previous : &q->tail) = node->previous;
}

size_t
trt_wait_queue_count(const trt_wait_queue *q)
{
    size_t count = 0;
    for (const trt_wait_node *node = q->head; node; node = node->next) {
        count += trt_load_relaxed(&node->waiter->decision) == TRT_WAITER_WAITING;
    }
    return count;
}

trt_wait_node *
trt_wait_queue_claim(trt_wait_queue *q)
{
    trt_wait_node *node;
    while ((node = q->head) != NULL) {
        trt_wait_queue_remove(q, node);
        if (trt_waiter_claim(node->waiter)) {
            node->served = true;
            node->place = 0; /* if it comes again, it is new */
            node->next = NULL;
            return node;
        }
    }
    return NULL;
}

trt_wait_node *
trt_wait_queue_claim_all(trt_wait_queue *q)
{
    trt_wait_node *first = NULL, **end = &first;
    while ((*end = trt_wait_queue_claim(q)) != NULL) {
        end = &(*end)->next;
    }
    return first;
}

void
trt_wait_nodes_wake(trt_wait_node *first)
{
    while (first) {
        trt_waiter *const waiter = first->waiter;
        first = first->next; /* before the node is somebody else's */
        waiter->wake(waiter);
    }
}
