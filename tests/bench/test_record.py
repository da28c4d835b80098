from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from recsys.bench.metrics import identification
from recsys.bench.record import EpisodeRecord, in_slate_distance, record_episode, slot_propensity
from recsys.errors import ContractError
from recsys.policies.bandits.greedy import Greedy, UniformPolicy
from recsys.policies.bandits.posteriors import LinearPosterior
from recsys.policies.bandits.thompson import InSlateThompson
from recsys.policies.baselines.oracle import Oracle
from recsys.policies.latent import Latents
from recsys.policies.policy import Policy
from recsys.rollouts.episode import EpisodeConfig
from recsys.simulate.features import GroupFeatures
from recsys.simulate.novelty_seeking import NoveltySeeking, NoveltyState
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.context import Context
from recsys.types.feedback import Channel, Feedback
from recsys.types.session_context import SessionContext
from recsys.types.slates import Slates
from recsys.types.transition import Transition

GAME = EpisodeConfig(users=12, steps=6, slots=3)


def simulator() -> PlantedGroups:
    return PlantedGroups(num_items=20, groups=4, width=3, steps=4)


def thompson() -> InSlateThompson:
    return InSlateThompson(LinearPosterior(GroupFeatures(20, 4), 20, pool=16))


def parts(record: EpisodeRecord) -> list[Tensor]:
    return [record.items, record.log_prob, record.reward, record.active, record.diversity]


@pytest.mark.parametrize(
    "make", [lambda: UniformPolicy(20), thompson, lambda: Oracle(20)], ids=["random", "thompson", "oracle"]
)
def test_equal_seeds_play_alike_and_others_do_not(make) -> None:
    first, again, other = (parts(record_episode(simulator(), make(), GAME, seed)) for seed in (3, 3, 4))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[2], other[2])


def test_every_policy_meets_the_same_users_with_the_same_luck() -> None:
    """Who shows the same slates sees the same clicks, whatever else the policy draws."""

    class Same(UniformPolicy):
        def __init__(self, wasted: int) -> None:
            super().__init__(20)
            self.wasted = wasted

        def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
            torch.rand(self.wasted, generator=generator)
            items = torch.arange(slots).expand(len(context), 1, slots)
            return Slates(items, torch.zeros(items.shape))

    first, second = (record_episode(simulator(), Same(wasted), GAME, seed=0) for wasted in (0, 7))
    assert first.reward.any()
    assert torch.equal(first.reward, second.reward)


def test_nothing_is_earned_or_counted_after_the_session() -> None:
    played = record_episode(simulator(), UniformPolicy(20), GAME, seed=0)
    assert played.active[:4].all() and not played.active[4:].any()
    assert (played.items[:4] >= 0).all() and (played.items[4:] == -1).all()
    assert not played.reward[4:].any() and not played.diversity[4:].any()
    assert played.items.shape == (6, 12, 3)


def test_learning_pays_and_the_oracle_pays_more() -> None:
    simulator = PlantedGroups(num_items=40, groups=4, width=3, sharpness=8.0, spread=0.01, steps=60)
    game = EpisodeConfig(users=100, steps=60, slots=2)

    def earned(policy: Policy) -> float:
        return record_episode(simulator, policy, game, seed=0).reward.sum().item()

    learnt = earned(Greedy(LinearPosterior(GroupFeatures(40, 4), 40)))
    assert earned(UniformPolicy(40)) < learnt < earned(Oracle(40))


def test_diversity_is_the_mean_distance_of_shown_items() -> None:
    items = torch.tensor([[[5, 6, 7]], [[5, 6, -1]], [[5, -1, -1]]])
    vectors = torch.tensor([[[0.0], [1.0], [4.0]]]).expand(3, -1, -1)
    distance = in_slate_distance(vectors, Slates(items, items.float()))
    torch.testing.assert_close(distance, torch.tensor([(1 + 4 + 3) / 3, 1.0, 0.0]))


def test_slot_propensities_are_estimated_apart_and_change_nothing() -> None:
    game = EpisodeConfig(users=12, steps=4, slots=3)
    without = record_episode(simulator(), thompson(), GAME, 3)
    with_shares = record_episode(simulator(), thompson(), game, 3, slot_draws=300)
    assert without.slot_propensity is None and with_shares.slot_propensity is not None
    for one, two in zip(parts(without), parts(with_shares), strict=True):
        assert torch.equal(one[:4], two)
    assert with_shares.slot_propensity.shape == (4, 12, 3)
    first = with_shares.log_prob[..., 0].exp()
    error = (with_shares.slot_propensity[..., 0] - first).abs()
    assert error.max() < 0.12, "the first slot has no slots before it: its share is its propensity"
    assert error.mean() < 0.03


