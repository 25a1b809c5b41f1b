package esci

import (
	"bytes"
	"image"
	"strings"
	"testing"
	"time"

	"docscan/device/sim/scantest"
)

// exchange sends one message and gives the next one from the machine.
func exchange(t testing.TB, s *Scanner, out string) string {
	t.Helper()
	if err := s.Out(t.Context(), []byte(out)); err != nil {
		t.Fatal(err)
	}
	b, err := s.In(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// with sends a request with data.
func with(t testing.TB, s *Scanner, code, data string) string {
	t.Helper()
	if err := s.Out(t.Context(), []byte(header(code, len(data)))); err != nil {
		t.Fatal(err)
	}
	return exchange(t, s, data)
}

// good are parameters for a test page.
const good = "#ADFDPLXDFL1#COLC024#FMTRAW #RSMd100#RSSd100#PAGd000#ACQi0000000i0000000i0000400i0000300"

// What a real machine refuses, or might, this one refuses, and notes.
func TestRefuses(t *testing.T) {
	const x = "\x1cX"
	fin, para := header("FIN ", 0), func(s string) [2]string { return [2]string{"PARA", s} }
	tests := []struct {
		name string
		says []any // messages; the last is refused
		want string
	}{
		{"request outside of a session", []any{header("INFO", 0)}, "\x15"},
		{"session of another kind", []any{"\x1cZ"}, "\x15"},
		{"unknown request", []any{x, header("ABCD", 0)}, "UNKN"},
		{"no request", []any{x, "INFOx000"}, "UNKN"},
		{"no length", []any{x, "INFOx00000G0"}, "UNKN"},
		{"image before the start", []any{x, header("IMG ", 0)}, "INVD"},
		{"cancel before the start", []any{x, header("CAN ", 0)}, "INVD"},
		{"start in a session for questions", []any{"\x1cY", header("TRDT", 0)}, "INVD"},
		{"question in the data state", []any{x, para(good), header("TRDT", 0), header("STAT", 0)}, "INVD"},
		{"request after the end", []any{x, fin, header("STAT", 0)}, "\x15"},
		{"data with a question", []any{x, [2]string{"STAT", "#PB "}}, "INVD"},
		{"unknown token", []any{x, para("#XYZd001")}, "PARAx0000000#parFAIL"},
		{"unknown flag", []any{x, para("#ADFLOAD")}, "PARAx0000000#parFAIL"},
		{"unknown colour", []any{x, para("#COLC099")}, "PARAx0000000#parFAIL"},
		{"resolutions that differ", []any{x, para("#RSMd100#RSSd200")}, "PARAx0000000#parFAIL"},
		{"area too wide", []any{x, para("#RSMd100#RSSd100#ACQi0000000i0000000i0000856i0000300")}, "PARAx0000000#parFAIL"},
		{"area of odd width", []any{x, para("#RSMd100#RSSd100#ACQi0000000i0000000i0000401i0000300")}, "PARAx0000000#parFAIL"},
		{"token in the middle", []any{x, para("#ADFDPL")}, "PARAx0000000#parFAIL"},
		{"other mechanics", []any{x, [2]string{"MECH", "#ADFJUMP"}}, "MECHx0000000#parFAIL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(Config{Model: "DS-860", NeedsDFL: true, Pages: []image.Image{testPage(0)}, Resolution: scantest.DPI})
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for i, say := range tt.says {
				if len(s.Violations()) > 0 {
					t.Fatalf("message %d was wrong already: %q", i, s.Violations())
				}
				switch say := say.(type) {
				case string:
					got = exchange(t, s, say)
				case [2]string:
					got = with(t, s, say[0], say[1])
				}
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("answer %q, want %q", got, tt.want)
			}
			if len(s.Violations()) != 1 {
				t.Errorf("violations %q, want one", s.Violations())
			}
		})
	}
}

// A sheet that did not come out whole is back on the stack.
func TestPutBack(t *testing.T) {
	for _, end := range []string{"CAN ", "FIN "} {
		s, err := New(Config{Model: "DS-860", Pages: []image.Image{testPage(0), testPage(1)}, Resolution: scantest.DPI, Block: 1000})
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, s, "\x1cX")
		if got := with(t, s, "PARA", good); !strings.Contains(got, "#parOK") {
			t.Fatal(got)
		}
		exchange(t, s, header("TRDT", 0))
		if got := exchange(t, s, header("IMG ", 0)); !strings.HasPrefix(got, "IMG x00003E8#psti0000400i0000000i0000300#typIMGA") {
			t.Errorf("first block: %q", got)
		}
		if b, err := s.In(t.Context()); err != nil || len(b) != 1000 {
			t.Errorf("%d bytes, %v, want 1000", len(b), err)
		}
		if left, fed := s.Sheets(); left != 1 || fed != 1 {
			t.Errorf("%d sheets left, %d fed, want one each", left, fed)
		}
		exchange(t, s, header(end, 0))
		if left, fed := s.Sheets(); left != 2 || fed != 0 {
			t.Errorf("after %s %d sheets left, %d fed, want 2 and none", end, left, fed)
		}
		if len(s.Violations()) > 0 {
			t.Errorf("violations %q", s.Violations())
		}
	}
}

func TestParseConfig(t *testing.T) {
	cfg, err := ParseConfig(`{"Model":"DS-530","Faults":[{"Sheet":2,"Where":"page","Cause":"DFED"}],"Slow":1000000}`)
	if err != nil || cfg.Model != "DS-530" || cfg.Faults[0].Cause != DoubleFeed || cfg.Slow != time.Millisecond {
		t.Errorf("ParseConfig = %+v, %v", cfg, err)
	}
	for _, bad := range []string{`{"Modell":"x"}`, `[]`, ``} {
		if _, err := ParseConfig(bad); err == nil {
			t.Errorf("ParseConfig(%q) took it", bad)
		}
	}
	if _, err := New(Config{Model: "DS-9999"}); err == nil {
		t.Error("New of an unknown model took it")
	}
}

// A host may send anything: each message gets an answer or waits for data, and
// nothing else happens.
func FuzzOut(f *testing.F) {
	f.Add([]byte("\x1cX|INFOx0000000|PARAx0000008|#ADFDPLX|TRDTx0000000|IMG x0000000|CAN x0000000|FIN x0000000"))
	f.Add([]byte("\x1cX|PARAx000000C|#GMTRED h100|FIN x0000000"))
	f.Add([]byte("\x1cY|STATx0000000|RESAx0000004|#ADF|MECHx0000008|#ADFEJCT"))
	f.Add([]byte("\x1cX|PARAx0000024|#ACQi0000000i0000000i-00008i0000300|TRDTx0000000|IMG x0000000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := New(Config{Model: "DS-860", Pages: []image.Image{image.NewGray(image.Rect(0, 0, 8, 8))}, Resolution: 50})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range bytes.SplitN(b, []byte("|"), 16) {
			if err := s.Out(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if s.out.Drop() == 0 && s.await == "" {
				t.Fatalf("no answer to %q", m)
			}
		}
	})
}
