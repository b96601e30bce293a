"""Files survive a kill, a full disk and other writers at each step of a save."""

import errno
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from keras_xai.data import archive
from tests.data import kills

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the child process that is killed is a fork")


@forks
def test_a_kill_at_each_step_leaves_one_of_the_two_files(tmp_path):
    command = [sys.executable, "-m", "tests.data.kills", str(tmp_path)]
    killed, abandoned = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert killed >= 15  # several writes, fsync of the file and of the folder, the renaming
    assert 0 < abandoned < killed  # so that there was something for the next save to remove


def _killed(folder, count, what, *names):
    """What is printed of kills at random moments, a line for each case."""
    command = [sys.executable, "-m", "tests.data.real_kills", str(folder), str(count), what, *names]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return [line for line in done.stdout.splitlines() if " kills, " in line]


@forks
@pytest.mark.parametrize(
    "count, names",
    [
        (5, ["Explanation", "Diagnosis", "FBIModel.save_weights", "FBIModel.save", "RegionClassifier"]),
        pytest.param(8, [], marks=pytest.mark.slow),
    ],
)
def test_random_kills_leave_one_of_the_two_files(tmp_path, count, names):
    lines = _killed(tmp_path, count, "saves", *names)
    assert len(lines) == len(names) or len(lines) > 20
    assert any(" 0 left" not in line for line in lines)  # so that kills came while files were written


@forks
@pytest.mark.slow
@pytest.mark.parametrize("name", ["FBIModel", "pretrain", "ExplanationLogger"])
def test_random_kills_of_training(tmp_path, name):
    (line,) = _killed(tmp_path, 4, "trainings", name)
    assert re.match(rf"{name}: \d+ kills, [1-9]\d* trainings ended with the same weights", line), line


def test_a_full_disk_at_each_step_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.npz"
    kills.explanation(0).save(path)
    before, number = path.read_bytes(), 0
    while True:
        left = iter(range(number))

        def step(left=left):
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            for name in kills.STEPS:
                patch.setattr(os, name, getattr(os, name))
            patch.setattr(archive, "open", open, raising=False)
            kills.steps_of(step)
            try:
                kills.explanation(1).save(path)
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017
            else:
                if next(left, None) is not None:
                    break
        # The disk stays full: even the temporary file may not have been removed. The file itself is one or the other.
        assert type(kills.explanation(0)).load(path) in (kills.explanation(0), kills.explanation(1))
        if path.read_bytes() != before:
            path.write_bytes(before)
        number += 1
    assert number >= 10 and [each.name for each in tmp_path.iterdir()] == [path.name]
    assert type(kills.explanation(0)).load(path) == kills.explanation(1)


def _temporary(folder, pid, host=archive._HOST, end=".npz"):
    path = folder / f".keras_xai-{host}-{pid}-0123456789ab{end}"
    path.write_bytes(b"half of a file")
    return path


def _pid_of_an_ended_process():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_what_a_killed_writer_left_is_removed_and_what_others_write_is_not(tmp_path):
    ended, other = _pid_of_an_ended_process(), subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    abandoned = [
        _temporary(tmp_path, ended),
        _temporary(tmp_path, ended, end=" of another name.weights.h5"),
        _temporary(tmp_path, os.getpid()),  # by a process that had our number before
        _temporary(tmp_path, 1, host="00000000"),
    ]
    day_ago = time.time() - 25 * 60 * 60
    os.utime(abandoned[-1], (day_ago, day_ago))
    kept = [_temporary(tmp_path, other.pid), _temporary(tmp_path, ended, host="00000001")]
    foreign = tmp_path / ".keras_xai-notes.npz"
    foreign.write_bytes(b"")
    with archive.replacing_bytes(tmp_path / "file") as file, archive.replacing_bytes(tmp_path / "second") as second:
        file.write(b"first")
        second.write(b"second")
    assert {each.name for each in tmp_path.iterdir()} == {*(each.name for each in kept), foreign.name, "file", "second"}
    other.communicate(b"\n")
    with archive.replacing_bytes(tmp_path / "file") as file:
        file.write(b"third")
    assert not kept[0].exists() and kept[1].exists()


def test_threads_that_write_one_file_leave_one_of_theirs(tmp_path):
    path, failed = tmp_path / "file.npz", []
    contents = [{"a": np.full(50_000, number)} for number in range(8)]

    def write(number):
        try:
            for _ in range(5):
                archive.write(path, {"format": "f", "version": 1}, contents[number])
                _, found = archive.read(path, "f", 1, "writer")
                assert len(set(found["a"].tolist())) == 1
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and [each.name for each in tmp_path.iterdir()] == [path.name]


def test_names_of_any_length_and_characters(tmp_path):
    for name in ("n" * 255, "\N{PILE OF POO}" * 63, "a. b c" * 40, ".npz", "file."):
        with archive.replacing_bytes(tmp_path / name) as file:
            file.write(b"content")
        assert [each.name for each in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


def test_folders_are_named(tmp_path):
    result = kills.explanation(0)
    for path in (tmp_path, f"{tmp_path}/", f"{tmp_path}/new/", ""):
        with pytest.raises(
            IsADirectoryError, match="Expected `path` to be that of a file. Received: .*, a folder. Add the name"
        ):
            result.save(path)
    with pytest.raises(
        FileNotFoundError, match="'.*missing.file', whose folder '.*missing' does not exist. Create the folder"
    ):
        result.save(tmp_path / "missing" / "file")
    with pytest.raises(ValueError, match=r"written by `Explanation.save`. Received: a folder, path='.*'"):
        type(result).load(tmp_path)
    assert not list(tmp_path.iterdir()) and not tmp_path.with_name(f"{tmp_path.name}.npz").exists()
