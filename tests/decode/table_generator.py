from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.items.trie import Trie
from recsys.models.generators.generator import Generator
from recsys.types.context import Context
from recsys.types.record import TensorRecord


@dataclass(frozen=True)
class Carried(TensorRecord):
    """What the beams have walked: a state that is wrong as soon as it is gathered by the wrong beam."""

    walked: Tensor
    nodes: Tensor


class TableGenerator(Generator[Tensor, Carried]):
    """Fixed random logits: a table a node plus a term a user and his placed items, and one of the path walked so far.

    Logits behind a node's last child are huge, so that whoever forgets a mask is found out.
    """

    def __init__(self, trie: Trie, users: int = 8, scale: float = 1.0, seed: int = 0, width: int = 3) -> None:
        super().__init__(trie)
        rng = torch.Generator().manual_seed(seed)
        self.users = torch.nn.Parameter(torch.randn(users, width, generator=rng))
        self.tables = torch.nn.ParameterList(
            torch.nn.Parameter(scale * torch.randn(size, width, generator=rng)) for size in trie.level_size
        )
        self.register_buffer("placed", torch.randn(trie.num_items, width, generator=rng))
        self.placed: Tensor

    def encode(self, context: Context) -> Tensor:
        return self.users[context.users]

    def select(self, memory: Tensor, rows: Tensor) -> Tensor:
        return memory[rows]

    def rows(self, memory: Tensor) -> int:
        return memory.shape[0]

    def extend(self, memory: Tensor, items: Tensor, state: object = None) -> Tensor:
        return torch.tanh(memory + self.placed[items])

    def begin(self, memory: Tensor) -> Carried:
        return Carried(memory.unsqueeze(1), self.trie.root(memory.shape[0]))

    def step(self, memory: Tensor, state: Carried, nodes: Tensor, level: int) -> tuple[Tensor, Carried]:
        children = self.trie.expand(nodes, level)
        walked = torch.tanh(state.walked + self.tables[level][nodes])
        logits = (self.tables[level + 1][children.nodes] * (memory.unsqueeze(1) + walked).unsqueeze(2)).sum(-1)
        return logits.masked_fill(~children.mask, 1e4), Carried(walked, nodes)


def ragged_codes(items: int, levels: int, codes: int, seed: int = 0) -> Tensor:
    """Distinct random rows in no order, so that nodes differ in their number of children."""
    every = torch.cartesian_prod(*[torch.arange(codes)] * levels).reshape(-1, levels)
    return every[torch.randperm(len(every), generator=torch.Generator().manual_seed(seed))[:items]]


class VocabularyTableGenerator(TableGenerator):
    """The same, with logits for codes that no item has: a vocabulary of every level's codes and one more each."""

    def __init__(self, trie: Trie, users: int = 8, scale: float = 1.0, seed: int = 0, width: int = 3) -> None:
        super().__init__(trie, users, scale, seed, width)
        starts = [0]
        for codes in trie.codes_per_level:
            starts.append(starts[-1] + codes + 1)
        self.level_start = tuple(starts[:-1])
        rng = torch.Generator().manual_seed(seed + 1)
        self.codes = torch.nn.Parameter(scale * torch.randn(starts[-1], width, generator=rng))

    def vocabulary_logits(self, memory: Tensor, state: Carried, nodes: Tensor, level: int) -> tuple[Tensor, Carried]:
        walked = torch.tanh(state.walked + self.tables[level][nodes])
        return (memory.unsqueeze(1) + walked) @ self.codes.T, Carried(walked, nodes)

    def vocabulary_path_log_prob(self, memory: Tensor, items: Tensor) -> Tensor:
        paths, nodes = self.trie.path(items), torch.zeros_like(items)
        state, scores = self.reorder(self.begin(memory), nodes), []
        for level in range(self.trie.depth):
            logits, state = self.vocabulary_logits(memory, state, nodes, level)
            nodes = paths[..., level]
            token = self.trie.token(level + 1)[nodes].long() + self.level_start[level]
            scores.append(logits.log_softmax(-1).gather(-1, token.unsqueeze(-1)).squeeze(-1))
        return torch.stack(scores, -1)

    def step(self, memory: Tensor, state: Carried, nodes: Tensor, level: int) -> tuple[Tensor, Carried]:
        logits, state = self.vocabulary_logits(memory, state, nodes, level)
        return logits.gather(-1, self.trie.expand(nodes, level).tokens + self.level_start[level]), state
