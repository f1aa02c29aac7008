// The children of a native task: queue/frames.c and, from taskrt_native.h, trt_spawn
// and trt_join, function by function, from capacity 2. What join_slow and spawn_slow do
// is that of native/strand.c, with a thread that blocks for a strand that is left.
//
// Checked: every frame is run exactly once, by the one that joins it or by a thief, who
// sees what was written before its spawn and which work it belongs to; the one that
// joins it sees what the thief has written, and waits until the thief has let go of the
// frame; who waits is resumed exactly once; nobody reads a slot that was never written,
// or slots or a frame that are gone; a task that has forgotten a child harms no later
// one.
//
// Both kinds of barrier are tried: which one is part of the schedule. The kernel's
// fence on all cores is relacy's system-wide fence, as in sleep.cpp.
#include "model.hpp"

using model::order;
using model::planted;
using rl::mo_acq_rel;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;

enum {
    PLANT_NONE,
    NO_LIGHT,
    LOOK_EARLY,
    NO_HEAVY,
    LOOK_FIRST,
    CLAIM_UNLOCKED,
    CLAIM_KEPT,
    NO_SECOND_LOOK,
    SECOND_LOOK_BARE,
    SLOT_LATE,
    MARK_LATE,
    BEGIN_UNLOCKED,
    PUSH_RELAXED,
    JOIN_UNCHECKED,
    TAKE_UNLOCKED,
    TAKE_KEEPS_HEAD,
    GROW_UNLOCKED,
    FREED_EARLY,
    CLEAR_UNLOCKED,
    END_RELAXED,
    END_LATE,
    AWAIT_STORES,
    AWAIT_RELAXED,
};

static const model::plant plants[] = {
    {"no-light", "a join has no fence between its store of tail and its look at head"},
    {"look-early", "the compiler moves a join's look at head before its store of tail"},
    {"no-heavy", "a thief has no fence between its claim and its look at tail"},
    {"look-first", "a thief looks at tail before it claims"},
    {"claim-unlocked", "thieves claim without the lock"},
    {"claim-kept", "a thief that was too late leaves head where it has moved it"},
    {"no-second-look", "a thief that was too late does not look again"},
    {"second-look-bare", "a thief that was too late looks again without a barrier"},
    {"slot-late", "a thief reads the slot after it has unlocked"},
    {"mark-late", "a thief marks the frame as stolen after it has unlocked"},
    {"begin-unlocked", "a stack says without the lock whose work it runs next"},
    {"push-relaxed", "a spawn does not publish the frame"},
    {"join-unchecked", "a join does not look whether the newest frame is its own"},
    {"take-unlocked", "a take does not wait for the thief that is between two steps"},
    {"take-keeps-head", "a take leaves head above the tail that it lowers"},
    {"grow-unlocked", "the slots are replaced without the lock"},
    {"freed-early", "the old slots are freed while thieves use them"},
    {"clear-unlocked", "all frames are forgotten without the lock"},
    {"end-relaxed", "the end of a frame does not publish its outcome"},
    {"end-late", "a thief writes the outcome after it has let go of the frame"},
    {"await-stores", "who waits overwrites the end that has come"},
    {"await-relaxed", "who waits does not publish how to be resumed"},
    {nullptr, nullptr},
};

enum state { PENDING, STOLEN, ENDED, RAN, STATES };
enum take_result { GOT, TAKE_STOLEN, TAKE_RAN, WRONG };
enum { MISUSE = -2, SOMEBODY_IS_THERE = -3 };

struct waiter {
    var<int> resumable; // stands for the function pointer
    // Where the waiting thread sleeps.
    rl::mutex lock;
    rl::condition_variable changed;
    var<int> resumed; // how often; guarded by the lock

    void init()
    {
        resumable($) = 0;
        resumed($) = 0;
    }

    void resume()
    {
        RL_ASSERT(resumable($) == 1);
        lock.lock($);
        resumed($) = resumed($) + 1;
        changed.notify_one($);
        lock.unlock($);
    }

    void sleep()
    {
        lock.lock($);
        while (!resumed($)) {
            changed.wait(lock, $);
        }
        RL_ASSERT(resumed($) == 1);
        resumed($) = 0;
        lock.unlock($);
    }
};

struct frames;

struct frame {
    var<int> arg; // the function follows from it
    atomic<uintptr_t> state;
    var<int> status;
    var<int> gone; // its spawner has joined it

