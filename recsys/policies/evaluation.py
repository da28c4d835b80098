"""Evaluate a policy on held-out requests by ranking the whole catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import torch
from tqdm import tqdm

from recsys.errors import RequestError
from recsys.metrics.evaluation import Evaluation
from recsys.policies.policy import ItemPolicy
from recsys.report.visible import visible
from recsys.types.example import Example

CUTOFFS = (1, 5, 10, 20, 50)


@torch.no_grad()
def evaluate(
    policy: ItemPolicy,
    examples: Example,
    k: Sequence[int] = CUTOFFS,
    batch_size: int = 256,
    description: str = "evaluate",
) -> Evaluation:
    """Return the best items of a policy for every request, with the metrics of these lists.

    The policy runs in evaluation mode, on its own device, and never sees the answers. Batches hold requests with
    similar lengths of history; the result is in the order of the examples. Memory is bounded by one batch.

    Args:
        policy: the policy; `policy.top` ranks the legal set of a request.
        examples: requests with one held-out item each. Excluded items are not recommended.
        k: cutoffs of the metrics. Lists are as long as the largest.
        batch_size: number of requests of a batch.
        description: label of the progress bar, which appears after a second.

    Raises:
        RequestError: there are no requests.
    """
    if len(examples) == 0:
        raise RequestError(
            "there are no held-out requests to evaluate. Prepare the data with a split that holds some out"
        )
    requests = examples.context
    order = requests.history.lengths.argsort(descending=True, stable=True)
    found: list[torch.Tensor] = []
    scores: list[torch.Tensor] = []
    with _evaluation_mode(policy) as device:
        batches = tqdm(
            order.split(batch_size), desc=visible(description), unit="batch", delay=1, leave=False, disable=None
        )
        for rows in batches:
            best = policy.top(requests.select(rows).to(device), max(k))
            found.append(best.items.squeeze(-1).cpu())
            scores.append(best.log_prob.squeeze(-1).cpu())
    back = order.argsort().cpu()
    items, cutoffs = torch.cat(found)[back], tuple(sorted(k))
    return Evaluation(requests.users.cpu(), examples.item.cpu(), items, cutoffs, torch.cat(scores)[back])


@contextmanager
def _evaluation_mode(policy: ItemPolicy) -> Iterator[torch.device]:
    """Set evaluation mode inside the block, restore the modes afterwards, and give the device of the policy."""
    training = [module for module in policy.modules() if module.training]
    placed = next(chain(policy.parameters(), policy.buffers()), None)
    policy.eval()
    try:
        yield torch.device("cpu") if placed is None else placed.device
    finally:
        for module in training:
            module.training = True
