/* Every node comes out once, the oldest first, to the one that empties the inbox. */
#include "check.h"

#include "os/parker.h"
#include "queue/inbox.h"

struct letter {
    trt_inbox_node node; /* first, so that a node is its letter */
    size_t sender;
    size_t number; /* of this sender's letters */
};

static void
test_smoke(void)
{
    trt_inbox in;
    trt_inbox_node a, b, c;
    trt_inbox_init(&in);
    CHECK(trt_inbox_push(&in, &a)); /* it was empty */
    CHECK(!trt_inbox_push(&in, &b));
    CHECK(!trt_inbox_push(&in, &c));
    CHECK(!trt_inbox_is_empty(&in));
    const trt_inbox_node *taken = trt_inbox_take_all(&in);
    CHECK(taken == &a);
    CHECK(taken->next == &b);
    CHECK(taken->next->next == &c);
    CHECK(taken->next->next->next == NULL);
}

static void
test_empty(void)
{
    static trt_inbox in; /* zeroed is initialised too */
    trt_inbox_node node;
    CHECK(trt_inbox_is_empty(&in));
    CHECK(trt_inbox_take_all(&in) == NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(trt_inbox_push(&in, &node));
        CHECK(trt_inbox_take_all(&in) == &node);
        CHECK(node.next == NULL);
        CHECK(trt_inbox_is_empty(&in));
        CHECK(trt_inbox_take_all(&in) == NULL);
    }
}

struct office {
    trt_inbox inbox;
    trt_parker owner;
    struct letter *letters; /* `each` of every sender */
    size_t senders;
    size_t each;
    size_t next[CHECK_MOST_THREADS]; /* owner: number of the next of this sender */
    _Atomic(size_t) found_empty;     /* pushes that did */
    struct check_gate start;
};

static void
send_all(unsigned number, void *shared)
{
    struct office *office = shared;
    check_gate_pass(&office->start);
    for (size_t i = 0; i < office->each; i++) {
        struct letter *letter = &office->letters[number * office->each + i];
        letter->sender = number;
        letter->number = i;
        if (trt_inbox_push(&office->inbox, &letter->node)) {
            trt_fetch_add_relaxed(&office->found_empty, 1);
            trt_parker_unpark(&office->owner);
        }
    }
}

/* Read a chain; returns how many. Letters of one sender keep their order. */
static size_t
read_letters(struct office *office, trt_inbox_node *chain)
{
    size_t count = 0;
    while (chain != NULL) {
        struct letter *letter = (struct letter *)chain;
        chain = chain->next;
        CHECK(letter->sender < office->senders);
        CHECK_EQ(letter->number, office->next[letter->sender]);
        office->next[letter->sender]++;
        letter->sender = SIZE_MAX; /* a second time would show */
        count++;
    }
    return count;
}

/* The owner sleeps whenever the inbox is empty. Only pushes that found it empty wake,
 * so an answer that is wrong is a hang. */
static void
check_letters_of(unsigned senders, size_t each)
{
    struct office office = {.senders = senders, .each = each};
    struct check_thread threads[CHECK_MOST_THREADS];
    size_t read = 0, chains = 0;
    office.letters = calloc(senders * each, sizeof *office.letters);
    office.start.count = senders + 1;
    CHECK(office.letters != NULL);
    trt_inbox_init(&office.inbox);
    trt_parker_init(&office.owner);
    check_start_threads(threads, senders, send_all, &office);
    check_gate_pass(&office.start);
    while (read < senders * each) {
        trt_inbox_node *chain = trt_inbox_take_all(&office.inbox);
        if (chain == NULL) {
            CHECK_EQ(trt_parker_park(&office.owner, TRT_FOREVER), TRT_PARK_NOTIFIED);
        } else {
            read += read_letters(&office, chain);
            chains++;
        }
    }
    check_join_threads(threads, senders);
    CHECK(trt_inbox_is_empty(&office.inbox));
    CHECK_EQ(trt_load_relaxed(&office.found_empty), chains);
    trt_parker_destroy(&office.owner);
    free(office.letters);
}

static void
test_one_to_one(void)
{
    check_letters_of(1, 300000 / CHECK_SLOWNESS);
}

static void
test_many_to_one(void)
{
    check_letters_of(4, 100000 / CHECK_SLOWNESS);
}

static void
test_stampede(void)
{
    for (int i = 0; i < 200 / CHECK_SLOWNESS; i++) {
        check_letters_of(8, 20);
    }
}

struct rally {
    trt_inbox inboxes[2];
    trt_parker owners[2];
    trt_inbox_node node; /* in one inbox at a time */
    size_t rounds;
};

static void
play(unsigned number, void *shared)
{
    struct rally *rally = shared;
    for (size_t i = 0; i < rally->rounds; i++) {
        trt_inbox_node *got;
        while ((got = trt_inbox_take_all(&rally->inboxes[number])) == NULL) {
            trt_parker_park(&rally->owners[number], TRT_FOREVER);
        }
        CHECK(got == &rally->node && got->next == NULL);
        CHECK(trt_inbox_push(&rally->inboxes[1 - number], got));
        trt_parker_unpark(&rally->owners[1 - number]);
    }
}

/* The same node comes back again and again, with a sleep in between. */
static void
test_stress_with_a_node_that_returns(void)
{
    struct rally rally = {.rounds = 100000 / CHECK_SLOWNESS};
    for (int i = 0; i < 2; i++) {
        trt_inbox_init(&rally.inboxes[i]);
        trt_parker_init(&rally.owners[i]);
    }
    trt_inbox_push(&rally.inboxes[0], &rally.node);
    check_run_threads(2, play, &rally);
    CHECK(trt_inbox_take_all(&rally.inboxes[0]) == &rally.node);
    for (int i = 0; i < 2; i++) {
        trt_parker_destroy(&rally.owners[i]);
    }
}

static void
test_destruction_leaves_nodes_to_their_owners(void)
{
    trt_inbox in;
    trt_inbox_node node;
    trt_inbox_init(&in);
    trt_inbox_push(&in, &node);
    trt_inbox_init(&in); /* as if new; the node was never the inbox's memory */
    CHECK(trt_inbox_is_empty(&in));
    CHECK(trt_inbox_push(&in, &node));
    CHECK(trt_inbox_take_all(&in) == &node);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_empty);
    RUN(test_one_to_one);
    RUN(test_many_to_one);
    RUN(test_stampede);
    RUN(test_stress_with_a_node_that_returns);
    RUN(test_destruction_leaves_nodes_to_their_owners);
    return check_end();
}
