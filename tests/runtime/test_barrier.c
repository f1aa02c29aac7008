/* Of a light and a heavy side, at least one sees what the other wrote.
 *
 *     test_barrier [SEED]     with the kernel's help, where it gives it
 *     test_barrier fallback   where it does not: a filter refuses the system call
 *     test_barrier plant      without any barrier: succeeds only if it sees both miss,
 *                             which proves that the other two would
 */
#include "check.h"

#include "os/barrier.h"

#include <errno.h>
#include <sys/wait.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

static enum { ASYMMETRIC, FALLBACK, PLANT } mode;

struct race {
    struct check_gate gate;
    _Atomic(uint32_t) work;   /* written by the light side, read by the heavy one */
    _Atomic(uint32_t) asleep; /* the other way round */
    uint32_t saw_asleep;
    uint32_t saw_work;
    uint64_t rounds;
    _Atomic(bool) missed; /* neither saw the other, in some round */
};

static void
be_light(struct race *race)
{
    trt_store_relaxed(&race->work, 1);
    if (mode != PLANT) {
        trt_barrier_light();
    } else {
        trt_fence_compiler();
    }
    race->saw_asleep = trt_load_relaxed(&race->asleep);
}

static void
be_heavy(struct race *race)
{
    trt_store_relaxed(&race->asleep, 1);
    if (mode != PLANT) {
        trt_barrier_heavy();
    } else {
        trt_fence_compiler();
    }
    race->saw_work = trt_load_relaxed(&race->work);
}

static void
run_rounds(unsigned number, void *shared)
{
    struct race *race = shared;
    uint64_t random = check_random_start(number);
    check_stay_on_core(number);
    for (uint64_t i = 0; i < race->rounds; i++) {
        trt_store_relaxed(number == 0 ? &race->work : &race->asleep, 0);
        check_gate_pass(&race->gate);
        /* The heavy side takes microseconds; spread the light one over them. */
        check_delay(&random, number == 0 && mode == ASYMMETRIC ? 300 : 8);
        if (number == 0) {
            be_light(race);
        } else {
            be_heavy(race);
        }
        check_gate_pass(&race->gate);
        if (number == 0 && race->saw_asleep == 0 && race->saw_work == 0) {
            trt_store_relaxed(&race->missed, true);
        }
        check_gate_pass(&race->gate);
        if (trt_load_relaxed(&race->missed)) {
            return;
        }
    }
}

static bool
both_missed(uint64_t rounds)
{
    struct race race = {.gate = {.count = 2}, .rounds = rounds};
    check_run_threads(2, run_rounds, &race);
    return trt_load_relaxed(&race.missed);
}

static void
test_one_of_the_sides_sees_the_other(void)
{
    CHECK(!both_missed(50000 / CHECK_SLOWNESS));
}

static bool
kernel_helps(void)
{
#if defined(__linux__) && !TRT_THREAD_SANITIZER
    const long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    return commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0;
#else
    return false;
#endif
}

static void
test_barrier_is_asymmetric_exactly_where_the_kernel_helps(void)
{
    CHECK_EQ(trt_load_relaxed(&trt_barrier_asymmetric), kernel_helps());
    CHECK(mode == ASYMMETRIC || !kernel_helps());
}

static void
test_barrier_works_in_a_forked_child(void)
{
    const pid_t child = fork();
    if (child == 0) {
        trt_barrier_init();
        trt_barrier_light();
        trt_barrier_heavy();
        _exit(trt_load_relaxed(&trt_barrier_asymmetric) == kernel_helps() ? 0 : 1);
    }
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* From now on membarrier is a system call that this kernel does not have. */
static bool
take_membarrier_away(void)
{
#ifdef __linux__
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {
        .len = sizeof instructions / sizeof instructions[0],
        .filter = instructions,
    };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
#else
    return false;
#endif
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "fallback") == 0) {
        mode = FALLBACK;
    } else if (argc > 1 && strcmp(argv[1], "plant") == 0) {
        mode = PLANT;
    }
    const int mode_args = mode == ASYMMETRIC ? 0 : 1;
    check_begin(argc - mode_args, argv + mode_args);
    if (mode == PLANT) {
        if (check_cores() < 2 || CHECK_SLOWNESS > 1) {
            printf("needs two cores at full speed\n");
            return CHECK_SKIPPED;
        }
        return both_missed(10000000) ? 0 : 1;
    }
    if (mode == FALLBACK && !take_membarrier_away()) {
        printf("system calls cannot be filtered here\n");
        return CHECK_SKIPPED;
    }
    trt_barrier_init();
    RUN(test_barrier_is_asymmetric_exactly_where_the_kernel_helps);
    RUN(test_one_of_the_sides_sees_the_other);
    RUN(test_barrier_works_in_a_forked_child);
    return check_end();
}
