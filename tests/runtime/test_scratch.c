/* Memory of kernels: what is given back may be what is asked for next. */
#include "check.h"

#include "kernels/scratch.h"

#include <stdint.h>

enum { LARGE = 8 << 20, SMALL = 1000, ROUNDS = 100 };

/* Write to all of it, in steps that meet each page. */
static void
fill(char *memory, size_t bytes, char value)
{
    for (size_t i = 0; i < bytes; i += 512) {
        memory[i] = value;
    }
    memory[bytes - 1] = value;
}

static bool
is_full_of(const char *memory, size_t bytes, char value)
{
    bool same = memory[bytes - 1] == value;
    for (size_t i = 0; i < bytes; i += 512) {
        same = same && memory[i] == value;
    }
    return same;
}

static void
test_each_size_can_be_used_whole(void)
{
    static const size_t sizes[] = {1,         SMALL,         LARGE / 2 - 1, LARGE,
                                   LARGE + 1, 3 * LARGE + 7, LARGE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *const memory = trt_scratch_new(sizes[i], 1);
        CHECK(memory != NULL);
        fill(memory, sizes[i], (char)i);
        CHECK(is_full_of(memory, sizes[i], (char)i));
        trt_scratch_free(memory);
    }
}

static void
test_two_at_once_lie_apart(void)
{
    char *pieces[3];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3; i++) {
            pieces[i] = trt_scratch_new(LARGE, i + 1);
            CHECK(pieces[i] != NULL);
            fill(pieces[i], LARGE * (i + 1), (char)(i + 1));
        }
        for (size_t i = 0; i < 3; i++) {
            CHECK(is_full_of(pieces[i], LARGE * (i + 1), (char)(i + 1)));
        }
        for (size_t i = 0; i < 3; i++) {
            trt_scratch_free(pieces[(i + (size_t)round) % 3]);
        }
    }
}

static void
test_too_much_is_refused(void)
{
    CHECK(trt_scratch_new(SIZE_MAX / 2, 4) == NULL);
    trt_scratch_free(NULL);
    char *const none = trt_scratch_new(0, 8);
    trt_scratch_free(none);
}

static void
use_and_give_back(unsigned number, void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS / CHECK_SLOWNESS + 1; round++) {
        const size_t bytes = LARGE + (size_t)round % 3 * LARGE;
        char *const memory = trt_scratch_new(bytes, 1);
        CHECK(memory != NULL);
        fill(memory, bytes, (char)number);
        CHECK(is_full_of(memory, bytes, (char)number));
        trt_scratch_free(memory);
    }
}

static void
test_no_two_threads_have_the_same(void)
{
    check_run_threads(4, use_and_give_back, NULL);
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_each_size_can_be_used_whole);
    RUN(test_two_at_once_lie_apart);
    RUN(test_too_much_is_refused);
    RUN(test_no_two_threads_have_the_same);
    return check_end();
}
