"""Re-ranking by maximal marginal relevance: each slot trades relevance against likeness to what is there."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize
from typing_extensions import override

from recsys.decode.legal import require_legal, require_numbers
from recsys.decode.top_k import tie_keys
from recsys.policies.bandits.posteriors import Features
from recsys.policies.policy import Policy
from recsys.policies.scorer import OnlineLearner, Scorer, update
from recsys.ranges import at_least, within
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates
from recsys.types.transition import Transition


class MaximalMarginalRelevance(nn.Module, Policy, OnlineLearner):
    """Each slot takes the item with the largest `λ · relevance − (1 − λ) · max_j cos(φ_i, φ_j)`, `j` what is there.

    There are the items of earlier slots and, with a `window`, the last items of the user's history; where nothing is,
    the cosine counts as 0. Relevance is the scorer's, brought to [0, 1] by the least and the largest score of the legal
    set of the request; all 0 where these are equal. Of several best items, the user and the items fix which one is
    taken (`recsys.decode.top_k.tie_keys`). A request has one slate, with probability 1. It takes memory for
    `B × N × F` numbers.

    Source: Carbonell and Goldstein 1998, "The use of MMR, diversity-based reranking for reordering documents and
    producing summaries". The window is ours: with it novelty to the user is traded as diversity is.

    Args:
        scorer: gives the relevance; it is updated if it is an `OnlineLearner`.
        features: `φ`, of every item for every request.
        trade_off: `λ`, in [0, 1]; 1 is greedy.
        window: items of the history that count as there, at least 0.
    """

    def __init__(self, scorer: Scorer, features: Features, trade_off: float = 0.7, window: int = 0) -> None:
        within(0, 1, trade_off=trade_off)
        at_least(0, window=window)
        super().__init__()
        self.scorer = scorer
        self.features = features
        self.trade_off = trade_off
        self.window = window

    @override
    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        items = self._slates(context, slots).unsqueeze(1).expand(-1, candidates, -1).contiguous()
        certain = torch.zeros(items.shape, device=items.device)
        return Slates(items, certain.masked_fill(items < 0, float("-inf")), SamplingMethod.SAMPLE)

    @override
    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        slates.check(self.scorer.num_items)
        own = self._slates(context, slates.items.shape[-1]).unsqueeze(1)
        same = ((slates.items == own) & (own >= 0)).cumprod(-1).bool()
        return torch.zeros(slates.items.shape, device=own.device).masked_fill(~same, float("-inf"))

    @override
    def update(self, transition: Transition, generator: torch.Generator) -> None:
        update(self.scorer, transition, generator)

    def _slates(self, context: Context, slots: int) -> Int[Tensor, "B S"]:
        num_items = self.scorer.num_items
        left = ~context.illegal(num_items)
        require_legal(~left.any(-1))
        relevance = self.trade_off * self._relevance(context, left)
        vectors = normalize(self.features(context), dim=-1)
        likeness = self._likeness_to_history(context, vectors)
        keys = tie_keys(context.users.unsqueeze(1), torch.arange(num_items, device=left.device))
        row, found = torch.arange(len(left), device=left.device), []
        for _ in range(slots):
            there = likeness.masked_fill(likeness.isneginf(), 0.0)
            value = (relevance - (1 - self.trade_off) * there).masked_fill(~left, float("-inf"))
            best = left & (value == value.amax(-1, keepdim=True))
            chosen = torch.where(best, keys, -1).argmax(-1)
            found.append(chosen.where(left.any(-1), -1))
            cosine = (vectors @ vectors[row, chosen].unsqueeze(-1)).squeeze(-1)
            likeness, left = likeness.maximum(cosine), left.scatter(-1, chosen.unsqueeze(-1), False)
        return torch.stack(found, -1)

    def _relevance(self, context: Context, legal: Bool[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        scores = self.scorer.scores(context)
        require_numbers(scores.masked_fill(~legal, 0.0))
        scores = scores.clamp(*(getattr(torch.finfo(scores.dtype), end) / 4 for end in ("min", "max")))
        least = scores.masked_fill(~legal, float("inf")).amin(-1, keepdim=True)
        most = scores.masked_fill(~legal, float("-inf")).amax(-1, keepdim=True)
        return ((scores - least) / (most - least)).where(most > least, 0.0)

    def _likeness_to_history(self, context: Context, vectors: Float[Tensor, "B N F"]) -> Float[Tensor, "B N"]:
        """Return the largest cosine with an item of the window; −inf where there is none."""
        nothing = vectors.new_full(vectors.shape[:2], float("-inf"))
        if not self.window:
            return nothing
        context.check(vectors.shape[1], ["history"])
        recent = context.history.last(self.window).to_padded(-1, self.window)
        had = vectors.gather(1, recent.clamp(min=0).unsqueeze(-1).expand(-1, -1, vectors.shape[-1]))
        cosine = (had @ vectors.mT).masked_fill((recent < 0).unsqueeze(-1), float("-inf"))
        return cosine.amax(1)
