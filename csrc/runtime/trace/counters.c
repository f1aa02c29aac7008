#include "trace/counters.h"

void
trt_counters_add_to(const trt_counters *c, trt_counters_snapshot *sum)
{
    sum->spawned += trt_load_relaxed(&c->spawned);
    sum->inlined += trt_load_relaxed(&c->inlined);
    sum->stolen += trt_load_relaxed(&c->stolen);
    sum->ran += trt_load_relaxed(&c->ran);
    sum->parked += trt_load_relaxed(&c->parked);
    sum->wakes += trt_load_relaxed(&c->wakes);
    sum->spurious_wakes += trt_load_relaxed(&c->spurious_wakes);
    sum->sleeps += trt_load_relaxed(&c->sleeps);
}
