package web

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of the lines that are kept for the page.
const (
	recentLines = 400
	recentBytes = 500 // of one line
)

// A LogLine is one event of the log.
type LogLine struct {
	Time  time.Time `json:"time"`
	Level string    `json:"level"` // DEBUG, INFO, WARN or ERROR
	Text  string    `json:"text"`  // the event and its values
}

// recentRing holds the last lines.
type recentRing struct {
	mu    sync.Mutex
	lines [recentLines]LogLine
	next  int // counts up
}

// Recent is a handler of the log that hands everything on and keeps the last
// lines for the page of the box. Nothing secret is in the log, so nothing secret
// is in them.
type Recent struct {
	slog.Handler
	ring *recentRing
	with string // values that every line has
	name string // of the group that values belong to, with a dot
}

var _ slog.Handler = (*Recent)(nil)

// NewRecent keeps the last lines of what h handles.
func NewRecent(h slog.Handler) *Recent { return &Recent{Handler: h, ring: &recentRing{}} }

// Handle keeps r and hands it on.
func (h *Recent) Handle(ctx context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.with)
	r.Attrs(func(a slog.Attr) bool {
		writeAttr(&b, h.name, a)
		return b.Len() < recentBytes
	})
	text := []rune(strings.ToValidUTF8(b.String(), "\uFFFD"))
	if len(text) > recentBytes {
		text = append(text[:recentBytes], '…')
	}
	h.ring.mu.Lock()
	h.ring.lines[h.ring.next%recentLines] = LogLine{r.Time, r.Level.String(), string(text)}
	h.ring.next++
	h.ring.mu.Unlock()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs gives a handler of the same lines with more values.
func (h *Recent) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.with)
	for _, a := range attrs {
		writeAttr(&b, h.name, a)
	}
	return &Recent{h.Handler.WithAttrs(attrs), h.ring, b.String(), h.name}
}

// WithGroup gives a handler of the same lines whose values belong to a group.
func (h *Recent) WithGroup(name string) slog.Handler {
	return &Recent{h.Handler.WithGroup(name), h.ring, h.with, h.name + name + "."}
}

func writeAttr(b *strings.Builder, group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, x := range v.Group() {
			writeAttr(b, group, x)
		}
		return
	}
	s := v.String()
	if strings.ContainsAny(s, " \"=\n\t") || s == "" {
		s = strconv.Quote(s)
	}
	fmt.Fprintf(b, " %s%s=%s", group, a.Key, s)
}

// Lines gives the last lines, the newest first. A nil h has none.
func (h *Recent) Lines() []LogLine {
	if h == nil {
		return nil
	}
	h.ring.mu.Lock()
	defer h.ring.mu.Unlock()
	n := min(h.ring.next, recentLines)
	list := make([]LogLine, n)
	for i := range list {
		list[i] = h.ring.lines[(h.ring.next-1-i)%recentLines]
	}
	return list
}
