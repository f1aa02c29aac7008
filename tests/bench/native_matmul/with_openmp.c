/* A task of OpenMP for one half of each cut whose halves are independent. */
#include "matmul.h"

static void
multiply(piece p)
{
    piece first, second;
    const cut how = piece_cut(p, &first, &second);
    if (how == CUT_NONE) {
        piece_multiply(p);
        return;
    }
    if (how == CUT_K) {
        multiply(first);
        multiply(second);
        return;
    }
#pragma omp task
    multiply(second);
    multiply(first);
#pragma omp taskwait
}

void
run(matmul_data *data, int workers)
{
#pragma omp parallel num_threads(workers)
#pragma omp single
    multiply(piece_whole(data));
}
