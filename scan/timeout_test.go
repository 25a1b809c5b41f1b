package scan

import (
	"io"
	"testing"
	"time"

	"docscan/device"
	"docscan/store"
)

// A stopped batch that nobody goes on with is closed with what is there, and not
// before its time.
func TestStoppedBatchTimesOut(t *testing.T) {
	e := testEngine(t)
	limit := time.Duration(e.cfg.ResumeMinutes) * time.Minute
	tests := []struct {
		id    store.BatchID
		since time.Duration
		pages int
		want  store.BatchState
	}{
		{"018f0000-0000-7000-8000-00000000000a", limit - time.Minute, 1, store.BatchStopped},
		{"018f0000-0000-7000-8000-00000000000b", limit + time.Minute, 1, store.BatchProcessing},
		{"018f0000-0000-7000-8000-00000000000c", limit + time.Minute, 0, store.BatchFailed},
	}
	for _, tt := range tests {
		fault := tellFault(device.Jam, tt.pages)
		fault.Time = time.Now().Add(-tt.since)
		b := store.Batch{ID: tt.id, State: store.BatchStopped, Fault: fault, Created: fault.Time, Documents: []store.DocumentID{store.DocumentID(store.NewID())}}
		if err := e.store.AddBatch(b); err != nil {
			t.Fatal(err)
		}
		for n := range tt.pages {
			raw, err := e.keep("image/png", func(w io.Writer) error { drawSide(t, w, "text"); return nil })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.store.AddPage(store.Page{Batch: b.ID, Seq: n + 1, Sheet: n + 1, State: store.PageSafe, Raw: raw, Resolution: 150}); err != nil {
				t.Fatal(err)
			}
		}
		b, err := e.store.Batch(tt.id)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.takeUpBatch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if b, err = e.store.Batch(tt.id); err != nil || b.State != tt.want || b.Pages != tt.pages {
			t.Errorf("stopped for %v with %d pages: %s with %d, %v, want %s", tt.since, tt.pages, b.State, b.Pages, err, tt.want)
		}
	}
}
