"""The legal mass of each subtree, summed from the leaves up in the log domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.decode.legal import LegalSet, log_sum_exp
from recsys.decode.step import child_range, over_siblings
from recsys.decode.subtree_mask import ParentNodes, SubtreeMask, TrieNodes, dead_branches
from recsys.models.generators.generator import Generator


@dataclass(frozen=True)
class LegalMass:
    """The legal part of a generator's distribution.

    Args:
        total: `[B]`, nats: log-probability that an item drawn from the whole catalogue is legal.
        subtree_masks: for levels `0 .. L − 1`, nats: log of the legal part of each child's probability; 0 where every
            leaf below the child is legal, −inf where none is.
    """

    total: Float[Tensor, " B"]
    subtree_masks: tuple[SubtreeMask, ...]


def legal_mass(network: Generator[Any, Any], memory: Any, legal: LegalSet) -> LegalMass:
    """Walk the ancestors of the listed leaves down once for their children's probabilities, and sum them up.

    `m(leaf) = 1 if legal else 0`, `m(node) = Σ_children π(child | node) m(child)`; subtrees without a listed leaf count
    as a whole. Nothing is subtracted, so the result is exact however little is left. Costs one decoder step a level on
    as many beams as the fullest request has ancestors there. Carries gradient.

    Args:
        network: what generates.
        memory: of `B` requests.
        legal: what the requests allow.
    """
    trie, rows = legal.trie, len(legal)
    if legal.leaves.values.numel() == 0:
        return LegalMass(torch.zeros(rows, device=legal.leaves.values.device), dead_branches(legal))
    nodes = TrieNodes(legal.leaves.row_ids(), legal.leaves.values)
    parent_nodes: list[ParentNodes] = []
    for level in reversed(range(trie.depth)):
        parent_nodes.append(ParentNodes.of(trie, level, nodes, rows))
        nodes = parent_nodes[-1].parents
    parent_nodes.reverse()
    listed, other = (0.0, float("-inf")) if legal.inclusive else (float("-inf"), 0.0)
    value = torch.full(legal.leaves.values.shape, listed, device=legal.leaves.values.device)
    subtree_masks: list[SubtreeMask] = []
    log_prob = _descend(network, memory, parent_nodes)
    for level in reversed(range(trie.depth)):
        subtree_masks.append(parent_nodes[level].subtree_mask(trie, level, value, other))
        value = log_sum_exp(log_prob[level] + subtree_masks[-1].values[:-1])
    total = value.new_zeros(rows).index_put((parent_nodes[0].parents.row,), value)
    return LegalMass(total, tuple(subtree_masks[::-1]))


def _descend(network: Generator[Any, Any], memory: Any, parent_nodes: list[ParentNodes]) -> list[Float[Tensor, "Y C"]]:
    """Log-probabilities of the children of each parent, level by level."""
    trie = network.trie
    state = network.begin(memory)
    result = []
    for level, here in enumerate(parent_nodes):
        if level:
            above = parent_nodes[level - 1]
            beams = torch.zeros_like(here.padded)
            beams[here.parents.row, here.slot] = above.slot[above.child_of]
            state = network.reorder(state, beams)
        nodes = here.padded.clamp(max=trie.level_size[level] - 1)
        logits, state = network.step(memory, state, nodes, level)
        logits = logits[here.parents.row, here.slot]
        _, mask = child_range(trie, here.parents.node, level)
        result.append(over_siblings(logits, mask))
    return result
