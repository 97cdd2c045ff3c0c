# What a new user and a developer do here; `make help` lists it. Each target makes the environment it needs.

# The Python that the environment is made with, 3.11 or newer.
PYTHON ?= python3
# Tests run at once.
WORKERS ?= 2
# Finished trials the demo is after.
N_TRIALS ?= 12
# More arguments for the benchmark of searches, for example: make bench BENCH_ARGS=--quick
BENCH_ARGS ?=
# More arguments for pytest, for example: make test PYTEST_ARGS="tests/study -k lease -x"
PYTEST_ARGS ?=

# Only `make VENV=...` moves it, never a variable of the shell: what is half made there is removed.
VENV := .venv
BIN := $(VENV)/bin
# The second environment of the tests: the training side in the versions that unsloth takes, without a GPU's packages.
CAPS := $(VENV)-caps
# The converter of llama.cpp, for its tests.
CONVERTER := $(VENV)/llama.cpp
EXTRAS := train,png,tracking,gguf
CAPS_LOCK := hpsearch/assets/trainers/unsloth.txt
# Touched when the installation is complete, so what Ctrl-C left half made is made again, not used.
READY := $(VENV)/.complete
# The output of pip and of set-ups. It is shown only when one of them fails: its end, and where the rest is.
LOG = $(VENV)/install.log
# $(call quietly,COMMAND): run COMMAND, without commas, with its output in $(LOG).
quietly = { $(1); } >> $(LOG) 2>&1 || { status=$$?; tail -n 40 $(LOG) >&2; \
  echo "make: this failed with exit code $$status; above is the end of its output, all of it is in $(abspath $(LOG))" >&2; \
  exit $$status; }

.DEFAULT_GOAL := help
.PHONY: help install demo test bench faults check caps fix bases golden clean

help: ## Show this list
	@echo "hpsearch: make TARGET (the first one to need it makes the environment in $(VENV))"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10
	@echo "Variables: PYTHON=$(PYTHON)  WORKERS=$(WORKERS)  N_TRIALS=$(N_TRIALS)  PYTEST_ARGS=\"$(PYTEST_ARGS)\"  BENCH_ARGS=\"$(BENCH_ARGS)\""

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "hpsearch needs Python 3.11 or newer, but '$(PYTHON)' is: $$($(PYTHON) --version 2>&1 | head -n 1);" \
	    "name another one, as in: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12" >&2; exit 2; }
	@echo "Installing hpsearch, its training side and its tests into $(VENV): some minutes the first time (log: $(LOG))"
	@if [ -e $@ ]; then rm $@; else $(PYTHON) -m venv --clear $(VENV); fi
	@: > $(LOG)
	@$(call quietly,$(BIN)/python -m pip install --upgrade "pip>=25.1")
	@$(call quietly,$(BIN)/python -m pip install -c constraints.txt -e ".[$(EXTRAS)]" --group dev)
	@# Tests read the XML schemas in these packages.
	@$(call quietly,$(BIN)/python -m pip install -c constraints.txt --no-deps --upgrade --target $(VENV)/schemas ocrd htrflow)
	@touch $@

install: $(READY) ## Make the environment, for a GPU machine too, and say how to use it
	@echo "Installed: $(BIN)/hpsearch (after '. $(BIN)/activate' just hpsearch). Next: make demo, or $(BIN)/hpsearch doctor"

demo: $(READY) ## Search LoRA fine-tunes of a tiny model on handwritten digits: real trials, minutes, no GPU
	@echo "Searching learning rate and LoRA rank of a tiny Qwen3-VL that learns handwritten digits: $(N_TRIALS) trials"
	$(BIN)/hpsearch run --study digits-ocr --n-trials $(N_TRIALS)

test: check $(CAPS)/.complete $(CONVERTER)/.complete ## Run the checks and every test
	@echo "== tests: pytest, $(WORKERS) at a time $(PYTEST_ARGS)"
	@HPSEARCH_TEST_TRAINER=$(abspath $(CAPS)/bin/python) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

$(CAPS)/.complete: $(READY) $(CAPS_LOCK) hpsearch/commands/trainer_env.py
	@echo "Installing the training side in the versions that unsloth takes into $(CAPS): some minutes the first time (log: $(LOG))"
	@$(call quietly,$(BIN)/hpsearch setup-trainer --name unsloth --dir $(CAPS) --cpu)
	@$(call quietly,$(CAPS)/bin/python -m pip install -c constraints.txt pytest pytest-timeout)
	@touch $@

# llama.cpp's converter, which tests run and no package has by itself: out of the sources of one that bundles it.
$(CONVERTER)/.complete: $(READY) tests/training/llama_cpp.txt
	@echo "Fetching llama.cpp's converter for the tests: 77 MB, of which 3 are kept (log: $(LOG))"
	@rm -rf $(CONVERTER) && mkdir -p $(CONVERTER)
	@$(call quietly,$(BIN)/python -m pip download --no-deps --no-binary llama-cpp-python --require-hashes -r tests/training/llama_cpp.txt -d $(CONVERTER))
	@cd $(CONVERTER) && tar -xzf llama_cpp_python-*.tar.gz --strip-components=3 --wildcards '*/vendor/llama.cpp/convert_hf_to_gguf.py' \
	  '*/vendor/llama.cpp/conversion/*' '*/vendor/llama.cpp/gguf-py/gguf/*' '*/vendor/llama.cpp/LICENSE' && rm llama_cpp_python-*.tar.gz
	@touch $@

bench: $(READY) ## Measure what searches cost, find and spend, beside rivals, and print the tables (docs/performance.md)
	$(BIN)/python benchmarks/trial_start.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/large_studies.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/search.py --workers $(WORKERS) $(BENCH_ARGS)

faults: $(READY) ## Try every promise of a run with faults, beside plain Optuna, and print the table (about 70 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --workers $(WORKERS) --write docs/reliability.md

caps: $(CAPS)/.complete ## Run every training test in the second environment, with the versions that unsloth takes
	OMP_NUM_THREADS=1 $(CAPS)/bin/python -m pytest tests/training $(PYTEST_ARGS)

check: $(READY) ## Run format, lint, types, import walls and schemas, and name the ones that fail
	@failed=; \
	step() { name=$$1; shift; echo "== $$name: $$*"; "$$@" || failed="$$failed $$name"; }; \
	step format $(BIN)/ruff format --check .; \
	step lint $(BIN)/ruff check .; \
	step types $(BIN)/mypy; \
	step walls $(BIN)/lint-imports; \
	step schemas $(BIN)/python -m hpsearch.config.schemas --check; \
	[ -z "$$failed" ] || { echo "make check: failed:$$failed" >&2; exit 1; }

fix: $(READY) ## Format the code and repair what the linter can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bases: $(READY) ## Make the tiny base models of the demo again (minutes)
	$(BIN)/python -m tools.make_demo bases

golden: $(READY) ## Accept today's output as the golden files under tests/golden; look at the diff afterwards
	$(BIN)/python -m pytest --accept-golden $(PYTEST_ARGS)

clean: ## Remove the environment, caches and builds; studies are kept
	rm -rf $(VENV) $(CAPS) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
	find hpsearch tests -name __pycache__ -type d -prune -exec rm -rf {} +
