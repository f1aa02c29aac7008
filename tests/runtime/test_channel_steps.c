/* One thread plays all that use some channels, step by step, beside a simple model. */
#include "select.h"

enum { PLAYERS = 6, LONGEST = 256 };

enum state { IDLE, WAITING, SERVED, ABANDONED };

struct player {
    struct select select;
    struct sleeper sleeper;
    enum state state;
    void *value; /* what the node must have got when it is SERVED */
};

/* All items in order: those that are held, then those of players that wait. */
struct lane {
    struct {
        void *item;
        struct player *putter; /* NULL: held */
    } line[LONGEST];
    size_t length, held;
    struct player *getters[PLAYERS];
    size_t getter_count;
    uint64_t capacity;
    bool closed;
};

struct play {
    trt_channel channels[CHANNELS];
    struct lane lanes[CHANNELS];
    struct player players[PLAYERS];
    size_t next; /* item */
    size_t got, put, refused;
    uint64_t random;
};

struct drops {
    void *dropped[LONGEST];
    size_t count;
};

static void
note_drop(void *item, void *arg)
{
    struct drops *drops = arg;
    drops->dropped[drops->count++] = item;
}

static void
line_remove(struct lane *lane, size_t index)
{
    lane->held -= lane->line[index].putter == NULL;
    lane->length--;
    memmove(&lane->line[index], &lane->line[index + 1],
            (lane->length - index) * sizeof lane->line[0]);
}

static void
line_insert(struct lane *lane, size_t index, void *item, struct player *putter)
{
    CHECK(lane->length < LONGEST);
    memmove(&lane->line[index + 1], &lane->line[index],
            (lane->length - index) * sizeof lane->line[0]);
    lane->line[index].item = item;
    lane->line[index].putter = putter;
    lane->held += putter == NULL;
    lane->length++;
}

/* The player does not wait any more. */
static void
model_forget(struct play *play, const struct player *p)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        struct lane *lane = &play->lanes[i];
        for (size_t n = lane->length; n > 0; n--) {
            if (lane->line[n - 1].putter == p) {
                line_remove(lane, n - 1);
            }
        }
        size_t kept = 0;
        for (size_t n = 0; n < lane->getter_count; n++) {
            if (lane->getters[n] != p) {
                lane->getters[kept++] = lane->getters[n];
            }
        }
        lane->getter_count = kept;
    }
}

static void
model_serve(struct play *play, struct player *p, size_t at, void *value)
{
    CHECK_EQ(p->state, WAITING);
    p->state = SERVED;
    p->select.at = at;
    p->value = value;
    model_forget(play, p);
    if (p->select.is_put) {
        *(value == NULL ? &play->put : &play->refused) += 1;
    } else {
        play->got += value != NULL;
    }
}

/* Held from now on, as the oldest or the newest of those, or handed over. */
static void
model_accept(struct play *play, size_t at, void *item, bool oldest)
{
    struct lane *lane = &play->lanes[at];
    if (lane->getter_count > 0) {
        model_serve(play, lane->getters[0], at, item);
    } else {
        line_insert(lane, oldest ? 0 : lane->held, item, NULL);
    }
}

static trt_channel_result
model_put(struct play *play, size_t at, void *item)
{
    const struct lane *lane = &play->lanes[at];
    if (lane->closed) {
        return TRT_CHANNEL_CLOSED;
    }
    if (lane->getter_count == 0 && lane->held >= lane->capacity) {
        return TRT_CHANNEL_MUST_WAIT;
    }
    model_accept(play, at, item, false);
    return TRT_CHANNEL_DONE;
}

static trt_channel_result
model_get(struct play *play, size_t at, void **item)
{
    struct lane *lane = &play->lanes[at];
    if (lane->length == 0) {
        return lane->closed ? TRT_CHANNEL_CLOSED : TRT_CHANNEL_MUST_WAIT;
    }
    *item = lane->line[0].item;
    struct player *putter = lane->line[0].putter;
    if (putter != NULL) {
        model_serve(play, putter, at, NULL);
        return TRT_CHANNEL_DONE;
    }
    line_remove(lane, 0);
    if (lane->held < lane->capacity && lane->held < lane->length) {
        putter = lane->line[lane->held].putter;
        void *const next = lane->line[lane->held].item;
        model_serve(play, putter, at, NULL);
        line_insert(lane, lane->held, next, NULL);
    }
    return TRT_CHANNEL_DONE;
}

static void
play_begin(struct play *play, struct player *p)
{
    struct select *s = &p->select;
    void *expected = NULL;
    s->where = 1 + (unsigned)check_random(&play->random, (1 << CHANNELS) - 1);
    s->is_put = check_random(&play->random, 2);
    s->item = s->is_put ? (void *)(uintptr_t)(1000 + play->next++) : NULL;
    trt_channel_result result = s->is_put ? TRT_CHANNEL_MUST_WAIT : TRT_CHANNEL_CLOSED;
    for (size_t i = 0; i < CHANNELS; i++) {
        if (s->where >> i & 1) {
            const trt_channel_result here =
                s->is_put ? model_put(play, i, s->item) : model_get(play, i, &expected);
            if (here == TRT_CHANNEL_DONE || (here == TRT_CHANNEL_CLOSED && s->is_put)) {
                result = here;
                break;
            }
            result = here == TRT_CHANNEL_MUST_WAIT ? here : result;
        }
    }
    CHECK_EQ(select_begin(s), result);
    play->put += s->is_put && result == TRT_CHANNEL_DONE;
    play->refused += s->is_put && result == TRT_CHANNEL_CLOSED;
    if (!s->is_put && result == TRT_CHANNEL_DONE) {
        CHECK(s->item == expected);
        play->got++;
    }
    if (result != TRT_CHANNEL_MUST_WAIT) {
        return;
    }
    p->state = WAITING;
    for (size_t i = 0; i < CHANNELS; i++) {
        struct lane *lane = &play->lanes[i];
        if (!(s->where >> i & 1) || lane->closed) {
            continue;
        }
        if (s->is_put) {
            line_insert(lane, lane->length, s->item, p);
        } else {
            lane->getters[lane->getter_count++] = p;
        }
    }
}

