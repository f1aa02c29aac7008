/* Two pops against two steals on two items, lined up so that they meet.
 *
 * A random stress test does not see whether pop's announcement of the item that it
 * takes is ordered before its look at `top`: owner and thief must come to the last item
 * within the time that a store needs to leave the core. Here they do in every round.
 *
 *     litmus_deque [ROUNDS [SEED]]
 *
 * Sanitizer builds do a part of the rounds. One core cannot show anything: skipped.
 *
 * Compiled with TRT_PLANT_NO_POP_FENCE pop has no such order, and the program succeeds
 * once it sees an item taken twice: it proves that the plain build would see it.
 */
#ifdef TRT_PLANT_NO_POP_FENCE
#define TRT_DEQUE_POP_STORE(p, v) trt_store_relaxed(p, v)
enum { IS_PLANT = 1 };
#else
enum { IS_PLANT = 0 };
#endif

#include "check.h"

#include "queue/deque.h"

struct litmus {
    trt_deque deque;
    struct check_gate gate;
    uint64_t rounds;
    uint64_t twice; /* items that both took */
    uint64_t lost;  /* items that nobody took */
    char items[2];
    /* How often the owner and the thief took each item in this round. */
    unsigned popped[2];
    unsigned stolen[2];
};

static void
count_take(const struct litmus *litmus, unsigned *takes, const void *item)
{
    if (item != NULL) {
        const size_t index = (size_t)((const char *)item - litmus->items);
        CHECK(index < 2);
        takes[index]++;
    }
}

static void
steal_two(struct litmus *litmus)
{
    void *first = NULL, *second = NULL;
    trt_deque_steal(&litmus->deque, &first);
    trt_deque_steal(&litmus->deque, &second);
    count_take(litmus, litmus->stolen, first);
    count_take(litmus, litmus->stolen, second);
}

static void
pop_two(struct litmus *litmus)
{
    void *first = trt_deque_pop(&litmus->deque);
    void *second = trt_deque_pop(&litmus->deque);
    count_take(litmus, litmus->popped, first);
    count_take(litmus, litmus->popped, second);
}

/* Owner, between two rounds: what a thief lost and the owner did not see is still
 * there; then judge. */
static void
judge(struct litmus *litmus)
{
    count_take(litmus, litmus->popped, trt_deque_pop(&litmus->deque));
    for (size_t i = 0; i < 2; i++) {
        const unsigned takes = litmus->popped[i] + litmus->stolen[i];
        litmus->twice += takes > 1;
        litmus->lost += takes < 1;
        litmus->popped[i] = 0;
        litmus->stolen[i] = 0;
    }
}

/* One thread of the two. The gates are before and after the race; whatever else the
 * owner does, it does while the thief waits for the next one. */
static void
run(unsigned number, void *shared)
{
    struct litmus *litmus = shared;
    const bool is_owner = number == 0;
    uint64_t random = check_random_start(number);
    check_stay_on_core(number);
    for (uint64_t round = 0; round < litmus->rounds; round++) {
        if (is_owner) {
            CHECK_EQ(trt_deque_push(&litmus->deque, &litmus->items[0]), 0);
            CHECK_EQ(trt_deque_push(&litmus->deque, &litmus->items[1]), 0);
        }
        check_gate_pass(&litmus->gate);
        if (IS_PLANT && litmus->twice > 0) {
            return; /* both see it: the owner wrote it before this gate */
        }
        check_delay(&random, 8);
        if (is_owner) {
            pop_two(litmus);
        } else {
            steal_two(litmus);
        }
        check_gate_pass(&litmus->gate);
        if (is_owner) {
            judge(litmus);
        }
    }
}

int
main(int argc, char **argv)
{
    check_begin(argc - 1, argv + 1);
    const uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    struct litmus litmus = {.gate = {.count = 2}, .rounds = rounds / CHECK_SLOWNESS};
    if (check_cores() < 2) {
        printf("needs two cores\n");
        return CHECK_SKIPPED;
    }
    alarm(580); /* on a machine with other work each may have its core seldom */
    CHECK_EQ(trt_deque_init(&litmus.deque, 4), 0);
    check_run_threads(2, run, &litmus);
    trt_deque_destroy(&litmus.deque);
    printf("%" PRIu64 " items taken twice, %" PRIu64 " lost\n", litmus.twice,
           litmus.lost);
    if (!IS_PLANT) {
        return litmus.twice == 0 && litmus.lost == 0 ? 0 : 1;
    }
    if (litmus.twice == 0 && CHECK_SLOWNESS > 1) {
        printf("needs full speed\n");
        return CHECK_SKIPPED;
    }
    return litmus.twice > 0 ? 0 : 1;
}
