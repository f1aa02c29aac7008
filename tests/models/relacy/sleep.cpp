// Sleeping and waking: sched/sleep.h, sched/sleep.c and os/parker.c, function by
// function, under a worker loop and queues that are as simple as can be.
//
// Checked: no wake-up is lost, which would be a deadlock here. Each public task ends
// only when all of them have started, so that an item left behind while somebody sleeps
// is an error too; a sticky task ends only when the public ones have started. The
// counts are legal at each step and zero at the end.
//
// Both kinds of barrier are tried: which one is part of the schedule. The kernel's
// fence on all cores is relacy's system-wide fence: what any thread did before it is
// seen by all from then on.
#include "model.hpp"

using model::order;
using model::planted;
using rl::mo_acq_rel;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;

enum {
    PLANT_NONE,
    NO_RESCAN,
    RESCAN_FIRST,
    NO_LIGHT,
    NO_HEAVY,
    NO_BATON,
    NOT_COUNTED,
    WAKE_UNLOCKED,
    STICKY_SKIPPED,
    LEFT_EARLY,
    UNPARK_RELAXED,
    UNPARK_ONCE,
    TAKE_STORES,
    PARK_BLIND,
    TIMEOUT_BLIND,
    SLEEP_UNCHECKED,
};

static const model::plant plants[] = {
    {"no-rescan", "a worker parks without a rescan (G3)"},
    {"rescan-first", "a worker rescans before it announces itself (G1 after G3)"},
    {"no-light", "a producer has no fence between push and look (P2), nor help for it"},
    {"no-heavy", "a sleeper has no fence between announcement and rescan (G2)"},
    {"no-baton", "the last searcher that finds work wakes nobody (S2)"},
    {"not-counted", "a waker does not count whom it wakes (P4)"},
    {"wake-unlocked", "a waker looks at the stack without the lock (P4)"},
    {"sticky-skipped", "a sticky wake-up is skipped while somebody searches"},
    {"left-early",
     "a worker goes for its inbox though the rescan has seen public work"},
    {"unpark-relaxed", "the token publishes nothing"},
    {"unpark-once", "unpark puts the token by a load and a store"},
    {"take-stores", "the token is taken by a store"},
    {"park-blind", "a park overwrites a token that is there"},
    {"timeout-blind", "a park that times out overwrites a token that has come"},
    {"sleep-unchecked", "the futex does not compare the word before it sleeps"},
    {nullptr, nullptr},
};

// --- os/parker.c

enum word { EMPTY, TOKEN, ASLEEP };
enum result { NOTIFIED, TIMED_OUT };

struct parker {
    atomic<unsigned> word;
    // The futex: the kernel compares and falls asleep under a lock of its own.
    rl::mutex bucket;
    rl::condition_variable wakes;

    void init()
    {
        trt_store_relaxed(&word, (unsigned)EMPTY);
    }

    bool os_sleep(bool timed)
    {
        bool in_time = true;
        bucket.lock($);
        if (planted == SLEEP_UNCHECKED || trt_load_relaxed(&word) == ASLEEP) {
            if (timed) {
                in_time = wakes.wait_for(bucket, 0, $);
            } else {
                wakes.wait(bucket, $);
            }
        }
        bucket.unlock($);
        return in_time;
    }

    void os_wake()
    {
        bucket.lock($);
        wakes.notify_one($);
        bucket.unlock($);
    }

    void unpark()
    {
        unsigned before;
        if (planted == UNPARK_ONCE) {
            before = trt_load_acquire(&word);
            trt_store_release(&word, (unsigned)TOKEN);
        } else {
            before = trt_exchange(&word, (unsigned)TOKEN,
                                  order(UNPARK_RELAXED, mo_relaxed, mo_seq_cst));
        }
        if (before == ASLEEP) {
            os_wake();
        }
    }

