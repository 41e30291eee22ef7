package fleettest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"wukong.io/wukong/pkg/fleet"
)

// imageSize is the least size of an image in GiB, and disk sizes begin at the
// largest, so that a disk is never smaller than its image.
const (
	imageSize = 5
	diskSize  = 10
)

// Fleet gives the fleet of a seed.
func Fleet(seed uint64) fleet.Fleet {
	s := newSource(seed)
	g := &generator{source: s, images: map[string]any{}, hostNetworks: map[string]any{}, pools: map[string]any{}}
	return fleet.Fleet{Namespace: s.word(), Name: g.name(), Values: g.values()}
}

// generator makes one fleet.
type generator struct {
	source
	images       map[string]any
	hostNetworks map[string]any
	pools        map[string]any
	// retains says whether the pool at hand keeps its disks.
	retains bool
	// networks counts static networks, each of which has a range of its own.
	networks int
}

// name gives a fleet's name. Releases may be called anything that begins with
// a letter or digit.
func (g *generator) name() string {
	return pick(g.source, g.word(), g.word()+"-"+g.word(), fmt.Sprintf("%s-%d", g.word(), g.IntN(20)))
}

func (g *generator) values() map[string]any {
	for range g.IntN(3) {
		g.images[key(g.source, g.images)] = g.image()
	}
	for range g.IntN(2) {
		g.hostNetworks[key(g.source, g.hostNetworks)] = g.hostNetwork()
	}
	values := map[string]any{}
	defaults := g.defaults()
	for range pick(g.source, 1, 1, 2, 2, 3) {
		name := key(g.source, g.pools)
		g.pools[name] = g.pool(defaults)
	}
	g.dropColliding()
	values["pools"] = g.pools
	if len(g.images) > 0 {
		values["images"] = g.images
	}
	if len(g.hostNetworks) > 0 {
		values["hostNetworks"] = g.hostNetworks
	}
	if len(defaults) > 0 {
		values["defaults"] = defaults
	}
	if g.chance(8) {
		values["expand"] = "client"
	}
	return values
}

// dropColliding removes Services that would have another's name: service b of
// pool a, and the headless Service of pool a-b.
func (g *generator) dropColliding() {
	taken := map[string]bool{}
	for name := range g.pools {
		taken[name] = true
	}
	for _, name := range sortedKeys(g.pools) {
		services, _ := g.pools[name].(map[string]any)["services"].(map[string]any)
		for _, service := range sortedKeys(services) {
			if taken[name+"-"+service] {
				delete(services, service)
				continue
			}
			taken[name+"-"+service] = true
		}
	}
}

func (g *generator) image() map[string]any {
	if g.chance(5) {
		reference := map[string]any{"name": g.object()}
		maybe(g.source, reference, "namespace", "golden")
		return map[string]any{"dataSource": reference}
	}
	image := map[string]any{
		"importSource": g.importSource(),
		"size":         fmt.Sprintf("%dGi", g.between(imageSize, diskSize)),
	}
	_, registry := image["importSource"].(map[string]any)["registry"]
	if registry && g.chance(3) {
		image["schedule"] = g.cron()
		maybe(g.source, image, "importsToKeep", int64(g.between(1, 5)))
	} else {
		maybe(g.source, image, "cloneFrom", "Snapshot", "PersistentVolumeClaim")
	}
	g.storage(image)
	return image
}

// storage sets how a disk is stored.
func (g *generator) storage(disk map[string]any) {
	maybe(g.source, disk, "storageClassName", "fast", "slow")
	if g.chance(3) {
		disk["accessModes"] = pick(g.source, []any{"ReadWriteOnce"}, []any{"ReadWriteMany", "ReadWriteOnce"})
		maybe(g.source, disk, "volumeMode", "Block", "Filesystem")
	}
}

