// Package deliver brings documents to places outside of docscan: folders, such as
// a mounted share, and WebDAV collections.
//
// What is due is not listed anywhere: it follows from what documents there are and
// which of them have arrived, so nothing is forgotten after a crash. A file counts
// as arrived when it is there whole, and its receipt is recorded. What cannot be
// delivered is tried again, later and later, and never given up.
//
// Nothing at a destination is overwritten or deleted, but for a file of our own
// that nobody has changed and whose document has.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
)

// How long a try waits after one that failed: twice as long each time.
const (
	firstWait = 30 * time.Second
	longest   = time.Hour
)

// lookEvery is how often all documents are looked through. News come by event;
// this is for what an event was missed of.
const lookEvery = time.Hour

// tick is how often it is looked whether a try is due.
const tick = 10 * time.Second

// patience is how long one document may take. A share that hangs for longer is
// left alone until the next try.
const patience = 10 * time.Minute

// ErrChoice says that a destination makes no sense or cannot be used.
var ErrChoice = errors.New("this destination cannot be used")

// refuse is an error in words that can be said in another language.
func refuse(text string) error { return errors.New(text) }

// refuseChoice is one that wraps ErrChoice.
func refuseChoice(text string) error { return fmt.Errorf("%w: %s", ErrChoice, text) }

// because is one with what the system says of it behind.
func because(text string, err error) error { return fmt.Errorf("%s: %w", text, err) }

// A place takes files.
type place interface {
	// check reports why files cannot be taken now; first says that it is about to
	// become a destination.
	check(ctx context.Context, first bool) error
	// put makes a file of what r gives, under name or one like it. old is what has
	// arrived of the same document before: it may be replaced if nobody has
	// changed it. It returns how the new file can be known.
	put(ctx context.Context, name string, r io.ReadSeeker, file store.Blob, old store.Delivery) (as, tag string, err error)
}

func placeOf(d store.Destination) (place, error) {
	switch d.Kind {
	case "folder":
		return newFolder(d)
	case "webdav":
		return newWebDAV(d)
	}
	return nil, fmt.Errorf("%w: there is no kind %.20q", ErrChoice, d.Kind)
}

// Queue delivers. Its methods may be called from any goroutine.
type Queue struct {
	store     *store.Store
	subscribe func(after uint64) *scan.Subscription
	log       *slog.Logger
	now       func() time.Time
	wake      chan struct{} // has one when everything is to be looked through

	mu   sync.Mutex
	last map[store.DestinationID]store.Delivery // the last try
}

// New returns a queue that works while Run runs.
func New(st *store.Store, subscribe func(after uint64) *scan.Subscription, log *slog.Logger) *Queue {
	return &Queue{store: st, subscribe: subscribe, log: log, now: time.Now, wake: make(chan struct{}, 1), last: make(map[store.DestinationID]store.Delivery)}
}

// Wake has everything looked through, and what failed tried again at once.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default: // it is going to be already
	}
}

