"""Transform a group of candidates before it is scored, or before the objective sees it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.rollout import Group


def shared_codes(codes: Int[Tensor, "P G L"], target_codes: Int[Tensor, "P L"]) -> Int[Tensor, "P G"]:
    """How many leading codes each candidate shares with the target, 0 to L.

    >>> shared_codes(torch.tensor([[[1, 2], [1, 3], [0, 2]]]), torch.tensor([[1, 2]]))
    tensor([[2, 1, 0]])
    """
    return (codes == target_codes.unsqueeze(1)).long().cumprod(-1).sum(-1)


def add_target(items: Int[Tensor, "P G"], target: Int[Tensor, " P"]) -> Int[Tensor, "P G"]:
    """The candidates, the last existing one overwritten by the target where the group lacks it.

    Groups without any candidate stay as they are. Such a group is no sample of the policy any more, and costs accuracy
    from a well-trained start (docs/log.md). Source: `add_gt` of ReRe's released code.

    >>> add_target(torch.tensor([[4, 5, -1], [7, 8, 9]]), torch.tensor([7, 7]))
    tensor([[ 4,  7, -1],
            [ 7,  8,  9]])
    """
    return _overwritten(items, target, (items >= 0).sum(-1) - 1)


def recast_repair(
    items: Int[Tensor, "P G"], target: Int[Tensor, " P"], score: Float[Tensor, "P G"]
) -> Int[Tensor, "P G"]:
    """The candidates, the one with the smallest structural score overwritten by the target where the group lacks it.

    Ties go to the candidate listed first. Source: ReCast (arXiv 2604.22169).

    Args:
        items: −1 where there is no candidate.
        target: the logged next item.
        score: `recsys.objectives.recast.structural_score` of each candidate.

    >>> recast_repair(torch.tensor([[4, 5, 6]]), torch.tensor([7]), torch.tensor([[0.1, 0.0, 0.01]]))
    tensor([[4, 7, 6]])
    """
    return _overwritten(items, target, score.masked_fill(items < 0, float("inf")).argmin(-1))


def dynamic_sampling(items: Int[Tensor, "P D"], target: Int[Tensor, " P"], keep: int) -> Int[Tensor, "P keep"]:
    """Columns of the `keep` candidates that stay of the `D` drawn, in the order drawn.

    The target's first appearance stays if there is one, then as many different items as there are, then repeats; what
    does not exist (−1) goes first. Source: `dynamic_sampling` of ReRe's released code, which draws 1.5 G and keeps G.

    >>> dynamic_sampling(torch.tensor([[4, 4, 5, 7]]), torch.tensor([7]), 3)
    tensor([[0, 2, 3]])
    """
    same = items.unsqueeze(-1) == items.unsqueeze(-2)
    repeated = same.tril(-1).any(-1)
    worth = torch.where(items == target.unsqueeze(-1), 0, 1)
    worth = torch.where(repeated, 2, worth).masked_fill(items < 0, 3)
    return worth.argsort(dim=-1, stable=True)[:, :keep].sort(-1).values


def informative(group: Group) -> Group:
    """The requests whose candidates earned different rewards: of the others a centred objective learns nothing.

    Dropping them keeps the step as long as the requests that teach something would have it. May leave no request, on
    which every objective is 0. Source: dynamic sampling of DAPO (arXiv 2503.14476), section 3.
    """
    highest = group.reward.masked_fill(~group.alive, float("-inf")).amax(-1)
    lowest = group.reward.masked_fill(~group.alive, float("inf")).amin(-1)
    return _selected(group, highest > lowest)


def _selected(group: Group, rows: Bool[Tensor, " P"]) -> Group:
    values: dict[str, Any] = {field.name: getattr(group, field.name) for field in fields(group)}
    return replace(group, **{name: value[rows] for name, value in values.items() if value is not None})


def _overwritten(items: Int[Tensor, "P G"], target: Int[Tensor, " P"], column: Int[Tensor, " P"]) -> Int[Tensor, "P G"]:
    lacks = (items != target.unsqueeze(-1)).all(-1) & (items >= 0).any(-1)
    at = column.clamp(min=0).unsqueeze(-1)
    written = torch.where(lacks.unsqueeze(-1), target.unsqueeze(-1), items.gather(-1, at))
    return items.scatter(-1, at, written)
