package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docscan/cmd/docscand/box"
	"docscan/device/sim/sample"
)

// patience bounds a test of the whole path: what waits for a condition that
// does not come fails then.
const patience = 5 * time.Minute

// programs is where docscand is built, unless that is shared, and releases are what of it
// was built: version -> func() (string, error).
var (
	programs string
	releases sync.Map
)

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "docscand"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(programs); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// release gives the program of docscand as a version, which is built once.
func release(t *testing.T, version string) string {
	t.Helper()
	build, _ := releases.LoadOrStore(version, sync.OnceValues(func() (string, error) {
		return box.Program(context.Background(), programs, version) // for all tests, not for this one
	}))
	exe, err := build.(func() (string, error))()
	must(t, err)
	return exe
}

// newBox gives a box of the test's own that is not running yet. The test runs
// beside others from here on: it mostly waits for the box.
func newBox(t *testing.T) (*box.Box, context.Context) {
	t.Helper()
	t.Parallel()
	b := box.New(release(t, "1.0.0"), t.TempDir())
	b.Set["web.password_passes"] = "1" // boxes whose versions change measure how many they can
	if err := os.Mkdir(b.Stack, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(func() {
		stop()
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("docscand's log:\n%s", b.Log)
		}
	})
	return b, ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// drawPage draws an A5 page at 100 dpi with one large line of text.
func drawPage(t *testing.T, text string) []byte {
	t.Helper()
	parsed, err := opentype.Parse(goregular.TTF)
	must(t, err)
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: 24, DPI: 100})
	must(t, err)
	defer face.Close()
	img := image.NewRGBA(image.Rect(0, 0, 583, 827))
	draw.Draw(img, img.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	d := font.Drawer{Dst: img, Src: image.Black, Face: face, Dot: fixed.P(60, 150)}
	d.DrawString(text)
	var b bytes.Buffer
	must(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}))
	return b.Bytes()
}

// numbers spells page numbers in words that an OCR engine cannot confuse.
var numbers = strings.Fields(`one two three four five six seven eight nine ten eleven twelve
	thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty`)

func pageText(n int) string { return "Sheet number " + numbers[n-1] }

// load puts n numbered pages into the feeder's folder.
func load(t *testing.T, b *box.Box, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		must(t, os.WriteFile(filepath.Join(b.Stack, fmt.Sprintf("%03d.jpg", i)), drawPage(t, pageText(i)), 0o600))
	}
}

// pdfPages gives the text of each page of a document, by an independent reader.
func pdfPages(t *testing.T, ctx context.Context, b *box.Box, document string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out.pdf")
	must(t, b.PDF(ctx, document, file))
	if out, err := exec.Command("qpdf", "--check", file).CombinedOutput(); err != nil {
		t.Errorf("qpdf --check: %v\n%s", err, out)
	}
	out, err := exec.Command("pdftotext", "-layout", file, "-").Output()
	must(t, err)
	pages := strings.Split(string(out), "\f")
	return pages[:len(pages)-1]
}

// wantPages checks that a document's PDF has the pages of the first n sides, each
// with its own text.
func wantPages(t *testing.T, ctx context.Context, b *box.Box, document string, n int) {
	t.Helper()
	got := pdfPages(t, ctx, b, document)
	if len(got) != n {
		t.Errorf("the PDF has %d pages, want %d", len(got), n)
	}
	for i, text := range got {
		if text = strings.TrimSpace(text); text != pageText(i+1) {
			t.Errorf("page %d says %q, want %q", i+1, text, pageText(i+1))
		}
	}
}

// words folds text so that only letters and digits and their order count.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127)
	})
}

// found is the share of the words of want that are in got.
func found(want, got string) float64 {
	have := make(map[string]int)
	for _, w := range words(got) {
		have[w]++
	}
	list, n := words(want), 0
	for _, w := range list {
		if have[w] > 0 {
			have[w]--
			n++
		}
	}
	if len(list) == 0 {
		return 1
	}
	return float64(n) / float64(len(list))
}

