"""Hands the build to CMake; everything else is in pyproject.toml and CMakeLists.txt.

With FASTFC_STABLE_ABI=1 in the environment the wheel serves every CPython from 3.11 on.
"""

import os
import sys
import sysconfig

from setuptools import setup

STABLE_ABI = os.environ.get("FASTFC_STABLE_ABI", "") not in ("", "0")
if STABLE_ABI and (sys.version_info < (3, 11) or sysconfig.get_config_var("Py_GIL_DISABLED")):
    sys.exit("FASTFC_STABLE_ABI needs CPython 3.11, or a newer one, that has the GIL")

setup(
    cmake_source_dir=".",
    cmake_args=[f"-DFASTFC_STABLE_ABI={STABLE_ABI}"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
