"""Whose checkpoints a name's files are, and which of them is the latest."""

import os
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from fastfc.solver import Solver
from fastfc.training import CheckpointError, folder, latest_checkpoint, read_checkpoint
from tests.support import runs
from tests.support.npz import tampered
from tests.support.same import assert_same

TAKES_OVER = "checkpoint_name has checkpoints of another run, which this one takes over"


@pytest.fixture
def name(tmp_path):
    """Return the name of a run of four epochs."""
    runs.solver(checkpoint_name=tmp_path / "run").train()
    return tmp_path / "run"


def test_a_new_run_takes_over_and_says_it_once(name):
    new = runs.solver(checkpoint_name=name, max_steps=runs.STEPS_PER_EPOCH)
    with pytest.warns(UserWarning, match=TAKES_OVER) as caught:
        new.train()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert latest_checkpoint(name) == name.with_name("run_epoch_1.npz")
    new.train()  # the same run
    assert latest_checkpoint(name) == name.with_name("run_epoch_2.npz")
    assert name.with_name("run_epoch_4.npz").exists()  # nothing of somebody else's is deleted


def test_the_latest_goes_by_the_run_whatever_the_clocks_say(name):
    with pytest.warns(UserWarning, match=TAKES_OVER):
        runs.solver(checkpoint_name=name, max_steps=8).train()
    for path in name.parent.iterdir():
        os.utime(path, (0, 0) if "step_8" in path.name else (2e9, 2e9))
    assert latest_checkpoint(name) == name.with_name("run_step_8.npz")


def test_overwrite_false_refuses(name, tmp_path):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(
        ValueError, match=r"checkpoint_name is .*run', expected a name without chec"
    ):
        runs.solver(checkpoint_name=name, overwrite=False)
    late = runs.solver(checkpoint_name=tmp_path / "other", overwrite=False)
    shutil.copy(tmp_path / "run_epoch_1.npz", tmp_path / "other_epoch_1.npz")
    stream = np.random.get_state(legacy=False)
    with pytest.raises(ValueError, match=r"overwrite=False: there is .*other_epoch_1\.npz"):
        late.train()
    assert_same(np.random.get_state(legacy=False), stream)
    assert late.loss_history == []
    (tmp_path / "other_epoch_1.npz").unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_overwrite_false_may_go_on_with_its_own(tmp_path):
    first = runs.solver(checkpoint_name=tmp_path / "run", overwrite=False, max_steps=8)
    first.train()
    first.train()
    runs.resumed(first.checkpoint_path, overwrite=False, max_steps=None).train()
    with pytest.warns(UserWarning, match=TAKES_OVER):
        runs.solver(checkpoint_name=tmp_path / "run", max_steps=1).train()
    old = runs.resumed(tmp_path / "run_epoch_4.npz", overwrite=False, num_epochs=5)
    with pytest.raises(ValueError, match="expected a name without checkpoints"):
        old.train()


def test_a_resumed_run_is_the_same_and_starts_no_alarm(name):
    runs.resumed(name.with_name("run_epoch_3.npz")).train()
    assert latest_checkpoint(name) == name.with_name("run_epoch_4.npz")


def test_what_a_run_wrote_beyond_the_point_of_its_resumption_is_its_future_no_more(name):
    runs.resumed(name.with_name("run_epoch_1.npz"), max_steps=2).train()
    assert latest_checkpoint(name) == name.with_name("run_step_8.npz")


def test_the_old_run_resumed_takes_over_again(name):
    with pytest.warns(UserWarning, match=TAKES_OVER):
        runs.solver(checkpoint_name=name, max_steps=8).train()
    again = runs.resumed(name.with_name("run_epoch_4.npz"), num_epochs=5)
    with pytest.warns(UserWarning, match=TAKES_OVER):
        again.train()
    assert latest_checkpoint(name) == name.with_name("run_epoch_5.npz")


def test_identities_are_not_drawn_from_the_stream(tmp_path):
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    model = SimpleNamespace(params={}, loss=None)
    solvers = [Solver(model, runs.data()) for _ in range(2)]
    assert np.random.rand() == expected
    assert solvers[0]._run != solvers[1]._run


def test_a_reset_solver_is_the_same_run_again(tmp_path):
    solver = runs.solver(checkpoint_name=tmp_path / "run")
    solver.train()
    solver._reset()
    solver.max_steps = 7
    solver.train()
    assert latest_checkpoint(tmp_path / "run") == tmp_path / "run_step_7.npz"


# --- damage -----------------------------------------------------------------------------------