    bool take_token()
    {
        if (trt_load_relaxed(&word) != TOKEN) {
            return false;
        }
        if (planted == TAKE_STORES) {
            trt_load_acquire(&word);
            trt_store_release(&word, (unsigned)EMPTY);
            return true;
        }
        const unsigned before = trt_exchange_seq_cst(&word, (unsigned)EMPTY);
        RL_ASSERT(before == TOKEN);
        return true;
    }

    result give_up()
    {
        unsigned expected = ASLEEP;
        if (planted == TIMEOUT_BLIND) {
            trt_store_seq_cst(&word, (unsigned)EMPTY);
            return TIMED_OUT;
        }
        if (trt_cas_seq_cst(&word, &expected, (unsigned)EMPTY)) {
            return TIMED_OUT;
        }
        take_token();
        return NOTIFIED;
    }

    result park(bool timed)
    {
        unsigned expected = EMPTY;
        if (planted == PARK_BLIND) {
            trt_store_seq_cst(&word, (unsigned)ASLEEP);
        } else if (!trt_cas_seq_cst(&word, &expected, (unsigned)ASLEEP)) {
            RL_ASSERT(expected == TOKEN);
            take_token();
            return NOTIFIED;
        }
        for (;;) {
            const bool in_time = os_sleep(timed);
            if (take_token()) {
                return NOTIFIED;
            }
            if (!in_time) {
                return give_up();
            }
        }
    }
};

// --- sched/sleep.h and sched/sleep.c

enum { MOST_WORKERS = 2 };
enum : unsigned { ONE_SLEEPING = 1, ONE_SEARCHING = 1u << 16 };

static unsigned
searching_of(unsigned word)
{
    return word >> 16;
}

static unsigned
sleeping_of(unsigned word)
{
    return word & (ONE_SEARCHING - 1);
}

static bool
wants_wake(unsigned word)
{
    return searching_of(word) == 0 && sleeping_of(word) > 0;
}

struct sleepers {
    bool asymmetric; // constant
    atomic<unsigned> word;
    rl::mutex lock;
    var<unsigned> stack[MOST_WORKERS + 1];
    parker parkers[MOST_WORKERS];

    void init()
    {
        asymmetric = rl::rand(2) == 1;
        trt_store_relaxed(&word, 0u);
        for (var<unsigned> &place : stack) {
            place($) = 0;
        }
        for (parker &p : parkers) {
            p.init();
        }
    }

    void light()
    {
        if (!asymmetric && planted != NO_LIGHT) {
            trt_fence_seq_cst();
        }
    }

    void heavy()
    {
        if (planted == NO_HEAVY) {
            return;
        }
        if (!asymmetric) {
            trt_fence_seq_cst();
        } else if (planted != NO_LIGHT) {
            rl::systemwide_fence($);
        }
    }

    unsigned add(unsigned delta)
    {
        const unsigned now = trt_fetch_add_relaxed(&word, delta) + delta;
        RL_ASSERT(searching_of(now) + sleeping_of(now) <= MOST_WORKERS);
        return now;
    }

    parker *pop_sleeper_locked()
    {
        unsigned old = trt_load_relaxed(&word);
        unsigned woken;
        do {
            if (!wants_wake(old)) {
                return nullptr;
            }
            woken = old - ONE_SLEEPING + (planted == NOT_COUNTED ? 0 : ONE_SEARCHING);
        } while (!trt_cas_relaxed(&word, &old, woken));
        return &parkers[stack[sleeping_of(woken)]($)];
    }

    void wake_slow()
    {
        if (planted != WAKE_UNLOCKED) {
            lock.lock($);
        }
        parker *const p = pop_sleeper_locked();
        if (planted != WAKE_UNLOCKED) {
            lock.unlock($);
        }
        if (p) {
            p->unpark();
        }
    }

    void notify()
    {
        light();
        if (wants_wake(trt_load_relaxed(&word))) {
            wake_slow();
        }
    }

    bool try_search(unsigned awake)
    {
        unsigned old = trt_load_relaxed(&word);
        do {
            const unsigned searching = searching_of(old);
            if (searching > 0 && 2 * searching >= awake) {
                return false;
            }
        } while (!trt_cas_relaxed(&word, &old, old + ONE_SEARCHING));
        return true;
    }

