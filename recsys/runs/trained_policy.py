"""The policies of a run: one to serve by raw ids, and one to act on the catalogue of another log or simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from omegaconf import OmegaConf
from torch import Tensor, nn

from recsys.config.suggest import suggestion
from recsys.data.datasets.preparation import ServedData
from recsys.errors import RequestError
from recsys.instantiation import make
from recsys.items.bundle import ItemBundle
from recsys.policies.allocation import Allocation
from recsys.policies.network_policy import NetworkPolicy
from recsys.policies.policy import ItemPolicy
from recsys.rewards.learned import LearnedReward
from recsys.runs.artifacts import Artifact, artifacts, best_artifact, load
from recsys.runs.materials import load_materials
from recsys.runs.prepare import load_data_of
from recsys.runs.recommender import TrainedRecommender
from recsys.runs.run_folder import RunFolder
from recsys.stored import check_stored
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

SERVING_BEAMS = 50
"""Least width of the search for what is recommended."""


@runtime_checkable
class RowEvaluation(Protocol):
    """An evaluation whose rows can be served: `recsys.training` has `RankingEvaluation` and `SessionEvaluation`.

    Attributes:
        reads: class of the prepared data that it asks about.
        slots: items of a session; None where answers are lists of single items.
    """

    reads: type
    slots: int | None

    def policy_of(self, run: RunFolder, data: Any, row: str) -> Any:
        """Return the policy of a row of the run's table."""
        ...

    def best_row(self, run: RunFolder, data: Any, among: Sequence[str] | None = None) -> str:
        """Return the row that validates best, of all or of the given ones."""
        ...


@runtime_checkable
class RewardedEvaluation(RowEvaluation, Protocol):
    """An evaluation that has a reward to choose the best of several answers by.

    Attributes:
        allocation: how candidates are divided between requests.
    """

    allocation: Allocation

    def reward_of(self, run: RunFolder) -> LearnedReward | None:
        """Return the reward; None where the run has no reward model."""
        ...


def load_policy(run: RunFolder, row: str | None = None) -> tuple[TrainedRecommender, ServedData]:
    """Return a policy of a run's table, and the data it was trained on.

    Baselines and the mixture are those of the run's evaluation, fitted to its training histories once more. A run whose
    catalogue has grown since, or whose configuration names no such evaluation, serves its trainings alone, and has no
    reward to choose the best of several sessions by.

    Args:
        run: a run folder.
        row: the row of the table to serve; None takes the one that validates best of all.

    Raises:
        RequestError: the run has trained nothing, or has no row of that name.
    """
    trained = _trained(run)
    data, materials = load_data_of(run, ServedData), load_materials(run)
    items = materials.table if isinstance(materials, ItemBundle) else data.items
    evaluation = _evaluation(run, data) if len(items) == data.num_items else None
    names = [one.name for one in trained]
    if row is None:
        row = best_artifact(trained).name if evaluation is None else evaluation.best_row(run, data)
    if row not in names and evaluation is None:
        raise RequestError(f"{run.path}: '{row}' is not the name of a policy; {suggestion(row, names)}")
    policy = load(run, row) if evaluation is None else evaluation.policy_of(run, data, row)
    if isinstance(policy, NetworkPolicy):
        policy.beams = max(policy.beams, SERVING_BEAMS)
    slots = data.slots if evaluation is None else evaluation.slots
    served = TrainedRecommender(policy.eval(), data, items, row, slots)
    if isinstance(evaluation, RewardedEvaluation):
        served = replace(served, reward=evaluation.reward_of(run), allocation=evaluation.allocation)
    return served, data


def best_training(run: RunFolder) -> str:
    """Return the name of the policy that validates best of those that were trained.

    Where their weights were chosen by different metrics, those on the validation requests decide, as the run's
    evaluation compares them.

    Raises:
        RequestError: the run has trained nothing, or nothing compares its trainings.
    """
    trained = _trained(run)
    if len({(one.monitor, one.mode) for one in trained}) > 1:
        data = load_data_of(run, ServedData)
        evaluation = _evaluation(run, data)
        if evaluation is not None:
            return evaluation.best_row(run, data, [one.name for one in trained])
    return best_artifact(trained).name


