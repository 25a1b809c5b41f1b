package usb

/*
#cgo pkg-config: libusb-1.0
#include <stdlib.h>
#include <libusb.h>

// What a transfer shares with those who end it, in memory that does not move.
struct bulk {
	struct libusb_transfer *transfer;
	int done;     // its callback was called
	int given_up; // bulk_cancel was called
};

static void LIBUSB_CALL bulk_done(struct libusb_transfer *t) {
	__atomic_store_n(&((struct bulk *)t->user_data)->done, 1, __ATOMIC_SEQ_CST);
}

static struct bulk *bulk_new(void) {
	struct bulk *b = calloc(1, sizeof *b);
	if (b && !(b->transfer = libusb_alloc_transfer(0))) {
		free(b);
		return NULL;
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

// bulk_run does one transfer and waits for it, handling the events of all devices
// meanwhile. It gives an error of libusb, which is negative, or the status of the
// transfer, and how many bytes were moved.
static int bulk_run(struct bulk *b, libusb_context *c, libusb_device_handle *h,
		unsigned char endpoint, unsigned char *data, int length, int *moved) {
	b->done = 0;
	libusb_fill_bulk_transfer(b->transfer, h, endpoint, data, length, bulk_done, b, 0);
	int r = libusb_submit_transfer(b->transfer);
	if (r)
		return r;
	if (__atomic_load_n(&b->given_up, __ATOMIC_SEQ_CST))
		libusb_cancel_transfer(b->transfer);
	while (!__atomic_load_n(&b->done, __ATOMIC_SEQ_CST)) {
		struct timeval limit = {1, 0}; // in case a wake-up is lost
		r = libusb_handle_events_timeout_completed(c, &limit, &b->done);
		if (r < 0 && r != LIBUSB_ERROR_INTERRUPTED)
			libusb_cancel_transfer(b->transfer); // as libusb's own functions do
	}
	*moved = b->transfer->actual_length;
	return b->transfer->status;
}
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/google/gousb"
)

// gousb does each transfer in a buffer of its own and waits for it in Go, while
// another thread of its, in an endless loop, handles the events of libusb. A scan
// is thousands of short transfers, and each costs two changes of thread, two
// awakenings of Go's scheduler and a copy; that is as much as all the rest of
// the work. So bulk transfers are done here: the thread that asks for one handles
// the events itself, as in libusb's own synchronous functions, and the data go
// where they belong. All else is gousb's.

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
	context *C.libusb_context
	handle  *C.libusb_device_handle
	address C.uchar

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
	e := &endpoint{
		context: (*C.libusb_context)(context), handle: (*C.libusb_device_handle)(handle),
		address: C.uchar(address), shared: C.bulk_new(),
	}
	if e.shared == nil {
		return nil, errors.New("no memory for a USB transfer")
	}
	return e, nil
}

// close gives the memory of the transfer back. No transfer may be under way.
func (e *endpoint) close() { C.bulk_free(e.shared) }

// clearHalt lets the endpoint go on after a stall. No transfer may be under way.
func (e *endpoint) clearHalt() { C.libusb_clear_halt(e.handle, e.address) }

// transfer moves data. When ctx ends the transfer is cancelled; the number of
// bytes says how much was moved all the same. The error is one of gousb's.
func (e *endpoint) transfer(ctx context.Context, data []byte) (int, error) {
	e.turn.Lock()
	defer e.turn.Unlock()
	e.shared.given_up = 0
	canceled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(canceled)
		C.bulk_cancel(e.shared)
	})
	var moved C.int
	r := C.bulk_run(e.shared, e.context, e.handle, e.address, (*C.uchar)(unsafe.SliceData(data)), C.int(len(data)), &moved)
	if !stop() {
		<-canceled // or it would meet the next transfer
	}
	switch {
	case r < 0:
		return 0, gousb.Error(r)
	case r != C.LIBUSB_TRANSFER_COMPLETED:
		return int(moved), gousb.TransferStatus(r)
	}
	return int(moved), nil
}
