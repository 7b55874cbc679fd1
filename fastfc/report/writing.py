"""The report of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..files import atomic_write
from .facts import config_section, lead, machine_section, result_section
from .layers import network_section
from .page import page
from .predictions import predictions_section
from .run import Run
from .timing import time_section
from .training import training_section

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._types import Model, StrPath


def write_report(
    path: StrPath,
    *,
    model: Model,
    data: Mapping[str, Any],
    history: Mapping[str, Any],
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    examples: bool = True,
) -> None:
    """Write a run as one page for a browser, whole or not at all.

    It has the curves of loss, accuracies and learning rate; what the network makes of the
    validation data, with the mistakes it is most sure of, or residuals; weights, outputs, dead
    units and gradients by layer; where the time went; configuration, machine and versions.  Below
    2 MB whatever the run is: curves are thinned, and examples evenly spaced where they are many.

    Parameters
    ----------
    path : path
        The file, replaced if it exists.
    model : network
        A ``FullyConnectedNet``, fast or reference, with the parameters to report on; it is not
        changed, nor is ``np.random``.  Of its ``preprocessing`` the report applies ``normalize``,
        and reads the names of a table's columns and classes.
    data : dict
        ``X_train``, ``y_train``, ``X_val`` and ``y_val`` as the Solver takes them; test data are
        counted.
    history : History or Solver
        Columns with an entry for each step, see `fastfc.training.History`.
    config : dict
        Settings by their names, in tables or not; of them ``batch_size``, ``update_rule`` and the
        rule's own are used to try a training step.
    summary : dict
        What came of the run: of it ``accuracy``, ``nonfinite``, ``seconds`` and ``stop_reason`` are
        shown, and ``machine`` and ``versions`` where they are there.
    examples : bool
        Whether single examples are shown; without them the page has only what was computed over
        many, beside the names of columns and classes.

    Raises
    ------
    OSError
        The file cannot be written.
    TypeError, ValueError
        The model is no network of fastfc's, or data or history lack something.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastfc.data import load_digits
    >>> from fastfc.fc_net import FullyConnectedNet
    >>> from fastfc.report import write_report
    >>> from fastfc.solver import Solver
    >>> model, data = FullyConnectedNet([20], input_dim=64), load_digits()
    >>> solver = Solver(model, data, num_epochs=1, verbose=False)
    >>> solver.train()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(f"{folder}/report.html", model=model, data=data, history=solver.history,
    ...                  config={"batch_size": 100}, summary={"stop_reason": solver.stop_reason})
    ...     os.listdir(folder)
    ['report.html']
    """
    run = Run(model, data, history, config, summary, examples)
    sections = [
        result_section(run),
        training_section(run),
        predictions_section(run),
        network_section(run),
        time_section(run),
        config_section(run),
        machine_section(run),
    ]
    text = page("Report of a training run", lead(run), sections)
    atomic_write(path, lambda file: file.write(text))
