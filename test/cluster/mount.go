package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"wukong.io/wukong/test/cluster/program"
)

// hostConfig are the files of /etc that a Go program without C libraries reads, beside certificate authorities.
func hostConfig() []string {
	return []string{"hosts", "resolv.conf", "nsswitch.conf", "localtime"}
}

// mountScript puts a folder over /etc and becomes the program. It is the shell's exec that keeps process group and death signal.
const mountScript = `mount -o bind "$1" /etc && shift && exec "$@"`

// tryMounting says why a process cannot have a mount namespace of its own here, or nil.
func tryMounting(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `mount -o bind "$1" "$1" && command -v chroot >/dev/null`, "sh", dir)
	cmd.SysProcAttr = program.Namespaces()
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("user and mount namespaces are needed, and trying them says: %w: %s", err, output)
	}
	return nil
}

// withExportCA returns the command in a mount namespace of its own, where /etc/virt-controller holds the folders exportca and
// backupca of dir: KubeVirt reads that path and no other. Nothing of it is seen outside of the process, so clusters run
// side by side, and the user needs no rights where the kernel lets everybody have a user namespace.
func withExportCA(c command, dir string) (command, error) {
	etc := filepath.Join(dir, "etc")
	if err := writeEtc(etc, dir); err != nil {
		return c, err
	}
	c.args = append([]string{"-c", mountScript, "sh", etc, c.path}, c.args...)
	c.path = "/bin/sh"
	c.sys = program.Namespaces()
	return c, nil
}

// writeEtc lays out what the program sees as /etc.
func writeEtc(etc, dir string) error {
	for _, name := range []string{"exportca", "backupca"} {
		target := filepath.Join(etc, "virt-controller", name)
		if err := os.CopyFS(target, os.DirFS(filepath.Join(dir, name))); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("laying out %s: %w", target, err)
		}
	}
	for _, name := range hostConfig() {
		content, err := os.ReadFile(filepath.Join("/etc", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("copying /etc/%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(etc, name), content, 0o644); err != nil {
			return fmt.Errorf("copying /etc/%s: %w", name, err)
		}
	}
	return nil
}
