"""What networks offer around their loss: predictions, files, a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from ..arguments import count
from ..arrays import to_array, to_examples
from ..locks import lock_of
from .losses import LOSSES, predictions_of, probabilities_of
from .predictor import Predictor as ComposedPredictor
from .predictor import freeze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from typing_extensions import Self

    from .._types import AnyArray, Array, ArrayLike, Examples, Params, Predictor, StrPath
    from .fully_connected import FullyConnectedNet


class Model:
    """Predictions, files and a summary of a network, by its ``loss`` and its parameters.

    The networks of :mod:`fastfc.fc_net` and :mod:`fastfc.reference.fc_net` inherit these methods.
    """

    num_layers: int
    params: Params
    normalization: str | None
    activation: str
    use_dropout: bool
    dropout_param: dict[str, Any]
    bn_params: list[dict[str, Any]]
    dtype: type[np.floating[Any]]
    loss_name: str
    loss_param: float | None
    preprocessing: dict[str, Any] | None = None
    _arguments: dict[str, Any]
    loss: Callable[..., Any]

    def predict(self, X: ArrayLike | Examples, batch_size: int = 1000) -> AnyArray:
        """Return for every example the class with the greatest score, or what its scores stand for.

        Parameters
        ----------
        X : array_like, shape (N, d_1, ..., d_k), real
            Inputs as ``loss`` takes them; N may be 0.  An array in a file is read batch by batch.
        batch_size : int
            Examples per pass, which bounds the memory in use.

        Returns
        -------
        ndarray, shape (N,), int64
            Classes.  For the loss ``'logistic'`` 0 or 1 for each score, for ``'poisson'`` rates,
            and for the other losses the scores themselves: of shape (N, num_classes), or (N,) where
            that is 1, and but for 0 and 1 of the network's dtype.

        Raises
        ------
        TypeError, ValueError
            As ``loss``; or batch_size is no integer of at least 1, or a score is NaN.

        Examples
        --------
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> net = FullyConnectedNet([], input_dim=2, num_classes=2)
        >>> net.params["W1"] = np.eye(2, dtype=np.float32)
        >>> net.predict([[3, 1], [1, 2]])
        array([0, 1])
        """
        name = self.loss_name
        batches = [predictions_of(name, scores) for scores in self._scores(X, batch_size)]
        return np.concatenate(batches)

    def predict_proba(self, X: ArrayLike | Examples, batch_size: int = 1000) -> Array:
        """Return the probability of every class for every example: the softmax of its scores.

        For the loss ``'logistic'`` the probability of 1 for each score.

        Parameters
        ----------
        X, batch_size
            As for ``predict``.

        Returns
        -------
        ndarray, shape (N, C), of the network's dtype
            Each row sums to 1, of ``'softmax'``.

        Raises
        ------
        TypeError, ValueError
            As ``predict``; or the network's loss is of no classes.

        Examples
        --------
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> net = FullyConnectedNet([], input_dim=2, num_classes=2, weight_scale=0)
        >>> net.predict_proba([[3, 1]])
        array([[0.5, 0.5]], dtype=float32)
        """
        name = self.loss_name
        batches = [probabilities_of(name, scores) for scores in self._scores(X, batch_size)]
        return np.concatenate(batches)

    def predictor(self) -> Predictor:
        """Return a function of the scores of single examples, or of several: a fast ``loss(x)``.

        It is of the network as it is now: what is trained, set or edited later does not change it.
        It shares nothing with the network, so many threads may call it at once; it can be copied
        and pickled, and packs its weights again where it is loaded.

        ``predictor(x, out=None)`` takes an array ``x`` of the network's dtype, C-contiguous and
        aligned, of shape (D,), one example, or (N, d_1, ..., d_k) with d_1 * ... * d_k = D, and
        returns the scores, of shape (C,) or (N, C): a new array, or ``out``, which has that shape,
        dtype and layout.  Nothing is converted and nothing else is checked.  It has ``dtype``,
        ``input_dim``, D, and ``num_classes``, C.

        The reference's scores are those of its ``loss(x)``.  The fast ones are the same bits for an
        example in any batch and on any number of threads, and those of ``loss(x)`` where the
        network has no batch normalisation and no layer of more than 4096 inputs and at most 128
        outputs.  There they differ by rounding: ``loss`` sums a product that deep in another order,
        and a batch normalisation is folded into the weights, once and in float64.

        A call of at least 65536 multiply-adds leaves the GIL to other threads, a smaller one keeps
        it for the microseconds that it takes: to let go of it and to get it back costs more.

        Returns
        -------
        callable

        Raises
        ------
        TypeError
            ``loss`` is not the network's own, but a subclass's or one that was put there; or as
            ``loss``.
        ValueError
            A parameter is missing, or its shape does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> net = FullyConnectedNet([], input_dim=2, num_classes=2)
        >>> net.params["W1"] = np.eye(2, dtype=np.float32)
        >>> predictor = net.predictor()
        >>> net.params["W1"] *= 9
        >>> x = np.array([3, 1], np.float32)
        >>> predictor(x), predictor(x[np.newaxis])
        (array([3., 1.], dtype=float32), array([[3., 1.]], dtype=float32))
        """
        with lock_of(self):
            frozen = freeze(cast("FullyConnectedNet", self))
        return self._predictor_of(frozen)

    def _predictor_of(self, frozen: FullyConnectedNet) -> Predictor:
        """Return the predictor of a network that is ours."""
        return ComposedPredictor(frozen)

    def _scores(self, X: ArrayLike | Examples, batch_size: int) -> Iterator[Array]:
        """Generate the scores of X, batch by batch; of an empty X one empty batch."""
        count("batch_size", batch_size)
        rows = to_examples("X", X)
        if not hasattr(rows, "shape"):
            rows = to_array("X", rows)
        if not rows.shape:
            yield self.loss(rows)  # says what it expects
            return
        for start in range(0, max(rows.shape[0], 1), batch_size):
            batch = rows[start : start + batch_size]
            scores = self.loss(batch)
            if start == 0:
                np.empty(rows.shape[0], np.intp)  # a MemoryError now, not hours later
            self._check_scores(scores, batch, start)
            yield scores

    def _check_scores(self, scores: Array, batch: AnyArray, start: int) -> None:
        """Raise ValueError if one is NaN: then no class is the greatest, and none is probable."""
        if not np.isnan(scores).any():
            return
        row = int(np.argmax(np.isnan(scores).any(axis=1)))
        wrong = [name for name, w in self.params.items() if not np.isfinite(w).all()]
        reason = "numbers overflow on the way"
        if wrong:
            reason = f"params[{wrong[0]!r}] is not finite"
        elif not np.isfinite(np.asarray(batch[row])).all():
            reason = "the example is not finite"
        raise ValueError(f"X[{start + row}] has scores that are NaN, expected numbers: {reason}")

    def save(self, path: StrPath) -> None:
        """Write the network to a file, whole or not at all.

        Configuration, parameters, running statistics and ``preprocessing``, as an ``.npz`` archive
        with JSON inside and without pickles; see :mod:`fastfc.networks.network_file`.  What a
        subclass adds to a network is not in it, nor is the state of an update rule.  The
        same network gives the same bytes.

        Parameters
        ----------
        path : path
            The file, replaced if it exists; its name is taken as it is.  With the ending
            ``.safetensors`` it is such a file, of the same content, which needs the extra
            ``fastfc[safetensors]``.

        Raises
        ------
        ImportError
            The extra is missing.
        OSError
            It cannot be written; what was there stays.
        TypeError, ValueError
            A parameter's shape is not the network's, or something was set to what no file can hold.

        Examples
        --------
        >>> import tempfile
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> net = FullyConnectedNet([20], input_dim=15, use_batchnorm=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(f"{folder}/net.npz")
        ...     again = FullyConnectedNet.load(f"{folder}/net.npz")
        >>> bool(np.all(again.loss(np.ones((2, 15))) == net.loss(np.ones((2, 15)))))
        True
        """
        from . import network_file

        with lock_of(self):
            network_file.write(path, cast("FullyConnectedNet", self))

    @classmethod
    def load(cls, path: StrPath, which: str = "best") -> Self:
        """Return the network that ``save`` wrote, with the same scores bit for bit.

        Of either kind, whatever its name; it is checked before a network is made of it, and nothing
        is drawn from ``np.random``.  A
        file of either package loads in both, and one of a ``TwoLayerNet`` as
        ``FullyConnectedNet`` too.  A Solver's checkpoint loads as well: it has what builds the
        network, and two states of it.

        Parameters
        ----------
        path : path
        which : {'best', 'latest'}
            Of a checkpoint the parameters and running statistics that had the best validation
            accuracy, or those to train on.  A run that has not been scored yet has no best.

        Returns
        -------
        A network of this class.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ImportError
            It is a ``.safetensors`` file, and the extra ``fastfc[safetensors]`` is missing.
        ValueError
            It is damaged, no network's, another class's, or of a newer fastfc; or ``which`` is
            something else.

        Examples
        --------
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> FullyConnectedNet.load("digits.npz")
        Traceback (most recent call last):
            ...
        FileNotFoundError: digits.npz: no such file
        """
        from . import network_file

        return cast("Self", network_file.read(path, cast("type[FullyConnectedNet]", cls), which))

    def to_onnx(
        self,
        path: StrPath,
        *,
        input_name: str = "input",
        output_name: str | None = None,
        probabilities: bool = False,
        preprocessing: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write the network's scores as a graph of ONNX, whole or not at all.

        For programs that run such graphs; `fastfc.interop.from_onnx` reads it again.  The graph is
        of opset 20 and IR 10, takes any number of examples (N, D) of the network's dtype, and gives
        the scores of ``loss(X)``, up to rounding.  The file says which network it is, in JSON under
        the key ``fastfc_network`` of its metadata.

        Parameters
        ----------
        path : path
            The file, replaced if it exists; its name is taken as it is.
        input_name : str
            Of the graph's input.
        output_name : str, optional
            Of its output; by default ``'scores'`` or ``'probabilities'``.
        probabilities : bool
            Whether the graph gives what ``predict_proba`` does, by a Softmax or a Sigmoid behind
            the scores.
        preprocessing : bool
            Whether the graph normalises the examples first, (x - mean) / std, as the network's
            attribute ``preprocessing`` says: then it takes them as they were before training.
        metadata : dict of str, optional
            What else the file shall say, by keys.

        Raises
        ------
        ImportError
            onnx is missing: ``pip install fastfc[onnx]``.
        OSError
            It cannot be written; what was there stays.
        TypeError, ValueError
            ``loss`` is a subclass's own, or as ``loss``; the network has no probabilities or no
            preprocessing, or one of a table's columns; a name or the metadata are no texts; or the
            network is too large for such a file, of 2 GB.

        See Also
        --------
        fastfc.interop.from_onnx : reads it again; it has an example of both.
        """
        from ..interop import onnx_export

        with lock_of(self):
            onnx_export.write(
                path,
                cast("FullyConnectedNet", self),
                input_name,
                output_name,
                probabilities,
                preprocessing,
                metadata,
            )

    def _describe_network(self) -> dict[str, Any]:
        """Return what builds the network, as JSON has it, for checkpoints."""
        from . import network_file

        return network_file.describe(cast("FullyConnectedNet", self))

    def _running_shapes(self) -> list[dict[str, tuple[int, ...]]]:
        """Return for every normalisation its running statistics' names and shapes."""
        shapes = [np.shape(self.params[f"b{i + 1}"]) for i in range(len(self.bn_params))]
        return [dict.fromkeys(("running_mean", "running_var"), shape) for shape in shapes]

    def summary(self) -> str:
        """Return a table of the layers, what they return, their parameters and how many these are.

        Returns
        -------
        str

        Examples
        --------
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> net = FullyConnectedNet([100], use_batchnorm=True, dropout=0.9)
        >>> print(net.summary())
        layer         output    parameters                      count
        affine        (N, 100)  W1 (3072, 100), b1 (100,)     307,300
        batchnorm     (N, 100)  gamma1 (100,), beta1 (100,)       200
        relu          (N, 100)                                      0
        dropout, 0.9  (N, 100)                                      0
        affine        (N, 10)   W2 (100, 10), b2 (10,)          1,010
        softmax       (N, 10)                                       0
        total                   float32, 1,234,040 bytes      308,510
        """
        rows = self._summary_rows()
        a, b, c, d = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(f"{r[0]:{a}}  {r[1]:{b}}  {r[2]:{c}}  {r[3]:>{d}}" for r in rows)

    def _summary_rows(self) -> list[tuple[str, str, str, str]]:
        """Return the rows of the summary, its head first."""
        rows = [("layer", "output", "parameters", "count")]
        for i in range(1, self.num_layers + 1):
            width = np.shape(self.params[f"W{i}"])[1]
            rows.append(self._summary_row("affine", width, f"W{i}", f"b{i}"))
            if i == self.num_layers:
                break
            if self.normalization:
                rows.append(self._summary_row(self.normalization, width, f"gamma{i}", f"beta{i}"))
            rows.append(self._summary_row(self.activation, width))
            if self.use_dropout:
                rows.append(self._summary_row(f"dropout, {self.dropout_param['p']:g}", width))
        if output := LOSSES[self.loss_name].output:
            rows.append(self._summary_row(output, width))
        total = sum(np.size(value) for value in self.params.values())
        dtype = np.dtype(self.dtype)
        rows.append(("total", "", f"{dtype}, {total * dtype.itemsize:,} bytes", f"{total:,}"))
        return rows

    def __repr__(self) -> str:
        """Say which network it is: its sizes and what its hidden layers have.

        Examples
        --------
        >>> from fastfc.fc_net import FullyConnectedNet
        >>> FullyConnectedNet([100, 50], use_batchnorm=True, dropout=0.9)
        <FullyConnectedNet: 3072-100-50-10, batchnorm, dropout 0.9, float32>
        """
        if "bn_params" not in vars(self):  # the constructor is not done
            return object.__repr__(self)
        given = self._arguments
        sizes = [given["input_dim"], *given["hidden_dims"], given["num_classes"]]
        activation = None if self.activation == "relu" else self.activation
        loss = None if self.loss_name == "softmax" else self.loss_name
        parts = ["-".join(map(str, sizes)), activation, self.normalization, loss]
        if self.use_dropout:
            parts.append(f"dropout {self.dropout_param['p']:g}")
        parts.append(np.dtype(self.dtype).name)
        return f"<{type(self).__name__}: {', '.join(filter(None, parts))}>"

    def _summary_row(self, layer: str, width: int, *names: str) -> tuple[str, str, str, str]:
        """Return a layer's row of the table."""
        shapes = ", ".join(f"{name} {np.shape(self.params[name])}" for name in names)
        count = sum(np.size(self.params[name]) for name in names)
        return layer, f"(N, {width})", shapes, f"{count:,}"