    // What its function does.
    int number;   // constant
    int job;      // constant: the work that it belongs to
    frame *child; // constant: what it spawns and joins, if it does
    bool deep;    // constant: the stack is short when it is joined
    var<int> result;
    var<int> runs; // how often it was run

    void init(int i)
    {
        number = i + 1;
        job = 1;
        child = nullptr;
        deep = false;
        gone($) = 0;
        runs($) = 0;
    }

    // A thief's access: an error or a race when the frame is gone.
    frame *live()
    {
        RL_ASSERT(!gone($));
        return this;
    }

    int run(frames *ctx);

    void end(int outcome)
    {
        if (planted != END_LATE) {
            live()->status($) = outcome;
        }
        const uintptr_t before =
            trt_exchange(&live()->state, (uintptr_t)ENDED,
                         order(END_RELAXED, mo_relaxed, mo_acq_rel));
        if (planted == END_LATE) {
            live()->status($) = outcome;
        }
        if (before >= STATES) {
            ((waiter *)before)->resume();
        }
    }

    bool await(waiter *w)
    {
        uintptr_t expected = STOLEN;
        if (planted == AWAIT_STORES) {
            if (trt_load_acquire(&state) != STOLEN) {
                return false;
            }
            trt_store_release(&state, (uintptr_t)w);
            return true;
        }
        return state.compare_exchange(rl::bool_t<false>(), expected, (uintptr_t)w,
                                      order(AWAIT_RELAXED, mo_acquire, mo_acq_rel),
                                      mo_acquire, $);
    }
};

using slot = var<frame *>;

enum { FIRST_CAPACITY = 2, BUFFERS = 2 };

struct buffer {
    var<int> freed;
    slot places[FIRST_CAPACITY << (BUFFERS - 1)];
};

struct frames {
    bool full_fence; // constant
    atomic<slot *> tail;
    atomic<slot *> head;
    rl::mutex lock;
    var<int> cancel; // guarded by the lock
    waiter own;      // of the owner
    // Owner: the slots, and what they grow into.
    slot *slots;
    slot *limit;
    size_t capacity;
    int used;
    int memory; // how many buffers there are
    buffer buffers[BUFFERS];

    void init(size_t first_capacity, int available)
    {
        full_fence = rl::rand(2) == 1;
        for (buffer &b : buffers) {
            b.freed($) = 0;
        }
        used = 1;
        memory = available;
        slots = buffers[0].places;
        capacity = first_capacity;
        limit = slots + first_capacity;
        trt_store_relaxed(&head, slots);
        trt_store_relaxed(&tail, slots);
        cancel($) = 0;
        own.init();
    }

    // Freeing is a mark, so that relacy sees a race where memory would only be reused.
    static void release(buffer *b)
    {
        RL_ASSERT(!b->freed($));
        b->freed($) = 1;
    }

    // Every access to a slot goes through here: it is in one of the buffers, and that
    // is not freed.
    slot *live(slot *s)
    {
        for (buffer &b : buffers) {
            if (s >= b.places && s < b.places + sizeof b.places / sizeof *s) {
                RL_ASSERT(!b.freed($));
                return s;
            }
        }
        RL_ASSERT(!"a slot that does not exist");
        return nullptr;
    }

    void light()
    {
        if (full_fence) {
            trt_fence_seq_cst();
        }
    }

    void heavy()
    {
        if (planted == NO_HEAVY) {
            return;
        }
        if (full_fence) {
            trt_fence_seq_cst();
        } else {
            rl::systemwide_fence($);
        }
    }

    void lock_unless(int plant)
    {
        if (planted != plant) {
            lock.lock($);
        }
    }

    void unlock_unless(int plant)
    {
        if (planted != plant) {
            lock.unlock($);
        }
    }

    // --- taskrt_native.h

    // The look at the sleepers after a push is in sleep.cpp.
    void spawn(frame *fr)
    {
        fr->arg($) = fr->number;
        trt_store_relaxed(&fr->state, (uintptr_t)PENDING);
        slot *newest = trt_load_relaxed(&tail);
        if (newest == limit) {
            if (!spawn_slow(fr)) {
                return;
            }
            newest = trt_load_relaxed(&tail);
        }
        (*live(newest))($) = fr;
        tail.store(newest + 1, order(PUSH_RELAXED, mo_relaxed, mo_release), $);
        light();
    }

