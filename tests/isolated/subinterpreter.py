"""A subinterpreter is told that it cannot have the runtime."""

import os

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

CODE = """
import os
try:
    import taskrt
except ImportError as error:
    os.write(1, f"ImportError: {error}".encode())
else:
    os.write(1, b"imported")
"""

interpreter = interpreters.create()
try:
    interpreters.run_string(interpreter, CODE)
finally:
    interpreters.destroy(interpreter)
os.write(1, b"\n")

import taskrt  # noqa: E402

assert taskrt.fetch(taskrt.spawn(int)) == 0
