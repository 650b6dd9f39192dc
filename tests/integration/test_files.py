"""Files on a real file system: identity, leases, atomic writing, moves that can be repeated."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from ingestd.errors import FileUnavailable
from ingestd.files import (
    FILE_GONE,
    Move,
    free_name,
    has_writer,
    look,
    move,
    move_all,
    stat_of,
    temporary_in,
    write_atomically,
)

OTHER_FILE_SYSTEM = Path("/dev/shm")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than ``tmp_path``."""
    if not OTHER_FILE_SYSTEM.is_dir() or not os.access(OTHER_FILE_SYSTEM, os.W_OK):
        pytest.skip("no second file system to write to")
    if OTHER_FILE_SYSTEM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("temporary files lie on the only other file system")
    directory = OTHER_FILE_SYSTEM / f"ingestd-test-{os.getpid()}-{tmp_path.name}"
    directory.mkdir()
    yield directory
    subprocess.run(["rm", "-rf", directory], check=True)


def run_python(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, whose signals, limits and death are its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# look


def test_look_tells_versions_of_a_file_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"one")
    first = look(path)
    path.write_bytes(b"two!")
    assert first.size_bytes == 3
    assert not look(path).is_same_content(first)


def test_look_at_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(FileUnavailable, match=r"a\.csv: No such file") as caught:
        look(tmp_path / "a.csv")
    assert caught.value.error_type == "unreadable_file"
    assert "removed or renamed" in caught.value.hint


def test_look_refuses_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "dir.csv").mkdir()
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    for name, kind in (
        ("pipe.csv", "a named pipe"),
        ("dir.csv", "a directory"),
        ("link.csv", "a link"),
    ):
        with pytest.raises(FileUnavailable, match=f"it is {kind}, not a file"):
            look(tmp_path / name)


def test_look_through_a_loop_of_links_says_that_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FileUnavailable, match="links are not followed"):
        look(tmp_path / "loop" / "a.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_refused_permission_names_owner_and_user(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(FileUnavailable, match="with mode 0000, and ingestd runs as"):
        look(closed / "a.csv")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_refused_permission_names_owner_and_user_when_root_steps_down() -> None:
    script = """
        import os, sys
        from pathlib import Path
        from ingestd.files import look
        os.seteuid(65534)
        look(Path(sys.argv[1], "a.csv"))
    """
    with tempfile.TemporaryDirectory() as closed:
        answer = run_python(script, closed)
    assert "belongs to root with mode 0700, and ingestd runs as nobody" in answer.stderr


# has_writer


def test_an_open_writer_is_seen_until_it_closes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(b"half")
        file.flush()
        assert has_writer(path) is True
    assert has_writer(path) is False


def test_a_reader_is_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x")
    with path.open("rb"):
        assert has_writer(path) is False


@pytest.mark.timeout(10)
def test_asking_for_a_writer_never_blocks_on_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "dir").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        answers = [
            has_writer(tmp_path / name) for name in ("pipe", "link", "dir", "socket", "none")
        ]
    assert answers == [None] * 5


def test_nothing_is_claimed_where_leases_prove_nothing() -> None:
    assert has_writer(Path("/proc/self/status")) is None


def test_a_writer_that_opens_during_the_lease_does_not_kill_us(tmp_path: Path) -> None:
    """In a process of its own, with SIGIO at its deadly default and no lull for the writers."""
    script = """
        import signal, sys, threading, time
        from pathlib import Path
        from ingestd.files import has_writer
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        path, stop = Path(sys.argv[1]), threading.Event()
        path.touch()
        def write():
            while not stop.is_set():
                path.open("ab").close()
        writers = [threading.Thread(target=write) for _ in range(3)]
        for writer in writers: writer.start()
        answers, leases, end = set(), 0, time.monotonic() + 60
        while leases < 20_000 or (len(answers) < 2 and time.monotonic() < end):
            answers.add(has_writer(path))
            leases += 1
        stop.set()
        for writer in writers: writer.join()
        print(sorted(answers))
    """
    answer = run_python(script, tmp_path / "a.csv")
    assert (answer.returncode, answer.stdout.strip()) == (0, "[False, True]")


# write_atomically


def test_parts_are_written_as_one_file_in_a_directory_made_for_it(tmp_path: Path) -> None:
    target = tmp_path / "rejects" / "orders" / "a.csv"
    write_atomically(target, [b"one\n", b"two\n"], replace=False)
    assert target.read_bytes() == b"one\ntwo\n"
    assert names_in(target.parent) == ["a.csv"]


