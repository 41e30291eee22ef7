package validation_test

import (
	"net/netip"
	"strings"
	"testing"

	"wukong.io/wukong/pkg/validation"
)

// forbiddenURLs are ways to write an address that imports must not reach, by
// the trick they use. None may pass, whatever else is listed.
func forbiddenURLs() map[validation.URLKind][]string {
	return map[validation.URLKind][]string{
		validation.URLHTTP: {
			// loopback and this host, plainly
			"https://127.0.0.1/disk", "https://127.0.0.1", "https://127.0.0.1:8443/disk", "https://127.255.255.254/disk", "https://0.0.0.0/disk", "https://0.1.2.3/disk",
			"https://[::1]/disk", "https://[::]/disk", "https://localhost/disk", "https://LOCALHOST/disk", "https://foo.localhost/disk", "https://localhost.localdomain/disk",
			// other spellings of IPv4
			"https://127.1/disk", "https://127.0.1/disk", "https://2130706433/disk", "https://0x7f000001/disk", "https://0x7f.0.0.1/disk", "https://0X7F.0.0.1/disk",
			"https://0177.0.0.1/disk", "https://017700000001/disk", "https://127.0.0.01/disk", "https://127.0.0.1./disk", "https://127.0.0.1.:443/disk", "https://0/disk", "https://0x/disk",
			"https://127.0.0.0x1/disk", "https://1.2.3.4.5/disk", "https://256.0.0.1/disk", "https://4294967296/disk", "https://10.0.0.1.nip.io/disk", "https://127-0-0-1.sslip.io/disk", "https://a.localtest.me/disk", "https://lvh.me/disk",
			// IPv4 inside IPv6
			"https://[::ffff:127.0.0.1]/disk", "https://[::ffff:7f00:1]/disk", "https://[::127.0.0.1]/disk", "https://[::ffff:0:127.0.0.1]/disk", "https://[64:ff9b::7f00:1]/disk", "https://[64:ff9b:1::10.0.0.1]/disk",
			"https://[2002:7f00:1::]/disk", "https://[2001:0:7f00:1::]/disk", "https://[2606:4700::5efe:10.0.0.1]/disk", "https://[2606:4700::200:5efe:a00:1]/disk",
			// zones and half brackets
			"https://[fe80::1%25eth0]/disk", "https://[fe80::1%eth0]/disk", "https://[::1%25lo]/disk", "https://[::1/disk", "https://::1/disk", "https://[::1]x/disk", "https://[127.0.0.1]/disk", "https://[::1]]/disk", "https://[]/disk",
			// private, carrier, link-local, metadata
			"https://10.0.0.1/disk", "https://172.16.0.1/disk", "https://172.31.255.255/disk", "https://192.168.1.1/disk", "https://100.64.0.1/disk", "https://100.100.100.200/latest/meta-data", "https://169.254.169.254/latest/meta-data", "https://169.254.170.2/v2/credentials",
			"https://168.63.129.16/machine", "https://192.0.0.192/opc", "https://[fd00:ec2::254]/latest", "https://[fe80::a9fe:a9fe]/latest", "https://[fc00::1]/disk", "https://[fdff::1]/disk", "https://[fec0::1]/disk",
			"https://metadata.google.internal/computeMetadata/v1", "https://metadata/computeMetadata/v1", "https://Metadata.Google.Internal/x", "https://metadata.tencentyun.com/latest", "https://instance-data/latest", "https://metadata.azure.com/x",
			// reserved, documentation, multicast
			"https://192.0.2.1/disk", "https://198.51.100.1/disk", "https://203.0.113.1/disk", "https://198.18.0.1/disk", "https://224.0.0.1/disk", "https://239.255.255.250/disk", "https://240.0.0.1/disk", "https://255.255.255.255/disk", "https://192.88.99.1/disk",
			"https://[ff02::1]/disk", "https://[2001:db8::1]/disk", "https://[3fff::1]/disk", "https://[100::1]/disk", "https://[5f00::1]/disk", "https://[4000::1]/disk",
			// names of the cluster and the company
			"https://kubernetes/api", "https://kubernetes.default/api", "https://kubernetes.default.svc/api", "https://kubernetes.default.svc.cluster.local/api", "https://kubernetes.default.svc.cluster.local./api", "https://KUBERNETES.DEFAULT.SVC/api", "https://vault.secrets.svc.example.com/v1",
			"https://minio.object-storage/disk", "https://nas.local/disk", "https://printer.lan/disk", "https://db.internal/disk", "https://files.corp/disk", "https://files.intranet/disk", "https://router.home.arpa/disk", "https://1.0.0.127.in-addr.arpa/disk", "https://a.test/disk", "https://a.invalid/disk", "https://x.onion/disk",
			// user parts
			"https://user@example.com/disk", "https://user:pass@example.com/disk", "https://example.com@127.0.0.1/disk", "https://example.com:443@127.0.0.1/disk", "https://example.com%40127.0.0.1/disk", "https://:@127.0.0.1/disk", "https://@127.0.0.1/disk", "https://a@b@127.0.0.1/disk",
			// encodings and letters
			"https://%31%32%37.0.0.1/disk", "https://127%2e0%2e0%2e1/disk", "https://127。0。0。1/disk", "https://127．0．0．1/disk", "https://①②⑦.⓪.⓪.①/disk", "https://１２７.0.0.1/disk", "https://ⓛocalhost/disk", "https://ｌocalhost/disk", "https://ex\u00adample.com/disk", "https://exa\u200bmple.com/disk",
			"https://xn--/disk", "https://xn--a.example.com/disk", "https://xn--127-.0.0.1/disk", "https://exämple.com/disk",
			// slashes, backslashes and spaces
			"https:\\\\127.0.0.1\\disk", "https://example.com\\@127.0.0.1/disk", "https://example.com\\.127.0.0.1/disk", "https:/127.0.0.1/disk", "https:127.0.0.1/disk", "https:///127.0.0.1/disk", "https:////127.0.0.1/disk", "//127.0.0.1/disk", "/disk", "disk",
			" https://example.com/disk", "https://example.com/disk ", "https://example.com /disk", "https://exam\tple.com/disk", "https://example.com\r\nHost: 127.0.0.1/disk", "https://example.com\x00.127.0.0.1/disk", "https://example.com/di sk", "https://example.com/disk\n",
			// fragments, queries, ports
			"https://127.0.0.1#@example.com/disk", "https://example.com#/disk", "https://127.0.0.1?@example.com/disk", "https://?example.com", "https://example.com:0/disk", "https://example.com:99999/disk", "https://example.com:-1/disk", "https://example.com:/disk", "https://example.com:0443/disk", "https://example.com:443:80/disk", "https://example.com:https/disk", "https://example.com:+443/disk",
			// paths that climb
			"https://example.com/../disk", "https://example.com/a/..", "https://example.com/./disk", "https://example.com/%2e%2e/disk", "https://example.com/a%2fb", "https://example.com/a%5cb", "https://example.com/a%252fb", "https://example.com/a%00b", "https://example.com/a%0d%0ab", "https://example.com/%", "https://example.com/%zz", "https://example.com/a%2", "https://example.com/..%2f",
			// schemes
			"http://example.com/disk", "HTTPS://example.com/disk", "ftp://example.com/disk", "file:///etc/passwd", "file://localhost/etc/passwd", "gopher://example.com/disk", "docker://example.com/disk", "javascript:alert(1)", "data:text/plain,x", "unix:///run/docker.sock", "jar:https://example.com!/disk", "dict://127.0.0.1:11211/", "ldap://127.0.0.1/", "s3://bucket/key", "", "https://", "https", "://example.com", "https//example.com",
			// hosts that are none
			"https://./disk", "https://../disk", "https://.example.com/disk", "https://example..com/disk", "https://-example.com/disk", "https://example-.com/disk", "https://exa_mple.com/disk", "https://example.com./disk", "https://*/disk", "https://*.example.com/disk", "https://example.com,127.0.0.1/disk", "https://example.com;127.0.0.1/disk", "https://$(host)/disk", "https://{{host}}/disk", "https://@@name@@.example.com/disk",
			"https://" + strings.Repeat("a", 64) + ".com/disk", "https://" + strings.Repeat("a.", 130) + "com/disk", "https://example.com/" + strings.Repeat("a", 2048),
		},
		validation.URLRegistry: {
			"docker://localhost/web", "docker://localhost:5000/web", "docker://LOCALHOST/web", "docker://127.0.0.1:5000/web", "docker://127.1:5000/web", "docker://0x7f000001:5000/web", "docker://2130706433:5000/web", "docker://[::1]:5000/web", "docker://[::ffff:10.0.0.1]:5000/web", "docker://10.96.0.1/web",
			"docker://registry.registry.svc:5000/web", "docker://registry.registry.svc.cluster.local/web", "docker://registry.local/web", "docker://registry.default:5000/web", "docker://registry:5000/web", "docker://user:pass@quay.io/web", "docker://quay.io@127.0.0.1/web", "docker://quay.io/../web", "docker://quay.io/web#x", "docker://quay.io/web?x", "docker:/quay.io/web", "docker:quay.io/web", "docker:///quay.io/web", "docker://", "docker:// quay.io/web", "quay.io/web", "https://quay.io/web", "oci-archive:///var/run/secrets/x", "oci-archive://quay.io/web", "DOCKER://quay.io/web", "docker://quay.io/Web", "docker://quay.io/web:", "docker://quay.io/web@sha256:abc", "docker://quay.io./web", "docker://metadata.google.internal/web", "docker://169.254.169.254/web", "docker://docker://quay.io/web", "docker://REGISTRY/web",
		},
		validation.URLS3: {
			"s3://127.0.0.1/bucket/key", "s3://minio.storage.svc/bucket/key", "s3://minio:9000/bucket/key", "https://minio.local/bucket/key", "http://s3.amazonaws.com/bucket/key", "s3://key:secret@s3.amazonaws.com/bucket/key", "gs://bucket/key", "ftp://s3.amazonaws.com/bucket/key", "s3://s3.amazonaws.com/bucket/../other", "s3:///bucket/key", "s3://",
		},
		validation.URLGCS: {
			"gs://", "gs:///key", "gs://127.0.0.1/key", "gs://127.1/key", "gs://Bucket_/key", "gs://bucket/../other", "gs://user@bucket/key", "gs://bucket:80@evil/key", "s3://bucket/key", "http://storage.googleapis.com/bucket/key", "https://metadata.google.internal/bucket/key", "https://10.0.0.1/bucket/key",
		},
		validation.URLImageIO: {"https://10.0.0.1/ovirt-engine/api", "https://engine.local/api", "http://engine.example.com/api", "https://engine/api", "https://admin:pass@engine.example.com/api"},
		validation.URLVDDK:    {"https://192.168.0.10/sdk", "https://vcenter.local/sdk", "https://vcenter/sdk", "http://vcenter.example.com/sdk", "https://root:pass@vcenter.example.com/sdk", "vcenter.example.com"},
	}
}

