"""Hands the build to CMake; everything else is in pyproject.toml and CMakeLists.txt.

One wheel serves every CPython from 3.11 on: the limited API of 3.10 has no buffers, and builds
without the GIL have no limited API.
"""

import sys
import sysconfig

from setuptools import setup

STABLE_ABI = (
    sys.implementation.name == "cpython"
    and sys.version_info >= (3, 11)
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)

setup(
    cmake_source_dir=".",
    cmake_args=[f"-DFASTFC_STABLE_ABI={STABLE_ABI}"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