def test_writing_does_not_replace_unless_asked(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_atomically(target, [b"new"], replace=False)
    assert target.read_bytes() == b"old"
    write_atomically(target, [b"new"], replace=True)
    assert target.read_bytes() == b"new"
    assert names_in(tmp_path) == ["a.csv"]


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the other half is lost")

    with pytest.raises(RuntimeError):
        write_atomically(tmp_path / "a.csv", parts(), replace=True)
    assert names_in(tmp_path) == []


def test_what_killed_processes_left_is_removed_and_what_living_ones_write_stays(
    tmp_path: Path,
) -> None:
    left, held = tmp_path / ".ingestd-0.tmp", tmp_path / ".ingestd-1.tmp"
    left.write_bytes(b"half")
    with held.open("xb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomically(tmp_path / "a.csv", [b"x"], replace=False)
        assert names_in(tmp_path) == [held.name, "a.csv"]


def test_a_file_that_was_taken_for_a_leftover_just_when_it_was_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process looks for leftovers between the two calls that make and lock a file."""
    made: list[Path] = []

    def remove_first(file: BinaryIO, operation: int) -> None:
        made.append(Path(file.name))
        if len(made) == 1:
            made[0].unlink()

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with temporary_in(tmp_path) as (path, _):
        assert made == [made[0], path]
        assert path.exists()


def test_a_full_disk_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the file size stands in for the full disk: the same path, another errno."""
    script = """
        import resource, signal, sys
        from pathlib import Path
        from ingestd.errors import FileUnavailable
        from ingestd.files import write_atomically
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_atomically(Path(sys.argv[1]), [b"x" * 2000], replace=False)
        except FileUnavailable as error:
            print(error)
    """
    answer = run_python(script, tmp_path / "a.csv")
    assert "cannot write" in answer.stdout
    assert "the service's limit" in answer.stdout
    assert names_in(tmp_path) == []


def test_a_file_where_a_directory_should_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"")
    with pytest.raises(FileUnavailable, match="a file stands where a directory is expected"):
        write_atomically(tmp_path / "archive" / "a.csv", [b"x"], replace=False)


def test_writing_where_nothing_can_be_made_is_unavailable() -> None:
    with pytest.raises(FileUnavailable, match=r"cannot write /proc/ingestd/a\.csv"):
        write_atomically(Path("/proc/ingestd/a.csv"), [b"x"], replace=False)


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 255)
    write_atomically(target, [b"x"], replace=False)
    assert target.read_bytes() == b"x"


# move


def test_a_move_takes_the_file_and_says_where_it_is(tmp_path: Path) -> None:
    source = tmp_path / "inbox.csv"
    source.write_bytes(b"rows")
    target = tmp_path / "archive" / "2024" / "a.csv"
    assert move(source, target) == target
    assert target.read_bytes() == b"rows"
    assert not source.exists()


def test_a_move_never_overwrites(tmp_path: Path) -> None:
    for number in range(3):
        source = tmp_path / "a.csv"
        source.write_bytes(b"%d" % number)
        move(source, tmp_path / "archive" / "a.csv")
    archive = tmp_path / "archive"
    contents = [(archive / name).read_bytes() for name in ("a.csv", "a-2.csv", "a-3.csv")]
    assert contents == [b"0", b"1", b"2"]


def test_a_repeated_move_says_where_the_file_went(tmp_path: Path) -> None:
    source, target = tmp_path / "a.csv", tmp_path / "archive" / "a.csv"
    source.write_bytes(b"rows")
    move(source, target)
    assert move(source, target) == target


