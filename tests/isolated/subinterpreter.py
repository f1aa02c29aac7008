"""A subinterpreter is told that it cannot have the runtime."""

import importlib
import os

try:
    interpreters = importlib.import_module("_interpreters")
except ImportError:
    interpreters = importlib.import_module("_xxsubinterpreters")

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

taskrt = importlib.import_module("taskrt")

assert taskrt.fetch(taskrt.spawn(int)) == 0