static void
play_close(struct play *play, size_t at)
{
    struct lane *lane = &play->lanes[at];
    CHECK_EQ(trt_channel_close(&play->channels[at]), !lane->closed);
    lane->closed = true;
    while (lane->getter_count > 0) {
        model_serve(play, lane->getters[0], at, NULL);
    }
    while (lane->length > lane->held) {
        model_serve(play, lane->line[lane->held].putter, at, trt_channel_refused);
    }
}

static void
play_abandon(struct play *play, struct player *p)
{
    CHECK(sleeper_cancel(&p->sleeper));
    p->state = ABANDONED;
    model_forget(play, p);
    play->refused += p->select.is_put;
}

static void
play_step(struct play *play)
{
    struct player *p = &play->players[check_random(&play->random, PLAYERS)];
    switch (p->state) {
    case IDLE:
        if (!p->select.is_put && p->select.item != NULL &&
            check_random(&play->random, 4) == 0) {
            const size_t at = check_random(&play->random, CHANNELS);
            model_accept(play, at, p->select.item, true);
            CHECK(trt_channel_put_back(&play->channels[at], p->select.item));
            p->select.item = NULL;
            play->got--;
        } else {
            play_begin(play, p);
        }
        break;
    case WAITING:
        if (check_random(&play->random, 8) == 0) {
            play_abandon(play, p);
        } else if (check_random(&play->random, 64) == 0) {
            play_close(play, check_random(&play->random, CHANNELS));
        }
        break;
    case SERVED:
    case ABANDONED:
        sleeper_end(&p->sleeper);
        select_finish(&p->select, p->state == SERVED);
        p->state = IDLE;
        break;
    }
}

static void
play_check(struct play *play)
{
    for (size_t i = 0; i < PLAYERS; i++) {
        const struct player *p = &play->players[i];
        if (p->state != IDLE) {
            CHECK_EQ(sleeper_is_woken(&p->sleeper), p->state == SERVED);
        }
        for (size_t n = 0; n < CHANNELS && p->state == SERVED; n++) {
            CHECK_EQ(p->select.nodes[n].served, n == p->select.at);
            CHECK(n != p->select.at || p->select.nodes[n].value == p->value);
        }
    }
    for (size_t i = 0; i < CHANNELS; i++) {
        CHECK_EQ(trt_channel_count(&play->channels[i]), play->lanes[i].held);
        CHECK_EQ(trt_channel_is_closed(&play->channels[i]), play->lanes[i].closed);
    }
}

static void
play_end(struct play *play)
{
    size_t left = 0;
    for (size_t i = 0; i < PLAYERS; i++) {
        struct player *p = &play->players[i];
        if (p->state == WAITING) {
            play_abandon(play, p);
        }
        if (p->state != IDLE) {
            sleeper_end(&p->sleeper);
            select_finish(&p->select, p->state == SERVED);
        }
        sleeper_destroy(&p->sleeper);
    }
    for (size_t i = 0; i < CHANNELS; i++) {
        struct drops drops = {.count = 0};
        CHECK_EQ(trt_channel_clear(&play->channels[i], note_drop, &drops),
                 play->lanes[i].held);
        for (size_t n = 0; n < drops.count; n++) {
            CHECK(drops.dropped[n] == play->lanes[i].line[n].item);
        }
        left += drops.count;
        trt_channel_destroy(&play->channels[i]);
    }
    CHECK_EQ(play->put, play->got + left);
    CHECK_EQ(play->put + play->refused, play->next);
}

static void
test_random_steps(void)
{
    const uint64_t capacities[] = {0, 1, 3, TRT_CHANNEL_UNBOUNDED};
    for (size_t round = 0; round < 4000 / CHECK_SLOWNESS; round++) {
        static struct play play;
        play = (struct play){.random = check_random_start(round)};
        for (size_t i = 0; i < CHANNELS; i++) {
            play.lanes[i].capacity = capacities[check_random(&play.random, 4)];
            trt_channel_init(&play.channels[i], play.lanes[i].capacity);
        }
        for (size_t i = 0; i < PLAYERS; i++) {
            struct player *p = &play.players[i];
            sleeper_init(&p->sleeper);
            p->select =
                (struct select){.sleeper = &p->sleeper, .channels = play.channels};
        }
        for (uint64_t n = check_random(&play.random, 300); n > 0; n--) {
            play_step(&play);
            play_check(&play);
        }
        play_end(&play);
    }
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_random_steps);
    return check_end();
}
