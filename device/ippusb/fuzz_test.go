package ippusb

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"docscan/device/quirks"
	"docscan/device/usb"
)

// scripted is a machine that answers the first request with script and, once
// restarted, every further one properly.
type scripted struct {
	script    []byte
	restarted bool
}

const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"

var errScriptEnds = errors.New("nothing more to say")

func (p *scripted) Read(_ context.Context, b []byte) (int, error) {
	if len(p.script) == 0 {
		return 0, errScriptEnds
	}
	n := copy(b, p.script)
	p.script = p.script[n:]
	return n, nil
}

func (p *scripted) Write(_ context.Context, b []byte) (int, error) { return len(b), nil }

func (p *scripted) Restart(context.Context) error {
	p.restarted = true
	p.script = []byte(good)
	return nil
}

// Answers come from the machine, so any bytes may arrive. Whatever they are,
// the next answer must not be taken for something else.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\n" + good))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"))
	f.Add([]byte("HTTP/1.0 200 OK\r\n\r\nno end"))
	f.Add([]byte(good + good))
	f.Add([]byte("HTTP/1.1 204 No Content\r\nContent-Length: 9223372036854775807\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > transferSize {
			return // the rest of a longer one could only be told by waiting
		}
		pipe := &scripted{script: b}
		tr := NewTransport(DefaultConfig(), quirks.Quirks{}, []Pipe{pipe},
			func(context.Context) error { return nil }, func() error { return nil }, nil, slog.New(slog.DiscardHandler))
		defer tr.Close()
		get := func() (string, error) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			return string(body), err
		}
		first, err := get()
		if len(first) > len(b) {
			t.Errorf("a body of %d bytes out of %d", len(first), len(b))
		}
		c := <-tr.free // the exchange has ended
		if (err != nil) && !pipe.restarted {
			t.Errorf("no restart after %v", err)
		}
		if !pipe.restarted {
			pipe.script = []byte(good)
		}
		tr.free <- c
		if got, err := get(); got != "good" || err != nil {
			t.Errorf("next answer %q, %v", got, err)
		}
	})
}

// Descriptors may say anything. Of the interfaces for HTTP each is taken once, and
// all of one configuration.
func FuzzDescriptors(f *testing.F) {
	f.Add([]byte{1, 0, 1, 7, 1, 4, 1, 1, 1, 7, 1, 4}, []byte("\x0a\x21\x00\x01\x00\x00\x03\x00\x00\x00"))
	f.Add([]byte{1, 0, 0, 255, 9, 1, 2, 0, 1, 7, 1, 4}, []byte{})
	f.Fuzz(func(t *testing.T, b, class []byte) {
		scans(class)
		d := usb.Desc{Vendor: 0x03f0}
		for ; len(b) >= 6; b = b[6:] {
			d.Settings = append(d.Settings, usb.Setting{Config: int(b[0]), Interface: int(b[1]), Alternate: int(b[2]), Class: b[3], SubClass: b[4], Protocol: b[5]})
		}
		seen := make(map[int]bool)
		list := httpSettings(d)
		for _, s := range list {
			if s.Config != list[0].Config || seen[s.Interface] {
				t.Fatalf("settings %+v", list)
			}
			seen[s.Interface] = true
		}
	})
}

func TestScans(t *testing.T) {
	for _, tt := range []struct {
		name  string
		class string
		want  bool
	}{
		{"missing", "", true},
		{"short", "\x04\x21\x00\x01", true},
		{"nothing said", "\x0a\x21\x00\x01\x00\x00\x00\x00\x00\x00", true},
		{"prints", "\x0a\x21\x00\x01\x00\x00\x01\x00\x00\x00", false},
		{"prints and scans", "\x0a\x21\x00\x01\x00\x00\x03\x00\x00\x00", true},
		{"any HTTP", "\x0a\x21\x00\x01\x00\x00\x11\x00\x00\x00", true},
	} {
		if got := scans([]byte(tt.class)); got != tt.want {
			t.Errorf("%s: scans = %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	good := DefaultConfig()
	if err := good.Check(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.SilenceSeconds = 0 },
		func(c *Config) { c.DrainSeconds = 4000 },
	} {
		c := DefaultConfig()
		change(&c)
		if c.Check() == nil {
			t.Errorf("Check accepted %+v", c)
		}
	}
}
