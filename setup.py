"""Hands the build to CMake; everything else is in pyproject.toml and CMakeLists.txt.

With FASTFC_STABLE_ABI=1 in the environment the wheel serves every CPython from 3.11 on.
"""

import os
import platform
import re
import sys
import sysconfig

from setuptools import setup

STABLE_ABI = os.environ.get("FASTFC_STABLE_ABI", "") not in ("", "0")
if STABLE_ABI and (sys.version_info < (3, 11) or sysconfig.get_config_var("Py_GIL_DISABLED")):
    sys.exit("FASTFC_STABLE_ABI needs CPython 3.11, or a newer one, that has the GIL")


def name_one_architecture():
    """Build for one architecture where a Mac's Python has two, and name the wheel by that one.

    CMake learns from ARCHFLAGS alone what to build for, by scikit-build-core, and refuses two;
    without it, it builds for this processor.  The wheel is named by Python: universal2.
    """
    of_python = sysconfig.get_platform()
    asked = re.findall(r"-arch (\S+)", os.environ.get("ARCHFLAGS", "")) or [platform.machine()]
    if of_python.endswith("-universal2") and len(asked) == 1:
        os.environ["ARCHFLAGS"] = f"-arch {asked[0]}"
        os.environ["_PYTHON_HOST_PLATFORM"] = of_python.replace("universal2", asked[0])


name_one_architecture()
setup(
    cmake_source_dir=".",
    cmake_args=[f"-DFASTFC_STABLE_ABI={STABLE_ABI}"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
