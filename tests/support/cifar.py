"""CIFAR-10: batch files of a few rows, pickled as Python 2 did; the real images where they are."""

import struct
import warnings

import numpy as np
import pytest

from fastfc.data import cifar10
from fastfc.data_utils import get_CIFAR10_data

FOLDER = "cifar-10-batches-py"


def python2_dump(value):
    """Pickle `value` in the opcodes that Python 2 (protocol 2) writes."""
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode("latin1")
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(python2_dump, value)) + b"e"
    if isinstance(value, dict):
        items = b"".join(python2_dump(k) + python2_dump(v) for k, v in value.items())
        return b"}(" + items + b"u"
    raw = value.tobytes()
    begin = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    begin += python2_dump(0) + b"\x85" + python2_dump("b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + python2_dump("u1") + python2_dump(0) + python2_dump(1) + b"\x87R"
    dtype += b"(" + python2_dump(3) + python2_dump("|") + b"NNN"
    dtype += 2 * python2_dump(-1) + python2_dump(0) + b"tb"
    shape = b"(" + b"".join(map(python2_dump, value.shape)) + b"t"
    body = b"(" + python2_dump(1) + shape + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw
    return begin + body + b"tb"


def python2_pickle(batch):
    return b"\x80\x02" + python2_dump(batch) + b"."


def make_batch(seed, rows=20):
    rng = np.random.RandomState(seed)
    return {
        "batch_label": f"batch {seed}",
        "labels": rng.randint(10, size=rows).tolist(),
        "data": rng.randint(256, size=(rows, 3072)).astype(np.uint8),
        "filenames": [f"image_{i}.png" for i in range(rows)],
    }


def write_folder(folder):
    folder.mkdir(parents=True)
    for seed, name in enumerate((*cifar10.TRAIN_FILES, cifar10.TEST_FILE)):
        (folder / name).write_bytes(python2_pickle(make_batch(seed)))


def real_images(num_training, num_validation):
    """Return training and validation images; skip the test where there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # copies of the images need not be the official files
        try:
            data = get_CIFAR10_data(num_training, num_validation, num_test=1)
        except FileNotFoundError as error:
            pytest.skip(str(error))
    return {name: data[name] for name in ("X_train", "y_train", "X_val", "y_val")}
