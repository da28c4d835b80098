"""ReRe's generative policy as its released code trains it."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.context import Context
from recsys.data.slates import Drawn, Slates
from recsys.decode.published import published_beam_search, published_score
from recsys.policies.generative import GenerativePolicy, one_slot


class PublishedPolicy(GenerativePolicy):
    """Searched under the trie's mask, trained without it: to reproduce published training, and to measure its defect.

    `top_from` and `log_prob_from` speak of the softmax over the whole vocabulary, which breaks the policy's law: over
    the legal set `Σ exp log_prob < 1`, by another share for every request. Everything else is `GenerativePolicy`'s.
    Source: released code of Tan et al. 2025 (ReRe) and Kong et al. 2025 (MiniOneRec), `LogitProcessor.py`.

    Args:
        network: what generates; it must have `vocabulary_logits`.
        beams: least width of a search.
    """

    def top_from(self, memory: Any, context: Context, k: int) -> Slates:
        """The `k` best legal items by beam search under the published score."""
        items, log_prob = published_beam_search(self.network, memory, context, max(k, self.beams))
        return one_slot(items[:, :k], log_prob[:, :k], Drawn.TOP)

    def log_prob_from(self, memory: Any, context: Context, items: Int[Tensor, "B G"]) -> Float[Tensor, "B G L"]:
        """Log-probability (nats) of each code over the whole vocabulary; what a request excludes changes nothing."""
        return published_score(self.network, memory, items)
