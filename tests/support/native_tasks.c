/* Native tasks for test_native.py, built there into a library that ctypes loads. */
#include <taskrt.h>

#include <pthread.h>

typedef struct pair {
    int64_t n, result;
} pair;

int
fib(trt_context *ctx, void *arg)
{
    pair *const p = arg;
    if (p->n < 2) {
        p->result = p->n;
        return TRT_OK;
    }
    pair a = {p->n - 1, 0}, b = {p->n - 2, 0};
    trt_frame child;
    trt_spawn(ctx, &child, fib, &b);
    const int mine = fib(ctx, &a);
    const int its = trt_join(ctx, &child);
    p->result = a.result + b.result;
    return mine ? mine : its;
}

/* A chain of joins, each inside the one before. */
int
chain(trt_context *ctx, void *arg)
{
    pair *const p = arg;
    if (p->n == 0) {
        return TRT_OK;
    }
    pair next = {p->n - 1, 0};
    trt_frame child;
    trt_spawn(ctx, &child, chain, &next);
    const int status = trt_join(ctx, &child);
    p->result = next.result + 1;
    return status;
}

/* Many children before the first join. */
int
fan(trt_context *ctx, void *arg)
{
    pair *const p = arg;
    enum { MOST = 1000 };
    trt_frame children[MOST];
    pair parts[MOST];
    int status = TRT_OK;
    p->result = 0;
    for (int64_t i = 0; i < p->n; i++) {
        parts[i] = (pair){i % 10, 0};
        trt_spawn(ctx, &children[i], fib, &parts[i]);
    }
    for (int64_t i = p->n; i-- > 0;) {
        status |= trt_join(ctx, &children[i]);
        p->result += parts[i].result;
    }
    return status;
}

int
returns(trt_context *ctx, void *arg)
{
    (void)ctx;
    return (int)((pair *)arg)->n;
}

int
explains(trt_context *ctx, void *arg)
{
    trt_fail(ctx, 1, "first reason");
    return trt_fail(ctx, (int)((pair *)arg)->n, "second reason");
}

/* Fails in a child, which is named by its number of levels below. */
int
fails_below(trt_context *ctx, void *arg)
{
    pair *const p = arg;
    if (p->n == 0) {
        return trt_fail(ctx, 42, "far below");
    }
    pair next = {p->n - 1, 0};
    trt_frame child;
    trt_spawn(ctx, &child, fails_below, &next);
    return trt_join(ctx, &child);
}

int
joins_nothing(trt_context *ctx, void *arg)
{
    static pair part = {3, 0};
    static trt_frame child; /* still there for whoever takes it */
    (void)arg;
    trt_spawn(ctx, &child, fib, &part);
    return TRT_OK;
}

int
joins_oldest_first(trt_context *ctx, void *arg)
{
    pair parts[2] = {{3, 0}, {3, 0}};
    trt_frame children[2];
    (void)arg;
    trt_spawn(ctx, &children[0], fib, &parts[0]);
    trt_spawn(ctx, &children[1], fib, &parts[1]);
    const int wrong = trt_join(ctx, &children[0]);
    trt_join(ctx, &children[1]);
    trt_join(ctx, &children[0]);
    return wrong;
}

/* n: 1 once it runs. Ends when it is asked to. */
int
until_cancelled(trt_context *ctx, void *arg)
{
    *(volatile int64_t *)arg = 1;
    while (!trt_cancelled(ctx)) {
    }
    return TRT_CANCELLED;
}

static int
spin_until_told(trt_context *ctx, void *arg)
{
    volatile int64_t *const n = arg;
    n[1] = 1;
    while (n[0] == 0 && !trt_cancelled(ctx)) {
    }
    return TRT_OK;
}

/* Offers more children than there are threads, until Python writes to n or it is asked
 * to end. */
int
offers_until_told(trt_context *ctx, void *arg)
{
    enum { CHILDREN = 8 };
    trt_frame children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        trt_spawn(ctx, &children[i], spin_until_told, arg);
    }
    spin_until_told(ctx, arg);
    for (int i = CHILDREN; i-- > 0;) {
        trt_join(ctx, &children[i]);
    }
    return TRT_OK;
}

/* Waits in a child for what Python writes to n. */
int
until_told(trt_context *ctx, void *arg)
{
    volatile int64_t *const n = arg;
    (void)ctx;
    while (*n == 0) {
    }
    return TRT_OK;
}

/* ---- calls into Python ----------------------------------------------------------- */

typedef struct caller {
    int64_t depth;
    PyObject *function; /* borrowed */
} caller;