// A press becomes a document: the sample stack, with its blank backs, which are
// set aside, and its upside-down page, through the shipped binary.
func TestWholePath(t *testing.T) {
	b, ctx := newBox(t)
	const dpi = 200
	must(t, sample.Write(b.Stack, dpi))
	b.Set["device.sim.duplex"] = "true"
	b.Set["ocr.languages"] = "eng,deu"
	must(t, b.Start(ctx))
	batch, err := b.Press(ctx, "")
	must(t, err)
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	if batch.State != "completed" || len(batch.Documents) != 1 {
		t.Fatalf("the batch ended as %s with %d documents, want completed with 1", batch.State, len(batch.Documents))
	}
	var want []string
	blank := 0
	for _, sheet := range sample.Stack(true) {
		for _, side := range sheet.Sides {
			if side.Text == "" {
				blank++
			} else {
				want = append(want, side.Text)
			}
		}
	}
	if sides := len(want) + blank; batch.Pages != sides {
		t.Errorf("the batch has %d pages, want all %d", batch.Pages, sides)
	}
	got := pdfPages(t, ctx, b, batch.Documents[0])
	if len(got) != len(want) {
		t.Fatalf("the PDF has %d pages, want %d", len(got), len(want))
	}
	for i := range want {
		if f := found(want[i], got[i]); f < 0.9 {
			t.Errorf("page %d: %.0f %% of its words are in the PDF\nwant:\n%s\ngot:\n%s", i+1, 100*f, want[i], got[i])
		}
	}
	var list struct {
		Documents []struct {
			ID string `json:"id"`
		} `json:"documents"`
	}
	must(t, b.Get(ctx, "/api/v1/documents?q=invoice", &list))
	if len(list.Documents) != 1 || list.Documents[0].ID != batch.Documents[0] {
		t.Errorf("searching for invoice gives %+v, want the document", list.Documents)
	}
}

// kills is for longer runs by hand: go test ./cmd/docscand -run TestKill -kills 50
var kills = flag.Int("kills", 12, "random moments at which TestKill kills the daemon")

// Whatever moment the daemon is killed at: every page that was said to be safe
// is in the document, once, and the document comes without anybody's doing.
func TestKill(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 5)
	b.Set["device.sim.sheets_per_minute"] = "150"
	random := rand.New(rand.NewPCG(1, 2))
	must(t, b.Start(ctx))
	for round := range *kills {
		batch, err := b.Press(ctx, "")
		must(t, err)
		moment := time.Duration(random.IntN(3000)) * time.Millisecond
		said := pagesSafe(ctx, b, batch.ID, moment)
		must(t, b.Kill())
		must(t, b.Start(ctx))
		batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
		must(t, err)
		if batch.Pages < said {
			t.Fatalf("round %d, killed after %v: %d pages were safe, %d are left", round, moment, said, batch.Pages)
		}
		if batch.State != "completed" {
			if said > 0 {
				t.Fatalf("round %d: the batch ended as %s with %d safe pages", round, batch.State, said)
			}
			continue
		}
		t.Logf("round %d: %d pages", round, batch.Pages)
		wantPages(t, ctx, b, batch.Documents[0], batch.Pages)
	}
}

// pagesSafe watches a batch for a time and gives the last number of safe pages
// the daemon has told.
func pagesSafe(ctx context.Context, b *box.Box, id string, moment time.Duration) int {
	ctx, stop := context.WithTimeout(ctx, moment)
	defer stop()
	said := 0
	for ctx.Err() == nil {
		if batch, err := b.Batch(ctx, id); err == nil {
			said = batch.Pages
		}
		time.Sleep(5 * time.Millisecond) // reading gives way to these
	}
	return said
}

// A daemon that is asked to stop in mid-batch keeps what is safe and says so.
func TestStopInMidBatch(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 20)
	b.Set["device.sim.sheets_per_minute"] = "120"
	must(t, b.Start(ctx))
	batch, err := b.Press(ctx, "")
	must(t, err)
	_, err = b.WaitFor(ctx, batch.ID, func(b box.Batch) bool { return b.Pages >= 2 })
	must(t, err)
	must(t, b.Stop())
	must(t, b.Start(ctx))
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	if batch.State != "completed" || batch.Fault == nil || batch.Fault.Kind != "interrupted" {
		t.Errorf("the batch ended as %s with fault %+v, want completed and interrupted", batch.State, batch.Fault)
	}
	if n := len(pdfPages(t, ctx, b, batch.Documents[0])); n != batch.Pages || n >= 20 {
		t.Errorf("the PDF has %d pages, the batch %d", n, batch.Pages)
	}
}

