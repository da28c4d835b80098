"""One GRPO iteration against the pattern of TRL and MiniOneRec: every prompt repeated once a candidate."""

from __future__ import annotations

import copy

import torch

from harness import Result, alternate, compare
from hugging_face import Pair, requests
from recsys.objectives.group_relative import grpo
from recsys.objectives.group_terms import group_normalised
from recsys.policies.generative import UnmaskedPolicy
from recsys.types.rollout import Rollout

ITEMS, PROMPTS, GROUP = 10_000, 16, 16
KL_WEIGHT = 1e-3
TOLERANCE = 1e-3


def run(rounds: int) -> list[Result]:
    """Rollout by beam search, log-probabilities of a frozen reference, one update, which gives the old ones too."""
    pair = Pair.of(ITEMS)
    ours, theirs = Ours(pair), Theirs(pair)
    difference = abs(ours() - theirs())
    norm = abs(gradient_norm(pair.ours) / gradient_norm(pair.theirs) - 1)
    if difference > TOLERANCE or norm > TOLERANCE:
        raise AssertionError(f"losses differ by {difference:.1e}, gradient norms by {100 * norm:.3f} %")
    timings = alternate({"ours": ours, "repeated prompts": theirs}, rounds, warm=False)
    return [
        compare(
            timings,
            "repeated prompts",
            benchmark="GRPO iteration",
            case=f"{PROMPTS} prompts, {GROUP} candidates each",
            goal=9.0,
            checked=f"losses within {difference:.1e}, gradient norms within {100 * norm:.3f} %",
        )
    ]


def gradient_norm(network: torch.nn.Module) -> float:
    """Of all parameters together."""
    return float(torch.stack([weight.grad.norm() for weight in network.parameters() if weight.grad is not None]).norm())


def reward(items: torch.Tensor) -> torch.Tensor:
    """Some numbers `[P, G]` that depend on the items alone."""
    return (items * 7919 % 101).float() / 101


class Ours:
    """The history is encoded once; rollout, old log-probabilities and update read the same encoding."""

    def __init__(self, pair: Pair) -> None:
        self.network, self.reference = pair.ours, copy.deepcopy(pair.ours).requires_grad_(False)
        self.context = requests(PROMPTS, ITEMS)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.0)

    def __call__(self) -> float:
        """The loss of one iteration."""
        policy, frozen = UnmaskedPolicy(self.network, GROUP), UnmaskedPolicy(self.reference, GROUP)
        memory = self.network.encode(self.context)
        items = policy.top_from(memory, self.context, GROUP).items
        with torch.no_grad():
            reference = frozen.log_prob_from(self.reference.encode(self.context), self.context, items)
        tokens = policy.log_prob_from(memory, self.context, items)
        rollout = Rollout(items, tokens, tokens.detach(), reward(items.squeeze(-1)), reference_log_prob=reference)
        loss = grpo(rollout, kl_weight=KL_WEIGHT).value
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


class Theirs:
    """Hugging Face: the prompt is encoded once in each search and once a candidate in each scoring pass."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.frozen = pair, copy.deepcopy(pair.theirs).requires_grad_(False)
        self.tokens, self.mask = pair.padded(requests(PROMPTS, ITEMS))
        self.optimizer = torch.optim.AdamW(pair.theirs.parameters(), lr=0.0)

    def __call__(self) -> float:
        """The loss of one iteration."""
        with torch.no_grad():
            rows, _ = self.pair.generate(self.tokens, self.mask, GROUP)
        items = self.pair.items_of(rows)
        repeated = self.tokens.repeat_interleave(GROUP, 0), self.mask.repeat_interleave(GROUP, 0), items.flatten()
        with torch.no_grad():
            reference = Pair(self.pair.ours, self.frozen, self.pair.codes).log_prob(*repeated)
        tokens = self.pair.log_prob(*repeated)
        advantage = group_normalised(reward(items), torch.ones_like(items, dtype=torch.bool)).flatten()
        distance = reference - tokens
        divergence = distance.exp() - distance - 1
        ratio = (tokens - tokens.detach()).exp()
        surrogate = torch.minimum(ratio * advantage[:, None], ratio.clamp(0.8, 1.2) * advantage[:, None])
        loss = -(surrogate - KL_WEIGHT * divergence).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()
