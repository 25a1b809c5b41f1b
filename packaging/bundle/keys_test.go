package bundle

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"
)

// manifestOf makes a signed manifest that trusts and revokes keys.
func manifestOf(t testing.TB, s signer, trust, revoke []signer) (manifest, sig []byte) {
	t.Helper()
	f := forgery{manifest: func(m *Manifest) {
		for _, k := range trust {
			m.Trust = append(m.Trust, k.public.String())
		}
		for _, k := range revoke {
			m.Revoke = append(m.Revoke, k.public.String())
		}
	}}
	b := signed(t, f.make(t), s)
	bundle, err := open(bytes.NewReader(b), int64(len(b)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Signed()
}

// A bundle signed with the old key brings the new one; later the old one goes.
func TestRotation(t *testing.T) {
	first, second, third := newSigner(t, 1), newSigner(t, 2), newSigner(t, 3)
	keys := trusting(t, first)
	accepts := func(s signer) error {
		t.Helper()
		manifest, sig := manifestOf(t, s, nil, nil)
		_, err := ReadManifest(manifest, sig, loadedKeys(t, keys.dir))
		return err
	}
	adopt := func(s signer, trust, revoke []signer) error {
		t.Helper()
		return keys.Adopt(manifestOf(t, s, trust, revoke))
	}
	if err := adopt(second, []signer{second}, nil); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a key that recommends itself: %v, want %v", err, ErrUntrusted)
	}
	if err := adopt(first, nil, []signer{first}); !errors.Is(err, ErrLastKey) {
		t.Errorf("revoking the last key: %v, want %v", err, ErrLastKey)
	}
	if err := adopt(first, []signer{second}, nil); err != nil {
		t.Errorf("a new key: %v", err)
	}
	if err := accepts(second); err != nil {
		t.Errorf("signed with the new key: %v", err)
	}
	if err := adopt(second, []signer{third}, []signer{first}); err != nil {
		t.Errorf("revoking the old key: %v", err)
	}
	for s, want := range map[*signer]error{&first: ErrRevoked, &second: nil, &third: nil} {
		if err := accepts(*s); !errors.Is(err, want) {
			t.Errorf("key %s: %v, want %v", keyID(s.public.ID()), err, want)
		}
	}
	if err := adopt(second, []signer{first}, nil); err != nil {
		t.Errorf("trusting a revoked key: %v", err)
	}
	if err := accepts(first); !errors.Is(err, ErrRevoked) {
		t.Errorf("a revoked key came back: %v, want %v", err, ErrRevoked)
	}
}

// A bundle may revoke the key that it is signed with. That comes last: were it first,
// a power cut behind it would keep the other revocations from ever being done.
func TestRevokingItsOwnKeyComesLast(t *testing.T) {
	first, second, third := newSigner(t, 1), newSigner(t, 2), newSigner(t, 3)
	keys := trusting(t, first, third)
	manifest, sig := manifestOf(t, first, []signer{second}, []signer{first, third})
	// The disk fails at the other one.
	name := filepath.Join(keys.dir, revokedName, fmt.Sprintf("%s-%x%s", keyID(third.public.ID()), rawKey(third.public)[:4], keySuffix))
	if err := os.MkdirAll(filepath.Join(name, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := keys.Adopt(manifest, sig); err == nil {
		t.Fatal("a key was written over a directory")
	}
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	keys = loadedKeys(t, keys.dir)
	if err := keys.Adopt(manifest, sig); err != nil {
		t.Fatalf("once more: %v", err)
	}
	for s, want := range map[*signer]error{&first: ErrRevoked, &second: nil, &third: ErrRevoked} {
		manifest, sig := manifestOf(t, *s, nil, nil)
		if _, err := ReadManifest(manifest, sig, loadedKeys(t, keys.dir)); !errors.Is(err, want) {
			t.Errorf("key %s: %v, want %v", keyID(s.public.ID()), err, want)
		}
	}
}

// A key ID is a label: a revoked key under another one stays revoked.
func TestRevokedKeyWithAnotherID(t *testing.T) {
	s := newSigner(t, 1)
	keys := trusting(t, newSigner(t, 2))
	if err := writeKey(filepath.Join(keys.dir, revokedName), s.public); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(s.public.String())
	if err != nil {
		t.Fatal(err)
	}
	raw[2] ^= 1 // of the ID
	relabelled, err := parseKey([]byte(base64.StdEncoding.EncodeToString(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if err := writeKey(keys.dir, relabelled); err != nil {
		t.Fatal(err)
	}
	if k := loadedKeys(t, keys.dir); contains(k.trusted, relabelled) {
		t.Error("the key is trusted under its other ID")
	}
}

func TestSignatureForms(t *testing.T) {
	s := newSigner(t, 1)
	manifest, sig := manifestOf(t, s, nil, nil)
	keys := trusting(t, s)
	other, _ := manifestOf(t, s, []signer{s}, nil)
	tests := []struct {
		name          string
		manifest, sig []byte
		keys          *Keys
		want          error
	}{
		{"as it should be", manifest, sig, keys, nil},
		{"of another manifest", other, sig, keys, ErrSignature},
		{"empty", manifest, nil, keys, ErrUnsigned},
		{"garbage", manifest, []byte("hello"), keys, ErrSignature},
		{"not prehashed", manifest, minisign.Sign(s.private, manifest), keys, ErrSignature},
		{"more after it", manifest, append(sig[:len(sig):len(sig)], '\n'), keys, ErrSignature},
		{"no keys at all", manifest, sig, &Keys{}, ErrNoKeys},
		{"too long", manifest, make([]byte, MaxSignature+1), keys, ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ReadManifest(tt.manifest, tt.sig, tt.keys); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestLoadKeys(t *testing.T) {
	key := newSigner(t, 1).public.String()
	tests := []struct {
		name    string
		files   map[string]string
		trusted int
		fails   bool
	}{
		{"none", nil, 0, false},
		{"one, without a comment", map[string]string{"a.pub": key}, 1, false},
		{"other files beside it", map[string]string{"a.pub": key, "README": "x", ".new-1.pub": "x"}, 1, false},
		{"revoked", map[string]string{"a.pub": key, "revoked/b.pub": key}, 0, false},
		{"garbage", map[string]string{"a.pub": "x"}, 0, true},
		{"revoked garbage", map[string]string{"a.pub": key, "revoked/b.pub": "x"}, 0, true},
		{"long", map[string]string{"a.pub": strings.Repeat("x", maxKeyFile+1)}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := LoadKeys(filepath.Join(t.TempDir(), "missing"), tree(t, tt.files))
			if (err != nil) != tt.fails {
				t.Fatalf("LoadKeys: %v, want failure %v", err, tt.fails)
			}
			if err == nil && len(k.trusted) != tt.trusted {
				t.Errorf("%d keys, want %d", len(k.trusted), tt.trusted)
			}
		})
	}
	t.Run("a directory that cannot be read", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKeys(dir); err == nil {
			t.Error("LoadKeys of a file: no error")
		}
	})
}
