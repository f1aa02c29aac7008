#include "os/stack.h"

#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdlib.h>

#include "os/check.h"

/* Windows keeps the bounds of the current stack with the thread and looks at them, so
 * that only it can switch: a stack is one of its fibers, made when it is prepared. */
typedef struct start {
    size_t bytes;
    void (*entry)(void *);
    void *arg;
    LPVOID maker; /* the fiber that has prepared this one */
} start;

/* The fiber of the code that runs now. */
static LPVOID
current_fiber(void)
{
    if (IsThreadAFiber()) {
        return GetCurrentFiber();
    }
    LPVOID const fiber = ConvertThreadToFiberEx(NULL, FIBER_FLAG_FLOAT_SWITCH);
    if (!fiber) {
        trt_panic("this thread cannot be made to switch stacks");
    }
    return fiber;
}

static VOID CALLBACK
begin(LPVOID parameter)
{
    trt_stack *const stack = parameter;
    start *const s = stack->context;
    ULONG_PTR low, high;
    GetCurrentThreadStackLimits(&low, &high);
    stack->low = (char *)low;
    stack->high = (char *)high;
    SwitchToFiber(s->maker);
    s->entry(s->arg);
}

trt_stack *
trt_stack_create(size_t bytes)
{
    trt_stack *const stack = calloc(1, sizeof *stack);
    start *const s = calloc(1, sizeof *s);
    if (!stack || !s) {
        free(s);
        free(stack);
        return NULL;
    }
    s->bytes = bytes;
    stack->context = s;
    return stack;
}

void
trt_stack_destroy(trt_stack *stack)
{
    if (stack->point.sp) {
        DeleteFiber(stack->point.sp);
    }
    free(stack->context);
    free(stack);
}

bool
trt_stack_prepare(trt_stack *stack, void (*entry)(void *), void *arg)
{
    start *const s = stack->context;
    s->entry = entry;
    s->arg = arg;
    s->maker = current_fiber();
    if (stack->point.sp) {
        DeleteFiber(stack->point.sp);
    }
    stack->point.sp = CreateFiberEx(0, s->bytes, FIBER_FLAG_FLOAT_SWITCH, begin, stack);
    if (!stack->point.sp) {
        return false;
    }
    SwitchToFiber(stack->point.sp); /* learns its bounds and comes back */
    return true;
}

void
trt_stack_switch(trt_point *from, trt_point *to)
{
    from->sp = current_fiber();
    SwitchToFiber(to->sp);
}

#endif
