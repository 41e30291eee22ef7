package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
)

// cacheVariable is the environment variable that moves the cache of binaries.
const cacheVariable = "WUKONG_CACHE"

// lockPoll is how often a process looks whether another one has finished building a module.
const lockPoll = 200 * time.Millisecond

// Binaries are the paths of the programs that Build made.
type Binaries struct {
	Etcd                  string
	KubeAPIServer         string
	KubeControllerManager string
	Kubectl               string

	VirtAPI          string
	VirtController   string
	VirtExportServer string
	Virtctl          string
	// KubeVirtManifests is not a program but a List of what virt-operator would install, as JSON.
	KubeVirtManifests string

	CSIProvisioner     string
	CSISnapshotter     string
	SnapshotController string

	Helm3 string
	Helm4 string
}

// Build compiles the programs of the named modules, or of all of them, and returns their paths. What is in the cache already
// is not built again. Two processes never build the same module at once, and a build that breaks off leaves nothing.
func Build(ctx context.Context, log io.Writer, names ...string) (Binaries, error) {
	root, err := moduleRoot()
	if err != nil {
		return Binaries{}, err
	}
	cache, err := cacheDir()
	if err != nil {
		return Binaries{}, err
	}
	found := map[string]string{}
	for _, m := range modules() {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		b := builder{module: m, source: filepath.Join(root, m.name), cache: cache, log: log, clock: clock.RealClock{}}
		dir, err := b.ensure(ctx)
		if err != nil {
			return Binaries{}, fmt.Errorf("building module %q of the test cluster: %w", m.name, err)
		}
		m.collect(dir, found)
	}
	return newBinaries(found), nil
}

func newBinaries(found map[string]string) Binaries {
	return Binaries{
		Etcd:                  found["etcd"],
		KubeAPIServer:         found["kube-apiserver"],
		KubeControllerManager: found["kube-controller-manager"],
		Kubectl:               found["kubectl"],
		VirtAPI:               found["virt-api"],
		VirtController:        found["virt-controller"],
		VirtExportServer:      found["virt-exportserver"],
		Virtctl:               found["virtctl"],
		KubeVirtManifests:     found["kubevirt.json"],
		CSIProvisioner:        found["csi-provisioner"],
		CSISnapshotter:        found["csi-snapshotter"],
		SnapshotController:    found["snapshot-controller"],
		Helm3:                 found["helm3"],
		Helm4:                 found["helm4"],
	}
}

func cacheDir() (string, error) {
	if dir := os.Getenv(cacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for the test cluster's programs (set %s): %w", cacheVariable, err)
	}
	return filepath.Join(dir, "wukong"), nil
}

// collect adds the module's files in dir to found, under their names.
func (m module) collect(dir string, found map[string]string) {
	for _, p := range m.programs {
		found[p.binary] = filepath.Join(dir, p.binary)
	}
	for file := range m.generate {
		found[file] = filepath.Join(dir, file)
	}
}

// builder makes one module's binaries.
type builder struct {
	module module
	source string
	cache  string
	log    io.Writer
	clock  clock.PassiveClock
}

// ensure returns the folder with the module's binaries, and builds them where it does not exist.
func (b builder) ensure(ctx context.Context) (string, error) {
	hash, err := b.module.hash(b.source)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.cache, b.module.name+"-"+hash)
	bin := filepath.Join(dir, "bin")
	if isDir(bin) {
		return bin, nil
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(bin) { // another process built it while this one waited
		return bin, nil
	}
	return bin, b.build(ctx, dir)
}

// build compiles into a temporary folder and moves it to dir only when it is whole.
func (b builder) build(ctx context.Context, dir string) error {
	temp, err := os.MkdirTemp(b.cache, "building-"+b.module.name+"-")
	if err != nil {
		return fmt.Errorf("making a build folder: %w", err)
	}
	defer os.RemoveAll(temp)
	started := b.clock.Now()
	for _, p := range b.module.programs {
		b.say("building %s", p.binary)
		if err := b.compile(ctx, p, filepath.Join(temp, "bin", p.binary)); err != nil {
			return err
		}
	}
	for file, printer := range b.module.generate {
		if err := generate(ctx, filepath.Join(temp, "bin", printer), filepath.Join(temp, "bin", file)); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("moving the finished build into the cache: %w", err)
	}
	b.say("built %s in %s", b.module.name, b.clock.Since(started).Round(time.Second))
	return nil
}

func (b builder) compile(ctx context.Context, p target, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", strings.TrimSpace("-s -w "+b.module.ldflags), "-o", out, p.pkg)
	cmd.Dir = b.source
	// A workspace, a vendor folder or C libraries of the machine must not change what is built.
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly -buildvcs=false")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // the compilers too
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build %s: %w\n%s", p.pkg, err, output)
	}
	return nil
}

// generate writes what a program prints to a file.
func generate(ctx context.Context, program, file string) error {
	output, err := exec.CommandContext(ctx, program).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("running %s: %w\n%s", filepath.Base(program), err, exit.Stderr)
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", filepath.Base(program), err)
	}
	return os.WriteFile(file, output, 0o644)
}

// lock waits until this process alone may build the module.
func (b builder) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(b.cache, b.module.name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the build lock: %w", err)
	}
	told := false
	tryLock := func(context.Context) (bool, error) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			if !told {
				b.say("waiting for another process that builds %s", b.module.name)
				told = true
			}
			return false, nil
		}
		return err == nil, err
	}
	if err := wait.PollUntilContextCancel(ctx, lockPoll, true, tryLock); err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for the build lock: %w", err), file.Close())
	}
	return func() { _ = file.Close() }, nil // closing releases the lock
}

func (b builder) say(format string, args ...any) {
	if b.log != nil {
		fmt.Fprintf(b.log, format+"\n", args...)
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
