/* Each item that is put by some thread is got by one, or stays with who put it. */
#include "items.h"
#include "select.h"

struct race {
    uint64_t capacity;
    unsigned producers, consumers;
    size_t each;       /* items of a producer */
    unsigned channels; /* that are used */
    bool patient;      /* nobody gives up */
    bool puts_back;    /* consumers put some items back */
    bool closes;       /* at any moment; else when all is put */
    bool leaves;       /* consumers go away at any moment; then it also closes */
    trt_channel channel[CHANNELS];
    struct items items;
    struct dormitory guests; /* producers, then consumers */
    struct check_gate gate;
    _Atomic(unsigned) producing;
    _Atomic(size_t) refused, abandoned, put_back;
};

/* Put or get, waiting if need be. MUST_WAIT: it was abandoned. */
static trt_channel_result
exchange(struct race *race, struct sleeper *sleeper, bool is_put, void **item,
         uint64_t *random)
{
    struct select s = {.sleeper = sleeper,
                       .channels = race->channel,
                       .where = (1u << race->channels) - 1,
                       .is_put = is_put,
                       .item = *item};
    trt_channel_result result;
    if (race->channels == 1) { /* the short form */
        sleeper_begin(sleeper);
        for (size_t i = 0; i < CHANNELS; i++) {
            trt_wait_node_init(&s.nodes[i], &sleeper->waiter, NULL);
        }
        result = is_put ? trt_channel_put(&race->channel[0], s.item, &s.nodes[0])
                        : trt_channel_get(&race->channel[0], &s.item, &s.nodes[0]);
        if (result != TRT_CHANNEL_MUST_WAIT) {
            sleeper_end(sleeper);
        }
    } else {
        if (is_put && check_random(random, 2)) {
            s.where = 1u << check_random(random, race->channels);
        }
        result = select_begin(&s);
    }
    if (result == TRT_CHANNEL_MUST_WAIT) {
        const bool woken = sleeper_wait(
            sleeper, race->patient ? TRT_FOREVER : sleeper_patience(random));
        result = select_finish(&s, woken);
        trt_fetch_add_relaxed(&race->abandoned, !woken);
    }
    *item = s.item;
    return result;
}

static void
close_all(struct race *race)
{
    for (unsigned i = 0; i < race->channels; i++) {
        trt_channel_close(&race->channel[i]);
    }
}

static void
produce(struct race *race, unsigned number, uint64_t *random)
{
    for (size_t i = 0; i < race->each; i++) {
        void *const item = items_make(&race->items, number * race->each + i);
        trt_channel_result result;
        do {
            void *offered = item;
            result = exchange(race, &race->guests.beds[number], true, &offered, random);
            CHECK(offered == item);
        } while (result == TRT_CHANNEL_MUST_WAIT);
        if (result == TRT_CHANNEL_CLOSED) {
            items_take(&race->items, item); /* it is the producer's still */
            trt_fetch_add_relaxed(&race->refused, 1);
        } else {
            CHECK_EQ(result, TRT_CHANNEL_DONE);
        }
        check_delay(random, 20);
    }
    if (trt_fetch_sub_acq_rel(&race->producing, 1) == 1) {
        close_all(race);
    }
}

static void
consume(struct race *race, unsigned number, uint64_t *random)
{
    const bool ordered =
        race->channels == 1 && !(race->puts_back && race->consumers > 1);
    size_t next[CHECK_MOST_THREADS] = {0};
    size_t most = race->leaves ? check_random(random, race->each) : SIZE_MAX;
    for (;;) {
        void *item = NULL;
        const trt_channel_result result =
            exchange(race, &race->guests.beds[number], false, &item, random);
        if (result == TRT_CHANNEL_CLOSED) {
            return;
        }
        if (result == TRT_CHANNEL_MUST_WAIT) {
            continue;
        }
        if (race->puts_back && check_random(random, 8) == 0) {
            trt_fetch_add_relaxed(&race->put_back, 1);
            CHECK(trt_channel_put_back(
                &race->channel[check_random(random, race->channels)], item));
            continue;
        }
        const size_t index = items_index(&race->items, item);
        if (ordered) {
            CHECK(index % race->each >= next[index / race->each]);
            next[index / race->each] = index % race->each + 1;
        }
        items_take(&race->items, item);
        if (most-- == 0) {
            return;
        }
        check_delay(random, 20);
    }
}

/* When so many items have been taken, or somebody has left. */
static void
wait_for_the_moment(struct race *race, uint64_t *random)
{
    const size_t items = check_random(random, race->items.count);
    unsigned turns = 0;
    while (trt_load_relaxed(&race->items.taken) < items &&
           trt_load_relaxed(&race->guests.busy) == race->guests.count) {
        check_spin(&turns);
    }
    check_delay(random, 100);
}