// A batch can be cancelled between sheets; what is safe becomes a document.
func TestCancelKeepsPages(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 20)
	b.Set["device.sim.sheets_per_minute"] = "120"
	must(t, b.Start(ctx))
	batch, err := b.Press(ctx, "")
	must(t, err)
	_, err = b.WaitFor(ctx, batch.ID, func(b box.Batch) bool { return b.Pages >= 2 })
	must(t, err)
	must(t, b.Post(ctx, "/api/v1/batches/"+batch.ID+"/cancel", nil, nil))
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	if batch.State != "completed" || batch.Pages < 2 || batch.Pages >= 20 {
		t.Errorf("the batch ended as %s with %d pages, want completed with 2 to 19", batch.State, batch.Pages)
	}
}

// The second daemon on a store, and one whose port is taken, say so and end.
func TestSecondDaemon(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 1)
	must(t, b.Start(ctx))
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"same store", b.Args("run"), b.Dir},
		{"same port", append(b.Args("run"), "--data", t.TempDir(), "--listen", strings.TrimPrefix(b.URL, "http://")), "port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := exec.CommandContext(ctx, release(t, "1.0.0"), tt.args...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want status 1", err)
			}
			if !bytes.Contains(out, []byte(tt.want)) {
				t.Errorf("it says %q, want a word of %q", out, tt.want)
			}
		})
	}
	if err := b.Get(ctx, "/api/health", nil); err != nil {
		t.Errorf("the first daemon is no longer healthy: %v", err)
	}
}

// A page that no worker can open stays in its place, and the others are read.
func TestBadPages(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 3)
	huge := hugePNG()
	must(t, os.WriteFile(filepath.Join(b.Stack, "001b.png"), huge, 0o600))
	broken := drawPage(t, "broken")
	must(t, os.WriteFile(filepath.Join(b.Stack, "002b.jpg"), broken[:200], 0o600))
	must(t, b.Start(ctx))
	batch, err := b.Press(ctx, "")
	must(t, err)
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	if batch.State != "completed" {
		t.Fatalf("the batch ended as %s", batch.State)
	}
	got := pdfPages(t, ctx, b, batch.Documents[0])
	if len(got) != 5 {
		t.Fatalf("the PDF has %d pages, want 5", len(got))
	}
	for i, n := range []int{1, 0, 2, 0, 3} {
		if n > 0 && strings.TrimSpace(got[i]) != pageText(n) {
			t.Errorf("page %d says %q, want %q", i+1, strings.TrimSpace(got[i]), pageText(n))
		}
	}
	var doc struct {
		Notes []string `json:"notes"`
	}
	must(t, b.Get(ctx, "/api/v1/documents/"+batch.Documents[0], &doc))
	if len(doc.Notes) != 2 {
		t.Errorf("the document's notes are %q, want one for each bad page", doc.Notes)
	}
	for _, page := range []int{2, 4} {
		var raw []byte
		must(t, b.Get(ctx, fmt.Sprintf("/api/v1/batches/%s/pages/%d/raw", batch.ID, page), &raw))
		if want := map[int][]byte{2: huge, 4: broken[:200]}[page]; !bytes.Equal(raw, want) {
			t.Errorf("the file of page %d is not as the scanner sent it", page)
		}
	}
}

// hugePNG is a PNG of a few bytes whose header claims 100,000 x 100,000 pixels.
func hugePNG() []byte {
	return []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x01\x86\xa0\x00\x01\x86\xa0\x08\x02\x00\x00\x00" +
		"\x7c\x0a\x3b\x5c" + "\x00\x00\x00\x00IEND\xae\x42\x60\x82")
}

