package csidriver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"k8s.io/utils/clock"
)

// Version is what the driver reports as its vendor version.
const Version = "v1.0.0"

// Options say where the driver listens and keeps its data.
type Options struct {
	// Socket is the path of the unix socket; a file that is in the way is replaced.
	Socket string
	// Root holds the folders volumes and snapshots.
	Root string
	// Name is the driver's name, which StorageClasses give as provisioner.
	Name string
	// Capacity limits the sum of all sizes in bytes; zero is no limit.
	Capacity int64
	// NoSnapshots makes a driver that can neither take nor restore snapshots.
	NoSnapshots bool
	// Faults makes calls fail on command; nil is a driver that behaves.
	Faults *Faults
	// Observe is told each snapshot and volume the driver has made, in order, so that a test can put it
	// in line with what else it saw; nil is nobody. It must not block.
	Observe func(call, name string)
	// Clock dates what is made; nil is the system's clock.
	Clock clock.PassiveClock
}

func (o Options) validate() error {
	for field, value := range map[string]string{"Socket": o.Socket, "Root": o.Root, "Name": o.Name} {
		if value == "" {
			return fmt.Errorf("csidriver: Options.%s must be set", field)
		}
	}
	return nil
}

// Run serves the driver until ctx ends.
func Run(ctx context.Context, opts Options) error {
	if err := opts.validate(); err != nil {
		return err
	}
	d, err := newDriver(opts)
	if err != nil {
		return fmt.Errorf("opening the store %q: %w", opts.Root, err)
	}
	listener, err := listen(ctx, opts.Socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(d.faults.intercept))
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	csi.RegisterNodeServer(server, d)
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	return server.Serve(listener)
}

func listen(ctx context.Context, socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing a stale socket: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return nil, err
	}
	return (&net.ListenConfig{}).Listen(ctx, "unix", socket)
}

// driver answers the calls. Names and sources are locked one by one, so that a long copy holds up nobody else.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer

	name      string
	capacity  int64
	snapshot  bool
	volumes   *store
	snapshots *store
	faults    *Faults
	observe   func(call, name string)
	clock     clock.PassiveClock
	locks     keyedLocks
}

func newDriver(opts Options) (*driver, error) {
	volumes, err := openStore(filepath.Join(opts.Root, volumesDir))
	if err != nil {
		return nil, err
	}
	snapshots, err := openStore(filepath.Join(opts.Root, snapshotsDir))
	if err != nil {
		return nil, err
	}
	observe := opts.Observe
	if observe == nil {
		observe = func(string, string) {}
	}
	return &driver{
		name:      opts.Name,
		capacity:  opts.Capacity,
		snapshot:  !opts.NoSnapshots,
		volumes:   volumes,
		snapshots: snapshots,
		faults:    cmp.Or(opts.Faults, &Faults{}),
		observe:   observe,
		clock:     cmp.Or[clock.PassiveClock](opts.Clock, clock.RealClock{}),
		locks:     keyedLocks{held: map[string]*heldLock{}},
	}, nil
}

// GetPluginInfo names the driver.
func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: Version}, nil
}

// GetPluginCapabilities says that there is a controller and that volumes can grow.
func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{
			Type: csi.PluginCapability_Service_CONTROLLER_SERVICE,
		}}},
		{Type: &csi.PluginCapability_VolumeExpansion_{VolumeExpansion: &csi.PluginCapability_VolumeExpansion{
			Type: csi.PluginCapability_VolumeExpansion_OFFLINE,
		}}},
	}}, nil
}

// Probe says that the driver is ready, which it is once it answers at all.
func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

// keyedLocks is a lock per key that is forgotten when nobody holds it.
type keyedLocks struct {
	mu   sync.Mutex
	held map[string]*heldLock
}

type heldLock struct {
	sync.Mutex
	users int
}

// lock takes the lock of a key and returns what gives it back.
func (l *keyedLocks) lock(key string) (unlock func()) {
	l.mu.Lock()
	held := l.held[key]
	if held == nil {
		held = &heldLock{}
		l.held[key] = held
	}
	held.users++
	l.mu.Unlock()
	held.Lock()
	return func() {
		held.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		held.users--
		if held.users == 0 {
			delete(l.held, key)
		}
	}
}