func TestForbiddenURLs(t *testing.T) {
	listed, err := validation.ParsePolicy(validation.PolicySpec{
		Registries: []string{"127.0.0.1:9999/vms", "localhost:9999"}, S3: []string{"https://10.9.9.9/vms"},
		Imports: []string{"https://10.9.9.9/images", "http://mirror.example.net/images", "docker://registry.internal:5000/golden", "gs://golden-images", "https://good.example.net"},
	})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for kind, urls := range forbiddenURLs() {
		for _, rawURL := range urls {
			count++
			for name, policy := range map[string]*validation.Policy{"default": nil, "listed": listed} {
				err := policy.CheckURL(kind, rawURL)
				if err == nil {
					t.Errorf("%s, %s policy: %q was let through", kind, name, rawURL)
					continue
				}
				if strings.Contains(err.Error(), "pass@") || strings.ContainsAny(err.Error(), "\n\r\x00") {
					t.Errorf("%s: error on %q repeats a secret or control characters: %v", kind, rawURL, err)
				}
			}
		}
	}
	if count < 80 {
		t.Errorf("the table has %d ways, want at least 80", count)
	}
	t.Logf("%d ways to write a forbidden address", count)
}

func TestAllowedURLs(t *testing.T) {
	listed, err := validation.ParsePolicy(validation.PolicySpec{
		Imports: []string{"https://10.0.0.5/images", "http://mirror.local:8080", "docker://registry.infra.svc:5000/golden", "s3://minio.storage.svc:9000/golden", "https://[fd00::5]:8443/", "https://example.org/only/here/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		kind   validation.URLKind
		url    string
		policy *validation.Policy
	}{
		{validation.URLHTTP, "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img", nil},
		{validation.URLHTTP, "https://example.com", nil},
		{validation.URLHTTP, "https://example.com:8443/a%20b/c+d.qcow2?X-Amz-Signature=abc%2Fdef", nil},
		{validation.URLHTTP, "https://1.1.1.1/disk", nil},
		{validation.URLHTTP, "https://[2606:4700:4700::1111]:8443/disk", nil},
		{validation.URLHTTP, "https://EXAMPLE.com/disk", nil},
		{validation.URLHTTP, "https://xn--bcher-kva.example.com/disk", nil},
		{validation.URLHTTP, "https://objects.github.io/disk", nil},
		{validation.URLHTTP, "https://files.example.co.uk/a/.hidden/..x", nil},
		{validation.URLRegistry, "docker://quay.io/containerdisks/fedora:41", nil},
		{validation.URLRegistry, "docker://quay.io/containerdisks/fedora@sha256:" + strings.Repeat("a", 64), nil},
		{validation.URLRegistry, "docker://fedora:41", nil},
		{validation.URLRegistry, "docker://kubevirt/fedora-cloud", nil},
		{validation.URLRegistry, "docker://registry.example.com:5000/a/b_c/d--e:v1", nil},
		{validation.URLS3, "s3://s3.eu-central-1.amazonaws.com/bucket/key", nil},
		{validation.URLS3, "https://bucket.s3.amazonaws.com/key", nil},
		{validation.URLGCS, "gs://golden-images/fedora.qcow2", nil},
		{validation.URLGCS, "https://storage.googleapis.com/bucket/key", nil},
		{validation.URLImageIO, "https://engine.example.com/ovirt-engine/api", nil},
		{validation.URLVDDK, "https://vcenter.example.com/sdk", nil},
		{validation.URLHTTP, "https://10.0.0.5/images/a.qcow2", listed},
		{validation.URLHTTP, "https://10.0.0.5:443/images", listed},
		{validation.URLHTTP, "http://mirror.local:8080/any/thing", listed},
		{validation.URLHTTP, "https://[fd00::5]:8443/x", listed},
		{validation.URLHTTP, "https://[FD00:0::5]:8443/x", listed},
		{validation.URLRegistry, "docker://registry.infra.svc:5000/golden/fedora:41", listed},
		{validation.URLS3, "s3://minio.storage.svc:9000/golden/x", listed},
		{validation.URLHTTP, "https://example.org/elsewhere", listed}, // public: lists widen
	}
	for _, tc := range cases {
		if err := tc.policy.CheckURL(tc.kind, tc.url); err != nil {
			t.Errorf("%s %q: refused: %v", tc.kind, tc.url, err)
		}
	}
}

// TestListedMeansListed holds the edges of an entry: scheme, port and whole
// parts of the path.
func TestListedMeansListed(t *testing.T) {
	policy, err := validation.ParsePolicy(validation.PolicySpec{
		Registries: []string{"registry.local/vms", "10.0.0.1:5000", "[fd00::1]:5000/a", "registry.example.com"},
		S3:         []string{"https://s3.local/vms/web", "http://10.0.0.2:9000", "https://s3.example.com/base"},
		Imports:    []string{"https://10.0.0.5/images", "http://mirror.local", "docker://registry.local:5000/golden"},
	})
	if err != nil {
		t.Fatal(err)
	}
	registries := map[string]bool{
		"registry.local/vms/web": true, "registry.local:443/vms/web:v1": true, "registry.local/vms": true, "REGISTRY.LOCAL/vms/web": true,
		"registry.local/vms2/web": false, "registry.local/other/vms": false, "registry.local:5000/vms/web": false, "sub.registry.local/vms/web": false, "registry.local.evil.com/vms/web": false,
		"10.0.0.1:5000/anything/at/all": true, "10.0.0.1/anything": false, "10.0.0.1:5001/anything": false, "10.0.0.2:5000/anything": false,
		"[fd00::1]:5000/a/b": true, "[fd00:0:0::1]:5000/a/b": true, "[fd00::2]:5000/a/b": false,
		"registry.example.com/x": true, "registry.example.org/x": false, "registry.example.com./x": false, "127.1:5000/x": false, "quay.io/public/x": false, "": false,
	}
	for image, want := range registries {
		if err := policy.CheckRegistry(image); (err == nil) != want {
			t.Errorf("CheckRegistry(%q) = %v, want allowed %t", image, err, want)
		}
	}
	buckets := []struct {
		endpoint, bucket, prefix string
		want                     bool
	}{
		{"https://s3.local", "vms", "web/a", true},
		{"https://s3.local/", "vms", "web", true},
		{"https://s3.local:443", "vms", "web/", true},
		{"https://s3.local", "vms", "web2", false},
		{"https://s3.local", "vms", "", false},
		{"https://s3.local", "vms", "web/../other", false},
		{"https://s3.local/x", "vms", "web", false},
		{"http://s3.local", "vms", "web", false},
		{"https://s3.local:444", "vms", "web", false},
		{"http://10.0.0.2:9000", "any", "thing", true},
		{"https://s3.example.com/base", "any", "", true},
		{"https://s3.example.com", "base", "", true}, // the same URL in the end
		{"https://s3.example.com/base/..", "any", "", false},
		{"https://u:p@s3.local", "vms", "web", false},
		{"https://s3.local", "a/b", "web", false},
		{"", "vms", "web", false},
	}
	for _, tc := range buckets {
		if err := policy.CheckS3(tc.endpoint, tc.bucket, tc.prefix); (err == nil) != tc.want {
			t.Errorf("CheckS3(%q, %q, %q) = %v, want allowed %t", tc.endpoint, tc.bucket, tc.prefix, err, tc.want)
		}
	}
	imports := map[string]bool{
		"https://10.0.0.5/images/x": true, "https://10.0.0.5/images": true, "https://10.0.0.5/images2": false, "https://10.0.0.5/x/images": false, "https://10.0.0.5//images/x": false,
		"http://10.0.0.5/images/x": false, "https://10.0.0.5:8443/images/x": false, "http://mirror.local/x": true, "http://mirror.local:80/x": true, "https://mirror.local/x": false,
	}
	for rawURL, want := range imports {
		if err := policy.CheckURL(validation.URLHTTP, rawURL); (err == nil) != want {
			t.Errorf("CheckURL(%q) = %v, want allowed %t", rawURL, err, want)
		}
	}
}

func TestNothingMayBeExportedByDefault(t *testing.T) {
	var none *validation.Policy
	empty, err := validation.ParsePolicy(validation.PolicySpec{})
	if err != nil {
		t.Fatal(err)
	}
	imports, err := validation.ParsePolicy(validation.PolicySpec{Imports: []string{"https://s3.example.com", "docker://quay.io"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range []*validation.Policy{none, empty, imports} {
		for _, image := range []string{"quay.io/a/b", "docker.io/library/a", "127.0.0.1:5000/a"} {
			if policy.CheckRegistry(image) == nil {
				t.Errorf("image %q may be exported to, though nothing is listed", image)
			}
		}
		if policy.CheckS3("https://s3.example.com", "bucket", "") == nil {
			t.Error("a bucket may be exported to, though nothing is listed")
		}
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	_, err := validation.ParsePolicy(validation.PolicySpec{
		Registries: []string{"https://registry.example.com", "registry.example.com/Vms", "", "user:hunter2@registry.example.com", "registry.example.com/vms:v1", "127.1"},
		S3:         []string{"s3.example.com", "https://s3.example.com/a/../b", "https://k:hunter2@s3.example.com", "s3://bucket"},
		Imports:    []string{"example.com", "ftp://example.com", "https://example.com?x=hunter2", "gs://127.0.0.1", "*"},
	})
	want := strings.Join([]string{
		`policy.destinations.registries[0]: found "https://registry.example.com", must be a registry without a scheme, such as registry.example.com/vms`,
		`policy.destinations.registries[1]: found "registry.example.com/Vms", must have a repository of lower-case letters and digits behind the registry, without a tag`,
		`policy.destinations.registries[2]: found "", must name a host`,
		`policy.destinations.registries[3]: found "…@registry.example.com", must not hold a user or password before the host: name a Secret instead`,
		`policy.destinations.registries[4]: found "registry.example.com/vms:v1", must have a repository of lower-case letters and digits behind the registry, without a tag`,
		`policy.destinations.registries[5]: found "127.1", must hold an IPv4 address as four decimal numbers without leading zeros, a.b.c.d: octal, hexadecimal and short forms are read differently by different programs`,
		`policy.destinations.s3[0]: found "s3.example.com", must begin with https:// or http://`,
		`policy.destinations.s3[1]: found "https://s3.example.com/a/../b", must not hold '.' or '..' in its path`,
		`policy.destinations.s3[2]: found "https://…@s3.example.com", must not hold a user or password before the host: name a Secret instead`,
		`policy.destinations.s3[3]: found "s3://bucket", must begin with https:// or http://`,
		`policy.imports[0]: found "example.com", must begin with https://, http://, docker://, s3:// or gs://`,
		`policy.imports[1]: found "ftp://example.com", must begin with https://, http://, docker://, s3:// or gs://`,
		`policy.imports[2]: found "https://example.com?…", must be the beginning of a URL, without a query`,
		`policy.imports[3]: found "gs://127.0.0.1", must name a bucket behind gs://`,
		`policy.imports[4]: found "*", must begin with https://, http://, docker://, s3:// or gs://`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
}

func TestForbiddenAddr(t *testing.T) {
	forbidden := map[string]string{
		"127.0.0.1": "a loopback address", "10.1.2.3": "a private address", "172.20.0.1": "a private address", "192.168.0.1": "a private address", "169.254.169.254": "a link-local address, where clouds serve their metadata",
		"100.127.255.255": "an address of a carrier's or cloud's own network", "0.0.0.0": "an address of this host itself", "255.255.255.255": "the broadcast address", "250.0.0.1": "a reserved address", "224.0.0.251": "a multicast address",
		"168.63.129.16": "the address of Azure's host", "192.0.0.8": "a reserved address", "198.19.255.255": "an address for measurements",
		"::": "an address of this host itself", "::1": "a loopback address", "::2": "an IPv4 address in IPv6 form", "::ffff:10.0.0.1": "a private address", "::ffff:169.254.169.254": "a link-local address, where clouds serve their metadata",
		"64:ff9b::8.8.8.8": "an IPv4 address in IPv6 form", "2002:808:808::1": "an IPv4 address in IPv6 form", "2001:0:1::": "an IPv4 address in IPv6 form", "2606:4700::5efe:808:808": "an IPv4 address in IPv6 form",
		"fe80::1": "a link-local address", "fe80::1%eth0": "an address of one network interface", "2606:4700::1%eth0": "an address of one network interface", "fd12::1": "a private address", "ff05::2": "a multicast address", "2001:db8::": "an address for documentation", "2001:10::1": "a reserved address", "4000::": "a reserved address", "e000::": "a reserved address",
	}
	for text, want := range forbidden {
		if got := validation.ForbiddenAddr(netip.MustParseAddr(text)); got != want {
			t.Errorf("ForbiddenAddr(%s) = %q, want %q", text, got, want)
		}
	}
	if got := validation.ForbiddenAddr(netip.Addr{}); got != "no IP address" {
		t.Errorf("ForbiddenAddr of none = %q", got)
	}
	for _, text := range []string{"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.17", "2606:4700::1", "2a00::", "2001:200::1", "::ffff:8.8.8.8"} {
		if got := validation.ForbiddenAddr(netip.MustParseAddr(text)); got != "" {
			t.Errorf("ForbiddenAddr(%s) = %q, want none", text, got)
		}
	}
}

func TestCheckAddr(t *testing.T) {
	policy, err := validation.ParsePolicy(validation.PolicySpec{
		Registries: []string{"registry.local:5000"}, S3: []string{"https://s3.local"}, Imports: []string{"http://mirror.local", "docker://10.0.0.9"},
	})
	if err != nil {
		t.Fatal(err)
	}
	private, public := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("1.1.1.1")
	cases := []struct {
		host   string
		addr   netip.Addr
		policy *validation.Policy
		want   bool
	}{
		{"example.com:443", public, nil, true},
		{"example.com:443", private, nil, false},
		{"example.com:443", private, policy, false},
		{"registry.local:5000", private, policy, true},
		{"registry.local:5001", private, policy, false},
		{"registry.local:5000", private, nil, false},
		{"s3.local:443", private, policy, true},
		{"s3.local:80", private, policy, false},
		{"mirror.local:80", private, policy, true},
		{"mirror.local:443", private, policy, false},
		{"10.0.0.9:443", netip.MustParseAddr("10.0.0.9"), policy, true},
		{"user@registry.local:5000", private, policy, false},
	}
	for _, tc := range cases {
		if err := tc.policy.CheckAddr(tc.host, tc.addr); (err == nil) != tc.want {
			t.Errorf("CheckAddr(%q, %s) = %v, want allowed %t", tc.host, tc.addr, err, tc.want)
		}
	}
	want := `host "example.com" is at 10.0.0.1, which is a private address: take another host, or ask the cluster's administrator to list it in the wukong chart's values`
	if err := policy.CheckAddr("example.com:443", private); err == nil || err.Error() != want {
		t.Errorf("CheckAddr = %v, want %s", err, want)
	}
}

func TestParseHost(t *testing.T) {
	cases := map[string]string{
		"Example.COM": "example.com", "example.com:8080": "example.com:8080", "1.2.3.4:80": "1.2.3.4:80", "[2606:4700:0::1]": "[2606:4700::1]", "[2606:4700::1]:443": "[2606:4700::1]:443", "a": "a", "a-b.c1": "a-b.c1", "3com.com": "3com.com",
	}
	for text, want := range cases {
		host, err := validation.ParseHost(text)
		if err != nil || host.String() != want {
			t.Errorf("ParseHost(%q) = %q, %v, want %q", text, host.String(), err, want)
		}
	}
}

func TestParseImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	image, err := validation.ParseImage("Registry.Example.com:5000/vms/web_1:v1.2@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	if image.Host.String() != "registry.example.com:5000" || image.Repository != "vms/web_1" || image.Tag != "v1.2" || image.Digest != digest {
		t.Errorf("ParseImage = %+v", image)
	}
}
