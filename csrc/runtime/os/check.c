#include "os/check.h"

#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <io.h>
#define write_bytes(text, length) _write(2, (text), (unsigned)(length))
#else
#include <unistd.h>
#define write_bytes(text, length) write(STDERR_FILENO, (text), (length))
#endif

static void
write_text(const char *text)
{
    /* When standard error cannot be written there is nobody left to tell. */
    if (write_bytes(text, strlen(text)) < 0) {
        return;
    }
}

_Noreturn void
trt_panic(const char *message)
{
    write_text("taskrt: ");
    write_text(message);
    write_text("\n");
    abort();
}