    void found()
    {
        if (wants_wake(add(0 - ONE_SEARCHING)) && planted != NO_BATON) {
            wake_slow();
        }
    }

    void announce(unsigned id, bool searching)
    {
        lock.lock($);
        stack[sleeping_of(trt_load_relaxed(&word))]($) = id;
        add(ONE_SLEEPING - (searching ? ONE_SEARCHING : 0));
        lock.unlock($);
        heavy();
    }

    bool remove_sleeper_locked(unsigned id)
    {
        const unsigned height = sleeping_of(trt_load_relaxed(&word));
        unsigned place = height;
        while (place > 0 && stack[place - 1]($) != id) {
            place--;
        }
        if (place == 0) {
            return false;
        }
        for (; place < height; place++) {
            stack[place - 1]($) = (unsigned)stack[place]($);
        }
        return true;
    }

    bool retract(unsigned id, bool search)
    {
        lock.lock($);
        const bool removed = remove_sleeper_locked(id);
        if (removed) {
            add((search ? ONE_SEARCHING : 0) - ONE_SLEEPING);
        }
        lock.unlock($);
        return search || !removed;
    }
};

// --- what stands for the queues: one producer's deque without pops

struct queue {
    atomic<int> bottom;
    atomic<int> top;

    void init()
    {
        trt_store_relaxed(&bottom, 0);
        trt_store_relaxed(&top, 0);
    }

    void push()
    {
        trt_store_release(&bottom, trt_load_relaxed(&bottom) + 1);
    }

    bool take()
    {
        int n = trt_load_seq_cst(&top);
        while (n < trt_load_seq_cst(&bottom)) {
            if (trt_cas_seq_cst(&top, &n, n + 1)) {
                return true;
            }
        }
        return false;
    }

    // As trt_deque_size: relaxed loads, beside the caller's fence.
    bool seems_empty()
    {
        const int t = trt_load_relaxed(&top);
        return trt_load_relaxed(&bottom) <= t;
    }
};

// Threads below `workers` are workers, the others producers. The sticky item is for
// worker 0 and comes from the last producer.
template <typename derived, int workers, int producers, int pushes, bool sticky>
struct pool : rl::test_suite<derived, workers + producers> {
    enum { PUBLIC = producers * pushes, ALL = PUBLIC + sticky };

    sleepers s;
    queue queues[producers];
    atomic<int> inbox; // of worker 0
    var<int> letter;   // written before the push on the inbox
    atomic<int> stop;
    atomic<int> left; // tasks that have not finished
    rl::mutex lock;
    rl::condition_variable all_started;
    var<int> started; // guarded by the lock

    void before()
    {
        s.init();
        for (queue &q : queues) {
            q.init();
        }
        trt_store_relaxed(&inbox, 0);
        letter($) = 0;
        trt_store_relaxed(&stop, 0);
        trt_store_relaxed(&left, (int)ALL);
        started($) = 0;
    }

    void after()
    {
        RL_ASSERT(trt_load_relaxed(&s.word) == 0);
    }

    // Let others run, perhaps long enough for them to fall asleep. In the exhaustive
    // search the scheduler does that.
    void linger()
    {
        if (rl::ctx().is_random_sched()) {
            for (unsigned n = rl::rand(80); n > 0; n--) {
                trt_load_relaxed(&stop);
            }
        }
    }

    void produce(queue *q, bool last)
    {
        for (int i = 0; i < pushes; i++) {
            linger();
            q->push();
            s.notify();
        }
        if (sticky && last) {
            linger();
            letter($) = 1;
            trt_exchange_seq_cst(&inbox, 1);
            if (planted != STICKY_SKIPPED ||
                searching_of(trt_load_seq_cst(&s.word)) == 0) {
                s.parkers[0].unpark();
            }
        }
    }

