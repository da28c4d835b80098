from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from recsys.atomic import folder_aside, whole_file, whole_folder, write_json, write_parquet, write_tensors, write_text


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_each_kind_is_read_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [1, 2]})
    write_text(tmp_path / "text", "Größe")
    write_json(tmp_path / "json", {"a": [1.5, None]}, indent=1)
    write_parquet(tmp_path / "table", table)
    shared = torch.arange(6.0).view(2, 3)
    write_tensors(tmp_path / "tensors", {"one": shared, "other": shared[0], "turned": shared.T}, {"key": "value"})
    assert (tmp_path / "text").read_text(encoding="utf-8") == "Größe"
    assert json.loads((tmp_path / "json").read_text()) == {"a": [1.5, None]}
    assert pl.read_parquet(tmp_path / "table").equals(table)
    found = load_file(tmp_path / "tensors")
    assert torch.equal(found["other"], shared[0]) and torch.equal(found["turned"], shared.T)
    assert names(tmp_path) == ["json", "table", "tensors", "text"]


def test_a_file_that_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "earlier")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "file") as aside:
        aside.write_text("half")
        assert (tmp_path / "file").read_text() == "earlier"
        raise ZeroDivisionError
    assert (tmp_path / "file").read_text() == "earlier"
    assert names(tmp_path) == ["file"]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "deep" / "folder") as aside:
        write_text(aside / "half", "half")
        raise ZeroDivisionError
    assert names(tmp_path / "deep") == []
    with whole_folder(tmp_path / "deep" / "folder") as aside:
        write_text(aside / "whole", "whole")
        assert not (tmp_path / "deep" / "folder").exists()
    assert names(tmp_path / "deep" / "folder") == ["whole"]


def test_a_folder_that_came_in_the_meantime_stays(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "folder") as aside:
        write_text(aside / "file", "slower")
        (tmp_path / "folder").mkdir()
        write_text(tmp_path / "folder" / "file", "faster")
    assert (tmp_path / "folder" / "file").read_text() == "faster"
    assert names(tmp_path) == ["folder"]


def test_a_folder_is_replaced_where_the_block_takes_the_old_one_away(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with whole_folder(tmp_path / "folder") as aside:
            write_text(aside / text, text)
            if text == "new":
                (tmp_path / "folder" / "old").unlink()
                (tmp_path / "folder").rmdir()
    assert names(tmp_path / "folder") == ["new"]


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    write_text(tmp_path / "folder", "a file")
    with pytest.raises(OSError), whole_folder(tmp_path / "folder") as aside:
        write_text(aside / "file", "text")


def test_what_a_killed_writer_left_is_removed_by_the_next_and_what_is_being_written_stays(tmp_path: Path) -> None:
    (tmp_path / ".aside-killed").mkdir()
    (tmp_path / ".aside-killed" / "half").write_text("half")
    (tmp_path / ".aside-killed-old").mkdir()
    with folder_aside(tmp_path) as one, folder_aside(tmp_path) as other:
        assert {one.name, other.name} == set(names(tmp_path))
        (one / "file").write_text("whole")
        with whole_folder(tmp_path / "folder") as third:
            write_text(third / "file", "text")
        assert (one / "file").read_text() == "whole"
    assert names(tmp_path) == ["folder"]
