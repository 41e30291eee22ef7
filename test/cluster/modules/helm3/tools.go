//go:build tools

// Package helm3 pins the stock helm 3 that charts are tested with.
// Its import is a program, so it is never compiled: it is here for `go mod tidy`.
package helm3

import _ "helm.sh/helm/v3/cmd/helm"
