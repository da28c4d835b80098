PYTHON ?= $(shell command -v python3.11 || command -v python3)
DEVICE ?= $(shell nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
FBGEMM := $(if $(filter cuda,$(DEVICE)),fbgemm-gpu,fbgemm-gpu-cpu)
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
STAMP := .venv/installed-$(DEVICE)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-faults test-gpu lint format bench-speed quality-ml100k quality-ml1m quality-slates clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 16

setup: $(STAMP) ## Make .venv and install the pinned set (CUDA build where nvidia-smi answers)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e '.[$(DEVICE),dev]'
	$(BIN)/python -m pip install -c constraints.txt --no-deps torchrec $(FBGEMM)
	touch $@

demo: $(STAMP) ## Train and evaluate on MovieLens-100K, from raw data to report
	$(BIN)/recsys train experiment=rere/movielens_100k

test: $(STAMP) ## Run the tests that need neither long nor a GPU (minutes; the slowest 15 are listed)
	$(PYTEST) -m 'not slow and not gpu and not faults' --durations=15

test-slow: $(STAMP) ## Run the tests marked slow (ten minutes at most)
	$(PYTEST) -m 'slow and not gpu and not faults' --durations=15

test-faults: $(STAMP) ## Kill, damage and move runs, read hostile ones (some five minutes)
	timeout 900 env $(PYTEST) -m faults --durations=15

test-gpu: $(STAMP) ## Run the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

lint: $(STAMP) ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: $(STAMP) ## Lay out the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench-speed: $(STAMP) ## Time the hot paths against other libraries
	$(BIN)/python benchmarks/speed/run.py

quality-ml100k: EXPERIMENT = movielens_100k_starts
quality-ml100k: $(STAMP) ## Train on MovieLens-100K with three seeds, from both starts (an hour; run again to go on)
	$(QUALITY)

quality-ml1m: EXPERIMENT = movielens_1m
quality-ml1m: $(STAMP) ## Train on MovieLens-1M with three seeds (hours; run again to go on)
	$(QUALITY)

quality-slates: $(STAMP) ## Train slate models in five planted worlds (a quarter of an hour; run again to go on)
	mkdir -p runs/quality/slates
	printf '%s\n' 0 1 2 3 4 | OMP_NUM_THREADS=1 xargs -P 3 -I SEED sh -c '$(BIN)/recsys train experiment=slate/simulated \
	  seed=SEED run=runs/quality/slates/seed_SEED >> runs/quality/slates/seed_SEED.log 2>&1'
	$(BIN)/python benchmarks/quality/slate_seeds.py runs/quality/slates/seed_? --write benchmarks/quality/slates.md

define QUALITY
mkdir -p runs/quality/$(EXPERIMENT)
@echo "three seeds side by side, one thread each; watch runs/quality/$(EXPERIMENT)/seed_*.log"
printf '%s\n' 0 1 2 | OMP_NUM_THREADS=1 xargs -P 3 -I SEED sh -c '$(BIN)/recsys train experiment=rere/$(EXPERIMENT) \
  seed=SEED run=runs/quality/$(EXPERIMENT)/seed_SEED >> runs/quality/$(EXPERIMENT)/seed_SEED.log 2>&1'
$(BIN)/python benchmarks/quality/seeds.py runs/quality/$(EXPERIMENT)/seed_? \
  --title $(EXPERIMENT) --write benchmarks/quality/$(EXPERIMENT).md
endef

clean: ## Remove the environment and caches; data and runs stay
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
