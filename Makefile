# Every task makes the virtual environment it needs; a bare machine needs Python >= 3.11 and make.
PYTHON ?= python3
PORT ?= 8888
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SETTINGS := $(VENV)/share/jupyter/lab/settings/overrides.json
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)
# Two workers: the tests are written for two cores, and proxies and browsers need the rest of a bigger machine.
WORKERS ?= 2
# Of the chaos for chatkit; the comparison takes a fifth of it for each of the others.
SOAK_SECONDS ?= 600

.PHONY: notebook console test test-package test-notebooks check bench bench-diagnosis bench-ui docs pictures soak lock clean

notebook: $(INSTALLED)
	$(BIN)/jupyter lab $(ROOT_FLAG) --ServerApp.ip=127.0.0.1 --ServerApp.port=$(PORT) --ServerApp.port_retries=0 \
	  --ServerApp.root_dir=notebooks --LabApp.default_url=/lab/tree/00_start_here.ipynb $(JUPYTER_FLAGS)

# Opens no browser: open the address that is printed. Settings and template: docs/dashboard.
console: $(INSTALLED)
	JUPYTER_PATH=$(CURDIR)/docs/dashboard JUPYTER_CONFIG_PATH=$(CURDIR)/docs/dashboard \
	  $(BIN)/voila notebooks/console.ipynb --port=$(PORT) $(VOILA_FLAGS)

test: test-package test-notebooks

test-package: $(INSTALLED)
	$(BIN)/python -m pytest tests -n $(WORKERS) --dist loadfile

test-notebooks: $(INSTALLED)
	$(BIN)/python -m pytest notebooks --nbval --nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout 60 \
	  -n $(WORKERS) --dist loadfile -o filterwarnings=default

check: $(INSTALLED)
	$(BIN)/ruff format --check chatkit tests docs
	$(BIN)/ruff check chatkit tests docs
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py tests/test_budget.py

bench: $(INSTALLED)
	$(BIN)/python -m tests.bench

bench-diagnosis: $(INSTALLED)
	$(BIN)/python -m tests.bench.diagnosis

bench-ui: $(INSTALLED)
	$(BIN)/python -m tests.bench.ui

docs: $(INSTALLED)
	$(BIN)/python docs/gallery.py

pictures: $(INSTALLED)
	$(BIN)/python docs/pictures.py

soak: $(INSTALLED)
	$(BIN)/python -m tests.soak --seconds $(SOAK_SECONDS)

lock: $(INSTALLED)
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --upgrade --no-header --no-annotate \
	  --no-emit-index-url --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) docs/_site .mypy_cache .ruff_cache .hypothesis

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "chatkit needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@mkdir -p $(dir $(SETTINGS))
	@printf '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}\n' > $(SETTINGS)
	@touch $@
