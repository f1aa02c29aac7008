#include "native/strand.h"

#include <stdlib.h>

#include "native/loops.h"
#include "native/work.h"
#include "os/barrier.h"
#include "os/check.h"

enum {
    /* Looks at a stolen child before its join leaves the stack: about 20 microseconds,
     * less than it takes a thread to find something else, or to sleep and wake up. */
    JOIN_LOOKS = 1000,
    /* Strands that keep a stack while they are idle, and stacks to spare. What they
     * have touched stays allocated. */
    IDLE_STACKS_MAX = 8,
    SPARES_MAX = 8,
};

static trt_strand *
strand_of(trt_context *ctx)
{
    return (trt_strand *)ctx; /* the first member of the first member */
}

/* ---- stacks ---------------------------------------------------------------------- */

/* A stack that will call entry(arg); NULL without memory. */
static trt_stack *
stack_take(trt_strands *home, void (*entry)(void *), void *arg)
{
    trt_stack *stack = home->spare;
    if (stack) {
        home->spare = stack->next;
        home->spare_count--;
    } else {
        stack = trt_stack_create(TRT_STRAND_STACK);
    }
    if (stack && !trt_stack_prepare(stack, entry, arg)) {
        trt_stack_destroy(stack);
        stack = NULL;
    }
    return stack;
}

static void
stack_give_back(trt_strands *home, trt_stack *stack)
{
    if (home->spare_count == SPARES_MAX) {
        trt_stack_destroy(stack);
        return;
    }
    stack->next = home->spare;
    home->spare = stack;
    home->spare_count++;
}

static void
use_stack(trt_strand *s, trt_stack *stack)
{
    s->stack = stack;
    s->frames.base.floor = stack->low + TRT_STRAND_RESERVE;
}

/* Leave to whoever runs the strand; returns when that lets it go on. */
static void
leave(trt_strand *s, trt_strand_why why)
{
    s->why = why;
    trt_stack_switch(&s->stack->point, &s->outside);
}

/* A call that is made on another stack. */
typedef struct deeper {
    trt_strand *strand;
    trt_frame *frame;
    int status;
    trt_point caller;
} deeper;

static void
deeper_body(void *arg)
{
    deeper *const call = arg;
    trt_strand *const s = call->strand;
    call->status = call->frame->fn(&s->frames.base, call->frame->arg);
    trt_stack_switch(&s->stack->point, &call->caller);
    trt_panic("a stack was switched to after its end");
}

static int
call_deeper(trt_strand *s, trt_frame *frame)
{
    deeper call = {.strand = s, .frame = frame};
    trt_stack *const stack = stack_take(s->home, deeper_body, &call);
    if (!stack) {
        return TRT_TOO_DEEP;
    }
    trt_stack *const before = s->stack;
    const size_t count = trt_frames_count(&s->frames);
    use_stack(s, stack);
    trt_stack_switch(&call.caller, &stack->point);
    use_stack(s, before);
    if (trt_frames_count(&s->frames) == count) {
        stack_give_back(s->home, stack);
    } /* else a child was forgotten there, which somebody may be using */
    return call.status;
}

/* Call the frame's function, with enough room. */
static int
run_frame(trt_strand *s, trt_frame *frame)
{
    return TRT_STACK_ADDRESS() > s->frames.base.floor
               ? frame->fn(&s->frames.base, frame->arg)
               : call_deeper(s, frame);
}

/* ---- what native code calls through its context ---------------------------------- */

static int
api_spawn_slow(trt_context *ctx, trt_frame *frame)
{
    trt_strand *const s = strand_of(ctx);
    if (trt_frames_grow(&s->frames)) {
        return 1;
    }
    frame->status = run_frame(s, frame);
    trt_store_relaxed(&frame->state, TRT_FRAME_RAN);
    return 0;
}

/* Frames that were hidden can be seen again: somebody may have gone to sleep meanwhile.
 * Steps P2 to P5 of waking. */
static void
offer_again(trt_strand *s)
{
    if (trt_frames_offer(&s->frames)) {
        trt_barrier_light(); /* [asym-fence] */
        s->home->wake(s->home);
    }
}

static int
api_join_slow(trt_context *ctx, trt_frame *frame)
{
    trt_strand *const s = strand_of(ctx);
    switch (trt_frames_take(&s->frames, frame)) {
    case TRT_TAKE_GOT:
        return run_frame(s, frame);
    case TRT_TAKE_RAN:
        offer_again(s); /* the join has hidden an older frame for a moment */
        return frame->status;
    case TRT_TAKE_WRONG:
        return TRT_MISUSE;
    case TRT_TAKE_STOLEN:
        break;
    }
    for (int look = 0; look < JOIN_LOOKS; look++) {
        if (trt_load_relaxed(&frame->state) == TRT_FRAME_ENDED) {
            break;
        }
        trt_cpu_relax();
    }
    /* [frame-done] all that the thief has written for us. */
    if (trt_load_acquire(&frame->state) != TRT_FRAME_ENDED) {
        s->awaited = frame;
        leave(s, TRT_STRAND_WAITS);
        TRT_ASSERT(trt_load_relaxed(&frame->state) == TRT_FRAME_ENDED);
    }
    return frame->status;
}

