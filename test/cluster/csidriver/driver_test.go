package csidriver_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"wukong.io/wukong/test/cluster/csidriver"
)

const mebibyte = 1 << 20

// TestSanity holds the driver to the suite of the CSI project.
func TestSanity(t *testing.T) {
	d := start(t, csidriver.Options{})
	config := sanity.NewTestConfig()
	config.Address = d.socket
	config.TestVolumeSize = 10 * mebibyte
	config.TestVolumeExpandSize = 20 * mebibyte
	config.TargetPath = filepath.Join(t.TempDir(), "target")
	config.StagingPath = filepath.Join(t.TempDir(), "staging")
	sc := sanity.GinkgoTest(&config)
	defer sc.Finalize()
	gomega.RegisterFailHandler(ginkgo.Fail)
	suite, reporter := ginkgo.GinkgoConfiguration()
	ginkgo.RunSpecs(t, "CSI sanity", suite, reporter)
}

// running is a driver on a socket of its own, and clients of it.
type running struct {
	csi.ControllerClient
	socket string
	root   string
}

func start(t *testing.T, opts csidriver.Options) running {
	t.Helper()
	folder := t.TempDir()
	opts.Name = "file.test.wukong.io"
	opts.Root = filepath.Join(folder, "root")
	opts.Socket = filepath.Join(folder, "csi.sock")
	return startAt(t, opts)
}

func startAt(t *testing.T, opts csidriver.Options) running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- csidriver.Run(ctx, opts) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the driver ended with %v", err)
		}
	})
	conn, err := grpc.NewClient("unix:"+opts.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := csi.NewIdentityClient(conn).Probe(t.Context(), &csi.ProbeRequest{}); err != nil {
		t.Fatal(err)
	}
	return running{ControllerClient: csi.NewControllerClient(conn), socket: opts.Socket, root: opts.Root}
}

func (r running) path(id string) string { return csidriver.VolumePath(r.root, id) }

func volumeRequest(name string, size int64, source *csi.VolumeContentSource) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{
		Name:          name,
		CapacityRange: &csi.CapacityRange{RequiredBytes: size},
		VolumeCapabilities: []*csi.VolumeCapability{{
			AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		}},
		VolumeContentSource: source,
	}
}

func fromSnapshot(id string) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: id},
	}}
}

func fromVolume(id string) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: id},
	}}
}

func (r running) mustVolume(t *testing.T, req *csi.CreateVolumeRequest) string {
	t.Helper()
	resp, err := r.CreateVolume(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetVolume().GetVolumeId()
}

// mustSnapshot takes the snapshot snap-1.
func (r running) mustSnapshot(t *testing.T, volume string) string {
	t.Helper()
	resp, err := r.CreateSnapshot(t.Context(), &csi.CreateSnapshotRequest{Name: "snap-1", SourceVolumeId: volume})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetSnapshot().GetSnapshotId()
}

// writeAt puts bytes in the middle of a volume, so that there are holes on both sides.
func writeAt(t *testing.T, path string, data []byte, offset int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = file.WriteAt(data, offset)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Fatalf("want code %v, got %v (%v)", want, got, err)
	}
}

func TestSnapshotsAreCopiesOfTheirMoment(t *testing.T) {
	d := start(t, csidriver.Options{})
	id := d.mustVolume(t, volumeRequest("pvc-1", 8*mebibyte, nil))
	writeAt(t, d.path(id), bytes.Repeat([]byte("before"), 1000), 3*mebibyte+17)
	before := read(t, d.path(id))
	snapshot := d.mustSnapshot(t, id)
	writeAt(t, d.path(id), []byte("after"), 3*mebibyte+17)

	restored := d.mustVolume(t, volumeRequest("pvc-2", 12*mebibyte, fromSnapshot(snapshot)))
	clone := d.mustVolume(t, volumeRequest("pvc-3", 8*mebibyte, fromVolume(id)))

	grown := append(bytes.Clone(before), make([]byte, 4*mebibyte)...)
	if !bytes.Equal(read(t, d.path(restored)), grown) {
		t.Error("the restored volume is not the source as it was, grown with zeros")
	}
	if !bytes.Equal(read(t, d.path(clone)), read(t, d.path(id))) {
		t.Error("the clone differs from its source")
	}
	if blocks := allocated(t, d.path(restored)); blocks > 2*mebibyte {
		t.Errorf("the copy is not sparse: %d bytes are allocated", blocks)
	}
}

func allocated(t *testing.T, path string) int64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

