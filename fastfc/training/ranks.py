"""A Solver as one of several ranks that train together, see `fastfc.distributed`.

Without a communicator, or alone in it, all of this does nothing.  Every rank does what every other
does.  What a clock, a callback or a signal decides is decided for all, and what the world sees of a
run, lines, bars and files, comes from rank 0.
"""

from __future__ import annotations

import contextlib
import signal
import warnings
import zlib
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..version import __version__
from .attributes import Attributes
from .packing import pack
from .state import SPLITS, collect_state, fingerprints, restore
from .stopping import NonFiniteLossError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeVar

    from .._types import AnyArray
    from .resuming import Resumable
    from .stopping import Limits

    Error = TypeVar("Error", bound=BaseException)

# Settings that ranks may have each for itself: rank 0's count, or none is anybody else's business.
_OWN = {
    *("verbose", "print_every", "progress", "checkpoint_name", "checkpoint_every", "keep_last"),
    *("overwrite", "max_seconds", "callbacks", "comm", "comm_timeout"),
}


class DroppedStep(Exception):
    """The ranks stop before this step: it is as if it had not begun."""


class Votes:
    """What the ranks say, with the loss of each step, on whether to stop before it.

    Attributes
    ----------
    own : ndarray of float64, shape (3,)
        This rank's: that there is a reason to stop, a SIGINT, a SIGTERM.
    """

    def __init__(self) -> None:
        self.own: AnyArray = np.zeros(3)

    def heed(self, counted: AnyArray) -> None:
        """Drop the step where there are any among all ranks' votes."""
        if counted.any():
            raise DroppedStep