static void
api_wake(trt_context *ctx)
{
    trt_strands *const home = strand_of(ctx)->home;
    home->wake(home);
}

int
trt_strand_call(trt_context *ctx, int (*fn)(void *), void *arg)
{
    trt_strand *const s = strand_of(ctx);
    s->call_fn = fn;
    s->call_arg = arg;
    leave(s, TRT_STRAND_CALLS);
    return s->call_status;
}

static const trt_context_api api = {
    .size = sizeof(trt_context_api),
    .layout = TRT_CONTEXT_LAYOUT,
    .spawn_slow = api_spawn_slow,
    .join_slow = api_join_slow,
    .wake = api_wake,
    .fence = trt_fence_seq_cst,
    .parallel_for = trt_loop_for,
    .parallel_reduce = trt_loop_reduce,
    .fail = trt_work_fail,
    .call = trt_strand_call,
};

/* ---- strands --------------------------------------------------------------------- */

void
trt_strands_init(trt_strands *home, _Atomic(trt_frames *) *shown,
                 const _Atomic(uint32_t) *sleepers, void (*wake)(trt_strands *home))
{
    *home = (trt_strands){.sleepers = sleepers, .wake = wake, .shown = shown};
}

void
trt_strands_destroy(trt_strands *home)
{
    while (home->idle) {
        trt_strand *const s = home->idle;
        home->idle = s->next;
        if (s->stack) {
            trt_stack_destroy(s->stack);
        }
        trt_frames_destroy(&s->frames);
        free(s);
    }
    while (home->spare) {
        trt_stack *const stack = home->spare;
        home->spare = stack->next;
        trt_stack_destroy(stack);
    }
}

/* The bottom of a strand's stack: job after job. */
static void
strand_body(void *arg)
{
    trt_strand *const s = arg;
    for (;;) {
        const int status = s->job->fn(&s->frames.base, s->job->arg);
        const trt_clear_result cleared = trt_frames_clear(&s->frames);
        s->status = cleared == TRT_CLEAR_EMPTY ? status : TRT_MISUSE;
        if (cleared == TRT_CLEAR_STOLEN) {
            s->lost = true;
            trt_store_relaxed(&trt_work_of(&s->frames.base)->lost, true);
        }
        leave(s, TRT_STRAND_ENDED);
    }
}

static trt_strand *
strand_create(trt_strands *home)
{
    trt_strand *const s = calloc(1, sizeof *s);
    if (s && trt_frames_init(&s->frames, &api, home->sleepers) != 0) {
        free(s);
        return NULL;
    }
    if (s) {
        s->home = home;
    }
    return s;
}

trt_strand *
trt_strand_take(trt_strands *home)
{
    trt_strand *s = home->idle;
    if (s) {
        home->idle = s->next;
        home->idle_count--;
    } else {
        s = strand_create(home);
    }
    if (s && !s->stack) {
        trt_stack *const stack = stack_take(home, strand_body, s);
        if (!stack) {
            trt_strand_give_back(home, s);
            return NULL;
        }
        use_stack(s, stack);
    }
    return s;
}

void
trt_strand_give_back(trt_strands *home, trt_strand *s)
{
    if (s->lost) {
        return; /* its memory stays as it is, for good */
    }
    if (s->stack && home->idle_count >= IDLE_STACKS_MAX) {
        stack_give_back(home, s->stack);
        s->stack = NULL;
    }
    s->next = home->idle;
    home->idle = s;
    home->idle_count++;
}

void
trt_strand_begin(trt_strand *s, trt_frame *job, const _Atomic(uint32_t) *cancel)
{
    s->job = job;
    trt_frames_begin(&s->frames, cancel);
}

/* Whether it could not wait after all, for what it waits for has ended. */
static bool
waits_in_vain(trt_strand *s)
{
    return s->why == TRT_STRAND_WAITS && !trt_frame_await(s->awaited, &s->waiter);
}

trt_strand_why
trt_strand_go(trt_strand *s)
{
    trt_strands *const home = s->home;
    trt_strand *const outer = home->inside; /* whose code has called back */
    /* [frames-shown] thieves see them initialised. */
    trt_store_release(home->shown, &s->frames);
    offer_again(s);
    home->inside = s;
    trt_strand_why why;
    do {
        trt_stack_switch(&s->outside, &s->stack->point);
        why = s->why;
    } while (waits_in_vain(s));
    home->inside = outer;
    if (why != TRT_STRAND_CALLS) {
        /* Nothing is left to steal; and whoever calls Python leaves its children in
         * sight, at least until the thread goes on with another strand. */
        trt_store_release(home->shown, outer ? &outer->frames : NULL);
        if (outer) {
            offer_again(outer);
        }
    }
    return why;
}
