/* The protocol of the parker, the same on all platforms.
 *
 *     word      owner                            any thread
 *     EMPTY     parks: -> ASLEEP or POLLING      unparks: -> TOKEN
 *     ASLEEP    gives up: -> EMPTY               unparks: -> TOKEN, then wakes
 *     POLLING   gives up: -> EMPTY               unparks: -> TOKEN, then rings
 *     TOKEN     takes it: -> EMPTY               unparks: -> TOKEN
 *     NUDGED    takes it: -> EMPTY               unparks: -> TOKEN
 *
 * A nudge does what an unpark does, but leads to NUDGED, and leaves TOKEN as it is.
 *
 * The owner takes the token by an exchange and not by a store. Between its look at the
 * word and a store, a second unpark might put the token there again; the store would
 * wipe out that one without making its writes visible.
 */
#include "os/parker.h"

#include "os/check.h"
#include "os/clock.h"
#include "os/parker_os.h"

#include <errno.h>
#include <string.h>

void
trt_parker_init(trt_parker *p)
{
    atomic_init(&p->word, TRT_PARKER_EMPTY);
    p->read_fd = -1;
    p->write_fd = -1;
    p->watched_fd = -1;
    p->nudged = false;
    atomic_init(&p->lent, 0);
    p->signal_count = 0;
    trt_parker_os_init(p);
}

static bool
is_token(uint32_t word)
{
    return word == TRT_PARKER_TOKEN || word == TRT_PARKER_NUDGED;
}

void
trt_parker_destroy(trt_parker *p)
{
    const uint32_t word = trt_load_relaxed(&p->word);
    TRT_ASSERT(word == TRT_PARKER_EMPTY || is_token(word));
    (void)word;
    trt_parker_os_destroy(p);
}

void
trt_parker_reinit_after_fork(trt_parker *p)
{
    trt_parker_os_close(p);
    /* Nothing else is released: a condition variable that somebody waited for in the
     * parent cannot be destroyed here. */
    trt_parker_init(p);
}

/* End the owner's sleep, if it sleeps; `before` is what the word was until the token
 * came. Whether it does. */
static bool
wake(trt_parker *p, uint32_t before)
{
    /* [parker-lent] Sequentially consistent: an owner that lends it after this look
     * takes the token then, and looks for what came with it. */
    const bool awake = before == TRT_PARKER_EMPTY;
    if (awake && trt_load_seq_cst(&p->lent) == 0) {
        return false;
    }
    const int saved_errno = errno;
    if (before == TRT_PARKER_ASLEEP) {
        trt_parker_os_wake(p);
    } else {
        trt_parker_os_ring(p);
    }
    errno = saved_errno;
    return !awake;
}

bool
trt_parker_unpark(trt_parker *p)
{
    /* [park-token] Release: the owner that takes the token sees what is before it here.
     * Acquire: ASLEEP or POLLING says that the owner set up what wakes it. Sequentially
     * consistent, so that unparking two owners is seen by both in the same order, and
     * to pair with any later look of this thread at another word. */
    const uint32_t before = trt_exchange_seq_cst(&p->word, TRT_PARKER_TOKEN);
    /* With a nudge's token the owner is awake, or the nudge wakes it. */
    return !is_token(before) && wake(p, before);
}

bool
trt_parker_nudge(trt_parker *p)
{
    uint32_t before = trt_load_relaxed(&p->word);
    do {
        if (is_token(before)) {
            return false;
        }
        /* [park-token] As in trt_parker_unpark. */
    } while (!trt_cas_seq_cst(&p->word, &before, TRT_PARKER_NUDGED));
    return wake(p, before);
}

bool
trt_parker_is_unparked(const trt_parker *p)
{
    return trt_load_relaxed(&p->word) == TRT_PARKER_TOKEN;
}

bool
trt_parker_take_token(trt_parker *p)
{
    if (!is_token(trt_load_relaxed(&p->word))) {
        return false;
    }
    /* [park-token] Acquire: of all unparks that put the token there. Nobody but the
     * owner takes it, so it still is. */
    const uint32_t before = trt_exchange_seq_cst(&p->word, TRT_PARKER_EMPTY);
    TRT_ASSERT(is_token(before));
    p->nudged = before == TRT_PARKER_NUDGED;
    return true;
}

/* The owner sleeps no more, because of `result`; the word says so, or the token
 * came. */
static enum trt_park_result
give_up(trt_parker *p, uint32_t how, enum trt_park_result result)
{
    uint32_t expected = how;
    if (trt_cas_seq_cst(&p->word, &expected, TRT_PARKER_EMPTY)) {
        return result;
    }
    if (result == TRT_PARK_INTERRUPTED) {
        return result; /* the token stays for the next park, so neither is lost */
    }
    trt_parker_take_token(p);
    return TRT_PARK_NOTIFIED;
}

