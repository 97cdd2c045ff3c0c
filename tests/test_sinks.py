"""Nothing here runs what it reads: no unpickling, no code of a model's own, no shell. A new way to do so fails."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

import hpsearch
from hpsearch.study.sampling import SAMPLERS, SampleRequest

PACKAGE = Path(hpsearch.__file__).parent
# Calls that run what they are given, by the last words of their names.
CALLS = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load",
    "dill.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load", "marshal.load", "marshal.loads",
    "shelve.open", "pandas.read_pickle", "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "subprocess.getoutput", "subprocess.getstatusoutput", "serialization.add_safe_globals", "runpy.run_path",
}  # fmt: skip
MODULES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "cmaes", "yaml"}
HARMLESS = {"UnpicklingError"}  # what pickle is imported for
# Where a job's command, a Python program, is run as the interpreter would: what is run is the command itself.
OF_THE_JOBS_OWN_COMMAND = {"execution/python_program.py": ["runpy.run_path", "exec"]}
# Programs of ours for a Python that may not have hpsearch run execution/bootstrap.py, by its path beside them.
OF_OUR_OWN_BOOTSTRAP = {"execution/fork_server.py": ["runpy.run_path"], "training/launch.py": ["runpy.run_path"]}
# Arguments that make a call one of these.
ARGUMENTS = {"shell": True, "allow_pickle": True, "trust_remote_code": True, "weights_only": False}


def sinks(tree: ast.AST) -> Iterator[str]:
    """What in a module runs what it is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {each.name}" for each in node.names if each.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield from (f"from {node.module} import {each.name}" for each in node.names if each.name not in HARMLESS)
        elif isinstance(node, ast.Call):
            yield from _call(node)
        elif isinstance(node, ast.Dict):
            pairs = ((key.value, value) for key, value in zip(node.keys, node.values, strict=True) if _is_text(key))
            yield from _arguments(dict(pairs))


def _call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    arguments = {each.arg: each.value for each in node.keywords if each.arg}
    if name in CALLS or any("." in each and name.endswith(f".{each}") for each in CALLS):
        yield name
    if name.endswith("torch.load") and "weights_only" not in arguments:
        yield "torch.load without weights_only"
    yield from _arguments(arguments)


def _arguments(arguments: dict[object, ast.expr]) -> Iterator[str]:
    for name, unsafe in ARGUMENTS.items():
        value = arguments.get(name)
        if value is not None and not (isinstance(value, ast.Constant) and value.value is not unsafe):
            yield f"{name}={ast.unparse(value)}"


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from pickle import loads", "import dill as d", "eval(text)", "exec(text)", "os.system(text)",
        "pickle.loads(data)", "torch.load(path)",
        "torch.load(path, weights_only=False)", "torch.load(p, weights_only=x)",
        "yaml.load(text)", "np.load(path, allow_pickle=True)", "subprocess.run(words, shell=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=True)", "options = {'trust_remote_code': settings.trust}",
        "torch.serialization.add_safe_globals([thing])", "from cmaes import CMA",
    ],
)  # fmt: skip
def test_a_sink_is_seen(line: str) -> None:
    assert list(sinks(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "from pickle import UnpicklingError", "re.compile(text)", "model.eval()", "json.load(file)", "load_file(path)",
        "torch.load(path, weights_only=True)", "options = {'trust_remote_code': False}", "run(words, shell=False)",
    ],
)  # fmt: skip
def test_what_is_none_is_let_pass(line: str) -> None:
    assert not list(sinks(ast.parse(line)))


def test_nothing_in_the_house_runs_what_it_reads() -> None:
    found = {
        str(path.relative_to(PACKAGE)): where
        for path in sorted(PACKAGE.rglob("*.py"))
        if (where := list(sinks(ast.parse(path.read_text("utf-8")))))
    }
    assert found == OF_THE_JOBS_OWN_COMMAND | OF_OUR_OWN_BOOTSTRAP
    for name in OF_OUR_OWN_BOOTSTRAP:
        (line,) = (line for line in (PACKAGE / name).read_text("utf-8").splitlines() if "run_path(" in line)
        assert "bootstrap.py" in line
        assert "__file__" in line


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_sampler_to_choose_unpickles_what_is_in_the_storage(name: str) -> None:
    """Optuna's CMA-ES sampler does: whoever can write to a shared database would run code in every runner."""
    for kind in type(SAMPLERS[name](SampleRequest({}, seed=1))).__mro__:
        module = sys.modules[kind.__module__]
        assert module is not optuna.samplers._cmaes
        if module.__name__ != "builtins":
            assert not list(sinks(ast.parse(inspect.getsource(module)))), module.__name__
