package csidriver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// DiskFile is the name of a volume's data inside its folder.
	DiskFile = "disk.img"

	metaFile      = "meta.json"
	volumesDir    = "volumes"
	snapshotsDir  = "snapshots"
	partialSuffix = ".partial"
)

// errNoSpace says that an image would pass the capacity of the store.
var errNoSpace = errors.New("no space left in the store")

// plainName is a request name that can serve as a folder name and an id as it is.
var plainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// VolumePath is the file that holds the data of a volume of the driver rooted at root.
func VolumePath(root, volumeID string) string {
	return filepath.Join(root, volumesDir, volumeID, DiskFile)
}

// image is the record kept beside the data of a volume or a snapshot.
type image struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Size       int64             `json:"size"`
	Created    time.Time         `json:"created"`
	Parameters map[string]string `json:"parameters,omitempty"`
	// SourceVolume and SourceSnapshot name what the data was copied from; at most one is set.
	SourceVolume   string `json:"sourceVolume,omitempty"`
	SourceSnapshot string `json:"sourceSnapshot,omitempty"`
}

// store holds the images of one kind, volumes or snapshots, and survives a restart of the driver.
type store struct {
	dir string

	mu     sync.RWMutex
	images map[string]image
}

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	s := &store{dir: dir, images: make(map[string]image, len(entries))}
	for _, entry := range entries {
		if err := s.load(entry.Name()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// load reads one record; what a crash left half written is removed.
func (s *store) load(folder string) error {
	if strings.HasSuffix(folder, partialSuffix) {
		return os.RemoveAll(filepath.Join(s.dir, folder))
	}
	data, err := os.ReadFile(filepath.Join(s.dir, folder, metaFile))
	if err != nil {
		return fmt.Errorf("reading the record of %q: %w", folder, err)
	}
	var img image
	if err := json.Unmarshal(data, &img); err != nil {
		return fmt.Errorf("decoding the record of %q: %w", folder, err)
	}
	s.images[img.ID] = img
	return nil
}

func (s *store) get(id string) (image, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	img, ok := s.images[id]
	return img, ok
}

// list returns every image in the order of its id, which keeps paging stable.
func (s *store) list() []image {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]image, 0, len(s.images))
	for _, img := range s.images {
		all = append(all, img)
	}
	slices.SortFunc(all, func(a, b image) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (s *store) used() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var sum int64
	for _, img := range s.images {
		sum += img.Size
	}
	return sum
}

// create writes the image in a folder of its own and shows it only once it is whole.
func (s *store) create(img image, sourcePath string) error {
	partial := filepath.Join(s.dir, img.ID+partialSuffix)
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return err
	}
	err := s.fill(partial, img, sourcePath)
	if err == nil {
		err = os.Rename(partial, filepath.Join(s.dir, img.ID))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(partial))
	}
	s.remember(img)
	return nil
}

func (s *store) fill(folder string, img image, sourcePath string) error {
	if err := writeDisk(filepath.Join(folder, DiskFile), sourcePath, img.Size); err != nil {
		return err
	}
	return writeRecord(folder, img)
}

func (s *store) remember(img image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[img.ID] = img
}

// grow makes an image larger; it never shrinks one.
func (s *store) grow(img image, size int64) error {
	if err := os.Truncate(s.path(img.ID), size); err != nil {
		return err
	}
	img.Size = size
	if err := writeRecord(filepath.Join(s.dir, img.ID), img); err != nil {
		return err
	}
	s.remember(img)
	return nil
}

// remove deletes an image, and is content if there is none. The folder goes out of sight first, so that
// a crash cannot leave a record without data.
func (s *store) remove(id string) error {
	if _, ok := s.get(id); !ok {
		return nil
	}
	partial := filepath.Join(s.dir, id+partialSuffix)
	if err := os.Rename(filepath.Join(s.dir, id), partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.mu.Lock()
	delete(s.images, id)
	s.mu.Unlock()
	return os.RemoveAll(partial)
}

func (s *store) path(id string) string {
	return filepath.Join(s.dir, id, DiskFile)
}

func writeRecord(folder string, img image) error {
	data, err := json.Marshal(img)
	if err != nil {
		return err
	}
	temporary := filepath.Join(folder, metaFile+partialSuffix)
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(folder, metaFile))
}

// imageID is a pure function of the requested name: the same name always means the same image.
func imageID(name string) string {
	if plainName.MatchString(name) && !strings.HasSuffix(name, partialSuffix) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "sha-" + hex.EncodeToString(sum[:16])
}
