"""Generators whose vocabulary is the codes of all levels: tokens, their tables, and scores of paths."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.items.trie import Trie
from recsys.models.generators.generator import Generator, Memory, SiblingMasks, State


class CodeVocabulary(Generator[Memory, State]):
    """A generator that reads and predicts codes as tokens.

    Code `c` of level `l` is token `first_token + Σ_{k<l} K_k + c`; token 0 begins an item. A level is scored by its own
    `K_l` rows of the output table only. Subclasses decode; tables, tokens and scores are here.

    Args:
        trie: the catalogue.
        width: `D`.
        tied: one table for input and output, its logits scaled by `1/√D`; otherwise the output has its own, unscaled.
        codes_per_level: `K_1 .. K_L`; None takes what the trie uses. Room for later items is given here.
        first_token: tokens before the first code; token 0 is one of them.

    Attributes:
        level_start: the first token of each level, and the number of tokens.
    """

    def __init__(
        self,
        trie: Trie,
        width: int,
        tied: bool = True,
        codes_per_level: Sequence[int] | None = None,
        first_token: int = 1,
    ) -> None:
        super().__init__(trie)
        sizes = tuple(codes_per_level) if codes_per_level is not None else trie.codes_per_level
        if len(sizes) != trie.depth or any(have < used for have, used in zip(sizes, trie.codes_per_level, strict=True)):
            raise ConfigurationError(
                f"codes_per_level is {sizes}, the trie uses {trie.codes_per_level} codes: give at least as many a level"
            )
        self.level_start = tuple(first_token + sum(sizes[:level]) for level in range(trie.depth + 1))
        self.output_scale = width**-0.5 if tied else 1.0
        tokens = self.level_start[-1]
        self.token_table = nn.Parameter(torch.randn(tokens, width))
        self.output_table = None if tied else nn.Parameter(torch.randn(tokens, width) * width**-0.5)

    def tokens(self, items: Int[Tensor, "*items"]) -> Int[Tensor, "*items L"]:
        """Return the `L` tokens of each item."""
        return self.path_tokens(self.trie.path(items))

    def path_tokens(self, paths: Int[Tensor, "*items L"]) -> Int[Tensor, "*items L"]:
        """Return the `L` tokens of each path of nodes."""
        levels = enumerate(paths.unbind(-1))
        return torch.stack(
            [self.trie.token(level + 1)[node].long() + self.level_start[level] for level, node in levels], -1
        )

    def edge_tokens(self, nodes: Int[Tensor, "B M"], level: int) -> Int[Tensor, "B M"]:
        """Return the token that led to each node of a level; 0 at the root."""
        return self.trie.token(level)[nodes].long() + self.level_start[level - 1] if level else nodes

    @abstractmethod
    def read(self, memory: Memory, state: State, tokens: Int[Tensor, "B M"]) -> tuple[Float[Tensor, "B M D"], State]:
        """Return what the token after one more token a beam is predicted from, and the new state."""

    @abstractmethod
    def read_paths(self, memory: Memory, paths: Int[Tensor, "B G L"]) -> list[Float[Tensor, "B _ D"]]:
        """Return what each level's code is predicted from: `[B, 1, D]` at the shared root, then `[B, G, D]`."""

    @override
    def step(
        self, memory: Memory, state: State, nodes: Int[Tensor, "B M"], level: int
    ) -> tuple[Float[Tensor, "B M C"], State]:
        hidden, state = self.read(memory, state, self.edge_tokens(nodes, level))
        return self._code_logits(hidden, level).gather(-1, self.trie.expand(nodes, level).tokens), state

    def vocabulary_logits(
        self, memory: Memory, state: State, nodes: Int[Tensor, "B M"], level: int
    ) -> tuple[Float[Tensor, "B M V"], State]:
        """Logits of the whole vocabulary, column `level_start[level] + c` for code `c` of the level.

        The published form of the policy is normalised over these: codes that no item bears, codes of other levels and
        the special tokens among them.
        """
        return self.token_logits(memory, state, self.edge_tokens(nodes, level))

    def token_logits(
        self, memory: Memory, state: State, tokens: Int[Tensor, "B M"]
    ) -> tuple[Float[Tensor, "B M V"], State]:
        """Logits of the whole vocabulary after one more token a beam, wherever in the trie that is or is not."""
        hidden, state = self.read(memory, state, tokens)
        return self._logits(hidden, slice(None)), state

    @override
    def path_log_prob(
        self, memory: Memory, items: Int[Tensor, "B G"], siblings: SiblingMasks | None = None
    ) -> Float[Tensor, "B G L"]:
        """All candidates go through the network in one pass."""
        paths = self.trie.path(items)
        return self._sibling_scores(self.read_paths(memory, paths), paths, siblings)

    def vocabulary_path_log_prob(self, memory: Memory, items: Int[Tensor, "B G"]) -> Float[Tensor, "B G L"]:
        """`path_log_prob` in its published form: each code's log-probability (nats) over the whole vocabulary."""
        paths = self.trie.path(items)
        scores = []
        for hidden, token in zip(self.read_paths(memory, paths), self.path_tokens(paths).unbind(-1), strict=True):
            logits = self._logits(hidden, slice(None))
            chosen = logits.expand(-1, items.shape[1], -1).gather(-1, token.unsqueeze(-1)).squeeze(-1)
            scores.append(chosen - logits.logsumexp(-1))
        return torch.stack(scores, -1)

    def _sibling_scores(
        self, hidden: Sequence[Float[Tensor, "B _ D"]], paths: Int[Tensor, "B G L"], siblings: SiblingMasks | None
    ) -> Float[Tensor, "B G L"]:
        """Log-probability of each path's nodes among their siblings, from what each level is predicted from."""
        nodes = torch.zeros_like(paths[..., 0])
        scores = []
        for level, before in enumerate(hidden):
            children = self.trie.expand(nodes, level)
            logits = self._code_logits(before, level).expand(-1, paths.shape[1], -1).gather(-1, children.tokens)
            log_prob = self.sibling_log_softmax(logits, children.mask if siblings is None else siblings[level])
            taken = (paths[..., level] - children.nodes[..., 0]).unsqueeze(-1)
            scores.append(log_prob.gather(-1, taken).squeeze(-1))
            nodes = paths[..., level]
        return torch.stack(scores, -1)

    def _code_logits(self, hidden: Float[Tensor, "B M D"], level: int) -> Float[Tensor, "B M K"]:
        return self._logits(hidden, slice(self.level_start[level], self.level_start[level + 1]))

    def _logits(self, hidden: Float[Tensor, "B M D"], tokens: slice) -> Float[Tensor, "B M V"]:
        table = self.token_table if self.output_table is None else self.output_table
        return self.output_scale * hidden @ table[tokens].T
