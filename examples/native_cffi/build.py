"""Build the module `_sort` from sort.c, with cffi and the system's C compiler.

The module is put into a folder.

    python examples/native_cffi/build.py FOLDER
"""

import sys
from pathlib import Path

# [build]
from cffi import FFI

import taskrt

ffibuilder = FFI()
ffibuilder.cdef("""
    typedef struct trt_context trt_context;
    typedef struct { double *numbers; ptrdiff_t size; } part;
    int sort(trt_context *ctx, void *arg);
""")
ffibuilder.set_source(
    "_sort",
    Path(__file__).with_name("sort.c").read_text("utf-8"),
    include_dirs=[taskrt.get_include()],
)
# [/build]

if __name__ == "__main__":
    ffibuilder.compile(tmpdir=sys.argv[1])
