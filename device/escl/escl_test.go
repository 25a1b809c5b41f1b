package escl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docscan/device"
	"docscan/device/quirks"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

const capsXML = `<?xml version="1.0"?><scan:ScannerCapabilities xmlns:scan="s" xmlns:pwg="p"><pwg:MakeAndModel>Acme S1</pwg:MakeAndModel>
<scan:Adf><scan:AdfSimplexInputCaps><scan:MaxWidth>2550</scan:MaxWidth><scan:MaxHeight>4200</scan:MaxHeight><scan:SettingProfiles><scan:SettingProfile>
<scan:ColorModes><scan:ColorMode>RGB24</scan:ColorMode></scan:ColorModes><scan:DocumentFormats><pwg:DocumentFormat>image/jpeg</pwg:DocumentFormat></scan:DocumentFormats>
<scan:SupportedResolutions><scan:ResolutionRange><scan:XResolutionRange><scan:Min>100</scan:Min><scan:Max>600</scan:Max><scan:Step>1</scan:Step></scan:XResolutionRange></scan:ResolutionRange></scan:SupportedResolutions>
</scan:SettingProfile></scan:SettingProfiles></scan:AdfSimplexInputCaps></scan:Adf></scan:ScannerCapabilities>`

func statusXML(state, adf string) string {
	return fmt.Sprintf(`<scan:ScannerStatus xmlns:scan="s" xmlns:pwg="p"><pwg:State>%s</pwg:State><scan:AdfState>%s</scan:AdfState></scan:ScannerStatus>`, state, adf)
}

func TestStatus(t *testing.T) {
	tests := []struct {
		state, adf string
		ours       bool
		want       device.Status
	}{
		{"Idle", "ScannerAdfLoaded", false, device.Status{State: device.Ready, Loaded: true}},
		{"Idle", "ScannerAdfEmpty", false, device.Status{State: device.Empty}},
		{"Idle", "ScannerAdfProcessing", false, device.Status{State: device.Ready}}, // Kyocera's idle state
		{"Idle", "", false, device.Status{State: device.Ready}},
		{"Processing", "ScannerAdfProcessing", false, device.Status{State: device.InUse}},
		{"Processing", "ScannerAdfProcessing", true, device.Status{State: device.Scanning}},
		{"Testing", "ScannerAdfEmpty", false, device.Status{State: device.WarmingUp}},
		{"Down", "", false, device.Status{State: device.Faulty, Fault: device.Hardware}},
		{"Idle", "ScannerAdfJam", false, device.Status{State: device.Faulty, Fault: device.Jam}},
		{"Stopped", "ScannerAdfMispick", false, device.Status{State: device.Faulty, Fault: device.Mispick}},
		{"Idle", "ScannerAdfHatchOpen", false, device.Status{State: device.CoverOpen, Fault: device.Cover}},
		{"Idle", "ScannerAdfDoorOpen", false, device.Status{State: device.CoverOpen, Fault: device.Cover}},
		{"Idle", "ScannerAdfMultipickDetected", false, device.Status{State: device.Faulty, Fault: device.DoubleFeed}},
		{"Idle", "ScannerAdfDuplexPageTooShort", false, device.Status{State: device.Faulty, Fault: device.PageLength}},
		{"Idle", "ScannerAdfDuplexPageTooLong", false, device.Status{State: device.Faulty, Fault: device.PageLength}},
		{"Idle", "ScannerAdfInputTrayFailed", false, device.Status{State: device.Faulty, Fault: device.Hardware}},
		{"Idle", "ScannerAdfInputTrayOverloaded", false, device.Status{State: device.Faulty, Fault: device.Mispick}},
	}
	for _, tt := range tests {
		var st status
		if err := parse(strings.NewReader(statusXML(tt.state, tt.adf)), &st); err != nil {
			t.Fatal(err)
		}
		if got := st.device(tt.ours); got != tt.want {
			t.Errorf("%s, %s, ours %t: %+v, want %+v", tt.state, tt.adf, tt.ours, got, tt.want)
		}
	}
}

