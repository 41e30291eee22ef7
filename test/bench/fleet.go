package main

import (
	"fmt"
	"os"
	"path/filepath"

	"wukong.io/wukong/pkg/fleet"
)

const (
	namespace   = "team-a"
	releaseName = "shop"
	poolName    = "web"
	// perMachine is how many objects a machine of the bench's fleet has.
	perMachine = 4
)

// fleetFile is a fleet of one pool whose machines have four objects each: the
// machine, its cloud-init Secret and two disks.
func fleetFile(machines int) []byte {
	return fmt.Appendf(nil, `images:
  fedora:
    importSource:
      registry:
        url: docker://quay.io/containerdisks/fedora:41
    size: 10Gi
pools:
  %s:
    replicas: %d
    template:
      resources: {cpu: 2, memory: 4Gi}
      disks:
        root: {size: 20Gi, source: {image: fedora}, bootOrder: 1}
        data: {size: 100Gi, source: {empty: {}}}
      networks:
        default: {pod: {}}
      cloudInit:
        user: ops
        sshAuthorizedKeys:
          - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINMLK6juJazvoX9OSaQ4SQRw8IJmcGpz5+WqadBsWojv you@example.com
        packages: [nginx]
        runCommands:
          - echo 'Welcome to @@name@@' > /etc/motd
`, poolName, machines)
}

// writeFleet writes a fleet file for helm.
func (b *bench) writeFleet(machines int) (string, error) {
	file := filepath.Join(b.scratch, fmt.Sprintf("fleet-%d.yaml", machines))
	return file, os.WriteFile(file, fleetFile(machines), 0o600)
}

func parseFleet(machines int) (fleet.Fleet, error) {
	values, err := fleet.ParseValues(fleetFile(machines))
	return fleet.Fleet{Namespace: namespace, Name: releaseName, Values: values}, err
}
