// The task's state word and its list of waiters: task/task.c and task/waiters.c,
// function by function.
//
// Checked: of a claim and a cancellation exactly one wins; whoever waits is woken
// exactly once, or has left and is not woken; both see what the one that ended the task
// wrote; every waiter is freed exactly once and not touched afterwards.
#include "model.hpp"

using model::order;
using model::planted;
using rl::mo_acq_rel;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;

enum {
    PLANT_NONE,
    CLAIM_PLAIN,
    FINISH_RELAXED,
    CLOSE_PLAIN,
    CLOSE_RELAXED,
    ADD_UNCHECKED,
    ADD_RELAXED,
    FIRE_UNDECIDED,
    FIRE_NEXT_LATE,
    REMOVE_UNDECIDED,
    REMOVE_FREES,
    SWEEP_NO_FIRE,
    SWEEP_FORGETS,
    SWEEP_STORES,
    SWEEP_RELAXED,
};

static const model::plant plants[] = {
    {"claim-plain", "claiming is a load and a store"},
    {"finish-relaxed", "the final state does not publish the result"},
    {"close-plain", "closing the list is a load and a store"},
    {"close-relaxed", "closing the list publishes nothing"},
    {"add-unchecked", "add looks for the closed list only before its first attempt"},
    {"add-relaxed", "add does not publish the waiter"},
    {"fire-undecided", "firing does not ask whether the waiter has left"},
    {"fire-next-late", "firing reads the link of a waiter that it has woken"},
    {"remove-undecided", "leaving does not ask whether the waiter was fired"},
    {"remove-frees", "who leaves frees the waiter though the list holds it"},
    {"sweep-no-fire", "a sweep that finds the list closed does not fire what it holds"},
    {"sweep-forgets", "a sweep drops what was added while it held the others"},
    {"sweep-stores", "a sweep puts the others back by a store"},
    {"sweep-relaxed", "a sweep that puts waiters back does not publish their links"},
    {nullptr, nullptr},
};

enum state { PENDING, RUNNING, DONE, CANCELLED };
enum decision { WAITING, FIRED, ABANDONED };

struct waiter {
    var<waiter *> next;
    atomic<unsigned> decision;
    var<int> freed;
    unsigned owner; // the thread that waits

    // Every access to a waiter goes through here: touching a freed one is an error, or
    // a race with the one that frees it.
    waiter *live()
    {
        RL_ASSERT(!freed($));
        return this;
    }
};

// Freeing is a mark, so that relacy sees a race where memory would only be reused.
static void
release(waiter *w)
{
    w->live()->freed($) = 1;
}

static const unsigned MOST_THREADS = 5;

struct task {
    atomic<unsigned> state;
    atomic<waiter *> newest;
    waiter closed_mark;
    var<int> result; // written by the one that runs it
    var<int> reason; // written by the one that cancels it
    // Where the waiting threads sleep.
    rl::mutex lock;
    rl::condition_variable changed;
    var<int> woken[MOST_THREADS]; // how often; guarded by the lock

    waiter *closed()
    {
        return &closed_mark;
    }

    void init()
    {
        trt_store_relaxed(&state, (unsigned)PENDING);
        trt_store_relaxed(&newest, (waiter *)nullptr);
        closed_mark.freed($) = 1; // never looked into
        result($) = 0;
        reason($) = 0;
        for (var<int> &w : woken) {
            w($) = 0;
        }
    }

    bool leave_pending(unsigned next)
    {
        unsigned expected = PENDING;
        if (planted == CLAIM_PLAIN) {
            if (trt_load_acquire(&state) != PENDING) {
                return false;
            }
            trt_store_release(&state, next);
            return true;
        }
        return trt_cas_acq_rel(&state, &expected, next);
    }

    bool claim()
    {
        return leave_pending(RUNNING);
    }
    bool cancel_pending()
    {
        return leave_pending(CANCELLED);
    }

    void finish(unsigned final)
    {
        RL_ASSERT(trt_load_relaxed(&state) == RUNNING);
        state.store(final, order(FINISH_RELAXED, mo_relaxed, mo_release), $);
    }

    bool is_finished()
    {
        return trt_load_acquire(&state) >= DONE;
    }

    bool add(waiter *w)
    {
        waiter *before = trt_load_acquire(&newest);
        bool checked = false;
        do {
            if (before == closed() && !(planted == ADD_UNCHECKED && checked)) {
                return false;
            }
            checked = true;
            w->live()->next($) = before;
        } while (!newest.compare_exchange(
            rl::bool_t<false>(), before, w, order(ADD_RELAXED, mo_acquire, mo_acq_rel),
            order(ADD_RELAXED, mo_relaxed, mo_acquire), $));
        return true;
    }

    static waiter *oldest_first(waiter *w)
    {
        waiter *oldest = nullptr;
        while (w) {
            waiter *const older = w->live()->next($);
            w->next($) = oldest;
            oldest = w;
            w = older;
        }
        return oldest;
    }

    waiter *close()
    {
        waiter *w;
        if (planted == CLOSE_PLAIN) {
            w = trt_load_acquire(&newest);
            trt_store_release(&newest, closed());
        } else {
            w = trt_exchange(&newest, closed(),
                             order(CLOSE_RELAXED, mo_acquire, mo_acq_rel));
        }
        RL_ASSERT(w != closed());
        return oldest_first(w);
    }

    void wake(waiter *w)
    {
        const unsigned owner = w->live()->owner;
        lock.lock($);
        woken[owner]($) = woken[owner]($) + 1;
        changed.notify_all($);
        lock.unlock($);
    }

