"""The plainest reward: was it the logged next item?"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from recsys.data.context import Context
from recsys.data.slates import Slates
from recsys.rewards.reward import is_hit


class Rule:
    """`1[e = target]`: 1 for a slate that holds the logged next item in any slot, else 0.

    Source: ReRe (arXiv 2510.12211), MiniOneRec (arXiv 2510.24431), section 3.4; docs/papers.md#rewards.
    """

    order_matters = False
    bounds = (0.0, 1.0)

    def __call__(self, context: Context, slates: Slates) -> Float[Tensor, "B G"]:
        """`[B, G]`, 0 or 1."""
        return is_hit(context, slates).to(slates.log_prob.dtype)