static int
call_function(void *arg)
{
    PyObject *const result = PyObject_CallNoArgs(((caller *)arg)->function);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* depth: 2 if it was asked to end while the call was made, or else 1. */
int
until_cancelled_in_a_call(trt_context *ctx, void *arg)
{
    caller *const c = arg;
    const int status = trt_call_python(ctx, call_function, c);
    c->depth = trt_cancelled(ctx) ? 2 : 1;
    return status;
}

/* A binary tree that calls the function at each leaf. */
int
calls(trt_context *ctx, void *arg)
{
    caller *const c = arg;
    if (c->depth == 0) {
        return trt_call_python(ctx, call_function, c);
    }
    caller left = {c->depth - 1, c->function}, right = left;
    trt_frame child;
    trt_spawn(ctx, &child, calls, &right);
    const int mine = calls(ctx, &left);
    const int its = trt_join(ctx, &child);
    return mine ? mine : its;
}

int
calls_and_ignores(trt_context *ctx, void *arg)
{
    (void)trt_call_python(ctx, call_function, arg);
    return TRT_OK;
}

static int
look_for_signals(void *arg)
{
    (void)arg;
    return PyErr_CheckSignals();
}

/* n: 1 once it runs. Ends when a handler of a signal raises. */
int
until_signal(trt_context *ctx, void *arg)
{
    int status = TRT_OK;
    *(volatile int64_t *)arg = 1;
    while (status == TRT_OK) {
        status = trt_call_python(ctx, look_for_signals, NULL);
    }
    return status;
}

/* Calls in a child only, once a thief has it: `depth` is set to 1 by the child. */
static int
call_in_child(trt_context *ctx, void *arg)
{
    caller *const c = arg;
    __atomic_store_n(&c->depth, 1, __ATOMIC_RELEASE);
    return trt_call_python(ctx, call_function, c);
}

int
calls_in_stolen_child(trt_context *ctx, void *arg)
{
    caller *const c = arg;
    trt_frame child;
    c->depth = 0;
    trt_spawn(ctx, &child, call_in_child, c);
    while (__atomic_load_n(&c->depth, __ATOMIC_ACQUIRE) == 0) {
    }
    return trt_join(ctx, &child);
}

/* Calls once a thief has the child, which ends when the call has been made. */
static int
until_one(trt_context *ctx, void *arg)
{
    int64_t *const state = arg;
    (void)ctx;
    __atomic_store_n(&state[0], 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&state[1], __ATOMIC_ACQUIRE) == 0) {
    }
    return TRT_OK;
}

int
calls_beside_a_stolen_child(trt_context *ctx, void *arg)
{
    caller *const c = arg;
    int64_t state[2] = {0, 0};
    trt_frame child;
    trt_spawn(ctx, &child, until_one, state);
    while (__atomic_load_n(&state[0], __ATOMIC_ACQUIRE) == 0) {
    }
    const int mine = ((int (*)(void))c->depth)(); /* attaches by itself */
    __atomic_store_n(&state[1], 1, __ATOMIC_RELEASE);
    const int its = trt_join(ctx, &child);
    return mine ? mine : its;
}

/* Sixteen children that call, all of them stolen: depth counts them. */
static int
call_and_count(trt_context *ctx, void *arg)
{
    caller *const c = arg;
    __atomic_add_fetch(&c->depth, 1, __ATOMIC_ACQ_REL);
    return trt_call_python(ctx, call_function, c);
}

int
calls_in_stolen_children(trt_context *ctx, void *arg)
{
    enum { CHILDREN = 16 };
    caller *const c = arg;
    trt_frame children[CHILDREN];
    int status = TRT_OK;
    c->depth = 0;
    for (int i = 0; i < CHILDREN; i++) {
        trt_spawn(ctx, &children[i], call_and_count, c);
    }
    while (__atomic_load_n(&c->depth, __ATOMIC_ACQUIRE) < CHILDREN) {
    }
    for (int i = CHILDREN; i-- > 0;) {
        status |= trt_join(ctx, &children[i]);
    }
    return status;
}

/* state: told by Python, how many levels have begun. Each of three levels is stolen;
 * the last ends when it is told. */
static int
steal_deeper(trt_context *ctx, void *arg)
{
    int64_t *const state = arg;
    const int64_t level = __atomic_add_fetch(&state[1], 1, __ATOMIC_ACQ_REL);
    if (level == 3) {
        while (__atomic_load_n(&state[0], __ATOMIC_ACQUIRE) == 0) {
        }
        return TRT_OK;
    }
    trt_frame child;
    trt_spawn(ctx, &child, steal_deeper, state);
    while (__atomic_load_n(&state[1], __ATOMIC_ACQUIRE) == level) {
    }
    return trt_join(ctx, &child);
}

int
stolen_twice(trt_context *ctx, void *arg)
{
    return steal_deeper(ctx, arg);
}

/* Calls while it offers a child. */
int
calls_beside_an_offered_child(trt_context *ctx, void *arg)
{
    caller *const c = arg;
    pair nothing = {0, 0};
    trt_frame child;
    trt_spawn(ctx, &child, fib, &nothing);
    const int mine = trt_call_python(ctx, call_function, c);
    const int its = trt_join(ctx, &child);
    return mine ? mine : its;
}

