//go:build tools

// Package helm4 pins the stock helm 4 that charts are tested with.
// Its import is a program, so it is never compiled: it is here for `go mod tidy`.
package helm4

import _ "helm.sh/helm/v4/cmd/helm"