/* Park; `how` is ASLEEP or POLLING. */
static enum trt_park_result
park(trt_parker *p, uint32_t how, uint64_t deadline_ns)
{
    uint32_t expected = TRT_PARKER_EMPTY;
    p->nudged = false;
    /* [park-token] Sequentially consistent: after this the owner sleeps unless an
     * unpark is before it in the order of all threads, and that one left the token. */
    if (!trt_cas_seq_cst(&p->word, &expected, how)) {
        TRT_ASSERT(is_token(expected));
        trt_parker_take_token(p);
        return TRT_PARK_NOTIFIED;
    }
    for (;;) {
        const enum trt_parker_end end = how == TRT_PARKER_ASLEEP
                                            ? trt_parker_os_sleep(p, deadline_ns)
                                            : trt_parker_os_poll(p, deadline_ns);
        if (end == TRT_PARKER_INTERRUPTED) {
            return give_up(p, how, TRT_PARK_INTERRUPTED);
        }
        if (trt_parker_take_token(p)) {
            return TRT_PARK_NOTIFIED;
        }
        /* Platforms that count in coarser units may end a sleep early. */
        if (end == TRT_PARKER_TIMED_OUT && trt_clock_now_ns() >= deadline_ns) {
            return give_up(p, how, TRT_PARK_TIMED_OUT);
        }
    }
}

enum trt_park_result
trt_parker_park(trt_parker *p, uint64_t deadline_ns)
{
    return park(p, TRT_PARKER_ASLEEP, deadline_ns);
}

int
trt_parker_enable_signals(trt_parker *p)
{
    return p->read_fd >= 0 ? 0 : trt_parker_os_open(p);
}

int
trt_parker_watch(trt_parker *p, int fd)
{
    const int error = fd < 0 ? 0 : trt_parker_enable_signals(p);
    if (!error) {
        p->watched_fd = fd;
    }
    return error;
}

/* Take the token if it is there. Not a look and then an exchange: the look might miss
 * one that was put there before the parker was lent, by somebody who saw that it was
 * not [parker-lent]. */
static void
take_unseen(trt_parker *p)
{
    /* [park-token] Acquire: as in trt_parker_take_token. */
    const uint32_t before = trt_exchange_seq_cst(&p->word, TRT_PARKER_EMPTY);
    TRT_ASSERT(before == TRT_PARKER_EMPTY || is_token(before));
    (void)before;
}

int
trt_parker_lend(trt_parker *p)
{
    const int error = trt_parker_enable_signals(p);
    if (error || p->read_fd < 0) {
        return error ? error : -ENOSYS;
    }
    /* [parker-lent] Before the exchange that follows: see trt_parker_unpark. Release:
     * the pipe, for whoever rings. */
    const uint32_t before = trt_fetch_add_seq_cst(&p->lent, 1);
    if (before == 0) {
        take_unseen(p); /* it may be from before, and without a ring */
    }
    return (int)before;
}

uint32_t
trt_parker_take_back(trt_parker *p)
{
    return trt_fetch_sub_seq_cst(&p->lent, 1);
}

int
trt_parker_lent_fd(const trt_parker *p)
{
    return p->read_fd;
}

void
trt_parker_hush(trt_parker *p)
{
    trt_parker_os_read(p); /* first: a ring for a later token stays */
    take_unseen(p);
}

void
trt_parker_ring(trt_parker *p)
{
    const int saved_errno = errno;
    trt_parker_os_ring(p);
    errno = saved_errno;
}

int
trt_parker_signal_fd(const trt_parker *p)
{
    return p->write_fd;
}

size_t
trt_parker_take_signals(trt_parker *p, unsigned char *signals, size_t room)
{
    trt_parker_os_read(p);
    const uint32_t count = p->signal_count < room ? p->signal_count : (uint32_t)room;
    memcpy(signals, p->signals, count);
    p->signal_count -= count;
    memmove(p->signals, p->signals + count, p->signal_count);
    return count;
}

#ifdef TRT_PARKER_ON_WINDOWS

enum trt_park_result
trt_parker_park_signals(trt_parker *p, uint64_t deadline_ns)
{
    const uint64_t slice_ns = 50 * UINT64_C(1000000);
    const uint64_t now = trt_clock_now_ns();
    const bool is_last = deadline_ns <= now || deadline_ns - now <= slice_ns;
    const enum trt_park_result result =
        park(p, TRT_PARKER_ASLEEP, is_last ? deadline_ns : now + slice_ns);
    if (result == TRT_PARK_TIMED_OUT && !is_last) {
        return TRT_PARK_INTERRUPTED;
    }
    return result;
}

#else

enum trt_park_result
trt_parker_park_signals(trt_parker *p, uint64_t deadline_ns)
{
    TRT_ASSERT(p->read_fd >= 0);
    return park(p, TRT_PARKER_POLLING, deadline_ns);
}

#endif
