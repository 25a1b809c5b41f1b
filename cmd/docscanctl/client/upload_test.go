package client

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// An upload goes on where it ended, after a broken connection, also one that cannot be
// made for a while, and at a second try.
func TestUpload(t *testing.T) {
	data := make([]byte, 3*uploadPart+17)
	rand.Read(data)
	name := filepath.Join(t.TempDir(), "x.bundle")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	want := hex.EncodeToString(sum[:])
	got := append([]byte(nil), data[:uploadPart]...) // of an earlier upload
	parts, down := 0, 2
	var mu sync.Mutex // the handler of the broken connection may end after the next has begun
	c := remote(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if parts == 2 && down > 0 { // as while docscand is started anew
			down--
			panic(http.ErrAbortHandler)
		}
		if r.URL.Path != "/api/v1/update/uploads/"+want || r.URL.Query().Get("size") != strconv.Itoa(len(data)) {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		if r.Method == http.MethodPut {
			parts++
			at, err := strconv.Atoi(r.URL.Query().Get("offset"))
			body, rerr := io.ReadAll(r.Body)
			if err = errors.Join(err, rerr); err != nil || at != len(got) {
				t.Errorf("a part at %d (%v), want %d", at, err, len(got))
			}
			if parts == 2 { // half of it arrives, and the connection breaks
				got = append(got, body[:len(body)/2]...)
				panic(http.ErrAbortHandler)
			}
			got = append(got, body...)
		}
		fmt.Fprintf(w, `{"offset":%d}`, len(got))
	})
	var last int64
	digest, size, err := c.Upload(t.Context(), name, func(sent, _ int64) { last = sent })
	mu.Lock()
	defer mu.Unlock()
	if err != nil || digest != want || size != int64(len(data)) || last != size || !bytes.Equal(got, data) {
		t.Errorf("digest %s, size %d, told %d, %d bytes arrived (%v); want %s, %d", digest, size, last, len(got), err, want, len(data))
	}
}

func TestUploadIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.bundle")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := remote(t, func(http.ResponseWriter, *http.Request) { t.Error("an empty file is sent") })
	if _, _, err := c.Upload(t.Context(), name, nil); err == nil || !strings.Contains(err.Error(), "x.bundle is empty") {
		t.Errorf("an empty file: %v", err)
	}
	if err := os.WriteFile(name, []byte("bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		status int
		answer string
		want   string
	}{
		{"full disk", 409, `{"detail":"the disk is full"}`, "the disk is full"},
		{"no progress", 200, `{"offset":0}`, "has 0 bytes"},
		{"nonsense", 200, `{"offset":-1}`, "does not say where"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := remote(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.answer)
			})
			if _, _, err := c.Upload(t.Context(), name, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
