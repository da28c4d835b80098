from __future__ import annotations

import itertools

import pytest
import torch

from recsys.objectives.latent_class import conditional_log_prob, session_log_likelihood


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_choice_is_one_of_what_was_shown() -> None:
    scores = torch.tensor([[0.0, 1.0, 9.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    shown = torch.tensor([[True, True, False], [True] * 3, [True] * 3])
    chosen = torch.tensor([[False, True, False], [True, False, True], [False] * 3])
    found = conditional_log_prob(scores, shown, chosen)
    log_softmax = scores[1].log_softmax(0)
    expected = [scores[0, :2].log_softmax(0)[1], log_softmax[0] + log_softmax[2], torch.zeros(())]
    torch.testing.assert_close(found, torch.stack([one.double() for one in expected]))


def test_probabilities_of_single_choices_sum_to_one() -> None:
    scores, shown = drawn(4, 5), torch.tensor([1, 1, 0, 1, 1]).bool().expand(4, 5)
    each = [conditional_log_prob(scores, shown, torch.eye(5).bool()[one].expand(4, 5)) for one in (0, 1, 3, 4)]
    torch.testing.assert_close(torch.stack(each).exp().sum(0), torch.ones(4, dtype=torch.float64))


def test_nothing_shown_is_worth_nothing_and_has_no_gradient() -> None:
    scores = torch.tensor([[float("nan"), 1.0], [1.0, 2.0]], requires_grad=True)
    shown = torch.tensor([[False, False], [False, True]])
    found = conditional_log_prob(scores, shown, torch.zeros(2, 2).bool())
    found.sum().backward()
    assert found.tolist() == [0.0, 0.0]
    assert scores.grad is not None and torch.equal(scores.grad, torch.zeros(2, 2))


def test_a_session_is_a_mixture_over_intents() -> None:
    """Two users, four steps; the first has sessions of 1 and 3 steps, the second one that begins at the third step."""
    log_prob, belief = -drawn(4, 2, 3).abs(), drawn(4, 2, 3, seed=1).log_softmax(-1)
    begins = torch.tensor([[True, False], [True, False], [False, True], [False, False]])
    expected = torch.zeros((), dtype=torch.float64)
    for first, steps, user in ((0, [0], 0), (1, [1, 2, 3], 0), (2, [2, 3], 1)):
        mixed = sum((belief[first, user, k] + log_prob[steps, user, k].sum()).exp() for k in range(3))
        expected = expected + torch.as_tensor(mixed).log()
    torch.testing.assert_close(session_log_likelihood(log_prob, belief, begins), expected)


def test_the_gradient_weighs_each_intent_by_what_the_choices_say_of_it() -> None:
    log_prob = (-drawn(2, 1, 3).abs()).requires_grad_()
    belief = drawn(2, 1, 3, seed=1).log_softmax(-1).requires_grad_()
    session_log_likelihood(log_prob, belief, torch.tensor([[True], [False]])).backward()
    posterior = (belief[0, 0] + log_prob[:, 0].sum(0)).softmax(-1).detach()
    assert log_prob.grad is not None and belief.grad is not None
    for step in (0, 1):
        torch.testing.assert_close(log_prob.grad[step, 0], posterior)
    torch.testing.assert_close(belief.grad[0, 0], posterior)
    assert not belief.grad[1].any()


def test_one_intent_is_the_plain_likelihood_and_no_session_none() -> None:
    log_prob, belief = -drawn(3, 2, 1).abs(), torch.zeros(3, 2, 1, dtype=torch.float64)
    begins = torch.zeros(3, 2).bool()
    begins[0] = True
    torch.testing.assert_close(session_log_likelihood(log_prob, belief, begins), log_prob.sum())
    assert session_log_likelihood(log_prob, belief, torch.zeros(3, 2).bool()) == 0


@pytest.mark.parametrize("intents", [1, 2])
def test_probabilities_of_all_sessions_sum_to_one(intents: int) -> None:
    """Every sequence of single choices in two slates of three items."""
    scores, belief = drawn(2, 1, intents, 3), drawn(1, 1, intents, seed=1).log_softmax(-1).expand(2, 1, intents)
    begins, total = torch.tensor([[True], [False]]), 0.0
    for choices in itertools.product(range(3), repeat=2):
        chosen = torch.nn.functional.one_hot(torch.tensor(choices), 3).bool().view(2, 1, 1, 3).expand_as(scores)
        steps = conditional_log_prob(scores, torch.ones_like(chosen), chosen)
        total += float(session_log_likelihood(steps, belief, begins).exp())
    assert total == pytest.approx(1.0)
