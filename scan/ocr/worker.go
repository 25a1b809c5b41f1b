package ocr

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"docscan/scan/imaging"
)

// #cgo LDFLAGS: -ltesseract -lleptonica
// #include <malloc.h>
import "C"

// A job does one request with its open files. An error becomes a failure.
type job func(w *worker, r request, files []*os.File) (answer, error)

// jobs are what a worker can do.
func jobs() map[string]job {
	return map[string]job{kindPrepare: prepare, kindRecognize: recognize, kindCompact: compact}
}

// A worker is the inside of a worker process.
type worker struct {
	engine engine
}

// WorkerMain is the main function of a worker process, with the arguments after
// "worker". It works off requests until its standard input ends, and returns
// the exit status.
func WorkerMain(args []string) int { return serve(args, jobs()) }

func serve(args []string, jobs map[string]job) int {
	runtime.LockOSThread() // the libraries see one thread only
	flags, err := parseWorkerFlags(args)
	if err != nil {
		return 2
	}
	out, err := takeOutput()
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	// Few and large are the pieces in Go's heap, so that looking for garbage costs
	// little.
	debug.SetGCPercent(20)
	if err := writeFrame(out, giveUp(flags)); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	w := new(worker)
	if len(flags.data) > 0 {
		w.engine.tessdata = flags.data[0]
	}
	defer w.engine.close()
	for {
		r, files, err := receive(unix.Stdin)
		if errors.Is(err, errNoMore) {
			return 0
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			return 1
		}
		before := processorTime()
		a := w.work(jobs, r, files)
		for _, f := range files {
			f.Close()
		}
		// What a large page needed goes back to the system, be it Go's or C's: the
		// next step may need as much of the other's.
		debug.FreeOSMemory()
		C.malloc_trim(0)
		a.CPU = processorTime() - before
		if err := writeFrame(out, a); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			return 1
		}
	}
}

// processorTime is what this process has taken so far.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // it cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// work does one request.
func (w *worker) work(jobs map[string]job, r request, files []*os.File) answer {
	do, ok := jobs[r.Kind]
	if !ok {
		return answer{Failure: &failure{failedOther, fmt.Sprintf("no job is called %q", r.Kind)}}
	}
	a, err := do(w, r, files)
	if err == nil {
		return a
	}
	f := failure{failedOther, err.Error()}
	switch {
	case errors.Is(err, imaging.ErrMemory):
		f.Kind = failedMemory
	case errors.Is(err, imaging.ErrFormat), errors.Is(err, imaging.ErrDamaged), errors.Is(err, imaging.ErrSize):
		f.Kind = failedImage
	}
	return answer{Failure: &f}
}

// takeOutput gives the standard output for answers, and puts the standard error
// in its place, so that a library that prints cannot spoil them.
func takeOutput() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("standard output: %w", err)
	}
	if err := unix.Dup3(unix.Stderr, unix.Stdout, 0); err != nil {
		return nil, fmt.Errorf("standard output: %w", err)
	}
	return os.NewFile(uintptr(fd), "answers"), nil
}

// errNoMore ends a worker that is not needed any more.
var errNoMore = errors.New("no more requests")

// receive waits for a request and the files that come with it.
func receive(socket int) (request, []*os.File, error) {
	packet := make([]byte, maxRequest)
	rights := make([]byte, unix.CmsgSpace(4*maxFiles))
	var n, m int
	for {
		var err error
		n, m, _, _, err = unix.Recvmsg(socket, packet, rights, unix.MSG_CMSG_CLOEXEC)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return request{}, nil, fmt.Errorf("wait for a request (workers are started by docscand itself): %w", err)
		}
	}
	if n == 0 {
		return request{}, nil, errNoMore
	}
	files, err := received(rights[:m])
	if err != nil {
		return request{}, nil, err
	}
	var r request
	if err := json.Unmarshal(packet[:n], &r); err != nil {
		return request{}, nil, fmt.Errorf("read a request: %w", err)
	}
	return r, files, nil
}

