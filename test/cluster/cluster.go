package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster/node"
	"wukong.io/wukong/test/cluster/program"
)

// startTimeout bounds Start where its context does not, once the programs are built.
const startTimeout = 5 * time.Minute

// Cluster is a control plane that runs.
type Cluster struct {
	// Config reaches the API server as an administrator.
	Config *rest.Config
	// Kubeconfig is a file with the same access.
	Kubeconfig string
	// Dir holds the cluster's state, LogDir a log for each program.
	Dir    string
	LogDir string
	// VolumeRoot is where the driver of ClassFast and ClassLate keeps volumes and snapshots; Disk finds the file of one claim.
	VolumeRoot string
	// Binaries are the programs, for a test that wants to run kubectl or virtctl.
	Binaries Binaries
	// Freeze is the part of virt-handler that freezes guests: it writes down what it sees, and can be told to fail. It is nil
	// without KubeVirt or nodes.
	Freeze *node.FreezeServer
	// Proxy is an HTTPS proxy through which the Services of Pods that are Programs are reached under their names in the
	// cluster. Programs find it in their environment; a test sets it in its transport. It is nil without nodes.
	Proxy *url.URL
	// Warnings say what does not work on this machine.
	Warnings []string

	dirs       folders
	access     access
	client     client.Client
	ports      *ports
	supervisor *supervisor
	standIns   *standIns
	programs   *program.Runner
}

// bootstrap is what the steps of Start share.
type bootstrap struct {
	options    Options
	dirs       folders
	bin        Binaries
	ca         *authority
	access     access
	apiPort    int
	ports      *ports
	supervisor *supervisor
	standIns   *standIns
	standInLog logr.Logger
	admin      *rest.Config
	client     client.Client
	clock      clock.PassiveClock
	started    time.Time
	saying     sync.Mutex // steps that run side by side write to one log
	warnings   []string
	mountErr   error // why processes cannot mount anything here

	// kubevirt is what virt-operator would install, by what has to be created when.
	kubevirt kubeVirtObjects
	virtPort int
	// handlerPort is where the stand-in for virt-handler listens, controllerPort where virt-controller does.
	freeze         *node.FreezeServer
	programs       *program.Runner
	proxy          *url.URL
	handlerPort    int
	controllerPort int
}

// Start builds what is missing, starts a cluster and returns when every part of it has answered. What the stand-ins say goes to
// a log, but controller-runtime itself complains on stderr where the program has not called its SetLogger.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	bin, err := Build(ctx, options.Log, options.modules()...)
	if err != nil {
		return nil, err
	}
	dirs, err := options.folders()
	if err != nil {
		return nil, err
	}
	b, err := newBootstrap(options, dirs, bin)
	if err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := b.run(starting); err != nil {
		return nil, b.abort(err, errors.Is(ctx.Err(), context.Canceled))
	}
	return b.cluster(), nil
}

// modules are those that the options call for.
func (o Options) modules() []string {
	names := []string{ModuleKubernetes}
	if !o.NoKubeVirt {
		names = append(names, ModuleKubeVirt)
	}
	if !o.NoStorage {
		names = append(names, ModuleProvisioner, ModuleSnapshotter)
	}
	return names
}

func newBootstrap(options Options, dirs folders, bin Binaries) (*bootstrap, error) {
	clk := clock.RealClock{}
	ca, err := newAuthority("wukong-ca", clk)
	if err != nil {
		return nil, err
	}
	ports, err := newPorts()
	if err != nil {
		return nil, err
	}
	b := &bootstrap{
		options:    options,
		dirs:       dirs,
		bin:        bin,
		ca:         ca,
		ports:      ports,
		supervisor: newSupervisor(dirs.logs),
		clock:      clk,
		started:    clk.Now(),
	}
	b.standIns = newStandIns(b.supervisor)
	if b.standInLog, err = newStandInLog(dirs.logs); err != nil {
		return nil, err
	}
	for _, port := range []*int{&b.apiPort, &b.virtPort, &b.controllerPort, &b.handlerPort} {
		if *port, err = ports.take(); err != nil {
			return nil, err
		}
	}
	b.access = access{url: "https://" + loopback(b.apiPort), ca: ca, certs: dirs.certs}
	if !options.NoKubeVirt && !options.NoNode {
		b.freeze, err = b.newFreezeServer()
	}
	return b, err
}

// run takes the steps in order. A program that ends meanwhile ends the start with its own last words.
func (b *bootstrap) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-b.supervisor.failed:
			cancel(err)
		case <-ctx.Done():
		}
	}()
	for _, stage := range b.stages() {
		if err := stage(ctx); err != nil {
			if cause := context.Cause(ctx); cause != nil && !isContextError(cause) {
				return cause
			}
			return fmt.Errorf("%w\n%s", err, b.supervisor.lastWords())
		}
	}
	return nil
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// stages are taken one after the other, the steps of each side by side.
func (b *bootstrap) stages() []step {
	o := b.options
	return []step{
		b.told("etcd and the API server answer", b.bringUpAPIServer),
		together(
			b.told("all definitions are served", b.installDefinitions),
			b.installNamespaces,
		),
		together(
			// Not earlier: its garbage collector looks only every 30 s whether there are new kinds.
			b.told("kube-controller-manager runs", b.startControllerManager),
			unless(o.NoKubeVirt, b.told("virt-api and virt-controller run", b.startKubeVirt)),
			unless(o.NoStorage, b.told("the storage drivers and their sidecars run", b.startStorage)),
			unless(o.NoCDI, b.told("the importer runs", b.startCDI)),
			unless(o.NoNode, b.told("the nodes run", b.startNode)),
		),
		together(
			b.told("kube-controller-manager makes accounts", b.awaitControllerManager),
			unless(o.NoKubeVirt, b.told("virt-api admits machines", b.registerVirtAPI)),
			unless(o.NoKubeVirt, b.told("virt-controller leads", b.awaitVirtController)),
			unless(o.NoStorage, b.told("volumes and snapshots are made", b.probeStorage)),
			unless(o.NoStorage || o.NoCDI, b.told("disks are made", b.probeCDI)),
		),
	}
}

