"""The oracle of a simulator, which knows the true score of every item. Regret is measured against it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from jaxtyping import Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.policies.bandits.greedy import Greedy
from recsys.ranges import at_least
from recsys.types.context import Context


@dataclass(frozen=True, kw_only=True)
class OracleContext(Context):
    """A request with the true scores, which only an `Oracle` reads.

    Args:
        true_scores: `[B, N]`, true score of each item for each user at this step (`Simulator.scores`).
    """

    true_scores: Float[Tensor, "B N"]

    @classmethod
    def of(cls, context: Context, true_scores: Float[Tensor, "B N"]) -> OracleContext:
        """Return the requests of a context with true scores. Fields that subclasses of `Context` add are dropped."""
        plain = {field.name: getattr(context, field.name) for field in fields(Context)}
        return cls(**plain, true_scores=true_scores)


class Oracle(Greedy):
    """The policy that shows the items with the highest true scores at this step, best first. It does not plan ahead.

    Its requests are `OracleContext`s, which `recsys.rollouts.episode.play` makes.

    Args:
        num_items: number of items `N`.
    """

    def __init__(self, num_items: int) -> None:
        at_least(1, num_items=num_items)
        super().__init__(_TrueScores(num_items))


class _TrueScores:
    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the true scores of the simulator.

        Raises:
            RequestError: the context is not an `OracleContext`.
        """
        if not isinstance(context, OracleContext):
            raise RequestError(
                "found a plain Context, expected an OracleContext, as recsys.rollouts.episode.play makes"
            )
        return context.true_scores
