from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from recsys.errors import ConfigurationError, NonFiniteError
from recsys.objectives.slate_q import item_worth
from recsys.policies.bandits.greedy import EpsilonGreedy, UniformPolicy
from recsys.policies.slate_q import SlateQNetwork, SlateQPolicy, SlateQValues
from recsys.rollouts.collection import collect
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators
from recsys.simulate.features import TopicFeatures
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.systems.slate_q import SlateQ, best_slates, shown_slates
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates
from recsys.types.trajectory import Trajectory
from tests.rollouts.learners import data, trained

SIMULATOR = InterestEvolution(budget=9.0)


def slate_q(lr: float = 0.01, slots: int = 2, **options: Any) -> SlateQ:
    torch.manual_seed(0)
    policy = SlateQPolicy(SlateQNetwork(TopicFeatures(20), hidden=8), SIMULATOR.num_items)
    return SlateQ(policy, partial(torch.optim.Adam, lr=lr), slots, **options)


def played(system: SlateQ, steps: int = 8) -> Trajectory:
    """Six users of whom some leave before the end."""
    return collect(
        SIMULATOR, system.policy, EpisodeConfig(6, steps, 2), EpisodeGenerators.seeded(0), critic=system.value
    )


STATES, ITEMS, DISCOUNT = 2, 3, 0.9
WEIGHT = torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 2.0]])
"""How often each item of a slate is chosen for each time that nothing is; as often in all in every slate below."""
REWARD = torch.tensor([[1.0, 0.5, 2.0, 0.0], [0.2, 3.0, 1.0, 0.0]])
"""The last column: of no choice."""
MOVES = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 1]])
SHOWN = torch.tensor([[0, 1], [2, 0]])
"""The slate of a fixed policy in each state."""


class Table(nn.Module):
    """Choice scores and values of every state, which is the user's number."""

    def __init__(self) -> None:
        super().__init__()
        self.choice = nn.Parameter(torch.zeros(STATES, ITEMS))
        self.value = nn.Parameter(torch.zeros(STATES, ITEMS))
        self.no_choice = nn.Parameter(torch.zeros(STATES))

    def forward(self, context: Context) -> SlateQValues:
        return SlateQValues(*(part[context.users] for part in (self.choice, self.value, self.no_choice)))


def chain(slates: Tensor) -> Trajectory:
    """Two steps of as many users as there are ways to choose, each as often as it is likely.

    Every state shows its slate and is left as the chosen item says.
    """
    first = []
    for state in range(STATES):
        for item in slates[state].tolist():
            first += [(state, item)] * int(WEIGHT[state, item])
        first.append((state, ITEMS))
    rows = [(state, item, int(MOVES[state, item])) for state, item in first]
    paths = [(one, other) for one in rows for other in rows if other[0] == one[2]]
    counts = [sum(one[2] == other[0] for other in rows) for one in rows]
    assert len(set(counts)) == 1, "every first choice stands for as many paths"
    states = torch.tensor([[one[0] for one, _ in paths], [other[0] for _, other in paths]])
    chosen = torch.tensor([[one[1] for one, _ in paths], [other[1] for _, other in paths]])
    items = slates[states]
    reward = torch.where(items == chosen.unsqueeze(-1), REWARD[states, chosen].unsqueeze(-1), 0.0)
    context = Context(states.flatten(), Jagged.empty(states.numel()), Jagged.empty(states.numel()))
    shown = Slates(items.flatten(0, 1).unsqueeze(1), torch.zeros(states.numel(), 1, items.shape[-1]))
    example = Example(context, shown, Feedback.of_reward(reward.flatten(0, 1).unsqueeze(1)))
    goes_on = torch.zeros_like(states, dtype=torch.bool)
    return Trajectory(example, ~goes_on, goes_on)


def after(batch: Trajectory, system: SlateQ, slates: Tensor | None) -> Trajectory:
    """The trajectory with the values of what follows the last step: the fixed policy's slates, or the best ones."""
    items = batch.example.slates.items[:, 0]
    chosen = batch.example.feedback.reward[:, 0] > 0
    last = torch.where(chosen.any(1), items.gather(1, chosen.long().argmax(1, keepdim=True)).squeeze(1), ITEMS)
    state = MOVES[batch.example.context.users, last][-batch.users :]
    context = Context(state, Jagged.empty(batch.users), Jagged.empty(batch.users))
    value = system.value(context) if slates is None else system.target(context).of_slates(slates[state]).detach()
    return batch.replace(value=torch.cat([torch.zeros(2, batch.users), value.unsqueeze(0)]))


