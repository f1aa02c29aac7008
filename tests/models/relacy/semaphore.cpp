// The semaphore: sync/semaphore.h and sync/semaphore.c, with what they use of
// sync/wait_queue.c and the decision of task/waiters.c, function by function.
//
// Checked: there are as many inside as permits have been taken, and each sees what the
// one before it wrote; nobody sleeps while there is a permit that nobody is about to
// take; who leaves takes none along; there are never more than there may be; those that
// came too late are served in their order.
#include "model.hpp"

using model::order;
using model::planted;
using rl::mo_acq_rel;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;

enum {
    PLANT_NONE,
    TAKE_RELAXED,
    GIVE_RELAXED,
    QUEUED_APART,
    GIVE_BLIND,
    TIDY_UNLOCKED,
    ADD_UNCHECKED,
    HANDED_AND_FREE,
    VALUE_LATE,
    CLAIM_PLAIN,
    LEAVE_UNDECIDED,
    LEAVE_SILENT,
    LOSERS_TURNED,
    FULL_WAKES,
};

static const model::plant plants[] = {
    {"take-relaxed", "a permit that is taken acquires nothing"},
    {"give-relaxed", "a permit that comes back publishes nothing"},
    {"queued-apart", "QUEUED is set in a step after the one that saw no permit"},
    {"give-blind", "permits come back without a look at QUEUED"},
    {"tidy-unlocked", "QUEUED is taken away without the lock"},
    {"add-unchecked",
     "a permit is added in a step after the look at how many there are"},
    {"handed-and-free", "a permit that is handed over can be taken by others as well"},
    {"value-late", "a permit is handed over after the wake-up"},
    {"claim-plain", "a waiter is claimed by a load and a store"},
    {"leave-undecided", "who leaves does not ask whether it was served"},
    {"leave-silent", "who was woken and leaves does not pass on what for"},
    {"losers-turned", "of those that came too late the last goes first"},
    {"full-wakes", "a permit that is one too many wakes somebody"},
    {nullptr, nullptr},
};

enum { MOST_THREADS = 3 };
enum decision { WAITING, FIRED, ABANDONED };
enum : unsigned { QUEUED = 1, ONE = 2 };

// A node and its waiter, and where the thread sleeps.
struct node {
    atomic<unsigned> decision;
    var<int> value;
    bool lost; // written by the thread that waits, while it is not queued
    unsigned ticket;
    rl::mutex lock;
    rl::condition_variable changed;
    var<int> woken; // guarded by the lock

    void init()
    {
        trt_store_relaxed(&decision, (unsigned)WAITING);
        value($) = 0;
        lost = false;
        woken($) = 0;
    }

    void renew()
    {
        trt_store_relaxed(&decision, (unsigned)WAITING);
        lock.lock($);
        woken($) = 0;
        lock.unlock($);
    }

    bool decide(unsigned desired)
    {
        unsigned expected = WAITING;
        return trt_cas_acq_rel(&decision, &expected, desired);
    }

    bool claim()
    {
        if (planted == CLAIM_PLAIN) {
            if (trt_load_acquire(&decision) != WAITING) {
                return false;
            }
            trt_store_release(&decision, (unsigned)FIRED);
            return true;
        }
        return decide(FIRED);
    }

    bool abandon()
    {
        return decide(ABANDONED) || planted == LEAVE_UNDECIDED;
    }

    void wake()
    {
        lock.lock($);
        RL_ASSERT(woken($) == 0);
        woken($) = 1;
        changed.notify_one($);
        lock.unlock($);
    }

    void sleep()
    {
        lock.lock($);
        while (!woken($)) {
            changed.wait(lock, $);
        }
        lock.unlock($);
    }
};

// Guarded by the semaphore's lock.
struct wait_queue {
    var<node *> line[MOST_THREADS];
    var<unsigned> length;

    void init()
    {
        for (var<node *> &place : line) {
            place($) = nullptr;
        }
        length($) = 0;
    }

    bool is_empty()
    {
        return length($) == 0;
    }

    void append(node *n)
    {
        const unsigned end = length($);
        RL_ASSERT(end < MOST_THREADS);
        line[end]($) = n;
        length($) = end + 1;
    }

    void prepend(node *n)
    {
        const unsigned end = length($);
        for (unsigned i = end; i > 0; i--) {
            line[i]($) = (node *)line[i - 1]($);
        }
        line[0]($) = n;
        length($) = end + 1;
    }

