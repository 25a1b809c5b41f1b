package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
