package main

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	mathrand "math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/cmd/docscand/box"
)

// A sent file is one of a request.
type sent struct {
	name string
	data []byte
}

// An answered upload is what docscan says of one.
type answeredUpload struct {
	Name    string
	Batch   *struct{ ID string }
	Problem *box.Problem
}

// upload sends files as a browser does.
func upload(ctx context.Context, t *testing.T, b *box.Box, files ...sent) (int, []answeredUpload) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, f := range files {
		w, err := form.CreateFormFile("files", f.name)
		must(t, err)
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	must(t, form.Close())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+"/api/v1/uploads", &body)
	must(t, err)
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Authorization", "Bearer "+b.Token)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(t, err)
	var out struct{ Uploads []answeredUpload }
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("%s: %v\n%s", resp.Status, err, data)
	}
	if out.Uploads == nil {
		p := &box.Problem{}
		must(t, json.Unmarshal(data, p))
		out.Uploads = []answeredUpload{{Problem: p}}
	}
	return resp.StatusCode, out.Uploads
}

// printed makes a PDF as programs print it, a line of text on each page.
func printed(t *testing.T, lines ...string) []byte {
	t.Helper()
	ps := "%!PS\n/Helvetica findfont 20 scalefont setfont\n"
	for _, l := range lines {
		ps += "72 700 moveto (" + l + ") show showpage\n"
	}
	file := filepath.Join(t.TempDir(), "printed.ps")
	must(t, os.WriteFile(file, []byte(ps), 0o600))
	out, err := exec.Command("gs", "-q", "-sDEVICE=pdfwrite", "-sPAPERSIZE=a4", "-o", "-", file).Output()
	must(t, err)
	return out
}

// Files become documents as paper does: a bad one is refused by name, the others
// go on; what came is kept byte for byte.
func TestUploads(t *testing.T) {
	b, ctx := newBox(t)
	must(t, b.Start(ctx))
	dir := t.TempDir()
	var tiffs []string
	for n := 1; n <= 3; n++ {
		jpg, tif := filepath.Join(dir, fmt.Sprintf("%d.jpg", n)), filepath.Join(dir, fmt.Sprintf("%d.tif", n))
		must(t, os.WriteFile(jpg, drawPage(t, pageText(n)), 0o600))
		must(t, exec.Command("gs", "-q", "-sDEVICE=tiff24nc", "-r100", "-o", tif, "-g583x827", "-c",
			"("+jpg+") (r) file /DCTDecode filter /f exch def 420 595 scale 583 827 8 [583 0 0 -827 0 827] f false 3 colorimage showpage").Run())
		tiffs = append(tiffs, tif)
	}
	multi := filepath.Join(dir, "multi.tif")
	must(t, exec.Command("tiffcp", append(tiffs, multi)...).Run())
	stack, err := os.ReadFile(multi)
	must(t, err)
	pdf := printed(t, "Dear Mrs Smith, thank you for all", "the kind words of the last month")
	status, list := upload(ctx, t, b,
		sent{"letter.pdf", pdf},
		sent{"../../etc/passwd\u202e.exe", []byte("MZ\x90\x00\x03")},
		sent{"stack.tiff", stack},
		sent{"photo.pdf", drawPage(t, pageText(7))}, // its name lies
		sent{"empty.png", nil},
	)
	if status != http.StatusCreated || len(list) != 5 {
		t.Fatalf("%d, %+v", status, list)
	}
	for i, want := range map[int]string{1: "This is a program", 4: "is empty"} {
		if p := list[i].Problem; p == nil || !strings.Contains(p.Detail, want) {
			t.Errorf("file %d: %+v, want a refusal that says %q", i, p, want)
		}
	}
	if got := list[1].Name; got != "passwd.exe" {
		t.Errorf("the refused file is called %q", got)
	}
	for i, want := range map[int][]string{
		0: {"Dear Mrs Smith, thank you for all", "the kind words of the last month"},
		2: {pageText(1), pageText(2), pageText(3)},
		3: {pageText(7)},
	} {
		if list[i].Batch == nil {
			t.Errorf("%s was refused: %v", list[i].Name, list[i].Problem)
			continue
		}
		batch, err := b.WaitFor(ctx, list[i].Batch.ID, box.Batch.Final)
		must(t, err)
		if batch.State != "completed" || batch.Pages != len(want) {
			t.Errorf("%s: %s with %d pages, want %d", list[i].Name, batch.State, batch.Pages, len(want))
			continue
		}
		for n, text := range pdfPages(t, ctx, b, batch.Documents[0]) {
			if got := strings.Join(words(text), " "); got != strings.Join(words(want[n]), " ") {
				t.Errorf("%s, page %d: %q, want %q", list[i].Name, n+1, got, want[n])
			}
		}
	}
	var original []byte
	must(t, b.Get(ctx, "/api/v1/batches/"+list[0].Batch.ID+"/original", &original))
	if !bytes.Equal(original, pdf) {
		t.Errorf("the original has %d bytes, want those %d that were sent", len(original), len(pdf))
	}
	status, list = upload(ctx, t, b, sent{"a.pdf", []byte("%PDF-1.7 nothing")})
	if status != http.StatusUnprocessableEntity || list[0].Problem == nil {
		t.Errorf("a broken file alone: %d, %+v", status, list)
	}
}

