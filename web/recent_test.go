package web

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestRecent(t *testing.T) {
	var b bytes.Buffer
	h := NewRecent(slog.NewTextHandler(&b, nil))
	log := slog.New(h).With("device", "SIM-1").WithGroup("scan")
	log.Info("batch opened", "batch", 7, slog.Group("x", "y", "two words"))
	log.Debug("not at this level")
	for range recentLines + 5 {
		log.Warn(strings.Repeat("ä", 2*recentBytes))
	}
	log.Error("last")
	lines := h.Lines()
	if len(lines) != recentLines || lines[0].Text != "last device=SIM-1" || lines[0].Level != "ERROR" {
		t.Fatalf("%d lines, the newest %+v", len(lines), lines[0])
	}
	if n := len([]rune(lines[1].Text)); n != recentBytes+1 {
		t.Errorf("a long line has %d characters", n)
	}
	fresh := NewRecent(slog.NewTextHandler(&b, nil))
	slog.New(fresh).With("device", "SIM-1").WithGroup("scan").Info("batch opened", "batch", 7, slog.Group("x", "y", "two words"))
	if got, want := fresh.Lines()[0].Text, `batch opened device=SIM-1 scan.batch=7 scan.x.y="two words"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !strings.Contains(b.String(), "scan.x.y=") {
		t.Error("nothing is handed on")
	}
	var none *Recent
	if none.Lines() != nil {
		t.Error("no log has lines")
	}
}
