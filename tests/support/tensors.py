"""Files of tensors as somebody else might write them."""

import json


def join_tensors(head, content):
    """Return the bytes of a file: a head, as JSON's value or bytes, and what lies behind it."""
    if not isinstance(head, bytes):
        head = json.dumps(head).encode()
    return len(head).to_bytes(8, "little") + head + content


def split_tensors(data):
    """Return the head of a file as a dictionary, and the bytes behind it."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]
