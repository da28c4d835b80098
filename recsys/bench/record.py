"""What the bench keeps of an episode: slates, rewards, diversity, novelty, time, propensities, what was inferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import ContractError
from recsys.policies.policy import Policy
from recsys.protocols import require_protocol
from recsys.rollouts.contract import check_finite, check_shape
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, Step, play, policy_seed
from recsys.simulate.simulator import PlantedTruth, Simulator
from recsys.types.context import Context
from recsys.types.slates import Slates

NOVELTY = "novelty"
"""Name of the channel that says how new each shown item is to its user."""

SAMPLES_AT_ONCE = 256
"""Slates a request in memory."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One policy with one seed, step by step and user by user.

    `T · B · S` rows of 16 bytes, and little more; 4 more bytes a row where the simulator tells novelty.

    Args:
        items: `[T, B, S]`, what was shown; −1 where nothing was.
        log_prob: `[T, B, S]`, nats, of each slot given the slots before it.
        reward: `[T, B, S]`, what each slot earned.
        active: `[T, B]`, 1 where the user's session was not over before the step.
        diversity: `[T, B]`, mean distance of the items of a slate; 0 for fewer than two.
        seconds: the policy's own time for all decisions.
        slot_propensity: `[T, B, S]`, estimated probability of each item at its slot, whatever else is in the slate;
            None where it was not asked for.
        novelty: `[T, B, S]`, how new each shown item was to its user; 0 in empty slots. None where the simulator's
            feedback has no such channel.
        latents: `[T, B]`, latent actions of the policy that bear the name of a hidden number of the simulator.
        truth: `[T, B]`, these hidden numbers, under the same names; empty unless the simulator is a `PlantedTruth`.
    """

    items: Int[Tensor, "T B S"]
    log_prob: Float[Tensor, "T B S"]
    reward: Float[Tensor, "T B S"]
    active: Float[Tensor, "T B"]
    diversity: Float[Tensor, "T B"]
    seconds: float
    slot_propensity: Float[Tensor, "T B S"] | None = None
    novelty: Float[Tensor, "T B S"] | None = None
    latents: Mapping[str, Float[Tensor, "T B"]] = field(default_factory=dict)
    truth: Mapping[str, Float[Tensor, "T B"]] = field(default_factory=dict)


@torch.no_grad()
def record_episode(
    simulator: Simulator[Any],
    policy: Policy,
    episode: EpisodeConfig,
    seed: int,
    slot_draws: int = 0,
    name: str = "",
) -> EpisodeRecord:
    """Play one episode and keep what the bench reports.

    The simulator's randomness depends on the seed only, not on the policy, so that two policies meet the same users
    with the same luck. What a policy draws depends on the seed and its name.

    Args:
        simulator: whose users they are.
        policy: learns after every step if it can (`OnlineLearner`).
        episode: how many users, steps and slots.
        seed: of the simulator's randomness and, apart from it, the policy's; at least 0.
        slot_draws: further slates drawn a request to estimate with which probability each slot holds its item; 0 for
            none. They change nothing else.
        name: of the policy; policies of different names draw independently of each other.

    Raises:
        ContractError: the policy or the simulator breaks its contract.
    """
    apart = torch.Generator().manual_seed(policy_seed(seed, name, "slot_draws"))
    parts: list[Mapping[str, Tensor]] = []
    latents: list[Mapping[str, Tensor]] = []
    truth: list[Mapping[str, Tensor]] = []
    seconds = 0.0
    for number, step in enumerate(play(simulator, policy, episode, EpisodeGenerators.seeded(seed, policy=name))):
        seconds += step.seconds
        own = _kept(simulator, step, number)
        if slot_draws:
            shown = step.transition
            own["slot_propensity"] = slot_propensity(policy, shown.context, shown.slates, slot_draws, apart)
        parts.append(own)
        inferred, hidden = _identified(simulator, policy, step, number)
        latents.append(inferred)
        truth.append(hidden)
    return EpisodeRecord(
        **_stacked(parts, "channels"),
        seconds=seconds,
        latents=_stacked(latents, "latent actions that bear the name of a hidden number"),
        truth=_stacked(truth, "hidden numbers"),
    )


def _kept(simulator: Simulator[Any], step: Step, number: int) -> dict[str, Tensor]:
    """Return the tensors of a record at one step."""
    shown = step.transition
    items = shown.slates.items[:, 0]
    vectors = simulator.vectors(step.state, items)
    check_shape(vectors, (*items.shape, -1), f"{type(simulator).__name__}.vectors", number)
    distance = in_slate_distance(vectors, shown.slates)
    check_finite("distances between the vectors of shown items", distance, shown.active, number)
    slates, feedback = shown.slates, shown.feedback
    theirs = {"items": slates.items, "log_prob": slates.log_prob, "reward": feedback.reward}
    if NOVELTY in feedback.channels:
        new = feedback[NOVELTY].masked_fill(slates.items < 0, 0)
        check_finite("novelties of shown items", new, shown.active, number)
        theirs[NOVELTY] = new
    copies = {name: one[:, 0].clone() for name, one in theirs.items()}  # policy and simulator may write to theirs
    return {**copies, "active": shown.active.float(), "diversity": distance}


def _identified(
    simulator: Simulator[Any], policy: Policy, step: Step, number: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return latent actions of the policy and hidden numbers of the simulator at one step, where both have a name."""
    if not isinstance(simulator, PlantedTruth) or not step.latents:
        return {}, {}
    require_protocol(simulator, PlantedTruth)
    hidden: object = simulator.truth(step.state)
    if not isinstance(hidden, Mapping):
        found = type(hidden).__name__
        raise ContractError(f"step {number}: {type(simulator).__name__}.truth returned a {found}, expected a mapping")
    names = [name for name in hidden if name in step.latents]
    active = step.transition.active
    for who, method, values in ((simulator, "truth", hidden), (policy, "act", step.latents)):
        for name in names:
            check_shape(values[name], active.shape, f"{type(who).__name__}.{method}, as {name},", number)
    for name in names:
        check_finite(f"hidden numbers '{name}'", hidden[name], active, number)
        check_finite(f"latent actions '{name}'", step.latents[name], active, number, "the policy")
    inferred, true = ({name: values[name].detach().clone() for name in names} for values in (step.latents, hidden))
    return inferred, true