    void remove(node *n)
    {
        const unsigned end = length($);
        unsigned kept = 0;
        for (unsigned i = 0; i < end; i++) {
            node *const other = line[i]($);
            if (other != n) {
                line[kept++]($) = other;
            }
        }
        length($) = kept;
    }

    node *claim()
    {
        while (!is_empty()) {
            node *const n = line[0]($);
            remove(n);
            if (n->claim()) {
                return n;
            }
        }
        return nullptr;
    }
};

struct semaphore {
    atomic<unsigned> word;
    rl::mutex lock;
    wait_queue losers, queue;
    unsigned most; // constant
    // Under the lock, for the check alone: losers that have queued, and the newest of
    // those that were served.
    unsigned tickets, served;

    void init(unsigned permits, unsigned limit)
    {
        trt_store_relaxed(&word, permits * ONE);
        losers.init();
        queue.init();
        most = limit;
        tickets = served = 0;
    }

    unsigned permits()
    {
        return trt_load_relaxed(&word) / ONE;
    }

    bool try_acquire()
    {
        unsigned old = trt_load_relaxed(&word);
        while (old >= ONE) {
            if (word.compare_exchange(rl::bool_t<false>(), old, old - ONE,
                                      order(TAKE_RELAXED, mo_release, mo_acq_rel),
                                      order(TAKE_RELAXED, mo_relaxed, mo_acquire), $)) {
                return true;
            }
        }
        return false;
    }

    wait_queue *queue_of(node *n)
    {
        return n->lost ? &losers : &queue;
    }

    bool acquire_or_queue(node *n)
    {
        bool taken;
        n->value($) = 0;
        lock.lock($);
        if (planted == QUEUED_APART) {
            taken = try_acquire();
            if (!taken) {
                word.rmw(rl::rmw_type_t<rl::rmw_type_or>(), (unsigned)QUEUED,
                         mo_acq_rel, $);
            }
        } else {
            unsigned old = trt_load_relaxed(&word);
            do {
                taken = old >= ONE;
            } while (!trt_cas_acq_rel(&word, &old, (taken ? old - ONE : old | QUEUED)));
        }
        if (!taken && n->lost) {
            n->ticket = ++tickets;
        }
        if (!taken && n->lost && planted == LOSERS_TURNED) {
            losers.prepend(n);
        } else if (!taken) {
            queue_of(n)->append(n);
        }
        lock.unlock($);
        return taken;
    }

    void tidy_locked()
    {
        if (losers.is_empty() && queue.is_empty()) {
            trt_fetch_and_relaxed(&word, ~(unsigned)QUEUED);
        }
    }

    void leave(node *n)
    {
        lock.lock($);
        queue_of(n)->remove(n);
        tidy_locked();
        lock.unlock($);
    }

    void pass_on()
    {
        lock.lock($);
        node *const n = permits() > 0 ? queue.claim() : nullptr;
        tidy_locked();
        lock.unlock($);
        if (n) {
            n->wake();
        }
    }

    bool add_permit()
    {
        unsigned old = trt_load_relaxed(&word);
        if (planted == ADD_UNCHECKED) {
            return old / ONE < most && (trt_fetch_add_relaxed(&word, (unsigned)ONE), 1);
        }
        do {
            if (old / ONE >= most) {
                return false;
            }
        } while (!word.compare_exchange(rl::bool_t<false>(), old, old + ONE,
                                        order(GIVE_RELAXED, mo_acquire, mo_acq_rel),
                                        mo_acquire, $));
        return true;
    }

    bool release_slow()
    {
        lock.lock($);
        bool released = permits() < most || planted == FULL_WAKES;
        node *n = released ? losers.claim() : nullptr;
        const bool handed = n != nullptr;
        if (handed) {
            RL_ASSERT(n->ticket > served);
            served = n->ticket;
            if (planted != VALUE_LATE) {
                n->value($) = 1;
            }
            if (planted == HANDED_AND_FREE) {
                add_permit();
            }
        } else if (released) {
            n = queue.claim();
            released = add_permit();
        }
        RL_ASSERT(released || !n);
        if (planted == TIDY_UNLOCKED) {
            const bool empty = losers.is_empty() && queue.is_empty();
            lock.unlock($);
            if (empty) {
                trt_fetch_and_relaxed(&word, ~(unsigned)QUEUED);
            }
        } else {
            tidy_locked();
            lock.unlock($);
        }
        if (n) {
            n->wake();
        }
        if (handed && planted == VALUE_LATE) {
            n->value($) = 1;
        }
        return released;
    }

