# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: embedsignature=True, freethreading_compatible=True
"""The bindings: all that stands between Python and the C core.

Each function here has the signature of its namesake in ``fastfc.layers`` or the update rule in
``fastfc.optim``.  It converts its arguments, checks all that C relies on, makes the outputs,
releases the GIL and calls one kernel of the table in use: in this order, which checks.pxi states
and which keeps Python code from running between a check and the kernel.  Nothing that the caller
holds is changed before that call succeeds.

What C offers is declared in csrc.pxd, and nowhere else.  The parts below are named by what they
bind, and make one module, because pool and instruction set are one in a process.
"""
cimport cython
cimport numpy as cnp
from cpython.dict cimport PyDict_Next
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_CompareWithASCIIString
from cython cimport floating
from libc.math cimport exp, fabs, isfinite
from libc.stdint cimport PTRDIFF_MAX
from libc.stdlib cimport calloc, free, qsort, realloc
from libc.string cimport memcpy, memset

from csrc cimport *

import math
import operator
import os
import threading
from collections.abc import Mapping

import numpy as np

cnp.import_array()

include "checks.pxi"
include "workspace.pxi"
include "watch.pxi"
include "random.pxi"
include "affine.pxi"
include "activations.pxi"
include "dropout.pxi"
include "normalization.pxi"
include "loss.pxi"
include "norm.pxi"
include "update_rules.pxi"
include "gather.pxi"
include "arena.pxi"
include "spans.pxi"
include "steps.pxi"
include "network.pxi"
include "predictor.pxi"
include "response.pxi"
include "runtime.pxi"
