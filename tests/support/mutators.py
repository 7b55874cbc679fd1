"""New files from old ones: what random bytes alone would hardly ever reach.

Bytes changed anywhere in an archive fail its sums.  These take a file apart, change a part, and put
it together again with lengths and sums that fit; some then spoil these too.
"""

import ast
import contextlib
import copy
import gzip
import json
import pickletools
import random
import struct
import zlib

import numpy as np

from tests.support.tensors import join_tensors, split_tensors

ODD_NUMBERS = [0, 1, 2, 3, 8, 255, 256, 624, 625, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1]
ODD_NUMBERS += [2**45, 2**63 - 1, 2**63, 2**64, 10**400, -1, -(2**31), -(2**63)]
ODD_VALUES = [None, True, False, "", "x", [], {}, [[]], [None], [1], 0.5, 1e300, float("nan")]
ODD_VALUES += [float("inf"), "sgd", "adam", "../../evil", "/etc/evil", "sgd_momentum", "test"]
ODD_VALUES += [{"$array": "params/W1"}, {"$floats": "loss_history"}, {"$scalars": "x"}]
ODD_VALUES += [{"$tuple": [0, 1]}, {"$dict": [[1, 2]]}, {"$scalar": ["<f4", "00000000"]}]
ODD_VALUES += [{"$scalar": ["<U1", "ffffffff"]}, {"$scalar": ["O", "00" * 8]}, *ODD_NUMBERS]
DESCRS = ["'<f4'", "'<f8'", "'>f4'", "'<f2'", "'<i8'", "'|i1'", "'<u8'", "'|b1'", "'<c8'", "'O'"]
DESCRS += ["'|V0'", "'|S0'", "'<U0'", "'<U1'", "'|S3'", "'<M8[s]'", "'<m8'", "'|V4'", "'<f16'"]
DESCRS += ["'(2,)<f4'", "[('a', '<f4'), ('b', '|u1')]", "[('a', '<f4', (2,))]", "[]", "3", "''"]
DESCRS += ["[('', '|O')]", "[('a', [('b', '<U1')])]", "None", "'f4,f4'", "('<f4', {})", "'=f4'"]


# --- archives ---------------------------------------------------------------------------------


def mutate_archive(data, most, seed, mutate):
    """Return another archive."""
    rng = random.Random(seed)
    entries = _take_apart(data) if rng.random() < 0.9 else None
    if not entries:
        return mutate(data, most)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if entries:
            rng.choice(EDITS)(entries, rng, mutate)
    made = _put_together(entries)
    if rng.random() < 0.15:
        made = _spoil_directory(made, rng)
    return made if len(made) <= most else mutate(data, most)


def _take_apart(data):
    """Return [name, method, content] for each entry of an archive's directory."""
    end = data.rfind(b"PK\5\6")
    if end < 0 or len(data) < end + 22:
        return []
    count, _, at = struct.unpack("<HII", data[end + 10 : end + 20])
    entries = []
    for _ in range(min(count, 200)):
        if data[at : at + 4] != b"PK\1\2" or len(data) < at + 46:
            break
        method, size = struct.unpack("<H8xI", data[at + 10 : at + 24])
        lengths, start = struct.unpack("<3H", data[at + 28 : at + 34]), data[at + 42 : at + 46]
        name = data[at + 46 : at + 46 + lengths[0]]
        start = int.from_bytes(start, "little")
        local = data[start + 26 : start + 30]
        if len(local) == 4:
            start += 30 + sum(struct.unpack("<HH", local))
            content = data[start:] if size == 0xFFFFFFFF else data[start : start + size]
            if method == 8:
                with contextlib.suppress(zlib.error):
                    content = zlib.decompressobj(-15).decompress(content, 1 << 18)
            entries.append([name, method, content])
        at += 46 + sum(lengths)
    return entries


def _put_together(entries):
    """Return an archive of entries."""
    parts, directory, at = [], [], 0
    for name, method, content in entries:
        stored = content
        if method == 8:
            pack = zlib.compressobj(6, zlib.DEFLATED, -15)
            stored = pack.compress(content) + pack.flush()
        fields = struct.pack(
            *("<HHHHHIIIHH", 20, 0, method, 0, 33, zlib.crc32(content)),
            *(len(stored), len(content), len(name), 0),
        )
        parts += [b"PK\3\4" + fields + name, stored]
        rest = struct.pack("<HHHII", 0, 0, 0, 0, at)
        directory.append(b"PK\1\2\x14\0" + fields + rest + name)
        at += 30 + len(name) + len(stored)
    head = b"".join(directory)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(entries), len(entries), len(head), at, 0)
    return b"".join((*parts, head, end))


