#include "os/chaos.h"

#ifdef TRT_CHAOS

#include <time.h>

#include "os/clock.h"
#include "os/thread.h"

enum {
    ONE_IN = 64,        /* points at which a thread is held up */
    YIELD_ONE_IN = 4,   /* of those: until another thread has run */
    SLEEP_ONE_IN = 128, /* of those: asleep */
    SPIN_MOST = 1024,   /* loops */
    SLEEP_MOST_NS = 50 * 1000,
};

static _Thread_local uint64_t dice, delays;

/* Marsaglia's xorshift; a thread starts somewhere else each time. */
static uint64_t
roll(void)
{
    if (dice == 0) {
        dice = ((uint64_t)(uintptr_t)&dice ^ trt_clock_now_ns() << 20) | 1;
    }
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

static void
hold_up(uint64_t random)
{
    delays++;
    if (random % SLEEP_ONE_IN == 0) {
        const struct timespec pause = {.tv_nsec = (long)(roll() % SLEEP_MOST_NS)};
        nanosleep(&pause, NULL);
    } else if (random % YIELD_ONE_IN == 0) {
        trt_thread_yield();
    } else {
        for (volatile uint64_t i = roll() % SPIN_MOST; i > 0; i = i - 1) {
        }
    }
}

void
trt_chaos(void)
{
    const uint64_t random = roll();
    if (random % ONE_IN == 0) {
        hold_up(random / ONE_IN);
    }
}

uint64_t
trt_chaos_delays(void)
{
    return delays;
}

#endif
