//go:build linux

package swap

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"docscan/packaging/slot"
)

// What the processes say to each other. The old one asks and the new one
// answers, except that the new one says ready by itself, and which step it takes
// while it starts.
const (
	sayStep    = "step"    // new: it starts, and this is what it does now; nobody answers
	sayReady   = "ready"   // new: all is loaded that needs no data
	sayTake    = "take"    // old: the data are free
	sayServing = "serving" // new: requests are answered
	sayProve   = "prove"   // old: show what you can
	sayProof   = "proof"   // new
	sayRecord  = "record"  // old: put this into the audit log
	sayDone    = "done"    // new: it is there
	sayReturn  = "return"  // old: hand back
	sayGiven   = "given"   // new: the data are free
	sayCommit  = "commit"  // old: you are the one
	sayFailed  = "failed"  // new: it did not work, and why
)

// message is one of them.
type message struct {
	Say    string      `json:"say"`
	Baton  Baton       `json:"baton,omitempty"`
	Proof  *Proof      `json:"proof,omitempty"`
	Event  *slot.Event `json:"event,omitempty"`
	Proxy  string      `json:"proxy,omitempty"`  // ready: where requests are passed on to
	Reason string      `json:"reason,omitempty"` // failed: why; step: what is done
}

// maxMessage bounds a message, in bytes. The events of a baton are the most of
// it: 4096 of at most some 500 bytes.
const maxMessage = 8 << 20

// readMessage reads one message: its length in four bytes, then JSON.
func readMessage(r io.Reader) (message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxMessage {
		return message{}, fmt.Errorf("a message of %d bytes, at most %d", n, maxMessage)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return message{}, err
	}
	if len(b) < int(n) {
		return message{}, io.ErrUnexpectedEOF
	}
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		return message{}, fmt.Errorf("read a message: %w", err)
	}
	return m, nil
}

// appendMessage appends what readMessage reads.
func appendMessage(b []byte, m message) ([]byte, error) {
	j, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(j) > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes, at most %d", len(j), maxMessage)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(j)))
	return append(b, j...), nil
}

// rope is one process's end of the pair of sockets. Nothing else holds the other
// end, so it breaks when the process there ends, however it ends.
type rope struct {
	conn net.Conn
	mu   sync.Mutex // one question at a time
}

// newRope makes a pair: an end, and a file that is the other for a child.
func newRope() (*rope, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	far := os.NewFile(uintptr(fds[1]), "rope")
	near, err := ropeOf(os.NewFile(uintptr(fds[0]), "rope"))
	if err != nil {
		return nil, nil, errors.Join(err, far.Close())
	}
	return near, far, nil
}

// ropeOf is the end that f is; f is closed.
func ropeOf(f *os.File) (*rope, error) {
	c, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("use a pair of sockets: %w", err)
	}
	return &rope{conn: c}, nil
}

func (r *rope) send(m message) error {
	b, err := appendMessage(nil, m)
	if err == nil {
		_, err = r.conn.Write(b)
	}
	if err != nil {
		return fmt.Errorf("say %s: %w", m.Say, broken(err))
	}
	return nil
}

// broken makes an error of the rope errGone if the other process has ended.
func broken(err error) error {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, unix.ECONNRESET, unix.EPIPE} {
		if errors.Is(err, e) {
			return errGone
		}
	}
	return err
}

// errFailed is what the other process reports.
type errFailed string

func (e errFailed) Error() string { return string(e) }

// receive waits for a message, that long at most; 0 is without end.
func (r *rope) receive(within time.Duration) (message, error) {
	var end time.Time
	if within > 0 {
		end = time.Now().Add(within)
	}
	if err := r.conn.SetReadDeadline(end); err != nil {
		return message{}, err
	}
	m, err := readMessage(r.conn)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return m, fmt.Errorf("%w within %s", errSilent, within.Round(time.Millisecond))
	case err == nil && m.Say == sayFailed:
		return m, errFailed(m.Reason)
	}
	return m, broken(err)
}

// errGone says that the other process has ended.
var errGone = errors.New("it has ended")

// errSilent says that the other process does not answer.
var errSilent = errors.New("no answer")

// await waits for a message that is no sign of life, that long at most. Of signs of life
// each must come within silence of the one before: so one that is slow has its time, and
// one that hangs is known soon.
func (r *rope) await(silence, within time.Duration) (message, error) {
	end, doing := time.Now().Add(within), ""
	for {
		m, err := r.receive(min(silence, max(time.Until(end), time.Nanosecond)))
		if err == nil && m.Say == sayStep {
			doing = m.Reason
			continue
		}
		if errors.Is(err, errSilent) && doing != "" {
			err = fmt.Errorf("%w; the last that it said: %s", err, doing)
		}
		return m, err
	}
}

// ask sends m and waits for the answer, which must be want, that long at most.
func (r *rope) ask(m message, want string, within time.Duration) (message, error) {
	return r.askSlow(m, want, within, within)
}

// askSlow is ask with signs of life before the answer; see await.
func (r *rope) askSlow(m message, want string, silence, within time.Duration) (message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.send(m); err != nil {
		return message{}, err
	}
	a, err := r.await(silence, within)
	if err == nil && a.Say != want {
		err = fmt.Errorf("it answers %q to %q", a.Say, m.Say)
	}
	return a, err
}

func (r *rope) close() error { return r.conn.Close() }

// sendFiles sends the sockets of listeners, as open files.
func (r *rope) sendFiles(ls []*Listener) error {
	u, ok := r.conn.(*net.UnixConn)
	if !ok {
		return errors.New("send sockets: the rope is no unix socket")
	}
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, l := range ls {
		// File and Fd would make the socket block, for us as well.
		raw, err := l.SyscallConn()
		if err != nil {
			return fmt.Errorf("send sockets: %w", err)
		}
		var fd int
		var derr error
		err = raw.Control(func(have uintptr) { fd, derr = unix.FcntlInt(have, unix.F_DUPFD_CLOEXEC, 0) })
		if err := errors.Join(err, derr); err != nil {
			return fmt.Errorf("send sockets: %w", err)
		}
		fds = append(fds, fd)
	}
	if _, _, err := u.WriteMsgUnix([]byte{byte(len(fds))}, unix.UnixRights(fds...), nil); err != nil {
		return fmt.Errorf("send sockets: %w", broken(err))
	}
	return nil
}

// maxSockets bounds how many sockets are handed over.
const maxSockets = 8

// receiveFiles receives what sendFiles sends.
func (r *rope) receiveFiles() ([]*Listener, error) {
	u, ok := r.conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("receive sockets: the rope is no unix socket")
	}
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4*maxSockets))
	_, n, _, _, err := u.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, fmt.Errorf("receive sockets: %w", err)
	}
	control, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(control) != 1 {
		return nil, fmt.Errorf("receive sockets: %d control messages: %w", len(control), err)
	}
	fds, err := unix.ParseUnixRights(&control[0])
	if err != nil {
		return nil, fmt.Errorf("receive sockets: %w", err)
	}
	var ls []*Listener
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "socket")
		l, err := net.FileListener(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("receive sockets: %w", err)
		}
		p, err := NewListener(l)
		if err == nil {
			err = p.Pause()
		}
		if err != nil {
			return nil, fmt.Errorf("receive sockets: %w", err)
		}
		ls = append(ls, p)
	}
	return ls, nil
}