// A stamp that a fax server has put over a scan is not all that stands on the page: what is below
// it is read, and the words of the stamp stay as they are.
func TestStampedScan(t *testing.T) {
	const stamp = "Received by fax on 12.03.2026 at 10:14 from +49 30 901820, page 1 of 3"
	b, ctx := newBox(t)
	must(t, b.Start(ctx))
	dir := t.TempDir()
	jpg, pdf := filepath.Join(dir, "a.jpg"), filepath.Join(dir, "a.pdf")
	must(t, os.WriteFile(jpg, drawPage(t, pageText(3)), 0o600))
	must(t, exec.Command("gs", "-q", "-sDEVICE=pdfwrite", "-g4200x5950", "-r720", "--permit-file-read="+jpg, "-o", pdf, "-c",
		"("+jpg+") (r) file /DCTDecode filter /f exch def gsave 420 595 scale 583 827 8 [583 0 0 -827 0 827] f false 3 colorimage grestore "+
			"/Helvetica findfont 8 scalefont setfont 20 580 moveto ("+stamp+") show showpage").Run())
	data, err := os.ReadFile(pdf)
	must(t, err)
	status, list := upload(ctx, t, b, sent{"fax.pdf", data})
	if status != http.StatusCreated || list[0].Batch == nil {
		t.Fatalf("%d, %+v", status, list)
	}
	batch, err := b.WaitFor(ctx, list[0].Batch.ID, box.Batch.Final)
	must(t, err)
	got := strings.Join(words(strings.Join(pdfPages(t, ctx, b, batch.Documents[0]), " ")), " ")
	for _, want := range []string{stamp, pageText(3)} {
		if !strings.Contains(got, strings.Join(words(want), " ")) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}

// blankPNG makes a PNG of one bit a pixel, all black, of so many rows, which is far
// smaller than what comes out of it. It says that it has height rows.
func blankPNG(t *testing.T, width, height, rows int) []byte {
	t.Helper()
	out := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(name string, body []byte) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
		from := len(out)
		out = append(append(out, name...), body...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[from:]))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(width)), uint32(height))
	chunk("IHDR", append(head, 1, 0, 0, 0, 0))
	var pixels bytes.Buffer
	z := zlib.NewWriter(&pixels)
	row := make([]byte, 1+(width+7)/8)
	for range rows {
		_, err := z.Write(row)
		must(t, err)
	}
	must(t, z.Close())
	chunk("IDAT", pixels.Bytes())
	chunk("IEND", nil)
	return out
}

// noisePNG makes a page of noise, on which the engine finds no end of letters.
func noisePNG(t *testing.T, width, height int) []byte {
	t.Helper()
	r := mathrand.New(mathrand.NewPCG(1, 2))
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = uint8(r.IntN(2) * 255)
	}
	var b bytes.Buffer
	must(t, png.Encode(&b, img))
	return b.Bytes()
}

// roundTIFF makes a TIFF whose second page is its first again, for ever.
func roundTIFF() []byte {
	out := []byte("II*\x00\x08\x00\x00\x00")
	fields := [][3]uint32{{256, 4, 8}, {257, 4, 8}, {258, 3, 1}, {259, 3, 1}, {262, 3, 1}, {273, 4, 200}, {277, 3, 1}, {278, 4, 8}, {279, 4, 8}}
	out = binary.LittleEndian.AppendUint16(out, uint16(len(fields)))
	for _, f := range fields {
		out = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(out, uint16(f[0])), uint16(f[1]))
		out = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(out, 1), f[2])
	}
	out = binary.LittleEndian.AppendUint32(out, 8) // the next page
	return append(out, make([]byte, 300)...)
}