// odd is a machine that misbehaves in one way.
type odd struct {
	host         string // the only one it answers; empty: any
	deleted      *bool  // set when a job is deleted; may be nil
	refusals     int    // how often it does not delete one before it does
	caps, status string
	info         string                             // ScanImageInfo; empty: it does not know that
	infos        *int                               // counts the questions for it; may be nil
	post         func(w http.ResponseWriter, n int) // n counts the calls from 1
	next         func(w http.ResponseWriter, n int)
}

func page(w http.ResponseWriter) { io.WriteString(w, "\xff\xd8\xffpage\xff\xd9") }

func created(w http.ResponseWriter) {
	w.Header().Set("Location", "http://made-up-name.hpLedmUSB/eSCL/ScanJobs/7")
	w.WriteHeader(http.StatusCreated)
}

func (o odd) serve(t *testing.T) string {
	t.Helper()
	posts, nexts, deletes := 0, 0, 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /eSCL/ScannerCapabilities", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, o.caps) })
	mux.HandleFunc("GET /eSCL/ScannerStatus", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, o.status) })
	mux.HandleFunc("POST /eSCL/ScanJobs", func(w http.ResponseWriter, _ *http.Request) {
		posts++
		if o.post != nil {
			o.post(w, posts)
			return
		}
		created(w)
	})
	mux.HandleFunc("GET /eSCL/ScanJobs/7/NextDocument", func(w http.ResponseWriter, _ *http.Request) {
		nexts++
		o.next(w, nexts)
	})
	mux.HandleFunc("GET /eSCL/ScanJobs/7/ScanImageInfo", func(w http.ResponseWriter, _ *http.Request) {
		if o.infos != nil {
			*o.infos++
		}
		if o.info == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		io.WriteString(w, o.info)
	})
	mux.HandleFunc("DELETE /eSCL/ScanJobs/7", func(w http.ResponseWriter, _ *http.Request) {
		if deletes++; deletes <= o.refusals {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if o.deleted != nil {
			*o.deleted = true
		}
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.host != "" && r.Host != o.host {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/eSCL"
}

// Machines misbehave in known ways; each must end in the right reason, with the
// sides before it whole.
func TestOddMachines(t *testing.T) {
	gone := func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }
	good := odd{caps: capsXML, status: statusXML("Idle", "ScannerAdfEmpty"), next: func(w http.ResponseWriter, n int) {
		if n > 2 {
			gone(w)
			return
		}
		page(w)
	}}
	tests := []struct {
		name   string
		change func(*odd)
		sides  int
		want   device.FaultKind // "" is a proper end
	}{
		{"one that behaves", func(*odd) {}, 2, ""},
		{"410 at the end", func(o *odd) {
			o.next = func(w http.ResponseWriter, n int) {
				if n > 1 {
					w.WriteHeader(http.StatusGone)
					return
				}
				page(w)
			}
		}, 1, ""},
		{"503 before a page", func(o *odd) {
			o.next = func(w http.ResponseWriter, n int) {
				switch n {
				case 1:
					w.WriteHeader(http.StatusServiceUnavailable)
				case 2:
					page(w)
				default:
					gone(w)
				}
			}
		}, 1, ""},
		{"503 with a jam in the status", func(o *odd) {
			o.next = func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusServiceUnavailable) }
			o.status = statusXML("Processing", "ScannerAdfJam")
		}, 0, device.Jam},
		{"503 to the job", func(o *odd) {
			o.post = func(w http.ResponseWriter, n int) {
				if n == 1 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				created(w)
			}
			o.status = statusXML("Idle", "ScannerAdfLoaded")
		}, 2, ""},
		{"404 with a jam in the status", func(o *odd) { o.status = statusXML("Idle", "ScannerAdfJam") }, 2, device.Jam},
		{"409 to the job of an empty feeder", func(o *odd) {
			o.post = func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusConflict) }
		}, 0, device.NoPaper},
		{"nothing at all", func(o *odd) { o.next = func(w http.ResponseWriter, _ int) { gone(w) } }, 0, device.NoPaper},
		{"an error text with status 200", func(o *odd) {
			o.next = func(w http.ResponseWriter, _ int) { io.WriteString(w, "Error 17") }
		}, 0, device.BadAnswer},
		{"an empty image", func(o *odd) { o.next = func(http.ResponseWriter, int) {} }, 0, device.Unplugged},
		{"a job without an address", func(o *odd) {
			o.post = func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusCreated) }
		}, 0, device.BadAnswer},
		{"a status that is no XML", func(o *odd) { o.status = "oops" }, 2, device.BadAnswer},
		{"an image cut off", func(o *odd) {
			o.next = func(w http.ResponseWriter, _ int) {
				w.Header().Set("Content-Length", "9000")
				page(w)
			}
		}, 0, device.Unplugged},
		{"an image without end", func(o *odd) {
			o.next = func(w http.ResponseWriter, _ int) {
				page(w)
				io.WriteString(w, strings.Repeat("x", 1<<20))
			}
		}, 0, device.TooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := good
			tt.change(&o)
			s, err := Open(t.Context(), Options{BaseURL: o.serve(t), HTTP: transport(), MaxSide: 1 << 16, Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			sides, err := all(t, s)
			if sides != tt.sides || device.KindOf(err) != tt.want || tt.want == "" && err != nil {
				t.Errorf("%d sides and %v, want %d and %q", sides, err, tt.sides, tt.want)
			}
		})
	}
}