def _trained(run: RunFolder) -> list[Artifact]:
    found = artifacts(run, ArtifactKind.POLICY)
    if not found:
        raise RequestError(
            f"{run.path} holds no trained policy: its training has not finished; run it with resume=true"
        )
    return found


def _evaluation(run: RunFolder, data: ServedData) -> RowEvaluation | None:
    """Return the evaluation that the run's configuration names, None where it has none whose rows can be served."""
    config = OmegaConf.load(run.config) if run.config.exists() else OmegaConf.create()
    node = OmegaConf.select(config, "evaluation")
    if node is None:
        return None
    plain = OmegaConf.to_container(node, resolve=True)
    check_stored(plain, run.config, "evaluation", whole_run=True)
    made = make(plain)
    return made if isinstance(made, RowEvaluation) and isinstance(data, made.reads) else None


class RemappedPolicy(nn.Module):
    """What `recsys train` made, in the items of a simulator or a log, matched by their raw ids.

    Items that the run does not know have probability 0 and are left out of histories. It does not learn here.

    Args:
        policy: of the run.
        theirs: `[M]`, index of the simulator's item that each of the run's `M` items is, −1 where it is none.
        num_items: `N` of the simulator.
    """

    def __init__(self, policy: ItemPolicy | NetworkPolicy, theirs: Int[Tensor, " M"], num_items: int) -> None:
        super().__init__()
        self.policy = policy
        self.theirs: Tensor
        self.own: Tensor
        self.register_buffer("theirs", theirs)
        known = (theirs >= 0).nonzero().squeeze(1)
        self.register_buffer("own", torch.full((num_items,), -1).index_put((theirs[known],), known))

    @classmethod
    def from_run(cls, run: str, item_ids: Sequence[int | str], training: str | None = None) -> RemappedPolicy:
        """Return the policy of a run folder.

        Args:
            run: a folder that `recsys train` left.
            item_ids: raw ids of the simulator's items, by index.
            training: the row of the run's table; None takes the training that validates best. A run of sessions is
                asked for slates of any number of slots, one-item runs too.

        Raises:
            RequestError: no such folder, or the run knows none of the items.
        """
        folder = RunFolder(Path(run))
        if not folder.config.exists():
            raise RequestError(f"run: {folder.config} is not there; give a folder that `recsys train` left")
        recommender, dataset = load_policy(folder, best_training(folder) if training is None else training)
        ids = recommender.items.get_column("item_id").to_list()
        index = {str(item): place for place, item in enumerate(item_ids)}
        theirs = torch.tensor([index.get(str(item), -1) for item in ids])
        if (theirs < 0).all():
            few, wanted = (", ".join(map(str, list(some)[:3])) for some in (ids, item_ids))
            raise RequestError(
                f"run: the items of {dataset.name} in {run} are {few}, …; none is among those to act on, {wanted}, …: "
                "train on a log of the same items"
            )
        return cls(recommender.policy, theirs, len(index)).eval()

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """See `Policy.sample`."""
        slates = self.policy.sample(self._known(context), candidates, slots, generator)
        return replace(slates, items=_through(self.theirs, slates.items))

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """See `Policy.log_prob`."""
        return self.policy.log_prob(self._known(context), replace(slates, items=_through(self.own, slates.items)))

    def _known(self, context: Context) -> Context:
        """Return the same requests in the run's items; those that the simulator lacks are excluded."""
        candidates, excluded = context.candidates, self._of(context.excluded)
        strange = (self.theirs < 0).nonzero().squeeze(1)
        if len(strange):
            lengths = torch.full_like(context.users, len(strange))
            excluded = excluded.append(Jagged.from_lengths(strange.repeat(len(context)), lengths))
        return Context(
            users=context.users,
            history=self._of(context.history),
            excluded=excluded,
            candidates=None if candidates is None else self._of(candidates),
        )

    def _of(self, rows: Jagged) -> Jagged:
        items = self.own[rows.values]
        known = items >= 0
        lengths = torch.zeros_like(rows.lengths).index_add(0, rows.row_ids(), known.long())
        return Jagged.from_lengths(items[known], lengths)


def _through(table: Int[Tensor, " M"], items: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Return what each item is by the table; −1 stays."""
    return table[items.clamp(min=0)].where(items >= 0, -1)
