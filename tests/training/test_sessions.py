"""The chain of a run of sessions: prepared, tokenized, rewarded, aligned, evaluated, reported; from one's own table."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch

import recsys
from recsys.cli.main import main
from recsys.config.folders import configuration_folder
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.runs.artifacts import Artifact, artifact_folder, artifact_folders
from recsys.runs.run_folder import RunFolder

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
    assert isinstance(policy, AutoregressiveSlatePolicy)
    history = recsys.Jagged.from_rows([[0, 3], [5]])
    context = recsys.Context(torch.arange(2), history, recsys.Jagged.empty(2))
    found = policy.top(context, 2, 3)
    assert found.items.shape == (2, 2, 3)
    assert all(len(set(slate)) == 3 for request in found.items.tolist() for slate in request)


def test_a_judge_that_rewards_is_refused(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "evaluation.judge=reward_model", f"dataset.root={run.path.parent}/tables"]) == 2
    assert "the judge must not be the model that rewards" in capsys.readouterr().err


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
