/* A bug ends the process with a sentence, and costs nothing in release builds. */
#include "check.h"

#include "os/check.h"

#include <sys/wait.h>

/* Run `body` in a child and return how it ended; what it wrote to standard error goes
 * to `text`. */
static int
run_in_child(void (*body)(void), char *text, size_t bytes)
{
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], text + length, bytes - 1 - length)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
    close(ends[0]);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    return status;
}

static void
panic(void)
{
    trt_panic("two and two are five");
}

static void
test_panic_aborts_with_its_message(void)
{
    char text[256];
    const int status = run_in_child(panic, text, sizeof text);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(strcmp(text, "taskrt: two and two are five\n") == 0);
}

static int evaluations;

static bool
is_true(void)
{
    evaluations++;
    return true;
}

static void
assert_false(void)
{
    TRT_ASSERT(evaluations < 0);
}

static void
test_assert_follows_ndebug(void)
{
    char text[256];
    evaluations = 0;
    TRT_ASSERT(is_true());
    const int status = run_in_child(assert_false, text, sizeof text);
#ifdef NDEBUG
    CHECK_EQ(evaluations, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_EQ(text[0], '\0');
    CHECK(is_true());
#else
    CHECK_EQ(evaluations, 1);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(strstr(text, "test_check.c:") != NULL);
    CHECK(strstr(text, "assertion failed: evaluations < 0\n") != NULL);
#endif
}

int
main(int argc, char **argv)
{
    check_begin(argc, argv);
    RUN(test_panic_aborts_with_its_message);
    RUN(test_assert_follows_ndebug);
    return check_end();
}