static void
take_part(unsigned number, void *shared)
{
    struct race *race = shared;
    uint64_t random = check_random_start(number + race->each);
    check_gate_pass(&race->gate);
    if (number < race->producers) {
        produce(race, number, &random);
    } else if (number < race->guests.count) {
        consume(race, number, &random);
    } else if (number == race->guests.count) {
        dormitory_disturb(&race->guests, &random);
        return;
    } else {
        wait_for_the_moment(race, &random);
        close_all(race);
        return;
    }
    dormitory_leave(&race->guests);
}

static void
take_left_item(void *item, void *arg)
{
    items_take(arg, item);
}

static void
run_race(struct race *race)
{
    const unsigned guests = race->producers + race->consumers;
    const unsigned threads = guests + !race->patient + race->closes;
    size_t left = 0;
    CHECK(!race->closes || !race->patient); /* the numbers of the threads */
    race->gate.count = threads;
    trt_store_relaxed(&race->producing, race->producers);
    items_init(&race->items, race->producers * race->each);
    dormitory_open(&race->guests, guests);
    for (unsigned i = 0; i < CHANNELS; i++) {
        trt_channel_init(&race->channel[i], race->capacity);
    }
    check_run_threads(threads, take_part, race);
    for (unsigned i = 0; i < CHANNELS; i++) {
        left += trt_channel_clear(&race->channel[i], take_left_item, &race->items);
        trt_channel_destroy(&race->channel[i]);
    }
    CHECK(left == 0 || race->leaves);
    CHECK(trt_load_relaxed(&race->refused) == 0 || race->closes);
    dormitory_close(&race->guests);
    items_finish(&race->items);
}

static const uint64_t race_capacities[] = {0, 1, 3, TRT_CHANNEL_UNBOUNDED};

static void
test_one_to_one(void)
{
    for (int i = 0; i < 4; i++) {
        struct race race = {.capacity = race_capacities[i],
                            .producers = 1,
                            .consumers = 1,
                            .channels = 1,
                            .each = 20000 / CHECK_SLOWNESS,
                            .patient = true};
        run_race(&race);
    }
}

static void
test_stampede(void)
{
    for (int i = 0; i < 4; i++) {
        struct race race = {.capacity = race_capacities[i],
                            .producers = i == 0 ? 7 : 4,
                            .consumers = i == 0 ? 1 : 4,
                            .channels = 1,
                            .each = 2000 / CHECK_SLOWNESS,
                            .patient = true};
        run_race(&race);
    }
}

static void
test_stress(void)
{
    for (unsigned each_side = 1; each_side <= 4; each_side *= 2) {
        for (int i = 0; i < 8; i++) {
            struct race race = {.capacity = race_capacities[i % 4],
                                .producers = each_side,
                                .consumers = each_side,
                                .channels = 1,
                                .each = 4000 / each_side / CHECK_SLOWNESS,
                                .puts_back = i >= 4};
            run_race(&race);
            CHECK_EQ(trt_load_relaxed(&race.put_back) > 0, i >= 4);
        }
    }
}

static void
test_stress_at_several_channels(void)
{
    for (unsigned each_side = 1; each_side <= 4; each_side *= 2) {
        for (int i = 0; i < 8; i++) {
            struct race race = {.capacity = race_capacities[i % 4],
                                .producers = each_side,
                                .consumers = each_side,
                                .channels = CHANNELS,
                                .each = 4000 / each_side / CHECK_SLOWNESS,
                                .patient = i < 4,
                                .puts_back = i == 7};
            run_race(&race);
        }
    }
}

static void
test_close_at_any_moment(void)
{
    size_t refused = 0, put = 0;
    for (int i = 0; i < 400 / CHECK_SLOWNESS; i++) {
        struct race race = {.capacity = race_capacities[i % 4],
                            .producers = 2,
                            .consumers = 2,
                            .channels = i % 8 < 4 ? 1 : 2,
                            .each = 50,
                            .puts_back = i % 3 == 0,
                            .closes = true,
                            .leaves = i / 8 % 2 == 1};
        run_race(&race);
        refused += trt_load_relaxed(&race.refused);
        put += 2 * race.each;
    }
    printf("  %zu of %zu refused\n", refused, put);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_one_to_one);
    RUN(test_stampede);
    RUN(test_stress);
    RUN(test_stress_at_several_channels);
    RUN(test_close_at_any_moment);
    return check_end();
}
