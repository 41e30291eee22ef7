package world

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestSourcesServeWhatTheyCount(t *testing.T) {
	sources := Serve()
	t.Cleanup(sources.Close)
	want := Image("disk", 64<<10)

	url, err := sources.Push("disk", want)
	if err != nil {
		t.Fatal(err)
	}
	if have := pull(t, url); !bytes.Equal(have, want) {
		t.Errorf("the containerdisk holds %d bytes that are not the image's", len(have))
	}
	if n := sources.Downloads("disk"); n != 1 {
		t.Errorf("the registry counts %d downloads, want 1", n)
	}

	address := sources.Web("web", want)
	if have := get(t, address); !bytes.Equal(have, want) {
		t.Errorf("the web server gives %d bytes that are not the image's", len(have))
	}
	if n := sources.Downloads("web"); n != 1 {
		t.Errorf("the web server counts %d downloads, want 1", n)
	}
}

func TestImagesDifferByTheirLabelAlone(t *testing.T) {
	if !bytes.Equal(Image("a", 4096), Image("a", 4096)) {
		t.Error("two images with one label differ")
	}
	if Checksum(Image("a", 4096)) == Checksum(Image("b", 4096)) {
		t.Error("two labels give one image")
	}
}

// pull reads the disk of a containerdisk.
func pull(t *testing.T, url string) []byte {
	t.Helper()
	reference, err := name.ParseReference(strings.TrimPrefix(url, "docker://"))
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(reference, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	layer, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	archive := tar.NewReader(layer)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	if header.Name != "disk/disk.img" {
		t.Errorf("the layer holds %q, want disk/disk.img", header.Name)
	}
	data, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
