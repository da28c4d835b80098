"""Evaluate the policies of a run by the sessions that they answer held-out requests with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from omegaconf import DictConfig
from torch import Tensor

from recsys.config.suggest import suggestion
from recsys.data.datasets.example_data import drawn
from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.errors import ConfigurationError, DataError, RequestError
from recsys.instantiation import PartError
from recsys.metrics.results import Results, summarise, values_per_user
from recsys.metrics.sessions import session_ndcg, session_recall
from recsys.models.rewards.session import SessionRewardModel
from recsys.policies.allocation import Allocation, UniformAllocation
from recsys.policies.best_of import BestOf, most_probable_slate
from recsys.policies.policy import Policy
from recsys.ranges import at_least, is_seed
from recsys.report.progress import progress_bar
from recsys.rewards.labels import Label
from recsys.rewards.learned import LearnedReward, Scalariser
from recsys.rewards.reward import compares_requests
from recsys.runs.artifacts import artifacts, load
from recsys.runs.prepare import load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.systems.seeds import step_generator
from recsys.training.evaluate import EvaluationResult
from recsys.training.ranking_evaluation import BaselineFactory
from recsys.training.row_validation import VALIDATION, finite_or_none, highest, stored_validation
from recsys.training.session_details import DISAGREEMENTS, MODELS, SESSIONS, quality_of, shown_sessions
from recsys.training.session_tables import disagreement_table, disagreements, judged_table, outcome_table, quality_table
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged

log = logging.getLogger(__name__)


class SessionEvaluation:
    """Ask every policy for the sessions of the test requests, and judge them by a held-out model and by what happened.

    For each row: `candidates` sessions are sampled; the judge's probability of each head, σ of its log-odds, is
    averaged over them (`judge_mean/<head>`) and its largest is taken (`judge_max/<head>`). The session that is served
    is the best of a search, or the most probable items of a policy without one; its items are compared with those that
    the user engaged with in the logged session, by `recall/<channel>` and `ndcg/<channel>`, over the requests in which
    any was.

    A row of `best_of` stands a second time, as `<row>_best_of_<candidates>`: served is the candidate that the reward
    model likes best (`recsys.policies.best_of.BestOf`). Its candidates are the same, as far as `allocation` takes them,
    so its `judge_mean` and `judge_max` are those of the served session alone.

    `recsys recommend` serves the baselines and the trained policies; of them, the one with the highest `ndcg` of the
    first engaged channel on the validation sessions, which the evaluation keeps in `validation.json`.

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
        allocation: how candidates of these rows are divided between the requests of a batch, and between the users that
            `recsys recommend` is asked about together; None gives each as many.
        references: rows that all others are compared with.
        users: number of users whose sessions are kept for the report.
        seed: of samples and bootstrap.
        requests: test and validation requests at most, drawn once, the same for every seed; None takes all.
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
        allocation: Allocation | None = None,
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
        self.allocation = UniformAllocation() if allocation is None else allocation
        self.references = list(references)
        self.users = users
        self.seed = seed
        self.requests = requests
        self.limit = limit
        _check_heads(scalariser, labels)
        if self.allocation.compares_requests and not compares_requests(scalariser):
            raise PartError(
                "evaluation.scalariser",
                f"{type(scalariser).__name__} compares candidates of one request only, and {type(allocation).__name__} "
                "those of different requests: choose one with one unit for all, such as "
                "{_target_: recsys.rewards.learned.ProbabilitySum}, or leave evaluation.allocation out",
            )

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
        batches = self._batches(data, data.split.test)
        asked = Example.cat(batches)
        model: SessionRewardModel = load(run, self.reward_model)
        judge: SessionRewardModel = load(run, self.judge)
        reward = LearnedReward(model, self.scalariser)
        values: dict[str, dict[str, Tensor]] = {}
        shown: dict[str, Tensor] = {}
        policies = self._policies(run, data)
        for name, policy in policies.items():
            chooser = BestOf(policy, reward, self.candidates, self.allocation) if name in self.best_of else None
            parts = [
                self._answers(policy, batch, place, judge, chooser)
                for place, batch in enumerate(_shown_one_by_one(batches, f"{name}: test sessions"))
            ]
            for suffix in parts[0]:
                found = [part[suffix] for part in parts]
                values[name + suffix] = {key: torch.cat([one[0][key] for one in found]) for key in found[0][0]}
                shown[name + suffix] = torch.cat([one[1] for one in found])
            log.info("%s: %d requests", name, len(asked))
        table = self._results(values, asked.context.users)
        ids = data.log.users["user_id"][asked.context.users.numpy()]
        title = f"{data.name}: {len(asked):,} held-out sessions of {len(asked.context.users.unique()):,} users"
        reference = next((one for one in self.references if one in table), None)
        apart = disagreements(table, judge.heads, self.engaged, reference)
        quality = {
            name: quality_of(one, self.labels, batches) for name, one in (("reward_model", model), ("judge", judge))
        }
        views = [
            quality_table(quality),
            judged_table(table, judge.heads, self.candidates, title),
            outcome_table(table, self.engaged, reference),
            *([] if reference is None else [disagreement_table(apart, reference)]),
        ]
        details = {
            MODELS: quality,
            DISAGREEMENTS: [vars(one) for one in apart],
            SESSIONS: shown_sessions(data, asked, shown, self.engaged[0], self.users),
            VALIDATION: self._validation(policies, data),
        }
        return EvaluationResult(table, values_per_user(values, ids, self.seed), views, details)

    def policy_of(self, run: RunFolder, data: PreparedSlates, row: str) -> Policy:
        """Return the policy of one row that is no best-of row; a baseline is fitted.

        Raises:
            RequestError: there is no such row.
        """
        if row in self.baselines:
            return self._baseline(row, data)
        trained = [one.name for one in artifacts(run, ArtifactKind.POLICY)]
        if row in trained:
            return load(run, row)
        for name in self.best_of:
            if row == f"{name}_best_of_{self.candidates}":
                raise RequestError(f"row={row}: ask for the best of several with row={name} best_of={self.candidates}")
        names = [*self.baselines, *trained]
        raise RequestError(f"row={row}: {run.path} has no such row; {suggestion(row, names)}")

    @torch.no_grad()
    def best_row(self, run: RunFolder, data: PreparedSlates, among: Sequence[str] | None = None) -> str:
        """Return the row with the highest NDCG on the validation sessions, by the first engaged channel.

        The figures are those that the evaluation left; they are computed where they are missing. Trainings cannot be
        compared by the metrics that chose their weights, which differ, and the reward model's opinion is no outcome.

        Args:
            run: a run folder.
            data: what it prepared.
            among: rows to choose from; None means all.

        Raises:
            RequestError: the evaluation's figures were damaged, or nothing was engaged with in a validation session.
        """
        found = stored_validation(run)
        if not {*self.baselines, *(one.name for one in artifacts(run, ArtifactKind.POLICY))} <= set(found):
            found = self._validation(self._policies(run, data), data)
        best = highest(found, among)
        if best is None:
            raise RequestError(
                f"{run.path}: no validation session has a positive {self.engaged[0]}, so no row is the best: name the "
                f"one that is meant; there are {', '.join(found)}"
            )
        return best

    def reward_of(self, run: RunFolder) -> LearnedReward | None:
        """Return the reward that chooses the best of several; None where the run has no such reward model."""
        known = [one.name for one in artifacts(run, ArtifactKind.REWARD_MODEL)]
        return LearnedReward(load(run, self.reward_model), self.scalariser) if self.reward_model in known else None

    def _policies(self, run: RunFolder, data: PreparedSlates) -> dict[str, Policy]:
        """Return every row's policy, the baselines first."""
        rows = {name: self._baseline(name, data) for name in self.baselines}
        return rows | {one.name: load(run, one.name) for one in artifacts(run, ArtifactKind.POLICY)}

    def _baseline(self, name: str, data: PreparedSlates) -> Policy:
        train = Context(torch.arange(len(data.sequences)), data.sequences, Jagged.empty(len(data.sequences)))
        return self.baselines[name](train, data.num_items)

    def _batches(self, data: PreparedSlates, part: Bool[Tensor, " R"]) -> list[Example]:
        """Return the sessions of a part of the split, as many as `requests` and `limit` allow."""
        rows = drawn(part.nonzero().squeeze(1), self.requests)
        return [data.examples.select(batch) for batch in rows.split(256)[: self.limit] if len(batch)]

    def _validation(self, policies: Mapping[str, Policy], data: PreparedSlates) -> dict[str, float | None]:
        """Return the mean NDCG of each row on the validation sessions; None where nothing was engaged with."""
        batches = self._batches(data, data.split.validation)
        found: dict[str, float | None] = {}
        for name, policy in policies.items():
            parts = [
                session_ndcg(most_probable_slate(policy, one.context, self.slots).items[:, 0], *self._outcome(one))
                for one in _shown_one_by_one(batches, f"{name}: validation sessions")
            ]
            found[name] = finite_or_none(float(torch.cat(parts).nanmean())) if parts else None
        return found

    def _outcome(self, batch: Example) -> tuple[Int[Tensor, "B M"], Bool[Tensor, "B M"]]:
        """Return the logged sessions, and which items were engaged with, by the first channel."""
        return batch.slates.items[:, 0], batch.feedback[self.engaged[0]][:, 0] > 0

    def _answers(
        self, policy: Policy, batch: Example, place: int, judge: SessionRewardModel, chooser: BestOf | None
    ) -> dict[str, tuple[dict[str, Float[Tensor, " B"]], Int[Tensor, "B S"]]]:
        """Return figures and served sessions of a batch: of the policy (""), and of the best of its candidates."""
        generator = step_generator(self.seed, 0, place)
        sampled = policy.sample(batch.context, self.candidates, self.slots, generator)
        served = most_probable_slate(policy, batch.context, self.slots).items[:, 0]
        found = {"": (self._figures(batch, sampled.items, served, judge), served)}
        if chooser is not None:
            best = chooser.best(batch.context, self.slots, generator, sampled).slates.items
            found[f"_best_of_{self.candidates}"] = (self._figures(batch, best, best[:, 0], judge), best[:, 0])
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


def _shown_one_by_one(batches: Sequence[Example], description: str) -> Iterator[Example]:
    """Yield batches with a progress bar."""
    with progress_bar() as bar:
        yield from bar.track(batches, description=description)


def _check_heads(scalariser: Scalariser, labels: Mapping[str, Label]) -> None:
    """Refuse a scalariser that weighs heads which there are not, by asking it about two equal slates."""
    if not labels:
        raise ConfigurationError("labels: expected at least one, a head of the reward models each")
    try:
        scalariser({name: torch.zeros(1, 2) for name in labels}, torch.ones(1, 2, dtype=torch.bool))
    except ConfigurationError as error:
        raise PartError("evaluation.scalariser.weights", str(error)) from error