    int join(frame *fr)
    {
        slot *const newest = trt_load_relaxed(&tail) - 1;
        const bool early = planted == LOOK_EARLY && !full_fence;
        slot *claimed = early ? trt_load_relaxed(&head) : nullptr;
        trt_store_release(&tail, newest);
        if (planted != NO_LIGHT) {
            light();
        }
        if (!early) {
            claimed = trt_load_relaxed(&head);
        }
        if (claimed <= newest &&
            (planted == JOIN_UNCHECKED || (*live(newest))($) == fr) && !fr->deep) {
            return fr->run(this);
        }
        trt_store_release(&tail, newest + 1);
        return join_slow(fr);
    }

    // --- queue/frames.c

    void copy(slot *grown, size_t filled)
    {
        for (size_t n = 0; n < filled; n++) {
            grown[n]($) = (frame *)(*live(&slots[n]))($);
        }
    }

    bool grow()
    {
        const size_t filled = (size_t)(trt_load_relaxed(&tail) - slots);
        if (used == memory) {
            return false;
        }
        buffer *const old = &buffers[used - 1];
        slot *const grown = buffers[used].places;
        const bool early = planted == FREED_EARLY;
        used++;
        if (early) {
            copy(grown, filled);
            release(old);
        }
        lock_unless(GROW_UNLOCKED);
        const size_t stolen = (size_t)(trt_load_relaxed(&head) - slots);
        if (!early) {
            copy(grown, filled);
        }
        slots = grown;
        capacity *= 2;
        limit = slots + capacity;
        trt_store_relaxed(&head, slots + stolen);
        trt_store_release(&tail, slots + filled);
        unlock_unless(GROW_UNLOCKED);
        if (!early) {
            release(old);
        }
        return true;
    }

    slot *find(slot *newest, frame *fr)
    {
        for (slot *place = newest; place >= slots; place--) {
            if ((*live(place))($) == fr) {
                return place;
            }
        }
        return nullptr;
    }

    take_result take(frame *fr)
    {
        if (trt_load_relaxed(&fr->state) == RAN) {
            return TAKE_RAN;
        }
        slot *const place = find(trt_load_relaxed(&tail) - 1, fr);
        if (!place) {
            return WRONG;
        }
        lock_unless(TAKE_UNLOCKED);
        const bool stolen = trt_load_relaxed(&head) > place;
        if (stolen && planted != TAKE_KEEPS_HEAD) {
            trt_store_relaxed(&head, place);
        }
        trt_store_release(&tail, place);
        unlock_unless(TAKE_UNLOCKED);
        return stolen ? TAKE_STOLEN : GOT;
    }

    // Whether there was nothing to forget.
    bool clear()
    {
        if (trt_load_relaxed(&tail) == slots) {
            return true;
        }
        lock_unless(CLEAR_UNLOCKED);
        trt_store_relaxed(&head, slots);
        trt_store_release(&tail, slots);
        unlock_unless(CLEAR_UNLOCKED);
        return false;
    }

    bool offer()
    {
        slot *const oldest = trt_load_relaxed(&head);
        return oldest < trt_load_relaxed(&tail);
    }

    // Under the lock, which it gives back.
    frame *claim(int *work)
    {
        frame *fr = nullptr;
        slot *const oldest = trt_load_relaxed(&head);
        slot *seen = planted == LOOK_FIRST ? trt_load_acquire(&tail) : nullptr;
        trt_store_relaxed(&head, oldest + 1);
        heavy();
        if (planted != LOOK_FIRST) {
            seen = trt_load_acquire(&tail);
        }
        const bool got = oldest < seen;
        if (got) {
            if (planted != SLOT_LATE) {
                fr = (*live(oldest))($);
            }
            *work = cancel($);
            if (planted != MARK_LATE && planted != SLOT_LATE) {
                trt_store_relaxed(&fr->live()->state, (uintptr_t)STOLEN);
            }
        } else if (planted != CLAIM_KEPT) {
            trt_store_relaxed(&head, oldest);
        }
        unlock_unless(CLAIM_UNLOCKED);
        if (got && planted == SLOT_LATE) {
            fr = (*live(oldest))($);
        }
        if (got && (planted == SLOT_LATE || planted == MARK_LATE)) {
            trt_store_relaxed(&fr->live()->state, (uintptr_t)STOLEN);
        }
        return fr;
    }

