// Command docs writes a page for every command of wukong.
//
//	go run ./hack/docs docs/cli
//
// The folder belongs to it: a page whose command is gone is removed.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra/doc"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"wukong.io/wukong/pkg/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: docs DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// run writes the pages. The command sees no environment, so that they are the
// same on every machine.
func run(dir string) error {
	streams := genericiooptions.NewTestIOStreamsDiscard()
	command := cli.New(streams, cli.Options{
		Program: "wukong",
		Clock:   clock.RealClock{},
		Getenv:  func(string) string { return "" },
	})
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return doc.GenMarkdownTree(command, dir)
}
