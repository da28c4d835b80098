"""Logs of which much is known, for the tests of replay."""

from __future__ import annotations

import torch

from recsys.replay.actions.batch import BanditBatch


def rounds(n: int, actions: int = 4, users: int | None = None, seed: int = 0, dtype: torch.dtype = torch.float64):
    """Rounds drawn from a logging policy, with another target policy and a reward model that is a bit off."""
    generator = torch.Generator().manual_seed(seed)

    def policy() -> torch.Tensor:
        return torch.softmax(torch.randn(n, actions, generator=generator, dtype=torch.float64), 1).to(dtype)

    logging, target = policy(), policy()
    means = torch.rand(n, actions, generator=generator, dtype=torch.float64)
    action = torch.multinomial(logging, 1, generator=generator).squeeze(1)
    chosen = action.unsqueeze(1)
    reward = torch.bernoulli(means.gather(1, chosen).squeeze(1), generator=generator).to(dtype)
    return BanditBatch(
        action,
        reward,
        logging.gather(1, chosen).squeeze(1),
        target.gather(1, chosen).squeeze(1),
        None if users is None else torch.randint(users, (n,), generator=generator),
        logging,
        target,
        (0.5 * means + 0.1).to(dtype),
    )


def part(whole: BanditBatch, rows: slice | torch.Tensor) -> BanditBatch:
    """Some of the rounds."""
    columns = (whole.action, whole.reward, whole.logging, whole.target, whole.user)
    tables = (whole.logging_all, whole.target_all, whole.predicted_all)
    return BanditBatch(*(None if column is None else column[rows] for column in (*columns, *tables)))
