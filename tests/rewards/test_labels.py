from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from recsys.errors import ConfigurationError, DataError
from recsys.rewards.labels import Label, LabelError, MeanLabel, SlotShare, check_labels
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Channel, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates


@dataclass(frozen=True)
class Constant(Label):
    """A label of one's own, the same for every slate."""

    value: float

    def __call__(self, example: Example) -> torch.Tensor:
        return torch.full((len(example),), self.value)


@pytest.fixture
def example() -> Example:
    """Three sessions of three slots, of which the last holds two items."""
    items = torch.tensor([[[1, 2, 3]], [[4, 5, 6]], [[7, 8, -1]]])
    watched = torch.tensor([[[7.0, 7.5, 0.0]], [[0.0, 0.0, 0.0]], [[9.0, 1.0, 9.0]]])
    channels = {
        "watch_time": Channel(watched),
        "like": Channel(torch.tensor([[[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]]])),
        "whole": Channel(torch.ones(3, 1)),
    }
    context = Context(torch.arange(3), Jagged.empty(3), Jagged.empty(3))
    return Example(context, Slates(items, torch.zeros(items.shape)), Feedback(channels))


def test_the_share_of_slots_above_a_threshold(example: Example) -> None:
    """A value at the threshold is not above it, and an empty slot is never."""
    third = 1 / 3
    assert SlotShare("like")(example).tolist() == pytest.approx([third, 0, 2 * third])
    assert SlotShare("watch_time", threshold=7.0)(example).tolist() == pytest.approx([third, 0, third])
    assert SlotShare("watch_time")(example).tolist() == pytest.approx([2 * third, 0, 2 * third])
    assert SlotShare("watch_time", least=2)(example).tolist() == [1, 0, 1]
    assert SlotShare("watch_time", threshold=7.0, least=2)(example).tolist() == [0, 0, 0]


def test_a_mean_of_labels_weighs_them(example: Example) -> None:
    labels = {"like": SlotShare("like"), "watched": SlotShare("watch_time", least=1)}
    assert MeanLabel(labels, {"like": 3.0, "watched": 1.0})(example).tolist() == pytest.approx(
        [(3 / 3 + 1) / 4, 0, (6 / 3 + 1) / 4]
    )
    assert MeanLabel(labels)(example).tolist() == pytest.approx([(1 / 3 + 1) / 2, 0, (2 / 3 + 1) / 2])
    assert MeanLabel(labels, {"like": 2.0})(example).tolist() == SlotShare("like")(example).tolist()


def test_what_is_unwanted_counts_by_its_absence(example: Example) -> None:
    labels = {"like": SlotShare("like"), "watched": SlotShare("watch_time", least=1)}
    found = MeanLabel(labels, {"like": 3.0, "watched": -1.0})(example)
    assert found.tolist() == pytest.approx([(3 / 3 + 0) / 4, 1 / 4, (6 / 3 + 0) / 4])


def test_cross_entropy_to_the_mean_is_the_weighted_sum_of_cross_entropies(example: Example) -> None:
    """One scalar that is trained against several labels: the P-score."""
    labels = {"like": SlotShare("like"), "watched": SlotShare("watch_time")}
    mean = MeanLabel(labels, {"like": 3.0, "watched": 1.0})(example)
    p = torch.tensor([0.2, 0.4, 0.9])
    each = {name: binary_cross_entropy(p, label(example)) for name, label in labels.items()}
    torch.testing.assert_close(binary_cross_entropy(p, mean), (3 * each["like"] + each["watched"]) / 4)


def test_what_cannot_be_a_label_is_refused(example: Example) -> None:
    with pytest.raises(DataError, match="no feedback 'share' to make a label of; found like, watch_time, whole"):
        SlotShare("share")(example)
    with pytest.raises(DataError, match="'whole' has one number a slate"):
        SlotShare("whole")(example)
    for bad in ({"threshold": float("nan")}, {"least": 0}):
        with pytest.raises(ConfigurationError, match=next(iter(bad))):
            SlotShare("like", **bad)
    like = {"like": SlotShare("like")}
    for labels, weights in (({}, None), (like, {}), (like, {"like": 0.0}), (like, {"like": float("inf")})):
        with pytest.raises(
            ConfigurationError, match="a finite number for each of one or more labels, not all of them 0"
        ):
            MeanLabel(labels, weights)
    with pytest.raises(ConfigurationError, match="no label 'likes'; there are like"):
        MeanLabel(like, {"likes": 1.0})


def test_a_label_of_one_value_is_refused_with_its_value(example: Example) -> None:
    labels = {"like": SlotShare("like"), "often": SlotShare("like", least=3), "seen": SlotShare("watch_time")}
    with pytest.raises(LabelError, match=r"label 'often': it is 0 in all 6 training slates.*\(~labels\.often\)"):
        check_labels(labels, [example, example])
    first = example.select(torch.tensor([0]))
    with pytest.raises(LabelError, match=r"'like': it is 0\.333333 in all 2 training slates") as caught:
        check_labels({"like": SlotShare("like")}, [first, first])
    assert caught.value.label == "like"
    with pytest.raises(LabelError, match="there is no slate"):
        check_labels({"like": SlotShare("like")}, [])


def test_examples_are_read_until_every_label_has_two_values(example: Example) -> None:
    def batches() -> Iterator[Example]:
        yield example
        raise AssertionError("every label has two values already")

    check_labels({"like": SlotShare("like"), "watch": SlotShare("watch_time", least=2)}, batches())


def test_a_label_that_cannot_be_made_or_is_no_share_is_refused_by_name(example: Example) -> None:
    with pytest.raises(LabelError, match="label 'shared': no feedback 'share' to make a label of; found like"):
        check_labels({"like": SlotShare("like"), "shared": SlotShare("share")}, [example])
    for value in (2.0, float("nan")):
        with pytest.raises(LabelError, match=r"'mine': .* outside \[0, 1\]"):
            check_labels({"mine": Constant(value)}, [example])


def test_a_mean_of_ones_is_one_whatever_the_weights(example: Example) -> None:
    """In float32 the weighted sum of ones is above the sum of the weights for one in seven."""
    generator = torch.Generator().manual_seed(0)
    labels = {name: Constant(1.0) for name in "abcd"}
    for weights in (torch.randint(1, 100, (300, 4), generator=generator) / 100).tolist():
        assert MeanLabel(labels, dict(zip("abcd", weights, strict=True)))(example).tolist() == [1.0] * 3