def _spoil_directory(data, rng):
    """Change a number of the directory or of an entry's own head."""
    data = bytearray(data)
    mark = rng.choice((b"PK\1\2", b"PK\1\2", b"PK\3\4", b"PK\5\6"))
    places = []
    at = data.find(mark)
    while at >= 0:
        places.append(at)
        at = data.find(mark, at + 4)
    if places:
        at = rng.choice(places) + rng.choice((4, 6, 8, 10, 12, 16, 18, 20, 22, 24, 28, 30, 32, 42))
        width = rng.choice((2, 4))
        number = rng.choice([*ODD_NUMBERS, len(data), len(data) - 22, rng.randrange(len(data))])
        if at + width <= len(data):
            data[at : at + width] = (number % 256**width).to_bytes(width, "little")
    return bytes(data)


def _split_array(content):
    """Return the header's text and the elements' bytes, or None."""
    if content[:6] != b"\x93NUMPY" or len(content) < 12:
        return None
    width = 2 if content[6] == 1 else 4
    length = int.from_bytes(content[8 : 8 + width], "little")
    return content[8 + width : 8 + width + length], content[8 + width + length :]


def _join_array(text, elements, version=1):
    width = 2 if version == 1 else 4
    length = min(len(text), 256**width - 1)
    head = b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(width, "little")
    return head + text[:length] + elements


def _pick(entries, rng):
    """Return an entry that is an array, with its parts."""
    for entry in rng.sample(entries, len(entries)):
        parts = _split_array(entry[2])
        if parts is not None:
            return entry, *parts
    return None


def _edit_header(entries, rng, mutate):
    """Let an array have another dtype, shape or order, and perhaps the bytes for it."""
    found = _pick(entries, rng)
    if found is None:
        return
    entry, text, elements = found
    try:
        fields = {
            key.strip(" '"): value.strip(" ,")
            for key, value in (
                part.split(":", 1)
                for part in text.decode("latin-1")
                .strip(" {}\n")
                .replace(", 'f", "\n'f")
                .replace(", 's", "\n's")
                .split("\n")
            )
        }
    except ValueError:
        return
    what = rng.randrange(4)
    if what == 0:
        fields["descr"] = rng.choice(DESCRS)
    elif what == 1:
        shape = [rng.choice([*ODD_NUMBERS, 2, 3]) for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))]
        if rng.random() < 0.1:
            shape = [1] * 70
        fields["shape"] = f"({''.join(f'{n}, ' for n in shape)})"
    elif what == 2:
        fields["fortran_order"] = rng.choice(("True", "False", "0", "None"))
    else:
        length = rng.randrange(40)
        elements = bytes(rng.choice((0, 1, 255, 127)) for _ in range(length))
        fields["shape"], fields["descr"] = f"({length},)", "'|u1'"
    text = "{" + ", ".join(f"'{key}': {value}" for key, value in fields.items()) + ", }"
    if rng.random() < 0.7:
        elements = _fitted(fields, elements)
    entry[2] = _join_array(text.encode("latin-1"), elements, rng.choice((1, 1, 2, 3)))


def _fitted(fields, elements):
    """Return as many bytes as a header asks for, where these are few."""
    with contextlib.suppress(Exception):
        dtype = np.lib.format.descr_to_dtype(ast.literal_eval(fields["descr"]))
        length = dtype.itemsize
        for n in ast.literal_eval(fields["shape"]):
            length *= n
        if 0 <= length < 1 << 14:
            return (elements + bytes(length))[:length]
    return elements


def _edit_text(entries, rng, mutate):
    found = _pick(entries, rng)
    if found is not None:
        entry, text, elements = found
        entry[2] = _join_array(mutate(text, len(text) + 40), elements)


def _edit_elements(entries, rng, mutate):
    found = _pick(entries, rng)
    if found is not None:
        entry, text, elements = found
        if rng.random() < 0.7 and elements:
            elements = mutate(elements, len(elements)).ljust(len(elements), b"\0")
        else:
            elements = mutate(elements, len(elements) + 16)
        entry[2] = _join_array(text, elements)


