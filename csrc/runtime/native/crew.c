#include "native/crew.h"

#include "os/check.h"
#include "os/clock.h"
#include "sched/pool.h"

enum {
    /* Looks around before a thread that has run out of native work goes to sleep: about
     * 20 microseconds, less than it takes to wake it up again. */
    SERVE_LOOKS = 200,
    LOOK_PAUSES = 8,
    /* A pause after a steal that took longer than what it brought: at first as long as
     * the steal, then doubled each time, up to this many nanoseconds. */
    PAUSE_MAX_NS = 200 * 1000,
};

static void
wake(trt_strands *home)
{
    trt_crew *const crew = (trt_crew *)home; /* its first member */
    if (trt_sleep_notify(&crew->worker->pool->teams[TRT_DEFAULT].sleep)) {
        trt_count(&crew->worker->counters.wakes);
    }
}

void
trt_crew_init(trt_crew *crew, trt_worker *w,
              void (*call)(trt_crew *crew, trt_strand *s))
{
    trt_strands_init(&crew->strands, &w->frames,
                     &w->pool->teams[TRT_DEFAULT].sleep.word, wake);
    crew->worker = w;
    crew->ready = NULL;
    crew->active = 0;
    crew->pause_ns = 0;
    crew->pause_until_ns = 0;
    crew->call = call;
}

void
trt_crew_destroy(trt_crew *crew)
{
    TRT_ASSERT(!crew->ready);
    trt_strands_destroy(&crew->strands);
}

/* The thief's side of a wait: let the strand's thread go on with it. */
static void
resume(trt_frame_waiter *waiter)
{
    trt_strand *const s = (trt_strand *)((char *)waiter - offsetof(trt_strand, waiter));
    trt_worker *const w = ((trt_crew *)s->home)->worker;
    trt_inbox_push(&w->strand_inbox, &s->ready);
    trt_parker_unpark(&w->parker);
}

void
trt_crew_end(trt_crew *crew, trt_strand *s)
{
    trt_frame *const frame = s->job;
    const int status = s->status;
    trt_strand_give_back(&crew->strands, s);
    trt_frame_end(frame, status);
}

/* Go on with a strand that runs a stolen frame, until it waits or has ended. */
static trt_strand_why
go(trt_crew *crew, trt_strand *s)
{
    const trt_strand_why why = trt_strand_go(s);
    switch (why) {
    case TRT_STRAND_ENDED:
        crew->active--;
        trt_crew_end(crew, s);
        break;
    case TRT_STRAND_WAITS:
        break;
    case TRT_STRAND_CALLS:
        crew->active--;
        crew->call(crew, s);
        break;
    }
    return why;
}

trt_strand_why
trt_crew_go_on(trt_crew *crew, trt_strand *s)
{
    s->waiter.resume = resume;
    crew->active++;
    return go(crew, s);
}

trt_strand_why
trt_crew_adopt(trt_crew *crew, trt_strand *s, trt_frame *frame,
               const _Atomic(uint32_t) *cancel)
{
    trt_strand_begin(s, frame, cancel);
    return trt_crew_go_on(crew, s);
}

static trt_strand *
next_ready(trt_crew *crew)
{
    if (!crew->ready) {
        if (trt_inbox_is_empty(&crew->worker->strand_inbox)) {
            return NULL;
        }
        crew->ready = trt_inbox_take_all(&crew->worker->strand_inbox);
    }
    trt_inbox_node *const node = crew->ready;
    crew->ready = node->next;
    return (trt_strand *)((char *)node - offsetof(trt_strand, ready));
}

bool
trt_crew_resume(trt_crew *crew)
{
    trt_strand *const s = next_ready(crew);
    if (s) {
        trt_worker_stop_searching(crew->worker);
        go(crew, s);
    }
    return s != NULL;
}

/* A steal interrupts its victim, which then waits for the thief: where children are
 * short, thieves must be rare. So whoever has stolen one that took less time than the
 * steal leaves the others alone for a while, and longer each time. */
static void
judge(trt_crew *crew, uint64_t steal_ns, uint64_t loot_ns, uint64_t now)
{
    if (loot_ns >= steal_ns) {
        crew->pause_ns = 0;
        return;
    }
    crew->pause_ns = crew->pause_ns ? crew->pause_ns * 2 : steal_ns;
    if (crew->pause_ns > PAUSE_MAX_NS) {
        crew->pause_ns = PAUSE_MAX_NS;
    }
    crew->pause_until_ns = now + crew->pause_ns;
}

static bool
pauses(const trt_crew *crew)
{
    return crew->pause_ns && trt_clock_now_ns() < crew->pause_until_ns;
}

static bool
steal(trt_crew *crew, const _Atomic(uint32_t) *only)
{
    /* A stack before a frame: without one, somebody else can still run it. */
    trt_strand *const s = trt_strand_take(&crew->strands);
    if (!s) {
        return false;
    }
    const _Atomic(uint32_t) *cancel = only;
    const uint64_t start = trt_clock_now_ns();
    trt_frame *const frame = trt_worker_steal_frame(crew->worker, &cancel);
    if (!frame) {
        trt_strand_give_back(&crew->strands, s);
        return false;
    }
    const uint64_t got = trt_clock_now_ns();
    if (trt_crew_adopt(crew, s, frame, cancel) == TRT_STRAND_ENDED) {
        const uint64_t now = trt_clock_now_ns();
        judge(crew, got - start, now - got, now);
    } else {
        crew->pause_ns = 0;
    }
    return true;
}

bool
trt_crew_turn(trt_crew *crew, const _Atomic(uint32_t) *only)
{
    return trt_crew_resume(crew) || (!pauses(crew) && steal(crew, only));
}

bool
trt_crew_is_needed(const trt_crew *crew)
{
    const trt_worker *const w = crew->worker;
    if (crew->ready || !trt_inbox_is_empty(&w->strand_inbox)) {
        return true;
    }
    size_t count;
    trt_worker *const *table = trt_pool_workers(w->pool, &count);
    for (size_t i = 0; w->team->steals && i < count; i++) {
        if (table[i] != w && trt_load_relaxed(&table[i]->frames)) {
            return true;
        }
    }
    return false;
}

bool
trt_crew_serve(trt_crew *crew, const _Atomic(uint32_t) *only)
{
    for (int look = 0; look < SERVE_LOOKS; look++) {
        if (trt_crew_turn(crew, only)) {
            return true;
        }
        if (!trt_crew_is_needed(crew) || trt_worker_sees_tasks(crew->worker)) {
            return false;
        }
        /* While it counts as looking, those who spawn wake nobody else for this. */
        if (pauses(crew) && trt_worker_search(crew->worker)) {
            look = 0;
        }
        for (int pause = 0; pause < LOOK_PAUSES; pause++) {
            trt_cpu_relax();
        }
    }
    return false;
}
