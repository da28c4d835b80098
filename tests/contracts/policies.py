"""The policies that `test_policy.py` holds to the contract. Add one: a function that returns it, under `@register`;
under `@register(partial=True)` if it may leave legal slates out, `deterministic=True` if it has one slate a request.

A policy is made for `NUM_ITEMS` items and users `0 .. NUM_USERS - 1`; `training_sequences()` is there to fit on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch

from recsys.decode.normalisation import StepByStep
from recsys.items.trie import Trie
from recsys.models.generators.causal import CausalGenerator
from recsys.models.generators.encoder_decoder import EncoderDecoder
from recsys.models.generators.history_encoder import HistoryEncoder
from recsys.models.slates.item_posterior import FlatItems, GroupedItems
from recsys.models.slates.slate_model import SlateModel
from recsys.models.slates.user_state import GammaLinearUser, RecurrentUser
from recsys.nn.affinity import inner_product, negative_distance
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.policies.bandits.greedy import EpsilonGreedy, Greedy, UniformPolicy, UpperConfidenceBound
from recsys.policies.bandits.posteriors import BetaPosterior, LinearPosterior
from recsys.policies.bandits.thompson import InSlateThompson, SlateThompson
from recsys.policies.baselines.item_knn import ItemKNN
from recsys.policies.baselines.markov_chain import MarkovChain
from recsys.policies.baselines.popularity import PopularityPolicy
from recsys.policies.generative import GenerativePolicy
from recsys.policies.hierarchical.flat import FlatPolicy
from recsys.policies.hierarchical.intent import IntentNetwork
from recsys.policies.hierarchical.scorer import ConditionedScorer
from recsys.policies.hierarchical.two_level import TwoLevelPolicy
from recsys.policies.marginal_relevance import MaximalMarginalRelevance
from recsys.policies.mixture import Mixture
from recsys.policies.policy import ItemPolicy, Policy, SoftmaxPolicy
from recsys.policies.retrieval_query import MeanQuery, UpperConfidenceQuery
from recsys.policies.slate_learner import SlateLearner
from recsys.policies.slate_posterior import InnerProductPosterior, SlatePosterior
from recsys.policies.slate_q import SlateQNetwork, SlateQPolicy
from recsys.policies.two_stage import RETRIEVED, TwoStagePolicy
from recsys.policies.two_stage_posterior import InnerProductTwoStagePosterior, TwoStagePosterior
from recsys.retrieve.index import ExactIndex
from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.jagged import Jagged
from recsys.types.session_context import SessionContext
from recsys.types.slates import Slates
from recsys.types.transition import Transition
from tests.decode.table_generator import TableGenerator, ragged_codes

NUM_ITEMS = 6
NUM_USERS = 4


@dataclass(frozen=True)
class Entry:
    """A policy and what is known of its slates.

    Args:
        make: returns the policy.
        partial: whether it may leave legal slates out.
        deterministic: whether it has one slate for each request.
    """

    make: Callable[[], Policy]
    partial: bool
    deterministic: bool


POLICIES: dict[str, Entry] = {}


def register(make: Callable[[], Policy] | None = None, *, partial: bool = False, deterministic: bool = False) -> Any:
    """Hold what a function returns to the contract, under the function's name; with options, return such a decorator.

    Args:
        make: returns a policy.
        partial: whether the policy may leave legal slates out.
        deterministic: whether the policy has one slate for each request.
    """
    if make is None:
        return functools.partial(register, partial=partial, deterministic=deterministic)
    assert make.__name__ not in POLICIES
    POLICIES[make.__name__] = Entry(make, partial, deterministic)
    return make


def training_sequences() -> Context:
    """One row a user; every item occurs, some often."""
    history = Jagged.from_rows([[0, 1, 2, 3], [1, 2, 0], [5, 1, 2, 4, 0], [3, 1]])
    return Context(torch.arange(NUM_USERS), history, Jagged.empty(NUM_USERS))


@register
def table_generator() -> Policy:
    return GenerativePolicy(TableGenerator(Trie.from_codes(ragged_codes(NUM_ITEMS, 3, 2)), NUM_USERS))


@register
def peaked_table_generator() -> Policy:
    network = TableGenerator(Trie.from_codes(ragged_codes(NUM_ITEMS, 2, 3)), NUM_USERS, scale=5.0)
    return GenerativePolicy(network)


@register
def causal_generator() -> Policy:
    codes = ragged_codes(NUM_ITEMS, 2, 3)
    encoder = HistoryEncoder(width=8, layers=1, heads=2, dropout=0.0, max_length=6)
    torch.manual_seed(0)
    return GenerativePolicy(CausalGenerator(Trie.from_codes(codes), codes, encoder, max_length=5, initial=0.7))


@register
def encoder_decoder() -> Policy:
    torch.manual_seed(0)
    trie = Trie.from_codes(ragged_codes(NUM_ITEMS, 2, 4))
    return GenerativePolicy(
        EncoderDecoder(trie, width=8, layers=1, heads=2, head_width=4, hidden=16, dropout=0.0, max_length=5)
    )


@register
def slates_of_a_table_generator() -> Policy:
    return AutoregressiveSlatePolicy(TableGenerator(Trie.from_codes(ragged_codes(NUM_ITEMS, 3, 2)), NUM_USERS))


@register
def slates_of_a_peaked_table_generator() -> Policy:
    network = TableGenerator(Trie.from_codes(ragged_codes(NUM_ITEMS, 2, 3)), NUM_USERS, scale=5.0)
    return AutoregressiveSlatePolicy(network)


@register
def slates_of_a_causal_generator() -> Policy:
    codes = ragged_codes(NUM_ITEMS, 2, 3)
    encoder = HistoryEncoder(width=8, layers=1, heads=2, dropout=0.0, max_length=7)
    torch.manual_seed(0)
    network = CausalGenerator(Trie.from_codes(codes), codes, encoder, max_length=5, initial=0.7)
    return AutoregressiveSlatePolicy(network)


@register
def slates_of_an_encoder_decoder() -> Policy:
    torch.manual_seed(0)
    trie = Trie.from_codes(ragged_codes(NUM_ITEMS, 2, 4))
    network = EncoderDecoder(trie, width=8, layers=1, heads=2, head_width=4, hidden=16, dropout=0.0, max_length=5)
    return AutoregressiveSlatePolicy(network)


@register
def slates_of_a_table_generator_step_by_step() -> Policy:
    network = TableGenerator(Trie.from_codes(ragged_codes(NUM_ITEMS, 3, 2)), NUM_USERS, scale=2.0)
    return AutoregressiveSlatePolicy(network, normalisation=StepByStep())


@register
def slates_of_an_encoder_decoder_step_by_step() -> Policy:
    torch.manual_seed(0)
    trie = Trie.from_codes(ragged_codes(NUM_ITEMS, 2, 4))
    network = EncoderDecoder(trie, width=8, layers=1, heads=2, head_width=4, hidden=16, dropout=0.0, max_length=5)
    return AutoregressiveSlatePolicy(network, normalisation=StepByStep())


@register
def popularity() -> Policy:
    return PopularityPolicy(training_sequences(), NUM_ITEMS)


@register
def transitions() -> Policy:
    return MarkovChain(training_sequences(), NUM_ITEMS)


@register
def item_knn() -> Policy:
    return ItemKNN(training_sequences(), NUM_ITEMS)


@register
def softmax() -> Policy:
    scores = torch.randn(NUM_USERS, NUM_ITEMS, generator=torch.Generator().manual_seed(0))
    return SoftmaxPolicy(lambda context: scores[context.users], temperature=0.7)


@register
def mixture() -> Policy:
    network = TableGenerator(Trie.from_codes(ragged_codes(NUM_ITEMS, 3, 2)), NUM_USERS)
    return Mixture([GenerativePolicy(network), MarkovChain(training_sequences(), NUM_ITEMS)], [0.6, 0.4])


class ItemAndUser:
    """`[B, N, 3]`, of the item and of who asks for it."""

    width = 3

    def __call__(self, context: Context) -> torch.Tensor:
        item = torch.linspace(-1, 1, NUM_ITEMS).expand(len(context), -1)
        user = (context.users.float() - 1.5).unsqueeze(1)
        return torch.stack([torch.ones_like(item), item, (item * user).sin()], -1)


def linear_posterior() -> LinearPosterior:
    """With something learnt, so that the mean is no tie."""
    posterior = LinearPosterior(ItemAndUser(), NUM_ITEMS, pool=32)
    slates = Slates(torch.tensor([[[0, 3]], [[5, 1]]]), torch.zeros(2, 1, 2))
    rewards = Feedback.of_reward(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    requests = training_sequences().select(torch.arange(2))
    posterior.update(Transition.one_round(requests, slates, rewards), torch.Generator().manual_seed(0))
    return posterior


@register
def uniform() -> Policy:
    return UniformPolicy(NUM_ITEMS)


@register(partial=True, deterministic=True)
def greedy() -> Policy:
    return Greedy(linear_posterior())


@register
def epsilon_greedy() -> Policy:
    return EpsilonGreedy(linear_posterior(), epsilon=0.3)


class OfSessions(ItemPolicy):
    """Whose requests say nothing of sessions: each user has a profile, and two items a session."""

    def catalogue_log_prob(self, context: Context) -> torch.Tensor:
        return super().catalogue_log_prob(self.seen(context))

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        return super().sample(self.seen(context), candidates, slots, generator)

    def log_prob(self, context: Context, slates: Slates) -> torch.Tensor:
        return super().log_prob(self.seen(context), slates)

    def seen(self, context: Context) -> SessionContext:
        if isinstance(context, SessionContext):
            return context
        parts = {one.name: getattr(context, one.name) for one in fields(context)}
        profile = torch.stack([context.users.float(), (context.users.float() * 3).sin()], -1)
        lengths = context.history.lengths
        place = torch.arange(4) - 4 + lengths.clamp(max=4).unsqueeze(1)
        return SessionContext(
            **parts,
            profile=profile,
            session=lengths // 2 + 1,
            step=torch.zeros_like(lengths),
            history_sessions=torch.where(place >= 0, place // 2, -1),
        )


class TwoLevels(OfSessions, TwoLevelPolicy):
    """Of two levels."""


class OneLevel(OfSessions, FlatPolicy):
    """Of one."""


def networks_of_sessions() -> tuple[IntentNetwork, ConditionedScorer]:
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(NUM_ITEMS, 3), dim=1)
    scorer = ConditionedScorer(vectors, profile=2, window=2, hidden=4)
    torch.nn.init.normal_(scorer.bias)
    return IntentNetwork(vectors, 2, bins=3, sessions=2, window=2, hidden=4), scorer


@register
def two_levels() -> Policy:
    return TwoLevels(*networks_of_sessions())


@register
def one_level() -> Policy:
    return OneLevel(*networks_of_sessions())


@register(partial=True, deterministic=True)
def marginal_relevance() -> Policy:
    return MaximalMarginalRelevance(linear_posterior(), ItemAndUser(), trade_off=0.5, window=2)


@register(partial=True, deterministic=True)
def linucb() -> Policy:
    return Greedy(UpperConfidenceBound(linear_posterior()))


def slate_q(epsilon: float) -> Policy:
    torch.manual_seed(0)
    return SlateQPolicy(SlateQNetwork(ItemAndUser(), hidden=4), NUM_ITEMS, epsilon)


@register(partial=True, deterministic=True)
def greedy_slate_q() -> Policy:
    return slate_q(epsilon=0.0)


@register
def exploring_slate_q() -> Policy:
    return slate_q(epsilon=0.3)


@register(partial=True)
def slate_thompson() -> Policy:
    return SlateThompson(linear_posterior())


@register(partial=True)
def in_slate_thompson() -> Policy:
    return InSlateThompson(linear_posterior())


@register(partial=True)
def bernoulli_thompson() -> Policy:
    return InSlateThompson(BetaPosterior(NUM_ITEMS, pool=16))


def grouped_items() -> GroupedItems:
    """Known well enough that the mean is no tie, and not better."""
    torch.manual_seed(0)
    return GroupedItems(torch.arange(NUM_ITEMS) % 2, width=3, deviation=0.3, initial=0.7)


@register(partial=True, deterministic=True)
def greedy_slate_model() -> Policy:
    model = SlateModel(grouped_items(), GammaLinearUser(), slots=2, affinity=inner_product)
    return Greedy(InnerProductPosterior(model, torch.Generator().manual_seed(0), pool=32))


@register(partial=True)
def slate_thompson_of_a_slate_model() -> Policy:
    model = SlateModel(grouped_items(), RecurrentUser(3), slots=2)
    return SlateThompson(SlatePosterior(model, torch.Generator().manual_seed(0), pool=32))


@register(partial=True)
def in_slate_thompson_of_a_slate_model() -> Policy:
    model = SlateModel(grouped_items(), GammaLinearUser(), slots=2)
    return InSlateThompson(SlatePosterior(model, torch.Generator().manual_seed(0), pool=32))


SHORT = 4


def around(context: Context) -> torch.Tensor:
    """Where on a circle a user looks."""
    return torch.stack([context.users.float().sin(), context.users.float().cos()], 1)


def on_a_circle() -> ExactIndex:
    angle = torch.arange(NUM_ITEMS).float()
    return ExactIndex(torch.stack([angle.sin(), angle.cos()], 1), inner_product)


@register(partial=True)
def uniform_over_a_shortlist() -> Policy:
    return TwoStagePolicy(around, on_a_circle(), SHORT, UniformPolicy(SHORT))


class Shortlisted:
    """`ItemAndUser` of the shortlisted items."""

    width = 3

    def __call__(self, context: Context) -> torch.Tensor:
        rows = torch.arange(len(context)).unsqueeze(1)
        return ItemAndUser()(context)[rows, context.features[RETRIEVED]]


@register(partial=True)
def in_slate_thompson_over_a_shortlist() -> Policy:
    return TwoStagePolicy(around, on_a_circle(), SHORT, InSlateThompson(LinearPosterior(Shortlisted(), SHORT, pool=32)))


@register(partial=True)
def slate_thompson_of_a_slate_model_over_a_shortlist() -> Policy:
    model = SlateModel(grouped_items(), RecurrentUser(3), slots=2).requires_grad_(False)
    posterior = TwoStagePosterior(model, torch.Generator().manual_seed(0), SHORT, pool=32)
    query = MeanQuery(model)
    return TwoStagePolicy(query, ExactIndex(query.vectors(), negative_distance), SHORT, SlateThompson(posterior))


@register(partial=True)
def in_slate_thompson_of_scores_over_a_shortlist() -> Policy:
    torch.manual_seed(0)
    items = FlatItems(NUM_ITEMS, width=3, deviation=0.5, initial=0.7)
    model = SlateModel(items, GammaLinearUser(), slots=2, affinity=inner_product).requires_grad_(False)
    posterior = InnerProductTwoStagePosterior(model, torch.Generator().manual_seed(0), SHORT, pool=32)
    query = UpperConfidenceQuery(model)
    return TwoStagePolicy(query, ExactIndex(query.vectors(), inner_product), SHORT, InSlateThompson(posterior))


def slate_learner() -> SlateLearner:
    """After three answers of two users; draws of one pool agree on some of the best items, and not on others."""
    torch.manual_seed(0)
    items = GroupedItems(torch.arange(NUM_ITEMS) % 2, width=3, deviation=1.0)
    model = SlateModel(items, GammaLinearUser(), slots=2, deviation=1.0)
    posterior = SlateLearner(
        model, functools.partial(torch.optim.Adam, lr=0.05), steps=3, users=1, initial_states=2, pool=32
    )
    requests = training_sequences().select(torch.arange(2))
    for slates, clicks in (([[0, 3], [5, 1]], [0, 1]), ([[1, 2], [4, 0]], [1, -1]), ([[3, 5], [0, 1]], [-1, 0])):
        reward = torch.tensor([[float(slot == click) for slot in range(2)] for click in clicks])
        shown = Slates(torch.tensor(slates).unsqueeze(1), torch.zeros(2, 1, 2))
        posterior.update(
            Transition.one_round(requests, shown, Feedback.of_reward(reward.unsqueeze(1))),
            torch.Generator().manual_seed(0),
        )
    return posterior


@register
def epsilon_greedy_slate_learner() -> Policy:
    return EpsilonGreedy(slate_learner(), epsilon=0.3)


@register(partial=True)
def slate_thompson_of_a_slate_learner() -> Policy:
    return SlateThompson(slate_learner())


@register(partial=True)
def in_slate_thompson_of_a_slate_learner() -> Policy:
    return InSlateThompson(slate_learner())
