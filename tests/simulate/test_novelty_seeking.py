from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import stats

from recsys.errors import RequestError
from recsys.simulate.choice_models import MultinomialLogit
from recsys.simulate.features import NoveltyFeatures
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.simulate.novelty_seeking import NoveltySeeking, NoveltyState, hashed_normal
from recsys.simulate.simulator import PlantedTruth
from tests.simulate.worlds import everyone_gets

ALWAYS = MultinomialLogit(no_click=-torch.inf)
SIZES = {"num_items": 40, "width": 4, "profile": 3, "sessions": 3, "session_steps": 2, "window": 3, "recent": 5}


def world(**other: object) -> NoveltySeeking:
    return NoveltySeeking(**{**SIZES, "initial": 2, **other})  # type: ignore[arg-type]


def fresh(simulator: NoveltySeeking, users: int = 64, seed: int = 0) -> NoveltyState:
    return simulator.reset(users, torch.Generator().manual_seed(seed))


def test_what_was_consumed_is_not_new_until_the_window_has_passed_it() -> None:
    simulator, generator = world(choice=ALWAYS), torch.Generator().manual_seed(0)
    state = fresh(simulator)
    item = torch.full((64, 1), 7)
    for _ in range(2):
        state, feedback, _ = simulator.step(state, everyone_gets([7], 64), generator)
    assert simulator.novelty(state, item).abs().max() < 1e-6
    assert (feedback["novelty"][:, 0].abs() < 1e-6).all()
    for other in (1, 2, 3):
        state, _, _ = simulator.step(state, everyone_gets([other], 64), generator)
    expected = 1 - (simulator.items[[1, 2, 3]] @ simulator.items[7]).max()
    torch.testing.assert_close(simulator.novelty(state, item), expected.expand(64, 1))


def test_everything_is_new_to_users_without_a_history() -> None:
    simulator = world(initial=0)
    assert (simulator.novelty(fresh(simulator), torch.tensor([[0, 1]] * 64)) == 1).all()


def test_users_come_with_what_they_like_best_without_intent() -> None:
    state = fresh(world())
    assert torch.equal(state.recent[:, -2:].flip(1), world(intent=0.0).scores(state).topk(2).indices)
    assert (state.recent[:, :-2] == -1).all() and (state.recent_sessions[:, -2:] == 0).all()


def test_utilities_lie_between_0_and_1_when_the_user_comes_and_may_leave_that_later() -> None:
    simulator, generator = world(choice=ALWAYS, intent=8.0), torch.Generator().manual_seed(0)
    state = fresh(simulator)
    scores = simulator.scores(state)
    torch.testing.assert_close(scores.amin(1), torch.zeros(64))
    torch.testing.assert_close(scores.amax(1), torch.ones(64))
    for item in range(5):
        state, _, _ = simulator.step(state, everyone_gets([item], 64), generator)
    assert simulator.scores(state).amax() > 1.1


def test_a_user_who_likes_nothing_more_than_anything_else_has_a_scale() -> None:
    simulator = world(taste=0.0, popularity=0.0, luck=0.0, intent=0.0)
    assert (simulator.scores(fresh(simulator)) == 0).all()


def test_the_utility_of_an_item_is_what_the_page_says() -> None:
    simulator = world()
    state = replace(fresh(simulator), lowest=torch.zeros(64), spread=torch.ones(64))
    item = torch.arange(40).expand(64, -1)
    cosine = state.taste @ simulator.items.T
    own = 0.1 * hashed_normal(state.key.unsqueeze(1), item)
    intent = 2 * (state.static + state.dynamic).unsqueeze(1) * simulator.novelty(state, item)
    torch.testing.assert_close(simulator.scores(state), cosine + simulator.popularities + own + intent)


def test_scores_are_what_the_choice_is_given() -> None:
    simulator = world(choice=MultinomialLogit(6.0))
    state = fresh(simulator, 40_000)
    slate = torch.tensor([0, 1]).expand(40_000, -1)
    probability = MultinomialLogit(6.0).click_probability(10 * simulator.scores(state)[:, :2], slate >= 0)
    _, feedback, _ = simulator.step(state, everyone_gets([0, 1], 40_000), torch.Generator().manual_seed(1))
    torch.testing.assert_close(feedback.reward[:, 0].mean(0), probability.mean(0), atol=0.01, rtol=0)


def test_scores_do_not_depend_on_how_many_users_there_are() -> None:
    simulator = world(num_items=3000, window=200, recent=200)
    state = fresh(simulator, 60)
    parts = simulator._parts(state)
    assert len(parts) > 1
    torch.testing.assert_close(torch.cat([simulator.scores(part) for part in parts]), simulator.scores(state))


@pytest.mark.parametrize("known", [0.0, 0.5, 1.0])
def test_a_profile_tells_its_share_of_the_lasting_intent(known: float) -> None:
    simulator = world(known=known, static=2.0)
    state = fresh(simulator, 20_000)
    assert state.static.std().item() == pytest.approx(2, rel=0.03)
    told = torch.corrcoef(torch.stack([state.static, state.profile @ simulator.meaning]))[0, 1]
    assert told.square().item() == pytest.approx(known, abs=0.03)


@pytest.mark.parametrize("persistence", [-0.5, 0.0, 0.8, 1.0])
def test_the_intent_of_a_session_lasts_for_the_session_and_is_remembered(persistence: float) -> None:
    simulator, generator = world(persistence=persistence), torch.Generator().manual_seed(0)
    state, seen = fresh(simulator, 20_000), []
    for _ in range(5):
        seen.append(state.dynamic)
        state, _, _ = simulator.step(state, everyone_gets([0], 20_000), generator)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[2], seen[3])
    told = torch.corrcoef(torch.stack([seen[1], seen[2], seen[4]]))
    assert told[0, 1].item() == pytest.approx(persistence, abs=0.03)
    assert told[0, 2].item() == pytest.approx(persistence**2, abs=0.03)
    assert seen[4].std().item() == pytest.approx(1, rel=0.03)


