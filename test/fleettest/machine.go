package fleettest

import (
	"fmt"
	"strings"
)

// boot hands out boot orders, each once in a machine.
type boot struct {
	next int64
}

// newBoot begins after the boot orders that a machine inherits.
func newBoot(inherited map[string]any) *boot {
	b := &boot{next: 1}
	disks, _ := inherited["disks"].(map[string]any)
	for _, disk := range disks {
		if order, ok := disk.(map[string]any)["bootOrder"].(int64); ok && order >= b.next {
			b.next = order + 1
		}
	}
	return b
}

func (b *boot) maybe(s source, m map[string]any) {
	if s.chance(3) {
		m["bootOrder"] = b.next
		b.next++
	}
}

func (g *generator) template(defaults map[string]any) map[string]any {
	template := map[string]any{}
	order := newBoot(defaults)
	g.size(template, defaults)
	g.templateDisks(template, defaults, order)
	g.templateNetworks(template, order)
	g.guest(template)
	g.placement(template)
	g.hardware(template)
	maybe(g.source, template, "labels", map[string]any{"role": g.word(), "example.com/tier": "a"}, map[string]any{})
	maybe(g.source, template, "annotations", map[string]any{"example.com/text": g.text()})
	maybe(g.source, template, "runStrategy", "Always", "RerunOnFailure", "Manual", "Halted", "Once")
	maybe(g.source, template, "evictionStrategy", "None", "LiveMigrate", "LiveMigrateIfPossible", "External")
	maybe(g.source, template, "terminationGracePeriodSeconds", int64(0), int64(180))
	if g.chance(6) {
		template["patch"] = map[string]any{
			"metadata": map[string]any{"annotations": map[string]any{"example.com/patched": g.text()}},
			"spec":     map[string]any{"template": map[string]any{"spec": map[string]any{"hostname": nil, "subdomain": g.word()}}},
		}
	}
	return template
}

// size gives a machine CPU and memory, or an instancetype.
func (g *generator) size(template, defaults map[string]any) {
	_, inherited := defaults["resources"]
	switch {
	case g.chance(4):
		template["instancetype"] = map[string]any{"name": "u1.small"}
		maybe(g.source, template, "preference", map[string]any{"name": "fedora"}, map[string]any{"name": "fedora", "kind": "VirtualMachinePreference"})
	case inherited && g.chance(2):
	default:
		resources := g.resources()
		if _, ok := resources["topology"]; ok && inherited {
			resources["cpu"] = int64(4)
		}
		template["resources"] = resources
	}
}

func (g *generator) resources() map[string]any {
	resources := map[string]any{"memory": pick[any](g.source, "512Mi", "16Gi", "1500M")}
	switch g.IntN(3) {
	case 0:
		resources["cpu"] = int64(g.between(1, 8))
	case 1:
		resources["topology"] = map[string]any{"sockets": int64(2), "cores": int64(2), "threads": int64(1)}
		maybe(g.source, resources, "cpu", int64(4))
	}
	maybe(g.source, resources, "cpuModel", "host-model", "host-passthrough")
	if resources["memory"] == "16Gi" { // less cannot grow
		maybe(g.source, resources, "maxMemory", "32Gi")
	}
	return resources
}

// templateDisks gives a machine disks; some of them add to one it inherits.
func (g *generator) templateDisks(template, defaults map[string]any, order *boot) {
	disks := map[string]any{}
	inherited, _ := defaults["disks"].(map[string]any)
	taken := map[string]any{}
	for name := range inherited {
		taken[name] = nil
		if g.chance(3) {
			disks[name] = map[string]any{"size": "40Gi", "cache": "none"}
			if _, claim := inherited[name].(map[string]any)["source"].(map[string]any)["pvc"]; claim {
				disks[name] = map[string]any{"cache": "none"}
			}
		}
	}
	for range g.IntN(3) {
		name := key(g.source, taken)
		if _, ok := taken["root"]; !ok && g.chance(3) {
			name = "root"
		}
		taken[name] = nil
		disks[name] = g.disk(order)
	}
	g.sayWhatBoots(disks, inherited, order)
	if len(disks) > 0 {
		template["disks"] = disks
	}
}