def learned(following: Any, slates: Tensor) -> SlateQ:
    system = SlateQ(
        SlateQPolicy(Table(), ITEMS), partial(torch.optim.Adam, lr=0.05), 2, following, 0.0, DISCOUNT, target_rate=1.0
    )
    batch = chain(slates)
    optimizer = torch.optim.Adam(system.served.parameters(), lr=0.1)
    for step in range(1500):
        if step % 10 == 0:
            system.target.load_state_dict(system.served.network.state_dict())
        if step == 1000:
            optimizer.param_groups[0]["lr"] = 0.01
        given = after(batch, system, slates if following is shown_slates else None)
        losses = system.losses(given)
        optimizer.zero_grad()
        (losses["temporal_difference"] + losses["choice"]).backward()
        optimizer.step()
    return system


def exact_values(slates: Tensor) -> Tensor:
    """`Q(s,i)` and, last, `Q(s,⊥)` of a policy that shows one slate in each state: the solution of a linear system."""
    chance = torch.zeros(STATES, ITEMS + 1)
    for state in range(STATES):
        chance[state, slates[state]] = WEIGHT[state, slates[state]]
        chance[state, ITEMS] = 1.0
    chance = (chance / chance.sum(1, keepdim=True)).double()
    moves = torch.eye(STATES, dtype=torch.float64)[MOVES]
    of_policy = torch.eye(STATES, dtype=torch.float64) - DISCOUNT * torch.einsum("si,sit->st", chance, moves)
    worth = torch.linalg.solve(of_policy, (chance * REWARD).sum(1))
    return (REWARD + DISCOUNT * worth[MOVES]).float()


def test_values_of_a_fixed_policy_converge_to_the_solution_of_a_linear_system() -> None:
    system, exact = learned(shown_slates, SHOWN), exact_values(SHOWN)
    network = cast(Table, system.served.network)
    torch.testing.assert_close(network.value.gather(1, SHOWN), exact.gather(1, SHOWN), rtol=0, atol=0.02)
    torch.testing.assert_close(network.no_choice, exact[:, ITEMS], rtol=0, atol=0.02)
    torch.testing.assert_close(network.choice.gather(1, SHOWN).exp(), WEIGHT.gather(1, SHOWN), rtol=0.01, atol=0)


def test_values_of_the_best_slates_converge_and_differ_from_those_shown() -> None:
    """All three items are shown, slates of two are best: the top-k rule finds those that policy iteration finds."""
    every = torch.arange(ITEMS).expand(STATES, -1)
    system = learned(best_slates, every)
    pairs = [torch.tensor([one, other]) for one in ([0, 1], [0, 2], [1, 2]) for other in ([0, 1], [0, 2], [1, 2])]
    candidates = torch.stack([exact_values(pair) for pair in pairs])
    best = pairs[int(candidates[:, :, ITEMS].sum(1).argmax())]
    network = cast(Table, system.served.network)
    found = network(Context(torch.arange(2), Jagged.empty(2), Jagged.empty(2)))
    shown = found.best_slates(torch.arange(2), torch.zeros(2, ITEMS, dtype=torch.bool), 2)
    assert torch.equal(shown.sort(-1).values, best)
    torch.testing.assert_close(network.value, exact_values(best)[:, :ITEMS], rtol=0, atol=0.03)
    assert (exact_values(best) - exact_values(every)).abs().max() > 0.1


def test_it_explores_while_it_trains_and_is_served_greedily() -> None:
    system = slate_q(exploration=0.4)
    assert isinstance(system.policy, EpsilonGreedy) and system.policy.epsilon == 0.4
    assert system.policy.scorer is system.served.scorer
    assert system.eval().policy is system.served and system.served.epsilon == 0.0


def test_slates_are_collected_with_exploration_and_validated_without(tmp_path: Path) -> None:
    seen = trained(slate_q(exploration=0.5), data(), tmp_path, epochs=2)
    for batch in seen.batches:
        slates = batch.example.slates
        shown = slates.items >= 0
        assert set(slates.log_prob[shown].exp().mul(360).round().int().tolist()) <= {18, 20, 198, 200}, "½/10, ½/9, …"
        assert (slates.log_prob[shown] < -1).any()


def test_the_target_network_follows_once_a_step_and_has_no_gradient() -> None:
    system = slate_q(target_rate=0.25)
    assert not any(one.requires_grad for one in system.target.parameters())
    before = [one.clone() for one in system.target.parameters()]
    for one in system.served.parameters():
        one.data += 1.0
    system._follow()
    assert all(torch.equal(one, other) for one, other in zip(before, system.target.parameters(), strict=True))
    type(system).global_step, kept = property(lambda self: 1), type(system).global_step  # type: ignore
    try:
        system._follow()
        system._follow()
    finally:
        type(system).global_step = kept  # type: ignore
    for one, other in zip(before, system.target.parameters(), strict=True):
        torch.testing.assert_close(other, one + 0.25)


