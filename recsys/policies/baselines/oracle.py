"""The policy that is told what every item is worth: the bound that regret in a simulator is measured against."""

from __future__ import annotations

from dataclasses import dataclass, fields

from jaxtyping import Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.policies.bandits.greedy import Greedy
from recsys.types.context import Context


@dataclass(frozen=True, kw_only=True)
class OracleContext(Context):
    """A request with what only an `Oracle` sees.

    Args:
        true_scores: `[B, N]`, what each item is worth to each user now (`Simulator.scores`).
    """

    true_scores: Float[Tensor, "B N"]

    @classmethod
    def of(cls, context: Context, true_scores: Float[Tensor, "B N"]) -> OracleContext:
        """Return the requests of a context with the true scores in place of what their own class adds."""
        plain = {field.name: getattr(context, field.name) for field in fields(Context)}
        return cls(**plain, true_scores=true_scores)


class Oracle(Greedy):
    """Show the items that are worth most to the user at this step, best first; it does not look ahead.

    It is asked with an `OracleContext` (`recsys.rollouts.episode.play`).

    Args:
        num_items: `N`.
    """

    def __init__(self, num_items: int) -> None:
        super().__init__(_TrueScores(num_items))


class _TrueScores:
    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """Return what the simulator says.

        Raises:
            RequestError: the context is not an `OracleContext`.
        """
        if not isinstance(context, OracleContext):
            raise RequestError("an oracle is asked with an OracleContext, as the loop of an episode does")
        return context.true_scores
