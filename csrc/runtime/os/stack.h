/* Stacks of our own, and switching between them and those of threads.
 *
 * Code that has to stop in the middle, without stopping its thread, runs on a stack of
 * its own. A switch saves the registers that a call keeps, on the stack that is left,
 * and takes those of the other: a few nanoseconds, no system call, and nothing is
 * copied, so that others may go on using what lies on a stack that has been left.
 *
 *     static void body(void *arg) { ...; trt_stack_switch(&stack->point, &thread); }
 *
 *     trt_stack *stack = trt_stack_create(1 << 20);
 *     trt_point thread;
 *     trt_stack_prepare(stack, body, arg);
 *     trt_stack_switch(&thread, &stack->point);   // returns when body switches back
 *     trt_stack_destroy(stack);
 *
 * A stack is used by one thread only: compilers keep addresses of thread-local
 * variables across calls. Each point holds whoever has left through it until somebody
 * switches to it, once.
 */
#ifndef TRT_STACK_H
#define TRT_STACK_H

#include <stdbool.h>
#include <stddef.h>

/* Where somebody has left off. Uninitialised until it is switched from; owner: the
 * thread. */
typedef struct trt_point {
    void *sp; /* the registers lie there; with ucontext: the context itself */
    /* What the sanitizers want to be told; unused without them. */
    const void *low;
    size_t bytes;
    void *fake_stack;
    void *fiber;
} trt_point;

typedef struct trt_stack {
    trt_point point;        /* where its code has left off */
    char *low, *high;       /* bounds of what may be used; below is a guard page */
    struct trt_stack *next; /* for the owner's lists */
    void *context;          /* for platforms without a switch of ours */
} trt_stack;

/* Map a stack of about `bytes`, which take up memory only once they are touched, above
 * a page that may not be touched. NULL without memory. Any thread. */
trt_stack *trt_stack_create(size_t bytes);

/* Unmap it. Nobody runs on it, or ever will. */
void trt_stack_destroy(trt_stack *stack);

/* Have the next switch to stack->point call entry(arg), which must not return. What ran
 * on the stack before is forgotten. From here on the bounds hold. False without memory.
 * On the thread that will use it. */
bool trt_stack_prepare(trt_stack *stack, void (*entry)(void *), void *arg);

/* Leave through `from`, and go on at `to`. Returns when somebody switches to `from`. */
void trt_stack_switch(trt_point *from, trt_point *to);

#endif