    void fire(waiter *first)
    {
        while (first) {
            waiter *const w = first->live();
            first = w->next($);
            unsigned expected = WAITING;
            if (trt_cas_acq_rel(&w->decision, &expected, (unsigned)FIRED) ||
                planted == FIRE_UNDECIDED) {
                wake(w);
            } else {
                RL_ASSERT(expected == ABANDONED);
                release(w);
            }
            if (planted == FIRE_NEXT_LATE) {
                first = w->live()->next($);
            }
        }
    }

    static waiter *keep_waiting(waiter *chain, waiter *tail)
    {
        waiter *kept = nullptr;
        waiter *last = nullptr;
        while (chain) {
            waiter *const w = chain;
            chain = w->live()->next($);
            if (trt_load_acquire(&w->decision) == ABANDONED) {
                release(w);
                continue;
            }
            if (last) {
                last->next($) = w;
            } else {
                kept = w;
            }
            last = w;
        }
        if (!last) {
            return tail;
        }
        last->next($) = tail;
        return kept;
    }

    void sweep()
    {
        waiter *held = nullptr;
        waiter *found = trt_load_acquire(&newest);
        for (;;) {
            if (found == closed()) {
                if (planted != SWEEP_NO_FIRE) {
                    fire(oldest_first(held));
                }
                return;
            }
            if (!found && !held) {
                return;
            }
            if (!found && planted == SWEEP_STORES) {
                trt_store_release(&newest, held);
                return;
            }
            waiter *const put = found ? nullptr : held;
            if (!newest.compare_exchange(rl::bool_t<false>(), found, put,
                                         order(SWEEP_RELAXED, mo_acquire, mo_acq_rel),
                                         mo_acquire, $)) {
                continue;
            }
            if (!found) {
                return;
            }
            held = keep_waiting(found, planted == SWEEP_FORGETS ? nullptr : held);
            found = nullptr;
        }
    }

    bool remove(waiter *w)
    {
        unsigned expected = WAITING;
        if (!trt_cas_acq_rel(&w->live()->decision, &expected, (unsigned)ABANDONED) &&
            planted != REMOVE_UNDECIDED) {
            RL_ASSERT(expected == FIRED);
            return false;
        }
        if (planted == REMOVE_FREES) {
            release(w);
        }
        sweep();
        return true;
    }
};

template <typename derived, int threads>
struct scene_base : rl::test_suite<derived, threads> {
    task t;
    waiter waiters[MOST_THREADS];
    var<int> endings;

    void before()
    {
        t.init();
        endings($) = 0;
        for (unsigned i = 0; i < MOST_THREADS; i++) {
            waiter *const w = &waiters[i];
            w->next($) = nullptr;
            w->freed($) = 0;
            w->owner = i;
            trt_store_relaxed(&w->decision, (unsigned)WAITING);
        }
    }

    void end_task(int result)
    {
        endings($) = endings($) + 1;
        if (result == DONE) {
            t.finish(DONE);
        }
        t.fire(t.close());
    }

    void run()
    {
        if (t.claim()) {
            t.result($) = DONE;
            end_task(DONE);
        }
    }

    void cancel()
    {
        t.reason($) = CANCELLED;
        if (t.cancel_pending()) {
            end_task(CANCELLED);
        }
    }

    // All that makes result and reason visible is what the caller did before.
    void look_at_result()
    {
        const unsigned state = trt_load_acquire(&t.state);
        if (state == DONE) {
            RL_ASSERT(t.result($) == DONE);
        } else if (state == CANCELLED) {
            RL_ASSERT(t.reason($) == CANCELLED);
        }
    }

    void look_at_end()
    {
        RL_ASSERT(t.is_finished());
        look_at_result();
    }

    void await_wake(unsigned i)
    {
        t.lock.lock($);
        while (!t.woken[i]($)) {
            t.changed.wait(t.lock, $);
        }
        t.lock.unlock($);
    }

    void stay(unsigned i)
    {
        waiter *const w = &waiters[i];
        if (t.add(w)) {
            await_wake(i);
        }
        look_at_end();
        release(w);
    }

    void leave(unsigned i)
    {
        waiter *const w = &waiters[i];
        if (!t.add(w)) {
            look_at_end();
            release(w);
        } else if (!t.remove(w)) {
            await_wake(i);
            look_at_end();
            release(w);
        } else {
            t.lock.lock($);
            RL_ASSERT(t.woken[i]($) == 0);
            t.lock.unlock($);
        }
    }

    void after()
    {
        RL_ASSERT(endings($) == 1);
        for (unsigned i = 2; i < (unsigned)threads; i++) {
            RL_ASSERT(waiters[i].freed($) == 1);
            RL_ASSERT(t.woken[i]($) <= 1);
        }
    }
};

// One stays, one leaves, while the task is run or cancelled.
struct one_leaves : scene_base<one_leaves, 4> {
    void thread(unsigned i)
    {
        switch (i) {
        case 0:
            run();
            break;
        case 1:
            cancel();
            break;
        case 2:
            stay(2);
            break;
        case 3:
            leave(3);
            break;
        }
    }
};

// Two sweeps hold each other's waiter, and that of one who stays.
struct two_leave : scene_base<two_leave, 5> {
    void thread(unsigned i)
    {
        switch (i) {
        case 0:
            run();
            break;
        case 1:
            look_at_result();
            break;
        case 2:
            stay(2);
            break;
        case 3:
            leave(3);
            break;
        case 4:
            leave(4);
            break;
        }
    }
};

int
main(int argc, char **argv)
{
    using all = model::scenes<one_leaves, two_leave>;
    return model::main<all, all>(argc, argv, plants, {200000, 2, false});
}
