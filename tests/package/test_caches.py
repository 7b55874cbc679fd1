import numpy as np
import pytest

import fastfc
from fastfc import _core
from fastfc.runtime import caches
from tests.support import cases
from tests.support.process import in_new_process

# From one panel a block to more columns than any product here has.
L2_BYTES = (1, 1 << 16, 1 << 17, 1 << 18, 640 << 10, 1 << 20, 1 << 21, 1 << 40)


@pytest.fixture
def own_l2():
    before = _core.get_l2_bytes()
    yield
    _core.set_l2_bytes(before)


def random(*shape, dtype):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("m", "k", "n"), [(37, 300, 1030), (100, 700, 333), (300, 64, 129)])
def test_products_of_every_blocking_have_the_same_bits(isa, own_l2, dtype, m, k, n):
    a, b = random(m, k, dtype=dtype), random(k, n, dtype=dtype)
    results = []
    for size in L2_BYTES:
        _core.set_l2_bytes(size)
        results.append(_core.product(a, b))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    np.testing.assert_allclose(results[0], a.astype(float) @ b, atol=1e-3)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("layout", ["rows", "left transposed", "right transposed"])
@pytest.mark.parametrize(
    ("m", "k", "n"), [(30, 600, 2500), (900, 520, 300), (260, 1100, 140), (1600, 257, 40)]
)
def test_elements_do_not_depend_on_their_neighbours(isa, own_l2, dtype, layout, m, k, n):
    """Blocks, parts and tasks leave each element the sum that it has by itself."""
    a, b = random(m, k, dtype=dtype), random(k, n, dtype=dtype)
    if layout == "left transposed":
        a = np.ascontiguousarray(a.T).T
    elif layout == "right transposed":
        b = np.ascontiguousarray(b.T).T
    for size in (1 << 17, 1 << 20):
        _core.set_l2_bytes(size)
        whole = _core.product(a, b)
        for i, j in [(0, 0), (m - 2, n - 1), (m // 2, n // 3), (13, n - 9)]:
            part = _core.product(np.array(a[i : i + 2]), np.array(b[:, j : j + 9]))
            np.testing.assert_array_equal(whole[i : i + 2, j : j + 9], part)
        # above the rounding of 1,100 products of such numbers, far below any one of them
        np.testing.assert_allclose(whole, a.astype(float) @ b, atol=1e-3)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_training_steps_of_every_blocking_have_the_same_bits(isa, own_l2, dtype):
    x, y = random(50, 96, dtype=dtype), np.arange(50) % 10
    losses, weights = [], []
    for size in L2_BYTES:
        _core.set_l2_bytes(size)
        np.random.seed(1)
        net = fastfc.FullyConnectedNet(
            [600, 300], input_dim=96, dropout=0.8, normalization="batchnorm", dtype=dtype
        )
        solver = fastfc.Solver(
            net,
            {"X_train": x, "y_train": y, "X_val": x, "y_val": y},
            update_rule="adam",
            batch_size=25,
            num_epochs=2,
            verbose=False,
        )
        solver.train()
        losses.append(solver.loss_history)
        weights.append(np.concatenate([w.ravel() for w in net.params.values()]))
    assert all(loss == losses[0] for loss in losses)
    for other in weights[1:]:
        np.testing.assert_array_equal(other, weights[0])


def test_variable_forces_the_sizes():
    code = (
        "import fastfc, fastfc._core as c; fastfc.show_config();"
        "print(fastfc.show_config('dicts')['caches'], c.get_l2_bytes())"
    )
    status, output = in_new_process(code, FASTFC_CACHES=" 48k, 1M,0")
    assert status == 0, output
    assert "L1 48 KB, L2 1024 KB\n" in output
    assert output.endswith("{'L1': 49152, 'L2': 1048576, 'L3': 0} 1048576\n")


@pytest.mark.parametrize(
    "text", ["1", "32K,512K", "32K,512K,1G", "32K,,0", "32K,0,0", "a,b,c", "-1,2,3"]
)
def test_impossible_variable_is_an_import_error(text):
    status, output = in_new_process("import fastfc", FASTFC_CACHES=text)
    assert status == 1
    last = output.splitlines()[-1]
    assert last.startswith(f"ImportError: FASTFC_CACHES is {text!r}, expected the sizes"), last


def test_empty_variable_means_what_the_machine_says():
    code = "import fastfc; print(fastfc.show_config('dicts')['caches'])"
    assert in_new_process(code, FASTFC_CACHES="") == in_new_process(code, FASTFC_CACHES=" ")


def test_sizes_of_this_machine():
    sizes = _core.detect_caches()
    assert len(sizes) == 3
    if sizes[0]:
        assert 1 << 12 <= sizes[0] <= 1 << 20
        assert sizes[0] <= sizes[1] <= 1 << 30
    assert caches.CACHES[1] > 0


def make_sysfs(folder, entries):
    for i, entry in enumerate(entries):
        cache = folder / f"index{i}"
        cache.mkdir()
        for name, text in zip(("type", "level", "size"), entry, strict=True):
            (cache / name).write_text(text + "\n")
    return str(folder)


def test_sizes_by_sysfs(tmp_path, monkeypatch):
    entries = [
        ("Data", "1", "64K"),
        ("Instruction", "1", "48K"),
        ("Unified", "2", "1M"),
        ("Unified", "3", "32768K"),
    ]
    assert caches._sysfs(make_sysfs(tmp_path, entries)) == (64 << 10, 1 << 20, 32 << 20)
    assert caches._sysfs(str(tmp_path / "nothing")) == (0, 0, 0)


@pytest.mark.parametrize("size", ["", "none", "1X", "-5K"])
def test_sysfs_that_makes_no_sense_is_left(tmp_path, size):
    assert caches._sysfs(make_sysfs(tmp_path, [("Data", "1", size)])) == (0, 0, 0)


def test_fallback_where_nobody_says(monkeypatch, isa):
    monkeypatch.delenv("FASTFC_CACHES", raising=False)
    monkeypatch.setattr(_core, "detect_caches", lambda: (0, 0, 0))
    monkeypatch.setattr(caches, "_sysfs", lambda folder: (0, 0, 0))
    l1, l2, l3 = caches._found()
    assert (l1, l3) == (32 << 10, 0)
    assert l2 >= 256 << 10
