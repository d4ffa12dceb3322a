# make run: a search with a simulated user.   make human: one with you.   make test: the tests.   All set up .venv by
# themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: run human test check tensorboard clean

run: $(STAMP)
	@echo "Searching for a portrait by asking which of two is nearer to it …"
	@$(BIN)/python -m agents.particles --config configs/agents/particles.yaml

human: $(STAMP)
	@echo "A page will open, on which you answer which of two pictures is nearer to what you have in mind …"
	@$(BIN)/python -m agents.particles --config configs/agents/human.yaml

test: $(STAMP)
	@echo "Running the tests …"
	@$(BIN)/python -m pytest --numprocesses 2

check: $(STAMP)
	@echo "Checking style and types …"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

tensorboard: $(STAMP)
	@$(BIN)/tensorboard --logdir runs --samples_per_plugin images=1000,audio=1000

clean:
	rm -rf $(VENV) build dist *.egg-info

# The stamp is as old as the environment: a changed pyproject.toml makes it stale.
$(STAMP): pyproject.toml
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): downloads PyTorch and others, a few minutes the first time …"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11 to 3.13 is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)
	@echo "… $(VENV) is ready."
