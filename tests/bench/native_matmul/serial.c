/* Plain recursion; and what is right. */
#include "matmul.h"

static void
multiply(piece p)
{
    piece first, second;
    if (piece_cut(p, &first, &second) == CUT_NONE) {
        piece_multiply(p);
        return;
    }
    multiply(first);
    multiply(second);
}

void
run(matmul_data *data, int workers)
{
    (void)workers;
    multiply(piece_whole(data));
}

/* With a[i, k] = i + k and b[k, j] = k - j, the sum over k of their products is known,
 * and no larger than a double can hold. */
int64_t
count_wrong(const matmul_data *data)
{
    const int64_t n = data->n;
    const int64_t sum = n * (n - 1) / 2, squares = sum * (2 * n - 1) / 3;
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++) {
            const int64_t right = i * sum - i * j * n + squares - j * sum;
            wrong += data->c[i * n + j] != (double)right;
        }
    }
    return wrong;
}