def test_slot_propensities_of_a_uniform_policy_are_even(generator: torch.Generator) -> None:
    context = simulator().observe(simulator().reset(50, generator))
    slates = UniformPolicy(20).sample(context, 1, 3, generator)
    shares = slot_propensity(UniformPolicy(20), context, slates, 600, generator)
    assert shares.shape == (50, 3)
    assert shares.mean().item() == pytest.approx(1 / 20, abs=0.004)


def test_what_is_kept_does_not_change_with_the_tensors_of_a_policy() -> None:
    """A policy fills one buffer at each step, and a learner writes into what it is given."""

    class Reusing(UniformPolicy):
        def __init__(self) -> None:
            super().__init__(20)
            self.log_prob_buffer = torch.zeros(GAME.users, 1, GAME.slots)
            self.number = 0

        def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
            self.number += 1
            items = torch.arange(slots).expand(len(context), 1, slots)
            return Slates(items, self.log_prob_buffer.fill_(-self.number))

        def update(self, transition: Transition, generator: torch.Generator) -> None:
            transition.feedback.reward.fill_(1000.0)
            transition.slates.items.fill_(0)

    record = record_episode(simulator(), Reusing(), GAME, seed=0)
    assert record.log_prob[:, 0, 0].tolist() == [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]
    assert record.reward.max() <= 1
    assert record.items[0].tolist() == [[0, 1, 2]] * GAME.users


class Told(NoveltySeeking):
    """Users whose profile tells all of their intent; what the simulator answers can be changed."""

    def __init__(self, change: Callable[[Feedback, int], Feedback] | None = None, **other: float) -> None:
        sizes = {"num_items": 20, "width": 4, "sessions": 2, "session_steps": 2, "window": 3, "recent": 5}
        super().__init__(**{**sizes, "initial": 2, "known": 1.0, "dynamic": 0.0, **other})  # type: ignore[arg-type]
        self.change = change

    def step(
        self, state: NoveltyState, slates: Slates, generator: torch.Generator
    ) -> tuple[NoveltyState, Feedback, Tensor]:
        after, answer, done = super().step(state, slates, generator)
        return after, answer if self.change is None else self.change(answer, int(state.shown[0])), done


class Inferring(UniformPolicy):
    """Shows items by chance and infers an intent."""

    def __init__(self, infer: Callable[[SessionContext, torch.Generator], Tensor], name: str = "intent") -> None:
        super().__init__(20)
        self.infer = infer
        self.name = name

    def act(
        self, context: Context, latents: Latents | None, slots: int, generator: torch.Generator
    ) -> tuple[Slates, Latents]:
        assert isinstance(context, SessionContext)
        known = {self.name: self.infer(context, generator), "begins": context.step == 0}
        return self.sample(context, 1, slots, generator), known

    def log_prob_given(self, context: Context, slates: Slates, latents: Latents) -> Tensor:
        return self.log_prob(context, slates)

    def latent_log_prob(self, context: Context, latents: Latents) -> Tensor:
        return torch.zeros(len(context))


def knowing(context: SessionContext, generator: torch.Generator) -> Tensor:
    """The intent, but for its scale."""
    return 3 * context.profile @ Told().meaning + 1


def noise(context: SessionContext, generator: torch.Generator) -> Tensor:
    return torch.randn(len(context), generator=generator)


def test_novelty_is_kept_where_the_simulator_tells_it() -> None:
    assert record_episode(simulator(), UniformPolicy(20), GAME, 0).novelty is None
    record = record_episode(Told(), UniformPolicy(20), GAME, 0)
    assert record.novelty is not None and record.novelty.shape == (6, 12, 3)
    assert (record.novelty[:4] > 0).float().mean() > 0.9
    assert not record.novelty[4:].any(), "the sessions are over"


