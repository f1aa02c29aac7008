/* A plain loop; and one that counts what is wrong. */
#include "loop.h"

/* Not inlined, so that rounds are not merged. */
__attribute__((noinline)) static void
round_of(const loop_data *data)
{
    loop_part(data->x, 0, data->n);
}

void
run(loop_data *data, int workers)
{
    (void)workers;
    for (int64_t round = 0; round < data->rounds; round++) {
        round_of(data);
    }
}

int64_t
count_wrong(const loop_data *data)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < data->n; i++) {
        wrong += data->x[i] != (double)(i * data->rounds);
    }
    return wrong;
}
