"""Small networks over the features of every item: a scorer for a softmax policy, and a critic."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from recsys.policies.bandits.posteriors import Features
from recsys.types.context import Context


class FeatureScorer(nn.Module):
    """A score for every item by one network of its features, the same for all items.

    With `SoftmaxPolicy` it makes a policy whose slates are Plackett and Luce's, with exact log-probabilities that carry
    gradient. Needs memory for `B × N × hidden` numbers.

    Args:
        features: of every item for every request.
        hidden: units of the two hidden layers.
    """

    def __init__(self, features: Features, hidden: int = 64) -> None:
        super().__init__()
        self.features = features
        self.layers = nn.Sequential(
            nn.Linear(features.width, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, 1),
        )

    def forward(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the score of every item, whether the request allows it or not."""
        return self.layers(self.features(context)).squeeze(-1)


class FeatureCritic(nn.Module):
    """What a request is worth by what its items are like: `V = g(mean_i f(φ_i))`, in any order of the items.

    Source: Zaheer et al. 2017, "Deep sets". Needs memory for `B × N × hidden` numbers.

    Args:
        features: of every item for every request.
        hidden: units of the hidden layers.
    """

    def __init__(self, features: Features, hidden: int = 64) -> None:
        super().__init__()
        self.features = features
        self.items = nn.Sequential(nn.Linear(features.width, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.value = nn.Linear(hidden, 1)

    def forward(self, context: Context) -> Float[Tensor, " B"]:
        """Return the value of each request, in the reward's unit."""
        return self.value(self.items(self.features(context)).mean(1)).squeeze(-1)
