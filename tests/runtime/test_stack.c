/* Whoever runs on a stack of his own goes on where he left off, with all that he had.
 *
 * Compiled with TRT_STACK_UCONTEXT it tests the switch of platforms that have none of
 * ours.
 */
#include "check.h"

#include "os/stack.h"

#include <fenv.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { BYTES = 1 << 18 };

/* Somebody with a stack of his own, and the thread that lets him go on. */
struct guest {
    trt_stack *stack;
    trt_point host;
    void (*run)(struct guest *);
    bool ended;
    uint64_t seed; /* for `run` */
    uint64_t result;
};

static void
go_on(struct guest *guest)
{
    trt_stack_switch(&guest->host, &guest->stack->point);
}

static void
leave(struct guest *guest)
{
    trt_stack_switch(&guest->stack->point, &guest->host);
}

static void
enter(void *arg)
{
    struct guest *guest = arg;
    guest->run(guest);
    guest->ended = true;
    leave(guest);
    CHECK(!"switched to after the end");
}

/* Let a guest run from the start when it goes on next. */
static void
invite(struct guest *guest, void (*run)(struct guest *))
{
    guest->run = run;
    guest->ended = false;
    CHECK(trt_stack_prepare(guest->stack, enter, guest));
}

static void
guest_init(struct guest *guest, size_t bytes, void (*run)(struct guest *))
{
    *guest = (struct guest){.stack = trt_stack_create(bytes)};
    CHECK(guest->stack != NULL);
    invite(guest, run);
}

static void
leave_twice(struct guest *guest)
{
    guest->result = 1;
    leave(guest);
    guest->result = 2;
    leave(guest);
    guest->result = 3;
}

static void
test_smoke(void)
{
    struct guest guest;
    guest_init(&guest, BYTES, leave_twice);
    CHECK_EQ(guest.result, 0);
    for (uint64_t i = 1; i <= 3; i++) {
        CHECK(!guest.ended);
        go_on(&guest);
        CHECK_EQ(guest.result, i);
    }
    CHECK(guest.ended);
    trt_stack_destroy(guest.stack);
}

/* --- what a switch keeps */

static void
stay(struct guest *guest)
{
    (void)guest;
}

/* Mix a dozen numbers, with `step` between the rounds. The compiler cannot compute them
 * anew, so they lie in all the registers that a call keeps, and on the stack. */
