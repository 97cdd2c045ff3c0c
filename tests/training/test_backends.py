"""The choice of the backend with its reason, the environment of unsloth before its import, and what it is never
asked."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.backends.choose import check_backend, choose_backend, conflicts, unsloth_obstacle
from hpsearch.training.backends.startup import keep_caches, use_caches

ROOT = Path(__file__).parents[2]
CAPS = ("torch<2.15.0", "transformers!=5.1.0,<=5.17.0", "trl<=1.15.0", "datasets<5.0.0", "peft>=99; extra == 'old'")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata that pip leaves of an unsloth whose ranges end before the newest releases: names, versions,
    ranges."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("unsloth", "unsloth_zoo"):
        write_metadata(tmp_path, name, "2026.10.7", CAPS)


def write_metadata(folder: Path, name: str, version: str, needs: tuple[str, ...] = ()) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))


@pytest.mark.usefixtures("installed")
def test_versions_outside_the_ranges_are_named_with_theirs(tmp_path: Path) -> None:
    write_metadata(tmp_path, "transformers", "5.23.0")
    write_metadata(tmp_path, "trl", "1.14.2")
    write_metadata(tmp_path, "datasets", "5.2.0")
    assert conflicts() == [
        "datasets 5.2.0 is installed, but unsloth takes <5.0.0",
        "transformers 5.23.0 is installed, but unsloth takes !=5.1.0,<=5.17.0",
    ]
    found = unsloth_obstacle(cuda=True)
    assert found is not None
    assert found.reason == "; ".join(conflicts())
    assert "`hpsearch setup-trainer --name unsloth`" in found.remedy
    write_metadata(tmp_path, "unsloth", "2026.10.7")  # another one says nothing of them
    write_metadata(tmp_path, "unsloth_zoo", "2026.10.7")
    assert unsloth_obstacle(cuda=True) is None
    assert choose_backend("auto", obstacle=lambda: unsloth_obstacle(cuda=True)) == (
        "unsloth",
        "there is a CUDA GPU, and unsloth 2026.10.7 with versions in its ranges",
    )
    assert choose_backend("unsloth", obstacle=lambda: unsloth_obstacle(cuda=True))[0] == "unsloth"


def test_without_a_gpu_that_is_what_is_said() -> None:
    found = unsloth_obstacle(cuda=False)
    assert found is not None
    assert (found.reason, found.remedy) == ("torch sees no CUDA GPU", 'set "backend" to "hf" on this machine')
    with pytest.raises(UsageError, match="backend unsloth cannot work here: torch sees no CUDA GPU"):
        choose_backend("unsloth", obstacle=lambda: found)
    assert choose_backend("auto", obstacle=lambda: found)[1] == "unsloth cannot work here: torch sees no CUDA GPU"


@pytest.mark.skipif(importlib.util.find_spec("unsloth") is not None, reason="unsloth is installed")
def test_without_unsloth_how_to_have_it_is_said() -> None:
    found = unsloth_obstacle(cuda=True)
    assert found is not None
    assert found.reason == "unsloth and unsloth_zoo are not installed"
    assert "`hpsearch setup-trainer --name unsloth`" in found.remedy
    assert "pip install 'hpsearch[gpu]'" in found.remedy


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("asked", [{"use_dora": True}, {"precision": "fp32"}], ids=["dora", "fp32"])
def test_what_unsloth_does_not_honour_goes_to_hf_or_is_refused(asked: dict[str, object]) -> None:
    settings = TrainSettings.model_validate(asked)
    name, why = choose_backend("auto", [TrainSettings(), settings], lambda: None)
    assert name == "hf"
    assert why.startswith(f"unsloth does not honour {next(iter(asked))}")
    with pytest.raises(UsageError, match=f'unsloth does not honour {next(iter(asked))}.*; set "backend" to "hf"'):
        check_backend("unsloth", settings)
    check_backend("hf", settings)
    check_backend("unsloth", TrainSettings())


def test_nothing_that_unsloth_patches_is_imported_before_it() -> None:
    modules = "hpsearch.training.__main__, hpsearch.training.prepare, hpsearch.training.backends.startup"
    code = (
        f"import sys, {modules}\n"
        "from hpsearch.training.backends.choose import unsloth_obstacle; unsloth_obstacle()\n"
        "print({'transformers', 'trl', 'peft', 'accelerate'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


HOLD = """
import sys
from pathlib import Path
from hpsearch.training.backends.startup import use_caches
print(use_caches(Path(sys.argv[1])).name, flush=True)
sys.stdin.read()
"""


def test_each_process_at_work_has_caches_of_its_own(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(words, **pipes) as first, subprocess.Popen(words, **pipes) as second:  # type: ignore[call-overload]
        assert {first.stdout.readline().strip(), second.stdout.readline().strip()} == {"slot-0", "slot-1"}
        first.communicate()
        second.communicate()
    done = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "slot-0"  # and finds what the earlier one compiled


def test_caches_are_named_again_after_unsloth_took_one_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("UNSLOTH_COMPILE_LOCATION", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    for name in names:
        monkeypatch.setenv(name, "elsewhere")
    slot = use_caches(tmp_path)
    assert all(Path(os.environ[name]).parent == slot and Path(os.environ[name]).is_dir() for name in names)
    del os.environ["TORCHINDUCTOR_CACHE_DIR"]
    keep_caches()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(slot / "inductor")