// sayWhatBoots gives a boot order to one of several disks that could boot,
// unless one is called root, which boots without being told.
func (g *generator) sayWhatBoots(disks, inherited map[string]any, order *boot) {
	root, ok := disks["root"].(map[string]any)
	if _, inherits := inherited["root"]; inherits {
		root, ok = inherited["root"].(map[string]any)
	}
	if ok && boots(root) || order.next > 1 || len(disks) == 0 {
		return
	}
	disks[anyKey(g.source, disks)].(map[string]any)["bootOrder"] = order.next
	order.next++
}

// boots says whether a disk holds something to boot.
func boots(disk map[string]any) bool {
	source, _ := disk["source"].(map[string]any)
	_, empty := source["empty"]
	return !empty && disk["device"] != "cdrom"
}

func (g *generator) disk(order *boot) map[string]any {
	disk := map[string]any{"source": g.diskSource()}
	_, claim := disk["source"].(map[string]any)["pvc"]
	if !claim {
		disk["size"] = pick[any](g.source, fmt.Sprintf("%dGi", g.between(diskSize, 99)), int64(20<<30), "100G")
		g.storage(disk)
	}
	switch g.IntN(6) {
	case 0:
		disk["device"] = "cdrom"
		maybe(g.source, disk, "bus", "sata", "scsi")
	case 1:
		disk["bus"] = pick(g.source, "virtio", "scsi")
		maybe(g.source, disk, "readOnly", true, false)
	case 2:
		disk["bus"] = pick(g.source, "virtio", "scsi")
		maybe(g.source, disk, "hotpluggable", true)
	default:
		maybe(g.source, disk, "bus", "virtio", "scsi", "sata", "usb")
	}
	order.maybe(g.source, disk)
	maybe(g.source, disk, "serial", "s-@@ordinal@@", g.hex(6))
	maybe(g.source, disk, "cache", "none", "writethrough", "writeback")
	maybe(g.source, disk, "io", "native", "threads")
	if disk["cache"] != "none" {
		delete(disk, "io")
	}
	return disk
}

func (g *generator) diskSource() map[string]any {
	token := pick(g.source, "", "-@@ordinal@@")
	switch g.IntN(7) {
	case 0:
		if len(g.images) > 0 {
			return map[string]any{"image": anyKey(g.source, g.images)}
		}
		return g.diskImport()
	case 1:
		return g.diskImport()
	case 2:
		return map[string]any{"pvc": map[string]any{"claimName": g.object() + token}}
	case 3:
		reference := map[string]any{"name": g.object() + token}
		maybe(g.source, reference, "namespace", "golden")
		return map[string]any{"clone": map[string]any{pick(g.source, "pvc", "snapshot"): reference}}
	case 4:
		machine := map[string]any{"name": g.object() + token, "disk": "root"}
		maybe(g.source, machine, "namespace", "golden")
		return map[string]any{"clone": map[string]any{"virtualMachine": machine}}
	default:
		if len(g.images) > 0 && g.chance(2) {
			return map[string]any{"image": anyKey(g.source, g.images)}
		}
		return map[string]any{"empty": map[string]any{}}
	}
}

// diskImport imports in place. A checksum would be lost on a disk that goes
// with its machine.
func (g *generator) diskImport() map[string]any {
	source := g.importSource()
	if http, ok := source["http"].(map[string]any); ok && !g.retains {
		delete(http, "checksum")
	}
	return map[string]any{"import": source}
}