/* What trt_fail is told, and the status. */
struct failure {
    int64_t status;
    const char *message;
};

int
fails_with(trt_context *ctx, void *arg)
{
    const struct failure *const f = arg;
    return trt_fail(ctx, (int)f->status, f->message);
}

int
gives_null_functions(trt_context *ctx, void *arg)
{
    trt_reduction how = {.size = 8};
    return *(int64_t *)arg ? trt_parallel_for(ctx, 0, 1, 0, NULL, NULL)
                           : trt_parallel_reduce(ctx, 0, 1, 0, &how, NULL, arg);
}

static int
return_minus_one(void *arg)
{
    (void)arg;
    return -1;
}

int
calls_what_raises_nothing(trt_context *ctx, void *arg)
{
    return trt_call_python(ctx, return_minus_one, arg);
}

int
prepare(void)
{
    return trt_import();
}

/* Wake the Waiter from a thread that Python does not know. */
static void *
wake_in_thread(void *waiter)
{
    return (void *)(intptr_t)trt_wake(waiter);
}

int
wake_from_another_thread(PyObject *waiter)
{
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, wake_in_thread, waiter) != 0) {
        return -2;
    }
    pthread_join(thread, &result);
    return (int)(intptr_t)result;
}

/* n: whether taskrt.h sees in a stolen child that the work was asked to end. */
static int
look_until_cancelled(trt_context *ctx, void *arg)
{
    int64_t *const n = arg;
    __atomic_store_n(&n[1], 1, __ATOMIC_RELEASE);
    while (!trt_cancelled(ctx)) {
    }
    n[0] = trt_cancel_requested();
    return TRT_CANCELLED;
}

int
looks_in_stolen_child(trt_context *ctx, void *arg)
{
    int64_t *const n = arg;
    trt_frame child;
    trt_spawn(ctx, &child, look_until_cancelled, n);
    while (__atomic_load_n(&n[1], __ATOMIC_ACQUIRE) != 1) {
    }
    return trt_join(ctx, &child);
}

/* ---- loops ----------------------------------------------------------------------- */

/* Adds 1 to each item, and remembers the longest part in the last one. */
int
count_up(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    int64_t *const items = arg;
    (void)ctx;
    for (int64_t i = begin; i < end; i++) {
        items[i] += 1;
    }
    return begin < end ? TRT_OK : 99; /* no part is empty */
}

/* arg: limit, longest part seen, indices seen. */
int
measure(trt_context *ctx, int64_t begin, int64_t end, void *arg)
{
    int64_t *const seen = arg;
    (void)ctx;
    const int64_t length = (int64_t)((uint64_t)end - (uint64_t)begin);
    int64_t longest = __atomic_load_n(&seen[1], __ATOMIC_RELAXED);
    while (longest < length &&
           !__atomic_compare_exchange_n(&seen[1], &longest, length, 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
    }
    __atomic_fetch_add(&seen[2], length, __ATOMIC_RELAXED);
    return begin >= seen[0] ? trt_fail(ctx, 5, "beyond the limit") : TRT_OK;
}

int
sum_doubles(trt_context *ctx, int64_t begin, int64_t end, void *acc, void *arg)
{
    const double *const items = arg;
    double sum = *(double *)acc;
    (void)ctx;
    for (int64_t i = begin; i < end; i++) {
        sum += items[i];
    }
    *(double *)acc = sum;
    return TRT_OK;
}

void
add_doubles(void *acc, const void *after, void *arg)
{
    (void)arg;
    *(double *)acc += *(const double *)after;
}

/* x -> a x + b, modulo 2^64: composition depends on the order. */
typedef struct affine {
    uint64_t a, b;
} affine;

int
compose(trt_context *ctx, int64_t begin, int64_t end, void *acc, void *arg)
{
    affine f = *(affine *)acc;
    (void)ctx;
    (void)arg;
    for (int64_t i = begin; i < end; i++) {
        const uint64_t a = 2 * (uint64_t)i + 3, b = (uint64_t)i * (uint64_t)i;
        f = (affine){a * f.a, a * f.b + b};
    }
    *(affine *)acc = f;
    return TRT_OK;
}

void
compose_after(void *acc, const void *after, void *arg)
{
    const affine f = *(affine *)acc, g = *(const affine *)after;
    (void)arg;
    *(affine *)acc = (affine){g.a * f.a, g.a * f.b + g.b};
}

int
count_indices(trt_context *ctx, int64_t begin, int64_t end, void *acc, void *arg)
{
    (void)ctx;
    (void)arg;
    *(uint64_t *)acc += (uint64_t)end - (uint64_t)begin;
    return TRT_OK;
}

void
add_counts(void *acc, const void *after, void *arg)
{
    (void)arg;
    *(uint64_t *)acc += *(const uint64_t *)after;
}