// What the log and the API say must be the same facts, and no secret may be in
// the log.
func TestNoSecretsInTheLog(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 1)
	must(t, b.Start(ctx))
	batch, err := b.Press(ctx, "")
	must(t, err)
	_, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	var token struct {
		Token string `json:"token"`
	}
	must(t, b.Post(ctx, "/api/v1/tokens", map[string]string{"name": "monitor"}, &token))
	if token.Token == "" {
		t.Fatal("no token was given")
	}
	log := b.Log.String()
	for name, secret := range map[string]string{"session": b.Token, "token": token.Token, "password": "seven green tractors"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	if len(b.Log.Lines(batch.ID)) == 0 {
		t.Errorf("the log does not know batch %s", batch.ID)
	}
}

// fault makes the simulated scanner go wrong, as its panel would.
func fault(t *testing.T, b *box.Box, path, body string) {
	t.Helper()
	lines := b.Log.Lines("simulated scanner panel")
	if len(lines) == 0 {
		t.Fatal("the simulator does not say where its panel is")
	}
	_, url, _ := strings.Cut(lines[len(lines)-1], "url=")
	resp, err := http.Post(strings.TrimSpace(url)+path, "application/json", strings.NewReader(body))
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the simulator answers %s to %s", resp.Status, body)
	}
}

// A fault stops the batch with its reason; once it is cleared, the next press
// goes on in the same document, and no page is lost or doubled.
func TestFaultsStopAndGoOn(t *testing.T) {
	tests := []struct {
		name, fault string
		pages       int // safe when it strikes
		kind        string
	}{
		{"jam after sheet 3", `{"kind":"jam","after_sheets":3}`, 3, "jam"},
		{"jam in mid-page", `{"kind":"jam","after_sheets":3,"where":"mid-page"}`, 3, "jam"},
		{"double feed", `{"kind":"double-feed","after_sheets":1}`, 1, "double-feed"},
		{"cover opened", `{"kind":"cover-open","after_sheets":2}`, 2, "cover-open"},
		{"unplugged in mid-page", `{"kind":"unplugged","after_sheets":2,"where":"mid-page"}`, 2, "unplugged"},
		{"not an image", `{"kind":"not-image","after_sheets":2}`, 2, "bad-answer"},
		{"not XML", `{"kind":"not-xml","after_sheets":2}`, 2, "bad-answer"},
	}
	b, ctx := newBox(t)
	load(t, b, 5)
	b.Set["device.sim.duplex"] = "false"
	b.Set["device.sim.sheets_per_minute"] = "0"
	must(t, b.Start(ctx))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fault(t, b, "fault", tt.fault)
			batch, err := b.Press(ctx, "")
			must(t, err)
			batch, err = b.WaitFor(ctx, batch.ID, func(b box.Batch) bool { return b.State != "scanning" })
			must(t, err)
			if batch.State != "stopped" || batch.Pages != tt.pages || batch.Fault == nil || batch.Fault.Kind != tt.kind {
				t.Fatalf("%s with %d pages and fault %+v, want stopped with %d and %s", batch.State, batch.Pages, batch.Fault, tt.pages, tt.kind)
			}
			if batch.Fault.What == "" || !strings.Contains(batch.Fault.Safe, fmt.Sprint(tt.pages)) || batch.Fault.Advice == "" {
				t.Errorf("the person is told %+v", batch.Fault)
			}
			if len(b.Log.Lines("fault="+tt.kind)) == 0 {
				t.Errorf("the log does not tell of %s", tt.kind)
			}
			fault(t, b, "clear", "{}")
			var again box.Batch
			must(t, box.Until(ctx, func() (bool, error) {
				var p *box.Problem
				again, err = b.Press(ctx, "")
				if errors.As(err, &p) && p.Status == http.StatusConflict {
					return false, nil // the scanner is not found again yet
				}
				if err != nil {
					return false, err
				}
				again, err = b.WaitFor(ctx, batch.ID, func(b box.Batch) bool { return b.State != "scanning" })
				return again.State != "stopped", err
			}))
			if again.ID != batch.ID {
				t.Errorf("the press opened batch %s, want to go on in %s", again.ID, batch.ID)
			}
			batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
			must(t, err)
			if batch.State != "completed" {
				t.Fatalf("the batch ended as %s", batch.State)
			}
			wantPages(t, ctx, b, batch.Documents[0], 5)
		})
	}
}

