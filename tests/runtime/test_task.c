/* A task is run by one, ends once, and its result is there when its state says so. */
#include "check.h"

#include "task/task.h"

#define THREADS 4

static void
test_life_without_suspension(void)
{
    trt_task t;
    trt_task_init(&t, 0);
    CHECK_EQ(trt_task_get_state(&t), TRT_TASK_PENDING);
    CHECK(!trt_task_is_finished(&t));
    CHECK(trt_task_claim(&t));
    CHECK_EQ(trt_task_get_state(&t), TRT_TASK_RUNNING);
    CHECK(!trt_task_claim(&t));
    CHECK(!trt_task_cancel_pending(&t));
    trt_task_finish(&t, TRT_TASK_DONE);
    CHECK_EQ(trt_task_get_state(&t), TRT_TASK_DONE);
    CHECK(trt_task_is_finished(&t));
    CHECK(!trt_task_claim(&t));
    CHECK(!trt_task_cancel_pending(&t));
}

static void
test_life_with_suspensions(void)
{
    trt_task t;
    trt_task_init(&t, 0);
    CHECK(trt_task_claim(&t));
    for (int i = 0; i < 3; i++) {
        trt_task_suspend(&t);
        CHECK_EQ(trt_task_get_state(&t), TRT_TASK_SUSPENDED);
        CHECK(!trt_task_claim(&t) && !trt_task_cancel_pending(&t));
        trt_task_ready(&t);
        CHECK_EQ(trt_task_get_state(&t), TRT_TASK_READY);
        CHECK(!trt_task_claim(&t) && !trt_task_cancel_pending(&t));
        trt_task_resume(&t);
        CHECK_EQ(trt_task_get_state(&t), TRT_TASK_RUNNING);
    }
    trt_task_finish(&t, TRT_TASK_FAILED);
    CHECK_EQ(trt_task_get_state(&t), TRT_TASK_FAILED);
}

static void
test_cancelled_task_cannot_be_claimed(void)
{
    trt_task t;
    trt_task_init(&t, 0);
    CHECK(trt_task_cancel_pending(&t));
    CHECK(!trt_task_cancel_pending(&t));
    CHECK(!trt_task_claim(&t));
    CHECK_EQ(trt_task_get_state(&t), TRT_TASK_CANCELLED);
    CHECK(trt_task_is_finished(&t));
}

static void
test_only_three_states_are_final(void)
{
    for (int state = TRT_TASK_PENDING; state <= TRT_TASK_CANCELLED; state++) {
        const bool want = state == TRT_TASK_DONE || state == TRT_TASK_FAILED ||
                          state == TRT_TASK_CANCELLED;
        CHECK_EQ(trt_task_state_is_final((enum trt_task_state)state), want);
    }
}

static void
test_flags_add_up_and_tell_who_was_first(void)
{
    trt_task t;
    trt_task_init(&t, TRT_TASK_DETACHED);
    CHECK_EQ(trt_task_get_flags(&t), TRT_TASK_DETACHED);
    CHECK_EQ(trt_task_set_flags(&t, TRT_TASK_CANCEL_REQUESTED), TRT_TASK_DETACHED);
    CHECK_EQ(trt_task_set_flags(&t, TRT_TASK_FIRST_OWN_FLAG),
             TRT_TASK_DETACHED | TRT_TASK_CANCEL_REQUESTED);
    CHECK_EQ(trt_task_set_flags(&t, TRT_TASK_CANCEL_REQUESTED),
             TRT_TASK_DETACHED | TRT_TASK_CANCEL_REQUESTED | TRT_TASK_FIRST_OWN_FLAG);
}

struct shared_task {
    trt_task task;
    size_t argument; /* plain: written before the task is shown */
    size_t result;   /* plain: written before it ends */
};

struct contest {
    struct shared_task *_Atomic current; /* shown to the others; NULL at the end */
    struct check_gate gate;
    _Atomic(uint32_t) winners;
    size_t rounds;
    uint64_t cancelled; /* thread 1 only */
};

