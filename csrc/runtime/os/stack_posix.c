#include "os/stack.h"

#ifndef _WIN32

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/atomics.h"
#include "os/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#ifndef ADDRESS_SANITIZER
#define ADDRESS_SANITIZER 0
#endif

#if ADDRESS_SANITIZER
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom,
                                    size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old,
                                     size_t *size_old);
void __asan_unpoison_memory_region(void const volatile *start, size_t bytes);
#endif
#if TRT_THREAD_SANITIZER
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

/* ---- the switch itself ----------------------------------------------------------- */

#if !defined(TRT_STACK_UCONTEXT) && (defined(__x86_64__) || defined(__aarch64__))

/* Push the registers that a call keeps, store the stack pointer at *save, take `load`
 * for it, pop what lies there, and return there. */
void trt_stack_swap(void **save, void *load);
/* Where a prepared stack begins: calls its entry. */
void trt_stack_begin(void);

#ifdef __APPLE__
#define SYMBOL(name) "_" #name
#define HIDDEN(name) ".private_extern _" #name "\n"
#define TYPE(name)
#else
#define SYMBOL(name) #name
#define HIDDEN(name) ".hidden " #name "\n"
#define TYPE(name) ".type " #name ",%function\n"
#endif
#define FUNCTION(name)                                                                 \
    ".text\n.balign 16\n.globl " SYMBOL(name) "\n" HIDDEN(name) TYPE(name)             \
        SYMBOL(name) ":\n"

#ifdef __x86_64__

/* Calls keep rbx, rbp, r12 to r15, and the modes of both floating-point units. */
__asm__(FUNCTION(trt_stack_swap) /* rdi: save, rsi: load */
        "  pushq %rbp\n"
        "  pushq %rbx\n"
        "  pushq %r12\n"
        "  pushq %r13\n"
        "  pushq %r14\n"
        "  pushq %r15\n"
        "  subq $8, %rsp\n"
        "  stmxcsr (%rsp)\n"
        "  fnstcw 4(%rsp)\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  ldmxcsr (%rsp)\n"
        "  fldcw 4(%rsp)\n"
        "  addq $8, %rsp\n"
        "  popq %r15\n"
        "  popq %r14\n"
        "  popq %r13\n"
        "  popq %r12\n"
        "  popq %rbx\n"
        "  popq %rbp\n"
        "  ret\n");

__asm__(FUNCTION(trt_stack_begin) /* r12: entry, r13: arg */
        "  movq %r13, %rdi\n"
        "  call *%r12\n"
        "  ud2\n");

enum { SAVED_WORDS = 8, R13 = 3, R12 = 4, RETURN = 7 };

static void
fill_saved(uintptr_t *saved, void (*entry)(void *), void *arg)
{
    uint32_t mxcsr;
    uint16_t control;
    __asm__ __volatile__("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr), "=m"(control));
    saved[0] = mxcsr | (uintptr_t)control << 32;
    saved[R12] = (uintptr_t)entry;
    saved[R13] = (uintptr_t)arg;
    saved[RETURN] = (uintptr_t)trt_stack_begin;
}

#else /* __aarch64__ */

/* Calls keep x19 to x30, the lower halves of v8 to v15, and the modes in fpcr. */
__asm__(FUNCTION(trt_stack_swap) /* x0: save, x1: load */
        "  sub sp, sp, #176\n"
        "  stp x19, x20, [sp, #0]\n"
        "  stp x21, x22, [sp, #16]\n"
        "  stp x23, x24, [sp, #32]\n"
        "  stp x25, x26, [sp, #48]\n"
        "  stp x27, x28, [sp, #64]\n"
        "  stp x29, x30, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n"
        "  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n"
        "  stp d14, d15, [sp, #144]\n"
        "  mrs x10, fpcr\n"
        "  str x10, [sp, #160]\n"
        "  mov x9, sp\n"
        "  str x9, [x0]\n"
        "  mov sp, x1\n"
        "  ldp x19, x20, [sp, #0]\n"
        "  ldp x21, x22, [sp, #16]\n"
        "  ldp x23, x24, [sp, #32]\n"
        "  ldp x25, x26, [sp, #48]\n"
        "  ldp x27, x28, [sp, #64]\n"
        "  ldp x29, x30, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n"
        "  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n"
        "  ldp d14, d15, [sp, #144]\n"
        "  ldr x10, [sp, #160]\n"
        "  msr fpcr, x10\n"
        "  add sp, sp, #176\n"
        "  ret\n");

__asm__(FUNCTION(trt_stack_begin) /* x19: entry, x20: arg */
        "  mov x0, x20\n"
        "  blr x19\n"
        "  brk #0\n");

enum { SAVED_WORDS = 22, X19 = 0, X20 = 1, X30 = 11, FPCR = 20 };

static void
fill_saved(uintptr_t *saved, void (*entry)(void *), void *arg)
{
    saved[X19] = (uintptr_t)entry;
    saved[X20] = (uintptr_t)arg;
    saved[X30] = (uintptr_t)trt_stack_begin;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(saved[FPCR]));
}

#endif

static bool
switch_init(trt_stack *stack)
{
    stack->context = NULL;
    return true;
}

