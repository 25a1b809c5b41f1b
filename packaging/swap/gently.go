//go:build linux

package swap

import (
	"runtime"

	"golang.org/x/sys/unix"

	"docscan/device/confine"
)

// gently does something that takes a while of a core, with the programs it starts, after
// all that people wait for.
func gently(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine: it cannot be made what it was
		err := confine.GiveWay(unix.PRIO_PROCESS)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}
