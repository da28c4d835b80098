from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.items.trie import Trie
from recsys.models.generators.causal import CausalGenerator
from recsys.policies.generative import GenerativePolicy
from recsys.systems.reference_policy import EpochReference, FrozenReference, MovingAverageReference, ReferencePolicy
from tests.tiny import tiny_generator, tiny_sasrec

KINDS = [FrozenReference, EpochReference, MovingAverageReference]


def weights(module: torch.nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten().clone() for value in module.parameters()])


def move(network: CausalGenerator, by: float = 1.0) -> None:
    with torch.no_grad():
        for value in network.parameters():
            value += by


@pytest.mark.parametrize("make", KINDS)
def test_it_starts_where_the_policy_does_without_gradient_or_dropout(
    make: Callable[[CausalGenerator], ReferencePolicy],
) -> None:
    network = tiny_generator().train()
    reference = make(network).train()
    assert torch.equal(weights(reference), weights(network))
    assert not any(value.requires_grad for value in reference.parameters())
    assert not any(one.training for one in reference.modules())
    move(network)
    assert not torch.equal(weights(reference), weights(network))


def test_a_frozen_one_stays() -> None:
    network = tiny_generator()
    reference, start = FrozenReference(network), weights(network)
    move(network)
    reference.follow(network, epoch=3, step=99)
    assert torch.equal(weights(reference), start)


def test_a_frozen_one_may_be_another_policy() -> None:
    network, other = tiny_generator(), tiny_generator()
    move(other)
    reference = FrozenReference(network, GenerativePolicy(other))
    assert torch.equal(weights(reference), weights(other))
    move(other)
    assert not torch.equal(weights(reference), weights(other))


def test_one_of_an_epoch_copies_the_policy_when_an_epoch_begins() -> None:
    network = tiny_generator()
    reference, start = EpochReference(network), weights(network)
    move(network)
    reference.follow(network, epoch=0, step=1)
    assert torch.equal(weights(reference), start)
    reference.follow(network, epoch=1, step=2)
    second = weights(network)
    assert torch.equal(weights(reference), second)
    move(network)
    reference.follow(network, epoch=1, step=3)
    assert torch.equal(weights(reference), second)


def test_a_moving_average_goes_a_little_of_the_way_at_every_step_and_once() -> None:
    network = tiny_generator()
    reference, start = MovingAverageReference(network, decay=0.75), weights(network)
    move(network)
    reference.follow(network, epoch=0, step=0)
    assert torch.equal(weights(reference), start)
    for _ in range(2):
        reference.follow(network, epoch=0, step=1)
        torch.testing.assert_close(weights(reference), start + 0.25)
    move(network)
    reference.follow(network, epoch=0, step=2)
    torch.testing.assert_close(weights(reference), start + 0.25 + 0.25 * 1.75)


@pytest.mark.parametrize("make", KINDS)
def test_its_state_goes_on_from_a_checkpoint(make: Callable[[CausalGenerator], ReferencePolicy]) -> None:
    network = tiny_generator()
    one = make(network)
    move(network)
    one.follow(network, epoch=1, step=1)
    other = make(tiny_generator())
    other.load_state_dict(one.state_dict())
    assert torch.equal(weights(one), weights(other))
    move(network)
    for reference in (one, other):
        reference.follow(network, epoch=1, step=1)
    assert torch.equal(weights(one), weights(other))


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5, 2.0])
def test_a_decay_outside_of_its_range_is_refused(decay: float) -> None:
    with pytest.raises(ConfigurationError, match="decay"):
        MovingAverageReference(tiny_generator(), decay)


def test_a_reference_over_other_codes_is_refused() -> None:
    """Its log-probabilities a code would be compared with those of other codes."""
    with pytest.raises(ConfigurationError, match="reference: SASRec has other semantic IDs than the policy"):
        FrozenReference(tiny_generator(), GenerativePolicy(tiny_sasrec()))
    network, other = tiny_generator(), tiny_generator()
    renamed = network.trie.path(torch.arange(network.trie.num_items)).flip(0)
    other.trie = Trie.from_codes(renamed)
    assert other.trie.level_size == network.trie.level_size
    with pytest.raises(ConfigurationError, match="other semantic IDs"):
        FrozenReference(network, GenerativePolicy(other))
    FrozenReference(network, GenerativePolicy(tiny_generator()))
