"""Which of equally good items a policy shows does not depend on the numbers of the items."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder
from recsys.instantiation import make
from recsys.policies.bandits.posteriors import BetaPosterior
from recsys.policies.bandits.thompson import InSlateThompson
from recsys.policies.baselines.oracle import OracleContext
from recsys.policies.policy import Policy
from recsys.types.context import Context
from recsys.types.jagged import Jagged

FILES = sorted(path.stem for path in configuration_folder().glob("policy/*.yaml") if ": ???" not in path.read_text())
USERS = 600


class SameFeatures:
    """One feature, which is 1 for every item."""

    width = 1

    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def __call__(self, context: Context) -> torch.Tensor:
        return torch.ones(len(context), self.num_items, 1)


def configured(name: str) -> tuple[Policy, int]:
    """A policy of the bench to which all items are the same, and their number."""
    config = compose(["simulator=slate/planted", f"policy=[{name}]"], "bench")
    OmegaConf.set_struct(config, False)
    count = int(OmegaConf.select(config, "simulator.num_items"))
    same = {"_target_": f"{__name__}.SameFeatures", "num_items": count}
    config.features = config.item_features = same
    policy = make(OmegaConf.to_container(config.policies[name], resolve=True))
    for part in policy.modules() if isinstance(policy, nn.Module) else ():
        if getattr(part, "draws", None) is not None:
            items = part.draws.shape.index(count) if count in part.draws.shape else None
            if items is not None:
                part.draws.copy_(part.draws.mean(items, keepdim=True).expand_as(part.draws))
    return policy, count


def requests(num_items: int) -> Context:
    users = torch.arange(USERS)
    context = Context(users, Jagged.empty(USERS), Jagged.empty(USERS))
    return OracleContext.of(context, torch.zeros(USERS, num_items))


def require_no_preference(first: torch.Tensor, num_items: int) -> None:
    """Four standard errors of the mean, and of the variance, of the numbers of the items that are first."""
    spread = ((num_items**2 - 1) / 12) ** 0.5
    assert abs(first.double().mean() - (num_items - 1) / 2) < 4 * spread / len(first) ** 0.5
    assert first.double().std() > 0.85 * spread, "other users, other items"


@pytest.mark.parametrize("name", FILES)
def test_policies_of_the_bench(name: str) -> None:
    policy, num_items = configured(name)
    context = requests(num_items)
    if isinstance(policy, nn.Module):
        scorer = getattr(policy, "scorer", getattr(policy, "posterior", None))
        if scorer is not None:
            scores = scorer.scores(context)
            assert (scores == scores[:, :1]).all() or name.startswith("model_"), "the premise"
    for seed in range(2):
        slates = policy.sample(context, 1, 3, torch.Generator().manual_seed(seed))
        for slot in range(3):
            require_no_preference(slates.items[:, 0, slot], num_items)
    if isinstance(policy, InSlateThompson):
        drawn = policy.draw(context, 3, torch.Generator().manual_seed(0))
        require_no_preference(drawn[:, 0], num_items)
        if not isinstance(policy.posterior, BetaPosterior):
            assert torch.equal(drawn, slates.items[:, 0]), "as `sample` and `Greedy`"
