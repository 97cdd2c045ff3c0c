"""What is done with a finished study: analyse, compare, export, hand to a colleague, use from Python."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import optuna
import pytest

from tests.conftest import CommandLine
from tests.e2e.conftest import QUADRATIC, definition


def test_analyze_compare_export_and_archive(two_studies: Path, command_line: CommandLine) -> None:
    one = command_line("analyze", "--study", "one", "--output-dir", "out", "--top", "1")
    assert one.returncode == 0, one.stderr
    assert "Best 1 of 2" in one.stdout
    assert "<html" in (two_studies / "out/index.html").read_text()

    for words in (("--compare",), ("--compare", "one", "two")):
        both = command_line("analyze", *words, "--output-dir", "both")
        assert both.returncode == 0, both.stderr
        assert "one" in both.stdout
        assert "two" in both.stdout

    one_and_both = command_line("analyze", "--top", "1", "--study", "one", "--compare=two", "--output-dir", "out3")
    assert "Best 1 of 2" in one_and_both.stdout
    assert {"index.html", "comparison.html"} <= {path.name for path in (two_studies / "out3").iterdir()}
    assert "there is no study" in command_line("analyze", "--study", "three", "--compare").stderr

    exported = command_line("export", "--study", "one", "--archive", "one.zip")
    assert exported.returncode == 0, exported.stderr
    elsewhere = two_studies / "elsewhere"
    elsewhere.mkdir()
    read = command_line("analyze", "--archive", "../one.zip", cwd=elsewhere)
    assert read.returncode == 0, read.stderr
    assert (elsewhere / "reports/one/index.html").exists()

    old = two_studies / "studies/one/trial_0/metrics.jsonl"
    os.utime(old, (0, 0))  # before the years that zip knows
    assert command_line("export", "--study", "one", "--archive", "one.zip").returncode == 0

    pages = command_line("analyze", "--study", "one", "--pages", "77", "0")
    assert pages.returncode == 2 and "no trial 77" in pages.stderr
    wrong = command_line("analyze", "--study", "three")
    assert wrong.returncode == 2
    assert "one, two" in wrong.stderr


def test_tables_in_a_pipe_are_not_cut_to_a_terminal(two_studies: Path) -> None:
    wide = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    status = subprocess.run(
        [sys.executable, "-m", "hpsearch", "status"],
        cwd=two_studies,
        env=wide,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(status.stdout.splitlines()) == 3  # the heading, and a line for each study


def test_an_archive_without_secrets_is_analysed_where_no_torch_can_be_imported(
    two_studies: Path, command_line: CommandLine
) -> None:
    tokens = ("hf_canaryABCDEFGHIJKL", "only-known-as-canary")
    (two_studies / "studies/one/trial_0/log.txt").write_text(" ".join(tokens))
    study = optuna.load_study(study_name="one", storage=f"sqlite:///{two_studies}/studies/hpsearch.db")
    study.set_user_attr("said", list(tokens))
    assert command_line("export", "--study", "one", "--archive", "one.zip", MY_TOKEN=tokens[1]).returncode == 0
    with zipfile.ZipFile(two_studies / "one.zip") as archive:
        assert archive.read("one/trial_0/log.txt").decode() == "(withheld) (withheld)"
        assert b"canary" not in archive.read("hpsearch.db")
    blocked = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] in ('torch', 'transformers', 'peft', 'trl', 'datasets'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from hpsearch.cli import main\n"
        "main(['analyze', '--archive', 'one.zip', '--output-dir', 'out'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked], cwd=two_studies, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (two_studies / "out/index.html").exists()


def test_analyze_reads_a_database_made_by_another_program(tmp_path: Path, command_line: CommandLine) -> None:
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'other.db'}", study_name="theirs")
    for value in (0.3, math.inf, 0.2):
        trial = study.ask({"lr": optuna.distributions.FloatDistribution(1e-5, 1e-3, log=True)})
        study.tell(trial, value)
    done = command_line("analyze", "--storage", "sqlite:///other.db", "--output-dir", "out")
    assert done.returncode == 0, done.stderr
    assert "0.2" in done.stdout
    assert command_line("status", "--storage", "sqlite:///other.db").returncode == 0
    resumed = command_line("resume", "--study", "theirs", "--storage", "sqlite:///other.db")
    assert resumed.returncode == 2
    assert "was not made by hpsearch" in resumed.stderr


def test_names_of_other_programs_lead_nowhere_else(tmp_path: Path, command_line: CommandLine) -> None:
    (tmp_path / "studies").mkdir()
    storage = f"sqlite:///{tmp_path / 'studies/hpsearch.db'}"
    for name in ("team/exp1", "../../evil", "x" * 300):
        study = optuna.create_study(study_name=name, storage=storage)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        shown = command_line("analyze", "--study", name)
        assert shown.returncode == 0, shown.stderr
    assert len(list((tmp_path / "studies").glob("*/report/index.html"))) == 3
    status = command_line("status", "--json")
    assert status.returncode == 0, status.stderr
    assert len(json.loads(status.stdout)["studies"]) == 3


def test_hpsearch_run_in_python_does_what_the_command_does(tmp_path: Path) -> None:
    definition(tmp_path)
    code = (
        "import hpsearch\n"
        "summary = hpsearch.run(study='quad', config='study.json', n_trials=2, search_mode='random')\n"
        "assert summary.exit_code == 0 and summary.finished == 2, summary\n"
        "assert hpsearch.resume(study='quad', add_trials=1, verbose=False).finished == 3\n"
        "print(summary.best_params['x'])\n"
        "space = {'x': {'type': 'uniform', 'low': 1, 'high': 2}}\n"
        "given = hpsearch.run(study='given', config='study.json', n_trials=1, search_space=space, verbose=False)\n"
        "assert 1 <= given.best_params['x'] <= 2\n"
        "for wrong in ({'n_trials': 0}, {'add_trials': -3}, {'n_trials': '5'}, {'n_trials': 2.5}, {'timeout': 0}):\n"
        "    try: hpsearch.run(study='quad', config='study.json', **wrong)\n"
        "    except hpsearch.errors.UsageError: continue\n"
        "    raise SystemExit(f'{wrong} was taken')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    best = json.loads((tmp_path / "studies/quad/quad_best_params.json").read_text())
    assert "trial 0 started" in done.stdout
    assert "Best 2 of 2" in done.stdout
    assert json.loads((tmp_path / "studies/quad/report/report.json").read_text())["finished"] == 3
    assert best["study"] == "quad"


def test_the_best_configuration_of_a_program_runs_again(two_studies: Path, command_line: CommandLine) -> None:
    best = json.loads((two_studies / "studies/one/one_best_params.json").read_text())
    again = command_line("train", "--config", "studies/one/one_best_config.json", "--output-dir", "again")
    assert again.returncode == 0, again.stderr
    results = json.loads((two_studies / "again/train_results.json").read_text())
    assert results["metrics"]["score"] == best["value"]


def test_train_overwrites_its_own_folder_only(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, "good.json", command=[*QUADRATIC, "--x", "2"], search_space={})
    definition(tmp_path, "bad.json", command=[sys.executable, "-c", "raise SystemExit('no luck')"], search_space={})
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "config.json").write_text("mine")
    refused = command_line("train", "--config", "good.json", "--output-dir", "mine")
    assert refused.returncode == 2
    assert "mine holds config.json" in refused.stderr
    assert [path.name for path in mine.iterdir()] == ["config.json"]
    assert (mine / "config.json").read_text() == "mine"

    for _ in range(2):
        trained = command_line("train", "--config", "good.json", "--output-dir", "out")
        assert trained.returncode == 0, trained.stderr
    definition(tmp_path, "none.json", command=["no-such-program"], search_space={})
    assert command_line("train", "--config", "none.json", "--output-dir", "out").returncode == 2
    data = ("--input-data", "not-there.json", "--model-name", "asset:digits/qwen3_vl")
    assert command_line("train", *data, "--output-dir", "out").returncode == 2
    assert {"adapter", "train_results.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
    failed = command_line("train", "--config", "bad.json", "--output-dir", "out")
    assert failed.returncode == 4
    assert "no luck" in failed.stderr
    assert "Traceback" not in failed.stderr
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert not left & {"adapter", "train_results.json"}  # the good run's: nothing of it is left beside the failed one's


def test_logs_of_a_trial_whose_folder_is_gone(two_studies: Path, command_line: CommandLine) -> None:
    shutil.rmtree(two_studies / "studies/one/trial_0")
    for more in ((), ("--follow",)):
        gone = command_line("logs", "--study", "one", "--trial", "0", *more)
        assert gone.returncode == 2
        assert "trial 0 has ended, and" in gone.stderr


def test_one_damaged_study_hides_no_other(two_studies: Path, command_line: CommandLine) -> None:
    storage = f"sqlite:///{two_studies / 'studies/hpsearch.db'}"
    optuna.create_study(study_name="torn\n\u202e", storage=storage).set_user_attr("hps:definition", "{")
    status = command_line("status")
    assert status.returncode == 0, status.stderr
    assert len(status.stdout.splitlines()) == 4
    assert "\u202e" not in status.stdout + command_line("status", "--study", "four").stderr


def test_an_empty_study_name_is_refused(two_studies: Path, command_line: CommandLine) -> None:
    for words in (("run", "--config", "study.json"), ("status",), ("stop",)):
        refused = command_line(*words, "--study", "")
        assert refused.returncode == 2
        assert "name a study" in refused.stderr


def test_what_counts_as_infinite_is_the_same_everywhere(tmp_path: Path, command_line: CommandLine) -> None:
    study = optuna.create_study(study_name="huge", storage=f"sqlite:///{tmp_path / 'x.db'}")
    for value in (-1e308, 0.5, 1e308):
        study.add_trial(optuna.trial.create_trial(value=value))
    assert "value 0.5" in command_line("status", "--storage", "sqlite:///x.db").stdout
    assert "best" in command_line("analyze", "--storage", "sqlite:///x.db").stdout


def test_a_reader_that_has_seen_enough_is_no_failure(two_studies: Path) -> None:
    words = f"{sys.executable} -m hpsearch status --json"
    piped = ["bash", "-c", f"{words} | true; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(piped, cwd=two_studies, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [("analyze", "--output-dir"), ("export", "--output-dir"), ("export", "--archive")])
def test_a_path_below_a_file_is_the_users_mistake(
    two_studies: Path, command_line: CommandLine, words: tuple[str, str]
) -> None:
    (two_studies / "file").touch()
    for path in ("file/x", "x" * 300):
        refused = command_line(words[0], "--study", "one", words[1], path)
        assert refused.returncode == 2
        assert path.split("/")[0] in refused.stderr


def test_a_running_study_has_a_report_after_its_first_trial(tmp_path: Path, command_line: CommandLine) -> None:
    code = (
        "import pathlib, sys, time; from hpsearch import sdk\n"
        "out = pathlib.Path(sys.argv[1]); report, until = out.parent / 'report', time.monotonic() + 180\n"
        "while out.name == 'trial_1' and not (report / 'trials.csv').exists() and time.monotonic() < until:\n"
        "    time.sleep(0.05)\n"
        "sdk.finish(score=len(list(report.glob('*.*'))))"
    )
    definition(tmp_path, command=[sys.executable, "-c", code, "{output_dir}"])
    done = command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trial 0 ended: ok score 0 " in done.stdout
    assert "trial 1 ended: ok score 0 " not in done.stdout, done.stdout


def test_studies_on_a_read_only_mount_are_read(two_studies: Path, command_line: CommandLine) -> None:
    mount = two_studies / "mount"
    mount.mkdir()
    for words in (["--bind", str(two_studies / "studies"), str(mount)], ["-o", "remount,bind,ro", str(mount)]):
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this user may not mount: {done.stderr.strip()}")
    try:
        for words in (["status"], ["logs", "--study", "one"], ["analyze", "--study", "one", "--compare", "two"]):
            read = command_line(*words, "--base-output-dir", "mount")
            assert read.returncode == 0, read.stderr
        refused = command_line("run", "--study", "one", "--n-trials", "3", "--base-output-dir", "mount")
        assert refused.returncode == 3 and "read-only" in refused.stderr
    finally:
        subprocess.run(["umount", str(mount)], check=True)
    assert "mount/one is read-only: the report goes into reports/one" in read.stdout
    for name in ("one/index.html", "comparison/comparison.html"):
        assert (two_studies / "reports" / name).exists()


def test_a_study_copied_by_following_links_goes_on(two_studies: Path, command_line: CommandLine) -> None:
    """In another folder: where the original's link lies, the copy has a folder."""
    subprocess.run(["cp", "-rL", "studies", "copy"], cwd=two_studies, check=True)
    shutil.rmtree(two_studies / "studies")
    done = command_line("resume", "--study", "one", "--add-trials", "4", "--base-output-dir", "copy")
    assert done.returncode == 0, done.stdout + done.stderr
    url = f"sqlite:///{two_studies / 'copy' / 'hpsearch.db'}"
    best = optuna.load_study(study_name="one", storage=url).best_trial
    assert best.number > 1, "the best trial is still one of the copied ones, so nothing was published"
    assert json.loads((two_studies / "copy/one/best/best_params.json").read_text())["trial"] == best.number
    assert (two_studies / "copy/one/best/weights.txt").read_text() == str(best.value)