    // Of the work that *work names, unless that is 0.
    frame *steal(int *work)
    {
        frame *fr = nullptr;
        while (!fr && offer()) {
            if (planted != CLAIM_UNLOCKED && !lock.try_lock($)) {
                *work = SOMEBODY_IS_THERE;
                break;
            }
            const bool wanted = !*work || *work == cancel($);
            if (!wanted) {
                unlock_unless(CLAIM_UNLOCKED);
                break;
            }
            fr = claim(work);
            if (planted == NO_SECOND_LOOK) {
                break;
            }
            if (planted != SECOND_LOOK_BARE) {
                light();
            }
        }
        return fr;
    }

    // --- native/strand.c

    bool spawn_slow(frame *fr)
    {
        if (grow()) {
            return true;
        }
        fr->status($) = fr->run(this);
        trt_store_relaxed(&fr->state, (uintptr_t)RAN);
        return false;
    }

    int join_slow(frame *fr)
    {
        switch (take(fr)) {
        case GOT:
            return fr->run(this);
        case TAKE_RAN:
            return fr->status($);
        case WRONG:
            return MISUSE;
        case TAKE_STOLEN:
            break;
        }
        if (trt_load_acquire(&fr->state) != ENDED) {
            own.resumable($) = 1;
            if (fr->await(&own)) {
                own.sleep();
            }
            RL_ASSERT(trt_load_relaxed(&fr->state) == ENDED);
        }
        return fr->status($);
    }

    // Let others come in between, as long code does. In the exhaustive search the
    // scheduler does that.
    void linger()
    {
        if (rl::ctx().is_random_sched() && rl::rand(2)) {
            for (unsigned n = rl::rand(20); n > 0; n--) {
                trt_load_relaxed(&tail);
            }
        }
    }

    // What a task does with a child, to the end of its life.
    void join_and_leave(frame *fr)
    {
        RL_ASSERT(join(fr) == fr->number);
        RL_ASSERT(fr->result($) == fr->number);
        fr->gone($) = 1;
    }

    void begin(int job)
    {
        lock_unless(BEGIN_UNLOCKED);
        cancel($) = job;
        unlock_unless(BEGIN_UNLOCKED);
    }
};

int
frame::run(frames *ctx)
{
    RL_ASSERT(arg($) == number);
    runs($) = runs($) + 1;
    ctx->linger();
    if (child) {
        ctx->spawn(child);
        ctx->join_and_leave(child);
    }
    result($) = number;
    return number;
}

enum { FRAMES = 4 };

// Thread 0 is the task, the others steal from it. If what they steal has children, each
// thread has a stack of frames of its own.
template <typename derived, int threads, int stacks>
struct scene_base : rl::test_suite<derived, threads> {
    frames f[stacks];
    frame list[FRAMES];

    void before()
    {
        prepare(FIRST_CAPACITY, BUFFERS);
    }

    void prepare(size_t first_capacity, int memory)
    {
        for (frames &one : f) {
            one.init(first_capacity, memory);
            one.begin(1);
        }
        for (int i = 0; i < FRAMES; i++) {
            list[i].init(i);
        }
    }

    void spawn(int i)
    {
        f[0].spawn(&list[i]);
        f[0].linger();
    }

    void join(int i)
    {
        f[0].join_and_leave(&list[i]);
    }

    void steal(unsigned thief, int victim = 0, int only = 0)
    {
        f[victim].linger();
        int work = only;
        frame *const fr = f[victim].steal(&work);
        if (fr) {
            RL_ASSERT(work == fr->live()->job && (!only || work == only));
            fr->end(fr->run(&f[stacks > 1 ? thief : 0]));
        }
    }

    void after()
    {
        after_frames(FRAMES);
    }

    void after_frames(int spawned)
    {
        for (frames &one : f) {
            RL_ASSERT(one.own.resumed($) == 0);
            RL_ASSERT(one.clear());
            RL_ASSERT(trt_load_relaxed(&one.head) == one.slots);
        }
        for (int i = 0; i < spawned; i++) {
            RL_ASSERT(list[i].runs($) == 1);
        }
    }
};

// The smallest scene in which owner and thief may both want the last frame; a slot is
// used again, and for the second time on a short stack.
struct dueling : scene_base<dueling, 2, 1> {
    void thread(unsigned i)
    {
        if (i > 0) {
            steal(i);
            steal(i);
            return;
        }
        list[1].deep = true;
        spawn(0);
        join(0);
        spawn(1);
        join(1);
    }

    void after()
    {
        after_frames(2);
    }
};

