package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// play makes d a daemon whose batch b1 goes through states, one step with each
// look at it, and that sends an event after each look.
func play(d *daemon, states []string) {
	looked := make(chan struct{}, len(states)+1)
	d.handle("POST /api/v1/scans", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"id":"b1","state":"scanning","device":"sim-1","profile":{"id":"standard","name":"Standard"},"pages":0}`)
	})
	n := 0 // looks; they come one after the other
	d.handle("GET /api/v1/batches/b1", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, states[min(n, len(states)-1)])
		n++
		looked <- struct{}{}
	})
	d.handle("GET /api/v1/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		for {
			w.(http.Flusher).Flush()
			select {
			case <-looked:
				fmt.Fprint(w, "id: 1\nevent: page\ndata: {\"batch\":\"b1\"}\n\n")
			case <-r.Context().Done():
				return
			}
		}
	})
}

// state is a batch with so many pages.
func state(name string, n int, more string) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"seq":%d,"sheet":%d,"back":%v,"state":"safe"}`, i+1, i/2+1, i%2 == 1))
	}
	return fmt.Sprintf(`{"id":"b1","state":%q,"device":"sim-1","profile":{"name":"Standard"},"pages":[%s]%s}`, name, strings.Join(list, ","), more)
}

const jam = `,"fault":{"kind":"jam","what":"A sheet is jammed.","safe":"Pages 1-2 are safe.","advice":"Take it out."}`

func TestScanWait(t *testing.T) {
	begin := "Scanning with \"Standard\" on sim-1, batch b1.\n"
	tests := []struct {
		name   string
		states []string
		code   int
		out    string
		errs   string
	}{
		{"to the end", []string{
			state("scanning", 0, ""), state("scanning", 1, ""), state("scanning", 3, ""),
			state("processing", 3, ""), state("completed", 3, `,"documents":["d1"]`),
		}, exitOK, begin +
			"Page 1 is safe (sheet 1, front).\n" +
			"Page 2 is safe (sheet 1, back).\n" +
			"Page 3 is safe (sheet 2, front).\n" +
			"All paper is in and safe (3 pages); it may be taken away. Reading the text.\n" +
			"Filed \"請求書 42\" with 2 pages.\n" +
			"Note: page 2 is kept as an image only\n" +
			"To get it: docscanctl documents get d1\n", ""},
		{"jam", []string{state("scanning", 1, ""), state("stopped", 2, jam)}, exitFailure, begin +
			"Page 1 is safe (sheet 1, front).\n" +
			"Page 2 is safe (sheet 1, back).\n",
			"docscanctl: A sheet is jammed.\n" +
				"Pages 1-2 are safe. Take it out.\n" +
				"To go on from here: docscanctl batches resume b1 --wait\n" +
				"To file what is safe: docscanctl batches finish b1\n"},
		{"nothing in the feeder", []string{state("failed", 0, `,"fault":{"what":"There is no paper.","advice":"Put some in."}`)}, exitFailure,
			begin, "docscanctl: There is no paper. Put some in.\n"},
		{"canceled", []string{state("canceled", 0, "")}, exitFailure, begin, "docscanctl: the scan was canceled before a page was safe\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := startDaemon(t, map[string]string{"GET /api/v1/documents/d1": oneDocument})
			play(d, tt.states)
			code, out, errs := d.ctl(t, "", "scan", "--wait", "--profile", "standard")
			if code != tt.code || out != tt.out || errs != tt.errs {
				t.Errorf("code %d, want %d\n%s%s\nwant\n%s%s", code, tt.code, out, errs, tt.out, tt.errs)
			}
			if !strings.HasPrefix(d.calls(), `POST /api/v1/scans {"profile":"standard"}`) {
				t.Errorf("the daemon was asked\n%s", d.calls())
			}
		})
	}
}

func TestScanWaitJSON(t *testing.T) {
	d := startDaemon(t, map[string]string{"GET /api/v1/documents/d1": oneDocument})
	play(d, []string{state("scanning", 1, ""), state("completed", 1, `,"documents":["d1"]`)})
	code, out, errs := d.ctl(t, "", "scan", "--wait", "--json")
	var b struct{ State string }
	if err := json.Unmarshal([]byte(out), &b); code != exitOK || err != nil || b.State != "completed" {
		t.Errorf("code %d, %v\n%s%s", code, err, out, errs)
	}
}

func TestScan(t *testing.T) {
	d := startDaemon(t, nil)
	play(d, nil)
	if code, out, errs := d.ctl(t, "", "scan", "--anew"); code != exitOK || out != "Scanning with \"Standard\" on sim-1.\nBatch b1\n" {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	if d.calls() != `POST /api/v1/scans {"anew":true}` {
		t.Errorf("the daemon was asked\n%s", d.calls())
	}
}

// Ctrl-C ends the waiting and says that the scan goes on.
func TestScanWaitInterrupted(t *testing.T) {
	d := startDaemon(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	play(d, []string{state("scanning", 1, "")})
	d.handle("GET /api/v1/batches/b1", func(w http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	})
	var out, errs strings.Builder
	code := run(ctx, []string{"--socket", d.socket, "scan", "--wait"}, terminal{strings.NewReader(""), &out, &errs}, func(string) string { return "" })
	if code != exitFailure || !strings.Contains(errs.String(), "the scan itself goes on") || !strings.Contains(errs.String(), "docscanctl batches cancel b1") {
		t.Errorf("code %d\n%s%s", code, &out, &errs)
	}
}

func TestBatchActions(t *testing.T) {
	d := startDaemon(t, map[string]string{
		"POST /api/v1/batches/b1/finish": oneBatch,
		"POST /api/v1/batches/b1/cancel": oneBatch,
		"POST /api/v1/batches/b1/resume": `409 {"detail":"the batch is no longer in a state that allows this"}`,
	})
	tests := []struct {
		args string
		code int
		want string
	}{
		{"batches finish b1", exitOK, "Batch b1 is closed; its pages become the document.\n"},
		{"batches cancel b1", exitOK, "Batch b1 stops after the current sheet; pages that are safe are kept.\n"},
		{"batches resume b1", exitFailure, "docscanctl: the batch is no longer in a state that allows this\n"},
	}
	for _, tt := range tests {
		if code, out, errs := d.ctl(t, "", strings.Fields(tt.args)...); code != tt.code || out+errs != tt.want {
			t.Errorf("%s: code %d, %q; want %d, %q", tt.args, code, out+errs, tt.code, tt.want)
		}
	}
}
