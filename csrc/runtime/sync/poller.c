#include "sync/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/poll.h"

enum { EVENTS = 64, FIRST_SIZE = 64 };

void
trt_poller_init(trt_poller *p)
{
    p->fd = -1;
    atomic_init(&p->waits, 0);
    atomic_init(&p->held, 0);
    trt_mutex_init(&p->lock);
    p->polled = NULL;
    p->size = 0;
}

void
trt_poller_destroy(trt_poller *p)
{
    if (p->fd >= 0) {
        trt_poll_close(p->fd);
    }
    free(p->polled);
    trt_mutex_destroy(&p->lock);
}

void
trt_poller_reinit_after_fork(trt_poller *p)
{
    if (p->fd >= 0) {
        trt_poll_close(p->fd);
    }
    /* The table is not freed: it may have been growing just then. */
    trt_poller_init(p);
}

int
trt_poller_enter(trt_poller *p)
{
    int error = 0;
    trt_mutex_lock(&p->lock);
    if (p->fd < 0) {
        const int set = trt_poll_open();
        error = set < 0 ? set : 0;
        p->fd = set < 0 ? -1 : set;
    }
    trt_mutex_unlock(&p->lock);
    if (!error) {
        trt_fetch_add_seq_cst(&p->waits, 1); /* [poller-waits] */
    }
    return error;
}

void
trt_poller_exit(trt_poller *p)
{
    trt_fetch_sub_seq_cst(&p->waits, 1);
}

static bool
make_room(trt_poller *p, int fd)
{
    const size_t needed = (size_t)fd + 1;
    if (needed <= p->size) {
        return true;
    }
    size_t size = p->size ? p->size : FIRST_SIZE;
    while (size < needed) {
        size *= 2;
    }
    trt_polled *const polled = realloc(p->polled, size * sizeof *polled);
    if (!polled) {
        return false;
    }
    memset(polled + p->size, 0, (size - p->size) * sizeof *polled);
    p->polled = polled;
    p->size = size;
    return true;
}

/* Ask to be told once about what is waited for at `fd`. 0 or negative errno. */
static int
arm_locked(trt_poller *p, int fd)
{
    const trt_polled *const polled = &p->polled[fd];
    const bool reads = !trt_wait_queue_is_empty(&polled->readers);
    const bool writes = !trt_wait_queue_is_empty(&polled->writers);
    return trt_poll_arm(
        p->fd, fd, (reads ? TRT_POLL_READABLE : 0) | (writes ? TRT_POLL_WRITABLE : 0));
}

/* Nobody waits for `fd`: be told no more, or the file would be taken for the next that
 * has its number. */
static void
disarm_if_unused_locked(trt_poller *p, int fd)
{
    const trt_polled *const polled = &p->polled[fd];
    if (trt_wait_queue_is_empty(&polled->readers) &&
        trt_wait_queue_is_empty(&polled->writers)) {
        trt_poll_disarm(p->fd, fd);
    }
}

static trt_wait_queue *
queue_of(trt_poller *p, int fd, bool writes)
{
    return writes ? &p->polled[fd].writers : &p->polled[fd].readers;
}

int
trt_poller_queue(trt_poller *p, int fd, bool writes, trt_wait_node *node)
{
    if (fd < 0) {
        return -EBADF;
    }
    trt_mutex_lock(&p->lock);
    /* What is no descriptor gets no room: its number may be as large as one likes. */
    int error = (size_t)fd < p->size ? 0 : trt_poll_check(fd);
    if (!error && !make_room(p, fd)) {
        error = -ENOMEM;
    }
    if (!error) {
        trt_wait_queue_append(queue_of(p, fd, writes), node);
        error = arm_locked(p, fd);
        if (error) {
            trt_wait_queue_remove(queue_of(p, fd, writes), node);
        }
    }
    trt_mutex_unlock(&p->lock);
    return error;
}

void
trt_poller_leave(trt_poller *p, int fd, bool writes, trt_wait_node *node)
{
    trt_mutex_lock(&p->lock);
    trt_wait_queue_remove(queue_of(p, fd, writes), node);
    disarm_if_unused_locked(p, fd);
    trt_mutex_unlock(&p->lock);
}

static trt_wait_node *
claim_both(trt_polled *polled, bool reads, bool writes)
{
    trt_wait_node *first = reads ? trt_wait_queue_claim_all(&polled->readers) : NULL;
    trt_wait_node **end = &first;
    while (*end) {
        end = &(*end)->next;
    }
    *end = writes ? trt_wait_queue_claim_all(&polled->writers) : NULL;
    return first;
}

void
trt_poller_forget(trt_poller *p, int fd)
{
    trt_wait_node *nodes = NULL;
    trt_mutex_lock(&p->lock);
    if (fd >= 0 && (size_t)fd < p->size) {
        nodes = claim_both(&p->polled[fd], true, true);
        disarm_if_unused_locked(p, fd);
    }
    trt_mutex_unlock(&p->lock);
    trt_wait_nodes_wake(nodes);
}

bool
trt_poller_try_hold(trt_poller *p)
{
    uint32_t nobody = 0;
    return trt_load_seq_cst(&p->waits) > 0 && /* [poller-waits] */
           trt_cas_acq_rel(&p->held, &nobody, 1);
}

void
trt_poller_release(trt_poller *p)
{
    trt_store_seq_cst(&p->held, 0);
}

int
trt_poller_fd(const trt_poller *p)
{
    return p->fd;
}

/* Claim those whom the event is for. */
static trt_wait_node *
claim_locked(trt_poller *p, trt_poll_event event)
{
    trt_polled *const polled = &p->polled[event.fd];
    trt_wait_node *const nodes =
        claim_both(polled, (event.ready & TRT_POLL_READABLE) != 0,
                   (event.ready & TRT_POLL_WRITABLE) != 0);
    if (!trt_wait_queue_is_empty(&polled->readers) ||
        !trt_wait_queue_is_empty(&polled->writers)) {
        (void)arm_locked(p, event.fd); /* it was armed before, so it can be */
    }
    return nodes;
}

/* Count and wake them. */
static size_t
serve(trt_wait_node *nodes)
{
    size_t count = 0;
    for (const trt_wait_node *node = nodes; node; node = node->next) {
        count++;
    }
    trt_wait_nodes_wake(nodes);
    return count;
}

size_t
trt_poller_collect(trt_poller *p)
{
    trt_poll_event events[EVENTS];
    trt_wait_node *nodes[EVENTS];
    size_t served = 0;
    int count;
    do {
        /* Under the lock, so that no event of a file outlives its trt_poller_forget. */
        trt_mutex_lock(&p->lock);
        count = trt_poll_collect(p->fd, events, EVENTS);
        for (int i = 0; i < count; i++) {
            nodes[i] = claim_locked(p, events[i]);
        }
        trt_mutex_unlock(&p->lock);
        for (int i = 0; i < count; i++) {
            served += serve(nodes[i]);
        }
    } while (count == EVENTS);
    return served;
}