// A stack that is empty and then filled again, and newer frames above one that waits.
struct nested : scene_base<nested, 2, 1> {
    void thread(unsigned i)
    {
        if (i > 0) {
            steal(i);
            steal(i);
            return;
        }
        spawn(0);
        join(0);
        spawn(1);
        spawn(2);
        join(2);
        spawn(3);
        join(3);
        join(1);
    }
};

// As many frames as there is room for, and one more.
struct growing : scene_base<growing, 3, 1> {
    void thread(unsigned i)
    {
        if (i > 0) {
            steal(i);
            return;
        }
        spawn(0);
        spawn(1);
        spawn(2);
        join(2);
        join(1);
        join(0);
    }

    void after()
    {
        after_frames(3);
    }
};

// Two thieves, each of which may have a frame when the other comes.
struct crowded : scene_base<crowded, 3, 1> {
    void thread(unsigned i)
    {
        if (i > 0) {
            steal(i);
            steal(i);
            return;
        }
        spawn(0);
        spawn(1);
        join(1);
        spawn(2);
        spawn(3);
        join(3);
        join(2);
        join(0);
    }
};

// What is stolen has a child, which is stolen from the thief.
struct chained : scene_base<chained, 3, 3> {
    void thread(unsigned i)
    {
        if (i > 0) {
            steal(i);
            steal(i, 3 - i);
            steal(i);
            return;
        }
        list[0].child = &list[1];
        list[2].child = &list[3];
        spawn(0);
        spawn(2);
        join(2);
        join(0);
    }
};

// One place and no memory for more: what has no room runs when it is spawned.
struct short_of_memory : scene_base<short_of_memory, 2, 1> {
    void before()
    {
        prepare(1, 1);
    }

    void thread(unsigned i)
    {
        if (i > 0) {
            steal(i);
            steal(i);
            return;
        }
        spawn(0);
        spawn(1);
        join(1);
        spawn(2);
        join(2);
        join(0);
    }

    void after()
    {
        after_frames(3);
    }
};

// A task after the other, with other words to look at. The first one returns without
// having joined a child, which a thief may have by then.
struct forgetting : scene_base<forgetting, 2, 1> {
    void thread(unsigned i)
    {
        if (i > 0) {
            steal(i);
            steal(i, 0, 2);
            return;
        }
        spawn(0);
        RL_ASSERT(!f[0].clear());
        f[0].begin(2);
        list[1].job = 2;
        spawn(1);
        join(1);
        RL_ASSERT(f[0].clear());
        f[0].begin(3);
        list[2].job = 3;
        spawn(2);
        join(2);
    }

    void after()
    {
        RL_ASSERT(list[0].runs($) <= 1);
        list[0].runs($) = 1;
        after_frames(3);
    }
};

// A third thread goes to sleep: steps G1 to G3 of sleeping, as far as frames go. The
// task looks for sleepers after its last push, which nobody joins here. It must not lie
// there while that thread sleeps and nobody knows.
struct sleeping : scene_base<sleeping, 3, 1> {
    atomic<int> sleepers;
    var<int> told, found, stolen;

    void before()
    {
        prepare(FIRST_CAPACITY, BUFFERS);
        trt_store_relaxed(&sleepers, 0);
        told($) = 0;
        found($) = 0;
        stolen($) = 0;
    }

    void thread(unsigned i)
    {
        if (i == 0) {
            spawn(0);
            join(0);
            f[0].spawn(&list[1]);
            told($) = trt_load_relaxed(&sleepers);
        } else if (i == 1) {
            int work = 0;
            frame *const fr = f[0].steal(&work);
            if (fr) {
                stolen($) = fr->number;
                fr->end(fr->run(&f[0]));
            } else if (work == SOMEBODY_IS_THERE) {
                stolen($) = 2; // whoever it is looks again; here, nobody is
            }
        } else {
            trt_store_relaxed(&sleepers, 1);
            f[0].heavy();
            found($) = f[0].offer();
        }
    }

    void after()
    {
        RL_ASSERT(told($) || found($) || stolen($) == 2);
    }
};

int
main(int argc, char **argv)
{
    using large = model::scenes<crowded, short_of_memory, forgetting, chained, growing,
                                nested, dueling, sleeping>;
    using small =
        model::scenes<dueling, nested, short_of_memory, forgetting, growing, sleeping>;
    return model::main<large, small>(argc, argv, plants, {150000, 2, false});
}
