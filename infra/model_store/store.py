"""Install, verify and remove weights. Whoever uses them only reads (`pipeline.weights.folder`)."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from infra.model_store.assembly import assemble, places_in
from infra.model_store.errors import (
    ContentDiffers,
    ModelStoreUnwritable,
    SourceFailed,
    WeightsDamaged,
    WeightsUnavailable,
)
from infra.model_store.fetching import OnFetched, fetch
from pipeline.errors import InvalidRequest, NotFound
from pipeline.weights.description import Source, Weights
from pipeline.weights.folder import WeightsFolder

_WORK = ".installing"  # beside the models, on the same disk: what is finished there is put in place by its name alone
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MARGIN = 16 * 1024**2  # bytes
MIB = 1024**2

Say = Callable[[str], None]


class ModelStore:
    """The folder of models, for those who may write there. `offline`: nothing is asked of any network."""

    def __init__(self, folder: WeightsFolder, *, offline: bool = False) -> None:
        self.folder = folder
        self.offline = offline

    def install(
        self,
        name: str,
        *,
        given: Path | None = None,
        on_fetched: OnFetched = lambda *_: None,
        say: Say = lambda _: None,
    ) -> bool:
        """Have the model there and whole; False when it was so already. One that is damaged is replaced.

        `given`: a folder with its files or packages, or one of these, instead of any network. Two at once: the second waits, and
        finds it done. Raises NotFound, InvalidRequest (no such `given`), WeightsUnavailable, WeightsDamaged, ModelStoreUnwritable.
        """
        weights = self._known(name)
        if given is not None and not given.exists():
            raise InvalidRequest(f"{given} does not exist", param="from")
        if self.folder.installed(name) and not self.folder.damage(name):
            return False
        with self._writing(), self._locked(name, say):
            if self.folder.installed(name) and not self.folder.damage(name):
                return False
            self._check_room(weights)
            self._build(weights, given, on_fetched)
        return True

    def damaged(self) -> dict[str, str]:
        """Every model that is there but not whole, and what is wrong with it."""
        there = [name for name in self.folder.described if self.folder.path(name).exists()]
        found = {name: self.folder.damage(name) for name in there}
        return {name: wrong for name, wrong in found.items() if wrong}

    def remove(self, name: str) -> None:
        """Take it away, and what an unfinished installation has left. Raises NotFound, ModelStoreUnwritable."""
        self._known(name)
        work = self._work(name)
        if not self.folder.path(name).exists() and not work.exists():
            raise NotFound(f"The model {name} is not installed in {self.folder.root}", param="name")
        with self._writing(), self._locked(name, lambda _: None):
            self._set_aside(name)
            shutil.rmtree(work, ignore_errors=True)

    def _known(self, name: str) -> Weights:
        if name not in self.folder.described:
            known = ", ".join(self.folder.described)
            raise NotFound(f"No weights are called {name!r}; `stenopool models list` shows: {known}", param="name")
        return self.folder.described[name]

    def _work(self, name: str) -> Path:
        return self.folder.root / _WORK / name

    @contextlib.contextmanager
    def _locked(self, name: str, say: Say) -> Iterator[None]:
        """Alone with this model, among all processes that use this folder; the kernel lets go of it when a holder dies."""
        (self.folder.root / _WORK).mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder.root / _WORK / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another process is at work on {name}; waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in _FULL
            what = "has no room left" if full else f"cannot be written ({error.strerror or error})"
            advice = "free some, or " if full else ""
            told = f"{self.folder.root} {what}: {advice}set STENOPOOL_MODELS to another folder"
            raise ModelStoreUnwritable(told) from error

    def _check_room(self, weights: Weights) -> None:
        """Before anything is fetched: the packages lie beside the model until it is whole."""
        wanted = max(source.size + max(source.size, source.packed) for source in weights.sources) + _MARGIN
        free = shutil.disk_usage(self.folder.root).free
        if free < wanted:
            told = f"{weights.name} needs {wanted // MIB} MiB while it is installed, and {self.folder.root} has {free // MIB}"
            raise ModelStoreUnwritable(f"{told}: free some, or set STENOPOOL_MODELS to another folder")

    def _build(self, weights: Weights, given: Path | None, on_fetched: OnFetched) -> None:
        """From the first source that gives what was promised, then put in place in one step."""
        failures: list[tuple[str, SourceFailed]] = []
        for told, source, places in self._offers(weights, given, on_fetched):
            try:
                self._put_in_place(weights.name, self._built(weights.name, source, places()))
            except SourceFailed as error:
                failures.append((told, error))
            else:
                return
        raise _failed(weights.name, failures)

    def _offers(
        self, weights: Weights, given: Path | None, on_fetched: OnFetched
    ) -> Iterator[tuple[str, Source, Callable[[], Sequence[Path]]]]:
        """Who might have it: how he is called, which files those would be, and the way to get at them."""
        for source in weights.sources:
            if given is not None:
                yield str(given), source, partial(places_in, given)
            elif not self.offline:
                kept = self._work(weights.name) / source.kind
                yield source.told, source, partial(fetch, source, kept, on_fetched)

    def _built(self, name: str, source: Source, places: Sequence[Path]) -> Path:
        """A folder with all its files, checked. What proved to be something else is thrown away: it would fail for ever."""
        building = self._work(name) / "built"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        try:
            assemble(source, places, building)
        except BaseException as error:
            shutil.rmtree(building, ignore_errors=True)
            if isinstance(error, SourceFailed):
                shutil.rmtree(self._work(name) / source.kind, ignore_errors=True)
            raise
        return building

    def _put_in_place(self, name: str, built: Path) -> None:
        place = self.folder.path(name)
        self._set_aside(name)
        built.rename(place)
        _sync(place.parent)
        shutil.rmtree(self._work(name), ignore_errors=True)

    def _set_aside(self, name: str) -> None:
        """In one step, so that nobody finds half of it; who has it open keeps it."""
        place, old = self.folder.path(name), self._work(name) / "old"
        if place.exists():
            shutil.rmtree(old, ignore_errors=True)
            old.parent.mkdir(parents=True, exist_ok=True)
            place.rename(old)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(name: str, failures: Sequence[tuple[str, SourceFailed]]) -> WeightsDamaged | WeightsUnavailable:
    if not failures:
        told = f"{name} is not fetched, since STENOPOOL_OFFLINE is set: give a folder or file with --from"
        return WeightsUnavailable(told, name=name)
    differ = [(told, error) for told, error in failures if isinstance(error, ContentDiffers)]
    tellers = dict((*reversed(failures), *reversed(differ)))  # of one asked twice, what says most
    tried = "; ".join(f"{told}: {tellers[told]}" for told in dict.fromkeys(told for told, _ in failures))
    if differ:
        return WeightsDamaged(f"{name} is not installed. {tried}", name=name)
    return WeightsUnavailable(f"{name} is not to be had. {tried}", name=name)
