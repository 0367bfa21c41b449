"""Does the file have the number of the process that serves, and is a number of before not taken for one?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twisted_wsgiref._process import pidfile
from twisted_wsgiref._process.other_process import lives, started, words_of
from twisted_wsgiref._process.pidfile import PidFile, read
from twisted_wsgiref.settings import SettingError

HAS_PROC = Path("/proc/self/stat").exists()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.pid"


@pytest.fixture
def sleeper() -> Iterator[int]:
    """The number of a process that lives, and serves nothing."""
    # It speaks once it is what it was started as: a process that has just begun has no words yet.
    code = "print(); input()"
    child = subprocess.Popen([sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    yield child.pid
    child.kill()
    child.communicate()


def refusal(path: Path | str) -> str:
    with pytest.raises(SettingError) as caught:
        PidFile(str(path)).check()
    return str(caught.value)


def test_the_file_has_the_number_and_is_gone_at_the_end(path: Path) -> None:
    file = PidFile(str(path))
    file.check()
    assert not path.exists()
    file.write()
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o644 & ~umask()
    file.remove()
    file.remove()
    assert not path.exists()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_living_server_is_found_by_its_lock(path: Path) -> None:
    file = PidFile(str(path))
    file.write()
    owner = read(str(path))
    assert owner is not None
    assert (owner.pid, owner.holds, owner.is_there) == (os.getpid(), True, True)
    assert refusal(path).startswith(f"pidfile is {str(path)!r}: the process {os.getpid()} lives and has it")
    with pytest.raises(SettingError, match="another process has it"):
        PidFile(str(path)).open()
    file.remove()


def test_a_file_of_a_process_that_was_killed_is_replaced(path: Path) -> None:
    code = f"from twisted_wsgiref._process.pidfile import PidFile; import os; PidFile({str(path)!r}).write()"
    killed = subprocess.run([sys.executable, "-c", f"{code}; os.kill(os.getpid(), 9)"], check=False, timeout=60)
    assert killed.returncode == -9
    owner = read(str(path))
    assert owner is not None
    assert not owner.holds
    assert not owner.is_there
    file = PidFile(str(path))
    file.check()
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    file.remove()


def test_a_longer_number_of_before_leaves_no_digits(path: Path) -> None:
    path.write_text("4194304444\n")
    file = PidFile(str(path))
    file.check()
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    file.remove()


@pytest.mark.skipif(not HAS_PROC, reason="nothing tells when a process was started")
def test_a_number_that_another_process_has_got_since_is_stale(path: Path, sleeper: int) -> None:
    path.write_text(f"{sleeper}\n")
    assert "lives and has it" in refusal(path)  # twistd's own file, for all that can be known
    os.utime(path, (1000, 1000))
    PidFile(str(path)).check()


def test_a_number_of_before_that_is_ours_now_is_no_other_process(path: Path) -> None:
    path.write_text(f"{os.getpid()}\n")  # as in a container, each life of which has the number 1
    PidFile(str(path)).check()


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"import os\n", "it has something else"), (b"1" * 40, "it has something else"), (b"-1", "it has something else")],
)
def test_a_file_of_another_kind_is_never_overwritten(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    assert why in refusal(path)
    assert path.read_bytes() == content


def test_an_empty_file_names_nobody(path: Path) -> None:
    path.touch()
    assert read(str(path)) is None
    PidFile(str(path)).check()


def test_a_place_that_is_none_is_one_line(tmp_path: Path) -> None:
    missing = tmp_path / "run" / "a.pid"
    assert refusal(missing) == f"pidfile is {str(missing)!r}: there is no directory {tmp_path}/run"
    assert refusal(tmp_path) == f"pidfile is {str(tmp_path)!r}: Is a directory"


def test_a_link_that_somebody_has_put_there_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingError, match="pidfile is "):
        PidFile(str(tmp_path / "link")).write()
    assert not (tmp_path / "elsewhere").exists()


def test_who_may_not_remove_it_any_more_leaves_it_empty(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlink(name: str) -> None:
        raise PermissionError

    file = PidFile(str(path))
    file.open()
    file.write()
    monkeypatch.setattr(pidfile.os, "unlink", unlink)
    file.remove()
    assert path.read_bytes() == b""


def test_the_file_of_whoever_came_after_is_left_alone(path: Path) -> None:
    file = PidFile(str(path))
    file.write()
    path.unlink()
    path.write_text("7\n")
    file.remove()
    assert path.read_text() == "7\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_child_of_the_application_neither_holds_nor_removes_the_file(path: Path) -> None:
    file = PidFile(str(path))
    file.write()
    file.forked(False)
    file.remove()
    assert path.exists()
    owner = read(str(path))
    assert owner is not None
    assert not owner.holds


@pytest.mark.skipif(not HAS_PROC, reason="nothing tells of processes")
def test_the_system_tells_of_a_process(sleeper: int) -> None:
    assert lives(sleeper)
    assert not lives(2**22 + 1)
    assert not lives(0)
    assert not lives(2**70)
    own, its = started(os.getpid()), started(sleeper)
    assert own is not None
    assert its is not None
    assert own <= its + 0.02
    assert (words_of(sleeper) or [])[-1] == "print(); input()"
    assert words_of(2**22 + 1) is None
