from __future__ import annotations

import torch

from recsys.decode.legal import LegalSet
from recsys.decode.subtree_mask import ParentNodes, TrieNodes, dead_branches
from recsys.items.trie import Trie
from recsys.types.context import Context
from tests.decode.table_generator import TableGenerator


def test_each_parent_is_named_once_and_knows_each_node_below_it() -> None:
    trie = Trie.from_codes(torch.tensor([[0, 0], [0, 1], [1, 0], [2, 0], [2, 1], [2, 2]]))
    parents = ParentNodes.of(trie, 1, TrieNodes(torch.tensor([0, 0, 2, 2]), torch.tensor([1, 4, 3, 5])), rows=3)
    assert parents.parents.row.tolist() == [0, 0, 2] and parents.parents.node.tolist() == [0, 2, 2]
    assert parents.child_of.tolist() == [0, 1, 2, 2] and parents.offset.tolist() == [1, 1, 0, 2]
    assert parents.slot.tolist() == [0, 1, 0]
    assert parents.padded.tolist() == [[0, 2], [3, 3], [2, 3]]
    mask = parents.subtree_mask(trie, 1, torch.tensor([10.0, 20.0, 30.0, 40.0]), other=1.0)
    nodes = torch.tensor([[0, 1, 2, 0], [0, 1, 2, 0], [2, 2, 1, 0]])
    found = mask.add_to(torch.zeros(3, 4, 3), nodes)
    nothing = [0.0, 0.0, 0.0]
    assert found.tolist() == [
        [[1, 10, 1], nothing, [1, 20, 1], [1, 10, 1]],
        [nothing] * 4,
        [[30, 1, 40], [30, 1, 40], nothing, nothing],
    ]


def test_dead_branches_are_those_without_a_legal_leaf(
    network: TableGenerator, requests: Context, restricted: Context
) -> None:
    trie = network.trie
    for context in (requests, restricted):
        legal_leaves = ~context.illegal(trie.num_items)[:, trie.leaf_item]
        reachable = torch.ones(len(context), 1, dtype=torch.bool)
        for level, mask in enumerate(dead_branches(LegalSet.of(trie, context))):
            nodes = torch.arange(trie.level_size[level]).expand(len(context), -1)
            children = trie.expand(nodes, level)
            low, high = trie.leaf_range(level + 1)
            counts = torch.nn.functional.pad(legal_leaves.cumsum(1), (1, 0))
            alive = counts[:, high] > counts[:, low]
            marked = mask.add_to(torch.zeros(children.mask.shape), nodes) == 0
            asked = children.mask & reachable.unsqueeze(-1)
            assert torch.equal(marked[asked], alive.gather(1, children.nodes.flatten(1)).view(marked.shape)[asked])
            reachable = alive


def test_only_dead_branches_are_marked_where_items_are_excluded(network: TableGenerator, requests: Context) -> None:
    one_excluded = requests.select(torch.tensor([2]))
    masks = dead_branches(LegalSet.of(network.trie, one_excluded))
    assert [level.parents.shape[1] for level in masks[:-1]] == [0, 0]
    assert masks[-1].values.isneginf().sum() == 1
