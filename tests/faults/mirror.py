"""A site that delivers a file up to its half and waits, and a source of data that downloads from it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typing_extensions import override

from recsys.data.sources.parquet import ParquetTables
from recsys.data.sources.source import Tables
from recsys.data.tables.download import Archive, Package, fetch

MEMBERS = ("interactions.parquet", "items.parquet")


@dataclass
class Site:
    """Serves files by name over HTTP.

    Args:
        files: content by the name of the file.
        whole: whether files are delivered to their end; otherwise a download waits at the half of its file.
        halved: is set when a half was delivered.
        released: ends the downloads that wait.
    """

    files: dict[str, bytes]
    whole: bool = False
    address: str = ""
    halved: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve the files inside the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = site.files.get(self.path.strip("/"))
            if content is None:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(OSError):
                half = len(content) // 2
                self.wfile.write(content[:half])
                self.wfile.flush()
                if not site.whole:
                    site.halved.set()
                    site.released.wait(60)
                self.wfile.write(content[half:])

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site.address = f"http://127.0.0.1:{server.server_address[1]}"
        yield site
        site.released.set()
        server.shutdown()


@dataclass(frozen=True)
class MirroredTables(ParquetTables):
    """The tables of `ParquetTables`, downloaded where they are not there.

    Args:
        url: address of the archive.
        digest: its SHA-256.
        requirement: the package that holds the same files.
        digests: SHA-256 of each file.
    """

    url: str = ""
    digest: str = ""
    requirement: str = ""
    digests: tuple[str, ...] = ()

    @override
    def tables(self) -> Tables:
        if not all((Path(self.root) / name).exists() for name in MEMBERS):
            package = Package(self.requirement, dict(zip(MEMBERS, self.digests, strict=True)))
            fetch(Path(self.root), Archive(self.url, self.digest, MEMBERS), package)
        return super().tables()
