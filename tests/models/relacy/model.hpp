// What the relacy models share: the operations of os/atomics.h over relacy's atomics,
// so that a port reads like the C code it stands for, and the command line.
//
//     MODEL                 check the correct code: random schedules, then all
//     schedules
//                           with few preemptions; exit status 0 if no error
//     MODEL --list          names of the planted bugs, one a line
//     MODEL --plant NAME    plant a bug; exit status 0 if it is found
//     --random N            how many random schedules of each scene
//     --bound N             most preemptions in the exhaustive search
//     --history             print the schedule that failed, step by step
#pragma once

#include <relacy/relacy.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define trt_load_relaxed(p) (p)->load(rl::mo_relaxed, $)
#define trt_load_acquire(p) (p)->load(rl::mo_acquire, $)
#define trt_load_seq_cst(p) (p)->load(rl::mo_seq_cst, $)
#define trt_store_relaxed(p, v) (p)->store((v), rl::mo_relaxed, $)
#define trt_store_release(p, v) (p)->store((v), rl::mo_release, $)
#define trt_store_seq_cst(p, v) (p)->store((v), rl::mo_seq_cst, $)
#define trt_exchange(p, v, mo) (p)->rmw(rl::rmw_type_t<rl::rmw_type_swap>(), (v), mo, $)
#define trt_exchange_acq_rel(p, v) trt_exchange(p, v, rl::mo_acq_rel)
#define trt_exchange_seq_cst(p, v) trt_exchange(p, v, rl::mo_seq_cst)
#define trt_cas(p, expected, desired, mo, failed)                                      \
    (p)->compare_exchange(rl::bool_t<false>(), *(expected), (desired), mo, failed, $)
#define trt_cas_relaxed(p, e, d) trt_cas(p, e, d, rl::mo_relaxed, rl::mo_relaxed)
#define trt_cas_acq_rel(p, e, d) trt_cas(p, e, d, rl::mo_acq_rel, rl::mo_acquire)
#define trt_cas_seq_cst(p, e, d) trt_cas(p, e, d, rl::mo_seq_cst, rl::mo_acquire)
#define trt_fetch_add_relaxed(p, v)                                                    \
    (p)->rmw(rl::rmw_type_t<rl::rmw_type_add>(), (v), rl::mo_relaxed, $)
#define trt_fetch_and_relaxed(p, v)                                                    \
    (p)->rmw(rl::rmw_type_t<rl::rmw_type_and>(), (v), rl::mo_relaxed, $)
#define trt_fence_seq_cst() rl::atomic_thread_fence(rl::mo_seq_cst, $)

// A plain variable, checked for races. Reading and writing it is written `v($)`.
using rl::atomic;
using rl::var;

namespace model
{

struct plant {
    const char *name;
    const char *what; // is wrong then
};

// Number of the bug that is planted, in the model's enum; 0: none.
inline int planted = 0;

inline rl::memory_order
order(int plant, rl::memory_order weak, rl::memory_order right)
{
    return planted == plant ? weak : right;
}

struct options {
    rl::iteration_t random;
    unsigned bound;
    bool history;
};

struct outcome {
    bool ok;
    unsigned long long schedules;
};

template <typename scene>
outcome
search(const options &o, bool exhaustive)
{
    // Made once and written to nowhere: relacy replaces operator new, and a stream that
    // allocates would mix its memory with that of the model.
    static std::ostream nowhere(nullptr);
    rl::test_params p;
    p.output_stream = o.history ? &std::cout : &nowhere;
    p.progress_stream = &nowhere;
    p.execution_depth_limit = 5000;
    p.search_type = exhaustive ? rl::sched_bound : rl::sched_random;
    p.context_bound = o.bound;
    p.iteration_count = o.random;
    const bool ok = rl::simulate<scene>(p);
    return {ok, p.stop_iteration};
}

// A scene is a test of relacy. These list what is searched in which way.
template <typename... scene> struct scenes {};

struct total {
    unsigned long long schedules;
    bool error;
};

// Searches one scene after the other until there is an error.
template <typename... scene>
total
search_all(const options &o, bool exhaustive, scenes<scene...>)
{
    total t = {0, false};
    auto one = [&](outcome r) {
        t.schedules += r.schedules;
        t.error = !r.ok;
        return r.ok;
    };
    (void)(one(search<scene>(o, exhaustive)) && ...);
    return t;
}

template <typename at_random, typename exhaustively>
int
check(const options &o)
{
    const total random = search_all(o, false, at_random());
    if (random.error) {
        std::printf("error after %llu random schedules\n", random.schedules);
        return 1;
    }
    const total all = search_all(o, true, exhaustively());
    if (all.error) {
        std::printf("error after %llu bounded schedules\n", all.schedules);
        return 1;
    }
    std::printf("%llu random schedules, and all %llu with at most %u preemptions\n",
                random.schedules, all.schedules, o.bound);
    return 0;
}

// Random schedules first, as they find most bugs at once.
template <typename at_random, typename exhaustively>
int
hunt(const options &o)
{
    const total random = search_all(o, false, at_random());
    if (random.error) {
        std::printf("found after %llu random schedules\n", random.schedules);
        return 0;
    }
    const total all = search_all(o, true, exhaustively());
    if (all.error) {
        std::printf("found after %llu bounded schedules\n", all.schedules);
        return 0;
    }
    std::printf("not found\n");
    return 1;
}

// `plants` ends with a null name and is in the order of the model's enum, which begins
// with the one that stands for none.
template <typename at_random, typename exhaustively>
int
main(int argc, char **argv, const plant *plants, options o)
{
    for (int i = 1; i < argc; i++) {
        const char *const value = i + 1 < argc ? argv[i + 1] : "";
        if (!std::strcmp(argv[i], "--list")) {
            for (const plant *p = plants; p->name; p++) {
                std::printf("%s\t%s\n", p->name, p->what);
            }
            return 0;
        } else if (!std::strcmp(argv[i], "--plant")) {
            for (int n = 0; plants[n].name; n++) {
                if (!std::strcmp(plants[n].name, value)) {
                    planted = n + 1;
                }
            }
            if (!planted) {
                std::printf("no such plant\n");
                return 2;
            }
            i++;
        } else if (!std::strcmp(argv[i], "--random")) {
            o.random = std::strtoull(value, nullptr, 10);
            i++;
        } else if (!std::strcmp(argv[i], "--bound")) {
            o.bound = (unsigned)std::strtoul(value, nullptr, 10);
            i++;
        } else if (!std::strcmp(argv[i], "--history")) {
            o.history = true;
        } else {
            std::printf("see the head of model.hpp for what it accepts\n");
            return 2;
        }
    }
    return planted ? hunt<at_random, exhaustively>(o)
                   : check<at_random, exhaustively>(o);
}

} // namespace model
