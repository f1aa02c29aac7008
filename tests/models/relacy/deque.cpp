// The deque: queue/deque.h and queue/deque.c, function by function, from capacity 2.
//
// Checked: every item is taken exactly once, by somebody who sees what its pusher
// wrote; nobody reads a slot that was never written or a buffer that was freed.
#include "model.hpp"

using model::order;
using model::planted;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;

enum {
    PLANT_NONE,
    NO_CAS,
    POP_WEAK,
    STEAL_WEAK,
    PUSH_RELAXED,
    STEAL_NO_CAS,
    CLAIM_FIRST,
    BUFFER_RELAXED,
    BUFFER_FREED,
    GROW_LATE,
    POP_IF_WEAK,
    REFUSE_LATE,
};

static const model::plant plants[] = {
    {"no-cas", "pop takes the last item without competing for it"},
    {"pop-weak", "pop does not order its store of bottom before its load of top"},
    {"steal-weak", "steal does not order its load of top before that of bottom"},
    {"push-relaxed", "push does not publish the item"},
    {"steal-no-cas", "steal advances top by a store"},
    {"claim-first", "steal reads the slot after it has advanced top"},
    {"buffer-relaxed", "a grown buffer is not published"},
    {"buffer-freed", "the old buffer is freed when the deque grows"},
    {"grow-late", "push overwrites the oldest item before it grows"},
    {"pop-if-weak", "pop_if takes its item without competing for it"},
    {"refuse-late", "a thief looks whether it refuses the item when it has claimed it"},
    {nullptr, nullptr},
};

enum { ITEMS = 4, FIRST_CAPACITY = 2, BUFFERS = 3 };

struct item {
    var<int> content; // written before the push
    var<int> taken;   // how often
    bool foreign;     // constant
};

struct buffer {
    var<int> freed;
    var<size_t> mask;
    atomic<item *> slots[FIRST_CAPACITY << (BUFFERS - 1)];
};

struct deque {
    atomic<int64_t> bottom;
    atomic<int64_t> top;
    atomic<buffer *> current;
    buffer buffers[BUFFERS]; // the first, and what it grows into
    int used;                // owner: how many of them
    buffer *own;             // owner: the current one
    int64_t limit;           // owner

    void use_buffer(buffer *b, int64_t at_top)
    {
        own = b;
        limit = at_top + (int64_t)b->mask($) + 1 + (planted == GROW_LATE);
    }

    static void make_buffer(buffer *b, size_t capacity)
    {
        b->mask($) = capacity - 1;
        b->freed($) = 0;
        for (atomic<item *> &slot : b->slots) {
            trt_store_relaxed(&slot, (item *)nullptr);
        }
    }

    void init()
    {
        used = 1;
        make_buffer(&buffers[0], FIRST_CAPACITY);
        trt_store_relaxed(&bottom, (int64_t)0);
        trt_store_relaxed(&top, (int64_t)0);
        trt_store_relaxed(&current, &buffers[0]);
        use_buffer(&buffers[0], 0);
    }

    void grow(int64_t old_top, int64_t old_bottom)
    {
        buffer *const old = own;
        RL_ASSERT(used < BUFFERS);
        buffer *const b = &buffers[used];
        make_buffer(b, (size_t)FIRST_CAPACITY << used);
        used++;
        for (int64_t n = old_top; n < old_bottom; n++) {
            trt_store_relaxed(&b->slots[(size_t)n & b->mask($)],
                              trt_load_relaxed(&old->slots[(size_t)n & old->mask($)]));
        }
        current.store(b, order(BUFFER_RELAXED, mo_relaxed, mo_release), $);
        if (planted == BUFFER_FREED) {
            old->freed($) = 1;
        }
        use_buffer(b, old_top);
    }

    void push_slow(item *it)
    {
        const int64_t old_bottom = trt_load_relaxed(&bottom);
        const int64_t old_top = trt_load_relaxed(&top);
        use_buffer(own, old_top);
        if (old_bottom >= limit) {
            grow(old_top, old_bottom);
        }
        push(it);
    }

    void push(item *it)
    {
        const int64_t old = trt_load_relaxed(&bottom);
        if (old >= limit) {
            push_slow(it);
            return;
        }
        trt_store_relaxed(&own->slots[(size_t)old & own->mask($)], it);
        bottom.store(old + 1, order(PUSH_RELAXED, mo_relaxed, mo_release), $);
    }

    item *pop_last(int64_t newest)
    {
        int64_t old_top = newest;
        item *const it = trt_load_relaxed(&own->slots[(size_t)newest & own->mask($)]);
        if (planted == NO_CAS) {
            const bool is_there = trt_load_relaxed(&top) == newest;
            trt_store_release(&top, newest + 1);
            return is_there ? it : nullptr;
        }
        return trt_cas_seq_cst(&top, &old_top, newest + 1) ? it : nullptr;
    }