def test_novelty_of_empty_slots_is_none_whatever_the_simulator_says() -> None:
    class OneItem(UniformPolicy):
        def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
            shown = super().sample(context, candidates, slots, generator)
            return Slates(shown.items.index_fill(2, torch.arange(1, slots), -1), shown.log_prob)

    def everywhere(answer: Feedback, step: int) -> Feedback:
        value = torch.full_like(answer["novelty"], torch.nan)
        value[..., 0] = 0.25
        return answer.replace(channels={**answer.channels, "novelty": Channel(value)})

    record = record_episode(Told(everywhere), OneItem(20), GAME, 0)
    assert record.novelty is not None
    assert (record.novelty[:4, :, 0] == 0.25).all() and not record.novelty[..., 1:].any()


def test_novelty_that_is_not_finite_or_comes_and_goes_is_refused() -> None:
    def infinite(answer: Feedback, step: int) -> Feedback:
        return answer.replace(channels={**answer.channels, "novelty": Channel(answer["novelty"] / 0)})

    def at_first(answer: Feedback, step: int) -> Feedback:
        kept = {name: one for name, one in answer.channels.items() if step < 2 or name != "novelty"}
        return answer.replace(channels=kept)

    with pytest.raises(
        ContractError, match=r"step 0, user 0: the simulator .*novelties of shown items are not all fin"
    ):
        record_episode(Told(infinite), UniformPolicy(20), GAME, 0)
    with pytest.raises(ContractError, match=r"step 2: the channels are not those of step 0; .* has novelty"):
        record_episode(Told(at_first), UniformPolicy(20), GAME, 0)


def test_what_is_inferred_is_kept_beside_what_is_true_before_the_step() -> None:
    world = Told(known=0.5, dynamic=1.0, persistence=0.0)
    record = record_episode(world, Inferring(knowing), GAME, 0)
    assert set(record.latents) == set(record.truth) == {"intent"}, "`begins` has no truth"
    true = record.truth["intent"]
    assert true.shape == (6, 12)
    assert torch.equal(true[0], true[1]) and not torch.equal(true[1], true[2]), "the second session begins at step 2"
    fresh = world.reset(12, torch.Generator().manual_seed(0))
    assert torch.equal(true[0], fresh.static + fresh.dynamic)


def test_nothing_is_kept_of_names_that_only_one_side_has() -> None:
    for world, policy in (
        (Told(), Inferring(knowing, "mood")),
        (Told(), UniformPolicy(20)),
        (simulator(), UniformPolicy(20)),
    ):
        record = record_episode(world, policy, GAME, 0)
        assert record.latents == record.truth == {}


def test_a_policy_that_knows_the_truth_has_1_and_one_that_guesses_an_interval_around_0() -> None:
    game = EpisodeConfig(users=300, steps=6, slots=2)
    found: dict[Callable[[SessionContext, torch.Generator], Tensor], Mapping[str, float | None]] = {}
    for infer in (knowing, noise):
        records = [record_episode(Told(), Inferring(infer), game, seed) for seed in range(2)]
        found[infer] = identification(records)["intent_correlation"].to_dict()
    assert list(found[knowing].values()) == pytest.approx([1, 1, 1], abs=1e-5)
    low, high = found[noise]["low"], found[noise]["high"]
    assert low is not None and high is not None and -0.15 < low < 0 < high < 0.15


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda context, _: torch.zeros(len(context), 2), r"Inferring.act, as intent, returned .* floats \[12\]"),
        (lambda context, _: torch.zeros(len(context), dtype=torch.int64), r"Inferring.act, as intent, returned"),
        (lambda context, _: torch.full((len(context),), torch.nan), "user 0: the policy .* latent actions 'intent'"),
    ],
)
def test_an_inference_that_cannot_be_compared_is_refused(
    wrong: Callable[[SessionContext, torch.Generator], Tensor], said: str
) -> None:
    with pytest.raises(ContractError, match=said):
        record_episode(Told(), Inferring(wrong), GAME, 0)


def test_a_truth_that_is_no_number_of_each_user_is_refused() -> None:
    class Wrong(Told):
        def truth(self, state: NoveltyState) -> Mapping[str, Tensor]:
            return {"intent": state.static[:3]}

    class List(Told):
        def truth(self, state: NoveltyState) -> Mapping[str, Tensor]:
            return [state.static]  # type: ignore[return-value]

    with pytest.raises(ContractError, match=r"List.truth returned a list, expected a mapping"):
        record_episode(List(), Inferring(knowing), GAME, 0)
    with pytest.raises(ContractError, match=r"Wrong.truth, as intent, returned torch.float32 \[3\]"):
        record_episode(Wrong(), Inferring(knowing), GAME, 0)
