"""The pictures that the tests compare; `python -m tests.plots.pictures` draws the expected ones."""

import pathlib

import matplotlib
import numpy as np
from matplotlib import pyplot

from fastfc import plots
from fastfc.reference.fc_net import FullyConnectedNet
from fastfc.training import History
from tests.support import cases

EXPECTED = pathlib.Path(__file__).parent / "expected"


def history(name):
    """Return three epochs of ten steps, scored at their ends."""
    steps = np.arange(1, 31)
    noise = cases.normal((30,), np.float64, name) / 10
    scored = (steps % 10 == 0) | (steps == 1)
    accuracy = np.where(scored, steps / 40 + noise / 2, np.nan)
    columns = {"iteration": steps, "epoch": steps // 10, "loss": 30 / (steps + 9) + noise}
    return History(**columns, train_acc=accuracy, val_acc=accuracy * 0.9)


def network():
    """Return a network of two hidden layers; a unit of the first one is dead."""
    net = FullyConnectedNet([12, 8], input_dim=48, num_classes=3, normalization="batchnorm")
    for name, value in net.params.items():
        net.params[name] = cases.normal(value.shape, np.float64, name).astype(value.dtype)
    for bn_param in net.bn_params:
        bn_param["running_mean"] = np.zeros(12 if bn_param is net.bn_params[0] else 8, np.float32)
        bn_param["running_var"] = bn_param["running_mean"] + 40
    net.params["beta1"][3] = -100
    return net


def examples():
    """Return examples of the network and their labels."""
    return cases.normal((30, 48), np.float32, "X"), cases.labels(30, 3, "y")


def draw_accuracies(ax):
    """Two runs in two panels."""
    return plots.accuracies({"one": history("one"), "two": history("two")}, ax=ax)


def draw_losses(ax):
    """Two runs, smoothed."""
    return plots.losses({"one": history("one"), "two": history("two")}, ax=ax)


def draw_weights(ax):
    """Coloured images of a first layer."""
    return plots.weights(network(), (3, 4, 4), ax=ax)


def draw_confusion(ax):
    """Shares of three classes."""
    _, y = examples()
    found = np.where(np.arange(30) % 4 == 0, (y + 1) % 3, y)
    return plots.confusion(y, found, names=["cat", "dog", "frog"], normalize=True, ax=ax)


def draw_activations(ax):
    """Two hidden layers."""
    return plots.activations(network(), examples()[0], ax=ax)


def draw_gradient_flow(ax):
    """Three layers."""
    return plots.gradient_flow(network(), *examples(), ax=ax)


PICTURES = {
    name.removeprefix("draw_"): draw
    for name, draw in list(globals().items())
    if name.startswith("draw_")
}


def save(name, path):
    """Draw a picture into a file, without text: fonts differ from machine to machine."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault | {"backend": "agg"}):
        figure, ax = pyplot.subplots(2 if name == "accuracies" else 1, figsize=(4, 4), dpi=60)
        PICTURES[name](ax)
        for axes in figure.axes:
            axes.set(title="", xlabel="", ylabel="")
            axes.set(xticks=[], yticks=[])
            axes.minorticks_off()
            for text in [*axes.texts]:
                text.remove()
            if axes.get_legend():
                axes.get_legend().remove()
        figure.savefig(path)
        pyplot.close(figure)


if __name__ == "__main__":
    EXPECTED.mkdir(exist_ok=True)
    for name in PICTURES:
        save(name, EXPECTED / f"{name}.png")
