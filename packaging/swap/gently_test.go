//go:build linux

package swap

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"docscan/device/confine"
)

func TestGently(t *testing.T) {
	before, err := confine.Nice(unix.PRIO_PROCESS)
	if err != nil {
		t.Fatal(err)
	}
	want := max(before, confine.Niceness)
	why := errors.New("why")
	err = gently(func() error {
		if n, err := confine.Nice(unix.PRIO_PROCESS); err != nil || n != want {
			t.Errorf("the niceness is %d, want %d, %v", n, want, err)
		}
		said, err := exec.Command("nice").Output()
		if n := strings.TrimSpace(string(said)); err != nil || n != strconv.Itoa(want) {
			t.Errorf("a program it starts has the niceness %q, %v", n, err)
		}
		return why
	})
	if !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
	for range 100 { // none of its threads has stayed for others
		now := make(chan int)
		go func() {
			n, err := confine.Nice(unix.PRIO_PROCESS)
			if err != nil {
				n = -1
			}
			now <- n
		}()
		if n := <-now; n != before {
			t.Fatalf("another goroutine has the niceness %d, not %d", n, before)
		}
	}
}
