"""Import taskrt beside a greenlet of the version that the command line says."""

import sys

import greenlet

greenlet.__version__ = sys.argv[1]

try:
    import taskrt  # noqa: F401
except ImportError as error:
    print("ImportError:", error)
else:
    print("imported")