static __attribute__((noinline)) uint64_t
mix(uint64_t seed, uint64_t rounds, void (*step)(struct guest *), struct guest *guest)
{
    volatile uint64_t hidden = seed;
    uint64_t a = hidden, b = hidden + 1, c = hidden + 2, d = hidden + 3;
    uint64_t e = hidden + 4, f = hidden + 5, g = hidden + 6, h = hidden + 7;
    volatile double hidden_too = (double)(seed % 1000);
    double p = hidden_too, q = hidden_too + 1, r = hidden_too + 2, s = hidden_too + 3;
    for (uint64_t i = 0; i < rounds; i++) {
        step(guest);
        a += b ^ (h >> 7);
        b = (b << 13 | b >> 51) + c;
        c ^= d + i;
        d = d * UINT64_C(0x9E3779B97F4A7C15) + e;
        e ^= e >> 11 ^ f;
        f += g;
        g = (g << 29 | g >> 35) ^ a;
        h += c;
        p = p / 2 + q;
        q = q / 3 + r;
        r = r / 4 + s;
        s = 1000 - s / 2 + p / 100;
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ (uint64_t)((p + q + r + s) * 1000);
}

enum { MIX_ROUNDS = 1000 };

static void
mix_and_leave(struct guest *guest)
{
    guest->result = mix(guest->seed, MIX_ROUNDS, leave, guest);
}

static void
test_registers_and_locals_are_kept(void)
{
    struct guest guest;
    guest_init(&guest, BYTES, mix_and_leave);
    for (uint64_t seed = 0; seed < 20; seed++) {
        invite(&guest, mix_and_leave);
        guest.seed = check_seed + seed;
        const uint64_t here = mix(seed, MIX_ROUNDS, go_on, &guest);
        go_on(&guest);
        CHECK(guest.ended);
        CHECK(here == mix(seed, MIX_ROUNDS, stay, NULL));
        CHECK(guest.result == mix(guest.seed, MIX_ROUNDS, stay, NULL));
    }
    trt_stack_destroy(guest.stack);
}

/* The modes are no registers that every ABI has a call keep: arm64's switch does not
 * know them. */
#if defined(__x86_64__)
#define MODES_ARE_KEPT 1
#else
#define MODES_ARE_KEPT 0
#endif

/* Look at both floating-point units: long double is the other one's. */
static void
check_rounding(int mode)
{
    volatile double one = 1, tiny = 1e-30;
    volatile long double long_one = 1, long_tiny = 1e-30L;
    CHECK_EQ(fegetround(), mode);
    CHECK_EQ(one + tiny > one, mode == FE_UPWARD);
    CHECK_EQ(long_one + long_tiny > long_one, mode == FE_UPWARD);
    CHECK_EQ(one - tiny < one, mode == FE_DOWNWARD);
    CHECK_EQ(long_one - long_tiny < long_one, mode == FE_DOWNWARD);
}

static void
round_up(struct guest *guest)
{
    check_rounding(FE_DOWNWARD);
    CHECK_EQ(fesetround(FE_UPWARD), 0);
    leave(guest);
    check_rounding(FE_UPWARD);
    leave(guest);
    check_rounding(FE_UPWARD);
}

static void
test_rounding_mode_belongs_to_a_stack(void)
{
    struct guest guest;
    if (!MODES_ARE_KEPT) {
        printf("  not on this processor\n");
        return;
    }
    CHECK_EQ(fesetround(FE_DOWNWARD), 0);
    guest_init(&guest, BYTES, round_up); /* begins with the modes of now */
    CHECK_EQ(fesetround(FE_TONEAREST), 0);
    go_on(&guest);
    check_rounding(FE_TONEAREST);
    CHECK_EQ(fesetround(FE_TOWARDZERO), 0);
    go_on(&guest);
    CHECK_EQ(fegetround(), FE_TOWARDZERO);
    CHECK_EQ(fesetround(FE_TONEAREST), 0);
    go_on(&guest);
    check_rounding(FE_TONEAREST);
    CHECK(guest.ended);
    trt_stack_destroy(guest.stack);
}

/* --- many stacks */

static void
check_guests_mix(struct guest *guests, unsigned count, uint64_t *random)
{
    unsigned left = count;
    for (unsigned i = 0; i < count; i++) {
        guests[i].seed = check_random(random, UINT32_MAX);
        invite(&guests[i], mix_and_leave);
    }
    while (left > 0) {
        struct guest *guest = &guests[check_random(random, count)];
        if (!guest->ended) {
            go_on(guest);
            left -= guest->ended;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        CHECK(guests[i].result == mix(guests[i].seed, MIX_ROUNDS, stay, NULL));
    }
}

enum { GUESTS = 50 };

static void
entertain(unsigned number, void *shared)
{
    struct guest guests[GUESTS];
    uint64_t random = check_random_start(number);
    (void)shared;
    for (int i = 0; i < GUESTS; i++) {
        guest_init(&guests[i], BYTES, mix_and_leave);
    }
    for (int round = 0; round < 2; round++) {
        check_guests_mix(guests, GUESTS, &random);
    }
    for (int i = 0; i < GUESTS; i++) {
        trt_stack_destroy(guests[i].stack);
    }
}

static void
test_many_stacks_take_turns(void)
{
    entertain(0, NULL);
}

static void
test_every_thread_has_its_stacks(void)
{
    check_run_threads(4, entertain, NULL);
}

struct ring {
    struct guest guests[5];
    trt_point host;
    uint64_t left;
};
static struct ring ring;

/* Switch to the next in the ring, who need not be the host. */
static void
pass_on(struct guest *guest)
{
    while (ring.left > 0) {
        CHECK_EQ(ring.left % 5, guest->seed);
        ring.left--;
        const size_t next = ring.left % 5;
        trt_stack_switch(&guest->stack->point, &ring.guests[next].stack->point);
    }
    trt_stack_switch(&guest->stack->point, &ring.host);
}

static void
test_stacks_switch_among_themselves(void)
{
    for (size_t i = 0; i < 5; i++) {
        guest_init(&ring.guests[i], BYTES, pass_on);
        ring.guests[i].seed = i;
    }
    ring.left = 200000 / CHECK_SLOWNESS;
    const size_t first = ring.left % 5;
    trt_stack_switch(&ring.host, &ring.guests[first].stack->point);
    CHECK_EQ(ring.left, 0);
    for (size_t i = 0; i < 5; i++) {
        trt_stack_destroy(ring.guests[i].stack);
    }
}

static _Atomic(uint64_t *) lent;

static void
lend_local(struct guest *guest)
{
    uint64_t local = 1;
    trt_store_release(&lent, &local);
    leave(guest);
    guest->result = local;
}

static void
write_to_lent(unsigned number, void *shared)
{
    (void)shared;
    *trt_load_acquire(&lent) += number + 41;
}

static void
test_what_lies_on_a_left_stack_is_for_others_to_use(void)
{
    struct guest guest;
    guest_init(&guest, BYTES, lend_local);
    go_on(&guest);
    check_run_threads(1, write_to_lent, NULL);
    go_on(&guest);
    CHECK_EQ(guest.result, 42);
    trt_stack_destroy(guest.stack);
}

/* --- where the stack is, and where it ends */

static void
look_at_alignment(struct guest *guest)
{
    _Alignas(16) volatile float quad[4] = {1, 2, 3, 4};
    char text[64];
    CHECK_EQ((uintptr_t)&quad % 16, 0);
    CHECK_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);
    /* With such arguments the library saves vector registers to aligned places. */
    snprintf(text, sizeof text, "%.1f %.2Lf", (double)quad[1], (long double)quad[3]);
    CHECK(strcmp(text, "2.0 4.00") == 0);
    guest->result = 1;
}

static void
test_entry_finds_an_aligned_stack(void)
{
    const size_t sizes[] = {BYTES, BYTES + 1, BYTES + 8, BYTES - 24};
    for (int i = 0; i < 4; i++) {
        struct guest guest;
        guest_init(&guest, sizes[i], look_at_alignment);
        go_on(&guest);
        CHECK_EQ(guest.result, 1);
        trt_stack_destroy(guest.stack);
    }
}

/* For the callees of the deepest call, which include the sanitizers' own. */
enum { MARGIN = 1 << 14 };

/* Go down nearly to the bound, leave there, and come back. The depth. */
static __attribute__((noinline)) uint64_t
descend(struct guest *guest, uint64_t depth)
{
    char *const here = __builtin_frame_address(0);
    volatile uint64_t mark = depth * 3;
    CHECK(guest->stack->low < here && here < guest->stack->high);
    if (here - guest->stack->low < MARGIN) {
        leave(guest);
        return depth;
    }
    const uint64_t deepest = descend(guest, depth + 1);
    CHECK_EQ(mark, depth * 3);
    return deepest;
}

static void
descend_all_the_way(struct guest *guest)
{
    guest->result = descend(guest, 0);
}

static void
test_recursion_may_go_nearly_to_the_bound(void)
{
    struct guest guest;
    guest_init(&guest, 1 << 20, descend_all_the_way);
    CHECK(guest.stack->high - guest.stack->low >= 1 << 20);
    go_on(&guest);
    CHECK(!guest.ended);
    go_on(&guest);
    CHECK(guest.ended && guest.result > 1000);
    trt_stack_destroy(guest.stack);
}

static void
write_below(struct guest *guest)
{
    *(volatile char *)(guest->stack->low - 1) = 1;
}

static __attribute__((noinline)) int
overflow(int depth)
{
    volatile char used[512];
    used[0] = (char)depth;
    return depth == INT32_MAX ? 0 : overflow(depth + 1) + used[0];
}

static void
recurse_for_ever(struct guest *guest)
{
    guest->result = (uint64_t)overflow(1);
}

static void
write_at_both_ends(struct guest *guest)
{
    *(volatile char *)guest->stack->low = 1;
    *(volatile char *)(guest->stack->high - 1) = 1;
}

/* How a child process ends that has such a guest. */
static int
end_of_child(void (*run)(struct guest *))
{
    const pid_t child = fork();
    if (child == 0) {
        struct guest guest;
        const struct rlimit none = {0, 0};
        alarm(20);
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL); /* a sanitizer listens to it */
        signal(SIGBUS, SIG_DFL);
        guest_init(&guest, BYTES, run);
        go_on(&guest);
        _exit(0);
    }
    int status = 0;
    CHECK(child > 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    return status;
}

static bool
faults(int status)
{
    return WIFSIGNALED(status) &&
           (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

static void
test_page_below_the_stack_faults(void)
{
    CHECK_EQ(end_of_child(write_at_both_ends), 0);
    CHECK(faults(end_of_child(write_below)));
    CHECK(faults(end_of_child(recurse_for_ever)));
}

/* --- used again */

/* Leave for good, with buffers on the stack that a sanitizer has fenced in. */
static __attribute__((noinline)) void
abandon(struct guest *guest, uint64_t depth)
{
    char buffer[100];
    snprintf(buffer, sizeof buffer, "%d", (int)depth);
    if (depth == 30) {
        leave(guest);
    } else {
        abandon(guest, depth + 1);
    }
    guest->result = (uint64_t)buffer[0];
}

static void
abandon_all(struct guest *guest)
{
    abandon(guest, 0);
}

static void
fill(struct guest *guest)
{
    char large[BYTES / 4];
    memset(large, (int)guest->seed, sizeof large);
    guest->result = (unsigned char)large[check_seed % sizeof large];
}

static void
test_stack_is_used_again_and_forgets(void)
{
    struct guest guest;
    guest_init(&guest, BYTES, abandon_all);
    for (int round = 0; round < 100; round++) {
        invite(&guest, abandon_all);
        go_on(&guest);
        CHECK(!guest.ended);
        invite(&guest, fill);
        guest.seed = (uint64_t)round;
        go_on(&guest);
        CHECK(guest.ended);
        CHECK_EQ(guest.result, round);
    }
    trt_stack_destroy(guest.stack);
}

static void
add_one(struct guest *guest)
{
    guest->seed++;
}

/* A recursion that needs a second stack may come to that point often. ThreadSanitizer,
 * which notes calls that do not return, has room for fewer of them than this. */
static void
test_stack_is_used_again_any_number_of_times(void)
{
    struct guest guest;
    guest_init(&guest, BYTES, add_one);
    for (uint64_t round = 1; round <= 40000; round++) {
        invite(&guest, add_one);
        go_on(&guest);
        CHECK_EQ(guest.seed, round);
    }
    trt_stack_destroy(guest.stack);
}

/* A stack that nobody has run on, one that somebody has left, and one whose place the
 * next stack, or that of a thread, gets. */
static void
test_destruction(void)
{
    for (int round = 0; round < 2000 / CHECK_SLOWNESS; round++) {
        trt_stack *unused = trt_stack_create(1);
        CHECK(unused != NULL && unused->high - unused->low >= 1);
        struct guest guest;
        guest_init(&guest, BYTES, abandon_all);
        go_on(&guest);
        trt_stack_destroy(guest.stack);
        trt_stack_destroy(unused);
        guest_init(&guest, BYTES, fill);
        go_on(&guest);
        CHECK(guest.ended);
        trt_stack_destroy(guest.stack);
    }
    check_run_threads(4, entertain, NULL);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_smoke);
    RUN(test_registers_and_locals_are_kept);
    RUN(test_rounding_mode_belongs_to_a_stack);
    RUN(test_many_stacks_take_turns);
    RUN(test_every_thread_has_its_stacks);
    RUN(test_stacks_switch_among_themselves);
    RUN(test_what_lies_on_a_left_stack_is_for_others_to_use);
    RUN(test_entry_finds_an_aligned_stack);
    RUN(test_recursion_may_go_nearly_to_the_bound);
    RUN(test_page_below_the_stack_faults);
    RUN(test_stack_is_used_again_and_forgets);
    RUN(test_stack_is_used_again_any_number_of_times);
    RUN(test_destruction);
    return check_end();
}
