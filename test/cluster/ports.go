package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports come from below the range from which Linux takes the local ports of outgoing connections (32768 and up), so none
// is lost between the moment it is chosen and the moment its program listens.
const (
	firstPort = 20000
	lastPort  = 32000
	portTries = 500
)

// ports hands out free loopback ports, each to one cluster of this user only, whatever process that cluster is in.
type ports struct {
	dir string

	mu    sync.Mutex
	locks []*os.File
}

func newPorts() (*ports, error) {
	dir := filepath.Join(os.TempDir(), "wukong-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of port locks: %w", err)
	}
	return &ports{dir: dir}, nil
}

// take returns a port that nobody listens on and that no other cluster has taken.
func (p *ports) take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		lock, err := p.lock(port)
		if err != nil {
			return 0, err
		}
		if lock == nil {
			continue
		}
		if isFree(port) {
			p.locks = append(p.locks, lock)
			return port, nil
		}
		_ = lock.Close()
	}
	return 0, fmt.Errorf("no free port between %d and %d after %d tries", firstPort, lastPort, portTries)
}

// lock returns nil where another cluster holds the port.
func (p *ports) lock(port int) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(p.dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a port lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, file.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking port %d: %w", port, err), file.Close())
	}
	return file, nil
}

func isFree(port int) bool {
	listener, err := net.Listen("tcp", loopback(port)) //nolint:noctx // returns at once
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// release gives all ports back.
func (p *ports) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, lock := range p.locks {
		_ = lock.Close()
	}
	p.locks = nil
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
