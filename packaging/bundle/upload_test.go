package bundle

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestUpload(t *testing.T) {
	const text = "a bundle on its way in"
	dir := filepath.Join(t.TempDir(), "uploads")
	begin := func() *Upload {
		t.Helper()
		u, err := OpenUpload(dir, sum(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	u := begin()
	cut := io.MultiReader(strings.NewReader(text[:5]), iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := u.Write(t.Context(), 0, cut); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("connection lost: %v, want %v", err, io.ErrUnexpectedEOF)
	}
	u = begin() // as after a restart
	if u.Offset() != 5 {
		t.Errorf("Offset = %d, want 5", u.Offset())
	}
	if err := u.Write(t.Context(), 6, strings.NewReader(text[6:])); !errors.Is(err, ErrGap) {
		t.Errorf("gap: %v, want %v", err, ErrGap)
	}
	if _, err := u.Finish(t.Context()); !errors.Is(err, ErrTruncated) {
		t.Errorf("Finish too early: %v, want %v", err, ErrTruncated)
	}
	if err := u.Write(t.Context(), 3, strings.NewReader(text[3:])); err != nil {
		t.Errorf("overlapping part: %v", err)
	}
	f, err := u.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := read(t, f.Name()); string(got) != text {
		t.Errorf("arrived %q, want %q", got, text)
	}
	if err := u.Write(t.Context(), u.Offset(), strings.NewReader("x")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: %v, want %v", err, ErrTooLarge)
	}
	if err := errors.Join(u.Discard(), u.Discard()); err != nil {
		t.Errorf("Discard: %v", err)
	}
	if u = begin(); u.Offset() != 0 {
		t.Errorf("after Discard: Offset = %d, want 0", u.Offset())
	}
}

func TestUploadOfSomethingElse(t *testing.T) {
	dir := t.TempDir()
	u, err := OpenUpload(dir, sum("right"), 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Write(t.Context(), 0, strings.NewReader("wrong")); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Finish(t.Context()); !errors.Is(err, ErrDigest) {
		t.Errorf("Finish: %v, want %v", err, ErrDigest)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

func TestOpenUploadRefuses(t *testing.T) {
	tests := []struct {
		name, digest string
		size         int64
		want         error
	}{
		{"path", "../../etc/passwd", 5, ErrBadUpload},
		{"no size", sum("x"), 0, ErrBadUpload},
		{"too large", sum("x"), MaxSize + 1, ErrTooLarge},
	}
	for _, tt := range tests {
		if _, err := OpenUpload(t.TempDir(), tt.digest, tt.size); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// An upload announced with another size before begins anew.
func TestUploadShrinks(t *testing.T) {
	dir := t.TempDir()
	u, err := OpenUpload(dir, sum("x"), 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Write(t.Context(), 0, strings.NewReader("far too much")); err != nil {
		t.Fatal(err)
	}
	if u, err = OpenUpload(dir, sum("x"), 1); err != nil || u.Offset() != 0 {
		t.Errorf("Offset = %d, error %v, want 0", u.Offset(), err)
	}
}

func TestSweepUploads(t *testing.T) {
	dir := t.TempDir()
	old, young, other := filepath.Join(dir, "a"+uploadSuffix), filepath.Join(dir, "b"+uploadSuffix), filepath.Join(dir, "c")
	now := time.Now()
	for _, name := range []string{old, young, other} {
		write(t, name, nil)
		if err := os.Chtimes(name, now, now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(young, now, now); err != nil {
		t.Fatal(err)
	}
	if err := SweepUploads(dir, "d", now.Add(-time.Minute)); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]bool{old: false, young: true, other: true} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", filepath.Base(name), err, want)
		}
	}
	// Of those that are young, the one in question and the newest other stay.
	for i, name := range []string{"d", "e", "f"} {
		name = filepath.Join(dir, name+uploadSuffix)
		write(t, name, nil)
		if err := os.Chtimes(name, now, now.Add(time.Duration(i-3)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := SweepUploads(dir, "d", now.Add(-time.Minute)); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]bool{"b": true, "d": true, "e": false, "f": false} {
		if _, err := os.Stat(filepath.Join(dir, name+uploadSuffix)); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", name, err, want)
		}
	}
	if err := SweepUploads(filepath.Join(dir, "missing"), "", now); err != nil {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// A file that comes in one piece, without a word of what it is, is there as if it had
// been announced; of one that breaks off nothing stays.
func TestReceive(t *testing.T) {
	const text = "a bundle in one piece"
	tests := []struct {
		name string
		from io.Reader
		want error
	}{
		{"whole", strings.NewReader(text), nil},
		{"the same again", strings.NewReader(text), nil},
		{"empty", strings.NewReader(""), ErrTruncated},
		{"breaks off", io.MultiReader(strings.NewReader(text[:5]), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
	}
	dir := filepath.Join(t.TempDir(), "uploads")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			digest, size, err := Receive(t.Context(), dir, tt.from)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if err == nil && (digest != sum(text) || size != int64(len(text))) {
				t.Errorf("digest %s, %d bytes; want %s, %d", digest, size, sum(text), len(text))
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("there are %v (%v), want the one that is whole", entries, err)
			}
		})
	}
	u, err := OpenUpload(dir, sum(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := u.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
