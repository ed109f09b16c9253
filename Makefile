# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PREFIX ?= /usr/local
DESTDIR ?=
kfm := .build/release/kfm
swift_files := Package.swift Sources Tests $(wildcard Benchmarks)
core := Base|Events|Observability|UringIO|HTTP|Iggy|LogBroker|VectorIndex|AgentEngine|Architecture

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Install, build, fetch the models, start a node and ask it one question
	@scripts/run.sh

.PHONY: test
test: ## Run every test, in release
	@scripts/test.sh

.PHONY: test-outside
test-outside: build ## Build and measure a package that depends on this one by a version tag
	@Tests/Outside/outside.sh

.PHONY: test-arm64
test-arm64: ## Compile the vector index's arm64 kernels and run their test in an emulator
	@Tests/Arm64/arm64.sh

.PHONY: check
check: format-lint ## Formatting, house rules and the core's tests; five minutes at most
	@scripts/build.sh --tests
	@env -u SWIFT_DETERMINISTIC_HASHING swift test -c release --skip-build --disable-xctest --filter '^($(core))Tests\.'

.PHONY: lint
lint: format-lint ## Formatting and house rules (module order, lengths, banned calls)
	@scripts/build.sh --tests
	@env -u SWIFT_DETERMINISTIC_HASHING swift test -c release --skip-build --disable-xctest --filter '^ArchitectureTests\.'

.PHONY: sanitize
sanitize: ## The event loop's tests under the thread and address sanitizers
	@scripts/sanitize.sh

.PHONY: format-lint
format-lint:
	@swift format lint --strict --parallel --recursive $(swift_files)

.PHONY: format
format: ## Format the Swift sources in place
	@swift format format --in-place --parallel --recursive $(swift_files)

.PHONY: build
build: ## Build the release program
	@scripts/build.sh

.PHONY: model
model: ## Fetch the small local models into .models
	@scripts/model.sh

.PHONY: install
install: build ## Install kfm and the sample packs under PREFIX (/usr/local)
	install -D -m 755 $(kfm) $(DESTDIR)$(PREFIX)/bin/kfm
	install -d $(DESTDIR)$(PREFIX)/share/kfm
	git rev-parse HEAD >$(DESTDIR)$(PREFIX)/share/kfm/commit 2>/dev/null || rm -f $(DESTDIR)$(PREFIX)/share/kfm/commit
	rm -rf $(addprefix $(DESTDIR)$(PREFIX)/share/kfm/personalities/,$(notdir $(wildcard personalities/*)))
	install -d $(DESTDIR)$(PREFIX)/share/kfm/personalities
	cp -R --no-preserve=ownership personalities/. $(DESTDIR)$(PREFIX)/share/kfm/personalities/

.PHONY: prove
prove: ## Prove what the log promises, in full; takes hours (ROUNDS, SEED)
	@scripts/prove.sh

.PHONY: bench-turn
bench-turn: build ## Measure what a turn costs, beside a minimal C relay
	@Benchmarks/bench-turn.sh

.PHONY: bench-vec
bench-vec: build ## Measure the vector index beside other libraries from PyPI
	@Benchmarks/bench-vec.sh $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: bench-ring
bench-ring: build ## Measure sockets, TLS and wake-ups of the loop, beside the same in C
	@Benchmarks/bench-ring.sh

.PHONY: bench-log
bench-log: build ## Measure appends to the log, beside the same in C
	@Benchmarks/bench-log.sh $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: bench-envelope
bench-envelope: build ## Measure finding fields and checking events, beside simdjson
	@Benchmarks/bench-envelope.sh $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: flame
flame: build ## Record the node under load and draw perf/out/flame.svg
	@perf/flame.sh

.PHONY: clean
clean: ## Remove what was built; data and models stay
	rm -rf .build .venv-test perf/out Benchmarks/out
