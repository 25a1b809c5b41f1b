package main

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/tiff"

	"docscan/cmd/docscand/box"
)

// Of a TIFF that was cut off the pages that are there become a document, and it is told
// that others are missing.
func TestCutOffTIFF(t *testing.T) {
	b, ctx := newBox(t)
	must(t, b.Start(ctx))
	dir := t.TempDir()
	args := []string{"-c", "lzw"}
	for n := 1; n <= 3; n++ {
		img, err := jpeg.Decode(bytes.NewReader(drawPage(t, pageText(n))))
		must(t, err)
		var data bytes.Buffer
		must(t, tiff.Encode(&data, img, nil))
		args = append(args, filepath.Join(dir, fmt.Sprintf("%d.tif", n)))
		must(t, os.WriteFile(args[len(args)-1], data.Bytes(), 0o600))
	}
	whole := filepath.Join(dir, "whole.tif")
	must(t, exec.Command("tiffcp", append(args, whole)...).Run())
	data, err := os.ReadFile(whole)
	must(t, err)
	status, list := upload(ctx, t, b, sent{"stack.tif", data[:len(data)*5/6]})
	if status != http.StatusCreated {
		t.Fatalf("%d, %+v", status, list)
	}
	batch, err := b.WaitFor(ctx, list[0].Batch.ID, box.Batch.Final)
	must(t, err)
	if batch.State != "completed" || batch.Pages != 2 || batch.Fault == nil || !strings.Contains(batch.Fault.What, "it is cut off") || batch.Fault.Safe == "" {
		t.Errorf("%+v, %+v", batch, batch.Fault)
	}
	for n, text := range pdfPages(t, ctx, b, batch.Documents[0]) {
		if got, want := strings.Join(words(text), " "), strings.Join(words(pageText(n+1)), " "); got != want {
			t.Errorf("page %d: %q, want %q", n+1, got, want)
		}
	}
	var original []byte
	must(t, b.Get(ctx, "/api/v1/batches/"+batch.ID+"/original", &original))
	if !bytes.Equal(original, data[:len(data)*5/6]) {
		t.Errorf("the original has %d bytes", len(original))
	}
}