// received makes files of the descriptors in a control message.
func received(rights []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, fmt.Errorf("files of a request: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, fmt.Errorf("files of a request: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("file %d", len(files))))
		}
	}
	return files, nil
}

// A source is the image of a request.
type source struct {
	data   []byte // the whole file, mapped
	header imaging.Header
}

// openSource maps the image and reads its header. Blobs never change, so the
// map is as good as a copy and costs no memory.
func openSource(f *os.File, maxPixels int64) (*source, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open the image: %w", err)
	}
	if info.Size() == 0 || info.Size() > 2<<30 {
		return nil, fmt.Errorf("%w: it has %d bytes", imaging.ErrFormat, info.Size())
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("open the image: %w", err)
	}
	s := &source{data: data}
	if s.header, err = imaging.ReadHeader(data, maxPixels); err != nil {
		s.close()
		return nil, err
	}
	s.header.Mapped = true
	return s, nil
}

func (s *source) close() { unix.Munmap(s.data) }

// writeView writes p as the two pictures for a screen. p may be smaller than
// the page.
func writeView(p *imaging.Pix, view, thumb *os.File) error {
	large, err := p.Fit(shownSide(p))
	if err != nil {
		return err
	}
	defer large.Close()
	small, err := large.Fit(thumbSide)
	if err != nil {
		return err
	}
	defer small.Close()
	for _, picture := range []struct {
		pix     *imaging.Pix
		quality int
		file    *os.File
	}{{large, viewQuality, view}, {small, thumbQuality, thumb}} {
		data, err := picture.pix.EncodeJPEG(picture.quality)
		if err != nil {
			return err
		}
		if _, err := picture.file.Write(data); err != nil {
			return fmt.Errorf("write a picture: %w", err)
		}
	}
	return nil
}

// shownSide gives the long side of the picture of p for a screen. What is a little
// larger stays so: scaling it would take as long as all else.
func shownSide(p *imaging.Pix) int {
	if long := max(p.Width(), p.Height()); 8*long <= 9*viewSide {
		return long
	}
	return viewSide
}

// viewReduction gives the largest reduction of an image while it is decoded that
// still leaves enough pixels for a screen.
func viewReduction(h imaging.Header) int {
	reduce := 1
	for reduce < 8 && max(h.Width, h.Height)/(2*reduce) >= viewSide {
		reduce *= 2
	}
	return reduce
}

// prepare is the job of [Pool.Prepare].
func prepare(_ *worker, r request, files []*os.File) (answer, error) {
	if len(files) != filePDF+1 {
		return answer{}, fmt.Errorf("prepare: %d files", len(files))
	}
	src, err := openSource(files[fileImage], r.MaxPixels)
	if err != nil {
		return answer{}, err
	}
	defer src.close()
	h := src.header
	out := prepared{Format: h.Format, Width: h.Width, Height: h.Height, DPI: h.DPI(r.Resolution)}

	// The reduced image is enough for the screen, and decoding it has read every
	// byte of the file, so it tells whether the PDF can take the file as it is.
	pix, damaged, err := imaging.Decode(src.data, h, viewReduction(h), false)
	if err != nil {
		return answer{}, err
	}
	defer func() { pix.Close() }()
	if err := writeView(pix, files[fileView], files[fileThumb]); err != nil {
		return answer{}, err
	}
	out.Damaged = damaged
	out.Image, out.AsIs = h.PassThrough()
	if !out.AsIs || damaged {
		out.AsIs = false
		if h.Format == imaging.JPEG {
			pix.Close()
			if pix, _, err = imaging.Decode(src.data, h, 1, false); err != nil {
				return answer{}, err
			}
		}
		if out.Image, err = imaging.Embed(files[filePDF], src.data, h, pix); err != nil {
			return answer{}, err
		}
		// A TIFF can ask to be turned, which the decoder has done.
		out.Width, out.Height = out.Image.Width, out.Image.Height
	}
	return answer{Prepared: &out}, nil
}
