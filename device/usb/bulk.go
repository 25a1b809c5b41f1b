package usb

/*
#cgo pkg-config: libusb-1.0
#include <stdlib.h>
#include <time.h>
#include <libusb.h>

// An endpoint and its transfer, in memory that does not move.
struct bulk {
	libusb_context *context;
	libusb_device_handle *handle;
	struct libusb_transfer *transfer;
	unsigned char address;
	int done;     // the transfer's callback was called
	int given_up; // bulk_cancel was called
};

// What came of one transfer.
struct came {
	int result;   // an error of libusb, which is negative, or the status of the transfer
	int moved;    // bytes
	long long ns; // how long it took
};

// The results of an exchange: command, out, in and status.
struct parts { struct came part[4]; };

// Results that libusb does not have: the limit was over; the transfer was not asked
// for.
enum { bulk_late = 1000, bulk_none };

static void LIBUSB_CALL bulk_done(struct libusb_transfer *t) {
	__atomic_store_n(&((struct bulk *)t->user_data)->done, 1, __ATOMIC_SEQ_CST);
}

static struct bulk *bulk_new(libusb_context *c, libusb_device_handle *h, unsigned char address) {
	struct bulk *b = calloc(1, sizeof *b);
	if (b && !(b->transfer = libusb_alloc_transfer(0))) {
		free(b);
		return NULL;
	}
	if (b) {
		b->context = c;
		b->handle = h;
		b->address = address;
	}
	return b;
}

static void bulk_free(struct bulk *b) {
	libusb_free_transfer(b->transfer);
	free(b);
}

// bulk_cancel ends the transfer that runs or is about to. It may be called from
// another thread than bulk_run.
static void bulk_cancel(struct bulk *b) {
	__atomic_store_n(&b->given_up, 1, __ATOMIC_SEQ_CST);
	libusb_cancel_transfer(b->transfer); // fails if it does not run yet, or no more
}

static long long bulk_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// bulk_run does one transfer and waits for it, handling the events of all devices
// meanwhile. It may take as long as limit says, in ns; 0 is for ever.
static struct came bulk_run(struct bulk *b, unsigned char *data, int length, long long limit) {
	struct came c = {LIBUSB_TRANSFER_CANCELLED, 0, 0};
	if (__atomic_load_n(&b->given_up, __ATOMIC_SEQ_CST))
		return c;
	long long began = bulk_now(), left = limit;
	int late = 0;
	b->done = 0;
	libusb_fill_bulk_transfer(b->transfer, b->handle, b->address, data, length, bulk_done, b, 0);
	c.result = libusb_submit_transfer(b->transfer);
	if (c.result)
		return c;
	if (__atomic_load_n(&b->given_up, __ATOMIC_SEQ_CST))
		libusb_cancel_transfer(b->transfer);
	while (!__atomic_load_n(&b->done, __ATOMIC_SEQ_CST)) {
		struct timeval wait = {1, 0}; // in case a wake-up is lost
		if (limit && !late) {
			left = limit - (bulk_now() - began);
			if (left <= 0) {
				late = 1;
				libusb_cancel_transfer(b->transfer);
			} else if (left < 1000000000LL) {
				wait.tv_sec = 0;
				wait.tv_usec = (left + 999) / 1000;
				if (wait.tv_usec > 999999)
					wait.tv_usec = 999999;
			}
		}
		int r = libusb_handle_events_timeout_completed(b->context, &wait, &b->done);
		if (r < 0 && r != LIBUSB_ERROR_INTERRUPTED)
			libusb_cancel_transfer(b->transfer); // as libusb's own functions do
	}
	c.moved = b->transfer->actual_length;
	c.result = b->transfer->status;
	if (late && c.result == LIBUSB_TRANSFER_CANCELLED)
		c.result = bulk_late;
	c.ns = bulk_now() - began;
	return c;
}

// bulk_whole says whether a transfer of wanted bytes went as it should.
static int bulk_whole(struct came c, int wanted) {
	return c.result == LIBUSB_TRANSFER_COMPLETED && c.moved == wanted;
}

// bulk_exchange does the parts of an exchange that are not empty, in turn, until
// one does not go as it should.
static struct parts bulk_exchange(struct bulk *out, struct bulk *in, long long limit,
		unsigned char *command, int commands, unsigned char *data, int datas,
		unsigned char *answer, int answers, int wanted, unsigned char *status, int statuses) {
	struct parts p = {{{bulk_none}, {bulk_none}, {bulk_none}, {bulk_none}}};
	p.part[0] = bulk_run(out, command, commands, limit);
	if (!bulk_whole(p.part[0], commands))
		return p;
	if (datas) {
		p.part[1] = bulk_run(out, data, datas, limit);
		if (!bulk_whole(p.part[1], datas))
			return p;
	}
	if (answers) {
		p.part[2] = bulk_run(in, answer, answers, limit);
		if (!bulk_whole(p.part[2], wanted))
			return p;
	}
	if (statuses)
		p.part[3] = bulk_run(in, status, statuses, limit);
	return p;
}
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"
	"unsafe"

	"github.com/google/gousb"
)

// gousb does each transfer in a buffer of its own and waits for it in Go, while
// another thread of its, in an endless loop, handles the events of libusb. A scan
// is thousands of short transfers, and each costs two changes of thread, two
// awakenings of Go's scheduler and a copy; that is as much as all the rest of
// the work. So bulk transfers are done here: the thread that asks for one handles
// the events itself, as in libusb's own synchronous functions, and the data go
// where they belong. A command with its data and its status is one call, as a
// thread that waits in C costs Go's scheduler some work each time. All else is
// gousb's.

// library is gousb's context without its loop.
type library struct {
	*gousb.Context
	done chan struct{} // ends the loop
}

// newLibrary is gousb.NewContext without its panic and its loop.
func newLibrary() (l *library, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("libusb: %v", v)
		}
	}()
	ctx := gousb.NewContext()
	done, err := field(reflect.ValueOf(ctx), "done", reflect.Chan)
	if err != nil {
		return nil, errors.Join(err, ctx.Close())
	}
	l = &library{Context: ctx, done: *(*chan struct{})(unsafe.Pointer(&done))}
	l.done <- struct{}{} // within 100 ms
	return l, nil
}

// Close ends the work with libusb.
func (l *library) Close() error {
	go func() { <-l.done }() // Close of gousb wants the loop to end
	return l.Context.Close()
}

// field gives the pointer that a private field of *v, a struct of gousb's, is. The
// version of gousb in go.mod has it.
func field(v reflect.Value, name string, kind reflect.Kind) (unsafe.Pointer, error) {
	f := v.Elem().FieldByName(name)
	if f.Kind() != kind {
		return nil, fmt.Errorf("this version of gousb has no %s in its %s", name, v.Elem().Type())
	}
	return f.UnsafePointer(), nil
}

// endpoint does bulk transfers in one direction, one at a time.
type endpoint struct {
	turn   sync.Mutex // held while a transfer is under way
	shared *C.struct_bulk
}

// newEndpoint makes an endpoint of a claimed interface of dev. It must be closed
// before the interface is given up.
func newEndpoint(dev *gousb.Device, address gousb.EndpointAddress) (*endpoint, error) {
	v := reflect.ValueOf(dev)
	handle, err := field(v, "handle", reflect.Pointer)
	if err != nil {
		return nil, err
	}
	context, err := field(v.Elem().FieldByName("ctx"), "ctx", reflect.Pointer)
	if err != nil {
		return nil, err
	}
	e := &endpoint{shared: C.bulk_new((*C.libusb_context)(context), (*C.libusb_device_handle)(handle), C.uchar(address))}
	if e.shared == nil {
		return nil, errors.New("no memory for a USB transfer")
	}
	return e, nil
}

// close gives the memory of the transfer back. No transfer may be under way.
func (e *endpoint) close() { C.bulk_free(e.shared) }

// clearHalt lets the endpoint go on after a stall. No transfer may be under way.
func (e *endpoint) clearHalt() { C.libusb_clear_halt(e.shared.handle, e.shared.address) }

// attend makes the transfers that follow end when ctx does, until the function is
// called that it gives. The endpoints' turns are held.
func attend(ctx context.Context, list ...*endpoint) (stop func()) {
	for _, e := range list {
		e.shared.given_up = 0
	}
	canceled := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(canceled)
		for _, e := range list {
			C.bulk_cancel(e.shared)
		}
	})
	return func() {
		if !unhook() {
			<-canceled // or it would meet the next transfer
		}
	}
}

// transfer moves data. When ctx ends the transfer is cancelled; the number of
// bytes says how much was moved all the same. The error is one of gousb's.
func (e *endpoint) transfer(ctx context.Context, data []byte) (int, error) {
	e.turn.Lock()
	defer e.turn.Unlock()
	defer attend(ctx, e)()
	c := C.bulk_run(e.shared, start(data), C.int(len(data)), 0)
	return int(c.moved), failure(c)
}

// exchange does x, of which it sets what was moved, and tells of each part that was
// done.
func exchange(ctx context.Context, out, in *endpoint, x *Exchange, tell func(part int, took time.Duration, err error)) error {
	out.turn.Lock()
	defer out.turn.Unlock()
	in.turn.Lock()
	defer in.turn.Unlock()
	defer attend(ctx, out, in)()
	done := C.bulk_exchange(out.shared, in.shared, C.longlong(x.Limit),
		start(x.Command), C.int(len(x.Command)), start(x.Out), C.int(len(x.Out)),
		start(x.In), C.int(len(x.In)), C.int(x.Want), start(x.Status), C.int(len(x.Status)))
	x.Moved = [4]int{}
	var err error
	for i, c := range done.part {
		if c.result == C.bulk_none {
			continue
		}
		x.Moved[i], err = int(c.moved), failure(c)
		tell(i, time.Duration(c.ns), err)
	}
	return err
}

// start is where b begins.
func start(b []byte) *C.uchar { return (*C.uchar)(unsafe.SliceData(b)) }

// failure is the error of one transfer.
func failure(c C.struct_came) error {
	switch {
	case c.result < 0:
		return gousb.Error(c.result)
	case c.result == C.bulk_late:
		return ErrLate
	case c.result != C.LIBUSB_TRANSFER_COMPLETED:
		return gousb.TransferStatus(c.result)
	}
	return nil
}
