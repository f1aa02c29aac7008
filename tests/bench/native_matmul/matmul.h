/* C += A B for square matrices, row by row: what all contenders are asked. */
#ifndef MATMUL_H
#define MATMUL_H

#include <stdint.h>

enum { MATMUL_LEAF = 32 };

typedef struct matmul_data {
    int64_t n;
    const double *a, *b;
    double *c;
} matmul_data;

/* A piece of the product: c, which is m by n, += a, m by k, times b, k by n. */
typedef struct piece {
    int64_t m, n, k, stride;
    const double *a, *b;
    double *c;
} piece;

/* Which dimension to halve. */
typedef enum cut { CUT_NONE, CUT_M, CUT_N, CUT_K } cut;

static inline piece
piece_whole(const matmul_data *d)
{
    const piece whole = {d->n, d->n, d->n, d->n, d->a, d->b, d->c};
    return whole;
}

/* Halve the longest dimension, so that pieces fit into each cache at some depth
 * whatever its size: Frigo, Leiserson, Prokop and Ramachandran, FOCS 1999. The halves
 * of m and n are independent of each other; of k, the first comes before the second. */
static inline cut
piece_cut(piece p, piece *first, piece *second)
{
    *first = *second = p;
    if (p.m <= MATMUL_LEAF && p.n <= MATMUL_LEAF && p.k <= MATMUL_LEAF) {
        return CUT_NONE;
    }
    if (p.m >= p.n && p.m >= p.k) {
        first->m = p.m / 2;
        second->m = p.m - first->m;
        second->a += first->m * p.stride;
        second->c += first->m * p.stride;
        return CUT_M;
    }
    if (p.n >= p.k) {
        first->n = p.n / 2;
        second->n = p.n - first->n;
        second->b += first->n;
        second->c += first->n;
        return CUT_N;
    }
    first->k = p.k / 2;
    second->k = p.k - first->k;
    second->a += first->k;
    second->b += first->k * p.stride;
    return CUT_K;
}

static inline void
piece_multiply(piece p)
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

#endif
