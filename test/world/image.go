package world

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// qemuUser owns the disk of a containerdisk.
const qemuUser = 107

// Image gives the bytes of a raw disk image: as a real one, it begins with a label, is full of data that
// cannot be compressed, and ends in zeros. The same label gives the same bytes.
func Image(label string, size int) []byte {
	image := make([]byte, size)
	seed := sha256.Sum256([]byte(label))
	data := rand.NewChaCha8(seed)
	_, _ = data.Read(image[:size/2]) // never fails
	copy(image, "wukong test image: "+label+"\n")
	return image
}

// Checksum gives the sha256 of an image, as an import source wants it.
func Checksum(image []byte) string {
	sum := sha256.Sum256(image)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// containerDisk gives a container image that holds a disk image, as KubeVirt and CDI expect it.
func containerDisk(image []byte) (v1.Image, error) {
	archive, err := diskArchive(image)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive)), nil
	})
	if err != nil {
		return nil, fmt.Errorf("making a layer: %w", err)
	}
	return mutate.AppendLayers(empty.Image, layer)
}

func diskArchive(image []byte) ([]byte, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	header := &tar.Header{Name: "disk/disk.img", Mode: 0o440, Uid: qemuUser, Gid: qemuUser, Size: int64(len(image)), Typeflag: tar.TypeReg}
	if err := writer.WriteHeader(header); err != nil {
		return nil, fmt.Errorf("writing a layer: %w", err)
	}
	if _, err := writer.Write(image); err != nil {
		return nil, fmt.Errorf("writing a layer: %w", err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("writing a layer: %w", err)
	}
	return archive.Bytes(), nil
}
