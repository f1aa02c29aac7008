/* x[i] += i for all i, round after round: what all contenders are asked. */
#ifndef LOOP_H
#define LOOP_H

#include <stdint.h>

typedef struct loop_data {
    int64_t n, rounds;
    double *x;
} loop_data;

static inline void
loop_part(double *x, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        x[i] += (double)i;
    }
}

#endif
