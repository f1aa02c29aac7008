/* A task of a oneTBB group for one half of each cut whose halves are independent. */
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

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
    tbb::task_group group;
    group.run([&second] { multiply(second); });
    multiply(first);
    group.wait();
}

extern "C" void
run(matmul_data *data, int workers)
{
    tbb::task_arena arena(workers);
    arena.execute([data] { multiply(piece_whole(data)); });
}
