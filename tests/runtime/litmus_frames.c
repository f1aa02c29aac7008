/* Two joins against two thefts on two frames, lined up so that they meet.
 *
 * A random stress test does not see whether a join's announcement of the frame that it
 * takes back is ordered before its look at `head`: owner and thief must come to the
 * last frame within the time that a store needs to leave the core. Here they do in
 * every round.
 *
 *     litmus_frames [MODE [ROUNDS [SEED]]]
 *
 *     asymmetric   with the kernel's help, where it gives it
 *     fallback     where it does not
 *     plant        the same with a fence that does nothing: succeeds once it sees a
 *                  frame run twice, which proves that the others would
 *
 * Sanitizer builds do a part of the rounds. One core cannot show anything: skipped.
 */
#include "check.h"

#include "os/barrier.h"
#include "queue/frames.h"

struct litmus {
    trt_frames frames;
    _Atomic(uint32_t) sleepers;
    struct check_gate gate;
    trt_frame kids[2];
    unsigned called[2]; /* by the owner, in this round */
    unsigned stolen[2];
    uint64_t rounds;
    uint64_t delay; /* of the owner, at most: the thief's fence may take long */
    uint64_t twice; /* frames that both ran */
    uint64_t lost;  /* frames that nobody ran */
    uint64_t taken; /* frames that the thief got */
};

/* Owner: the frame is stolen, or the thief is looking at it. */
static int
api_join_slow(trt_context *ctx, trt_frame *frame)
{
    const trt_take_result result = trt_frames_take((trt_frames *)ctx, frame);
    if (result == TRT_TAKE_GOT) {
        return frame->fn(ctx, frame->arg);
    }
    CHECK_EQ(result, TRT_TAKE_STOLEN);
    unsigned turns = 0;
    while (trt_load_acquire(&frame->state) != TRT_FRAME_ENDED) {
        check_spin(&turns);
    }
    return frame->status;
}

static void
no_fence(void)
{
    trt_fence_compiler();
}

static int
count_call(trt_context *ctx, void *called)
{
    (void)ctx;
    ++*(unsigned *)called;
    return 0;
}

static void
steal_two(struct litmus *litmus)
{
    for (int i = 0; i < 2; i++) {
        const _Atomic(uint32_t) *work = NULL;
        trt_frame *frame = trt_frames_steal(&litmus->frames, &work);
        if (frame != NULL) {
            litmus->stolen[frame - litmus->kids]++;
            trt_frame_end(frame, 0);
        }
    }
}

static void
judge(struct litmus *litmus)
{
    for (int i = 0; i < 2; i++) {
        const unsigned runs = litmus->called[i] + litmus->stolen[i];
        litmus->twice += runs > 1;
        litmus->lost += runs < 1;
        litmus->taken += litmus->stolen[i];
        litmus->called[i] = 0;
        litmus->stolen[i] = 0;
    }
}

/* The gates are before and after the race; whatever else the owner does, it does while
 * the thief waits for the next one. */
static void
play_litmus(unsigned number, void *shared)
{
    struct litmus *litmus = shared;
    trt_context *ctx = &litmus->frames.base;
    trt_frame *kids = litmus->kids;
    uint64_t random = check_random_start(number);
    check_stay_on_core(number);
    for (uint64_t round = 0; round < litmus->rounds; round++) {
        if (number == 0) {
            trt_spawn(ctx, &kids[0], count_call, &litmus->called[0]);
            trt_spawn(ctx, &kids[1], count_call, &litmus->called[1]);
        }
        check_gate_pass(&litmus->gate);
        if (litmus->twice + litmus->lost > 0) {
            return; /* both see it: the owner wrote it before this gate */
        }
        check_delay(&random, number == 0 ? litmus->delay : 8);
        if (number == 0) {
            trt_join(ctx, &kids[1]);
            trt_join(ctx, &kids[0]);
        } else {
            steal_two(litmus);
        }
        check_gate_pass(&litmus->gate);
        if (number == 0) {
            judge(litmus);
        }
    }
}

int
main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "asymmetric";
    const bool plant = strcmp(mode, "plant") == 0;
    const uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    check_begin(argc - 2, argv + 2);
    if (check_cores() < 2 || (plant && CHECK_SLOWNESS > 1)) {
        printf("needs two cores%s\n", plant ? " at full speed" : "");
        return CHECK_SKIPPED;
    }
    alarm(580); /* on a machine with other work each may have its core seldom */
    trt_barrier_init();
    if (strcmp(mode, "asymmetric") != 0) {
        trt_store_relaxed(&trt_barrier_asymmetric, false);
    }
    const bool asymmetric = trt_load_relaxed(&trt_barrier_asymmetric);
    const trt_context_api api = {.size = sizeof api,
                                 .join_slow = api_join_slow,
                                 .fence = plant ? no_fence : trt_fence_seq_cst};
    struct litmus litmus = {.gate = {.count = 2}, .rounds = rounds / CHECK_SLOWNESS};
    litmus.delay = asymmetric ? 100 : 8;
    CHECK_EQ(trt_frames_init(&litmus.frames, &api, &litmus.sleepers), 0);
    CHECK_EQ(litmus.frames.base.full_fence, !asymmetric);
    check_run_threads(2, play_litmus, &litmus);
    trt_frames_clear(&litmus.frames);
    trt_frames_destroy(&litmus.frames);
    printf("%" PRIu64 " stolen, %" PRIu64 " run twice, %" PRIu64 " lost\n",
           litmus.taken, litmus.twice, litmus.lost);
    return plant == (litmus.twice > 0) && litmus.lost == 0 ? 0 : 1;
}
