from __future__ import annotations

import pytest
import torch

from recsys.decode.step import child_range, over_siblings, over_vocabulary, sibling_step, vocabulary_step
from recsys.errors import ConfigurationError
from tests.decode.table_generator import TableGenerator, VocabularyTableGenerator


def test_over_siblings_ignores_what_stands_behind_the_last_child_and_passes_it_no_gradient() -> None:
    logits = torch.tensor([[1.0, 2.0, 1e9], [3.0, -1e9, 5.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    log_prob = over_siblings(logits, mask)
    assert torch.allclose(log_prob.exp().sum(-1), torch.ones(2)) and log_prob[~mask].isneginf().all()
    (gradient,) = torch.autograd.grad(log_prob[0, 0], logits)
    assert (gradient[~mask] == 0).all() and gradient[0, 0] > 0


def test_over_vocabulary_loses_what_falls_on_codes_that_lead_nowhere() -> None:
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    columns, mask = torch.tensor([1, 3, 3]), torch.tensor([True, True, False])
    published = over_vocabulary(logits, columns, mask)
    assert torch.allclose(published.exp(), torch.tensor([0.25, 0.125, 0.0]))
    assert torch.allclose(over_siblings(logits[columns], mask).exp(), torch.tensor([2 / 3, 1 / 3, 0.0]))


def test_child_range_says_what_expand_says(network: TableGenerator) -> None:
    trie = network.trie
    for level in range(trie.depth):
        nodes = torch.arange(trie.level_size[level]).view(1, -1)
        first, mask = child_range(trie, nodes, level)
        children = trie.expand(nodes, level)
        assert torch.equal(mask, children.mask)
        places = torch.arange(trie.branching[level])
        assert torch.equal((first.unsqueeze(-1) + places)[mask], children.nodes[mask])


def test_steps_differ_by_the_mass_off_the_trie_alone(network: TableGenerator) -> None:
    vocabulary = VocabularyTableGenerator(network.trie, seed=1)
    memory = vocabulary.users[:3]
    nodes = torch.tensor([[0], [1], [2]])
    _, mask = child_range(vocabulary.trie, nodes, 1)
    state = vocabulary.begin(memory)
    siblings, _ = sibling_step(vocabulary, memory, state, nodes, mask, 1)
    published, _ = vocabulary_step(vocabulary, memory, state, nodes, mask, 1)
    assert torch.allclose(published.log_softmax(-1)[mask], siblings[mask], atol=1e-5)
    assert (published.exp().sum(-1) < 1 - 1e-3).all()
    assert torch.equal(published.isneginf(), ~mask)


def test_a_network_without_a_vocabulary_is_refused_by_name(network: TableGenerator) -> None:
    memory = network.users[:1]
    nodes = network.trie.root(1)
    _, mask = child_range(network.trie, nodes, 0)
    with pytest.raises(ConfigurationError, match="TableGenerator has no `vocabulary_logits`"):
        vocabulary_step(network, memory, network.begin(memory), nodes, mask, 0)
