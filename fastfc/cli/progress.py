"""A progress bar on a terminal, which makes way for lines that are printed."""

import shutil
import time

from fastfc.solver import Solver

REDRAW_SECONDS = 0.1


class ProgressSolver(Solver):
    """A Solver that shows after each step how far it is.

    Parameters
    ----------
    bar : ProgressBar
        Where to show it.
    model, data, **kwargs
        As Solver has them.
    """

    def __init__(self, bar, model, data, **kwargs):
        super().__init__(model, data, **kwargs)
        self._bar = bar
        self._num_steps = self.num_epochs * max(len(self.X_train) // self.batch_size, 1)

    def _step(self):
        super()._step()
        self._bar.show(len(self.loss_history), self._num_steps, self.loss_history[-1])


class ProgressBar:
    r"""One line at the foot of a terminal, drawn over itself.

    As a context it leaves no trace behind, whatever ends the training.

    Parameters
    ----------
    stream : text stream
        The terminal.
    clock : callable
        Gives the time in seconds.

    Examples
    --------
    >>> import io
    >>> out = io.StringIO()
    >>> with ProgressBar(out, clock=iter((0, 10)).__next__) as bar:
    ...     bar.show(50, 200, 1.5)
    >>> out.getvalue().split("\r")[1]
    '[#####               ]  25 %  50/200  loss 1.5000  30 s left'
    """

    def __init__(self, stream, clock=time.monotonic):
        self._stream = stream
        self._clock = clock
        self._start = clock()
        self._redraw = -1.0
        self._width = 0  # of what is on the screen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.erase()

    def show(self, done, total, loss):
        """Draw the bar, if the last time was some moments ago."""
        now = self._clock()
        if now < self._redraw:
            return
        self._redraw = now + REDRAW_SECONDS
        left = (now - self._start) * (total - done) / done
        text = (
            f"[{'#' * (20 * done // total):20}] {100 * done // total:3} %  {done}/{total}  "
            f"loss {loss:.4f}  {left:.0f} s left"
        )
        text = text[: shutil.get_terminal_size().columns - 1]
        self._draw(f"\r{text:{self._width}}")
        self._width = len(text)

    def erase(self):
        """Clear the line and put the cursor at its beginning."""
        if self._width:
            self._draw(f"\r{'':{self._width}}\r")
            self._width = 0

    def _draw(self, text):
        self._stream.write(text)
        self._stream.flush()


class AboveBar:
    """An output stream whose text appears where the bar was; the bar comes back below it.

    Parameters
    ----------
    stream : text stream
        Where the text goes.
    bar : ProgressBar
        The bar that shares the terminal with it.
    """

    def __init__(self, stream, bar):
        self._stream = stream
        self._bar = bar

    def write(self, text):
        """Write text, without the bar."""
        self._bar.erase()
        return self._stream.write(text)

    def flush(self):
        """Pass on what is buffered."""
        self._stream.flush()
