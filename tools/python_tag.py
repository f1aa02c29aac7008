"""Print the version of this interpreter, as in 3.11 or 3.13t; refuse an older one."""

import sys
import sysconfig

if sys.version_info < (3, 11):  # noqa: UP036 - any interpreter may run this
    sys.exit("taskrt needs Python 3.11 or later")
threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print("%d.%d%s" % (*sys.version_info[:2], threaded))  # noqa: UP031 - or be old
