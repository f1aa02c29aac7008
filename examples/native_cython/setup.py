"""Build the module `queens` beside this file.

It can be imported from there.

    cd examples/native_cython && python setup.py build_ext --inplace
"""

# [setup]
from Cython.Build import cythonize
from setuptools import Extension, setup

import taskrt

queens = Extension("queens", ["queens.pyx"], include_dirs=[taskrt.get_include()])
setup(name="queens", ext_modules=cythonize([queens]))
# [/setup]