    item *pop_slow(int64_t newest)
    {
        item *const it = pop_last(newest);
        trt_store_release(&bottom, newest + 1);
        return it;
    }

    item *pop()
    {
        const int64_t newest = trt_load_relaxed(&bottom) - 1;
        const int64_t seen = trt_load_relaxed(&top);
        if (newest <= seen) {
            return newest == seen ? pop_last(newest) : nullptr;
        }
        bottom.store(newest, order(POP_WEAK, mo_release, mo_seq_cst), $);
        if (top.load(order(POP_WEAK, mo_acquire, mo_seq_cst), $) < newest) {
            return trt_load_relaxed(&own->slots[(size_t)newest & own->mask($)]);
        }
        return pop_slow(newest);
    }

    bool pop_if(const item *it)
    {
        const int64_t newest = trt_load_relaxed(&bottom) - 1;
        if (trt_load_relaxed(&own->slots[(size_t)newest & own->mask($)]) != it) {
            return false;
        }
        if (planted == POP_IF_WEAK) {
            trt_store_release(&bottom, newest);
            return true;
        }
        return pop() != nullptr;
    }

    // What the caller got; null when empty, lost or refused. The bit that may be
    // refused is part of the address in the real deque.
    item *steal_unless(bool refused)
    {
        int64_t n = top.load(order(STEAL_WEAK, mo_acquire, mo_seq_cst), $);
        const int64_t end = bottom.load(order(STEAL_WEAK, mo_acquire, mo_seq_cst), $);
        if (n >= end) {
            return nullptr;
        }
        buffer *const b = trt_load_acquire(&current);
        RL_ASSERT(!b->freed($));
        item *it = trt_load_relaxed(&b->slots[(size_t)n & b->mask($)]);
        if (refused && it->foreign && planted != REFUSE_LATE) {
            return nullptr;
        }
        if (planted == STEAL_NO_CAS) {
            trt_store_seq_cst(&top, n + 1);
        } else if (!trt_cas_seq_cst(&top, &n, n + 1)) {
            return nullptr;
        }
        if (refused && it->foreign) {
            return nullptr;
        }
        if (planted == CLAIM_FIRST) {
            it = trt_load_relaxed(&b->slots[(size_t)n & b->mask($)]);
        }
        RL_ASSERT(it != nullptr);
        return it;
    }

    item *steal()
    {
        return steal_unless(false);
    }
};

template <typename derived, int threads>
struct scene_base : rl::test_suite<derived, threads> {
    deque d;
    item items[ITEMS];

    void before()
    {
        d.init();
        for (item &it : items) {
            it.content($) = 0;
            it.taken($) = 0;
            it.foreign = (&it - items) % 2 == 1;
        }
    }

    void push(int i)
    {
        items[i].content($) = i + 1;
        d.push(&items[i]);
    }

    // Only one taker of an item may exist, so this is a race or an error otherwise.
    void take(item *it)
    {
        if (it) {
            RL_ASSERT(it->content($) == (int)(it - items) + 1);
            it->taken($) = it->taken($) + 1;
        }
    }

    void pop()
    {
        take(d.pop());
    }

    void pop_if(int i)
    {
        if (d.pop_if(&items[i])) {
            take(&items[i]);
        }
    }

    void after_items(int pushed)
    {
        for (int i = 0; i < pushed; i++) {
            RL_ASSERT(items[i].taken($) == 1);
        }
    }
};

// The owner pushes past the capacity, then empties the deque.
struct growing : scene_base<growing, 3> {
    void thread(unsigned i)
    {
        if (i > 0) {
            take(d.steal());
            return;
        }
        push(0);
        push(1);
        push(2);
        pop();
        pop();
        pop();
    }

    void after()
    {
        after_items(3);
    }
};

// Few items, so that owner and thieves always meet at the last one; a slot is reused.
struct meeting : scene_base<meeting, 3> {
    void thread(unsigned i)
    {
        if (i > 0) {
            take(d.steal_unless(i == 1));
            take(d.steal());
            return;
        }
        push(0);
        pop_if(0);
        push(1);
        push(2);
        pop();
        push(3);
        pop_if(3);
        while (item *it = d.pop()) {
            take(it);
        }
    }

    void after()
    {
        after_items(4);
    }
};

// The smallest scene in which owner and thief may both want the last item.
struct dueling : scene_base<dueling, 2> {
    void thread(unsigned i)
    {
        if (i > 0) {
            take(d.steal());
            take(d.steal());
            return;
        }
        push(0);
        push(1);
        pop();
        pop();
    }

    void after()
    {
        after_items(2);
    }
};

int
main(int argc, char **argv)
{
    using all = model::scenes<dueling, growing, meeting>;
    return model::main<all, all>(argc, argv, plants, {350000, 2, false});
}
