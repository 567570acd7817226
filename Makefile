# `make demo` and `make test` set up all they need. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
MEMBERS := $(wildcard libs/*) $(wildcard services/*) dev
# Each process has a control plane and servers of its own; a file's tests share one.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
export UV_PYTHON_DOWNLOADS := never

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): requirements.lock pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS)) dev/bootstrap.sh
	@bash dev/bootstrap.sh "$(VENV)" requirements.lock $(MEMBERS)
	@touch $@

.PHONY: setup
setup: $(STAMP) ## create .venv with everything the workspace needs

.PHONY: demo
demo: $(STAMP) ## start everything, take two claims from manifest to connection, clean up
	@$(PY) -m conductor_dev demo

.PHONY: up
up: $(STAMP) ## start the environment and leave it running
	@$(PY) -m conductor_dev up

.PHONY: down
down: $(STAMP) ## stop what `make up` started
	@$(PY) -m conductor_dev down

.PHONY: test
test: $(STAMP) ## all tests, the integration tests on real parts
	@$(PY) -m conductor_dev build control-plane helm
	@$(PY) -m pytest $(PARALLEL)

.PHONY: test-unit
test-unit: $(STAMP) ## the tests that need no part started
	@$(PY) -m pytest -m "not integration"

.PHONY: test-faults
test-faults: $(STAMP) ## kill, freeze and cut everything until KILLS (200) are done; SEED (1) replays a run
	@$(PY) -m conductor_dev build control-plane helm
	@CONDUCTOR_FAULT_KILLS="$(or $(KILLS),200)" CONDUCTOR_FAULT_SEED="$(or $(SEED),1)" \
		$(PY) -m pytest -s tests/faults

.PHONY: soak
soak: $(STAMP) ## claims come and go with faults for MINUTES (60): nothing grows; SEED (1) replays
	@$(PY) -m conductor_dev build control-plane helm
	@PYTHONPATH=. $(PY) tests/faults/soak.py --minutes "$(or $(MINUTES),60)" --seed "$(or $(SEED),1)"

.PHONY: test-model
test-model: $(STAMP) ## live HISTORIES (5000) of the pure cores on a model of the API server, and break each core once
	@CONDUCTOR_MODEL_HISTORIES="$(or $(HISTORIES),5000)" $(PY) -m pytest tests/model

.PHONY: test-fuzz
test-fuzz: $(STAMP) ## apply COUNT (2000) bad manifests to everything running; SEED (1) replays a run
	@$(PY) -m conductor_dev build control-plane helm
	@CONDUCTOR_FUZZ_COUNT="$(or $(COUNT),2000)" CONDUCTOR_FUZZ_SEED="$(or $(SEED),1)" \
		$(PY) -m pytest -s tests/fuzz

.PHONY: conformance
conformance: $(STAMP) ## kill every driver at every step, and 1,000 times at random: docs/conformance.md; DRIVER=TestS3 for one
	@$(PY) -m pytest services examples -m conformance -k "$(or $(DRIVER),Test)" \
		--conformance-kills 1000 --conformance-report docs/conformance.md

.PHONY: lint
lint: $(STAMP) ## format, lint, types, layers, generated files, forbidden hosts
	@bash dev/lint.sh "$(VENV)"

.PHONY: format
format: $(STAMP) ## rewrite the sources as `make lint` wants them
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

.PHONY: crds
crds: $(STAMP) ## generate the CRDs and their reference from the models
	@$(PY) -m conductor_model.crds deploy/helm/conductor-crds/templates
	@$(PY) -m conductor_model.reference docs/api-reference.md
	@PYTHONPATH=examples/provisioner-filesystem/src $(PY) -m conductor_provisioner.chart \
		examples/provisioner-filesystem/chart --name filesystem-provisioner --module provisioner_filesystem \
		--kinds provisioner_filesystem.kinds:KINDS

.PHONY: manifests
manifests: $(STAMP) ## render the charts with the real helm into deploy/manifests
	@$(PY) -m conductor_dev manifests deploy/manifests

.PHONY: lock
lock: $(STAMP) ## resolve the dependencies anew into requirements.lock
	@bash dev/lock.sh "$(VENV)" $(MEMBERS)

.PHONY: bench
bench: $(STAMP) ## measure: bursts, arrivals, one claim, idleness, deletion, the raw ceiling; OPTIONS=--help
	@$(PY) -m benchmarks $(OPTIONS)

.PHONY: bench-provisioner
bench-provisioner: $(STAMP) ## measure: provisioner replicas, a thousand resources at once
	@$(PY) -m benchmarks provisioner

.PHONY: bench-scheduler
bench-scheduler: $(STAMP) ## measure: decisions per second, memory, a fitting resource that appears
	@$(PY) -m benchmarks.scheduler

RESULTS := benchmarks/results
.PHONY: bench-results
bench-results: $(STAMP) ## measure everything, half an hour; rewrite benchmarks/results and the documents
	@$(PY) -m benchmarks --only ceiling,alone,burst,idle,deletion,arrivals,many --json $(RESULTS)/claims.json
	@$(PY) -m benchmarks --cloud moto --only alone,burst --claims 100 --json $(RESULTS)/aws-stand-in.json
	@$(PY) -m benchmarks provisioner --json $(RESULTS)/provisioner.json
	@$(PY) -m benchmarks.scheduler --json $(RESULTS)/scheduler.json
	@$(PY) -m benchmarks document