def test_a_common_intent_is_that_of_all_users() -> None:
    simulator, generator = world(common=True), torch.Generator().manual_seed(0)
    state = fresh(simulator)
    first = state.dynamic
    for _ in range(2):
        state, _, _ = simulator.step(state, everyone_gets([0], 64), generator)
    assert first.unique().numel() == state.dynamic.unique().numel() == 1
    assert first[0] != state.dynamic[0]


def test_without_intent_nothing_of_it_is_seen() -> None:
    simulator = world(intent=0.0)
    state = fresh(simulator)
    other = replace(state, static=state.static + 3, dynamic=-state.dynamic)
    assert torch.equal(simulator.scores(state), simulator.scores(other))
    assert not torch.equal(world().scores(state), world().scores(other))


def test_the_truth_is_the_intent_of_the_session_of_the_next_slate() -> None:
    simulator, generator = world(intent=7.0), torch.Generator().manual_seed(0)
    assert isinstance(simulator, PlantedTruth)
    state, seen = fresh(simulator), []
    for _ in range(4):
        seen.append(simulator.truth(state)["intent"])
        assert torch.equal(seen[-1], state.static + state.dynamic)
        state, _, _ = simulator.step(state, everyone_gets([0], 64), generator)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[2], seen[3]) and not torch.equal(seen[1], seen[2])


def test_sessions_are_counted_and_end() -> None:
    simulator, generator = world(choice=ALWAYS, recent=20, initial=1), torch.Generator().manual_seed(0)
    state, seen = fresh(simulator, 2), []
    for item in range(6):
        context = simulator.observe(state)
        seen.append((int(context.session[0]), int(context.step[0])))
        state, _, done = simulator.step(state, everyone_gets([item], 2), generator)
        assert bool(done[0]) == (item == 5)
    assert seen == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]
    context = simulator.observe(state)
    assert context.history_sessions.tolist() == [[-1] * 13 + [0, 1, 1, 2, 2, 3, 3]] * 2
    assert context.history.values[1:7].tolist() == list(range(6)) and context.history.lengths.tolist() == [7, 7]


def test_the_published_constants_leave_intent_without_weight() -> None:
    """Popularity has deviation 1; cosine distances of vectors of one orthant differ by hundredths."""
    published = NoveltySeeking(
        num_items=2000, width=50, common_mean=3**0.5, taste=-1.0, popularity=1.0, intent=1.0, window=1, recent=10
    )
    state = fresh(published, 32)
    without = published.scores(replace(state, static=0 * state.static, dynamic=0 * state.dynamic))
    assert (published.scores(state) - without).std(1).mean() < 0.1 * without.std(1).mean()
    corrected = NoveltySeeking(num_items=2000)
    state = fresh(corrected, 32)
    without = corrected.scores(replace(state, static=0 * state.static, dynamic=0 * state.dynamic))
    assert (corrected.scores(state) - without).std(1).mean() > 0.5 * without.std(1).mean()


def test_luck_is_normal_and_always_the_same() -> None:
    first, second = torch.arange(2**31 - 300, 2**31 - 1).unsqueeze(1), torch.arange(300)
    drawn = hashed_normal(first, second)
    assert torch.equal(drawn, hashed_normal(first, second)) and drawn.isfinite().all()
    assert stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 1e-3
    for table in (drawn, drawn.T):
        between = torch.corrcoef(table)[~torch.eye(len(table), dtype=torch.bool)]
        assert between.std().item() == pytest.approx(table.shape[1] ** -0.5, rel=0.1)


def test_features_are_of_history_item_and_profile() -> None:
    simulator = world()
    context = simulator.observe(fresh(simulator, 8))
    features = NoveltyFeatures(simulator)(context)
    assert features.shape == (8, 40, NoveltyFeatures(simulator).width)
    had = context.history.values.view(8, 2)
    mean = torch.nn.functional.normalize(simulator.items[had].sum(1), dim=1)
    torch.testing.assert_close(features[..., 1], mean @ simulator.items.T)
    novelty = 1 - (simulator.items[had] @ simulator.items.T).amax(1)
    torch.testing.assert_close(features[..., 2], novelty)
    torch.testing.assert_close(features[..., 3:], novelty.unsqueeze(-1) * context.profile.unsqueeze(1))
    plain = NoveltyFeatures(simulator, personal=False)(context)
    assert torch.equal(plain[3, :, 1:], simulator.items) and (plain[..., 0] == 1).all()


def test_features_of_another_simulator_are_refused() -> None:
    other = InterestEvolution()
    context = other.observe(other.reset(2, torch.Generator().manual_seed(0)))
    with pytest.raises(RequestError, match="NoveltyFeatures reads a SessionContext, found a InterestContext"):
        NoveltyFeatures(world())(context)


def test_an_oracle_shows_seekers_of_novelty_what_is_far_and_others_what_is_near() -> None:
    """Golden value: with α + β > 0 the best item is farther from the history than the median item."""
    simulator = NoveltySeeking(num_items=400, intent=20.0)
    state = fresh(simulator, 256)
    intent = state.static + state.dynamic
    every = torch.arange(400).expand(256, -1)
    novelty = simulator.novelty(state, every)
    best = novelty.gather(1, simulator.scores(state).argmax(1, keepdim=True)).squeeze(1)
    median = novelty.median(1).values
    assert (best > median)[intent > 0.3].all() and (best < median)[intent < -0.3].all()
