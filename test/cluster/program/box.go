package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// mountScript mounts pairs of paths, up to --, and becomes the program in its new root folder.
const mountScript = `root=$1; shift
while [ "$1" != -- ]; do mount -o rbind "$1" "$2" || exit 125; shift 2; done; shift
exec chroot "$root" "$@"`

// entryPoint is where the program is in its root folder.
const entryPoint = "/entrypoint"

// box is what a program sees of the machine.
type box struct {
	dir     string   // everything of the Pod
	root    string   // what the program sees as /
	mounts  []string // pairs: what, and where
	message string   // the file of the termination message
}

// hostFiles are what programs expect on every machine.
func hostFiles() []string {
	return []string{
		"/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/localtime", "/etc/ssl/certs/ca-certificates.crt",
		"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/proc",
	}
}

// layOut makes the root folder. It is made anew when a container restarts, but empty folders keep what was in them.
func (r *Runner) layOut(ctx context.Context, pod *corev1.Pod, container *corev1.Container, program string) (*box, error) {
	dir := filepath.Join(r.options.Dir, string(pod.UID))
	b := &box{dir: dir, root: filepath.Join(dir, "root")}
	for _, folder := range []string{"tmp", "etc", "dev", "var/run"} {
		if err := os.MkdirAll(filepath.Join(b.root, folder), 0o755); err != nil {
			return nil, err
		}
	}
	if err := b.mount(program, entryPoint); err != nil {
		return nil, err
	}
	for _, file := range hostFiles() {
		if err := b.mount(file, file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if err := b.addMessage(container); err != nil {
		return nil, err
	}
	volumes := volumeMaker{runner: r, pod: pod, dir: filepath.Join(dir, "volumes")}
	for _, m := range container.VolumeMounts {
		source, err := volumes.folder(ctx, m.Name)
		if err != nil {
			return nil, fmt.Errorf("volume %q: %w", m.Name, err)
		}
		if m.SubPath != "" {
			source = filepath.Join(source, m.SubPath)
		}
		if err := b.mount(source, m.MountPath); err != nil {
			return nil, fmt.Errorf("volume %q: %w", m.Name, err)
		}
	}
	for _, d := range container.VolumeDevices {
		disk, err := volumes.disk(ctx, d.Name)
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", d.Name, err)
		}
		if err := b.mount(disk, d.DevicePath); err != nil {
			return nil, fmt.Errorf("device %q: %w", d.Name, err)
		}
	}
	return b, nil
}

// mount has something on this machine appear at a path in the root folder.
func (b *box) mount(what, where string) error {
	info, err := os.Stat(what)
	if err != nil {
		return err
	}
	target := filepath.Join(b.root, path.Clean("/"+where))
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else {
		err = touch(target)
	}
	if err != nil {
		return err
	}
	b.mounts = append(b.mounts, what, target)
	return nil
}

func touch(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	opened, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return opened.Close()
}

// addMessage makes the file for the termination message, empty for each run.
func (b *box) addMessage(container *corev1.Container) error {
	where := container.TerminationMessagePath
	if where == "" {
		where = corev1.TerminationMessagePathDefault
	}
	b.message = filepath.Join(b.root, path.Clean("/"+where))
	if err := touch(b.message); err != nil {
		return err
	}
	return os.Truncate(b.message, 0)
}

// command runs the program in the box. The end of ctx is a polite request first.
func (b *box) command(ctx context.Context, arguments []string) *exec.Cmd {
	args := append([]string{"-c", mountScript, "sh", b.root}, b.mounts...)
	args = append(args, "--", entryPoint)
	args = append(args, arguments...)
	cmd := exec.CommandContext(ctx, "/bin/sh", args...)
	cmd.SysProcAttr = Namespaces()
	cmd.SysProcAttr.Setpgid = true
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	return cmd
}

// Namespaces lets a process mount what it likes, seen by nobody else: by a user namespace where the user is not root.
func Namespaces() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() == 0 {
		return attributes
	}
	attributes.Cloneflags = syscall.CLONE_NEWUSER
	attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	return attributes
}