static void
switch_prepare(trt_stack *stack, void (*entry)(void *), void *arg)
{
    uintptr_t *const top = (uintptr_t *)((uintptr_t)stack->high & ~(uintptr_t)63);
    for (uintptr_t *word = top - SAVED_WORDS - 8; word < top; word++) {
        *word = 0; /* also an end for those who walk the stack */
    }
    uintptr_t *const saved = top - SAVED_WORDS - 8;
    fill_saved(saved, entry, arg);
    stack->point.sp = saved;
}

static void
switch_to(trt_point *from, trt_point *to)
{
    trt_stack_swap(&from->sp, to->sp);
}

#else /* any other processor */

#include <ucontext.h>

/* makecontext passes ints only. */
typedef struct start {
    ucontext_t context;
    void (*entry)(void *);
    void *arg;
} start;

static bool
switch_init(trt_stack *stack)
{
    stack->context = malloc(sizeof(start));
    return stack->context != NULL;
}

static void
begin(unsigned upper, unsigned lower)
{
    const start *const s = (start *)((uintptr_t)upper << 16 << 16 | lower);
    s->entry(s->arg);
}

static void
switch_prepare(trt_stack *stack, void (*entry)(void *), void *arg)
{
    start *const s = stack->context;
    s->entry = entry;
    s->arg = arg;
    const int status = getcontext(&s->context);
    TRT_ASSERT(status == 0);
    (void)status;
    s->context.uc_stack.ss_sp = stack->low;
    s->context.uc_stack.ss_size = (size_t)(stack->high - stack->low);
    s->context.uc_link = NULL;
    makecontext(&s->context, (void (*)(void))begin, 2,
                (unsigned)((uintptr_t)s >> 16 >> 16), (unsigned)(uintptr_t)s);
    stack->point.sp = &s->context;
}

static void
switch_to(trt_point *from, trt_point *to)
{
    ucontext_t here; /* on the stack that is left, which keeps it */
    from->sp = &here;
    swapcontext(&here, to->sp);
}

#endif

/* ---- stacks ---------------------------------------------------------------------- */

/* Frames that will never return have left marks around their variables. */
static void
forget_frames(trt_stack *stack)
{
#if ADDRESS_SANITIZER
    __asan_unpoison_memory_region(stack->low, (size_t)(stack->high - stack->low));
#else
    (void)stack;
#endif
}

trt_stack *
trt_stack_create(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    bytes = (bytes + page - 1) / page * page + page;
    trt_stack *const stack = malloc(sizeof *stack);
    if (!stack) {
        return NULL;
    }
    char *const low = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (low == MAP_FAILED) { /* NOLINT: the platform's own cast */
        goto fail;
    }
    *stack = (trt_stack){.low = low + page, .high = low + bytes};
    stack->point.low = stack->low;
    stack->point.bytes = bytes - page;
    if (mprotect(low, page, PROT_NONE) != 0 || !switch_init(stack)) {
        munmap(low, bytes);
        goto fail;
    }
#if TRT_THREAD_SANITIZER
    stack->point.fiber = __tsan_create_fiber(0);
#endif
    return stack;

fail:
    free(stack);
    return NULL;
}

void
trt_stack_destroy(trt_stack *stack)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
#if TRT_THREAD_SANITIZER
    __tsan_destroy_fiber(stack->point.fiber);
#endif
    forget_frames(stack);
    munmap(stack->low - page, (size_t)(stack->high - stack->low) + page);
    free(stack->context);
    free(stack);
}

/* ---- with the sanitizers' knowledge ---------------------------------------------- */

#if ADDRESS_SANITIZER
/* Who has left last on this thread: whoever arrives learns its bounds. */
static _Thread_local trt_point *leaving;

static void
arrive(void *fake_stack)
{
    __sanitizer_finish_switch_fiber(fake_stack, &leaving->low, &leaving->bytes);
}

typedef struct entry_call {
    void (*entry)(void *);
    void *arg;
} entry_call;

static void
begin_watched(void *arg)
{
    const entry_call call = *(entry_call *)arg;
    arrive(NULL);
    call.entry(call.arg);
}
#endif

bool
trt_stack_prepare(trt_stack *stack, void (*entry)(void *), void *arg)
{
#if TRT_THREAD_SANITIZER
    /* A new one, whose stack of calls is empty. */
    __tsan_destroy_fiber(stack->point.fiber);
    stack->point.fiber = __tsan_create_fiber(0);
#endif
    forget_frames(stack);
#if ADDRESS_SANITIZER
    entry_call *const call = (entry_call *)stack->low; /* the stack's far end is free */
    *call = (entry_call){entry, arg};
    switch_prepare(stack, begin_watched, call);
#else
    switch_prepare(stack, entry, arg);
#endif
    return true;
}

void
trt_stack_switch(trt_point *from, trt_point *to)
{
#if ADDRESS_SANITIZER
    leaving = from;
    __sanitizer_start_switch_fiber(&from->fake_stack, to->low, to->bytes);
#endif
#if TRT_THREAD_SANITIZER
    from->fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    switch_to(from, to);
#if ADDRESS_SANITIZER
    arrive(from->fake_stack);
#endif
}

#endif