// step is a part of Start.
type step func(context.Context) error

// unless leaves a step out.
func unless(skip bool, run step) step {
	if skip {
		return func(context.Context) error { return nil }
	}
	return run
}

// told reports when a step is done.
func (b *bootstrap) told(done string, run step) step {
	return func(ctx context.Context) error {
		if err := run(ctx); err != nil {
			return fmt.Errorf("waiting until %s: %w", done, err)
		}
		b.say("%6.1fs  %s", b.clock.Since(b.started).Seconds(), done)
		return nil
	}
}

// together runs steps side by side.
func together(steps ...step) step {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range steps {
			group.Go(func() error { return run(ctx) })
		}
		return group.Wait()
	}
}

func (b *bootstrap) bringUpAPIServer(ctx context.Context) error {
	if b.mountErr = tryMounting(ctx, b.dirs.kubevirt); b.mountErr != nil {
		b.warn("VirtualMachineExports are refused, and the programs of Pods do not run: %v", b.mountErr)
	}
	if err := b.writeCertificates(); err != nil {
		return err
	}
	if err := b.startKubernetes(ctx); err != nil {
		return err
	}
	admin, err := b.access.config(identity{user: adminUser, groups: []string{groupMasters}})
	if err != nil {
		return err
	}
	b.admin = admin
	if err := writeKubeconfig(b.cert("admin.kubeconfig"), admin); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	if err := awaitAPIServer(ctx, admin); err != nil {
		return err
	}
	b.client, err = newClient(admin)
	return err
}

func (b *bootstrap) installDefinitions(ctx context.Context) error {
	definitions, err := b.definitions()
	if err != nil {
		return err
	}
	return installDefinitions(ctx, b.admin, b.client, definitions)
}

func (b *bootstrap) definitions() ([]*unstructured.Unstructured, error) {
	definitions, err := embeddedDefinitions()
	if err != nil {
		return nil, err
	}
	if !b.options.NoKubeVirt {
		if err := b.readKubeVirt(); err != nil {
			return nil, err
		}
		definitions = append(definitions, b.kubevirt.definitions...)
	}
	if !b.options.NoCDI {
		cdi, err := cdiDefinitions()
		if err != nil {
			return nil, err
		}
		definitions = append(definitions, cdi...)
	}
	return definitions, nil
}

func (b *bootstrap) installNamespaces(ctx context.Context) error {
	return createAll(ctx, b.client, namespace(KubeVirtNamespace), namespace(CDINamespace))
}

func (b *bootstrap) cluster() *Cluster {
	return &Cluster{
		Config:     b.admin,
		Kubeconfig: b.cert("admin.kubeconfig"),
		Dir:        b.dirs.root,
		LogDir:     b.dirs.logs,
		VolumeRoot: b.dirs.volumeRoot(DriverFast),
		Binaries:   b.bin,
		Freeze:     b.freeze,
		Proxy:      b.proxy,
		Warnings:   b.warnings,
		dirs:       b.dirs,
		access:     b.access,
		client:     b.client,
		ports:      b.ports,
		supervisor: b.supervisor,
		standIns:   b.standIns,
		programs:   b.programs,
	}
}

// abort ends what has been started. It keeps the logs, unless the caller has changed its mind.
func (b *bootstrap) abort(cause error, unwanted bool) error {
	c := b.cluster()
	ctx := context.Background() // the caller's context may be what ended the start
	if unwanted {
		return errors.Join(context.Canceled, c.Stop(ctx))
	}
	return errors.Join(fmt.Errorf("starting the cluster: %w\nlogs are in %s", cause, b.dirs.logs), c.end(ctx))
}

func (b *bootstrap) say(format string, args ...any) {
	b.saying.Lock()
	defer b.saying.Unlock()
	if b.options.Log != nil {
		fmt.Fprintf(b.options.Log, format+"\n", args...)
	}
}

func (b *bootstrap) warn(format string, args ...any) {
	warning := fmt.Sprintf(format, args...)
	b.warnings = append(b.warnings, warning)
	b.say("warning: %s", warning)
}

// UserConfig returns the access of a user of that name, who is in the groups and in system:authenticated.
func (c *Cluster) UserConfig(name string, groups ...string) (*rest.Config, error) {
	config, err := c.access.config(identity{user: name, groups: groups})
	if err != nil {
		return nil, fmt.Errorf("making a certificate for user %q: %w", name, err)
	}
	return config, nil
}

// Wait returns nil when ctx ends, and an error when a part of the cluster ends before that.
func (c *Cluster) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-c.supervisor.failed:
		return err
	}
}

// Stop ends the cluster and removes its folder where Start made it.
func (c *Cluster) Stop(ctx context.Context) error {
	err := c.end(ctx)
	if err == nil && c.dirs.temporary {
		err = os.RemoveAll(c.dirs.root)
	}
	return err
}

// end stops the clients before the servers that they talk to.
func (c *Cluster) end(ctx context.Context) error {
	c.standIns.cancel() // they end while the programs do
	err := errors.Join(
		c.supervisor.stop(ctx, programAPIServer, programEtcd),
		c.standIns.stop(ctx),
	)
	c.supervisor.close() // which kills what still runs of the Pods' programs
	if c.programs != nil {
		c.programs.Wait()
	}
	c.ports.release()
	return err
}