func TestARestartedDriverKnowsItsImages(t *testing.T) {
	folder := t.TempDir()
	opts := csidriver.Options{Name: "file.test.wukong.io", Root: filepath.Join(folder, "root")}
	var id, snapshot string
	t.Run("first life", func(t *testing.T) {
		opts.Socket = filepath.Join(t.TempDir(), "csi.sock")
		d := startAt(t, opts)
		id = d.mustVolume(t, volumeRequest("pvc-1", mebibyte, nil))
		snapshot = d.mustSnapshot(t, id)
	})
	// A crash in the middle of a copy leaves this behind.
	leftover := filepath.Join(opts.Root, "volumes", "pvc-9.partial")
	if err := os.MkdirAll(leftover, 0o755); err != nil {
		t.Fatal(err)
	}
	opts.Socket = filepath.Join(folder, "csi.sock")
	d := startAt(t, opts)
	if again := d.mustVolume(t, volumeRequest("pvc-1", mebibyte, nil)); again != id {
		t.Errorf("want the same volume %q, got %q", id, again)
	}
	if again := d.mustSnapshot(t, id); again != snapshot {
		t.Errorf("want the same snapshot %q, got %q", snapshot, again)
	}
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("want the leftover gone, got %v", err)
	}
}

func TestRefusals(t *testing.T) {
	d := start(t, csidriver.Options{Capacity: 10 * mebibyte})
	id := d.mustVolume(t, volumeRequest("pvc-1", 4*mebibyte, nil))
	snapshot := d.mustSnapshot(t, id)
	other := d.mustVolume(t, volumeRequest("pvc-2", mebibyte, nil))
	withParameters := volumeRequest("pvc-1", 4*mebibyte, nil)
	withParameters.Parameters = map[string]string{"tier": "fast"}
	cases := map[string]struct {
		req  *csi.CreateVolumeRequest
		want codes.Code
	}{
		"another size of the same name":       {volumeRequest("pvc-1", 5*mebibyte, nil), codes.AlreadyExists},
		"other parameters of the same name":   {withParameters, codes.AlreadyExists},
		"another source of the same name":     {volumeRequest("pvc-1", 4*mebibyte, fromSnapshot(snapshot)), codes.AlreadyExists},
		"a volume smaller than its snapshot":  {volumeRequest("pvc-3", mebibyte, fromSnapshot(snapshot)), codes.OutOfRange},
		"a snapshot that does not exist":      {volumeRequest("pvc-3", mebibyte, fromSnapshot("nowhere")), codes.NotFound},
		"a source volume that does not exist": {volumeRequest("pvc-3", mebibyte, fromVolume("nowhere")), codes.NotFound},
		"more than the capacity":              {volumeRequest("pvc-3", 2*mebibyte, nil), codes.ResourceExhausted},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := d.CreateVolume(t.Context(), tc.req)
			wantCode(t, err, tc.want)
		})
	}
	t.Run("a snapshot name of another volume", func(t *testing.T) {
		_, err := d.CreateSnapshot(t.Context(), &csi.CreateSnapshotRequest{Name: "snap-1", SourceVolumeId: other})
		wantCode(t, err, codes.AlreadyExists)
	})
}

func TestADriverWithoutSnapshots(t *testing.T) {
	d := start(t, csidriver.Options{NoSnapshots: true})
	id := d.mustVolume(t, volumeRequest("pvc-1", mebibyte, nil))
	_, err := d.CreateSnapshot(t.Context(), &csi.CreateSnapshotRequest{Name: "snap-1", SourceVolumeId: id})
	wantCode(t, err, codes.Unimplemented)
	capabilities, err := d.ControllerGetCapabilities(t.Context(), &csi.ControllerGetCapabilitiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, capability := range capabilities.GetCapabilities() {
		if capability.GetRpc().GetType() == csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT {
			t.Error("a driver without snapshots says it can take them")
		}
	}
}

func TestFaults(t *testing.T) {
	faults := &csidriver.Faults{}
	var seen []string
	d := start(t, csidriver.Options{Faults: faults, Observe: func(call, name string) { seen = append(seen, call+" "+name) }})
	create := func() error {
		_, err := d.CreateVolume(t.Context(), volumeRequest("pvc-1", mebibyte, nil))
		return err
	}
	faults.OutOfSpace(true)
	wantCode(t, create(), codes.ResourceExhausted)
	faults.Reset()
	faults.Fail("CreateVolume", 2, codes.Aborted)
	wantCode(t, create(), codes.Aborted)
	wantCode(t, create(), codes.Aborted)
	faults.LoseReply("CreateVolume", 1)
	wantCode(t, create(), codes.Unavailable)
	if _, err := os.Stat(d.path("pvc-1")); err != nil {
		t.Errorf("want the work of a lost call done, got %v", err)
	}
	faults.Delay("CreateVolume", time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := d.CreateVolume(ctx, volumeRequest("pvc-1", mebibyte, nil))
	wantCode(t, err, codes.DeadlineExceeded)
	faults.Reset()
	wantCode(t, create(), codes.OK)
	if len(seen) != 1 || seen[0] != "CreateVolume pvc-1" {
		t.Errorf("want one volume made in all, got %v", seen)
	}
}