func (g *generator) importSource() map[string]any {
	s := g.source
	secret := func(m map[string]any) map[string]any {
		maybe(s, m, "secretName", s.object())
		return m
	}
	cert := func(m map[string]any) map[string]any {
		maybe(s, m, "certConfigMap", s.object())
		return secret(m)
	}
	switch s.IntN(9) {
	case 0:
		return map[string]any{"http": cert(g.http())}
	case 1:
		return map[string]any{"s3": cert(map[string]any{"url": "https://s3.example.com/bucket/" + s.hex(8)})}
	case 2:
		return map[string]any{"gcs": secret(map[string]any{"url": "gs://bucket/" + s.hex(8)})}
	case 3:
		return map[string]any{"imageio": cert(map[string]any{"url": "https://engine.example.com/api", "diskId": s.hex(8)})}
	case 4:
		return map[string]any{"vddk": map[string]any{
			"url": "https://vcenter.example.com", "uuid": s.hex(12), "backingFile": "[ds] vm/" + s.hex(4) + ".vmdk",
			"thumbprint": s.hex(20), "secretName": s.object(),
		}}
	case 5:
		return map[string]any{"upload": map[string]any{}}
	default:
		registry := map[string]any{"url": "docker://registry.example.com/" + s.word() + ":" + s.hex(4)}
		maybe(s, registry, "pullMethod", "pod", "node")
		return map[string]any{"registry": cert(registry)}
	}
}

func (g *generator) http() map[string]any {
	http := map[string]any{"url": "https://images.example.com/" + g.hex(8) + ".qcow2"}
	maybe(g.source, http, "checksum", "sha256:"+g.hex(64), "md5:"+g.hex(32))
	maybe(g.source, http, "secretExtraHeaders", []any{g.object()})
	maybe(g.source, http, "extraHeaders", []any{"X-Key: " + g.hex(4)})
	return http
}

func (g *generator) hostNetwork() map[string]any {
	network := map[string]any{"port": "eth" + strconv.Itoa(g.IntN(9))}
	maybe(g.source, network, "vlan", int64(g.between(1, 4094)))
	maybe(g.source, network, "bridge", "br-"+g.word())
	maybe(g.source, network, "mtu", int64(pick(g.source, 1500, 9000)))
	maybe(g.source, network, "nodeSelector", map[string]any{"zone": g.word()})
	return network
}

// defaults gives what every pool inherits: fields that no other choice of a
// pool excludes.
func (g *generator) defaults() map[string]any {
	defaults := map[string]any{}
	if g.chance(2) {
		return defaults
	}
	maybe(g.source, defaults, "labels", map[string]any{"team": g.word()})
	maybe(g.source, defaults, "annotations", map[string]any{"example.com/note": g.text()})
	maybe(g.source, defaults, "runStrategy", "Always", "Manual")
	maybe(g.source, defaults, "evictionStrategy", "None", "LiveMigrate")
	maybe(g.source, defaults, "resources", map[string]any{"cpu": int64(1), "memory": "1Gi"})
	if g.chance(2) {
		defaults["disks"] = map[string]any{"root": g.disk(newBoot(nil))}
	}
	return defaults
}

func (g *generator) pool(defaults map[string]any) map[string]any {
	pool := map[string]any{}
	replicas, start := pick(g.source, 0, 1, 1, 2, 2, 3), pick(g.source, 0, 0, 1, 7, 98, 999)
	if replicas != 1 || g.chance(2) {
		pool["replicas"] = int64(replicas)
	}
	if start != 0 {
		pool["ordinals"] = map[string]any{"start": int64(start)}
	}
	maybe(g.source, pool, "managementPolicy", "Parallel", "OrderedReady")
	g.retention(pool)
	g.services(pool)
	maybe(g.source, pool, "updateStrategy", map[string]any{
		"type": pick(g.source, "RollingUpdate", "OnDelete"), "maxUnavailable": int64(2), "partition": int64(g.IntN(3)),
	})
	if g.chance(5) {
		pool["cloneSource"] = g.cloneSource()
		return pool
	}
	template := g.template(defaults)
	pool["template"] = template
	g.overrides(pool, template, start, replicas)
	if g.chance(4) {
		pool["snapshotPolicy"] = g.snapshotPolicy()
	}
	if g.chance(4) {
		pool["exportTarget"] = g.exportTarget()
	}
	return pool
}

func (g *generator) retention(pool map[string]any) {
	g.retains = true
	switch g.IntN(3) {
	case 0:
		g.retains = false
		pool["retentionPolicy"] = map[string]any{"whenDeleted": "Delete", "whenScaled": "Delete"}
	case 1:
		pool["retentionPolicy"] = map[string]any{"whenDeleted": "Retain", "whenScaled": "Retain"}
	}
}

