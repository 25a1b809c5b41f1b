package box

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// system is what of systemd a daemon that changes its process needs: it hears
// which process is the main one, and inherits processes whose parent has ended.
type system struct {
	socket *net.UnixConn
	name   string
	main   atomic.Int64
	done   chan struct{}
}

// newSystem makes this process inherit, and opens the notification socket.
func newSystem() (*system, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("inherit processes: %w", err)
	}
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "socket")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	s := &system{socket: c, name: name, done: make(chan struct{})}
	go s.hear()
	return s, nil
}

func (s *system) hear() {
	defer close(s.done)
	b := make([]byte, 4096)
	for {
		n, err := s.socket.Read(b)
		if err != nil {
			return // closed
		}
		for line := range strings.Lines(string(b[:n])) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "MAINPID="); ok {
				if pid, err := strconv.ParseInt(v, 10, 32); err == nil {
					s.main.Store(pid)
				}
			}
		}
	}
}

func (s *system) close() error {
	err := s.socket.Close()
	<-s.done
	return errors.Join(err, os.RemoveAll(filepath.Dir(s.name)))
}

// ended reports whether a process has ended; one that this process has inherited
// is buried.
func ended(pid int) bool {
	var status syscall.WaitStatus
	if got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); err == nil && got == pid {
		return true
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// stopMain ends the main process if another one has become that, and waits.
func (s *system) stopMain(first int) error {
	pid := int(s.main.Load())
	if pid == 0 || pid == first {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	for end := time.Now().Add(30 * time.Second); !ended(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return fmt.Errorf("process %d did not end when it was told to", pid)
		}
	}
	return nil
}
