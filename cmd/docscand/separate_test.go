package main

import (
	"bytes"
	"context"
	"fmt"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docscan/cmd/docscand/box"
)

// separatorSheet gives a separator sheet that docscan itself makes, as a PDF file and
// as a scanner gives it.
func separatorSheet(ctx context.Context, t *testing.T, b *box.Box, query string) (path string, scanned []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL+"/api/v1/sheets/separators?"+query, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+b.Token)
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	file, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/pdf" {
		t.Fatalf("separator sheets: %s\n%s", answer.Status, file)
	}
	path = filepath.Join(t.TempDir(), "sheet")
	must(t, os.WriteFile(path+".pdf", file, 0o600))
	out, err := exec.Command("pdftoppm", "-r", "150", "-jpeg", "-singlefile", path+".pdf", path).CombinedOutput()
	if err != nil {
		t.Fatalf("pdftoppm: %v\n%s", err, out)
	}
	data, err := os.ReadFile(path + ".jpg")
	must(t, err)
	if _, err := jpeg.DecodeConfig(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return path + ".pdf", data
}

// A stack with patch sheets that docscan has printed becomes as many documents, in
// the scanner and as an uploaded file.
func TestSeparators(t *testing.T) {
	b, ctx := newBox(t)
	b.Set["device.sim.duplex"] = "false"
	must(t, b.Start(ctx))
	file, sheet := separatorSheet(ctx, t, b, "kind=patch&sheets=1")
	var stack [][]byte
	for n, part := range [][]int{{1, 2}, {3}, {4, 5}} {
		if n > 0 {
			stack = append(stack, sheet)
		}
		for _, page := range part {
			stack = append(stack, drawPage(t, pageText(page)))
		}
	}
	for i, data := range stack {
		must(t, os.WriteFile(filepath.Join(b.Stack, fmt.Sprintf("%03d.jpg", i)), data, 0o600))
	}
	must(t, b.Put(ctx, "/api/v1/profiles/standard", map[string]any{
		"name": "Stack", "source": "auto", "mode": "color", "resolution": 150, "separation": map[string]any{"patch": true},
	}, nil))
	batch, err := b.Press(ctx, "standard")
	must(t, err)
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	threeDocuments(ctx, t, b, batch)

	// The documents with the separators between them are a file like those that
	// other scanners make, with words on its pages.
	whole := filepath.Join(t.TempDir(), "whole.pdf")
	args := []string{"--empty", "--pages"}
	for i, d := range batch.Documents {
		if i > 0 {
			args = append(args, file)
		}
		part := filepath.Join(t.TempDir(), "part.pdf")
		must(t, b.PDF(ctx, d, part))
		args = append(args, part)
	}
	if out, err := exec.Command("qpdf", append(args, "--", whole)...).CombinedOutput(); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, out)
	}
	data, err := os.ReadFile(whole)
	must(t, err)
	_, answers := upload(ctx, t, b, sent{"whole.pdf", data})
	if len(answers) != 1 || answers[0].Batch == nil {
		t.Fatalf("the upload was answered with %+v", answers)
	}
	batch, err = b.WaitFor(ctx, answers[0].Batch.ID, box.Batch.Final)
	must(t, err)
	threeDocuments(ctx, t, b, batch)
}

// A label that docscan has printed numbers the document on which it is found, and
// the search finds the document by it.
func TestArchiveNumber(t *testing.T) {
	b, ctx := newBox(t)
	must(t, b.Start(ctx))
	body := `{"layout":"L4737","kind":"qr","from":41,"count":1}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+"/api/v1/sheets/labels", strings.NewReader(body))
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+b.Token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	labels, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("labels: %s\n%s", answer.Status, labels)
	}
	documents := make(map[string]string)
	for name, data := range map[string][]byte{"labelled.pdf": labels, "bare.jpg": drawPage(t, pageText(1))} {
		_, answers := upload(ctx, t, b, sent{name, data})
		if len(answers) != 1 || answers[0].Batch == nil {
			t.Fatalf("the upload of %s was answered with %+v", name, answers)
		}
		batch, err := b.WaitFor(ctx, answers[0].Batch.ID, box.Batch.Final)
		must(t, err)
		if len(batch.Documents) != 1 {
			t.Fatalf("%s became %d documents", name, len(batch.Documents))
		}
		documents[name] = batch.Documents[0]
	}
	var list struct {
		Documents []struct {
			ID  string `json:"id"`
			ASN int    `json:"asn"`
		} `json:"documents"`
	}
	for _, query := range []string{"asn:41", "asn:30..50"} {
		must(t, b.Get(ctx, "/api/v1/documents?q="+query, &list))
		if len(list.Documents) != 1 || list.Documents[0].ID != documents["labelled.pdf"] || list.Documents[0].ASN != 41 {
			t.Errorf("%s finds %+v, want %s with number 41", query, list.Documents, documents["labelled.pdf"])
		}
	}
	for _, query := range []string{"asn:42", "asn:4"} {
		must(t, b.Get(ctx, "/api/v1/documents?q="+query, &list))
		if len(list.Documents) != 0 {
			t.Errorf("%s finds %+v", query, list.Documents)
		}
	}
}

// threeDocuments reports what of the documents of the stack is not as it should be.
func threeDocuments(ctx context.Context, t *testing.T, b *box.Box, batch box.Batch) {
	t.Helper()
	if batch.State != "completed" || len(batch.Documents) != 3 || batch.Pages != 7 {
		t.Fatalf("the batch ended as %s with %d documents of %d pages, want completed with 3 of 7", batch.State, len(batch.Documents), batch.Pages)
	}
	for i, want := range [][]int{{1, 2}, {3}, {4, 5}} {
		pages := pdfPages(t, ctx, b, batch.Documents[i])
		if len(pages) != len(want) {
			t.Errorf("document %d has %d pages, want %d", i+1, len(pages), len(want))
			continue
		}
		for k, n := range want {
			if !slices.Contains(words(pages[k]), numbers[n-1]) {
				t.Errorf("page %d of document %d says %q, want %q", k+1, i+1, strings.TrimSpace(pages[k]), pageText(n))
			}
		}
	}
	var aside struct {
		Pages []struct {
			Seq   int    `json:"seq"`
			Aside string `json:"aside"`
		} `json:"pages"`
	}
	must(t, b.Get(ctx, "/api/v1/documents/"+batch.Documents[1]+"/aside", &aside))
	if len(aside.Pages) != 1 || aside.Pages[0].Seq != 3 || aside.Pages[0].Aside != "separator" {
		t.Errorf("aside with the second document are %+v, want the separator before it", aside.Pages)
	}
}