func (g *generator) templateNetworks(template map[string]any, order *boot) {
	networks := map[string]any{}
	if g.chance(2) {
		networks[key(g.source, networks)] = g.podNetwork()
	}
	for range g.IntN(3) {
		networks[key(g.source, networks)] = g.multusNetwork()
	}
	for _, name := range sortedKeys(networks) {
		network := networks[name].(map[string]any)
		maybe(g.source, network, "model", "virtio", "e1000e")
		order.maybe(g.source, network)
	}
	if len(networks) > 0 {
		template["networks"] = networks
	}
}

func (g *generator) podNetwork() map[string]any {
	pod := map[string]any{}
	maybe(g.source, pod, "vmNetworkCIDR", "10.0.2.0/24")
	network := map[string]any{"pod": pod}
	maybe(g.source, network, "ports", map[string]any{"ssh": map[string]any{"port": int64(22)}})
	return network
}

func (g *generator) multusNetwork() map[string]any {
	name := pick(g.source, g.object(), "networks/"+g.object())
	if len(g.hostNetworks) > 0 && g.chance(2) {
		name = anyKey(g.source, g.hostNetworks)
	}
	network := map[string]any{"multus": map[string]any{"networkName": name}}
	maybe(g.source, network, "binding", "bridge")
	if g.chance(2) {
		network["ipam"] = g.ipam()
	}
	return network
}

// ipam gives a network a range of its own, wide enough for any ordinal.
func (g *generator) ipam() map[string]any {
	g.networks++
	prefix := fmt.Sprintf("10.%d", g.networks)
	ipam := map[string]any{"cidr": prefix + ".0.0/16", "first": prefix + ".1.0"}
	maybe(g.source, ipam, "gateway", prefix+".0.1")
	maybe(g.source, ipam, "nameservers", []any{prefix + ".0.2"})
	if g.chance(3) {
		prefix = fmt.Sprintf("fd00:%x:", g.networks)
		ipam = map[string]any{"cidr": prefix + ":/64", "first": prefix + ":1000"}
		maybe(g.source, ipam, "gateway", prefix+":1")
	}
	maybe(g.source, ipam, "searchDomains", []any{"lab.example.com"})
	return ipam
}

// guest sets how the guest is configured.
func (g *generator) guest(template map[string]any) {
	switch g.IntN(4) {
	case 0:
	case 1:
		template["cloudInit"] = g.rawCloudInit(template)
	default:
		template["cloudInit"] = g.cloudInit(template)
	}
	maybe(g.source, template, "accessCredentials",
		map[string]any{"sshPublicKeys": map[string]any{"secretName": "keys", "users": []any{"ops", "root"}}},
		map[string]any{"userPassword": map[string]any{"secretName": "passwords"}})
	if g.chance(6) {
		template["sysprep"] = map[string]any{pick(g.source, "secretName", "configMapName"): "unattend"}
	}
}

// tokens gives a text with every token that a machine's networks allow.
func (g *generator) tokens(template map[string]any) string {
	tokens := []string{"@@name@@", "@@ordinal@@"}
	networks, _ := template["networks"].(map[string]any)
	for _, name := range sortedKeys(networks) {
		tokens = append(tokens, "@@mac."+name+"@@")
		if _, ok := networks[name].(map[string]any)["ipam"]; ok {
			tokens = append(tokens, "@@address."+name+"@@")
		}
	}
	return strings.Join(tokens, " ")
}

func (g *generator) rawCloudInit(template map[string]any) map[string]any {
	cloudInit := map[string]any{"userData": "#cloud-config\n# " + g.tokens(template) + "\n" + g.safeText()}
	maybe(g.source, cloudInit, "networkData", "version: 2\n# "+g.tokens(template)+"\n")
	maybe(g.source, cloudInit, "dataSource", "NoCloud", "ConfigDrive")
	return cloudInit
}

