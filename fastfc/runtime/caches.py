"""How large a core's data caches are, by which the core cuts products into blocks.

From ``FASTFC_CACHES``, say ``32K,512K,32M`` for levels 1 to 3; else what the processor says of
itself; else what Linux says of it; else what the smallest cores with this instruction set have.
"""

import os
import re

from .. import _core

_FALLBACK = {"avx512": (32 << 10, 1 << 20, 0), "neon": (32 << 10, 512 << 10, 0)}
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


def _bytes(text: str) -> int:
    """Return what 32768, 32K or 1M is in bytes."""
    match = re.fullmatch(r"([0-9]{1,9})([KM]?)", text.strip().upper())
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2]]


def _forced(text: str) -> tuple[int, int, int]:
    try:
        l1, l2, l3 = map(_bytes, text.split(","))
    except ValueError:
        l2 = 0
    if l2 < 1:
        raise ImportError(
            f"FASTFC_CACHES is {text!r}, expected the sizes of L1, L2 and L3, such as 32K,512K,32M"
        )
    return l1, l2, l3


def _sysfs(folder: str) -> tuple[int, int, int]:
    """Return what a processor's folder in Linux's sysfs says; zeros if nothing."""
    sizes = [0, 0, 0]
    try:
        for name in os.listdir(folder):
            texts = []
            for fact in ("type", "level", "size"):
                with open(os.path.join(folder, name, fact)) as file:
                    texts.append(file.read().strip())
            kind, level, size = texts
            if kind in ("Data", "Unified") and level in ("1", "2", "3"):
                sizes[int(level) - 1] = _bytes(size)
    except (OSError, ValueError):
        pass  # what could be read is kept
    return sizes[0], sizes[1], sizes[2]


def _found() -> tuple[int, int, int]:
    """Return the sizes of levels 1 to 3; 0: there is none, or it is not known."""
    forced = os.environ.get("FASTFC_CACHES", "").strip()
    if forced:
        return _forced(forced)
    for sizes in (_core.detect_caches(), _sysfs("/sys/devices/system/cpu/cpu0/cache")):
        if sizes[0] and sizes[1]:
            return sizes
    return _FALLBACK.get(_core.isa(), (32 << 10, 256 << 10, 0))


CACHES = _found()
_core.set_l2_bytes(CACHES[1])
