package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func newTestSupervisor(t *testing.T) *supervisor {
	t.Helper()
	s := newSupervisor(t.TempDir())
	t.Cleanup(s.close)
	return s
}

func shell(name, script string) command {
	return command{name: name, path: "/bin/sh", args: []string{"-c", script}}
}

// await fails the test where a channel stays silent.
func await[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not happen", what)
		panic("unreachable")
	}
}

// alive returns the processes of a group that have not ended; one that nobody has reaped yet has.
func alive(t *testing.T, group int) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := strings.Cut(string(content), ") ") // after the name: state, parent, group
		fields := strings.Fields(rest)
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" {
			found = append(found, string(content))
		}
	}
	return found
}

func TestAProgramThatEndsIsReportedWithItsLastWords(t *testing.T) {
	s := newTestSupervisor(t)
	if _, err := s.start(shell("talker", "seq 1 100; echo no space left >&2; exit 3")); err != nil {
		t.Fatal(err)
	}
	err := await(t, "the report", s.failed)
	for _, want := range []string{"talker ended: exit status 3", "no space left", "  100"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the report does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "\n  80\n") {
		t.Errorf("the report holds more than the last lines:\n%v", err)
	}
}

func TestStopEndsProgramsThatDoNotListen(t *testing.T) {
	s := newTestSupervisor(t)
	stubborn, err := s.start(shell("stubborn", "trap '' TERM; sleep 1000 & echo $! ; wait"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := s.start(shell("server", "exec sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stop(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*process{stubborn, server} {
		await(t, p.name+"'s end", p.done)
		if left := alive(t, p.cmd.Process.Pid); len(left) > 0 {
			t.Errorf("%s left processes in its group: %q", p.name, left)
		}
	}
	select {
	case err := <-s.failed:
		t.Errorf("an end that was asked for was reported: %v", err)
	default:
	}
}

func TestCloseKillsWhatIsLeft(t *testing.T) {
	s := newTestSupervisor(t)
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := s.spawn(cmd); err != nil {
		t.Fatal(err)
	}
	s.close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := await(t, "the end", ended); err == nil || err.Error() != "signal: killed" {
		t.Errorf("it ended by %v, want the kernel's signal", err)
	}
	if err := s.spawn(exec.CommandContext(t.Context(), "true")); err == nil {
		t.Error("a program started after close")
	}
}
