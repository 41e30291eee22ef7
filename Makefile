# Every target works from a plain checkout with Go: what it needs is built once and cached.
GOLANGCI      = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
API_LINTER    = go run sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter@v0.0.0-20260716143926-092fe0c72997
CRD_REF_DOCS  = go run github.com/elastic/crd-ref-docs@v0.3.0
GOVULNCHECK   = go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
HELM          = CGO_ENABLED=0 go -C test/cluster/modules/helm3 run helm.sh/helm/v3/cmd/helm
HELM_UNITTEST = go -C test/helm-unittest tool helm-unittest

CHARTS    = $(addprefix $(CURDIR)/charts/,vm-library vm-fleet wukong)
UNIT      = $(addsuffix /...,./charts ./cmd ./hack ./pkg ./templates ./webhook ./test/badinput ./test/conformance ./test/fleettest ./test/world)
E2E       = $(addsuffix /...,./test/cluster ./test/e2e ./test/admission)
GENERATED = pkg/apis/wukong/v1alpha1/zz_generated.deepcopy.go charts/vm-fleet/values.yaml charts/vm-fleet/values.schema.json charts/wukong/files \
  docs/reference docs/cli docs/catalogue

.DEFAULT_GOAL = help
.PHONY: help demo cluster build chart generate verify fmt lint \
  lint-api test test-unit test-race test-charts test-e2e test-update bench vulncheck

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## start a control plane, install fleets of every disk source, watch them run
	go run ./test/demo

cluster: ## start a control plane, print its kubeconfig, stay up
	go run ./test/cluster/cmd/wukong-cluster

build: ## build the command line into bin/, also as kubectl's plugin
	go build -o bin/ ./cmd/...
	ln -sf wukong bin/kubectl-wukong

chart: ## package the charts into dist/
	$(HELM) package --destination $(CURDIR)/dist $(CHARTS)

generate: ## write everything that follows from the Go types, the commands and the catalogue
	go -C hack/generate run . -root ../..
	$(CRD_REF_DOCS) --log-level=ERROR --source-path=pkg/apis --config=hack/crd-ref-docs.yaml --renderer=markdown \
	  --output-path=docs/reference/api.md
	go run ./hack/docs docs/cli
	go run ./hack/catalogue docs/catalogue

verify: generate ## fail when anything generated, or a go.mod, is stale
	git diff --exit-code -- $(GENERATED)
	@! git ls-files --others --exclude-standard -- $(GENERATED) | sed 's/^/not committed: /' | grep .
	go mod tidy -diff
	go -C hack/generate mod tidy -diff

fmt: ## format the code
	$(GOLANGCI) fmt

lint: ## check the code and the charts
	$(GOLANGCI) run ./...
	cd hack/generate && $(GOLANGCI) run --config ../../.golangci.yml ./...
	$(HELM) lint --strict $(CHARTS)

lint-api: ## check the API types against Kubernetes' conventions; builds a second linter, so CI does not
	$(API_LINTER) run --config .golangci-kal.yml ./pkg/apis/...

test: test-unit test-race test-charts test-e2e ## run every test

test-unit: ## run what needs no control plane
	@date '+%T $@'
	go vet ./...
	go test -timeout 30m $(UNIT)
	go -C hack/generate test ./...

test-race: ## run what has goroutines under the race detector
	@date '+%T $@'
	go test -race -short ./pkg/... ./webhook/... ./test/cluster/csidriver/...

test-charts: ## run the charts' own tests
	@date '+%T $@'
	$(HELM_UNITTEST) $(CURDIR)/charts/vm-fleet $(CURDIR)/charts/wukong

test-e2e: ## run what needs a control plane
	@date '+%T $@'
	go test -v -p 1 -timeout 60m $(E2E)

test-update: ## write the goldens anew; read the diff
	go test -short ./pkg/fleet ./pkg/cli -update

bench: ## measure, and print name, value, unit, peer's value and ratio
	go run ./test/bench

vulncheck: ## look for known vulnerabilities; needs vuln.go.dev, so CI does not run it
	$(GOVULNCHECK) ./...