// A JPEG whose head does not tell its true length has it when it is handed over: by
// what stands at its end, or by what the machine says afterwards.
func TestTrueSize(t *testing.T) {
	const told = `<scan:ScanImageInfo xmlns:scan="s"><scan:ActualWidth>8</scan:ActualWidth><scan:ActualHeight>16</scan:ActualHeight></scan:ScanImageInfo>`
	var whole bytes.Buffer
	if err := jpeg.Encode(&whole, image.NewGray(image.Rect(0, 0, 8, 16)), nil); err != nil {
		t.Fatal(err)
	}
	const end = "\xff\xd9"
	for _, tt := range []struct {
		name        string
		lines       uint16 // that its head says
		dnl         string
		info        string
		quirk       bool
		want, asked int
	}{
		{"true from the start", 16, "", told, false, 16, 0},
		{"none", 0, "", told, false, 16, 1},
		{"none, but at its end", 0, "\xff\xdc\x00\x04\x00\x10", told, false, 16, 0},
		{"far too many", 65_500, "", told, false, 16, 1},
		{"too many, and a quirk", 300, "", told, true, 16, 1},
		{"as many as asked for", 300, "", told, false, 300, 0},
		{"none, and nobody tells", 0, "", "", false, 0, 1},
		{"none, and nonsense is told", 0, "", "<oops", false, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := slices.Clone(whole.Bytes())
			at := bytes.Index(file, []byte("\xff\xc0"))
			binary.BigEndian.PutUint16(file[at+5:], tt.lines)
			file = append(bytes.TrimSuffix(file, []byte(end)), tt.dnl+end...)
			asked := 0
			o := odd{caps: capsXML, status: statusXML("Idle", "ScannerAdfEmpty"), info: tt.info, infos: &asked, next: func(w http.ResponseWriter, n int) {
				if n > 2 {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				w.Write(file)
			}}
			s, err := Open(t.Context(), Options{BaseURL: o.serve(t), HTTP: transport(), Temp: t.TempDir(), Quirks: quirks.Quirks{AskHeight: tt.quirk}, Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r, err := s.Start(t.Context(), device.Settings{Source: device.Feeder})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			side, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(side.Body)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(file)
			binary.BigEndian.PutUint16(want[at+5:], uint16(tt.want))
			if !bytes.Equal(got, want) || asked != tt.asked {
				t.Errorf("the head says %x of %d bytes, want %d of %d; asked %d times, want %d", got[at+5:at+7], len(got), tt.want, len(want), asked, tt.asked)
			}
			if _, err := r.Next(t.Context()); err != nil { // the next one, whose body nobody reads
				t.Error(err)
			}
		})
	}
}

// A cancel that does not get through is repeated before the next side is asked for,
// so that the machine does not feed on.
func TestCancelIsRepeated(t *testing.T) {
	for _, refusals := range []int{0, 1, 2, 3} {
		deleted, nexts := false, 0
		o := odd{caps: capsXML, status: statusXML("Idle", "ScannerAdfLoaded"), deleted: &deleted, refusals: refusals, next: func(w http.ResponseWriter, n int) {
			if nexts = n; deleted {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			page(w)
		}}
		s, err := Open(t.Context(), Options{BaseURL: o.serve(t), HTTP: transport(), Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r, err := s.Start(t.Context(), device.Settings{Source: device.Feeder})
		if err != nil {
			t.Fatal(err)
		}
		side, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Cancel(t.Context()); (err != nil) != (refusals > 0) {
			t.Errorf("%d refusals: the cancel gives %v", refusals, err)
		}
		if _, err := io.Copy(io.Discard, side.Body); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(t.Context()); device.KindOf(err) != device.Stopped {
			t.Errorf("%d refusals: the run ends with %v, want stopped", refusals, err)
		}
		if err := r.Close(); (err != nil) != (refusals > 2) {
			t.Errorf("%d refusals: closing gives %v", refusals, err)
		}
		if deleted != (refusals <= 2) || nexts > 2 {
			t.Errorf("%d refusals: deleted %t, %d times asked for a side", refusals, deleted, nexts)
		}
	}
}

// A job of ours that could not be deleted is what keeps a machine busy: it is
// deleted before the next one is asked for again.
func TestStaleJobIsDeleted(t *testing.T) {
	deleted := false
	o := odd{caps: capsXML, status: statusXML("Idle", "ScannerAdfLoaded"), deleted: &deleted, refusals: 1}
	o.next = func(w http.ResponseWriter, n int) {
		if n == 2 || n > 3 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		page(w)
	}
	o.post = func(w http.ResponseWriter, n int) {
		if n > 1 && !deleted {
			w.WriteHeader(http.StatusConflict)
			return
		}
		created(w)
	}
	s, err := Open(t.Context(), Options{BaseURL: o.serve(t), HTTP: transport(), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range 2 {
		if sides, err := all(t, s); sides != 1 || err != nil {
			t.Errorf("run %d: %d sides, %v, want 1", n+1, sides, err)
		}
	}
	if !deleted {
		t.Error("the job that was left was not deleted")
	}
}

// all takes all sides of a run.
func all(t *testing.T, s *Scanner) (sides int, err error) {
	t.Helper()
	run, err := s.Start(t.Context(), device.Settings{Source: device.Feeder})
	if err != nil {
		return 0, err
	}
	defer run.Close()
	for {
		side, err := run.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return sides, nil
		}
		if err != nil {
			return sides, err
		}
		if _, err := io.Copy(io.Discard, side.Body); err != nil {
			return sides, err
		}
		sides++
	}
}

// What a quirk says changes what is asked of the machine, and when.
func TestQuirks(t *testing.T) {
	after := func(n int, h func(http.ResponseWriter)) func(http.ResponseWriter, int) {
		return func(w http.ResponseWriter, i int) {
			if i == n {
				page(w)
				return
			}
			h(w)
		}
	}
	gone := func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }
	tests := []struct {
		name   string
		quirks quirks.Quirks
		odd    odd
		sides  int
		want   device.FaultKind
		kept   bool // the job is not deleted
	}{
		{"404 is the end", quirks.Quirks{}, odd{status: statusXML("Processing", "ScannerAdfLoaded"), next: after(2, gone)}, 0, device.NoPaper, false},
		{"404 is not the end", quirks.Quirks{WaitOnNotFound: true}, odd{status: statusXML("Processing", "ScannerAdfLoaded"), next: func(w http.ResponseWriter, n int) {
			switch n {
			case 1:
				gone(w)
			case 2:
				page(w)
			default:
				w.WriteHeader(http.StatusGone)
			}
		}}, 1, "", false},
		{"an empty feeder called a jam", quirks.Quirks{CheckFeeder: true}, odd{status: statusXML("Idle", "ScannerAdfEmpty"), post: func(w http.ResponseWriter, _ int) {
			t.Error("a job was asked for")
			w.WriteHeader(http.StatusConflict)
		}}, 0, device.NoPaper, true},
		{"the job stays", quirks.Quirks{KeepJob: true}, odd{status: statusXML("Idle", "ScannerAdfEmpty"), next: after(1, gone)}, 1, "", true},
		{"the job goes", quirks.Quirks{}, odd{status: statusXML("Idle", "ScannerAdfEmpty"), next: after(1, gone)}, 1, "", false},
		{"a rest between sides", quirks.Quirks{Pause: true}, odd{status: statusXML("Idle", "ScannerAdfEmpty"), next: after(1, gone)}, 1, "", false},
		{"another host", quirks.Quirks{Host: "localhost"}, odd{host: "localhost", status: statusXML("Idle", "ScannerAdfEmpty"), next: after(1, gone)}, 1, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			deleted := false
			tt.odd.caps, tt.odd.deleted = capsXML, &deleted
			s, err := Open(t.Context(), Options{BaseURL: tt.odd.serve(t), HTTP: transport(), Quirks: tt.quirks, Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			sides, err := all(t, s)
			if sides != tt.sides || device.KindOf(err) != tt.want || tt.want == "" && err != nil {
				t.Errorf("%d sides and %v, want %d and %q", sides, err, tt.sides, tt.want)
			}
			if deleted == tt.kept {
				t.Errorf("the job deleted: %t, want %t", deleted, !tt.kept)
			}
		})
	}
}

// The model's name, which a network scanner tells by itself, brings its quirks.
func TestQuirksByName(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "acme.toml"), []byte("[[quirk]]\nmodel = \"acme s*\"\nmax_resolution = 300\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := quirks.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := odd{caps: capsXML, status: statusXML("Idle", "ScannerAdfEmpty")}
	s, err := Open(t.Context(), Options{BaseURL: o.serve(t), HTTP: transport(), List: list, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := slices.Max(s.Caps().Resolutions); got != 300 {
		t.Errorf("the highest resolution is %d dpi, want 300", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, caps := range map[string]string{
		"no XML":               "hello",
		"another document":     "<html></html>",
		"no paper source":      `<scan:ScannerCapabilities xmlns:scan="s"></scan:ScannerCapabilities>`,
		"a very long one":      "<ScannerCapabilities>" + strings.Repeat(" ", maxXML) + "</ScannerCapabilities>",
		"nested for ever":      strings.Repeat("<a>", 100_000),
		"an entity of its own": `<!DOCTYPE x [<!ENTITY a "b">]><ScannerCapabilities>&a;</ScannerCapabilities>`,
	} {
		o := odd{caps: caps}
		_, err := Open(t.Context(), Options{BaseURL: o.serve(t), HTTP: transport(), Log: quiet})
		if device.KindOf(err) != device.BadAnswer {
			t.Errorf("%s: %v, want a fault of kind bad-answer", name, err)
		}
	}
	_, err := Open(t.Context(), Options{BaseURL: "http://127.0.0.1:1/eSCL", HTTP: transport(), Log: quiet})
	if device.KindOf(err) != device.Unplugged {
		t.Errorf("nobody there: %v, want a fault of kind unplugged", err)
	}
}

// A machine that boots is not broken.
func TestOpenTooEarly(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer srv.Close()
	if _, err := Open(t.Context(), Options{BaseURL: srv.URL, HTTP: transport(), Log: quiet}); device.KindOf(err) != device.Warming {
		t.Errorf("%v, want a fault of kind warming-up", err)
	}
}

func TestHost(t *testing.T) {
	tests := []struct {
		quirks  quirks.Quirks
		compact bool
		url     string
		want    string
	}{
		{quirks.Quirks{}, false, "http://10.0.0.7/eSCL/", ""},
		{quirks.Quirks{HostPort: true}, false, "http://10.0.0.7/eSCL/", "10.0.0.7:80"},
		{quirks.Quirks{HostPort: true}, false, "https://[fe80::1]/eSCL/", "[fe80::1]:443"},
		{quirks.Quirks{HostPort: true}, false, "http://10.0.0.7:8080/eSCL/", ""},
		{quirks.Quirks{HostPort: true}, true, "http://10.0.0.7/eSCL/", "localhost"},
		{quirks.Quirks{Host: "printer"}, true, "http://10.0.0.7/eSCL/", "printer"},
	}
	for _, tt := range tests {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		s := &Scanner{quirks: tt.quirks}
		s.compact.Store(tt.compact)
		if got := s.host(u); got != tt.want {
			t.Errorf("%+v, %t, %s: Host %q, want %q", tt.quirks, tt.compact, tt.url, got, tt.want)
		}
	}
}

// HP's small web server knows itself as localhost only, and says who it is.
func TestCompactServer(t *testing.T) {
	var hosts []string
	o := odd{caps: capsXML, status: statusXML("Idle", "ScannerAdfEmpty")}
	inner, err := url.Parse(o.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		hosts = append(hosts, r.In.Host)
		r.Out.URL.Scheme, r.Out.URL.Host = inner.Scheme, inner.Host
	}, ModifyResponse: func(r *http.Response) error {
		r.Header.Set("Server", "HP HTTP Server; HP_Compact_Server")
		return nil
	}})
	defer srv.Close()
	s, err := Open(t.Context(), Options{BaseURL: srv.URL + inner.Path, HTTP: transport(), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(hosts) != 2 || hosts[1] != "localhost" {
		t.Errorf("hosts %q, want localhost from the second request on", hosts)
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct {
		want int
		have []int
		got  int
	}{{300, []int{200, 300, 600}, 300}, {0, []int{200, 300}, 300}, {250, []int{200, 300}, 300}, {1200, []int{100, 600}, 600}, {150, nil, 150}} {
		if got := nearestResolution(tt.want, tt.have); got != tt.got {
			t.Errorf("%d of %v: %d, want %d", tt.want, tt.have, got, tt.got)
		}
	}
	color, gray, line := device.Color, device.Gray, device.LineArt
	for _, tt := range []struct {
		want device.ColorMode
		have []device.ColorMode
		got  device.ColorMode
	}{{gray, []device.ColorMode{color, gray}, gray}, {line, []device.ColorMode{color}, color}, {line, []device.ColorMode{color, gray}, gray}, {"", []device.ColorMode{line, color}, color}, {color, []device.ColorMode{gray}, gray}} {
		if got := nearestMode(tt.want, tt.have); got != tt.got {
			t.Errorf("%s of %v: %s, want %s", tt.want, tt.have, got, tt.got)
		}
	}
}

func FuzzCapabilities(f *testing.F) {
	f.Add(capsXML)
	f.Add("<ScannerCapabilities><Platen/></ScannerCapabilities>")
	f.Fuzz(func(t *testing.T, s string) {
		var c capabilities
		if parse(strings.NewReader(s), &c) != nil {
			return
		}
		caps, _, err := c.caps(0)
		if err == nil && (len(caps.Sources) == 0 || caps.MaxWidth < 0 || caps.MaxLength < 0) {
			t.Errorf("%+v", caps)
		}
		c.makeAndModel()
	})
}

func FuzzStatus(f *testing.F) {
	f.Add(statusXML("Idle", "ScannerAdfJam"))
	f.Fuzz(func(t *testing.T, s string) {
		var st status
		if parse(strings.NewReader(s), &st) == nil && st.device(true).State == "" {
			t.Error("no state")
		}
	})
}
