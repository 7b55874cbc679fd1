"""Arguments of an operation: small ones, the arrays in them, and a call on the very arrays."""

import copy

import numpy as np

from fastfc.verifying import operations


def small_arguments(operation, dtype):
    """Arguments of a modest shape with an edge in each dimension."""
    shape = ((13, 2, 9), 7) if "affine" in operation.function else (13, 7)
    return operation.arguments(shape, dtype)


def paths(value, path=()):
    """Return the path to each array within nested tuples, lists and dicts."""
    if isinstance(value, dict):
        return [found for k, v in value.items() for found in paths(v, (*path, k))]
    if isinstance(value, list | tuple):
        return [found for i, v in enumerate(value) for found in paths(v, (*path, i))]
    return [path] if isinstance(value, np.ndarray) else []


def replace(value, path, change):
    """Return a copy of nested containers with change(array) at the path."""
    if not path:
        return change(value)
    copied = list(value) if isinstance(value, tuple) else copy.copy(value)
    copied[path[0]] = replace(value[path[0]], path[1:], change)
    return tuple(copied) if isinstance(value, tuple) else copied


def look_up(value, path):
    """Return the array at the path."""
    for step in path:
        value = value[step]
    return value


def own_containers(value):
    """Copy dicts, lists and tuples, but not the arrays in them."""
    if isinstance(value, dict):
        return {k: own_containers(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(own_containers(v) for v in value)
    return value


def call(operation, args):
    """Call the fast function on the very arrays given, not on copies."""
    args = own_containers(args)
    np.random.seed(0)
    with np.errstate(all="raise"):
        return operation.outputs(operation.callable(operations.FAST)(*args), args)