class Ranked(Attributes):
    """The part of a Solver that knows of other ranks.  ``_team`` is None where it is alone."""

    def _watch_errors(self, comm: Any) -> None:
        """Let errors that nobody catches end all ranks, those of the constructor too."""
        if comm is not None:
            from .. import distributed

            distributed.abort_at_uncaught(distributed.check_comm("comm", comm))

    def _find_team(self) -> None:
        """Find the other ranks."""
        self._team = None
        self._joined = False
        self._votes = Votes()
        if self.comm is None:
            return
        from .. import distributed

        distributed.check_network(self.model)
        if self.comm.Get_size() > 1:
            self._team = distributed.Team(self.comm, self.comm_timeout)
        else:
            distributed.warn_of_binding()

    @property
    def _leads(self) -> bool:
        """Whether this is rank 0, or alone."""
        return self._team is None or self._team.rank == 0

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Surround what ranks do together: an error that not all of them raise ends the job."""
        team = self._team
        if team is None:
            yield
            return
        from .. import distributed

        with team, warnings.catch_warnings():
            if not self._leads:
                for category in (UserWarning, RuntimeWarning):
                    warnings.simplefilter("ignore", category)
            try:
                yield
            except NonFiniteLossError as error:  # the loss is everybody's
                distributed.agree(error)
                raise
            except BaseException as error:
                if not distributed.is_agreed(error):
                    team.abort(error)
                raise
            finally:
                self._votes.own[:] = 0  # a loop of the user's own goes on

    def _join(self) -> None:
        """Begin where rank 0 stands, after the ranks have been compared."""
        team = self._team
        if team is None:
            return
        from .. import distributed

        solver = cast("Resumable", self)
        ranks = team.collect_objects(_describe(solver), "what they train")
        different = distributed.find_differences(ranks)
        if different is not None:
            raise distributed.agree(ValueError(f"comm: {different}"))
        distributed.choose_instruction_set(team)
        distributed.share_threads(team)
        state = collect_state(solver) if self._leads else None
        self._run, state = team.lead((self._run, state), "rank 0's state")
        if state is not None and not self._leads:
            restore(solver, state)
            self._rates.restore(state["rates"])
        self._joined = True

    def _decide(
        self, limits: Limits, step: int, came: signal.Signals | None, dropped: bool
    ) -> tuple[str | None, signal.Signals | None]:
        """Return why all ranks stop, if they do: rank 0's reason, and anybody's signal.

        Where they may have different opinions, they vote by the message that exchanges the coming
        step's loss, and stop if that step is ``dropped``.
        """
        reason, team = self._asked or limits.reached(step), self._team
        if team is None:
            return reason, came
        leads = self._leads and reason is not None
        self._votes.own[:] = leads, came == signal.SIGINT, came == signal.SIGTERM
        if not dropped and self.nonfinite is None and limits.counted(step) is None:
            return None, None
        stops, interrupted, terminated = team.add(self._votes.own.copy(), "whether to stop")
        reason = team.lead(reason, "why to stop") if stops else None
        if terminated:
            return reason, signal.SIGTERM
        return reason, signal.SIGINT if interrupted else None

    @contextlib.contextmanager
    def _droppable(self) -> Iterator[None]:
        """Surround a step, which the ranks may drop: draws and rates are as they were before."""
        if self._team is None:
            yield
            return
        configs = {name: dict(config) for name, config in self.optim_configs.items()}
        random = np.random.get_state(legacy=False)
        try:
            yield
        except DroppedStep:
            for name, config in configs.items():  # the coming step's learning rates
                self.optim_configs[name].clear()
                self.optim_configs[name].update(config)
            np.random.set_state(random)
            raise

    def _agree(self, error: Error) -> Error:
        """Return an error that all ranks are about to raise."""
        if self._team is not None:
            from .. import distributed

            distributed.agree(error)
        return error

    def _compare_ranks(self) -> None:
        """Raise an error unless the ranks are where rank 0 is, bit for bit, if that is asked for.

        Raises
        ------
        RuntimeError
            One of them is not.
        """
        team = self._team
        if team is None or not self.check_ranks:
            return
        from .. import distributed

        found = team.collect_objects(_checksum(cast("Resumable", self)), "checksums")
        others = [str(rank) for rank, mark in enumerate(found) if mark != found[0]]
        if others:
            raise distributed.agree(
                RuntimeError(
                    f"check_ranks: after iteration {len(self.loss_history)} parameters, state "
                    f"or draws of rank {', '.join(others)} are not those of rank 0"
                )
            )


def _describe(solver: Resumable) -> dict[str, str]:
    """Return what must be the same on all ranks, by the names that a message uses."""
    from .settings import SETTINGS

    network: Any = solver.model
    shapes = {name: np.shape(w) for name, w in network.params.items()}
    generator = np.random.get_state(legacy=False)["bit_generator"]
    found = {
        "shards": repr(solver.shards),
        "fastfc version": __version__,
        "NumPy version": np.__version__,
        "generator": str(generator),
        "network": f"{type(network).__name__} of {network.dtype.__name__}",
        "shapes of parameters": str(shapes),
        "number of steps": str(len(solver.loss_history)),
    }
    for name in ("normalization", "activation", "loss_name", "loss_param", "label_smoothing"):
        found[name] = repr(getattr(network, name))
    found |= {name: _text(getattr(network, name)) for name in ("reg", "dropout_param")}
    for name in SETTINGS:
        if name not in _OWN:
            found[name] = _text(getattr(solver, name))
    for name, mark in fingerprints(solver).items():
        found[f"data: {name}"] = str(mark)
    for split in SPLITS:
        if split not in solver._cuts:
            found[f"data: w_{split}"] = _text(getattr(solver, f"w_{split}"))
    return found


def _text(value: Any) -> str:
    """Return what tells a setting from others, the same on all ranks: no addresses."""
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return repr(value)
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape} and CRC-32 {zlib.crc32(value.tobytes())}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name!r}: {_text(item)}' for name, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(_text, value))})"
    return str(getattr(value, "__qualname__", type(value).__name__))


def _checksum(solver: Resumable) -> int:
    """Return the CRC-32 of all that a step changes, its losses but the last included."""
    params, statistics = solver._latest()
    state: Mapping[str, Any] = {
        "params": params,
        "running statistics": statistics,
        "optim_configs": solver.optim_configs,
        "losses": solver.loss_history[-1:],
        "random": np.random.get_state(legacy=False),
    }
    arrays: dict[str, Any] = {}
    mark = zlib.crc32(repr(pack(state, arrays)).encode())
    for array in arrays.values():
        mark = zlib.crc32(array.tobytes(), mark)
    return mark
