"""A run's figures for MLflow, by its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..optional import missing_package
from .tracker import FAILED, KILLED, Tracker, settings_of

try:
    from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
    from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise missing_package("fastfc.trackers.MLflow", "mlflow", "mlflow", error) from error

if TYPE_CHECKING:
    from typing import Any

    from ..solver import Solver
    from .tracker import Row

MOST_METRICS = 1000  # in one request


class MLflow(Tracker):
    """Writes a run of MLflow: its settings as parameters, each column of the history a metric.

    Parameters
    ----------
    experiment : str
        Its name; made if there is none.
    tracking_uri : str, optional
        Where it is kept, as ``"sqlite:///runs.db"``; by default where MLflow says.
    run_name : str, optional
        By default MLflow makes one up.
    every : int
        Steps from one that is written to the next, default 10; the first and the last one, and
        those after a scoring, are written too.

    Attributes
    ----------
    run_id : str or None
        The last run's.

    Examples
    --------
    >>> from fastfc.trackers import MLflow
    >>> tracker = MLflow("digits", "sqlite:///runs.db")  # doctest: +SKIP
    >>> solver = Solver(model, data, callbacks=tracker)  # doctest: +SKIP
    """

    def __init__(
        self,
        experiment: str = "fastfc",
        tracking_uri: str | None = None,
        run_name: str | None = None,
        every: int = 10,
    ) -> None:
        super().__init__(every)
        self.experiment, self.tracking_uri, self.run_name = experiment, tracking_uri, run_name
        self.run_id: str | None = None

    def _begin(self, run: Solver, again: bool) -> None:
        self._client: Any = MlflowClient(self.tracking_uri)
        if again:
            self._client.update_run(self.run_id, status="RUNNING")
            return
        found: Any = self._client.get_experiment_by_name(self.experiment)
        if found is None:
            number = self._client.create_experiment(self.experiment)
        else:
            number = found.experiment_id
        self.run_id = self._client.create_run(number, run_name=self.run_name).info.run_id
        params = [Param(name, str(value)) for name, value in settings_of(run).items()]
        self._client.log_batch(self.run_id, params=params)

    def _write(self, rows: list[Row]) -> None:
        metrics = [
            Metric(name, value, int(1000 * row.time), row.step)
            for row in rows
            for name, value in row.figures.items()
        ]
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self.run_id, metrics[start : start + MOST_METRICS])

    def _end(self, reason: str | None) -> None:
        status = "FAILED" if reason in FAILED else "KILLED" if reason in KILLED else "FINISHED"
        self._client.set_tag(self.run_id, "stop_reason", str(reason))
        self._client.set_terminated(self.run_id, status)
