from __future__ import annotations

import pytest
import torch

from recsys.decode.step import child_range, sibling_step, vocabulary_step
from recsys.errors import ConfigurationError
from tests.decode.table_generator import TableGenerator, VocabularyTableGenerator


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
