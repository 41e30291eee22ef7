package cluster

import (
	"net"
	"testing"
)

func TestNoPortIsHandedOutTwice(t *testing.T) {
	const each = 50
	first, err := newPorts()
	if err != nil {
		t.Fatal(err)
	}
	defer first.release()
	second, err := newPorts() // as another process has it
	if err != nil {
		t.Fatal(err)
	}
	defer second.release()
	seen := map[int]bool{}
	for range each {
		for _, p := range []*ports{first, second} {
			port, err := p.take()
			if err != nil {
				t.Fatal(err)
			}
			if seen[port] || port < firstPort || port >= lastPort {
				t.Fatalf("take() = %d, which is taken or out of range", port)
			}
			seen[port] = true
		}
	}
}

func TestAPortInUseIsNotFree(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if port := listener.Addr().(*net.TCPAddr).Port; isFree(port) {
		t.Errorf("isFree(%d) = true while it is listened on", port)
	}
}
