"""Reference policies: what a policy is kept close to by a KL term or a preference objective."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.models.generators.generator import Generator
from recsys.policies.network_policy import NetworkPolicy
from recsys.ranges import between


class ReferencePolicy(nn.Module):
    """A copy of the policy's network, in evaluation mode and without gradient.

    Its weights and counters are part of the module's state, so that a checkpoint carries them.

    Args:
        network: the policy's network when training begins.
    """

    def __init__(self, network: Generator[Any, Any]) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> ReferencePolicy:
        """Stay in evaluation mode: dropout is off."""
        return super().train(False)

    def follow(self, network: Generator[Any, Any], epoch: int, step: int) -> None:
        """Move towards the policy where it is time to; called before every training step.

        Args:
            network: the policy's network now.
            epoch: the epoch, from 0.
            step: how many optimizer steps were made.
        """
        raise NotImplementedError


class FrozenReference(ReferencePolicy):
    """The policy as it was when training began (Ouyang et al. 2022; ReRe, arXiv 2510.12211), or another policy.

    Args:
        network: the policy's network when training begins.
        policy: another policy over the same semantic IDs, which another training left
            (`{_target_: recsys.runs.artifacts.artifact, name: …}`); None for the one that training begins with.

    Raises:
        ConfigurationError: `policy` is one over other semantic IDs, whose log-probabilities a code cannot be compared.
    """

    def __init__(self, network: Generator[Any, Any], policy: NetworkPolicy | None = None) -> None:
        if policy is None:
            super().__init__(network)
            return
        if not policy.network.trie.equals(network.trie):
            raise ConfigurationError(
                f"reference: {type(policy.network).__name__} has other semantic IDs than the policy (codes a level "
                f"{policy.network.trie.level_size} and {network.trie.level_size}): name a training over the same ones"
            )
        super().__init__(policy.network)

    def follow(self, network: Generator[Any, Any], epoch: int, step: int) -> None:
        """Stay."""


class EpochReference(ReferencePolicy):
    """The policy as it was when the epoch began.

    Source: iterative GRPO, DeepSeekMath (arXiv 2402.03300), Algorithm 1; "hard update" of arXiv 2404.09656, section 3.
    """

    epoch: Tensor

    def __init__(self, network: Generator[Any, Any]) -> None:
        super().__init__(network)
        self.register_buffer("epoch", torch.tensor(0))

    @torch.no_grad()
    def follow(self, network: Generator[Any, Any], epoch: int, step: int) -> None:
        """Copy the policy at the first step of an epoch."""
        if epoch != int(self.epoch):
            self.network.load_state_dict(network.state_dict())
            self.epoch.fill_(epoch)


class MovingAverageReference(ReferencePolicy):
    """An exponential moving average of the policy: `θ_ref ← d · θ_ref + (1 − d) · θ` after every optimizer step.

    Source: "soft update" of Gorbatovski et al., "Learn your reference model" (arXiv 2404.09656), section 3, which takes
    a step of .6 towards the policy every 512 steps; `d = .998` goes as far in as many.

    Args:
        network: the policy's network when training begins.
        decay: d, in (0, 1): what stays of the reference at a step; near 1 it hardly moves.

    Raises:
        ConfigurationError: the decay lies outside (0, 1).
    """

    step: Tensor

    def __init__(self, network: Generator[Any, Any], decay: float = 0.998) -> None:
        between(0, 1, decay=decay)
        super().__init__(network)
        self.decay = decay
        self.register_buffer("step", torch.tensor(0))

    @torch.no_grad()
    def follow(self, network: Generator[Any, Any], epoch: int, step: int) -> None:
        """Move once where the policy took a step since the last call."""
        if step == int(self.step):
            return
        move_towards(self.network, network, 1 - self.decay)
        self.step.fill_(step)


@torch.no_grad()
def move_towards(follower: nn.Module, leader: nn.Module, rate: float) -> None:
    """Move the parameters of a network towards those of another, and copy its buffers: `θ ← θ + rate (θ' − θ)`.

    Args:
        follower: is changed in place.
        leader: of the same architecture.
        rate: in [0, 1]; 1 copies.
    """
    for own, other in zip(follower.parameters(), leader.parameters(), strict=True):
        own.lerp_(other, rate)
    for own, other in zip(follower.buffers(), leader.buffers(), strict=True):
        own.copy_(other)
