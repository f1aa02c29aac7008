/* An owner that sleeps in a loop of its own hears of each unpark. */
#include "check.h"

#include "os/parker.h"

#include <poll.h>
#include <pthread.h>

enum { ROUNDS = 20000 };

static bool
is_rung(const trt_parker *p, int timeout_ms)
{
    struct pollfd polled = {.fd = trt_parker_lent_fd(p), .events = POLLIN};
    return poll(&polled, 1, timeout_ms) == 1;
}

static void
test_unpark_rings_only_while_it_is_lent(void)
{
    trt_parker p;
    trt_parker_init(&p);
    CHECK_EQ(trt_parker_lend(&p), 0);
    CHECK(trt_parker_is_lent(&p));
    CHECK(!is_rung(&p, 0));
    CHECK(!trt_parker_unpark(&p)); /* the owner is awake */
    CHECK(is_rung(&p, 0));
    trt_parker_hush(&p);
    CHECK(!is_rung(&p, 0));
    CHECK(!trt_parker_take_token(&p));
    CHECK_EQ(trt_parker_take_back(&p), 1);
    CHECK(!trt_parker_is_lent(&p));
    CHECK(!trt_parker_unpark(&p));
    CHECK(!is_rung(&p, 0));
    CHECK(trt_parker_take_token(&p));
    trt_parker_destroy(&p);
}

static void
test_many_unparks_ring_once(void)
{
    trt_parker p;
    trt_parker_init(&p);
    CHECK_EQ(trt_parker_lend(&p), 0);
    for (int i = 0; i < 1000000 / 8; i++) { /* more than a pipe holds */
        trt_parker_unpark(&p);
    }
    trt_parker_hush(&p);
    CHECK(!is_rung(&p, 0));
    trt_parker_take_back(&p);
    trt_parker_destroy(&p);
}

static void
test_lent_again_it_stays_lent(void)
{
    trt_parker p;
    trt_parker_init(&p);
    CHECK_EQ(trt_parker_lend(&p), 0);
    CHECK_EQ(trt_parker_lend(&p), 1);
    CHECK_EQ(trt_parker_take_back(&p), 2);
    trt_parker_unpark(&p);
    CHECK(is_rung(&p, 0));
    trt_parker_hush(&p);
    trt_parker_take_back(&p);
    trt_parker_destroy(&p);
}

static void
test_token_from_before_is_taken(void)
{
    trt_parker p;
    trt_parker_init(&p);
    trt_parker_unpark(&p);
    CHECK_EQ(trt_parker_lend(&p), 0);
    trt_parker_unpark(&p); /* would find the old one, and not ring */
    CHECK(is_rung(&p, 0));
    trt_parker_hush(&p);
    trt_parker_take_back(&p);
    trt_parker_destroy(&p);
}

static void
test_owner_may_park_in_between(void)
{
    trt_parker p;
    trt_parker_init(&p);
    CHECK_EQ(trt_parker_lend(&p), 0);
    trt_parker_unpark(&p);
    CHECK_EQ(trt_parker_park(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    CHECK(is_rung(&p, 0)); /* for no reason any more */
    trt_parker_unpark(&p);
    CHECK_EQ(trt_parker_park_signals(&p, TRT_FOREVER), TRT_PARK_NOTIFIED);
    trt_parker_ring(&p); /* a park may have used up the ring */
    CHECK(is_rung(&p, 0));
    trt_parker_hush(&p);
    CHECK(!is_rung(&p, 0));
    trt_parker_take_back(&p);
    trt_parker_destroy(&p);
}

/* ---- one owner, two that unpark -------------------------------------------------- */

typedef struct Race {
    trt_parker parker;
    _Atomic(uint32_t) sent;
    _Atomic(bool) stop;
} Race;

static void *
send(void *arg)
{
    Race *const race = arg;
    for (int i = 0; i < ROUNDS; i++) {
        trt_fetch_add_relaxed(&race->sent, 1);
        trt_parker_unpark(&race->parker);
    }
    return NULL;
}

/* The owner lends, sleeps on the descriptor until all has come, takes back, and parks
 * now and then. A ring or a token that is lost ends in the timeout. */
static void
test_no_unpark_is_missed(void)
{
    static Race race;
    trt_parker_init(&race.parker);
    pthread_t senders[2];
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(pthread_create(&senders[i], NULL, send, &race), 0);
    }
    uint32_t seen = 0;
    for (unsigned turn = 0; seen < 2 * ROUNDS; turn++) {
        CHECK_EQ(trt_parker_lend(&race.parker), 0);
        /* The look after the lend, which has taken the token. */
        uint32_t now = trt_load_relaxed(&race.sent);
        if (now == seen) {
            CHECK(is_rung(&race.parker, 60000));
            trt_parker_hush(&race.parker);
            now = trt_load_relaxed(&race.sent);
        }
        seen = now;
        trt_parker_take_back(&race.parker);
        if (turn % 3 == 0 && seen < 2 * ROUNDS) {
            trt_parker_park(&race.parker,
                            trt_load_relaxed(&race.sent) > seen ? TRT_FOREVER : 0);
            seen = trt_load_relaxed(&race.sent);
        }
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(pthread_join(senders[i], NULL), 0);
    }
    trt_parker_take_token(&race.parker);
    trt_parker_destroy(&race.parker);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_unpark_rings_only_while_it_is_lent);
    RUN(test_many_unparks_ring_once);
    RUN(test_lent_again_it_stays_lent);
    RUN(test_token_from_before_is_taken);
    RUN(test_owner_may_park_in_between);
    RUN(test_no_unpark_is_missed);
    return check_end();
}
