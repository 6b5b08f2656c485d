# Everything runs in .venv, made here on first use; `make` alone lists the targets.

# python3.11 where it is on PATH and starts, else python3; override with `make PYTHON=...`.
PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
# Left behind only by a complete install; older than setup.cfg or pyproject.toml means: again.
STAMP := .venv/.installed

# Keep TensorFlow's start-up notices out of the output.
export TF_CPP_MIN_LOG_LEVEL ?= 3
# tfgen runs on TensorFlow only, whatever the user's own Keras settings say.
export KERAS_BACKEND := tensorflow

.DELETE_ON_ERROR:
.PHONY: help setup test test-all lint format demo docs docs-serve notebooks dist clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

setup: $(STAMP)  ## make .venv and install tfgen with its development tools

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"tfgen needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0])'
	@echo "Making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@echo "Installing tfgen and its requirements into .venv (TensorFlow is large: some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' \
		--config-settings editable_mode=compat
	@touch $@
	@echo "Ready: .venv"

lint: setup  ## check the code's style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

PYTEST = $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

test: lint  ## style, tests and docstring examples
	$(PYTEST) -m 'not slow'

test-all: lint  ## the same with the slow tests
	$(PYTEST)

format: setup  ## put the code in style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

demo: setup  ## train a small Glow on Fashion-MNIST, and draw from it and from trained presets
	$(BIN)/tfgen train Glow --data fashion_mnist_small --preset glow_fashion_mnist_small --out runs/demo
	$(BIN)/tfgen sample gan_fashion_mnist --seed 0 --out runs/demo/trained_gan.png
	$(BIN)/tfgen sample glow_mnist --temperature 0.7 --seed 0 --out runs/demo/trained_glow.png

dist: setup  ## build a wheel in dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

docs: notebooks  ## build the documentation into docs/_build/html; runs the code of changed pages
	$(BIN)/python -m sphinx -W --keep-going -n docs docs/_build/html

docs-serve: docs  ## the same, and serve it at http://localhost:8000
	$(BIN)/python -m http.server --directory docs/_build/html

notebooks: setup  ## write the .ipynb of the texts in docs/notebooks
	$(BIN)/python docs/write_notebooks.py

clean:  ## remove .venv, builds and caches (runs/ stays)
	rm -rf .venv build dist docs/_build docs/api *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