def test_of_files_moved_together_each_has_its_own_end(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    for name in ("inbox/a.csv", "inbox/sub/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    names = ("inbox/a.csv", "gone/b.csv", "inbox/sub/a.csv")
    first, gone, second = move_all([Move(tmp_path / name, archive / name[-5:]) for name in names])
    assert (first, second) == (archive / "a.csv", archive / "a-2.csv")
    assert isinstance(gone, FileUnavailable)
    assert gone.error_type == FILE_GONE
    assert [path.read_text() for path in sorted(archive.iterdir())] == [names[2], names[0]]


def test_a_move_of_a_file_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(FileUnavailable, match="it is gone"):
        move(tmp_path / "a.csv", tmp_path / "b.csv")


def test_a_move_interrupted_between_link_and_unlink_is_completed(tmp_path: Path) -> None:
    source, target = tmp_path / "a.csv", tmp_path / "b.csv"
    source.write_bytes(b"rows")
    os.link(source, target)
    assert move(source, target) == target
    assert names_in(tmp_path) == ["b.csv"]


def test_a_move_across_file_systems_keeps_content_time_and_mode(
    tmp_path: Path, elsewhere: Path
) -> None:
    source, target = tmp_path / "a.csv", elsewhere / "archive" / "a.csv"
    source.write_bytes(b"rows" * 100_000)
    source.chmod(0o640)
    before = source.stat()
    assert move(source, target) == target
    after = target.stat()
    assert target.read_bytes() == b"rows" * 100_000
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert not source.exists()
    assert names_in(target.parent) == ["a.csv"]


def test_a_copy_whose_source_was_not_yet_removed_is_completed(
    tmp_path: Path, elsewhere: Path
) -> None:
    source, target = tmp_path / "a.csv", elsewhere / "a.csv"
    source.write_bytes(b"rows")
    target.write_bytes(b"rows")
    os.utime(target, ns=(0, source.stat().st_mtime_ns))
    assert move(source, target) == target
    assert not source.exists()
    assert names_in(elsewhere) == ["a.csv"]


def test_a_copy_across_file_systems_does_not_overwrite(tmp_path: Path, elsewhere: Path) -> None:
    source, target = tmp_path / "a.csv", elsewhere / "a.csv"
    source.write_bytes(b"rows")
    target.write_bytes(b"other rows")
    assert move(source, target) == elsewhere / "a-2.csv"
    assert target.read_bytes() == b"other rows"


def test_what_a_crash_left_of_a_copy_is_removed(tmp_path: Path, elsewhere: Path) -> None:
    """A process is killed in the middle of the copy; the next one ends with one whole file."""
    source, target = tmp_path / "a.csv", elsewhere / "a.csv"
    source.write_bytes(b"rows")
    script = """
        import os, shutil, signal, sys
        from pathlib import Path
        from ingestd.files import move
        def copy_half(source, target, **_):
            Path(target).write_bytes(b"ro")
            os.kill(os.getpid(), signal.SIGKILL)
        shutil.copyfile = copy_half
        move(Path(sys.argv[1]), Path(sys.argv[2]))
    """
    killed = run_python(script, source, target)
    assert killed.returncode == -signal.SIGKILL
    assert len(names_in(elsewhere)) == 1
    assert move(source, target) == target
    assert names_in(elsewhere) == ["a.csv"]
    assert target.read_bytes() == b"rows"


def test_only_the_expected_content_is_moved(tmp_path: Path) -> None:
    """The file was loaded, then replaced by a new one: the new one must not be archived."""
    source, target = tmp_path / "a.csv", tmp_path / "archive" / "a.csv"
    source.write_bytes(b"loaded rows")
    expected = look(source)
    source.unlink()
    source.write_bytes(b"rows that nobody has loaded")
    with pytest.raises(FileUnavailable, match="another file took its name"):
        move(source, target, expected)
    assert source.read_bytes() == b"rows that nobody has loaded"


def test_a_new_file_under_the_name_does_not_hide_that_the_move_was_done(tmp_path: Path) -> None:
    source, target = tmp_path / "a.csv", tmp_path / "archive" / "a.csv"
    source.write_bytes(b"loaded rows")
    expected = look(source)
    move(source, target, expected)
    source.write_bytes(b"rows that nobody has loaded")
    assert move(source, target, expected) == target
    assert source.read_bytes() == b"rows that nobody has loaded"


def test_a_link_is_not_moved(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.symlink_to("/etc/passwd")
    with pytest.raises(FileUnavailable, match="it is a link"):
        move(source, tmp_path / "b.csv")


def test_concurrent_moves_to_one_name_lose_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    sources = [tmp_path / str(number) / "a.csv" for number in range(8)]
    for number, source in enumerate(sources):
        source.parent.mkdir()
        source.write_bytes(b"%d" % number)
    threads = [threading.Thread(target=move, args=(s, archive / "a.csv")) for s in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.read_bytes() for path in archive.iterdir()) == [b"%d" % n for n in range(8)]


def test_a_move_into_a_place_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(b"rows")
    with pytest.raises(FileUnavailable, match="cannot move"):
        move(source, Path("/proc/ingestd/a.csv"))
    assert source.read_bytes() == b"rows"


def test_names_that_are_not_utf8_move_like_others(tmp_path: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    source.write_bytes(b"rows")
    moved = move(source, tmp_path / "archive" / source.name)
    assert os.fsencode(moved).endswith(b"caf\xe9.csv")
    assert moved.read_bytes() == b"rows"


# free_name


def test_free_names_count_up_before_the_suffix(tmp_path: Path) -> None:
    taken = ("a.csv", "a-2.csv", "b.csv.gz", ".hidden", "plain")
    for name in taken:
        (tmp_path / name).touch()
    free = [free_name(tmp_path, name).name for name in (*taken, "new.csv")]
    assert free == ["a-3.csv", "a-2-2.csv", "b-2.csv.gz", ".hidden-2", "plain-2", "new.csv"]


def test_a_dangling_link_takes_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("nowhere")
    assert free_name(tmp_path, "a.csv").name == "a-2.csv"


@pytest.mark.parametrize("stem", [b"x" * 251, "é".encode() * 200, b"\xff" * 300])
def test_long_names_are_cut_so_that_they_can_be_made(tmp_path: Path, stem: bytes) -> None:
    name = os.fsdecode(stem + b".csv")
    first = free_name(tmp_path, name)
    first.touch()
    second = free_name(tmp_path, name)
    second.touch()
    assert first != second
    assert second.name.endswith("-2.csv")
    assert stat_of(second.lstat()) == look(second)
