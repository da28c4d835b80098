"""What is known of the policy that showed a slate: the probability of an item as the only item of a slate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.decode.catalogue import over_legal_set
from recsys.errors import ConfigurationError
from recsys.policies.feature_network import FeatureScorer
from recsys.policies.policy import ItemPolicy, SoftmaxPolicy
from recsys.types.context import Context
from recsys.types.slates import Slates


class Behaviour(nn.Module, ABC):
    """The behaviour policy μ, known or estimated. It is made for the policy that is trained.

    Attributes:
        learned: whether it has parameters, which are trained by the likelihood of what was shown.
    """

    learned: ClassVar[bool]

    @abstractmethod
    def item_log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """Return `log μ(a|s)`, nats, of the item of each slot as the only item of a slate; −inf for an empty slot.

        Args:
            context: `B` requests.
            slates: that were shown for them.
        """


class SlatePropensities(Behaviour):
    """The behaviour policy as the slates' own log-probabilities tell it, exact for slates of an `ItemPolicy`.

    Slates that no policy of Plackett and Luce drew have other probabilities than these: choose `BehaviourHead`.

    Args:
        policy: that is trained; nothing of it is used.
    """

    learned = False

    def __init__(self, policy: ItemPolicy) -> None:
        super().__init__()

    @override
    def item_log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        return item_log_prob_of(slates)


def item_log_prob_of(slates: Slates) -> Float[Tensor, "B G S"]:
    """Return `log μ(y_s) = log q_s + Σ_{j<s} log(1 − q_j)` of Plackett–Luce slates, nats; −inf for an empty slot.

    Args:
        slates: with the log-probability `log q_s` of each slot given the earlier ones. Where the first slots hold all
            probability up to rounding, what is left for the others is taken for 1e-7.

    >>> items = torch.tensor([[[0, 1, 2]]])
    >>> item_log_prob_of(Slates(items, torch.tensor([[[0.5, 0.6, 1.0]]]).log())).exp()  # of items with .5, .3 and .2
    tensor([[[0.5000, 0.3000, 0.2000]]])
    """
    given = slates.log_prob.clamp(max=0).masked_fill(slates.items < 0, float("-inf"))
    left = (-given.expm1()).clamp(min=torch.finfo(given.dtype).eps).log().cumsum(-1)
    return given + nn.functional.pad(left[..., :-1], (1, 0))


class BehaviourHead(Behaviour):
    """A second softmax head on the state of the policy's network, for logs whose propensities are not known.

    `μ(a|s) ∝ exp⟨w, h(s, a)⟩` over the legal set, with `h` the last hidden layer of the policy's scorer. The gradient
    stops at `h`: the head learns from what was shown and moves nothing of the policy. Trained by the likelihood of all
    slots alike, it estimates how often a slot holds the item, which is `μ(a|s)` for slates of one slot.

    Source: Chen et al. 2019, "Top-K off-policy correction for a REINFORCE recommender system" (arXiv 1812.02353),
    section 4.2.

    Args:
        policy: a softmax over a `FeatureScorer`.

    Raises:
        ConfigurationError: it is another one.
    """

    learned = True

    def __init__(self, policy: ItemPolicy) -> None:
        super().__init__()
        if not (isinstance(policy, SoftmaxPolicy) and isinstance(policy.scorer, FeatureScorer)):
            raise ConfigurationError(
                f"behaviour: a head needs the state of a FeatureScorer, {type(policy).__name__} has none; choose "
                "recsys.policies.behaviour.SlatePropensities"
            )
        self._state = policy.scorer.state  # a method, so that the scorer's weights are not kept twice
        self.head = nn.Linear(policy.scorer.hidden, 1)

    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Return `log μ(a|s)` of every item, nats; −inf outside the legal set."""
        return over_legal_set(self.head(self._state(context).detach()).squeeze(-1), context)

    @override
    def item_log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        catalogue = self.catalogue_log_prob(context)
        slates.check(catalogue.shape[-1])
        found = catalogue.gather(1, slates.items.clamp(min=0).flatten(1)).view(slates.items.shape)
        return found.masked_fill(slates.items < 0, float("-inf"))