// A page can be found before the last sheet is fed, and afterwards once only, in
// its document.
func TestFoundWhileScanning(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 3)
	b.Set["device.sim.duplex"] = "false"
	b.Set["device.sim.sheets_per_minute"] = "0"
	must(t, b.Start(ctx))
	type result struct {
		Total     int
		Documents []struct {
			ID, Batch string
			Making    bool
			Hits      []struct{ Page int }
		}
	}
	search := func(words string) (r result) {
		t.Helper()
		must(t, b.Get(ctx, "/api/v1/documents?q="+words, &r))
		return r
	}
	fault(t, b, "fault", `{"kind":"jam","after_sheets":2}`)
	batch, err := b.Press(ctx, "")
	must(t, err)
	var r result
	must(t, box.Until(ctx, func() (bool, error) { r = search("number+two"); return r.Total > 0, nil }))
	if d := r.Documents[0]; r.Total != 1 || !d.Making || d.Batch != batch.ID || len(d.Hits) != 1 || d.Hits[0].Page != 2 {
		t.Errorf("while it is scanned the search finds %+v", r)
	}
	// Its documents are not filed yet.
	if batch, err = b.WaitFor(ctx, batch.ID, func(b box.Batch) bool { return b.State != "scanning" }); err != nil || batch.State != "stopped" {
		t.Fatalf("the batch is %s, %v", batch.State, err)
	}
	fault(t, b, "clear", "{}")
	_, err = b.Press(ctx, "")
	must(t, err)
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	for i, page := range []string{"one", "two", "three"} {
		r := search("number+" + page)
		if len(r.Documents) != 1 || r.Total != 1 || r.Documents[0].Making || r.Documents[0].ID != batch.Documents[0] || r.Documents[0].Hits[0].Page != i+1 {
			t.Errorf("afterwards the search for %s finds %+v", page, r)
		}
	}
}

// Who wants to start anew gets another document, and the stopped one with the
// pages that were safe.
func TestStartAnew(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 5)
	b.Set["device.sim.duplex"] = "false"
	b.Set["device.sim.sheets_per_minute"] = "0"
	must(t, b.Start(ctx))
	fault(t, b, "fault", `{"kind":"jam","after_sheets":2}`)
	first, err := b.Press(ctx, "")
	must(t, err)
	_, err = b.WaitFor(ctx, first.ID, func(b box.Batch) bool { return b.State == "stopped" })
	must(t, err)
	fault(t, b, "clear", "{}")
	var second box.Batch
	must(t, b.Post(ctx, "/api/v1/scans", map[string]any{"anew": true}, &second))
	for id, pages := range map[string]int{first.ID: 2, second.ID: 3} {
		batch, err := b.WaitFor(ctx, id, box.Batch.Final)
		must(t, err)
		if batch.State != "completed" || batch.Pages != pages {
			t.Errorf("a batch ended as %s with %d pages, want completed with %d", batch.State, batch.Pages, pages)
		}
	}
}