/* Thread 0 shows a task; all fall upon it, some to run and one to cancel it. */
static void
contend(unsigned number, void *shared)
{
    struct contest *contest = shared;
    struct shared_task mine;
    for (size_t round = 0; round < contest->rounds; round++) {
        if (number == 0) {
            trt_task_init(&mine.task, 0);
            mine.argument = round;
            mine.result = 0;
            trt_store_relaxed(&contest->winners, 0);
            trt_store_release(&contest->current, &mine);
        }
        check_gate_pass(&contest->gate);
        struct shared_task *task = trt_load_acquire(&contest->current);
        if (number == 1 && round % 2 == 0) {
            if (trt_task_cancel_pending(&task->task)) {
                trt_fetch_add_relaxed(&contest->winners, 1);
                contest->cancelled++;
            }
        } else if (trt_task_claim(&task->task)) {
            trt_fetch_add_relaxed(&contest->winners, 1);
            task->result = task->argument + 1;
            trt_task_finish(&task->task, TRT_TASK_DONE);
        }
        unsigned turns = 0;
        while (!trt_task_is_finished(&task->task)) {
            check_spin(&turns);
        }
        const bool done = trt_task_get_state(&task->task) == TRT_TASK_DONE;
        CHECK_EQ(task->result, done ? round + 1 : 0);
        check_gate_pass(&contest->gate);
        CHECK_EQ(trt_load_relaxed(&contest->winners), 1);
        check_gate_pass(&contest->gate);
    }
}

static void
test_stampede_has_one_winner_whose_result_all_see(void)
{
    struct contest contest = {
        .gate = {.count = THREADS},
        .rounds = 20000 / CHECK_SLOWNESS,
    };
    check_run_threads(THREADS, contend, &contest);
    printf("  %" PRIu64 " of %zu were cancelled\n", contest.cancelled, contest.rounds);
}

/* A canceller sets the flag and looks for the waiter; the task announces its waiter and
 * looks at the flags. */
struct cancel_race {
    trt_task task;
    _Atomic(bool) announced;
    bool task_saw_flag;
    bool canceller_saw_waiter;
    struct check_gate gate;
};

#define CANCEL_ROUNDS (50000 / CHECK_SLOWNESS)

static void
cancel_or_wait(unsigned number, void *shared)
{
    struct cancel_race *race = shared;
    uint64_t random = check_random_start(number);
    for (int i = 0; i < CANCEL_ROUNDS; i++) {
        if (number == 0) {
            trt_task_init(&race->task, 0);
            trt_store_relaxed(&race->announced, false);
        }
        check_gate_pass(&race->gate);
        check_delay(&random, 8);
        if (number == 0) {
            trt_store_seq_cst(&race->announced, true);
            race->task_saw_flag =
                (trt_task_get_flags(&race->task) & TRT_TASK_CANCEL_REQUESTED) != 0;
        } else {
            trt_task_set_flags(&race->task, TRT_TASK_CANCEL_REQUESTED);
            race->canceller_saw_waiter = trt_load_seq_cst(&race->announced);
        }
        check_gate_pass(&race->gate);
        CHECK(race->task_saw_flag || race->canceller_saw_waiter);
        check_gate_pass(&race->gate);
    }
}

static void
test_cancellation_is_seen_by_task_or_canceller(void)
{
    struct cancel_race race = {.gate = {.count = 2}};
    check_run_threads(2, cancel_or_wait, &race);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_life_without_suspension);
    RUN(test_life_with_suspensions);
    RUN(test_cancelled_task_cannot_be_claimed);
    RUN(test_only_three_states_are_final);
    RUN(test_flags_add_up_and_tell_who_was_first);
    RUN(test_stampede_has_one_winner_whose_result_all_see);
    RUN(test_cancellation_is_seen_by_task_or_canceller);
    return check_end();
}
