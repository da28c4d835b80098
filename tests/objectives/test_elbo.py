from __future__ import annotations

import pytest
import torch

from recsys.objectives.elbo import negative_elbo_share

OWN, SHARED = torch.tensor([0.3, 1.7, 0.9]), torch.tensor(2.5)


@pytest.fixture
def answers(generator: torch.Generator) -> torch.Tensor:
    return -torch.rand(6, generator=generator)


def test_the_shares_of_parts_sum_to_the_bound(answers: torch.Tensor) -> None:
    parts = torch.tensor([[0.2, 0.0, 1.0], [0.5, 0.25, 0.0], [0.3, 0.75, 0.0]])
    rows = answers.split([1, 2, 3])
    found = sum(
        negative_elbo_share(own, OWN, share, SHARED, len(own) / 6) for own, share in zip(rows, parts, strict=True)
    )
    torch.testing.assert_close(found, -answers.sum() + OWN.sum() + SHARED)


def test_without_answers_only_what_was_asked_for_remains() -> None:
    nothing = torch.zeros(0)
    assert negative_elbo_share(nothing, nothing, nothing, SHARED, 0.0) == 0
