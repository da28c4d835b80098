"""The chain of a run of sessions: prepared, tokenized, rewarded, aligned, evaluated, reported; from one's own table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor

import recsys
from recsys.cli.main import main
from recsys.cli.recommend import recommend
from recsys.config.folders import configuration_folder
from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.decode.normalisation import StepByStep
from recsys.errors import ConfigurationError, RequestError
from recsys.metrics.sessions import session_ndcg
from recsys.policies.allocation import AdaptiveAllocation
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.policies.policy import Policy
from recsys.rewards.learned import LearnedReward, ProbabilitySum
from recsys.runs.artifacts import Artifact, artifact_folder, artifact_folders
from recsys.runs.recommender import ServedSession
from recsys.runs.run_folder import RunFolder
from recsys.runs.trained_policy import SERVING_BEAMS, RemappedPolicy, best_training, load_policy
from recsys.types.slates import Slates

POLICIES = ["sasrec", "pointwise", "sft", "sft_continued", "legal_set", "ipa", "ecpo", "ecpo_pointwise"]
SMALL = [
    "experiment=onerec/parquet",
    "dataset.root=tables",
    "dataset.request=null",
    "+dataset.feedback.like=binary",
    "+labels.like={_target_: recsys.rewards.labels.SlotShare, channel: like}",
    "slots=3",
    "clusters=2",
    "content=[title]",
    "max_length=6",
    "dropout=0.0",
    "network.width=16",
    "network.layers=1",
    "network.head_width=4",
    "network.hidden=16",
    "network.decoder_feed_forward.experts=3",
    "network.decoder_feed_forward.hidden=8",
    "train.sasrec.model.width=8",
    "train.sasrec.model.layers=1",
    "train.ipa.system.sampler.candidates=6",
    "train.ipa.system.pair_share=0.5",
    "+recipe=onerec_technical_report",
    "train.ecpo.system.sampler.candidates=6",
    "train.ecpo.system.request_share=0.1",
    "train.ecpo_pointwise.system.sampler.candidates=6",
    "schedule.max_epochs=2",
    "reward_schedule.max_epochs=2",
    "evaluation.candidates=4",
    "evaluation.engaged=[click,like]",
    "batch_size=32",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose users click items of their own kind, and like some of them."""
    folder = tmp_path_factory.mktemp("sessions")
    rng = torch.Generator().manual_seed(0)
    rows = []
    for user in range(50):
        for time, item in enumerate(torch.randperm(24, generator=rng)[:15].tolist()):
            click = int(item % 3 == user % 3)
            rows.append((user, item, 100 * time + user, click, int(click and item % 2 == 0)))
    (folder / "tables").mkdir()
    table = pl.DataFrame(rows, ["user_id", "item_id", "timestamp", "click", "like"], orient="row")
    table.write_parquet(folder / "tables" / "exposures.parquet")
    titles = [f"Film {item} of kind{item % 3}" for item in range(24)]
    pl.DataFrame({"item_id": range(24), "title": titles}).write_parquet(folder / "tables" / "items.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *SMALL, "run=run"]) == 0
    return RunFolder(folder / "run")


def test_every_training_of_sessions_is_run_here(run: RunFolder) -> None:
    files = {path.stem for path in (configuration_folder() / "training" / "onerec").glob("*.yaml")}
    named = {{"continued": "sft_continued"}.get(one, one) for one in files - {"on_sessions", "one_round"}}
    assert named <= set(artifact_folders(run))


def test_every_row_is_judged_and_compared_with_what_happened(run: RunFolder) -> None:
    metrics = json.loads(run.metrics.read_text())
    assert set(metrics) == {"popularity", *POLICIES, "sft_best_of_4", "ipa_best_of_4"}
    for row, cells in metrics.items():
        wanted = {f"judge_{part}/{head}" for part in ("mean", "max") for head in ("click", "like")}
        wanted |= {f"{name}/{channel}" for name in ("recall", "ndcg") for channel in ("click", "like")}
        assert wanted <= set(cells), row
        assert all(0 <= cells[name]["value"] <= 1 for name in wanted)
        assert cells["judge_max/click"]["value"] >= cells["judge_mean/click"]["value"]
    assert "ndcg/click_minus_sft" in metrics["ipa"] and "ndcg/click_minus_sft" not in metrics["sft"]
    assert metrics["sft_best_of_4"]["judge_mean/click"]["value"] >= metrics["sft"]["judge_mean/click"]["value"] - 0.02
    table = pl.read_parquet(run.metrics_table)
    assert set(table["row"]) == set(metrics) and not table["value"].has_nulls()


def test_the_judge_saw_other_users_and_began_with_other_weights_than_the_reward_model(run: RunFolder) -> None:
    log = run.log.read_text()
    parts = [line.partition(" sessions, of part ")[2][0] for line in log.splitlines() if " sessions, of part " in line]
    assert parts == ["0", "1", "0"]
    first, second = (recsys.load(run.path, name).embedding.weight for name in ("reward_model", "judge"))
    assert (first - second).abs().mean() > 0.05, "they begin with other weights"
    quality = json.loads((run.stage("evaluate") / "reward_models.json").read_text())
    assert set(quality) == {"reward_model", "judge"} and set(quality["judge"]) == {"click", "like"}
    assert all(0 <= one["auc"] <= 1 for heads in quality.values() for one in heads.values())


@pytest.mark.parametrize(
    ("training", "own"),
    [
        ("ipa", {"likelihood", "pairs", "preference_loss", "better_log_prob"}),
        ("ecpo", {"likelihood", "reward_mean", "clip_fraction", "early_clip_fraction", "entropy"}),
    ],
)
def test_what_learns_from_reward_logs_its_guards(training: str, own: set[str], run: RunFolder) -> None:
    logged = set(pl.read_parquet(artifact_folder(run, training) / "history.parquet")["metric"])
    guards = {"judge", "proxy", "gap", "distinct_first_items", "repeat_rate", "coverage"}
    assert {f"validation/{name}" for name in guards} <= logged
    assert {f"train/{name}" for name in own} <= logged
    assert {"train/experts/largest_load", "train/experts/router_entropy"} <= logged
    assert Artifact.read(artifact_folder(run, training)).monitor == "validation/judge"


def test_a_recipe_adds_the_reinforcement_learning_with_its_p_score(run: RunFolder) -> None:
    """It learns from a scalar that was trained on the users of the reward model, never on those of the judge."""
    assert list(artifact_folders(run))[-3:] == ["p_score", "ecpo", "ecpo_pointwise"]
    assert recsys.load(run.path, "p_score").heads == ("p_score",)
    assert "validation/auc/p_score" in set(
        pl.read_parquet(artifact_folder(run, "p_score") / "history.parquet")["metric"]
    )


def test_the_page_shows_sessions_by_title(run: RunFolder) -> None:
    page = run.report.read_text()
    for text in ("Sessions", "Film ", "Reward models", "judge: click", "ipa", "shown"):
        assert text in page, text


def test_what_it_leaves_is_a_policy_of_sessions(run: RunFolder) -> None:
    policy = recsys.load(run.path, "ipa")
    assert isinstance(policy, AutoregressiveSlatePolicy) and isinstance(policy, Policy)
    for name in ("sft", "ipa", "ecpo", "legal_set"):
        assert recsys.load(run.path, name).normalisation == StepByStep(), name
    data = recsys.load_data(run.path)
    assert isinstance(data, PreparedSlates)
    context = data.recommend_context([7, 31])
    found = policy.top(context, 2, 3)
    assert found.items.shape == (2, 2, 3)
    assert all(len(set(slate)) == 3 for request in found.items.tolist() for slate in request)
    assert torch.allclose(policy.log_prob(context, found), found.log_prob, atol=1e-5)
    sampled = policy.sample(context, 4, 3, torch.Generator().manual_seed(0))
    assert sampled.items.shape == (2, 4, 3) and bool((policy.log_prob(context, sampled) < 0).all())


def test_a_context_of_raw_ids_holds_all_that_the_run_knows(run: RunFolder) -> None:
    log = pl.read_parquet(run.path.parent / "tables" / "exposures.parquet").sort("timestamp")
    data = recsys.load_data(str(run.path))
    assert isinstance(data, PreparedSlates) and data.slots == 3
    [history] = [data.recommend_context([31]).history.values.tolist()]
    taken = log.filter(pl.col("user_id") == 31, pl.col("click") == 1)["item_id"].to_list()
    assert data.items["item_id"][history].to_list() == taken, "test sessions included"


def test_a_row_is_served_as_a_session(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    policy, data = recsys.load(run.path, "ipa"), recsys.load_data(run.path)
    policy.beams = SERVING_BEAMS
    best = policy.top(data.recommend_context([7]), 1, 3)  # type: ignore[attr-defined]
    served = recommend(str(run.path), 7, row="ipa")
    titles = [f"Film {item} of kind{item % 3}" for item in best.items.flatten().tolist()]
    assert [one.title for one in served] == titles
    assert [one.probability for one in served] == pytest.approx(best.log_prob.exp().flatten().tolist(), rel=1e-4)
    session = served[0].session
    assert isinstance(session, ServedSession) and set(session.heads) == {"click", "like"}
    assert session.log_prob == pytest.approx(float(best.slate_log_prob), rel=1e-4) and session.reward is None
    assert len(recommend(str(run.path), 7, row="ipa", slots=5)) == 5
    assert main(["recommend", f"run={run.path}", "user=7", "row=ipa", "best_of=16"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "user 7, answered by ipa" in shown and "best of 16 samples" in shown and "click 0." in shown


def test_the_best_of_several_is_what_the_evaluation_measures(run: RunFolder) -> None:
    served, data = load_policy(run, "ipa")
    assert served.reward is not None
    [found] = served.sessions([7], best_of=16)
    context = data.recommend_context([7])
    generator = torch.Generator().manual_seed(int(context.users))
    sampled = served.policy.sample(context, 16, 3, generator)
    odds = recsys.load(run.path, "reward_model")(context, sampled.items)[0]
    keep = [place for place, one in enumerate(_sets(sampled)) if one not in _sets(sampled)[:place]]
    value = ((odds[keep] - odds[keep].mean(0)) / odds[keep].std(0, correction=0)).sum(-1)
    best = keep[int(value.argmax())]
    assert [item for item, _, _ in found.items] == data.items["item_id"][sampled.items[0, best].tolist()].to_list()
    assert (found.sampled, found.distinct) == (16, len(keep))
    assert found.reward == pytest.approx(float(value.max()), rel=1e-4)
    assert list(found.heads.values()) == pytest.approx(odds[best].sigmoid().tolist(), rel=1e-4)
    assert found.divergence == pytest.approx(math.log(16) - 15 / 16)
    assert served.sessions([31, 7], best_of=16)[1] == found, "whoever else is asked about"
    unlikely = served.sessions([7], best_of=1)[0]
    assert (unlikely.sampled, unlikely.distinct, unlikely.divergence, unlikely.reward) == (1, 1, 0.0, 0.0)


def _sets(slates: Slates) -> list[list[int]]:
    return [sorted(slate) for slate in slates.items[0].tolist()]


def test_users_asked_about_together_can_share_a_budget(run: RunFolder) -> None:
    served, _ = load_policy(run, "ipa")
    assert served.reward is not None
    with pytest.raises(ConfigurationError, match="choose a scalariser"):
        replace(served, allocation=AdaptiveAllocation()).sessions([7, 31], best_of=16)

    class FirstUserMatters(ProbabilitySum):
        """The rewards of the first of several users spread a hundred times as far."""

        def __call__(self, log_odds: Mapping[str, Tensor], mask: Tensor) -> Tensor:
            scale = torch.ones(len(mask), 1)
            scale[0] = 100.0 if len(mask) > 1 else 1.0
            return super().__call__(log_odds, mask) * scale

    comparable = LearnedReward(served.reward.model, FirstUserMatters())
    shared = replace(served, reward=comparable, allocation=AdaptiveAllocation(exploration=4))
    found = shared.sessions([7, 31, 12], best_of=16)
    assert sum(one.sampled for one in found) == 48 and found[0].sampled > 16 > found[1].sampled
    assert all(one.divergence is None for one in found) and shared.sessions([], best_of=16) == []
    searched = shared.sessions([7])[0]
    assert searched.sampled == 0 and searched.reward == pytest.approx(sum(searched.heads.values()), rel=1e-5)


def test_baselines_and_short_sessions_are_served_too(run: RunFolder) -> None:
    served, _ = load_policy(run, "popularity")
    [found] = served.sessions([7], slots=24)
    assert len(found.items) == 24 and math.isfinite(found.log_prob) and found.reward is None
    assert found.items[-1][2] == pytest.approx(1.0), "the last item that is left"
    assert len(served.sessions([7, 31])[1].items) == 3
    assert served.sessions([7], best_of=8)[0].sampled == 8


def test_the_row_that_validates_best_is_served(run: RunFolder) -> None:
    told = json.loads((run.stage("evaluate") / "validation.json").read_text())
    assert set(told) == {"popularity", *POLICIES} and all(0 <= value <= 1 for value in told.values())
    served, data = load_policy(run)
    assert isinstance(data, PreparedSlates)
    assert served.row == max(told, key=lambda name: told[name])
    batch = data.examples.select(data.split.validation.nonzero().squeeze(1))
    items = recsys.load(run.path, "ipa").top(batch.context, 1, 3).items[:, 0]
    engaged = batch.feedback["click"][:, 0] > 0
    expected = session_ndcg(items, batch.slates.items[:, 0], engaged).nanmean()
    assert told["ipa"] == pytest.approx(float(expected), rel=1e-5)
    assert best_training(run) == max(POLICIES, key=lambda name: told[name])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["row=ipa_best_of_4"], "row=ipa_best_of_4: ask for the best of several with row=ipa best_of=4"),
        (["row=ippa"], "has no such row; did you mean 'ipa'?"),
        (["row=reward_model"], "has no such row; known: ecpo, ecpo_pointwise, ipa, legal_set, pointwise, popularity"),
        (["slots=25"], "slots=25: the run has 24 items; ask for at most so many"),
        (["k=3"], "answers with one session of 3 items a user; leave k out"),
        (["user=999"], "user: 999 not among the 50 users of the run"),
    ],
)
def test_what_the_run_does_not_have_is_refused(
    run: RunFolder, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    user = [] if arguments[0].startswith("user") else ["user=7"]
    assert main(["recommend", f"run={run.path}", *user, *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("row", ["ipa", "popularity", None])
def test_a_policy_of_sessions_acts_on_the_items_of_others(run: RunFolder, row: str | None) -> None:
    world = [f"strange {item}" if item % 4 == 0 else str(item) for item in reversed(range(24))]
    policy = RemappedPolicy.from_run(str(run.path), world, row)
    history, excluded = recsys.Jagged.from_rows([[3, 0], []]), recsys.Jagged.from_rows([[1], []])
    context = recsys.Context(torch.arange(2), history, excluded)
    slates = policy.sample(context, 8, 3, torch.Generator().manual_seed(0))
    assert bool(slates.mask.all()) and not any(world[item].startswith("strange") for item in slates.items.flatten())
    assert not (slates.items[0] == 1).any()
    assert torch.allclose(policy.log_prob(context, slates), slates.log_prob, atol=1e-5)


def test_a_judge_that_rewards_is_refused(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "evaluation.judge=reward_model", f"dataset.root={run.path.parent}/tables"]) == 2
    assert "the judge must not be the model that rewards" in capsys.readouterr().err


def test_an_allocation_that_compares_requests_is_refused_before_anything_is_trained(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    adaptive = "evaluation.allocation={_target_: recsys.policies.allocation.AdaptiveAllocation, exploration: 4}"
    assert main(["train", *SMALL, adaptive, f"dataset.root={run.path.parent}/tables"]) == 2
    said = capsys.readouterr()
    assert "evaluation.scalariser: StandardisedSum compares candidates of one request only" in said.err
    assert "train: begins" not in said.out


def test_the_report_shows_sessions_of_different_users(run: RunFolder) -> None:
    shown = json.loads((run.stage("evaluate") / "sessions.json").read_text())
    assert len({one["user_id"] for one in shown}) == len(shown) == 3


def test_data_of_no_run_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there is no such folder"):
        recsys.load_data(tmp_path / "none")
    assert not any(tmp_path.iterdir())


def test_one_raw_id_is_one_user(run: RunFolder) -> None:
    assert len(recsys.load_data(run.path).recommend_context("7")) == 1


def test_a_mistyped_row_is_refused(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "evaluation.best_of=[sft,ipaa]", f"dataset.root={run.path.parent}/tables"]) == 2
    assert "evaluation.best_of: there is no 'ipaa'; did you mean 'ipa'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("labels.like.channel=share", "no feedback 'share' to make a label of; found click, like"),
        ("slots=40", "no user was shown 40 different items in a row"),
        (
            "sessions=[{_target_: recsys.data.datasets.session_rules.SessionRules, positive: {click: 9}}]",
            "no train slate meets the rules",
        ),
    ],
)
def test_data_that_cannot_teach_is_refused(
    override: str, said: str, run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [f"dataset.root={run.path.parent}/tables", f"run={tmp_path / 'run'}"]
    assert main(["train", *SMALL, *where, override]) == 2
    assert said in capsys.readouterr().err