func (g *generator) cloudInit(template map[string]any) map[string]any {
	cloudInit := map[string]any{}
	maybe(g.source, cloudInit, "user", "ops", "_svc")
	maybe(g.source, cloudInit, "dataSource", "NoCloud", "ConfigDrive")
	maybe(g.source, cloudInit, "sshAuthorizedKeys", []any{"ssh-ed25519 AAAA " + g.word()})
	maybe(g.source, cloudInit, "sshAuthorizedKeysSecret", g.object())
	maybe(g.source, cloudInit, "packages", []any{"nginx", g.word()})
	maybe(g.source, cloudInit, "packageUpdate", true, false)
	maybe(g.source, cloudInit, "packageUpgrade", true, false)
	maybe(g.source, cloudInit, "timezone", "Asia/Shanghai")
	maybe(g.source, cloudInit, "bootCommands", []any{g.safeText()})
	maybe(g.source, cloudInit, "runCommands", []any{"echo " + g.tokens(template), g.safeText()})
	if g.chance(2) {
		file := map[string]any{"content": g.safeText() + g.tokens(template)}
		maybe(g.source, file, "permissions", "0644", "755")
		maybe(g.source, file, "owner", "root:root")
		cloudInit["files"] = map[string]any{"/etc/" + g.word(): file}
	}
	return cloudInit
}

func (g *generator) placement(template map[string]any) {
	if g.chance(2) {
		return
	}
	placement := map[string]any{}
	maybe(g.source, placement, "spread", map[string]any{}, map[string]any{"topologyKey": "topology.kubernetes.io/zone", "maxSkew": int64(2), "whenUnsatisfiable": "DoNotSchedule"})
	maybe(g.source, placement, "nodeSelector", map[string]any{"zone": g.word()})
	maybe(g.source, placement, "tolerations", []any{map[string]any{"key": "example.com/dedicated", "operator": "Exists", "effect": "NoSchedule"}})
	maybe(g.source, placement, "priorityClassName", "high")
	maybe(g.source, placement, "affinity", map[string]any{"nodeAffinity": map[string]any{
		"requiredDuringSchedulingIgnoredDuringExecution": map[string]any{"nodeSelectorTerms": []any{
			map[string]any{"matchExpressions": []any{map[string]any{"key": "gpu", "operator": "Exists"}}},
		}},
	}})
	template["placement"] = placement
}

// hardware sets how the machine boots, what is plugged in, and its probes.
func (g *generator) hardware(template map[string]any) {
	maybe(g.source, template, "firmware",
		map[string]any{"bootloader": "BIOS"},
		map[string]any{"bootloader": "EFI", "secureBoot": g.chance(2), "tpm": map[string]any{}},
		map[string]any{"bootloader": "EFI", "persistentEFI": true, "tpm": map[string]any{"persistent": true}})
	if g.chance(3) {
		devices := map[string]any{"rng": g.chance(2), "tablet": g.chance(2)}
		maybe(g.source, devices, "watchdog", map[string]any{"action": pick(g.source, "Reset", "Poweroff", "Shutdown")}, map[string]any{})
		maybe(g.source, devices, "hostDevices", map[string]any{"nic": map[string]any{"deviceName": "example.com/nic"}})
		if _, ok := template["instancetype"]; !ok {
			maybe(g.source, devices, "gpus", map[string]any{"gpu": map[string]any{"deviceName": "nvidia.com/A2"}})
		}
		template["devices"] = devices
	}
	probes := []map[string]any{{"guestAgentPing": map[string]any{}, "failureThreshold": int64(3)}}
	if onPodNetwork(template) {
		probes = append(probes, map[string]any{"tcpSocket": map[string]any{"port": int64(22)}, "initialDelaySeconds": int64(5)})
	}
	maybe(g.source, template, "readinessProbe", probes...)
	maybe(g.source, template, "livenessProbe", map[string]any{"exec": map[string]any{"command": []any{"true", g.safeText()}}})
}

// onPodNetwork says whether the cluster reaches a machine.
func onPodNetwork(template map[string]any) bool {
	networks, _ := template["networks"].(map[string]any)
	for _, network := range networks {
		if _, ok := network.(map[string]any)["pod"]; ok {
			return true
		}
	}
	return len(networks) == 0
}
