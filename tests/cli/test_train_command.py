from __future__ import annotations

from pathlib import Path

import pytest

from recsys.cli.main import main


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]


def test_the_last_line_is_the_run_folder_and_nothing_else_is_left(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "experiment=fake"]) == 0
    run = Path(last_line(capsys))
    assert run.parent == Path("runs/fake")
    assert (run / "stages/sft/fingerprint.json").exists()
    assert [one.name for one in folder.iterdir()] == ["runs"]
    assert [one.name for one in Path("runs").iterdir()] == ["fake"]


def test_the_same_command_with_resume_goes_on(folder: Path, trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trap.touch()
    assert main(["train", "experiment=fake"]) == 130
    trap.unlink()
    capsys.readouterr()
    assert main(["train", "experiment=fake", "resume=true"]) == 0
    shown = capsys.readouterr().out
    assert "prepare: up to date" in shown
    assert "sft: goes on" in shown
    assert len(list(Path("runs/fake").iterdir())) == 1


def test_a_run_folder_alone_runs_what_it_keeps(folder: Path, trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trap.touch()
    assert main(["train", "experiment=fake", "seed=3"]) == 130
    trap.unlink()
    (run,) = Path("runs/fake").iterdir()
    assert main(["train", f"run={run}"]) == 2
    assert "names 'fake_stages." in (told := capsys.readouterr().err) and "modules=[fake_stages]" in told
    assert main(["train", f"run={run}", "modules=[fake_stages]"]) == 0
    assert last_line(capsys) == str(run)
    assert "seed: 3" in (run / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no stage is configured; name an experiment"),
        (["run=nowhere"], "run: nowhere/config.yaml is not there"),
        (["experiment=fkae"], "experiment=fkae: there is no such experiment; did you mean 'fake'?"),
        (["experiment=fake", "reward.wieght=1"], "reward.wieght: there is no such key; did you mean 'reward.weight'?"),
        (["experiment=fake", "+reward.wieght=1"], "reward.wieght: Reward has no argument 'wieght'; did you mean 'we"),
        (["experiment=fake", "reward.weight=x"], "reward.weight: expected float, found 'x' (str)"),
        (["experiment=fake", "reward.kind=rule"], "reward.kind: this argument has its default value"),
        (["experiment=fake", "seed=1,2"], "Ambiguous value for argument 'seed=1,2'"),
        (["experiment=fake", "stages=[stf]"], "stages: there is no stage.stf; did you mean 'sft'?"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_one_message_and_no_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["train", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"recsys train: {message}")
    assert "Traceback" not in told
    assert not list(folder.iterdir())


def test_a_run_folder_alone_takes_no_other_keys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "experiment=fake"]) == 0
    run = last_line(capsys)
    assert main(["train", f"run={run}", "seed=1"]) == 2
    assert "seed=1: name the experiment as well" in capsys.readouterr().err


def test_a_sweep_leaves_a_run_a_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--multirun", "experiment=fake", "seed=0,1"]) == 0
    runs = [line for line in capsys.readouterr().out.splitlines() if line.startswith("runs/fake/")]
    assert len(set(runs)) == 2
    seeds = [
        next(line for line in (Path(run) / "config.yaml").read_text().splitlines() if line.startswith("seed:"))
        for run in runs
    ]
    assert seeds == ["seed: 0", "seed: 1"]
    assert [one.name for one in folder.iterdir()] == ["runs"]
    assert len(list(Path("runs/sweeps").glob("*/multirun.yaml"))) == 1


@pytest.mark.parametrize("flag", ["--multirun", "-m"])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_sweep_into_one_folder_is_refused_before_it_begins(
    folder: Path, capsys: pytest.CaptureFixture[str], flag: str, place: int
) -> None:
    command = ["experiment=fake", "seed=0,1", "run=same"]
    command.insert(place, flag)
    assert main(["train", *command]) == 2
    assert "run=same: the jobs of a sweep would write into one folder" in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_the_jobs_of_a_sweep_have_folders_that_depend_on_what_is_swept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "experiment=fake", "seed=0,1", "--multirun", "run=runs/seed_${seed}"]) == 0
    assert (folder / "runs/seed_1/config.yaml").exists()
    assert main(["train", "experiment=fake", "seed=0,1", "--multirun", "run=runs/${name}_2"]) == 2
    assert "run=runs/fake_2: the jobs of a sweep" in capsys.readouterr().err


def test_a_sweep_ends_with_its_first_failure(folder: Path, trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trap.touch()
    assert main(["train", "--multirun", "experiment=fake", "seed=0,1", "stage.sft.how=data"]) == 2
    assert "no item_id" in capsys.readouterr().err
    assert len(list(Path("runs/fake").iterdir())) == 1


def test_the_composed_configuration_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        raise SystemExit(main(["train", "--cfg", "job", "experiment=fake", "debug=limit"]))
    assert not end.value.code
    shown = capsys.readouterr().out
    assert "limit: 2" in shown
    assert "weight: 1.0" in shown
    assert not list(folder.iterdir())


def test_prepare_is_the_first_stage_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "experiment=fake"]) == 0
    run = Path(last_line(capsys))
    assert [one.name for one in (run / "stages").iterdir()] == ["prepare"]
    assert main(["prepare"]) == 2
