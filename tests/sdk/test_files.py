"""A file drop step by step, with the hub gone after each step, and names that must never reach a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hub.sdk.transports import files

NAME = "orientations_2026-03-02_1.csv"
VECTORS = json.loads((Path(__file__).parent / "vectors" / "paths.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", VECTORS["must_refuse"])
def test_hostile_names_are_refused(tmp_path, name):
    with pytest.raises(files.UnsafeName) as refused:
        files.join(tmp_path, name)
    assert name.strip() in ("", "-", ".", "..") or name not in str(refused.value)
    for step in (
        lambda: files.write_temporary(tmp_path, name, 1, b"x"),
        lambda: files.publish(tmp_path, name, 1),
        lambda: files.look(tmp_path, name, 1),
        lambda: files.delete_older_temporaries(tmp_path, name, 2),
    ):
        with pytest.raises(files.UnsafeName):
            step()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [NAME, "RIAE_FS_20260302080000.json", "a", "_x.1", "A" * 150])
def test_ordinary_names_pass(tmp_path, name):
    assert files.join(tmp_path, name).parent == tmp_path


def test_text_is_made_fit_for_a_name():
    assert files.safe_name(files.plain("Mission locale de l'Élan/76")) == "Mission-locale-de-l-Elan-76"


def test_symbolic_link_in_the_folder_is_never_followed(tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes(b"theirs")
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / NAME).symlink_to(target)
    (folder / f".{NAME}.1").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        files.write_temporary(folder, NAME, 1, b"ours")
    with pytest.raises(files.UnsafeName):
        files.publish(folder, NAME, 1)
    assert target.read_bytes() == b"theirs"


def test_nothing_is_visible_before_the_rename(tmp_path):
    files.write_temporary(tmp_path, NAME, 1, b"rows")
    assert [entry.name for entry in tmp_path.iterdir()] == [f".{NAME}.1"]
    assert files.look(tmp_path, NAME, 1) == files.Seen(temporary=True, final=False, archived=False)
    files.publish(tmp_path, NAME, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).read_bytes() == b"rows"


def test_killed_before_writing_is_written_again(tmp_path):
    assert files.look(tmp_path, NAME, 1) == files.Seen(temporary=False, final=False, archived=False)


def test_killed_while_writing_leaves_a_temporary_that_the_next_attempt_deletes(tmp_path):
    files.temporary(tmp_path, NAME, 1).write_bytes(b"ro")
    files.write_temporary(tmp_path, NAME, 2, b"rows")
    assert files.delete_older_temporaries(tmp_path, NAME, 2) == 1
    files.publish(tmp_path, NAME, 2)
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]


def test_killed_between_writing_and_renaming_is_renamed(tmp_path):
    files.write_temporary(tmp_path, NAME, 1, b"rows")
    seen = files.look(tmp_path, NAME, 1)
    assert seen.temporary
    assert not seen.left
    files.publish(tmp_path, NAME, 1)
    assert files.look(tmp_path, NAME, 1) == files.Seen(temporary=False, final=True, archived=False)


def test_killed_after_renaming_is_found_in_the_folder_or_the_archive(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    files.write_temporary(tmp_path, NAME, 1, b"rows")
    files.publish(tmp_path, NAME, 1)
    assert files.look(tmp_path, NAME, 1, [archive]).left
    os.rename(tmp_path / NAME, archive / NAME)
    seen = files.look(tmp_path, NAME, 1, [archive])
    assert seen == files.Seen(temporary=False, final=False, archived=True)
    assert seen.left


def test_file_that_went_nowhere_we_can_see_has_not_left(tmp_path):
    files.write_temporary(tmp_path, NAME, 1, b"rows")
    files.publish(tmp_path, NAME, 1).unlink()
    assert not files.look(tmp_path, NAME, 1).left


def test_writing_again_gives_the_same_file(tmp_path):
    files.write_temporary(tmp_path, NAME, 1, b"rows and more")
    files.write_temporary(tmp_path, NAME, 1, b"rows")
    assert files.publish(tmp_path, NAME, 1).read_bytes() == b"rows"


def test_final_name_is_never_overwritten(tmp_path):
    (tmp_path / NAME).write_bytes(b"first")
    files.write_temporary(tmp_path, NAME, 2, b"second")
    with pytest.raises(files.AlreadyThere):
        files.publish(tmp_path, NAME, 2)
    assert (tmp_path / NAME).read_bytes() == b"first"


def test_renaming_twice_fails_and_loses_nothing(tmp_path):
    files.write_temporary(tmp_path, NAME, 1, b"rows")
    files.publish(tmp_path, NAME, 1)
    (tmp_path / NAME).rename(tmp_path / "taken")
    with pytest.raises(FileNotFoundError):
        files.publish(tmp_path, NAME, 1)


def test_only_older_temporaries_of_this_file_are_deleted(tmp_path):
    for name in (f".{NAME}.1", f".{NAME}.2", f".{NAME}.3", f".{NAME}.x", f".other_{NAME}.1", f".{NAME}.1.1"):
        (tmp_path / name).write_bytes(b"")
    assert files.delete_older_temporaries(tmp_path, NAME, 3) == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        [f".{NAME}.3", f".{NAME}.x", f".other_{NAME}.1", f".{NAME}.1.1"]
    )


def test_folder_that_is_gone_is_an_error_and_not_a_delivery(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.write_temporary(tmp_path / "gone", NAME, 1, b"rows")
