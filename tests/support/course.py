"""A small course of our own in the manner of nndl and CS231n: folders that notebooks stand beside.

Its layers are wrong on purpose, so that it shows whose are called.
"""

from textwrap import dedent

FILES = {
    "layers.py": """
        import numpy as np

        def affine_forward(x, w, b):
            return "the course's", None

        def relu_forward(x):
            return "the course's", None

        def conv_forward(x):
            return affine_forward(x, np.eye(len(x[0])), 1.0)[0]
        """,
    "layer_utils.py": """
        from .layers import *

        def conv_relu_forward(x):
            return relu_forward(conv_forward(x))[0]
        """,
    "fc_net.py": """
        from .layers import *

        class FullyConnectedNet:
            pass
        """,
    "solver.py": """
        class Solver:
            pass
        """,
    "data_utils.py": """
        import cPickle as pickle

        def load_tiny():
            pass
        """,
    "cnn.py": """
        from .layers import *
        from {package}.layer_utils import *

        class ConvNet:
            def loss(self, X):
                return affine_forward(X, np.eye(2), 0.0)[0], conv_relu_forward(X)
        """,
    "vis_utils.py": "GRID = 3",
}


def write(folder, package, files=tuple(FILES), init="", **changed):
    """Write the course's package into a folder; ``changed`` maps names without .py to texts."""
    root = folder / package
    root.mkdir(parents=True, exist_ok=True)
    if init is not None:
        (root / "__init__.py").write_text(init)
    texts = {name: FILES[name] for name in files}
    texts |= {f"{name}.py": text for name, text in changed.items()}
    for name, text in texts.items():
        (root / name).write_text(dedent(text).replace("{package}", package))
    return root
