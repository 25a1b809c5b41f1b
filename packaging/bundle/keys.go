package bundle

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aead.dev/minisign"
)

const (
	maxKeys    = 64      // in all directories
	maxKeyFile = 1 << 10 // bytes; minisign's own have 113
	keySuffix  = ".pub"
	// revokedName is the directory of revoked keys in a directory of keys.
	revokedName = "revoked"
)

// ErrNoKeys says that no key is trusted, so that no bundle can be.
var ErrNoKeys = errors.New("no key is trusted here yet")

// Keys are the public keys that updates are checked with.
//
// They are minisign's own files in directories: NAME.pub is trusted, and
// revoked/NAME.pub is not, whatever else is there. So a key is trusted by
// putting it in, and revoked by moving it.
type Keys struct {
	trusted []minisign.PublicKey
	revoked []minisign.PublicKey
	dir     string // where Adopt writes
}

// LoadKeys reads the keys in dirs; those that do not exist have none. The last
// one is where [Keys.Adopt] writes. A file that is no key is an error: it might
// be the revoked one.
func LoadKeys(dirs ...string) (*Keys, error) {
	k := &Keys{}
	for _, dir := range dirs {
		trusted, err := loadKeys(dir)
		if err != nil {
			return nil, fmt.Errorf("load update keys: %w", err)
		}
		revoked, err := loadKeys(filepath.Join(dir, revokedName))
		if err != nil {
			return nil, fmt.Errorf("load revoked update keys: %w", err)
		}
		k.trusted, k.revoked, k.dir = append(k.trusted, trusted...), append(k.revoked, revoked...), dir
	}
	k.trusted = slices.DeleteFunc(k.trusted, k.isRevoked)
	return k, nil
}

func loadKeys(dir string) ([]minisign.PublicKey, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var keys []minisign.PublicKey
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), keySuffix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		name := filepath.Join(dir, e.Name())
		b, err := readSmall(name, maxKeyFile)
		if err != nil {
			return nil, err
		}
		key, err := parseKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if keys = append(keys, key); len(keys) > maxKeys {
			return nil, fmt.Errorf("%s: more than %d keys", dir, maxKeys)
		}
	}
	return keys, nil
}

// readSmall reads a file of at most limit bytes.
func readSmall(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return b, err
}

// parseKey parses a public key, with or without minisign's comment before it.
func parseKey(b []byte) (minisign.PublicKey, error) {
	var k minisign.PublicKey
	if err := k.UnmarshalText(bytes.TrimSpace(b)); err != nil {
		return k, fmt.Errorf("no minisign public key: %w", err)
	}
	return k, nil
}

func (k *Keys) isRevoked(key minisign.PublicKey) bool { return contains(k.revoked, key) }

func contains(keys []minisign.PublicKey, key minisign.PublicKey) bool {
	return slices.ContainsFunc(keys, func(other minisign.PublicKey) bool { return sameKey(other, key) })
}

// sameKey looks at the key alone: its ID is a label that anybody can change.
func sameKey(a, b minisign.PublicKey) bool { return bytes.Equal(rawKey(a), rawKey(b)) }

// rawKey is the key behind 2 bytes of algorithm and 8 of ID.
func rawKey(k minisign.PublicKey) []byte {
	b, err := base64.StdEncoding.DecodeString(k.String())
	if err != nil {
		return nil // cannot be: String has just encoded it
	}
	return b[2+8:]
}

// keyID writes a key's ID as minisign does.
func keyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// verify proves the signature of message and gives the ID of its key.
func (k *Keys) verify(message, signature []byte) (string, error) {
	if len(signature) == 0 {
		return "", ErrUnsigned
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return "", fmt.Errorf("%w: %v", ErrSignature, err)
	}
	// Base64 has bits that mean nothing; with those changed it is no signature
	// that anybody made.
	if text, err := s.MarshalText(); err != nil || !bytes.Equal(text, signature) {
		return "", fmt.Errorf("%w: it is not as minisign writes it", ErrSignature)
	}
	id := keyID(s.KeyID)
	if s.Algorithm != minisign.HashEdDSA {
		return "", fmt.Errorf("%w: it was made by minisign -l; sign again without -l", ErrSignature)
	}
	var known bool
	for _, key := range k.revoked {
		if minisign.Verify(key, message, signature) {
			return "", fmt.Errorf("key %s: %w", id, ErrRevoked)
		}
	}
	for _, key := range k.trusted {
		if minisign.Verify(key, message, signature) {
			return id, nil
		}
		known = known || key.ID() == s.KeyID
	}
	switch {
	case len(k.trusted) == 0:
		return "", fmt.Errorf("%w: %w", ErrUntrusted, ErrNoKeys)
	case known:
		return "", fmt.Errorf("key %s: %w", id, ErrSignature)
	}
	return "", fmt.Errorf("key %s: %w", id, ErrUntrusted)
}

// ErrLastKey says that revoking would leave no key to check the next update with.
var ErrLastKey = errors.New("no trusted key would be left")

// Adopt takes over the keys that a signed manifest brings and revokes: the new
// ones first, so that a power cut in between leaves more keys, not none, and the
// revocation of the key that it is signed with last, for until then it can be done
// again. Call it once the version has proved itself. Keys that are revoked here
// stay so.
func (k *Keys) Adopt(manifest, signature []byte) error {
	if err := k.adopt(manifest, signature); err != nil {
		return fmt.Errorf("adopt update keys: %w", err)
	}
	return nil
}

func (k *Keys) adopt(manifest, signature []byte) error {
	m, err := ReadManifest(manifest, signature, k)
	if err != nil {
		return err
	}
	trust, err := parseKeys(m.Trust)
	if err != nil {
		return err
	}
	revoke, err := parseKeys(m.Revoke)
	if err != nil {
		return err
	}
	next := &Keys{revoked: k.revoked, dir: k.dir}
	for _, key := range revoke {
		if !next.isRevoked(key) {
			next.revoked = append(next.revoked[:len(next.revoked):len(next.revoked)], key)
		}
	}
	for _, key := range append(k.trusted[:len(k.trusted):len(k.trusted)], trust...) {
		if !next.isRevoked(key) && !contains(next.trusted, key) {
			next.trusted = append(next.trusted, key)
		}
	}
	if len(next.trusted) == 0 {
		return ErrLastKey
	}
	for _, key := range next.trusted {
		if !contains(k.trusted, key) {
			if err := writeKey(k.dir, key); err != nil {
				return err
			}
		}
	}
	for _, signer := range []bool{false, true} {
		for _, key := range next.revoked {
			if k.isRevoked(key) || minisign.Verify(key, manifest, signature) != signer {
				continue
			}
			if err := writeKey(filepath.Join(k.dir, revokedName), key); err != nil {
				return err
			}
		}
	}
	k.trusted, k.revoked = next.trusted, next.revoked
	return nil
}

func parseKeys(texts []string) ([]minisign.PublicKey, error) {
	var keys []minisign.PublicKey
	for _, t := range texts {
		key, err := parseKey([]byte(t))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// writeKey writes a key under the name of its ID and the beginning of the key,
// for others may have the same ID.
func writeKey(dir string, key minisign.PublicKey) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := key.MarshalText()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%x%s", keyID(key.ID()), rawKey(key)[:4], keySuffix)
	return writeSynced(filepath.Join(dir, name), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// writeSynced writes a file that is whole or not there, whatever happens.
func writeSynced(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriter(f)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}
