package world

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Sources is a web server and a registry on loopback. It counts how often each image is downloaded.
type Sources struct {
	server *httptest.Server

	mu        sync.Mutex
	images    map[string][]byte
	layers    map[string]string // digest of a containerdisk's layer -> image
	downloads map[string]int
}

// Serve starts a web server and a registry with nothing on them.
func Serve() *Sources {
	s := &Sources{images: map[string][]byte{}, layers: map[string]string{}, downloads: map[string]int{}}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /images/{image}", s.serveImage)
	mux.Handle("/v2/", s.counting(images))
	s.server = httptest.NewServer(mux)
	return s
}

// Close stops the servers.
func (s *Sources) Close() {
	s.server.CloseClientConnections()
	s.server.Close()
}

// Web puts an image on the web server and gives its URL.
func (s *Sources) Web(image string, data []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[image] = data
	return s.server.URL + "/images/" + image
}

// Push puts an image into the registry as a containerdisk and gives its URL, as CDI wants it.
func (s *Sources) Push(image string, data []byte) (string, error) {
	reference, err := name.NewTag(strings.TrimPrefix(s.server.URL, "http://") + "/disks/" + image + ":latest")
	if err != nil {
		return "", fmt.Errorf("naming image %q: %w", image, err)
	}
	disk, err := containerDisk(data)
	if err != nil {
		return "", fmt.Errorf("making a containerdisk of %q: %w", image, err)
	}
	layers, err := disk.Layers()
	if err != nil {
		return "", fmt.Errorf("making a containerdisk of %q: %w", image, err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		return "", fmt.Errorf("making a containerdisk of %q: %w", image, err)
	}
	if err := remote.Write(reference, disk); err != nil {
		return "", fmt.Errorf("pushing %q: %w", image, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.layers[digest.String()] = image
	return "docker://" + reference.Name(), nil
}

// Downloads is how often an image's data was asked for.
func (s *Sources) Downloads(image string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.downloads[image]
}

func (s *Sources) serveImage(w http.ResponseWriter, r *http.Request) {
	image := r.PathValue("image")
	s.mu.Lock()
	data, ok := s.images[image]
	if r.Method == http.MethodGet {
		s.downloads[image]++
	}
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, image, time.Time{}, bytes.NewReader(data))
}

// counting counts the downloads of layers that hold a disk.
func (s *Sources) counting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, digest, blob := strings.Cut(r.URL.Path, "/blobs/")
		if blob && r.Method == http.MethodGet {
			s.mu.Lock()
			if image, ok := s.layers[digest]; ok {
				s.downloads[image]++
			}
			s.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}
