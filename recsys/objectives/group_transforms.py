"""Transform a group of candidates before it is scored, or before the objective sees it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.objectives.group_terms import differs
from recsys.types.rollout import Rollout


def shared_codes(codes: Int[Tensor, "P G S L"], logged_codes: Int[Tensor, "P S L"]) -> Int[Tensor, "P G"]:
    """How many leading codes each candidate shares with the logged answer, slot after slot, 0 to `S · L`.

    >>> shared_codes(torch.tensor([[[[1, 2]], [[1, 3]], [[0, 2]]]]), torch.tensor([[[1, 2]]]))
    tensor([[2, 1, 0]])
    """
    return (codes == logged_codes.unsqueeze(1)).flatten(2).long().cumprod(-1).sum(-1)


def insert_logged(items: Int[Tensor, "P G S"], logged: Int[Tensor, "P S"]) -> Int[Tensor, "P G S"]:
    """Return the candidates, the last existing one overwritten by the logged answer where the group lacks it.

    Groups without any candidate stay as they are. Such a group is no sample of the policy any more, and costs accuracy
    from a well-trained start (docs/log.md). Source: `add_gt` of ReRe's released code.

    >>> insert_logged(torch.tensor([[[4], [5], [-1]], [[7], [8], [9]]]), torch.tensor([[7], [7]])).squeeze(-1)
    tensor([[ 4,  7, -1],
            [ 7,  8,  9]])
    """
    return _overwritten(items, logged, _exists(items).sum(-1) - 1)


def recast_repair(
    items: Int[Tensor, "P G S"], logged: Int[Tensor, "P S"], score: Float[Tensor, "P G"]
) -> Int[Tensor, "P G S"]:
    """Return the candidates, that of the smallest structural score replaced by the logged answer where it is missing.

    Ties go to the candidate listed first. Source: ReCast (arXiv 2604.22169).

    Args:
        items: −1 where there is no item.
        logged: the logged answer.
        score: `recsys.objectives.boundary_pair.structural_score` of each candidate.

    >>> items, score = torch.tensor([[[4], [5], [6]]]), torch.tensor([[0.1, 0.0, 0.01]])
    >>> recast_repair(items, torch.tensor([[7]]), score).squeeze(-1)
    tensor([[4, 7, 6]])
    """
    return _overwritten(items, logged, score.masked_fill(~_exists(items), float("inf")).argmin(-1))


def dynamic_sampling(items: Int[Tensor, "P D S"], logged: Int[Tensor, "P S"], keep: int) -> Int[Tensor, "P keep"]:
    """Columns of the `keep` candidates that stay of the `D` sampled, in the order sampled.

    The first appearance of the logged answer stays if there is one, then as many different slates as there are, then
    repeats; what does not exist (−1) goes first. Source: `dynamic_sampling` of ReRe's released code, which samples
    1.5 G and keeps G.

    >>> dynamic_sampling(torch.tensor([[[4], [4], [5], [7]]]), torch.tensor([[7]]), 3)
    tensor([[0, 2, 3]])
    """
    same = (items.unsqueeze(2) == items.unsqueeze(1)).all(-1)
    repeated = same.tril(-1).any(-1)
    worth = torch.where(_is(items, logged), 0, 1)
    worth = torch.where(repeated, 2, worth).masked_fill(~_exists(items), 3)
    return worth.argsort(dim=-1, stable=True)[:, :keep].sort(-1).values


def informative(rollout: Rollout) -> Rollout:
    """Return the requests whose candidates have different returns: of the others a centred objective learns nothing.

    Dropping them keeps the step as long as the requests that teach something would have it. May leave no request, on
    which every objective is 0. Source: dynamic sampling of DAPO (arXiv 2503.14476), section 3.
    """
    return rollout.select(differs(rollout).nonzero().squeeze(-1))


def _exists(items: Int[Tensor, "P G S"]) -> Bool[Tensor, "P G"]:
    return (items >= 0).all(-1)


def _is(items: Int[Tensor, "P G S"], logged: Int[Tensor, "P S"]) -> Bool[Tensor, "P G"]:
    return (items == logged.unsqueeze(1)).all(-1)


def _overwritten(
    items: Int[Tensor, "P G S"], logged: Int[Tensor, "P S"], column: Int[Tensor, " P"]
) -> Int[Tensor, "P G S"]:
    lacks = ~_is(items, logged).any(-1) & _exists(items).any(-1)
    at = torch.arange(items.shape[1], device=items.device) == column.clamp(min=0).unsqueeze(-1)
    return torch.where((at & lacks.unsqueeze(-1)).unsqueeze(-1), logged.unsqueeze(1), items)
