package rollout

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A Report is what became of a rollout, for people and programs.
type Report struct {
	Version  string         `json:"version"`
	Created  time.Time      `json:"created"`
	By       string         `json:"by"`
	Written  time.Time      `json:"written"`
	Finished bool           `json:"finished"`
	Halted   string         `json:"halted,omitempty"`
	Counts   map[State]int  `json:"counts"`
	Sent     int64          `json:"sent_bytes"` // over the lines, SSH included
	Received int64          `json:"received_bytes"`
	Waves    []ReportWave   `json:"waves"`
	Reasons  []ReportReason `json:"reasons"`
	Boxes    []ReportBox    `json:"boxes"`
}

// ReportWave is one wave.
type ReportWave struct {
	Name   string        `json:"name"`
	Boxes  int           `json:"boxes"`
	Counts map[State]int `json:"counts"`
}

// ReportReason is one reason why boxes are not updated, and which they are.
type ReportReason struct {
	State State    `json:"state"`
	Kind  string   `json:"kind"`
	Text  string   `json:"text"` // of the first one
	Boxes []string `json:"boxes"`
}

// ReportBox is one box.
type ReportBox struct {
	Name     string    `json:"name"`
	Address  string    `json:"address,omitempty"`
	Wave     string    `json:"wave"`
	State    State     `json:"state"`
	Kind     string    `json:"kind,omitempty"`
	Text     string    `json:"text,omitempty"`
	From     string    `json:"from,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Delta    bool      `json:"delta,omitempty"`
	Already  bool      `json:"already,omitempty"`
	Sent     int64     `json:"sent_bytes"`
	Received int64     `json:"received_bytes"`
	Payload  int64     `json:"payload_bytes"`
	Drift    float64   `json:"drift_seconds,omitempty"`
}

// Report says how things are.
func (r *Rollout) Report() *Report {
	r.mu.Lock()
	finished, halted := r.done, r.halted
	r.mu.Unlock()
	p := &Report{
		Version: r.Version, Created: r.Created, By: r.By, Written: time.Now().UTC(), Finished: finished, Halted: halted,
		Counts: make(map[State]int), Waves: make([]ReportWave, len(r.Ends)),
		Reasons: []ReportReason{}, Boxes: []ReportBox{},
	}
	for i := range p.Waves {
		p.Waves[i] = ReportWave{Name: r.waveName(i), Counts: make(map[State]int)}
	}
	reasons := make(map[string]int)
	for i, b := range r.Boxes() {
		h := r.Plan.Boxes[i]
		p.Counts[b.State]++
		p.Sent += b.Sent
		p.Received += b.Received
		p.Waves[b.Wave].Boxes++
		p.Waves[b.Wave].Counts[b.State]++
		p.Boxes = append(p.Boxes, ReportBox{
			Name: b.Name, Address: h.Address, Wave: r.waveName(b.Wave), State: b.State, Kind: b.Kind, Text: b.Text, From: b.From, Since: b.Since,
			Delta: b.Delta, Already: b.Already, Sent: b.Sent, Received: b.Received, Payload: b.Payload, Drift: b.Drift.Seconds(),
		})
		if b.State == Updated || b.State == Waiting || b.State == Installing || b.State == Committed {
			continue
		}
		key := string(b.State) + " " + b.Kind
		at, seen := reasons[key]
		if !seen {
			at = len(p.Reasons)
			reasons[key] = at
			p.Reasons = append(p.Reasons, ReportReason{State: b.State, Kind: b.Kind, Text: b.Text})
		}
		p.Reasons[at].Boxes = append(p.Reasons[at].Boxes, b.Name)
	}
	slices.SortStableFunc(p.Reasons, func(a, b ReportReason) int { return cmp.Compare(len(b.Boxes), len(a.Boxes)) })
	return p
}

//go:embed report.html
var reportPage string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"bytes": FormatBytes,
	"time":  func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") },
	"tone":  tone,
	"bars":  bars,
	"total": total,
}).Parse(reportPage))

func total(c map[State]int, states ...State) (n int) {
	for _, s := range states {
		n += c[s]
	}
	return n
}

// tone is the class of the page that a state has: what is well, what a person must
// look at, what comes later by itself, and the rest.
func tone(s State) string {
	switch s {
	case Updated:
		return "good"
	case Failed, Lost, Kept:
		return "bad"
	case OffLine, Returned:
		return "late"
	}
	return "rest"
}

// bar is a part of a bar that shows how many boxes are where.
type bar struct {
	Tone string
	N    int
}

func bars(c map[State]int) (list []bar) {
	for _, t := range []string{"good", "bad", "late", "rest"} {
		b := bar{Tone: t}
		for s, n := range c {
			if tone(s) == t {
				b.N += n
			}
		}
		list = append(list, b)
	}
	return list
}

// Done are the boxes that are updated, for the page.
func (p *Report) Done() []ReportBox { return p.those(true) }

// Others are those that are not.
func (p *Report) Others() []ReportBox { return p.those(false) }

func (p *Report) those(updated bool) (list []ReportBox) {
	for _, b := range p.Boxes {
		if (b.State == Updated) == updated {
			list = append(list, b)
		}
	}
	return list
}

// FormatBytes gives a number of bytes for people.
func FormatBytes(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// WriteReport writes the report beside the rollout's file, as HTML and as JSON,
// and gives their names.
func (r *Rollout) WriteReport() (names []string, err error) {
	p := r.Report()
	var page bytes.Buffer
	if err := reportTemplate.Execute(&page, p); err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	text, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	for suffix, content := range map[string][]byte{".html": page.Bytes(), ".json": append(text, '\n')} {
		name := r.name + suffix
		if err := replace(name, content); err != nil {
			return nil, fmt.Errorf("write the report: %w", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// replace writes a file that is whole or as it was before.
func replace(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".report-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
