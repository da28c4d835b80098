from __future__ import annotations

import torch

from recsys.decode.normalise import over_siblings, over_vocabulary


def test_over_siblings_ignores_what_stands_behind_the_last_child_and_passes_it_no_gradient() -> None:
    logits = torch.tensor([[1.0, 2.0, 1e9], [3.0, -1e9, 5.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    log_prob = over_siblings(logits, mask)
    assert torch.allclose(log_prob.exp().sum(-1), torch.ones(2)) and log_prob[~mask].isneginf().all()
    (gradient,) = torch.autograd.grad(log_prob[0, 0], logits)
    assert (gradient[~mask] == 0).all() and gradient[0, 0] > 0


def test_over_vocabulary_loses_what_falls_on_codes_that_lead_nowhere() -> None:
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    columns, mask = torch.tensor([1, 3, 3]), torch.tensor([True, True, False])
    published = over_vocabulary(logits, columns, mask)
    assert torch.allclose(published.exp(), torch.tensor([0.25, 0.125, 0.0]))
    assert torch.allclose(over_siblings(logits[columns], mask).exp(), torch.tensor([2 / 3, 1 / 3, 0.0]))