func (g *generator) services(pool map[string]any) {
	services := map[string]any{}
	for range g.IntN(3) {
		ports := map[string]any{}
		for i := range g.between(1, 2) {
			port := map[string]any{"port": int64(80 + i)}
			maybe(g.source, port, "targetPort", int64(8080))
			maybe(g.source, port, "protocol", "TCP", "UDP")
			ports[key(g.source, ports)] = port
		}
		service := map[string]any{"ports": ports}
		maybe(g.source, service, "type", "ClusterIP", "LoadBalancer")
		maybe(g.source, service, "labels", map[string]any{"tier": "front"})
		maybe(g.source, service, "annotations", map[string]any{"example.com/note": g.text()})
		services[key(g.source, services)] = service
	}
	if len(services) > 0 {
		pool["services"] = services
	}
}

func (g *generator) cloneSource() map[string]any {
	reference := map[string]any{"name": g.object()}
	clone := map[string]any{pick(g.source, "virtualMachine", "snapshot"): reference}
	if _, ok := clone["virtualMachine"]; ok {
		maybe(g.source, clone, "mode", "Online", "Offline")
	}
	maybe(g.source, clone, "identity", map[string]any{
		"guest": pick(g.source, "Keep", "Regenerate"), "cloudInit": pick(g.source, "Copy", "Share"),
	})
	maybe(g.source, clone, "runStrategy", "Always", "Halted")
	return clone
}

// overrides sets what differs for single machines.
func (g *generator) overrides(pool, template map[string]any, start, replicas int) {
	overrides := map[string]any{}
	for ordinal := start; ordinal < start+replicas; ordinal++ {
		if !g.chance(5) {
			continue
		}
		override := map[string]any{}
		maybe(g.source, override, "labels", map[string]any{"special": "yes"})
		maybe(g.source, override, "annotations", map[string]any{"example.com/special": g.text()})
		maybe(g.source, override, "runStrategy", "Halted")
		if _, ok := template["resources"]; ok && g.chance(2) {
			override["resources"] = map[string]any{"memory": "24Gi", "maxMemory": "48Gi"}
		}
		g.overrideNetworks(override, template)
		overrides[strconv.Itoa(ordinal)] = override
	}
	if len(overrides) > 0 {
		pool["overrides"] = overrides
	}
}

func (g *generator) overrideNetworks(override, template map[string]any) {
	networks, _ := template["networks"].(map[string]any)
	if len(networks) == 0 || g.chance(2) {
		return
	}
	mac := []string{"02"}
	for range 5 {
		mac = append(mac, g.hex(2))
	}
	override["networks"] = map[string]any{anyKey(g.source, networks): map[string]any{"macAddress": strings.Join(mac, ":")}}
}

func (g *generator) snapshotPolicy() map[string]any {
	policy := map[string]any{"schedule": g.cron()}
	maybe(g.source, policy, "timeZone", "Asia/Shanghai", "Europe/Berlin")
	maybe(g.source, policy, "suspend", true, false)
	maybe(g.source, policy, "consistency", "Required", "Preferred", "CrashConsistent")
	maybe(g.source, policy, "staggerWindowSeconds", int64(g.IntN(600)))
	maybe(g.source, policy, "retention", map[string]any{"maxCount": int64(7), "maxAge": "720h"}, map[string]any{"keepDaily": int64(7), "keepWeekly": int64(4)})
	maybe(g.source, policy, "whenDeleted", "Retain", "Delete")
	return policy
}

func (g *generator) exportTarget() map[string]any {
	target := map[string]any{}
	switch g.IntN(3) {
	case 0:
		registry := map[string]any{"image": "registry.example.com/vms/" + g.word() + pick(g.source, "", ":@@name@@", ":v@@ordinal@@")}
		maybe(g.source, registry, "secretName", g.object())
		maybe(g.source, registry, "format", "qcow2", "raw", "kubevirt-oci")
		maybe(g.source, registry, "overwrite", "Never", "Always")
		target["registry"] = registry
	case 1:
		bucket := map[string]any{"endpoint": "https://s3.example.com", "bucket": "bucket-" + g.hex(4)}
		maybe(g.source, bucket, "prefix", "vms/@@name@@/")
		maybe(g.source, bucket, "region", "eu-central-1")
		target["s3"] = bucket
	default:
		claim := map[string]any{"claimName": g.object()}
		maybe(g.source, claim, "path", "vms/@@ordinal@@")
		target["pvc"] = claim
	}
	if g.chance(2) {
		target["schedule"] = g.cron()
		target["serviceAccountName"] = g.object()
		maybe(g.source, target, "timeZone", "Asia/Shanghai")
	}
	return target
}

func sortedKeys[T any](m map[string]T) []string {
	return slices.Sorted(maps.Keys(m))
}
