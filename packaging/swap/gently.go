//go:build linux

package swap

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// niceness lets requests and paper go before the preparation of an update.
const niceness = 10

// gently does something that takes a while of a core, with the programs it starts, after
// all that people wait for.
func gently(do func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread ends with this goroutine: only root may raise its priority again.
		runtime.LockOSThread()
		n, err := threadNiceness()
		if err == nil && n < niceness {
			err = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness)
		}
		if err != nil {
			done <- fmt.Errorf("lower the priority: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}

// threadNiceness is that of the thread which asks.
func threadNiceness() (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - n, err // the kernel counts down from 20
}
