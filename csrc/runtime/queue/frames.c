#include "queue/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/barrier.h"
#include "os/check.h"

enum {
    FIRST_CAPACITY = 64,
    /* Looks at the lock before the owner sleeps on it. A thief has it for one heavy
     * barrier: a microsecond, or a dozen in a virtual machine. */
    LOCK_LOOKS = 1000,
};

int
trt_frames_init(trt_frames *f, const trt_context_api *api,
                const _Atomic(uint32_t) *sleepers)
{
    trt_frame **const slots = malloc(FIRST_CAPACITY * sizeof(trt_frame *));
    if (!slots) {
        return -ENOMEM;
    }
    memset(f, 0, sizeof *f);
    f->base.api = api;
    f->base.sleepers = sleepers;
    f->base.full_fence =
        TRT_THREAD_SANITIZER || !trt_load_relaxed(&trt_barrier_asymmetric);
    f->slots = slots;
    f->capacity = FIRST_CAPACITY;
    f->base.limit = slots + FIRST_CAPACITY;
    trt_store_relaxed(&f->base.head, slots);
    trt_store_relaxed(&f->base.tail, slots);
    trt_mutex_init(&f->lock);
    return 0;
}

void
trt_frames_destroy(trt_frames *f)
{
    TRT_ASSERT(!trt_frames_offer(f));
    trt_mutex_destroy(&f->lock);
    free(f->slots);
}

bool
trt_frames_grow(trt_frames *f)
{
    const size_t used = trt_frames_count(f);
    const size_t capacity = f->capacity * 2;
    trt_frame **const slots = malloc(capacity * sizeof(trt_frame *));
    if (!slots) {
        return false;
    }
    trt_frame **const old = f->slots;
    trt_mutex_lock(&f->lock); /* no thief is between its claim and its look */
    const size_t stolen = (size_t)(trt_load_relaxed(&f->base.head) - old);
    memcpy(slots, old, used * sizeof(trt_frame *));
    f->slots = slots;
    f->capacity = capacity;
    f->base.limit = slots + capacity;
    trt_store_relaxed(&f->base.head, slots + stolen);
    trt_store_release(&f->base.tail, slots + used);
    trt_mutex_unlock(&f->lock);
    free(old); /* thieves look into slots only under the lock */
    return true;
}

/* Where the frame is, at or below `newest`; NULL if it is not there. */
static trt_frame **
find(const trt_frames *f, trt_frame **newest, const trt_frame *frame)
{
    for (trt_frame **slot = newest; slot >= f->slots; slot--) {
        if (*slot == frame) {
            return slot;
        }
    }
    return NULL;
}

/* Remember that the user's code has broken a rule. */
static void
break_rule(trt_frames *f)
{
    if (f->worst == TRT_CLEAR_EMPTY) {
        f->worst = TRT_CLEAR_FORGOTTEN;
    }
}

/* Remember that children were forgotten; those below head are thieves'. Caller holds
 * the lock. */
static void
forget_locked(trt_frames *f, trt_frame **from)
{
    const bool stolen = trt_load_relaxed(&f->base.head) > from;
    if (stolen) {
        f->worst = TRT_CLEAR_STOLEN;
    }
    break_rule(f);
}

/* Lock, against a thief. Owner. */
static void
lock(trt_frames *f)
{
    for (int look = 0; look < LOCK_LOOKS; look++) {
        if (trt_mutex_try_lock(&f->lock)) {
            return;
        }
        trt_cpu_relax();
    }
    trt_mutex_lock(&f->lock);
}

trt_take_result
trt_frames_take(trt_frames *f, trt_frame *frame)
{
    if (trt_load_relaxed(&frame->state) == TRT_FRAME_RAN) {
        return TRT_TAKE_RAN;
    }
    trt_frame **const newest = trt_load_relaxed(&f->base.tail) - 1;
    trt_frame **const slot = find(f, newest, frame);
    if (!slot) {
        break_rule(f);
        return TRT_TAKE_WRONG;
    }
    lock(f);
    if (slot != newest) {
        forget_locked(f, slot + 1);
    }
    /* Thieves take the oldest first, so if this one is gone, all below are. Then head
     * moves down with the tail, or the next push would look stolen. */
    const bool stolen = trt_load_relaxed(&f->base.head) > slot;
    if (stolen) {
        trt_store_relaxed(&f->base.head, slot);
    }
    trt_store_release(&f->base.tail, slot);
    trt_mutex_unlock(&f->lock);
    return stolen ? TRT_TAKE_STOLEN : TRT_TAKE_GOT;
}

trt_clear_result
trt_frames_clear(trt_frames *f)
{
    if (trt_frames_count(f) > 0) {
        trt_mutex_lock(&f->lock);
        forget_locked(f, f->slots);
        trt_store_relaxed(&f->base.head, f->slots);
        trt_store_release(&f->base.tail, f->slots);
        trt_mutex_unlock(&f->lock);
    }
    const trt_clear_result result = f->worst;
    f->worst = TRT_CLEAR_EMPTY;
    return result;
}

void
trt_frames_begin(trt_frames *f, const _Atomic(uint32_t) *cancel)
{
    trt_mutex_lock(&f->lock); /* thieves look before they claim */
    f->base.cancel = cancel;
    trt_mutex_unlock(&f->lock);
}

/* Claim the oldest frame, then look: the owner, who takes it back and then looks for
 * claims, sees this one, or this sees what the owner has done. */
static trt_frame *
claim_locked(trt_frames *f, const _Atomic(uint32_t) **work)
{
    trt_frame **const oldest = trt_load_relaxed(&f->base.head);
    trt_store_relaxed(&f->base.head, oldest + 1);
    trt_barrier_heavy(); /* [asym-fence] against the light one in trt_join */
    /* [frame-push] the slot and the frame. */
    if (oldest < trt_load_acquire(&f->base.tail)) {
        trt_frame *const frame = *oldest;
        /* Stays: the owner cannot get past the frame's join, or trt_frames_clear. */
        *work = f->base.cancel;
        trt_store_relaxed(&frame->state, TRT_FRAME_STOLEN);
        return frame;
    }
    trt_store_relaxed(&f->base.head, oldest);
    return NULL;
}

trt_frame *
trt_frames_steal(trt_frames *f, const _Atomic(uint32_t) **work)
{
    trt_frame *frame = NULL;
    while (!frame && trt_frames_offer(f) && trt_mutex_try_lock(&f->lock)) {
        const bool wanted = !*work || *work == f->base.cancel;
        frame = wanted ? claim_locked(f, work) : NULL;
        trt_mutex_unlock(&f->lock);
        if (!wanted) {
            break;
        }
        /* A claim that is given up may have hidden a newer frame from somebody who has
         * looked around and gone to sleep: so look again. [asym-fence] step P2. */
        trt_barrier_light();
    }
    return frame;
}

void
trt_frame_end(trt_frame *frame, int status)
{
    frame->status = status;
    /* [frame-done] publishes the status, and all that the task has done, to the one
     * that joins; and takes over the waiter that it has published. */
    const uintptr_t before = trt_exchange_acq_rel(&frame->state, TRT_FRAME_ENDED);
    if (before >= TRT_FRAME_STATES) {
        trt_frame_waiter *const waiter = (trt_frame_waiter *)before;
        waiter->resume(waiter);
    }
}

bool
trt_frame_await(trt_frame *frame, trt_frame_waiter *waiter)
{
    uintptr_t expected = TRT_FRAME_STOLEN;
    /* [frame-done] publishes the waiter, or sees the end. */
    return trt_cas_acq_rel(&frame->state, &expected, (uintptr_t)waiter);
}