def _edit_entries(entries, rng, mutate):
    """Remove, repeat, rename or exchange."""
    entry, other = rng.choice(entries), rng.choice(entries)
    what = rng.randrange(7)
    if what == 0:
        entries.remove(entry)
    elif what == 1 and len(entries) < 60:
        entries.append(list(entry))
    elif what == 2:
        entry[0] = mutate(entry[0], 60)
    elif what == 3:
        entry[0], other[0] = other[0], entry[0]
    elif what == 4:
        entry[2] = other[2]
    elif what == 5:
        entry[1] = rng.choice((0, 8, 8, 9, 12, 14, 99))
    else:
        entry[2] = mutate(entry[2], len(entry[2]) + 8)


def _edit_json(entries, rng, mutate):
    """Change a value within an entry that is JSON, as bytes or as text."""
    for entry in rng.sample(entries, len(entries)):
        parts = _split_array(entry[2])
        if parts is None:
            continue
        wide = b"<U" in parts[0]
        text = parts[1].decode("utf-32-le" if wide else "latin-1", "replace")
        if text[:1] != "{":
            continue
        try:
            value = json.loads(text)
        except ValueError:
            continue
        for _ in range(rng.choice((1, 1, 2))):
            _change_within(value, rng, mutate)
        text = json.dumps(value)
        if wide:
            head = f"{{'descr': '<U{len(text)}', 'fortran_order': False, 'shape': (), }}"
            entry[2] = _join_array(head.encode(), text.encode("utf-32-le"))
        else:
            head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({len(text)},), }}"
            entry[2] = _join_array(head.encode(), text.encode("ascii", "replace"))
        return


def _containers(value):
    """Return every list and dict within a value, it too, that has something."""
    if not isinstance(value, (dict, list)) or not value:
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(found for item in inner for found in _containers(item))]