// Whatever is uploaded gets an answer that says what it is, or comes to an end as a
// document or with a reason; docscan lives on, and files the next page.
func TestBadUploads(t *testing.T) {
	b, ctx := newBox(t)
	b.Set["ocr.page_timeout_seconds"] = "5"
	must(t, b.Start(ctx))
	pid := b.PID()
	letter := printed(t, "Dear Mrs Smith")
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "plain.pdf"), letter, 0o600))
	must(t, exec.Command("qpdf", "--encrypt", "secret", "owner", "256", "--", filepath.Join(dir, "plain.pdf"), filepath.Join(dir, "locked.pdf")).Run())
	locked, err := os.ReadFile(filepath.Join(dir, "locked.pdf"))
	must(t, err)
	var archive, moving, photo bytes.Buffer
	z := zip.NewWriter(&archive)
	w, err := z.Create("a.pdf")
	must(t, err)
	_, err = w.Write(bytes.Repeat([]byte{0}, 10<<20))
	must(t, errors.Join(err, z.Close()))
	frame := image.NewPaletted(image.Rect(0, 0, 200, 200), color.Palette{color.White, color.Black})
	must(t, gif.EncodeAll(&moving, &gif.GIF{Image: []*image.Paletted{frame, frame}, Delay: []int{1, 1}}))
	must(t, jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 3000, 3)), nil))
	page := drawPage(t, pageText(3))
	const pages = -1 // any number, also none
	tests := []struct {
		sent
		says  string // a refusal; empty: it is taken
		pages int
		notes string // what its document says of it
	}{
		{sent{"archive.zip", archive.Bytes()}, "ZIP", 0, ""},
		{sent{"scan.png", append([]byte("PK\x03\x04"), make([]byte, 200)...)}, "ZIP", 0, ""},
		{sent{"moving.gif", moving.Bytes()}, "GIF", 0, ""},
		{sent{"locked.pdf", locked}, "password", 0, ""},
		{sent{"nothing.pdf", []byte("%PDF-1.7\n%%EOF\n")}, "damaged", 0, ""},
		{sent{"letters.tif", []byte("II*\x00and that is all")}, "TIFF", 0, ""},
		{sent{"bomb.png", blankPNG(t, 30_000, 30_000, 100)}, "", 1, "30000 x 30000 pixels"},
		{sent{"lie.png", blankPNG(t, 60_000, 60_000, 1)}, "1000 million pixels", 0, ""},
		{sent{"large.png", blankPNG(t, 8_000, 7_000, 7_000)}, "", 1, ""},
		{sent{"dot.png", blankPNG(t, 1, 1, 1)}, "", 1, ""},
		{sent{"strip.jpg", photo.Bytes()}, "", 1, ""},
		{sent{"noise.png", noisePNG(t, 1240, 1754)}, "", 1, "too long"},
		{sent{"cut.jpg", page[:len(page)*2/3]}, "", 1, ""},
		{sent{"round.tif", roundTIFF()}, "", pages, ""},
		{sent{"kilometres.pdf", bytes.Replace(letter, []byte("[0 0 595 842]"), []byte("[0 0 9e9 9e9]"), 1)}, "", pages, ""},
		{sent{"broken.pdf", letter[:len(letter)*3/4]}, "", pages, ""},
		{sent{"photo.pdf", page}, "", 1, ""}, // its name lies
	}
	var files []sent
	for _, tt := range tests {
		files = append(files, tt.sent)
	}
	status, list := upload(ctx, t, b, files...)
	if status != http.StatusCreated || len(list) != len(tests) {
		t.Fatalf("%d, %d answers", status, len(list))
	}
	for i, tt := range tests {
		got := list[i]
		if got.Batch == nil {
			if got.Problem == nil || got.Problem.Status >= 500 || got.Problem.Detail == "" {
				t.Errorf("%s: %+v, want a refusal with a reason", tt.name, got.Problem)
			} else if tt.says == "" && tt.pages != pages || !strings.Contains(got.Problem.Detail, tt.says) {
				t.Errorf("%s was refused: %s", tt.name, got.Problem.Detail)
			}
			continue
		}
		batch, err := b.WaitFor(ctx, got.Batch.ID, box.Batch.Final)
		must(t, err)
		switch {
		case tt.says != "" && batch.State != "failed":
			t.Errorf("%s ended as %s", tt.name, batch.State)
		case batch.State == "failed" && (batch.Fault == nil || batch.Fault.What == "" || batch.Fault.Advice == ""):
			t.Errorf("%s failed without a reason: %+v", tt.name, batch.Fault)
		case tt.says == "" && tt.pages != pages && batch.Pages != tt.pages:
			t.Errorf("%s has %d pages, want %d", tt.name, batch.Pages, tt.pages)
		case tt.notes != "":
			var doc struct{ Notes []string }
			must(t, b.Get(ctx, "/api/v1/documents/"+batch.Documents[0], &doc))
			if !strings.Contains(strings.Join(doc.Notes, "\n"), tt.notes) {
				t.Errorf("%s: its document notes %q, want %q", tt.name, doc.Notes, tt.notes)
			}
		}
	}
	_, list = upload(ctx, t, b, sent{"good.jpg", drawPage(t, pageText(5))})
	batch, err := b.WaitFor(ctx, list[0].Batch.ID, box.Batch.Final)
	must(t, err)
	if text := pdfPages(t, ctx, b, batch.Documents[0]); !slices.Equal(words(text[0]), words(pageText(5))) {
		t.Errorf("the page after all that reads %q", text)
	}
	if b.PID() != pid || strings.Contains(b.Log.String(), "panic") {
		t.Error("docscand did not live through it")
	}
}