def _stacked(steps: Sequence[Mapping[str, Tensor]], what: str) -> dict[str, Tensor]:
    """Return `[T, …]` tensors by name.

    Raises:
        ContractError: a step has other names than the first.
    """
    for number, one in enumerate(steps):
        if one.keys() != steps[0].keys():
            differ = ", ".join(sorted(one.keys() ^ steps[0].keys()))
            raise ContractError(
                f"step {number}: the {what} are not those of step 0; only one of both steps has {differ}"
            )
    return {name: torch.stack([one[name] for one in steps]) for name in steps[0]}


def slot_propensity(
    policy: Policy, context: Context, slates: Slates, draws: int, generator: torch.Generator
) -> Float[Tensor, "B S"]:
    """Estimate from further draws with which probability each slot holds its item, whatever else is in the slate.

    The slate that was shown is one of them, so that none is 0: `(1 + #{draws with the item there}) / (1 + draws)`.

    Args:
        policy: which showed the slates.
        context: to these requests.
        slates: one a request.
        draws: how many more, at least 1.
        generator: of the draws; apart from the policy's, whose luck stays as it was.
    """
    shown, slots = slates.items, slates.items.shape[2]
    alike = torch.zeros_like(shown[:, 0])
    for some in torch.arange(draws).split(SAMPLES_AT_ONCE):
        alike += (policy.sample(context, len(some), slots, generator).items == shown).sum(1)
    return (1 + alike) / (1 + draws)


def in_slate_distance(vectors: Float[Tensor, "B S D"], slates: Slates) -> Float[Tensor, " B"]:
    """Return the mean Euclidean distance between the items of each slate; 0 where there are fewer than two."""
    shown = slates.items[:, 0] >= 0
    pairs = (shown.unsqueeze(1) & shown.unsqueeze(2)).float().triu(1)
    return (torch.cdist(vectors, vectors) * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)
