"""Gradients in one array, and the pieces in which they are sent."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("mpi4py", reason="mpi4py is not installed")

from fastfc.distributed import gradients


class Team:
    """A team that notes what it is to add up."""

    def __init__(self, early):
        self.sends_early = lambda: early
        self.sent, self.waited = [], 0

    def add(self, numbers, what):
        self.sent.append(numbers.size)
        numbers *= 2

    def send(self):
        return SimpleNamespace(begin=lambda numbers: self.add(numbers, ""))

    def wait(self, sending, what):
        self.waited += 1


def params(order):
    sizes = {"W1": (6, 5), "b1": 5, "gamma1": 5, "beta1": 5, "W2": (5, 4), "b2": 4, "W3": (4, 3)}
    return {name: np.ones(sizes[name]) for name in order}


ORDER = ["W1", "b1", "gamma1", "beta1", "W2", "b2", "W3"]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(gradients, "PIECE", 8 * 20)
    monkeypatch.setattr(gradients, "EARLY", 8 * 60)


@pytest.mark.parametrize("order", [ORDER, ORDER[::-1]])
@pytest.mark.parametrize("noted", [(), (2, 1, 0), (2, 1)])
@pytest.mark.parametrize(("early", "sent"), [(True, [36, 47]), (False, [83])])
def test_pieces_do_not_depend_on_who_notes_layers(order, noted, early, sent):
    """Ranks whose pass tells of its layers, and those whose pass does not, send the same."""
    team = Team(early)
    found = gradients.Gradients(team, params(order), 2, np.float64)
    for layer in noted:
        found.ready(layer)
    assert (team.sent == [36]) == (early and 1 in noted)
    for number, w in enumerate(found.own.values()):
        w[...] = number  # also those that have been sent: this is no pass
    found.more[:] = 100
    found.add()
    assert list(found.own) == order
    assert sum(team.sent) == 83 == found.more.size + sum(w.size for w in found.own.values())
    assert team.sent == sent
    assert team.waited == early


def test_every_number_is_added_up_once():
    team = Team(True)
    found = gradients.Gradients(team, params(ORDER), 2, np.float64)
    for number, w in enumerate(found.own.values()):
        w[...] = number
    found.more[:] = 100
    found.add()
    assert [np.unique(w).tolist() for w in found.own.values()] == [[2 * i] for i in range(7)]
    assert found.more.tolist() == [200, 200]


def test_little_is_not_cut():
    team = Team(True)
    found = gradients.Gradients(team, params(["W1", "b1"]), 0, np.float64)
    found.add()
    assert (team.sent, team.waited) == ([35], 0)
