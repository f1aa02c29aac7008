/* Native tasks for test_native.py, built there into a library that ctypes loads. */
#include <taskrt.h>

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
