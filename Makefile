# equic-bench. `make` lists the targets.

GO      ?= go
BIN     := bin
NAMES   := equic-bench equic-server equic-client equic-flood equic-probe equic-gateway
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FLAGS   := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
LINT    := $(GO) tool -modfile=tools.mod golangci-lint

# The command line's tests run whole trials and want the machine to themselves:
# last, and alone.
TRIALS  := ./cmd/equic-bench

# The report's tests draw hundreds of figures: under the race detector they take
# six minutes in place of one. Only its reading has two goroutines, and a few tests
# read all that there is to read without drawing.
# The pure packages have one goroutine only.
DRAWN   := ./report/...
BESIDE  := Broken|Benchmark
PURE    := ./compare ./doctor ./host ./scenarios ./stats

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## static binaries in bin/
	@mkdir -p $(BIN)
	CGO_ENABLED=0 $(GO) build $(FLAGS) -o $(BIN)/ $(addprefix ./cmd/,$(NAMES))

# The short loop. Go tests again only what has changed.
.PHONY: check
check: build ## build, vet, lint, and all tests that need neither root nor an engine (a minute)
	$(GO) vet ./...
	$(LINT) run
	$(GO) test -short ./...

.PHONY: test
test: build ## all tests (root and a Docker engine are needed for most of them)
	$(GO) test -race $$($(GO) list ./... | grep -v -e '/cmd/equic-bench$$' -e /report $(PURE:.%=-e %))
	$(GO) test -race -run '$(BESIDE)' $(DRAWN)
	$(GO) test $(PURE) $(DRAWN)
	$(GO) test -count=1 -timeout=30m $(TRIALS)

.PHONY: demo
demo: build ## a first answer in about a minute: user space against XDP under one attack, with a plot
	$(BIN)/equic-bench run scenarios/demo.yaml --plot
	@echo "next: make bench (the paper's experiment, ten minutes), make ladder (where to turn a client away; root, five"
	@echo "minutes), or docs/servers.md for a server of your own"

.PHONY: bench
bench: build ## the paper's experiment: nine containers, three variants, figures and table
	$(BIN)/equic-bench run scenarios/paper.yaml

.PHONY: ladder
ladder: build ## where to turn a client away: five variants under two attacks, in namespaces (root; five minutes)
	$(BIN)/equic-bench run scenarios/ladder-quick.yaml --runtime netns

.PHONY: anchors
anchors: build ## published costs of dropping packets beside ours, in namespaces (root; three minutes)
	$(BIN)/equic-bench run scenarios/anchors.yaml --runtime netns
	$(BIN)/equic-bench report --all --claims anchors

.PHONY: servers
servers: ## servers of others in bin/servers/, for scenarios/servers/ (a module of their own; minutes, the first time)
	@mkdir -p $(BIN)/servers
	CGO_ENABLED=0 $(GO) build -C scenarios/servers -trimpath -o ../../$(BIN)/servers/ ./...

# The systems for which a server with the library must build.
OTHERS := darwin/arm64 windows/amd64 linux/386 linux/s390x

.PHONY: cross
cross: ## build the library for systems that it does not run on
	@for t in $(OTHERS); do echo $$t; \
		CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build ./equic ./equic/quicguard ./equic/socket || exit 1; done

.PHONY: bench-gateway
bench-gateway: ## the gateway beside Algorithm 1: time, memory, goals (root; about 4 minutes)
	@mkdir -p $(BIN)
	@$(GO) test ./equic/bench -count=1 -timeout=30m -run '^TestSpeed$$' -speed $(CURDIR)/$(BIN)/gateway.md >&2
	@cat $(BIN)/gateway.md

# Standard output is the table alone.
.PHONY: bench-report
bench-report: ## `report` on 1 and 10 million requests: time, memory, goals (5 GB of disk; about 3 minutes)
	@$(MAKE) --no-print-directory build >&2
	@$(GO) test ./report -count=1 -timeout=60m -run '^TestScale$$' -scale $(CURDIR)/$(BIN)/report.md -binary $(CURDIR)/$(BIN)/equic-bench >&2
	@cat $(BIN)/report.md

SOAK ?= 10m
.PHONY: soak
soak: ## the gateway under full load for SOAK (10m): nothing may grow (root)
	$(GO) test ./equic/bench -count=1 -timeout=24h -run '^TestSoak$$' -v -soak $(SOAK)

.PHONY: newcomer
newcomer: build ## every command of README.md and docs/operations.md, in a fresh clone (root and an engine; half an hour)
	$(GO) test $(TRIALS) -count=1 -timeout=3h -run '^TestANewcomersPath$$' -newcomer -v

.PHONY: soak-faults
soak-faults: build ## the fault matrix, twenty times in a row (root and an engine; about an hour)
	$(GO) test $(TRIALS) -count=20 -failfast -timeout=5h -run '^TestFault' -v -matrix

.PHONY: report
report: build ## draw the newest run's figures anew
	$(BIN)/equic-bench report

.PHONY: generate
generate: ## compile bpf/ (needs clang and llvm), write compose.yaml, schema.json and docs/scenario.md
	$(GO) generate ./...
	$(GO) run ./cmd/equic-bench compose scenarios/paper.yaml > compose.yaml.new
	mv compose.yaml.new compose.yaml
	$(GO) run ./cmd/equic-bench schema > scenarios/schema.json.new
	mv scenarios/schema.json.new scenarios/schema.json
	$(GO) run ./cmd/equic-bench schema --markdown > docs/scenario.md.new
	mv docs/scenario.md.new docs/scenario.md

.PHONY: simulate
simulate: ## 10,000 synthetic experiments of each kind: do the intervals cover? (4 minutes)
	$(GO) test ./stats -count=1 -timeout=20m -run 'Cover|Identical|Holm' -simulate -v

.PHONY: lint
lint: ## golangci-lint with the import rules of docs/architecture.md
	$(LINT) run

.PHONY: release
release: ## archives for amd64 and arm64 in dist/, with manual pages, SBOMs and SHA256SUMS
	.ci/release dist

.PHONY: release-check
release-check: ## make the release twice, in different folders: each byte is the same
	.ci/release-check

.PHONY: clean
clean: ## remove bin/ and dist/; `equic-bench clean` removes what a dead run left
	rm -rf $(BIN) dist
