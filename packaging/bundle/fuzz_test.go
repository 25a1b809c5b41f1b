package bundle

import (
	"bytes"
	"errors"
	"testing"
	"testing/fstest"
)

// A manifest is signed, but whoever signs may be careless.
func FuzzManifest(f *testing.F) {
	good := build(f, release("1.2.0"), map[string]string{"bin/docscand": "x"})
	b, err := open(bytes.NewReader(good), int64(len(good)), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.raw)
	f.Add(bytes.Replace(b.raw, []byte("bin/docscand"), []byte("bin/../../x"), 1))
	f.Add(bytes.Replace(b.raw, []byte("0644"), []byte("4755"), 1))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseManifest(raw)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if err := checkPath(file.Path); err != nil {
				t.Errorf("took a manifest with a bad path: %v", err)
			}
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if m2, err := ParseManifest(again); err != nil || m2.Digest() != m.Digest() {
			t.Errorf("written again: digest %s, error %v, want %s", m2.Digest(), err, m.Digest())
		}
	})
}

// A container comes from a network or a stick, so any bytes may be in it. With
// keys nothing that was changed is taken; without them nothing may go wrong.
func FuzzBundle(f *testing.F) {
	s := newSigner(f, 1)
	keys := trusting(f, s)
	good := signed(f, build(f, release("1.2.0"), map[string]string{"bin/docscand": "x"}), s)
	f.Add(good)
	f.Add(good[:len(good)-tarEnd])
	f.Add(build(f, release("1.2.0"), map[string]string{"bin/docscand": "x"}))
	f.Add(forgery{raw: func(b []byte) []byte { return b[:len(b)/2] }}.make(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Open(bytes.NewReader(data), int64(len(data)), keys)
		if err == nil {
			manifest, sig := b.Signed()
			if _, err := ReadManifest(manifest, sig, keys); err != nil {
				t.Errorf("opened, but the manifest is not signed: %v", err)
			}
		}
		b, err = open(bytes.NewReader(data), int64(len(data)), nil)
		if err != nil {
			return
		}
		if err := b.Verify(t.Context()); err != nil {
			return
		}
		var again bytes.Buffer
		if err := Sign(&again, bytes.NewReader(data), int64(len(data)), s.private); err != nil {
			t.Errorf("sign what is whole: %v", err)
		}
		if err := openAll(t, again.Bytes(), keys); err != nil {
			t.Errorf("signed anew it is refused: %v", err)
		}
	})
}

// A stored file is proven before it is decompressed, but its signer may be
// careless: it must end, in bounded memory, with what was promised or an error.
func FuzzUnpack(f *testing.F) {
	f.Add(compress(f, "the daemon"), "the daemon", false)
	f.Add(compress(f, "the daemon")[:9], "", true)
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0x00, 0x00}, "", false)
	f.Fuzz(func(t *testing.T, stored []byte, text string, patch bool) {
		file := File{Path: "x", Size: int64(len(text)), SHA256: sum(text), Stored: StoredWhole, StoredSize: int64(len(stored)), StoredSHA256: sum(string(stored))}
		if patch {
			file.Stored, file.BaseSHA256 = StoredPatch, sum("the base")
		}
		b := &Bundle{Manifest: Manifest{Files: []File{file}}, file: bytes.NewReader(stored), positions: []int64{0}}
		var out bytes.Buffer
		base := fstest.MapFS{"x": {Data: []byte("the base")}}
		err := b.Unpack(t.Context(), 0, base, &out)
		if err == nil && out.String() != text {
			t.Errorf("unpacked to %q, want %q", out.String(), text)
		}
		if out.Len() > len(text)+1 {
			t.Errorf("unpacked %d bytes, at most %d", out.Len(), len(text)+1)
		}
		if errors.Is(err, ErrTampered) {
			t.Errorf("the stored bytes are right: %v", err)
		}
	})
}

// Keys come from files that people copy around.
func FuzzKey(f *testing.F) {
	f.Add([]byte(newSigner(f, 1).public.String()))
	f.Add([]byte("untrusted comment: minisign public key\nRWQ"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKey(text)
		if err != nil {
			return
		}
		again, err := parseKey([]byte(k.String()))
		if err != nil || !sameKey(k, again) {
			t.Errorf("written again: %v, error %v, want %v", again, err, k)
		}
	})
}
