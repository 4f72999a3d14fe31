# Shoal: build, test, measure. `make test` is what CI runs; `make quick` is for every few minutes of work.

GO      ?= go
BIN     ?= bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X main.version=$(VERSION)

# How long is long.
SCHEDULES ?= 100000
FUZZTIME  ?= 10m
LONGTIME  ?= 120m

.PHONY: run build test quick long mutants bench bench-smoke profile lint fuzz fuzz-short crosscheck cross deps clean

run: build ## build and run the program: make run ARGS="up ~/Shoal"
	$(BIN)/shoal $(ARGS)

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/shoal ./cmd/shoal

deps: ## what tests need beyond Go, installed where that is possible
	@sh ./e2e/install-tools.sh
	@CGO_ENABLED=0 GOFLAGS= GOOS= GOARCH= $(GO) -C e2e/s3server tool -n s3server >/dev/null # docs/vault-s3.md

# Units run under the race detector, which takes ten times as long: what has one goroutine (properties, big cases) runs there in small, and in full without it; the simulation and the tools of tests run without it only. Then the built program, and what changes cost.
# Only the race detector needs cgo: all else is built without it, as the program is, so that on a new machine the libraries are compiled twice and not
# three times. Vet has looked before, and test programs are linked without what a debugger wants. What waits (downloads, lines, killed processes) has
# something beside it, and packages that wait much come first.
TESTFLAGS = -vet=off -ldflags='-s -w'
test: export CGO_ENABLED = 0
test:
	$(MAKE) -j 2 deps lint crosscheck
	CGO_ENABLED=1 RAPID_CHECKS=30 $(GO) test -race -p 3 $(TESTFLAGS) -timeout 12m ./p2p ./vault $$($(GO) list ./... | grep -v '/e2e')
	$(GO) test -count=1 $(TESTFLAGS) -timeout 10m ./e2e/simulation ./e2e/bench ./e2e/lab ./e2e/mutants ./block ./folder ./folder/plan ./index ./indexexchange ./mesh ./p2p/internal/rendezvous
	$(GO) test -count=1 $(TESTFLAGS) -timeout 10m -parallel 3 ./e2e
	$(MAKE) bench-smoke

quick: ## two minutes
	$(GO) vet ./...
	$(GO) test -short -timeout 2m $$($(GO) list ./... | grep -v '/e2e$$')

long: ## everything else, for as long as it is told
	$(GO) test -count=1 -timeout $(LONGTIME) ./e2e/simulation -long -sim.schedules=$(SCHEDULES)
	$(GO) test -count=1 -timeout $(LONGTIME) ./e2e -long
	$(GO) test -count=1 -timeout $(LONGTIME) ./p2p/internal/rendezvous -long
	$(MAKE) cross

mutants: ## deliberate bugs, one at a time: each must be caught by a test (docs/reliability.md); ten minutes
	$(GO) run ./e2e/mutants

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./block/... ./conflict ./index/... ./folder/...
	$(GO) run ./e2e/bench

bench-smoke: ## what a block costs the allocator, and what changes cost on the wire and in records: counts, not times
	$(GO) test -count=1 $(TESTFLAGS) -run '^TestHotPaths' ./block ./blockexchange
	$(GO) run ./e2e/bench -smoke

CASE ?= bigfile
profile: ## where one workload of the bench spends time and memory, at both ends: make profile CASE=gosource, then go tool pprof profiles/FILE
	rm -rf profiles && mkdir -p profiles
	SHOAL_PROFILE=$(CURDIR)/profiles $(GO) run ./e2e/bench -peers '' -only $(CASE)
	@ls profiles

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fuzz: ## every fuzz target for FUZZTIME, as many at once as there are processors
	@grep -rn --include='*_test.go' -o '^func Fuzz[A-Za-z0-9]*' . | sed 's|/[^/]*_test.go:[0-9]*:func| |' | sort | \
	xargs -P "$$(getconf _NPROCESSORS_ONLN)" -L 1 sh -c ' \
		out=$$($(GO) test -run "^$$" -fuzz "^$$1\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x -parallel 1 -timeout 0 "$$0" 2>&1) && \
			echo "$$0 $$1: $$(echo "$$out" | grep execs: | tail -n 1 | sed "s/^fuzz: //")" || { echo "$$0 $$1: $$out"; exit 1; }'

fuzz-short: ## every fuzz target for 3 seconds; their corpora run with every test
	$(MAKE) fuzz FUZZTIME=3s

crosscheck: ## the other systems pass the compiler's checks and vet's; seconds
	$(GO) run ./e2e/crosscheck

cross: ## the other systems build and vet; minutes when nothing is cached
	CGO_ENABLED=0 GOOS=darwin  GOARCH=arm64 $(GO) vet ./...
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) vet ./...
	CGO_ENABLED=0 GOOS=android GOARCH=arm64 $(GO) vet ./...
	CGO_ENABLED=0 GOOS=darwin  GOARCH=arm64 $(GO) build -o /dev/null ./cmd/shoal
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./cmd/shoal
	CGO_ENABLED=0 GOOS=android GOARCH=arm64 $(GO) build -ldflags=-checklinkname=0 -o /dev/null ./cmd/shoal

clean:
	rm -rf $(BIN)
