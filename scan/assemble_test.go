package scan

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"docscan/store"
)

// onWrite is called for what is logged.
type onWrite func()

func (f onWrite) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// Who is done with the last page of a batch while somebody else has just looked in vain
// does not wait, but the document is made.
func TestLastPagesAtOnce(t *testing.T) {
	k := newDesk(t)
	now := time.Now()
	b := store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchProcessing, Owner: "anna", Created: now,
		Documents: []store.DocumentID{store.DocumentID(store.NewID())}}
	k.must(k.store.AddBatch(b))
	_, err := k.store.AddPage(store.Page{Batch: b.ID, Seq: 1, Sheet: 1, State: store.PageKept, Note: "only a test", Created: now})
	k.must(err)
	k.cfg.MinFreeMB = 1 << 40 // the first look is in vain, and its message is when the second comes
	second := sync.OnceFunc(func() {
		k.cfg.MinFreeMB = 0
		k.assembleWhenDone(b.ID)
	})
	k.log = slog.New(slog.NewTextHandler(onWrite(second), nil))
	k.assembleWhenDone(b.ID)
	if b, err = k.store.Batch(b.ID); err != nil || b.State != store.BatchCompleted {
		t.Errorf("the batch is %s (%v), want it completed", b.State, err)
	}
	if len(k.working) != 0 {
		t.Error("the batch is still said to be worked on")
	}
}
