"""Evaluate the policies of a run by the sessions that they answer held-out requests with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from omegaconf import DictConfig
from torch import Tensor

from recsys.data.datasets.example_data import drawn
from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.errors import ConfigurationError, DataError
from recsys.instantiation import PartError
from recsys.metrics.calibration import reliability
from recsys.metrics.discrimination import concordance
from recsys.metrics.results import Results, summarise, values_per_user
from recsys.metrics.sessions import session_ndcg, session_recall
from recsys.models.rewards.session import SessionRewardModel
from recsys.policies.network_policy import NetworkPolicy
from recsys.policies.policy import ItemPolicy, Policy
from recsys.ranges import at_least, is_seed
from recsys.rewards.labels import Label
from recsys.rewards.learned import Scalariser
from recsys.runs.artifacts import artifacts, load
from recsys.runs.prepare import load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.systems.seeds import step_generator
from recsys.training.evaluate import EvaluationResult
from recsys.training.ranking_evaluation import BaselineFactory
from recsys.training.session_tables import judged_table, outcome_table
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged

MODELS = "reward_models"
"""Name of the file with discrimination and calibration of the reward models."""

SESSIONS = "sessions"
"""Name of the file with the sessions of a few users."""

log = logging.getLogger(__name__)


class SessionEvaluation:
    """Ask every policy for the sessions of the test requests, and judge them by a held-out model and by what happened.

    For each row: `candidates` sessions are sampled; the judge's probability of each head, σ of its log-odds, is
    averaged over them (`judge_mean/<head>`) and its largest is taken (`judge_max/<head>`). The session that is served
    is the best of a search, or the most probable items of a policy without one; its items are compared with those that
    the user engaged with in the logged session, by `recall/<channel>` and `ndcg/<channel>`, over the requests in which
    any was.

    A row of `best_of` stands a second time, as `<row>_best_of_<candidates>`: served is the candidate that the reward
    model likes best. Its candidates are the same, so its `judge_mean` and `judge_max` are those of the served session
    alone.

    The judge is itself a model: where it and the outcomes disagree, the outcomes are right.

    Args:
        baselines: policies that are fitted to the training histories, by the name of their row.
        reward_model: artifact that training used.
        judge: artifact that it did not.
        scalariser: what the heads of the reward model become, to choose the best of several.
        labels: what the heads predict, for their calibration on the test sessions.
        engaged: channels of outcomes; an item is engaged if its value is above 0.
        slots: items of a session.
        candidates: sessions that are sampled for a request.
        best_of: rows that also appear with the best of their candidates.
        references: rows that all others are compared with.
        users: number of users whose sessions are kept for the report.
        seed: of samples and bootstrap.
        requests: test requests at most, drawn once, the same for every seed; None takes all.
        limit: batches of 256 requests, at most; None for all.
    """

    def __init__(
        self,
        baselines: Mapping[str, BaselineFactory],
        reward_model: str,
        judge: str,
        scalariser: Scalariser,
        labels: Mapping[str, Label],
        engaged: Sequence[str] = ("click",),
        slots: int = 5,
        candidates: int = 32,
        best_of: Sequence[str] = (),
        references: Sequence[str] = ("sft", "sft_continued"),
        users: int = 3,
        seed: int = 0,
        requests: int | None = None,
        limit: int | None = None,
    ) -> None:
        if reward_model == judge:
            raise ConfigurationError(
                f"evaluation.judge={judge}: the judge must not be the model that rewards; train another on other users"
            )
        at_least(1, slots=slots, candidates=candidates, requests=requests, limit=limit)
        at_least(0, users=users)
        is_seed(seed=seed)
        if not engaged:
            raise ConfigurationError("evaluation.engaged: expected at least one channel of outcomes")
        self.baselines = baselines
        self.reward_model = reward_model
        self.judge = judge
        self.scalariser = scalariser
        self.labels = labels
        self.engaged = list(engaged)
        self.slots = slots
        self.candidates = candidates
        self.best_of = list(best_of)
        self.references = list(references)
        self.users = users
        self.seed = seed
        self.requests = requests
        self.limit = limit
        _check_heads(scalariser, labels)

    reads: ClassVar[type] = PreparedSlates

    @staticmethod
    def own_rows(node: DictConfig) -> list[str]:
        """Return the names of the baselines, and of the rows with the best of several."""
        candidates = node.get("candidates", 32)
        return [*node.baselines, *(f"{row}_best_of_{candidates}" for row in node.get("best_of") or ())]

    def check_data(self, data: PreparedSlates) -> None:
        """Refuse channels of outcomes that the log lacks; say which of them no test session has.

        Raises:
            PartError: of `evaluation.engaged`.
        """
        test = data.split.test[data.log.slates.row_ids()]
        for channel in self.engaged:
            try:
                engaged = data.log.slot_values(channel)[test] > 0
            except DataError as error:
                raise PartError("evaluation.engaged", f"{error}. Name one of these") from error
            if not engaged.any():
                log.warning(
                    "evaluation.engaged: no test session has %s; recall/%s and ndcg/%s are left out",
                    *[channel] * 3,
                )

    @torch.no_grad()
    def evaluate(self, run: RunFolder) -> EvaluationResult:
        """Return judged and real outcomes of every row.

        Raises:
            ConfigurationError: the run prepared other data than slates.
        """
        data = load_data_of(run, PreparedSlates)
        rows = drawn(data.split.test.nonzero().squeeze(1), self.requests)
        batches = [data.examples.select(part) for part in rows.split(256)[: self.limit]]
        asked = Example.cat(batches)
        model: SessionRewardModel = load(run, self.reward_model)
        judge: SessionRewardModel = load(run, self.judge)
        values: dict[str, dict[str, Tensor]] = {}
        shown: dict[str, Tensor] = {}
        for name, policy in self._policies(run, data).items():
            parts = [self._answers(policy, batch, place, model, judge) for place, batch in enumerate(batches)]
            for suffix in ("", f"_best_of_{self.candidates}") if name in self.best_of else ("",):
                found = [part[suffix] for part in parts]
                values[name + suffix] = {key: torch.cat([one[0][key] for one in found]) for key in found[0][0]}
                shown[name + suffix] = torch.cat([one[1] for one in found])
            log.info("%s: %d requests", name, len(asked))
        table = self._results(values, asked.context.users)
        ids = data.log.users["user_id"][asked.context.users.numpy()]
        title = f"{data.name}: {len(asked):,} held-out sessions of {len(asked.context.users.unique()):,} users"
        reference = next((one for one in self.references if one in table), None)
        views = [judged_table(table, judge.heads, title), outcome_table(table, self.engaged, reference)]
        details = {
            MODELS: {name: self._quality(one, batches) for name, one in (("reward_model", model), ("judge", judge))},
            SESSIONS: self._shown(data, asked, shown),
        }
        return EvaluationResult(table, values_per_user(values, ids, self.seed), views, details)

    def _policies(self, run: RunFolder, data: PreparedSlates) -> dict[str, Policy]:
        """Return every row's policy, the baselines first."""
        train = Context(torch.arange(len(data.sequences)), data.sequences, Jagged.empty(len(data.sequences)))
        rows: dict[str, Policy] = {name: fit(train, len(data.items)) for name, fit in self.baselines.items()}
        return rows | {one.name: load(run, one.name) for one in artifacts(run, ArtifactKind.POLICY)}

    def _answers(
        self, policy: Policy, batch: Example, place: int, model: SessionRewardModel, judge: SessionRewardModel
    ) -> dict[str, tuple[dict[str, Float[Tensor, " B"]], Int[Tensor, "B S"]]]:
        """Return figures and served sessions of a batch: of the policy (""), and of the best of its candidates."""
        generator = step_generator(self.seed, 0, place)
        sampled = policy.sample(batch.context, self.candidates, self.slots, generator)
        served = _served(policy, batch.context, self.slots)
        found = {"": (self._figures(batch, sampled.items, served, judge), served)}
        log_odds = dict(zip(model.heads, model(batch.context, sampled.items).unbind(-1), strict=True))
        liked = self.scalariser(log_odds, sampled.mask).masked_fill(~sampled.mask, float("-inf")).argmax(-1)
        best = sampled.items[torch.arange(len(batch)), liked]
        found[f"_best_of_{self.candidates}"] = (self._figures(batch, best.unsqueeze(1), best, judge), best)
        return found

    def _figures(
        self, batch: Example, candidates: Int[Tensor, "B G S"], served: Int[Tensor, "B S"], judge: SessionRewardModel
    ) -> dict[str, Float[Tensor, " B"]]:
        probability = judge(batch.context, candidates).sigmoid()
        found = {f"judge_mean/{head}": probability[..., at].mean(-1) for at, head in enumerate(judge.heads)}
        found |= {f"judge_max/{head}": probability[..., at].amax(-1) for at, head in enumerate(judge.heads)}
        logged = batch.slates.items[:, 0]
        for channel in self.engaged:
            engaged = batch.feedback[channel][:, 0] > 0
            found[f"recall/{channel}"] = session_recall(served, logged, engaged)
            found[f"ndcg/{channel}"] = session_ndcg(served, logged, engaged)
        return found

    def _results(self, values: Mapping[str, Mapping[str, Tensor]], users: Int[Tensor, " B"]) -> Results:
        """Return means with intervals over users; outcomes are those of the requests in which there was any."""
        table: Results = {row: {} for row in values}
        for metric in next(iter(values.values())):
            known = ~next(iter(values.values()))[metric].isnan()
            if not known.any():
                continue
            given = {row: {metric: found[metric][known].unsqueeze(0)} for row, found in values.items()}
            for row, cells in summarise(given, users[known], references=self.references, seed=self.seed).items():
                table[row] |= {key: cell.to_dict() for key, cell in cells.items()}
        return table

    def _quality(self, model: SessionRewardModel, batches: Sequence[Example]) -> dict[str, Any]:
        """Return, for each head, how well it orders and predicts what happened in the test sessions."""
        predicted = torch.cat([model(batch.context, batch.slates.items)[:, 0].sigmoid() for batch in batches])
        quality: dict[str, Any] = {}
        for at, head in enumerate(model.heads):
            happened = torch.cat([self.labels[head](batch) for batch in batches])
            curve = reliability(predicted[:, at], happened)
            quality[head] = {
                "auc": concordance(predicted[:, at], happened),
                "calibration_error": curve.error,
                "mean_predicted": float(predicted[:, at].mean()),
                "mean_observed": float(happened.mean()),
                "curve": {name: value.tolist() for name, value in vars(curve).items()},
            }
        return quality

    def _shown(self, data: PreparedSlates, asked: Example, shown: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """Return the sessions of the first users, as item indices: history, logged, engaged, and those of every row."""
        sessions = []
        for row in range(min(self.users, len(asked))):
            context = asked.context.select(torch.tensor([row])).recent(10)
            logged = asked.slates.items[row, 0]
            sessions.append(
                {
                    "user_id": data.log.users["user_id"][int(asked.context.users[row])],
                    "history": context.history.values.tolist(),
                    "logged": logged.tolist(),
                    "engaged": logged[asked.feedback[self.engaged[0]][row, 0] > 0].tolist(),
                    "answers": {name: items[row].tolist() for name, items in shown.items()},
                }
            )
        return sessions


def _check_heads(scalariser: Scalariser, labels: Mapping[str, Label]) -> None:
    """Refuse a scalariser that weighs heads which there are not, by asking it about two equal slates."""
    if not labels:
        raise ConfigurationError("labels: expected at least one, a head of the reward models each")
    try:
        scalariser({name: torch.zeros(1, 2) for name in labels}, torch.ones(1, 2, dtype=torch.bool))
    except ConfigurationError as error:
        raise PartError("evaluation.scalariser.weights", str(error)) from error


def _served(policy: Policy, context: Context, slots: int) -> Int[Tensor, "B S"]:
    """Return the session that is served: the best of a search, or the most probable items."""
    if isinstance(policy, NetworkPolicy):
        return policy.top(context, 1, slots).items[:, 0]
    if isinstance(policy, ItemPolicy):
        return policy.top(context, slots).items[:, :, 0]
    return policy.sample(context, 1, slots, torch.Generator().manual_seed(0)).items[:, 0]
