"""Small networks over item features: a scorer for a softmax policy, and a critic."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from recsys.policies.bandits.posteriors import Features
from recsys.policies.policy import SoftmaxPolicy
from recsys.ranges import above, at_least
from recsys.types.context import Context


class FeatureScorer(nn.Module):
    """A scorer that applies one network to the features of each item.

    With `SoftmaxPolicy` it is a policy over slates (Plackett–Luce) with exact, differentiable log-probabilities. It
    takes memory for `B × N × hidden` numbers.

    Args:
        features: features of every item for each request.
        hidden: number of units of each of the two hidden layers.
    """

    def __init__(self, features: Features, hidden: int = 64) -> None:
        at_least(1, hidden=hidden)
        super().__init__()
        self.features = features
        self.hidden = hidden
        self.layers = nn.Sequential(
            nn.Linear(features.width, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, 1),
        )

    def forward(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the score of every item, legal or not."""
        return self.layers[-1](self.state(context)).squeeze(-1)

    def state(self, context: Context) -> Float[Tensor, "B N hidden"]:
        """Return the last hidden layer of every item, of which the score is a linear function."""
        return self.layers[:-1](self.features(context))


class FeaturePolicy(SoftmaxPolicy):
    """Slates by Plackett and Luce of items scored by a `FeatureScorer`.

    Args:
        features: of every item for every request.
        hidden: units of the two hidden layers.
        temperature: above 0; see `SoftmaxPolicy`.
    """

    def __init__(self, features: Features, hidden: int = 64, temperature: float = 1.0) -> None:
        super().__init__(FeatureScorer(features, hidden), temperature)

    @classmethod
    def for_run(
        cls, materials: object, features: Features, hidden: int = 64, temperature: float = 1.0
    ) -> FeaturePolicy:
        """Return a policy for a run, which needs nothing of what the run prepared.

        Args:
            materials: what the run prepared.
            features: see the class.
            hidden: see the class.
            temperature: see the class.
        """
        at_least(1, hidden=hidden)
        above(0, temperature=temperature)
        return cls(features, hidden, temperature)


class FeatureCritic(nn.Module):
    """A critic: the value of a request from the features of its items, `V = g(mean_i f(φ_i))`.

    The value does not depend on the order of the items. It takes memory for `B × N × hidden` numbers.

    Source: Zaheer et al. 2017, "Deep sets".

    Args:
        features: features of every item for each request.
        hidden: number of units of each hidden layer.
    """

    def __init__(self, features: Features, hidden: int = 64) -> None:
        at_least(1, hidden=hidden)
        super().__init__()
        self.features = features
        self.items = nn.Sequential(nn.Linear(features.width, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.value = nn.Linear(hidden, 1)

    def forward(self, context: Context) -> Float[Tensor, " B"]:
        """Return the value of each request, in the unit of the reward."""
        return self.value(self.items(self.features(context)).mean(1)).squeeze(-1)
