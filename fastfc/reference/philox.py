"""Philox4x32-10, a counter-based random generator (Salmon et al. 2011)."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .._types import ArrayLike, ReadParam

    Words = NDArray[np.uint32]


def philox4x32(counter: ArrayLike, key: Sequence[int]) -> Words:
    """Return the blocks of four words, (n, 4), of the counters, (n, 4), under the key, (2,)."""
    c0, c1, c2, c3 = np.asarray(counter, np.uint64).T
    k0, k1 = (int(word) for word in key)
    high, low = np.uint64(32), np.uint64(2**32 - 1)
    for _ in range(10):
        a = c0 * np.uint64(0xD2511F53)
        b = c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            (b >> high) ^ c1 ^ np.uint64(k0),
            b & low,
            (a >> high) ^ c3 ^ np.uint64(k1),
            a & low,
        )
        k0 = (k0 + 0x9E3779B9) % 2**32
        k1 = (k1 + 0xBB67AE85) % 2**32
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def stream(key: int, n: int) -> Words:
    """Return the first n words of the stream of a 64-bit key: the counters 0, 1, 2, ..."""
    blocks = np.arange(-(-n // 4), dtype=np.uint64)
    counter = np.zeros((len(blocks), 4), np.uint64)
    counter[:, 0] = blocks & np.uint64(2**32 - 1)
    counter[:, 1] = blocks >> np.uint64(32)
    return philox4x32(counter, (key % 2**32, key >> 32)).ravel()[:n]


def generator_of(dropout_param: ReadParam) -> Any:
    """Return what draws masks: by the bit generator that is given, or NumPy's global one."""
    given = dropout_param.get("generator")
    if given is None:
        return np.random
    if not isinstance(given, np.random.BitGenerator):
        raise TypeError(
            f"dropout_forward: dropout_param['generator'] is {shown(given)}, expected a bit "
            "generator of numpy.random"
        )
    return np.random.RandomState(given)


def key_of(dropout_param: ReadParam, drawn: bool) -> int:
    """Return the seed as a key; without one, if ``drawn``, 64 bits of the generator."""
    if "seed" not in dropout_param:
        draws = generator_of(dropout_param)
        return int(draws.randint(2**64, dtype=np.uint64)) if drawn else 0
    try:
        key = operator.index(dropout_param["seed"])
    except TypeError:
        raise TypeError(
            f"dropout_forward: dropout_param['seed'] is {shown(dropout_param['seed'])}, "
            "expected an integer in [0, 2**64)"
        ) from None
    if not 0 <= key < 2**64:
        raise ValueError(
            f"dropout_forward: dropout_param['seed'] is {key}, expected an integer in [0, 2**64)"
        )
    return key
