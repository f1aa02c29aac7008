#include "queue/inbox.h"

#include <stddef.h>

void
trt_inbox_init(trt_inbox *in)
{
    atomic_init(&in->newest, NULL);
}

bool
trt_inbox_push(trt_inbox *in, trt_inbox_node *node)
{
    trt_inbox_node *before = trt_load_relaxed(&in->newest);
    do {
        /* The swap succeeds if `before` is the newest again after it was taken and came
         * back: then it is still what this node has to point to. */
        node->next = before;
        /* [inbox-node] Release: the node and what was written before it. Sequentially
         * consistent to be in one order with the pusher's next look at a word that says
         * who sleeps. */
    } while (!trt_cas_seq_cst(&in->newest, &before, node));
    return before == NULL;
}

trt_inbox_node *
trt_inbox_take_all(trt_inbox *in)
{
    if (trt_load_relaxed(&in->newest) == NULL) {
        return NULL; /* most looks find nothing; they do not take the line away */
    }
    /* [inbox-node] Acquire: of the push of every node. Each push is a
     * read-modify-write, so the newest carries on what the older ones released. */
    trt_inbox_node *newest = trt_exchange_acq_rel(&in->newest, NULL);
    trt_inbox_node *oldest = NULL;
    while (newest != NULL) {
        trt_inbox_node *older = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}