// Paper begins a scan by itself where that was chosen: paper that is put in, not
// what lies there already.
func TestPaperStarts(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 2)
	b.Set["device.sim.duplex"] = "false"
	b.Set["device.sim.sheets_per_minute"] = "0"
	must(t, b.Start(ctx))
	batches := func() []box.Batch {
		var list struct{ Batches []box.Batch }
		must(t, b.Get(ctx, "/api/v1/batches", &list))
		return list.Batches
	}
	// state waits until the scanner is in one of the states.
	state := func(want ...string) (id string) {
		must(t, box.Until(ctx, func() (bool, error) {
			var list struct {
				Devices []struct {
					Info   struct{ ID string }
					Status struct{ State string }
				}
			}
			err := b.Get(ctx, "/api/v1/devices", &list)
			if err != nil || len(list.Devices) != 1 {
				return false, err
			}
			id = list.Devices[0].Info.ID
			return slices.Contains(want, list.Devices[0].Status.State), nil
		}))
		return id
	}
	id := state("ready")
	var got struct{ Choices struct{ Name string } }
	must(t, b.Put(ctx, "/api/v1/devices/"+id, map[string]any{"name": "Front desk", "auto_start": true, "auto_start_profile": "single-sided"}, &got))
	if got.Choices.Name != "Front desk" {
		t.Errorf("the choice is %+v", got)
	}
	fault(t, b, "empty", "{}")
	state("empty")
	if n := len(batches()); n != 0 {
		t.Fatalf("%d batches before any paper was put in", n)
	}
	for n := 1; n <= 2; n++ {
		fault(t, b, "refill", "{}")
		must(t, box.Until(ctx, func() (bool, error) { return len(batches()) == n, nil }))
		batch, err := b.WaitFor(ctx, batches()[0].ID, box.Batch.Final)
		must(t, err)
		if batch.State != "completed" || batch.Pages != 2 {
			t.Errorf("the batch ended as %s with %d pages", batch.State, batch.Pages)
		}
		state("empty")
	}
	must(t, b.Put(ctx, "/api/v1/devices/"+id, map[string]any{"name": "Front desk"}, nil))
	fault(t, b, "refill", "{}")
	state("ready")
	if n := len(batches()); n != 2 {
		t.Errorf("%d batches, want no further one when it is switched off", n)
	}
}

// A front whose back a jam kept away is scanned again with it, and stands in
// the document once.
func TestJamBetweenSides(t *testing.T) {
	b, ctx := newBox(t)
	load(t, b, 6)
	b.Set["device.sim.duplex"] = "true"
	b.Set["device.sim.sheets_per_minute"] = "0"
	must(t, b.Start(ctx))
	fault(t, b, "fault", `{"kind":"jam","after_sheets":1,"where":"between"}`)
	batch, err := b.Press(ctx, "")
	must(t, err)
	batch, err = b.WaitFor(ctx, batch.ID, func(b box.Batch) bool { return b.State == "stopped" })
	must(t, err)
	if batch.Fault.Safe != "Pages 1-2 are safe." {
		t.Errorf("the person is told %q", batch.Fault.Safe)
	}
	fault(t, b, "clear", "{}")
	_, err = b.Press(ctx, "")
	must(t, err)
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	wantPages(t, ctx, b, batch.Documents[0], 6)
}

// A press that comes to nothing says why.
func TestNothingScanned(t *testing.T) {
	b, ctx := newBox(t)
	must(t, b.Start(ctx))
	batch, err := b.Press(ctx, "single-sided")
	must(t, err)
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	if batch.State != "failed" || batch.Fault == nil || batch.Fault.Kind != "feeder-empty" {
		t.Errorf("an empty feeder: %s with %+v, want failed with feeder-empty", batch.State, batch.Fault)
	}
}

// When the disk is full, scanning stops before a sheet is lost, and goes on
// when there is room again.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test mounts a small disk of its own and must run as root, as make test does")
	}
	b, ctx := newBox(t)
	load(t, b, 4)
	must(t, os.Mkdir(b.Dir, 0o700))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64m", "docscan-test", b.Dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		must(t, b.Stop())
		if out, err := exec.Command("umount", b.Dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	b.Set["scan.min_free_mb"] = "16"
	b.Set["device.sim.duplex"] = "false"
	must(t, b.Start(ctx))
	filler := filepath.Join(b.Dir, "filler")
	must(t, os.WriteFile(filler, make([]byte, 50<<20), 0o600))
	batch, err := b.Press(ctx, "")
	must(t, err)
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	if batch.State != "failed" || batch.Fault == nil || batch.Fault.Kind != "disk-full" {
		t.Errorf("%s with %+v, want failed with disk-full", batch.State, batch.Fault)
	}
	must(t, os.Remove(filler))
	batch, err = b.Press(ctx, "")
	must(t, err)
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	if batch.State != "completed" || batch.Pages != 4 {
		t.Errorf("with room again: %s with %d pages, want completed with 4", batch.State, batch.Pages)
	}
}
