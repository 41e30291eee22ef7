package cli

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/fleet"
)

// environment is what every command works with.
type environment struct {
	genericiooptions.IOStreams
	clock    clock.WithTicker
	getenv   func(string) string
	config   *genericclioptions.ConfigFlags
	renderer func() (*fleet.Renderer, error)
	program  string
	debug    bool
}

func newEnvironment(streams genericiooptions.IOStreams, options Options) *environment {
	slots := make(chan struct{}, writesAtOnce)
	config := genericclioptions.NewConfigFlags(true).
		WithWrapConfigFn(func(c *rest.Config) *rest.Config {
			c.QPS, c.Burst = requestsPerSecond, requestBurst
			c.Wrap(func(next http.RoundTripper) http.RoundTripper {
				return &gentle{next: next, slots: slots, clock: options.Clock}
			})
			return c
		})
	return &environment{
		IOStreams: streams,
		clock:     options.Clock,
		getenv:    options.Getenv,
		config:    config,
		renderer:  sync.OnceValues(fleet.New),
		program:   programName(options.Program),
	}
}

// addFlags adds the flags every command has. Those of kubectl that few people
// need are accepted, and left out of the help.
func (e *environment) addFlags(flags *pflag.FlagSet) {
	e.config.AddFlags(flags)
	shown := map[string]bool{"kubeconfig": true, "context": true, "namespace": true}
	flags.VisitAll(func(flag *pflag.Flag) {
		flag.Hidden = !shown[flag.Name]
	})
	flags.BoolVar(&e.debug, "debug", false, "say on stderr what Helm does")
}

// namespace gives the namespace of -n, or that of the kubeconfig's context.
func (e *environment) namespace() (string, error) {
	namespace, _, err := e.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("reading the namespace from the kubeconfig: %w", err)
	}
	return namespace, nil
}

// namespaceFlag gives the value of -n, or nothing.
func (e *environment) namespaceFlag() string {
	return *e.config.Namespace
}

// quieten keeps client-go's own log away from a person who reads the same news
// in an error, unless it is asked for.
func (e *environment) quieten() {
	if !e.debug {
		klog.SetLogger(logr.Discard())
	}
}

// say writes a line for the person at the terminal.
func (e *environment) say(format string, args ...any) {
	fmt.Fprintf(e.ErrOut, format+"\n", args...)
}

// warn writes a line that should not be overlooked.
func (e *environment) warn(format string, args ...any) {
	e.say("%s %s", e.palette(e.ErrOut).Yellow("warning:"), fmt.Sprintf(format, args...))
}

func (e *environment) palette(out any) output.Palette {
	return output.NewPalette(out, e.getenv("NO_COLOR"))
}