    void finish_task()
    {
        if (left.rmw(rl::rmw_type_t<rl::rmw_type_sub>(), 1, mo_acq_rel, $) == 1) {
            trt_store_release(&stop, 1);
            for (parker &p : s.parkers) {
                p.unpark();
            }
        }
    }

    void run_task(int starts)
    {
        lock.lock($);
        started($) = started($) + starts;
        if (started($) == PUBLIC) {
            all_started.notify_all($);
        }
        while (started($) != PUBLIC) {
            all_started.wait(lock, $);
        }
        lock.unlock($);
        finish_task();
    }

    bool has_own_work(unsigned id)
    {
        return trt_load_relaxed(&stop) || (id == 0 && trt_load_relaxed(&inbox));
    }

    bool sees_work(unsigned id)
    {
        if (has_own_work(id)) {
            return true;
        }
        for (queue &q : queues) {
            if (!q.seems_empty()) {
                return true;
            }
        }
        return false;
    }

    bool take_public()
    {
        for (queue &q : queues) {
            if (q.take()) {
                return true;
            }
        }
        return false;
    }

    bool fall_asleep(unsigned id, bool searching, bool timed)
    {
        const bool early = planted == RESCAN_FIRST && sees_work(id);
        s.announce(id, searching);
        bool work = early;
        if (planted != NO_RESCAN && planted != RESCAN_FIRST) {
            work = sees_work(id);
        }
        if (!work) {
            s.parkers[id].park(timed);
        }
        const bool at_hand = has_own_work(id) && (!work || planted == LEFT_EARLY);
        return s.retract(id, !at_hand);
    }

    void stop_searching(bool *searching)
    {
        if (*searching) {
            *searching = false;
            s.found();
        }
    }

    void work(unsigned id)
    {
        bool searching = false;
        bool timed = PUBLIC + sticky > 1 && id == 0; // once
        for (;;) {
            if (id == 0 && trt_load_relaxed(&inbox)) {
                trt_exchange_acq_rel(&inbox, 0);
                RL_ASSERT(letter($) == 1);
                stop_searching(&searching);
                run_task(0);
                continue;
            }
            if (!searching) {
                searching =
                    s.try_search(workers - sleeping_of(trt_load_relaxed(&s.word)));
            }
            if (take_public()) {
                stop_searching(&searching);
                run_task(1);
                continue;
            }
            if (trt_load_acquire(&stop)) {
                break;
            }
            searching = fall_asleep(id, searching, timed);
            timed = false;
        }
        stop_searching(&searching);
    }

    void thread(unsigned i)
    {
        if (i < workers) {
            work(i);
        } else {
            produce(&queues[i - workers], i == workers + producers - 1);
        }
    }
};

struct two_items : pool<two_items, 2, 1, 2, false> {};
struct two_producers : pool<two_producers, 2, 2, 1, false> {};
struct one_sticky : pool<one_sticky, 2, 1, 1, true> {};
// Small enough to search all schedules with few preemptions.
struct one_item : pool<one_item, 2, 1, 1, false> {};
struct one_worker : pool<one_worker, 1, 1, 1, false> {};

// The parker alone: what was written before an unpark is seen after the park that took
// the token, however many unparks that token stands for.
struct parking : rl::test_suite<parking, 3> {
    parker p;
    atomic<int> ready[2];

    void before()
    {
        p.init();
        trt_store_relaxed(&ready[0], 0);
        trt_store_relaxed(&ready[1], 0);
    }

    void thread(unsigned i)
    {
        if (i < 2) {
            trt_store_relaxed(&ready[i], 1);
            p.unpark();
            return;
        }
        bool timed = true;
        while (!trt_load_relaxed(&ready[0]) || !trt_load_relaxed(&ready[1])) {
            p.park(timed);
            timed = false;
        }
    }
};

int
main(int argc, char **argv)
{
    using large = model::scenes<parking, one_sticky, two_items, two_producers>;
    using small = model::scenes<parking, one_item, one_worker>;
    return model::main<large, small>(argc, argv, plants, {120000, 2, false});
}
