//go:build linux

// Package swap hands a running daemon over to another process, and takes it
// back if that one does not prove itself.
//
// Two processes take part: the old one and the new one, which the old one starts
// as its child. They have the listening sockets in common, and a pair of
// connected sockets, the rope, over which they agree (wire.go). Of the data only one has
// hold at any time.
//
// What a process has once is its [Frame]: sockets, connections, and a [Gate]
// that all requests pass. What only one process at a time can have is a
// [Program]: store, engine, machines. The frame ends its program, and may begin
// another one, without anybody at the sockets noticing more than a pause.
//
// Which versions are installed is the business of package slot.
package swap

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"docscan/packaging/slot"
)

// A Program is one life of all that only one process at a time can have.
type Program interface {
	// Handlers answer what comes over the network and over the local socket.
	Handlers() (public, local http.Handler)
	// Yield brings it to where it can end: paper at a sheet boundary, machines
	// let go. Requests are still answered, and none fails because of it.
	Yield(ctx context.Context)
	// Stop ends it and gives what the next one needs, which may be in another
	// process. No request is under way, except for those that left the gate.
	Stop() (Baton, error)
	// Done gives why it has ended by itself, once.
	Done() <-chan error
	// Alive reports whether it can do its work.
	Alive() error
	// Prove reads a known page, writes to the store, and looks for the machines.
	Prove(ctx context.Context) (Proof, error)
	// Record puts a step of an update into the audit log.
	Record(slot.Event) error
	// Key makes a log-in with which the next process is put to the proof. It ends
	// by itself.
	Key() (secret string, err error)
}

// A Baton is what one Program leaves to the next. Only they understand it.
type Baton = json.RawMessage

// A Start begins a Program with what the one before has left; nil is nothing.
type Start func(ctx context.Context, b Baton) (Program, error)

// A Proof is what a program says of itself.
type Proof struct {
	Version string   `json:"version"`
	Text    string   `json:"text"`    // read from the known page
	Devices []string `json:"devices"` // machines that are here, by ID
}

// Why a swap is refused or has failed. Texts are fit for people.
var (
	ErrBusy      = errors.New("another update is going on; wait for its end")
	ErrCheck     = errors.New("the new version does not work on this box")
	ErrQuiet     = errors.New("requests under way did not end, such as a large upload or a backup that is being downloaded; try again when it is done")
	ErrProof     = errors.New("the new version did not prove itself")
	ErrSettings  = errors.New("the settings do not work on this box; those before hold")
	ErrNoRoom    = errors.New("there is not enough room on the disk for the update; free some, such as by emptying the trash")
	ErrNoPackage = errors.New("docscan was not installed here by Debian's package")
)
