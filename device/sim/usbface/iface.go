package usbface

import (
	"context"
	"sync"
	"sync/atomic"
)

// iface is one interface of the device with an IN and an OUT bulk endpoint.
type iface struct {
	number   int
	settings [][3]byte // class, subclass and protocol of each alternate setting
	data     int       // the setting in which the endpoints move data; the others refuse
	pipes    pipes
	halted   atomic.Bool // the IN endpoint

	mu      sync.Mutex
	setting int // alternate setting
	zeros   int // empty reads given since the last one with data
}

// pipes is what stands behind the two endpoints.
type pipes interface {
	in(ctx context.Context, b []byte) (int, error)
	out(ctx context.Context, b []byte) (int, error)
	drop() // forgets what is under way
}

func (i *iface) alt() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.setting
}

// selectAlt switches the interface, which also clears halts and forgets what
// is in the pipes.
func (i *iface) selectAlt(n int) {
	i.mu.Lock()
	i.setting = n
	i.mu.Unlock()
	i.halted.Store(false)
	i.pipes.drop()
}

// class gives the class, subclass and protocol of the present setting.
func (i *iface) class() [3]byte { return i.settings[i.alt()] }

// printer says whether the interface is of the printer class, whose requests it
// then knows.
func (i *iface) printer() bool { return i.class()[0] == classPrinter }

// zeroRead says whether this read is one of the empty ones that a device gives
// while it has nothing else to say.
func (i *iface) zeroRead(limit int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.zeros < limit {
		i.zeros++
		return true
	}
	i.zeros = 0
	return false
}