// Run delivers until ctx ends.
func (q *Queue) Run(ctx context.Context) error {
	due := time.NewTicker(tick)
	defer due.Stop()
	looked := time.Time{} // when all documents were looked through
	var sub *scan.Subscription
	defer func() {
		if sub != nil {
			sub.Close()
		}
	}()
	for ctx.Err() == nil {
		if sub == nil { // before looking, so that nothing comes between
			sub = q.subscribe(0)
			looked = time.Time{}
		}
		if q.now().Sub(looked) >= lookEvery {
			if err := q.look(ctx, false); err != nil && ctx.Err() == nil {
				q.log.Error("looking for documents to deliver failed", "err", err)
			}
			looked = q.now()
		}
		var err error
		select {
		case <-ctx.Done():
		case <-q.wake:
			err = q.look(ctx, true)
			looked = q.now()
		case <-due.C:
			err = q.retry(ctx)
		case ev, ok := <-sub.C:
			switch {
			case !ok || ev.Name == scan.EventReset:
				sub.Close()
				sub = nil
				if !ok && !sleep(ctx, time.Second) { // the engine is stopping, perhaps
					return nil
				}
			case ev.Name == scan.EventDocument && !ev.Deleted:
				err = q.document(ctx, ev.Document)
			}
		}
		if err != nil && ctx.Err() == nil {
			q.log.Error("delivering failed", "err", err)
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// lookAt is how many documents are read at once.
const lookAt = 200

// look goes through all documents and destinations. again tries also what is to
// wait.
func (q *Queue) look(ctx context.Context, again bool) error {
	all, err := q.store.Destinations()
	if err != nil || len(all) == 0 {
		return err
	}
	before := store.DocumentID("")
	for ctx.Err() == nil {
		docs, err := q.store.Documents(store.DocumentQuery{Limit: lookAt, Before: before})
		if err != nil || len(docs) == 0 {
			return err
		}
		for _, d := range docs {
			for _, to := range all {
				if err := q.one(ctx, to, d, again); err != nil {
					return err
				}
			}
		}
		before = docs[len(docs)-1].ID
	}
	return nil
}

// retry tries what is due again.
func (q *Queue) retry(ctx context.Context) error {
	all, err := q.store.Destinations()
	if err != nil {
		return err
	}
	for _, to := range all {
		var due []store.DocumentID
		err := q.store.EachDelivery(to.ID, func(d store.Delivery) error {
			if !d.Next.IsZero() && !d.Next.After(q.now()) {
				due = append(due, d.Document)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, id := range due {
			d, err := q.store.Document(id)
			if errors.Is(err, store.ErrNotFound) {
				d = store.Document{ID: id, Trashed: q.now()}
			} else if err != nil {
				return err
			}
			if err := q.one(ctx, to, d, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// document delivers one document wherever it is due.
func (q *Queue) document(ctx context.Context, id store.DocumentID) error {
	d, err := q.store.Document(id)
	if errors.Is(err, store.ErrNotFound) {
		return nil // gone again
	}
	if err != nil {
		return err
	}
	all, err := q.store.Destinations()
	if err != nil {
		return err
	}
	for _, to := range all {
		if err := q.one(ctx, to, d, false); err != nil {
			return err
		}
	}
	return nil
}

// one delivers a document to a destination if that is due. The error is one of
// the store: what the destination refuses is recorded, and tried again.
func (q *Queue) one(ctx context.Context, to store.Destination, d store.Document, again bool) error {
	have, err := q.store.Delivery(to.ID, d.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	known := err == nil
	have.Destination, have.Document = to.ID, d.ID
	if !d.Trashed.IsZero() { // nobody wants it any more; what has arrived stays
		if !known || have.Next.IsZero() {
			return nil
		}
		have.Next, have.Error = time.Time{}, ""
		return dropped(q.store.PutDelivery(have))
	}
	switch {
	case have.Sum == d.PDF.Sum && have.Next.IsZero():
		return nil
	case !to.Older && d.Created.Before(to.Created) && have.Sum == "":
		return nil
	case !again && have.Next.After(q.now()):
		return nil
	}
	failed := q.carry(ctx, to, d, &have)
	if ctx.Err() != nil {
		return nil // asked to stop: it is still due
	}
	var entries []audit.Entry
	if failed != nil {
		have.Tries++
		wait := longest
		if have.Tries < 8 {
			wait = firstWait << (have.Tries - 1)
		}
		have.Error, have.Next = failed.Error(), q.now().Add(min(wait, longest))
		q.log.Warn("a document could not be delivered", "document", d.ID, "destination", to.ID, "err", failed)
	} else {
		have.Sum, have.Done, have.Tries, have.Next, have.Error = d.PDF.Sum, q.now(), 0, time.Time{}, ""
		entries = append(entries, audit.Entry{
			Time: q.now(), EventType: audit.DataAccess, Actor: "docscan", Action: "document_delivered",
			Target: string(d.ID) + " to " + string(to.ID), Status: audit.Success,
		})
		q.log.Info("document delivered", "document", d.ID, "destination", to.ID)
	}
	q.mu.Lock()
	q.last[to.ID] = have
	q.mu.Unlock()
	return dropped(q.store.PutDelivery(have, entries...))
}

// dropped makes nothing of a destination that was deleted meanwhile.
func dropped(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// carry brings the document there and notes in have where it is.
func (q *Queue) carry(ctx context.Context, to store.Destination, d store.Document, have *store.Delivery) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	p, err := placeOf(to)
	if err != nil {
		return err
	}
	if err := p.check(ctx, false); err != nil {
		return err
	}
	f, err := q.store.OpenBlob(d.PDF)
	if err != nil {
		return err
	}
	defer f.Close()
	// Where it does not arrive, what is known of an older file stays.
	as, tag, err := p.put(ctx, fileName(d, q.store.Zone()), f, d.PDF, *have)
	if err == nil {
		have.Name, have.Tag = as, tag
	}
	return err
}

// maxFileName is what every file system takes, in bytes, with room for a number.
const maxFileName = 200

// fileName names a document's file by its date and title, as every system takes
// it.
func fileName(d store.Document, zone *time.Location) string {
	day := d.Date
	if day == "" {
		day = d.Created.In(zone).Format(time.DateOnly)
	}
	title := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '-'
		}
		return r
	}, strings.ToValidUTF8(d.Title, "-"))
	for len(title) > maxFileName {
		_, n := utf8.DecodeLastRuneInString(title)
		title = title[:len(title)-n]
	}
	return day + " " + strings.TrimRight(strings.TrimSpace(title), ". ") + ".pdf"
}

// numbered gives the n-th name like name: itself, then with (2), (3) ...
func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	ext := filepath.Ext(name)
	return fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, ext), n, ext)
}

// maxNames bounds how many names like one are tried.
const maxNames = 1000

// Try reports why a destination cannot be used, before it becomes one. The error
// wraps ErrChoice.
func Try(ctx context.Context, d store.Destination) error {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	p, err := placeOf(d)
	if err != nil {
		return err
	}
	if err := p.check(ctx, true); err != nil {
		if errors.Is(err, ErrChoice) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrChoice, err)
	}
	return nil
}

// A State is how a destination stands.
type State struct {
	Arrived int            `json:"arrived"` // documents
	Waiting int            `json:"waiting"` // documents that could not be delivered yet
	Error   string         `json:"error,omitempty"`
	Last    time.Time      `json:"last,omitzero"` // arrival
	Tried   store.Delivery `json:"-"`             // the last one since the start
}

// State says how a destination stands.
func (q *Queue) State(id store.DestinationID) (State, error) {
	var s State
	err := q.store.EachDelivery(id, func(d store.Delivery) error {
		if d.Sum != "" {
			s.Arrived++
		}
		if d.Done.After(s.Last) {
			s.Last = d.Done
		}
		if !d.Next.IsZero() {
			s.Waiting++
			s.Error = d.Error
		}
		return nil
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Tried = q.last[id]
	return s, err
}
