// Package receive is what a fleet says to a box over SSH, both ends of it.
//
// On the box, sshd starts "docscanctl receive" for whoever has the key, and
// nothing else: [Serve] answers on standard input and output. On the laptop a
// [Conn] asks. The box speaks first, one line that says what it is; from then on
// every request is one line of JSON, and so is every answer. After a request
// "data" or "config" come the bytes it announces; after an answer with a length
// so do they.
//
// The verbs status, facts, offer, data, install and rollback are for every key.
// They are what an update needs, and all that a stolen key can do with them is
// to offer files whose signature docscand refuses, to learn that the box is
// well, and to go back to the version before, which was committed here once.
// The verbs config, audit, logs and run need an [Allow] that an administrator
// of the box gave to the key; they come in over an account of their own, so
// that docscand knows by the kernel's word which of the two it speaks with.
package receive

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Protocol and Format are what a box begins with.
const (
	Protocol = "docscan-receive"
	Format   = 1
)

// Accounts on a box: the first may only update, the second what its keys allow.
const (
	UpdateAccount = "docscan-update"
	FleetAccount  = "docscan-fleet"
)

// Bounds of what is said.
const (
	maxRequest = 16 << 10 // bytes of one line
	maxAnswer  = 4 << 20  // bytes of one line
	maxLength  = 1 << 30  // bytes announced by one answer
	// MaxPart bounds the bytes after one request "data"; docscand takes no more.
	MaxPart = 16 << 20
	// MaxConfig bounds a docscan.toml.
	MaxConfig = 64 << 10
)

// hello is the first line.
type hello struct {
	Protocol string `json:"protocol"`
	Format   int    `json:"format"`
	Version  string `json:"version"` // of docscanctl on the box
	Allow    Allow  `json:"allow"`
}

// Verbs.
const (
	VerbStatus   = "status"
	VerbFacts    = "facts"
	VerbOffer    = "offer"
	VerbData     = "data"
	VerbInstall  = "install"
	VerbRollback = "rollback"
	VerbConfig   = "config"
	VerbAudit    = "audit"
	VerbLogs     = "logs"
	VerbRun      = "run"
)

// A Request asks a box for something.
type Request struct {
	Verb   string `json:"verb"`
	Digest string `json:"digest,omitempty"` // SHA-256 of the bundle file
	Size   int64  `json:"size,omitempty"`   // of the bundle file, in bytes
	Offset int64  `json:"offset,omitempty"` // of a part
	Length int64  `json:"length,omitempty"` // bytes that follow this line
	Reason string `json:"reason,omitempty"` // of a roll back
	What   string `json:"what,omitempty"`   // to run
	Lines  int    `json:"lines,omitempty"`  // of the log at most
	Since  int    `json:"since,omitempty"`  // seconds of the log
	DryRun bool   `json:"dry_run,omitempty"`
}

// Kinds of refusals.
const (
	KindBadRequest = "bad-request"
	KindNotAllowed = "not-allowed"
	KindDown       = "down"    // docscand on the box does not answer
	KindBusy       = "busy"    // another update is going on; later
	KindNoRoom     = "no-room" // the disk is too full
	KindBase       = "base"    // the delta begins from another version
	KindRefused    = "refused" // docscand says no; the text says why
	KindFailed     = "failed"
)

// A Refusal is why a box did not do something.
type Refusal struct {
	Kind string `json:"kind"`
	Text string `json:"text"` // for people
}

// Error gives the text.
func (r *Refusal) Error() string { return r.Text }

func refuse(kind, format string, args ...any) *Refusal {
	return &Refusal{kind, fmt.Sprintf(format, args...)}
}

// answer is one line of a box.
type answer struct {
	Body   json.RawMessage `json:"body,omitempty"`
	Length int64           `json:"length,omitempty"` // bytes that follow this line
	More   bool            `json:"more,omitempty"`   // another answer follows
	Error  *Refusal        `json:"error,omitempty"`
}

// An Allow lists what a key may do besides updates.
type Allow []string

// Allowances are all there are, in the order of the documentation.
var Allowances = Allow{VerbAudit, VerbConfig, VerbLogs, VerbRun}

// ParseAllow reads a list with commas.
func ParseAllow(s string) (Allow, error) {
	var a Allow
	for word := range strings.SplitSeq(s, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		if !slices.Contains(Allowances, word) {
			return nil, fmt.Errorf("%q is none of %s", word, Allowances)
		}
		if !slices.Contains(a, word) {
			a = append(a, word)
		}
	}
	slices.Sort(a)
	return a, nil
}

// String gives the list with commas.
func (a Allow) String() string { return strings.Join(a, ",") }

// The verbs of "run". None changes what is stored.
const (
	RunCheck   = "check"
	RunDevices = "devices"
	RunHistory = "history"
	RunRestart = "restart"
)

// Runs says what can be run on a box.
var Runs = []struct{ Name, What string }{
	{RunCheck, "check every record and every file that is stored"},
	{RunDevices, "list the scanners"},
	{RunHistory, "list the last steps of updates"},
	{RunRestart, "start docscan anew while people work; no request fails"},
}

// errLong says that a line has no end.
var errLong = errors.New("the line is too long")

// readLine reads one line of at most limit bytes. It is empty at the end.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, errLong
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSpace(line), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// parseRequest reads one request. A field that is not known may matter, so it is
// refused.
func parseRequest(line []byte) (Request, error) {
	var q Request
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return q, fmt.Errorf("this is no request: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return q, errors.New("something follows the request in its line")
	}
	if q.Size < 0 || q.Offset < 0 || q.Length < 0 || q.Lines < 0 || q.Since < 0 {
		return q, errors.New("a number is negative")
	}
	if len(q.Reason) > 1000 || len(q.Digest) > 128 || len(q.What) > 64 {
		return q, errors.New("a text is too long")
	}
	return q, nil
}
