"""How a C file of native tasks becomes a library: one call of the C compiler."""

import ctypes
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import taskrt


# [build]
def load(name: str) -> ctypes.CDLL:
    """Compile `name`.c, beside this file, and load it; end if there is no compiler."""
    asked = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    compiler, *first = asked.split()
    flags = ["-std=c11", "-O2", "-shared", "-fPIC", f"-I{taskrt.get_include()}"]
    source = Path(__file__).with_name(f"{name}.c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, f"{name}.so")
        command = [compiler, *first, *flags, str(source), "-o", str(library), "-lm"]
        try:
            subprocess.run(command, check=True)
        except FileNotFoundError:
            sys.exit(f"{name} needs a C compiler: no {compiler} here. Set CC to one.")
        return ctypes.CDLL(str(library))  # stays when its file goes


# [/build]
