from __future__ import annotations

import logging
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.systems.supervised import SupervisedSystem
from recsys.training.checkpoints import WholeCheckpointIO, checkpoint_to_resume, is_whole_checkpoint
from recsys.training.fit import FitResult, Schedule
from tests.fitting import ADAM, interrupted_fit, quick_fit, same_weights
from tests.tiny import tiny_generator

pytestmark = pytest.mark.usefixtures("ctrl_c")

SCHEDULE = Schedule(max_epochs=3, validate_every=3)


def system() -> SupervisedSystem:
    return SupervisedSystem(tiny_generator(), legal_set_cross_entropy, ADAM, warmup_steps=5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[SupervisedSystem, FitResult]:
    """The training that nothing happens to."""
    made = system()
    return made, quick_fit(made, tmp_path_factory.mktemp("whole"), SCHEDULE)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    """One bit in the middle of the largest part."""
    with zipfile.ZipFile(file) as archive:
        part = max(archive.infolist(), key=lambda one: one.file_size)
    content = bytearray(file.read_bytes())
    lengths = int.from_bytes(content[part.header_offset + 26 :][:2], "little") + int.from_bytes(
        content[part.header_offset + 28 :][:2], "little"
    )
    content[part.header_offset + 30 + lengths + part.file_size // 2] ^= 1
    file.write_bytes(bytes(content))


def empty(file: Path) -> None:
    file.write_bytes(b"")


DAMAGE = [cut, flip, empty, Path.unlink]


@pytest.mark.parametrize("old", ["gone", "other", "there"])
def test_a_moved_folder_goes_on_with_its_own_weights(
    old: str, whole: tuple[SupervisedSystem, FitResult], tmp_path: Path
) -> None:
    expected, result = whole
    interrupted_fit(system(), tmp_path / "old", SCHEDULE, 14)
    (shutil.copytree if old == "there" else shutil.move)(tmp_path / "old", tmp_path / "new")
    if old == "other":
        torch.manual_seed(1)
        quick_fit(SupervisedSystem(tiny_generator(), legal_set_cross_entropy, ADAM), tmp_path / "old", SCHEDULE, seed=5)
    elif old == "there":
        flip(tmp_path / "old" / "best.ckpt")
    resumed = system()
    found = quick_fit(resumed, tmp_path / "new", SCHEDULE, seed=9)
    assert found.history.equals(result.history) and found.score == result.score
    assert same_weights(resumed, expected)
    assert b"/old" not in (tmp_path / "new" / "last.ckpt").read_bytes()


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("names", [["last.ckpt"], ["last.ckpt", "before_last.ckpt"], ["best.ckpt"]], ids="+".join)
def test_a_damaged_checkpoint_costs_steps_and_no_result(
    damage: Callable[[Path], None],
    names: list[str],
    whole: tuple[SupervisedSystem, FitResult],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected, result = whole
    interrupted_fit(system(), tmp_path, SCHEDULE, 14)
    for name in names:
        damage(tmp_path / name)
    resumed = system()
    with caplog.at_level(logging.WARNING):
        found = quick_fit(resumed, tmp_path, SCHEDULE, seed=0)
    if len(names) == 1 or damage is not Path.unlink:  # without checkpoints a training begins
        assert str(tmp_path / names[0]) in caplog.text, "the warning names the file"
        assert ("before_last.ckpt" in caplog.text) == (names[0] == "last.ckpt")
    assert found.history.equals(result.history) and found.score == result.score
    assert same_weights(resumed, expected)


def test_the_checkpoint_before_the_last_is_kept_and_nothing_is_left_beside(tmp_path: Path) -> None:
    interrupted_fit(system(), tmp_path, SCHEDULE, 14)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["before_last.ckpt", "best.ckpt", "last.ckpt"]
    steps = [torch.load(tmp_path / one, weights_only=True)["global_step"] for one in ("before_last.ckpt", "last.ckpt")]
    assert steps == [9, 12]


def test_a_disk_that_is_full_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io, path = WholeCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 1}, path)

    def full(_: object, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recsys.training.checkpoints.torch.save", full)
    with pytest.raises(OSError):
        io.save_checkpoint({"step": 2}, path)
    assert [one.name for one in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True)["step"] == 1


def test_a_bit_that_changed_anywhere_in_the_numbers_is_seen(tmp_path: Path) -> None:
    torch.save({"weights": torch.randn(4000)}, tmp_path / "file")
    assert is_whole_checkpoint(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    for place in range(2000, 14000, 500):
        (tmp_path / "file").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not is_whole_checkpoint(tmp_path / "file"), place


def test_without_checkpoints_a_training_begins(tmp_path: Path) -> None:
    assert checkpoint_to_resume(tmp_path) is None
