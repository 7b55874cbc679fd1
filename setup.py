"""Hands the build to CMake; everything else is in pyproject.toml and CMakeLists.txt."""

from setuptools import setup

setup(cmake_source_dir=".")
