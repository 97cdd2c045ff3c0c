"""Which variables a job's program gets: secrets of the runner do not go through the door."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpsearch.execution.environment import build_environment, has_gpu, without_secrets

from .conftest import Bench, processes_with, shell

USEFUL = {
    "PATH": "/bin",
    "HOME": "/home/u",
    "LANG": "zh_TW.UTF-8",
    "LC_ALL": "C",
    "VIRTUAL_ENV": "/v",
    "CONDA_PREFIX": "/c",
    "LD_LIBRARY_PATH": "/lib",
    "CUDA_VISIBLE_DEVICES": "0,1",
    "NVIDIA_DRIVER_CAPABILITIES": "all",
    "NCCL_P2P_DISABLE": "1",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    "HF_HOME": "/cache",
    "HF_HUB_CACHE": "/cache/hub",
    "REQUESTS_CA_BUNDLE": "/ca.pem",
    "https_proxy": "http://proxy:3128",
    "PYTHONPATH": "/code",
    "TOKENIZERS_CACHE": "/t",
    "USER": "me@corp.example",
    "XDG_DATA_HOME": "/opt/sk-learn-environment-2026/share",
    "HF_DATASETS_CACHE": "/scratch/hf_0123456789abcdefghij/datasets",
    "NVIDIA_VISIBLE_DEVICES": "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,MIG-8932F937-d72c-4106-c12f-20bd9faed9f7",
    "NVIDIA_REQUIRE_CUDA": "cuda>=12.4 brand=tesla,driver>=470,driver<471",
    "PYTORCH_HIP_ALLOC_CONF": "max_split_size_mb:128,garbage_collection_threshold:0.8",
    "HF_HUB_USER_AGENT_ORIGIN": "enterprise-hub-mirror-2",
}
CANARIES = {
    "HPSEARCH_STORAGE": "postgresql://u:canary@db/x",
    "HPSEARCH_STORAGE_PASSWORD_FILE": "/canary",
    "PGPASSWORD": "canary",
    "DATABASE_URL": "postgresql://u:canary@db/x",
    "HF_TOKEN": "canary",
    "HUGGING_FACE_HUB_TOKEN": "canary",
    "AWS_SECRET_ACCESS_KEY": "canary",
    "AWS_SESSION_TOKEN": "canary",
    "WANDB_API_KEY": "canary",
    "OPENAI_API_KEY": "canary",
    "GITHUB_TOKEN": "canary",
    "MY_PASSWORD": "canary",
    "TORCH_SECRET": "canary",
    "HF_ENDPOINT": "https://u:canary@mirror",
    "HTTP_PROXY": "http://u:canary@proxy:3128",
    "HF_JWT": "canary",
    "HF_HUB_PAT": "canary",
    "TRANSFORMERS_BEARER": "canary",
    "DS_CREDS": "canary",
    "HTTPS_PROXY": "http://canary@proxy:3128",
    "all_proxy": "canary@proxy:1080",
    "no_proxy": "canary:canary@proxy",
}
SHAPED = {  # secrets by their values alone
    "HF_ONE": "hf_canaryABCDEFGHIJKL",
    "HF_TWO": "Bearer ghp_canaryABCDEFGHIJKLMNOPQRST",
    "HF_THREE": '{"id": "sk-proj-canary-0123456789"}',
    "HF_FOUR": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.canary",
    "HF_FIVE": "https://bucket.example/model?X-Amz-Signature=canary",
    "CUDA_SIX": "canaryAbCdEfGhIjKl0123456789",
    "TORCH_SEVEN": "0123456789abcdef0123456789abcdef01234567",
    "TORCH_EIGHT": "-----BEGIN RSA PRIVATE KEY-----\ncanary0123456789",
}


def build(source: dict[str, str], *env_pass: str, kind: str = "trial", **extra: str) -> dict[str, str]:
    return build_environment(source, env_pass, kind=kind, extra=extra)[0]


def test_useful_variables_go_through() -> None:
    assert build(USEFUL).items() >= USEFUL.items()


def test_secrets_and_the_storage_do_not_and_are_named() -> None:
    environment, withheld = build_environment(USEFUL | CANARIES | SHAPED, (), kind="trial")
    assert "canary" not in str(environment)
    assert withheld == sorted(CANARIES | SHAPED)
    assert build_environment(SHAPED, ("HF_*", "HF_ONE"), kind="trial")[1] == sorted(SHAPED.keys() - {"HF_ONE"})


def test_what_nobody_misses_is_not_named() -> None:
    source = {"EDITOR": "vi", "PS1": "$", "PWD": "/", "OLDPWD": "/", "SHLVL": "1", "_": "/bin/x", "LS_COLORS": "di=1"}
    environment, withheld = build_environment(source, (), kind="trial")
    assert withheld == []
    assert not source.keys() & environment.keys()


def test_env_pass_lets_secrets_through_by_their_full_names() -> None:
    names = ("WANDB_API_KEY", "HF_TOKEN", "DATABASE_URL", "MY_PASSWORD")
    assert {name for name, value in build(CANARIES, *names).items() if "canary" in value} == set(names)


@pytest.mark.parametrize(
    "env_pass", [("*",), ("HPSEARCH_*", "PG*"), ("HPSEARCH_STORAGE", "PGPASSWORD"), ("*KEY", "*TOKEN*")]
)
def test_env_pass_never_lets_the_storage_nor_secrets_by_a_pattern_through(env_pass: tuple[str, ...]) -> None:
    environment, withheld = build_environment(CANARIES, env_pass, kind="trial")
    assert "canary" not in str(environment)
    assert withheld == sorted(CANARIES)


def test_text_is_shown_without_what_looks_like_a_secret() -> None:
    by_shape = [value for name, value in SHAPED.items() if not name.startswith(("CUDA_SIX", "TORCH_SEVEN"))]
    shown = without_secrets("\n".join([*by_shape, *USEFUL.values(), "mine is hidden"]), ["hidden"])
    assert "canary" not in shown
    assert "mine is (withheld)" in shown
    assert all(value in shown for value in USEFUL.values())
    assert without_secrets('{"url": "https://me:pw@host/x?token=a", "n": 1}') == (
        '{"url": "https://(withheld)@host/x(withheld)", "n": 1}'
    )


def test_env_pass_may_be_a_pattern() -> None:
    assert build({"MY_FLAG": "1", "MY_MODE": "2", "OTHER": "3"}, "MY_*").keys() >= {"MY_FLAG", "MY_MODE"}
    assert "OTHER" not in build({"OTHER": "3"}, "MY_*")


def test_preparing_gets_the_hub_s_token_and_the_proxy() -> None:
    environment = build(CANARIES, kind="prepare")
    got = {name for name, value in environment.items() if "canary" in value}
    assert got == {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"}


def test_all_but_preparing_is_offline() -> None:
    for kind in ("trial", "train"):
        environment = build({"HF_HUB_OFFLINE": "0"}, kind=kind)
        assert [environment[f"{name}_OFFLINE"] for name in ("HF_HUB", "TRANSFORMERS", "HF_DATASETS")] == ["1"] * 3
    assert "HF_HUB_OFFLINE" not in build({}, kind="prepare")
    assert build({"HF_HUB_OFFLINE": "1"}, kind="prepare")["HF_HUB_OFFLINE"] == "1"


def test_what_hpsearch_sets() -> None:
    environment = build({"TOKENIZERS_PARALLELISM": "true"}, MINE="1", HF_HUB_OFFLINE="0")
    assert (environment["TOKENIZERS_PARALLELISM"], environment["PYTHONUNBUFFERED"]) == ("false", "1")
    assert (environment["MINE"], environment["HF_HUB_OFFLINE"]) == ("1", "0")


def test_one_thread_each_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.execution.environment.has_gpu", lambda: False)
    assert build({})["OMP_NUM_THREADS"] == "1"
    assert build({"OMP_NUM_THREADS": "4"})["OMP_NUM_THREADS"] == "4"
    monkeypatch.setattr("hpsearch.execution.environment.has_gpu", lambda: True)
    assert "OMP_NUM_THREADS" not in build({})


def test_gpus_are_seen_by_their_device_files(tmp_path: Path) -> None:
    assert not has_gpu(tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert not has_gpu(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert has_gpu(tmp_path)


def test_no_canary_reaches_a_program_its_supervisor_or_its_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value.replace("canary", f"canary-{bench.study}"))
    environment = build(dict(os.environ), "WANDB_*", KEPT="canary")
    look = "env; cat /proc/$PPID/environ /proc/$PPID/cmdline"
    script = f"""{look}; echo '{{"step": 1, "cer": 1}}' > $HPSEARCH_REPORT; sleep 60"""
    job = bench.launch(shell(script), environment=environment)
    bench.report(1)
    assert processes_with(f"canary-{bench.study}") == []
    bench.executor.stop("trial_1", 0.0)
    bench.outcome()
    files = {path.name: path.read_text() for path in Path(job.output_dir).iterdir()}
    assert "KEPT=canary" in files["log.txt"]
    assert f"canary-{bench.study}" not in str(files)