// Once docscan has said that it has a file, no crash costs a page of it.
func TestKillWhileUploaded(t *testing.T) {
	b, ctx := newBox(t)
	must(t, b.Start(ctx))
	var lines []string
	for n := 1; n <= 12; n++ {
		lines = append(lines, "This is the text on "+pageText(n))
	}
	pdf := printed(t, lines...)
	for round, pages := range []int{0, 2, 5} {
		status, list := upload(ctx, t, b, sent{"letter.pdf", pdf})
		if status != http.StatusCreated {
			t.Fatalf("%d, %+v", status, list)
		}
		id := list[0].Batch.ID
		_, err := b.WaitFor(ctx, id, func(b box.Batch) bool { return b.Pages >= pages })
		must(t, err)
		must(t, b.Kill())
		must(t, b.Start(ctx))
		batch, err := b.WaitFor(ctx, id, box.Batch.Final)
		must(t, err)
		got := pdfPages(t, ctx, b, batch.Documents[0])
		if batch.State != "completed" || len(got) != len(lines) {
			t.Fatalf("round %d: %s, %d pages in the PDF", round, batch.State, len(got))
		}
		for n, text := range got {
			if strings.TrimSpace(text) != lines[n] {
				t.Errorf("round %d, page %d: %q, want %q", round, n+1, strings.TrimSpace(text), lines[n])
			}
		}
	}
}

// A long file holds up no short one, and when somebody cancels it, it keeps the pages that
// are there.
func TestCancelUpload(t *testing.T) {
	b, ctx := newBox(t)
	must(t, b.Start(ctx))
	lines := make([]string, 200)
	for n := range lines {
		lines[n] = "A line of text on each of many pages"
	}
	_, list := upload(ctx, t, b, sent{"many.pdf", printed(t, lines...)}, sent{"note.pdf", printed(t, "A note")})
	id := list[0].Batch.ID
	short, err := b.WaitFor(ctx, list[1].Batch.ID, box.Batch.Final)
	must(t, err)
	if short.State != "completed" || short.Pages != 1 {
		t.Errorf("the short one is %s with %d pages", short.State, short.Pages)
	}
	_, err = b.WaitFor(ctx, id, func(b box.Batch) bool { return b.Pages > 0 })
	must(t, err)
	must(t, b.Post(ctx, "/api/v1/batches/"+id+"/cancel", nil, nil))
	batch, err := b.WaitFor(ctx, id, box.Batch.Final)
	must(t, err)
	if batch.State != "completed" || batch.Pages == 0 || batch.Pages >= len(lines) {
		t.Errorf("%s with %d pages", batch.State, batch.Pages)
	}
	if n := len(pdfPages(t, ctx, b, batch.Documents[0])); n != batch.Pages {
		t.Errorf("%d pages in the PDF, %d in the batch", n, batch.Pages)
	}
}

// A body that breaks off, or that never ends, leaves nothing behind.
func TestUploadBreaksOff(t *testing.T) {
	b, ctx := newBox(t)
	b.Set["web.max_upload_mb"] = "1"
	must(t, b.Start(ctx))
	send := func(body io.Reader, length int64) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+"/api/v1/uploads?name=a.pdf", body)
		must(t, err)
		req.ContentLength = length
		req.Header.Set("Authorization", "Bearer "+b.Token)
		req.Header.Set("Content-Type", "application/pdf")
		return http.DefaultClient.Do(req)
	}
	r, w := io.Pipe()
	go func() {
		fmt.Fprint(w, "%PDF-1.7\n")
		w.CloseWithError(io.ErrUnexpectedEOF)
	}()
	if resp, err := send(r, 1000); err == nil {
		resp.Body.Close()
		t.Errorf("a request that broke off: %s", resp.Status)
	}
	resp, err := send(io.LimitReader(zeros{}, 3<<20), -1) // without Content-Length
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %s", resp.Status)
	}
	var out struct{ Batches []box.Batch }
	err = box.Until(ctx, func() (bool, error) {
		err := b.Get(ctx, "/api/v1/batches", &out)
		return err == nil, err
	})
	must(t, err)
	if len(out.Batches) != 0 {
		t.Errorf("%d batches", len(out.Batches))
	}
	left, err := filepath.Glob(filepath.Join(b.Dir, "spool", "*"))
	must(t, err)
	for deadline := time.Now().Add(10 * time.Second); len(left) > 0 && time.Now().Before(deadline); {
		left, err = filepath.Glob(filepath.Join(b.Dir, "spool", "*"))
		must(t, err)
	}
	if len(left) > 0 {
		t.Errorf("left in the spool: %v", left)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
