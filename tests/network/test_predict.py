"""Predictions and summary, of both packages' networks."""

import numpy as np
import pytest

from fastfc import fc_net
from fastfc.reference import fc_net as reference
from fastfc.verifying import tolerance
from tests.support import cases


@pytest.fixture(params=[reference, fc_net], ids=["reference", "fast"])
def nets(request):
    return request.param


def network(nets, dtype=np.float32, **arguments):
    net = nets.FullyConnectedNet([9, 8], 6, 4, weight_scale=1, dtype=dtype, **arguments)
    net.loss(cases.normal((20, 6), dtype, "X"), cases.labels(20, 4))
    return net


OPTIONS = [{}, {"normalization": "layernorm"}, {"use_batchnorm": True, "dropout": 0.5}]


# --- predictions ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS)
def test_labels(nets, dtype, options):
    net, X = network(nets, dtype, **options), cases.normal((50, 2, 3), dtype, "test")
    labels = net.predict(X)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, net.loss(X).argmax(axis=1))
    assert len(set(labels)) > 1


@pytest.mark.parametrize("options", OPTIONS)
def test_probabilities(nets, dtype, options):
    net, X = network(nets, dtype, **options), cases.normal((50, 2, 3), dtype, "test", scale=9)
    probabilities = net.predict_proba(X)
    assert probabilities.dtype == dtype
    assert probabilities.shape == (50, 4)
    scores = net.loss(X).astype(np.float64)
    expected = np.exp(scores - scores.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    # x - max is rounded once, so off by u |x - max|, and its exponential e by as many e; then exp
    # itself, a sum of 4 and a quotient.
    shift = np.abs(scores - scores.max(axis=1, keepdims=True)).max()
    bound = tolerance.gamma(2 * int(shift) + 10, dtype)
    np.testing.assert_allclose(probabilities, expected, rtol=bound, atol=np.finfo(dtype).tiny)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=tolerance.gamma(8, dtype))
    np.testing.assert_array_equal(probabilities.argmax(axis=1), net.predict(X))


def test_great_scores_do_not_overflow(nets):
    net = nets.FullyConnectedNet([], 2, 2)
    net.params["W1"] = np.array([[1000.0, 0.0], [0.0, 1000.0]], np.float32)
    np.testing.assert_array_equal(net.predict_proba([[1, 0], [0, 5]]), np.eye(2))


@pytest.mark.parametrize("batch_size", [1, 7, 50, 1000])
def test_batches_bound_what_a_pass_sees(nets, batch_size):
    net, X = network(nets, np.float64), cases.normal((50, 6), np.float64, "test")
    expected, seen, loss = net.loss(X), [], net.loss

    def noting(X):
        seen.append(len(X))
        return loss(X)

    net.loss = noting
    np.testing.assert_array_equal(net.predict(X, batch_size), expected.argmax(axis=1))
    assert max(seen) <= batch_size
    assert sum(seen) == 50
    whole = net.predict_proba(X, batch_size=50)
    # BLAS may add a row's 6, 9 and 8 products in another order in a batch of another size; the
    # exponential multiplies what that changes by a score's size.
    bound = tolerance.gamma(100, np.float64) * (1 + np.abs(expected).max())
    np.testing.assert_allclose(net.predict_proba(X, batch_size), whole, rtol=bound)


def test_what_X_may_be(nets, tmp_path):
    net, X = network(nets), cases.labels(5 * 6, 9).reshape(5, 6)
    expected = net.predict_proba(X)
    mapped = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
    mapped[...] = X
    for given in (X.tolist(), X.astype("f2"), X.astype(np.uint8), X.reshape(5, 3, 2), mapped):
        np.testing.assert_array_equal(net.predict_proba(given), expected)
        assert net.predict(given).shape == (5,)


@pytest.mark.parametrize("options", OPTIONS)
def test_no_examples(nets, dtype, options):
    net = network(nets, dtype, **options)
    labels, probabilities = net.predict(np.ones((0, 6))), net.predict_proba(np.ones((0, 2, 3)))
    assert (labels.shape, labels.dtype) == ((0,), np.int64)
    assert (probabilities.shape, probabilities.dtype) == ((0, 4), dtype)


def test_predictions_leave_network_and_stream_alone(nets):
    net = network(nets, use_batchnorm=True, dropout=0.5)
    running = [dict(bn_param) for bn_param in net.bn_params]
    np.random.seed(5)
    net.predict(np.ones((3, 6)))
    net.predict_proba(np.ones((3, 6)))
    after = np.random.rand()
    np.random.seed(5)
    assert after == np.random.rand()
    for bn_param, before in zip(net.bn_params, running, strict=True):
        for key in ("running_mean", "running_var"):
            np.testing.assert_array_equal(bn_param[key], before[key])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (
            np.ones((3, 5)),
            ValueError,
            r"X has shape \(3, 5\), expected .* = 6, the network's",
        ),
        (
            np.ones((0, 5)),
            ValueError,
            r"X has shape \(0, 5\), expected .* = 6, the network's",
        ),
        (np.ones(6), ValueError, r"X has shape \(6,\), .*: one example is X\[np.newaxis\]$"),
        (1.0, ValueError, r"X has shape \(\), expected \(N, d_1"),
        (np.ones((3, 6)) * 1j, TypeError, "X has dtype complex128"),
    ],
)
def test_errors_are_those_of_loss(nets, X, error, message):
    net = network(nets)
    for method in (net.predict, net.predict_proba):
        with pytest.raises(error, match=message):
            method(X)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "all"])
def test_batch_size_is_checked(nets, batch_size):
    message = "batch_size is .*, expected an integer of at least 1"
    with pytest.raises(ValueError, match=message):
        network(nets).predict(np.ones((3, 6)), batch_size)


# --- summary ----------------------------------------------------------------------------------


def test_summary_of_a_plain_network(nets):
    assert nets.TwoLayerNet(15, 20, 7).summary().splitlines() == [
        "layer    output   parameters             count",
        "affine   (N, 20)  W1 (15, 20), b1 (20,)    320",
        "relu     (N, 20)                             0",
        "affine   (N, 7)   W2 (20, 7), b2 (7,)      147",
        "softmax  (N, 7)                              0",
        "total             float64, 3,736 bytes     467",
    ]


def test_summary_counts_what_there_is(nets):
    net = network(nets, use_batchnorm=True, dropout=0.25)
    lines = net.summary().splitlines()
    layers = [line.split("  ")[0] for line in lines[1:]]
    hidden = ["affine", "batchnorm", "relu", "dropout, 0.25"]
    assert layers == [*hidden, *hidden, "affine", "softmax", "total"]
    counts = [int(line.split()[-1].replace(",", "")) for line in lines[1:]]
    assert sum(counts[:-1]) == counts[-1] == sum(value.size for value in net.params.values())
    assert len({len(line) for line in lines}) == 1