def _change_within(value, rng, mutate):
    places = _containers(value)
    if not places:
        return
    where, other = rng.choice(places), rng.choice(places)
    key = rng.choice(list(where) if isinstance(where, dict) else range(len(where)))
    old = where[key]
    what = rng.randrange(6)
    if what == 0:
        where.pop(key)
    elif what == 1 and isinstance(where, dict):
        word = mutate(str(key).encode(), 30).decode("latin-1")
        word = rng.choice((word, "$array", "$floats", "$tuple", "mode", "seed", "momentum"))
        where[word] = copy.deepcopy(old)
    elif what == 2 and isinstance(old, str):
        where[key] = mutate(old.encode("latin-1", "replace"), len(old) + 8).decode("latin-1")
    elif what == 3 and type(old) in (int, float):
        where[key] = rng.choice((-old, old + 1, old * 2, old // 2, 0.5, [old], int(old == 0)))
    elif what == 4 and other is not where:
        picked = rng.choice(list(other.values()) if isinstance(other, dict) else other)
        where[key] = copy.deepcopy(picked)
    else:
        where[key] = copy.deepcopy(rng.choice(ODD_VALUES))


def change_bytes(rng):
    """Return a function that changes a few bytes, as atheris' own would, which knows more."""

    def mutate(data, most):
        data = bytearray(data[:most] or b"\0")
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(data))
            what = rng.randrange(3)
            if what == 0 and len(data) < most:
                data.insert(at, rng.randrange(256))
            elif what == 1 and len(data) > 1:
                del data[at : at + rng.randrange(1, 8)]
                data = data or bytearray(b"\0")
            else:
                data[at] = rng.choice((0, 255, data[at] ^ 1 << rng.randrange(8)))
        return bytes(data)

    return mutate


EDITS = [_edit_header, _edit_text, _edit_elements, _edit_entries, _edit_json, _edit_json]


# --- the others -------------------------------------------------------------------------------


def mutate_idx(data, most, seed, mutate):
    """Return another idx file, zipped again if it was."""
    rng = random.Random(seed)
    if rng.random() < 0.3:
        return mutate(data, most)
    zipped = data[:2] == b"\x1f\x8b"
    inner = data
    if zipped:
        with contextlib.suppress(zlib.error):
            inner = zlib.decompressobj(31).decompress(data, 1 << 18)
    what = rng.randrange(4)
    if what == 0 and len(inner) >= 8:
        count = rng.choice((0, 1, 2, 3, 3, 3, 4, 64, 65, 255))
        sizes = [rng.choice((0, 1, 2, 3, 4, 255, 2**16, 2**31, 2**32 - 1)) for _ in range(count)]
        inner = struct.pack(f">HBB{count}I", 0, 8, count, *sizes)
        length = 1
        for size in sizes:
            length *= size
        inner += bytes(length if length < 4096 else 7)
    elif what == 1:
        inner = inner[: rng.randrange(len(inner) + 1)]
    else:
        inner = mutate(inner, most)
    made = gzip.compress(inner, mtime=0) if zipped ^ (rng.random() < 0.1) else inner
    return made if len(made) <= most else mutate(data, most)


def mutate_pickle(data, most, seed, mutate):
    """Return another pickle: steps left out, repeated, exchanged, or with other arguments."""
    rng = random.Random(seed)
    if rng.random() < 0.2:
        return mutate(data, most)
    starts = []
    with contextlib.suppress(Exception):
        starts = [place for _, _, place in pickletools.genops(data)]
    if len(starts) < 2:
        return mutate(data, most)
    steps = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, other = rng.randrange(len(steps)), rng.randrange(len(steps))
        what = rng.randrange(6)
        if what == 0 and len(steps) > 2:
            steps.pop(at)
        elif what == 1:
            steps.insert(at, steps[other])
        elif what == 2:
            steps[at], steps[other] = steps[other], steps[at]
        elif what == 3:
            steps.insert(at, rng.choice(STEPS))
        elif what == 4:
            steps[at] = rng.choice(STEPS)
        elif len(steps[at]) < 200:
            steps[at] = mutate(steps[at], len(steps[at]) + 4)
    made = b"".join(steps)
    return made if len(made) <= most else mutate(data, most)


def mutate_tensors(data, most, seed, mutate):
    """Return another file of tensors: a value of its head changed, or of the JSON within it."""
    rng = random.Random(seed)
    try:
        head, content = split_tensors(data)
        assert rng.random() < 0.8
        for _ in range(rng.choice((1, 1, 2))):
            metadata = head.get("__metadata__")
            if isinstance(metadata, dict) and metadata and rng.random() < 0.5:
                key = rng.choice(list(metadata))
                inner = json.loads(metadata[key])
                _change_within(inner, rng, mutate)
                metadata[key] = json.dumps(inner)
            else:
                _change_within(head, rng, mutate)
        if rng.random() < 0.2:
            content = mutate(content or b"x", len(content) + 8)
        made = join_tensors(head, content)
    except (AssertionError, AttributeError, TypeError, ValueError, RecursionError):
        return mutate(data, most)
    return made if len(made) <= most else mutate(data, most)


def _steps():
    numbers = [struct.pack("<i", n) for n in (0, -1, 1, 3, 3072, 2**31 - 1, -(2**31))]
    found = [b"J" + number for number in numbers]
    found += [b"r" + number for number in numbers] + [b"j" + number for number in numbers]
    found += [b"\x8a\x09" + bytes(8) + b"\x01", b"\x8a\x01\xff", b"G" + struct.pack(">d", 1e300)]
    found += [
        bytes([code]) for code in b"(.012)]}NQRabdeholstu\x85\x86\x87\x88\x89\x90\x91\x93\x94"
    ]
    found += [
        b"C\x02u1",
        b"U\x02u1",
        b"U\x02O8",
        b"U\x02f8",
        b"U\x01>",
        b"U\x04data",
        b"U\x06labels",
    ]
    for name in (
        "os\nsystem",
        "builtins\neval",
        "numpy\nndarray",
        "numpy\ndtype",
        "copyreg\n_recon",
    ):
        found.append(b"c" + name.encode() + b"\n")
    return [*found, b"c_codecs\nencode\n", b"cnumpy.core.multiarray\n_reconstruct\n"]


def mutate_bytes(data, most, seed, mutate):
    """Return another file, whose bytes have been changed as they come."""
    return mutate(data, most)


STEPS = _steps()
# of the others: mutate_archive
BY_READER = {"mnist": mutate_idx, "cifar": mutate_pickle, "tensors": mutate_tensors}
BY_READER |= {"onnx": mutate_bytes}
