/* C += A B for square matrices, row by row, by halving; see matmul.py. */
#include <stdint.h>

#include <taskrt_native.h>

enum { LEAF = 32 };

typedef struct matmul_data {
    int64_t n;
    const double *a, *b;
    double *c;
} matmul_data;

/* A piece: c, which is m by n, += a, m by k, times b, k by n. */
typedef struct piece {
    int64_t m, n, k, stride;
    const double *a, *b;
    double *c;
} piece;

static void
three_loops(piece p)
{
    for (int64_t i = 0; i < p.m; i++) {
        for (int64_t k = 0; k < p.k; k++) {
            const double a = p.a[i * p.stride + k];
            const double *const b = p.b + k * p.stride;
            double *const c = p.c + i * p.stride;
            for (int64_t j = 0; j < p.n; j++) {
                c[j] += a * b[j];
            }
        }
    }
}

// [multiply]
static int multiply(trt_context *ctx, void *arg);

/* Pieces that write different parts of c. */
static int
at_once(trt_context *ctx, piece *first, piece *second)
{
    trt_frame child;
    trt_spawn(ctx, &child, multiply, second);
    const int mine = multiply(ctx, first);
    const int its = trt_join(ctx, &child);
    return mine ? mine : its;
}

/* Pieces that write the same. */
static int
in_turn(trt_context *ctx, piece *first, piece *second)
{
    const int status = multiply(ctx, first);
    return status ? status : multiply(ctx, second);
}

static int
multiply(trt_context *ctx, void *arg)
{
    const piece p = *(const piece *)arg;
    piece first = p, second = p;
    if (p.m <= LEAF && p.n <= LEAF && p.k <= LEAF) {
        three_loops(p);
        return TRT_OK;
    }
    if (p.m >= p.n && p.m >= p.k) {
        first.m = p.m / 2;
        second.m = p.m - first.m;
        second.a += first.m * p.stride;
        second.c += first.m * p.stride;
        return at_once(ctx, &first, &second);
    }
    if (p.n >= p.k) {
        first.n = p.n / 2;
        second.n = p.n - first.n;
        second.b += first.n;
        second.c += first.n;
        return at_once(ctx, &first, &second);
    }
    first.k = p.k / 2;
    second.k = p.k - first.k;
    second.a += first.k;
    second.b += first.k * p.stride;
    return in_turn(ctx, &first, &second);
}
// [/multiply]

static piece
whole(const matmul_data *d)
{
    return (piece){d->n, d->n, d->n, d->n, d->a, d->b, d->c};
}

int
matmul(trt_context *ctx, void *arg)
{
    piece p = whole(arg);
    return multiply(ctx, &p);
}

void
matmul_serial(const matmul_data *data)
{
    three_loops(whole(data));
}