def test_its_state_comes_back_whole() -> None:
    system, other = slate_q(), slate_q()
    for one in system.parameters():
        one.data += torch.randn_like(one)
    system.moved.fill_(7)
    other.load_state_dict(system.state_dict())
    batch = played(system)
    assert int(other.moved) == 7
    for name, value in system.losses(batch).items():
        assert torch.equal(value, other.losses(batch)[name])
    assert torch.equal(system.value(batch.example.context), other.value(batch.example.context))


def test_an_interrupted_training_goes_on_as_the_other_would_have(tmp_path: Path) -> None:
    whole, killed, rest = slate_q(), slate_q(), slate_q()
    trained(whole, data(), tmp_path / "whole")
    trained(killed, data(), tmp_path, after=5)
    trained(rest, data(), tmp_path, resume=True)
    assert int(whole.moved) > 0
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name]), name


def test_it_learns_to_earn_more(tmp_path: Path) -> None:
    module = data(users=48, steps=4, batch_size=None, passes=6, validation_users=200)
    by_chance = UniformPolicy(SIMULATOR.num_items)
    chance = collect(module.simulator, by_chance, module.validation, EpisodeGenerators.seeded(0)).reward.sum(0).mean()
    seen = trained(slate_q(lr=0.02, target_rate=0.2), module, tmp_path, epochs=8)
    assert seen.validations[-1] > float(chance) + 1.5, (chance, seen.validations)


@pytest.mark.parametrize("value", [99.0, float("nan")])
def test_what_is_shown_after_a_session_changes_nothing(value: float) -> None:
    system = slate_q()
    batch = played(system)
    over = ~batch.active.view(-1, 1, 1)
    assert over.any()
    slates = batch.example.slates
    spoilt = batch.example.replace(
        slates=slates.replace(items=slates.items.where(~over, 3)),
        feedback=Feedback.of_reward(batch.example.feedback.reward.masked_fill(over, value)),
    )
    for name, loss in system.losses(batch.replace(example=spoilt)).items():
        assert torch.equal(loss, system.losses(batch)[name]), name


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rewards_and_values_of_a_session_are_finite(value: float) -> None:
    system = slate_q()
    batch = played(system, steps=2)
    spoilt = batch.example.feedback.reward.clone()
    spoilt[2] = value
    with pytest.raises(NonFiniteError, match=r"the reward is .* in step 0 of the session of user 2"):
        system.losses(batch.replace(example=batch.example.replace(feedback=Feedback.of_reward(spoilt))))
    assert batch.value is not None and not batch.done[-1].all()
    with pytest.raises(NonFiniteError, match="the target of the values is"):
        system.losses(batch.replace(value=torch.full_like(batch.value, value)))


def test_several_choices_of_a_slate_are_refused() -> None:
    system = slate_q()
    batch = played(system)
    both = Feedback.of_reward(torch.ones_like(batch.example.feedback.reward))
    with pytest.raises(ConfigurationError, match="clicked several items"):
        system.losses(batch.replace(example=batch.example.replace(feedback=both)))


WRONG = [{"slots": 0}, {"exploration": 1.1}, {"discount": -0.1}, {"target_rate": 0.0}, {"target_rate": 1.5}]


@pytest.mark.parametrize("wrong", [*WRONG, {"choice_weight": -1.0}], ids=str)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        slate_q(**wrong)


def test_the_policy_ranks_by_what_an_item_adds() -> None:
    policy = slate_q().served
    context = SIMULATOR.observe(SIMULATOR.reset(5, torch.Generator().manual_seed(0)))
    values: SlateQValues = policy.network(context)
    worth = item_worth(values.choice, values.value, values.no_choice)
    shown = policy.sample(context, 1, 3, torch.Generator().manual_seed(0)).items[:, 0]
    assert torch.equal(worth.gather(1, shown), worth.topk(3).values)
    nothing = torch.zeros(5, SIMULATOR.num_items, dtype=torch.bool)
    assert torch.equal(values.best_slates(context.users, nothing, 3), shown)


def test_best_slates_are_legal_and_break_ties_as_the_policy_does() -> None:
    policy = SlateQPolicy(Table(), ITEMS)
    context = Context(torch.tensor([0, 1]), Jagged.empty(2), Jagged.from_rows([[1], [0, 2]]))
    values: SlateQValues = policy.network(context)
    found = values.best_slates(context.users, context.illegal(ITEMS), 2)
    assert found[1].tolist() == [1, -1]
    assert torch.equal(found, policy.sample(context, 1, 2, torch.Generator().manual_seed(0)).items[:, 0])


def test_the_class_says_what_it_leaves() -> None:
    assert (SlateQ.monitor, SlateQ.mode, SlateQ.artifact) == ("validation/reward", "max", "policy")
