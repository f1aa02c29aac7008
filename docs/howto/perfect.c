/* Look for perfect numbers, and tell Python of each. */
#include <taskrt.h>

typedef struct {
    int64_t end;
    PyObject *tell; /* borrowed: the caller keeps it */
} search;

typedef struct {
    PyObject *tell;
    int64_t number;
} news;

/* Runs attached to Python: the one place for its functions. */
static int
tell(void *arg)
{
    const news *const n = arg;
    PyObject *const result = PyObject_CallFunction(n->tell, "L", (long long)n->number);
    Py_XDECREF(result);
    return result ? 0 : -1; /* -1: the exception goes to whoever waits for the work */
}

static int64_t
sum_of_divisors(int64_t n)
{
    int64_t sum = 1;
    for (int64_t i = 2; i * i <= n; i++) {
        if (n % i == 0) {
            sum += i + (i * i < n ? n / i : 0);
        }
    }
    return sum;
}

int
find_perfect(trt_context *ctx, void *arg)
{
    const search *const s = arg;
    for (int64_t n = 2; n < s->end; n++) {
        if (trt_cancelled(ctx)) {
            return TRT_CANCELLED;
        }
        if (sum_of_divisors(n) == n) {
            news found = {s->tell, n};
            const int status = trt_call_python(ctx, tell, &found);
            if (status) {
                return status;
            }
        }
    }
    return TRT_OK;
}