def test_files_that_are_not_whole_are_skipped(name):
    whole = name.with_name("run_epoch_4.npz").read_bytes()
    turned = bytearray(whole)
    turned[whole.index(b"\x93NUMPY", len(whole) // 2) + 200] ^= 1
    for content in (whole[: len(whole) // 2], b"", bytes(turned), whole[:-30]):
        name.with_name("run_epoch_4.npz").write_bytes(content)
        with pytest.warns(
            UserWarning, match=r"latest_checkpoint skips a file: .*run_epoch_4\.npz: "
        ):
            assert latest_checkpoint(name) == name.with_name("run_epoch_3.npz")
    name.with_name("run_epoch_4.npz").unlink()
    name.with_name("run_epoch_4.npz").mkdir()
    with pytest.warns(UserWarning, match=r"skips a file: .*Is a directory.*run_epoch_4\.npz"):
        assert latest_checkpoint(name) == name.with_name("run_epoch_3.npz")


def test_another_run_does_not_step_in_for_damage(name):
    with pytest.warns(UserWarning, match=TAKES_OVER):
        runs.solver(checkpoint_name=name, max_steps=5).train()
    path = name.with_name("run_step_5.npz")
    content = bytearray(path.read_bytes())
    content[content.index(b"\x93NUMPY", len(content) // 2) + 200] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="skips a file"):
        assert latest_checkpoint(name) is None


SOUND = [("iteration", 2**70), ("turn", 2**70), ("run", None), ("run", {"a": 1})]
HEADS = [None, "5", [1], {"a": 1}, 1e400, float("nan"), 2**70, -1, True]


@pytest.mark.parametrize("value", HEADS, ids=repr)
@pytest.mark.parametrize("part", ["iteration", "state", "version", "run", "turn"])
def test_odd_heads_are_skipped(name, value, part):
    if (part, value) in SOUND:
        pytest.skip("nothing is wrong with that before it is resumed")

    def change(head, arrays):
        {"iteration": head["state"], "turn": head["run"]}.get(part, head)[part] = value

    bad = name.with_name("run_epoch_9.npz")
    tampered(name.with_name("run_epoch_4.npz"), bad, change, whole_head=True)
    with pytest.warns(UserWarning, match=r"skips a file: .*run_epoch_9\.npz"):
        assert latest_checkpoint(name) == name.with_name("run_epoch_4.npz")


def test_no_folder_and_no_such_name(tmp_path):
    assert latest_checkpoint(tmp_path / "none" / "run") is None
    assert latest_checkpoint(tmp_path / "run") is None
    (tmp_path / "file").write_text("")
    assert latest_checkpoint(tmp_path / "file" / "run") is None


def test_names_are_taken_as_they_are(tmp_path):
    for name in ("a[1]*", "a.b", "übung 1", "$HOME"):
        runs.solver(checkpoint_name=tmp_path / name, max_steps=2).train()
        assert latest_checkpoint(tmp_path / name) == tmp_path / f"{name}_step_2.npz"


def test_a_run_that_deletes_meanwhile(name, monkeypatch):
    """With keep_last, what has just been listed may be gone; newer files are there then."""
    files = [name.with_name(f"run_epoch_{k}.npz") for k in (1, 2, 3, 4)]
    listdir = os.listdir

    def listed_before_three_were_deleted(path):
        found = listdir(path)
        for old in files[:3]:
            if old.exists():
                old.unlink()
                return [old.name]
        return found

    monkeypatch.setattr(os, "listdir", listed_before_three_were_deleted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert latest_checkpoint(name) == files[3]


def test_beside_a_run_that_writes_and_deletes(tmp_path):
    """As it happens: a reader asks while another process trains with keep_last."""
    found = set()
    with runs.process("write", tmp_path / "run", 60, 1, 1) as writer:
        while writer.poll() is None:
            found.add(latest_checkpoint(tmp_path / "run"))
        assert writer.returncode == 0, writer.stderr.read().decode()
    assert len(found) > 5
    assert [path.name for path in tmp_path.iterdir()] == ["run_epoch_60.npz"]


# --- no checkpoint, and paths of files --------------------------------------------------------


def test_resume_of_none_says_that_there_is_no_checkpoint(tmp_path):
    path = latest_checkpoint(tmp_path / "run")
    with pytest.raises(CheckpointError, match="there is no checkpoint to resume: path is None"):
        Solver.resume(path, runs.network(), runs.data())


@pytest.mark.parametrize("given", ["runs/", "runs//", "..", ".", "", "a/.."])
def test_names_that_are_folders(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "a").mkdir()
    with pytest.raises(
        ValueError, match=r"checkpoint_name is '.*', expected a name to begin its f"
    ):
        runs.solver(checkpoint_name=given)
    with pytest.raises(TypeError, match=r"checkpoint_name is 3, expected a path"):
        runs.solver(checkpoint_name=3)


def test_a_resumed_run_writes_where_its_file_lies(tmp_path):
    """Not where the file says: it may come from somebody else, and be anywhere by now."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    first = runs.solver(checkpoint_name=tmp_path / "there" / "run", max_steps=8, keep_last=1)
    first.train()
    path = shutil.move(first.checkpoint_path, tmp_path / "here" / "mine_step_8.npz")
    (tmp_path / "there").rmdir()
    runs.resumed(path, max_steps=None).train()
    assert sorted(os.listdir(tmp_path / "here")) == ["mine_epoch_4.npz", "mine_step_8.npz"]
    assert os.listdir(tmp_path) == ["here"]


def test_a_file_of_another_name_begins_one(tmp_path):
    first = runs.solver(checkpoint_name=tmp_path / "run", max_steps=8)
    first.train()
    first.save(tmp_path / "mine.npz")
    runs.resumed(tmp_path / "mine.npz", max_steps=None).train()
    assert (tmp_path / "mine_epoch_4.npz").exists()
    assert not (tmp_path / "run_epoch_4.npz").exists()
    second = runs.solver(max_steps=8)
    second.train()
    second.save(tmp_path / "silent.npz")
    again = runs.resumed(tmp_path / "silent.npz", max_steps=None)
    again.train()
    assert again.checkpoint_path is None


def test_names_may_be_given(tmp_path):
    first = runs.solver(checkpoint_name=tmp_path / "run", checkpoint_every=3, max_steps=8)
    first.train()
    again = runs.resumed(first.checkpoint_path, checkpoint_name=tmp_path / "b", max_steps=None)
    again.train()
    assert (tmp_path / "b_step_9.npz").exists()
    silent = runs.resumed(first.checkpoint_path, checkpoint_name=None, max_steps=None)
    before = sorted(os.listdir(tmp_path))
    silent.train()
    assert sorted(os.listdir(tmp_path)) == before


def test_a_file_deletes_nothing(tmp_path):
    """The keep_last that a file asks for holds for what the resumed run writes itself."""
    first = runs.solver(checkpoint_name=tmp_path / "run", checkpoint_every=2, max_steps=10)
    first.train()
    (tmp_path / "precious.txt").write_text("thesis")
    before = set(os.listdir(tmp_path))

    def change(state, arrays):
        state["settings"] |= {"keep_last": 1, "checkpoint_name": str(tmp_path / "run")}
        state["written"] = ["precious.txt", "run_epoch_1.npz", "../run_step_4.npz"]

    path = tampered(first.checkpoint_path, tmp_path / "run_step_11.npz", change)
    runs.resumed(path, max_steps=None).train()
    assert before < set(os.listdir(tmp_path))
    assert set(os.listdir(tmp_path)) - before == {"run_step_11.npz", "run_epoch_4.npz"}


def test_keep_last_given_again_counts_the_earlier_files(tmp_path):
    first = runs.solver(checkpoint_name=tmp_path / "run", checkpoint_every=2, max_steps=10)
    first.train()
    with pytest.warns(UserWarning, match=TAKES_OVER):
        runs.solver(checkpoint_name=tmp_path / "run", max_steps=1).train()
    again = runs.resumed(tmp_path / "run_step_10.npz", keep_last=2, max_steps=3)
    with pytest.warns(UserWarning, match=TAKES_OVER):
        again.train()
    assert sorted(os.listdir(tmp_path)) == [
        "run_epoch_2.npz",
        "run_step_1.npz",  # the other run's
        "run_step_13.npz",
    ]


def test_a_run_deletes_no_file_that_has_become_another_run_s(tmp_path):
    """Two runs of one name at once: what one wrote and the other overwrote is the other's."""
    one = runs.solver(checkpoint_name=tmp_path / "run", keep_last=1, max_steps=6)
    one.train()
    other = runs.solver(checkpoint_name=tmp_path / "run", keep_last=1, max_steps=6)
    with pytest.warns(UserWarning, match=TAKES_OVER):
        other.train()
    one.train()
    assert sorted(os.listdir(tmp_path)) == ["run_epoch_1.npz", "run_epoch_2.npz"]
    assert latest_checkpoint(tmp_path / "run") == tmp_path / "run_epoch_1.npz"
    one.train()
    assert sorted(os.listdir(tmp_path)) == ["run_epoch_1.npz", "run_epoch_3.npz"]


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/b_epoch_3.npz", "a/b"), ("b_step_12.npz", "b"), ("c_epoch_.npz", "c_epoch_")],
)
def test_name_of_a_file(path, name):
    assert folder.parse_name(path) == name


def test_the_identity_is_no_part_of_the_state(name):
    state = read_checkpoint(name.with_name("run_epoch_4.npz"))
    assert not {"run", "network", "written"} & state.keys()
