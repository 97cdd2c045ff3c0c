"""Making this very package importable as ``hpsearch`` in an interpreter that has none, or another one.

Programs that another Python runs cannot import this module before they have called it: they run it by its path
(``runpy.run_path``) and take ``adopt_hpsearch`` from the result.
"""

import os
import sys

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

# For ``python -I -S -c STUB... PACKAGE ARGUMENTS``: modules of the package can be imported, but its __init__.py is not
# run, whose imports take longer than all the rest of a supervisor's start.
STUB = (
    "import sys; package = type(sys)('hpsearch'); package.__path__ = [sys.argv.pop(1)]; "
    "sys.modules['hpsearch'] = package; "
)


def adopt_hpsearch() -> None:
    """Import the package that this file belongs to, whatever else this interpreter finds under its name."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("hpsearch", f"{PACKAGE}/__init__.py", submodule_search_locations=[PACKAGE])
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {PACKAGE}")
    module = module_from_spec(spec)
    sys.modules["hpsearch"] = module
    spec.loader.exec_module(module)