    bool release()
    {
        unsigned old = trt_load_relaxed(&word);
        while ((!(old & QUEUED) || planted == GIVE_BLIND) && old / ONE < most) {
            if (word.compare_exchange(rl::bool_t<false>(), old, old + ONE,
                                      order(GIVE_RELAXED, mo_acquire, mo_acq_rel),
                                      mo_acquire, $)) {
                return true;
            }
        }
        return release_slow();
    }
};

// Threads that want a permit each, `rounds` times; those from `patient` on may leave.
template <typename derived, int threads, int permits, int rounds, int patient>
struct guests : rl::test_suite<derived, threads> {
    typedef guests base;
    semaphore s;
    node nodes[threads];
    atomic<int> inside;
    var<int> counter; // under a semaphore of one

    void before()
    {
        s.init(permits, permits);
        for (node &n : nodes) {
            n.init();
        }
        trt_store_relaxed(&inside, 0);
        counter($) = 0;
    }

    bool acquire(node *n, bool leaves)
    {
        if (rl::rand(2) && s.try_acquire()) {
            return true;
        }
        n->lost = false;
        for (;;) {
            n->renew();
            if (s.acquire_or_queue(n)) {
                return true;
            }
            if (leaves && rl::rand(2) && n->abandon()) {
                s.leave(n);
                return false;
            }
            n->sleep();
            if (n->value($)) {
                return true;
            }
            if (leaves && rl::rand(2)) {
                if (planted != LEAVE_SILENT) {
                    s.pass_on();
                }
                return false;
            }
            n->lost = true;
        }
    }

    void thread(unsigned i)
    {
        for (int round = 0; round < rounds; round++) {
            if (!acquire(&nodes[i], i >= patient)) {
                continue;
            }
            RL_ASSERT(trt_fetch_add_relaxed(&inside, 1) < permits);
            if (permits == 1) {
                counter($) = counter($) + 1;
            }
            trt_fetch_add_relaxed(&inside, -1);
            RL_ASSERT(s.release());
        }
    }

    void after()
    {
        RL_ASSERT(trt_load_relaxed(&s.word) == permits * ONE);
    }
};

struct two_at_one : guests<two_at_one, 2, 1, 2, 2> {};
struct three_at_one : guests<three_at_one, 3, 1, 2, 3> {};
struct three_at_two : guests<three_at_two, 3, 2, 2, 3> {};
struct one_stays : guests<one_stays, 3, 1, 2, 1> {};
// Small enough to search all schedules with few preemptions.
struct one_stays_once : guests<one_stays_once, 3, 1, 1, 1> {};

// There is no permit at first. One is given, and another, which may be one too many.
struct given_twice : guests<given_twice, 3, 1, 1, 3> {
    void before()
    {
        base::before();
        s.init(0, 1);
    }

    void thread(unsigned i)
    {
        if (i == 2) {
            RL_ASSERT(s.release());
        } else {
            acquire(&nodes[i], false);
        }
        s.release();
    }
};

// More is given back than there may be, while one is taken.
struct flood : rl::test_suite<flood, 3> {
    semaphore s;
    atomic<int> given;

    void before()
    {
        s.init(1, 1);
        trt_store_relaxed(&given, 1);
    }

    void thread(unsigned i)
    {
        if (i == 0) {
            if (s.try_acquire()) {
                trt_fetch_add_relaxed(&given, -1);
            }
        } else if (s.release()) {
            trt_fetch_add_relaxed(&given, 1);
        }
        RL_ASSERT(s.permits() <= 1);
    }

    void after()
    {
        RL_ASSERT((int)s.permits() == trt_load_relaxed(&given));
    }
};

int
main(int argc, char **argv)
{
    using large = model::scenes<two_at_one, three_at_one, three_at_two, one_stays,
                                given_twice, flood>;
    using small = model::scenes<two_at_one, one_stays_once, given_twice, flood>;
    return model::main<large, small>(argc, argv, plants, {50000, 2, false});
}
