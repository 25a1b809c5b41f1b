package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// A Checkpoint says what an entry of the chain was, signed by the box.
type Checkpoint struct {
	Seq  uint64    `json:"seq"`  // number of the last entry it vouches for
	Hash string    `json:"hash"` // of that entry
	Time time.Time `json:"time"`
	// Pruned says that the entries up to Seq have been removed because they were
	// older than they had to be kept; the chain goes on from Hash.
	Pruned    bool   `json:"pruned,omitempty"`
	Key       []byte `json:"key"`       // public key, Ed25519 (RFC 8032)
	Signature []byte `json:"signature"` // of text
}

// text is what is signed.
func (c *Checkpoint) text() []byte {
	kind := "checkpoint"
	if c.Pruned {
		kind = "pruned"
	}
	return fmt.Appendf(nil, "docscan audit %s v1\n%d\n%s\n%s\n", kind, c.Seq, c.Hash, c.Time.UTC().Format(time.RFC3339Nano))
}

func (c *Checkpoint) holds() bool {
	return len(c.Key) == ed25519.PublicKeySize && ed25519.Verify(c.Key, c.text(), c.Signature)
}

// sign puts a checkpoint on the entry with this number and hash.
func sign(key ed25519.PrivateKey, seq uint64, hash string, pruned bool) Checkpoint {
	c := Checkpoint{Seq: seq, Hash: hash, Time: time.Now().UTC().Truncate(time.Microsecond), Pruned: pruned, Key: key.Public().(ed25519.PublicKey)}
	c.Signature = ed25519.Sign(key, c.text())
	return c
}

// last gives the last entry of the chain; its Seq is 0 when there is none.
func last(entries *bbolt.Bucket) (record, error) {
	var r record
	k, v := entries.Cursor().Last()
	if k == nil {
		return r, nil
	}
	if err := json.Unmarshal(v, &r); err != nil {
		return r, fmt.Errorf("the last audit entry: %w", err)
	}
	return r, nil
}

// Last gives the last checkpoint; its Seq is 0 when there is none.
func Last(checkpoints *bbolt.Bucket) (Checkpoint, error) {
	var c Checkpoint
	k, v := checkpoints.Cursor().Last()
	if k == nil {
		return c, nil
	}
	if err := json.Unmarshal(v, &c); err != nil {
		return c, fmt.Errorf("the last checkpoint: %w", err)
	}
	return c, nil
}

// Seal signs the last entry, unless a checkpoint does that already, and gives the
// checkpoint. One that the log contradicts stays: it is the proof of that.
func Seal(entries, checkpoints *bbolt.Bucket, signer ed25519.PrivateKey) (Checkpoint, error) {
	r, err := last(entries)
	if err != nil || r.Seq == 0 {
		return Checkpoint{}, err
	}
	c, err := Last(checkpoints)
	if err != nil || c.Seq >= r.Seq {
		return c, err
	}
	c = sign(signer, r.Seq, r.Hash, false)
	return c, putCheckpoint(checkpoints, c)
}

// End gives the number of the last entry that is there; 0: there is none.
func End(entries *bbolt.Bucket) uint64 {
	k, _ := entries.Cursor().Last()
	return number(k)
}

func putCheckpoint(b *bbolt.Bucket, c Checkpoint) error {
	j, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return b.Put(key(c.Seq), j)
}

// pruneStep is how many entries one call of Prune removes, so that its
// transaction stays short.
const pruneStep = 1000

// Prune removes entries from before limit, at most a thousand, and puts a signed
// note in their place that lets the rest be verified. The last entry always
// stays. It returns how many went; there may be more.
func Prune(entries, checkpoints *bbolt.Bucket, signer ed25519.PrivateKey, limit time.Time) (n int, err error) {
	end, err := last(entries)
	if err != nil {
		return 0, err
	}
	var gone record
	c := entries.Cursor()
	for k, v := c.First(); k != nil && n < pruneStep; k, v = c.Next() {
		var r record
		if err := json.Unmarshal(v, &r); err != nil {
			return 0, fmt.Errorf("audit entry %x: %w", k, err)
		}
		if !r.Time.Before(limit) || r.Seq == end.Seq {
			break
		}
		gone = r
		n++
	}
	if n == 0 {
		return 0, nil
	}
	for _, b := range []*bbolt.Bucket{entries, checkpoints} {
		c := b.Cursor()
		for k, _ := c.First(); k != nil && string(k) <= string(key(gone.Seq)); k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return 0, err
			}
		}
	}
	return n, putCheckpoint(checkpoints, sign(signer, gone.Seq, gone.Hash, true))
}

// OpenKey reads the box's own key from path, or makes one.
func OpenKey(path string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the key of the audit log: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("the key of the audit log in %s is not PEM. Move the file away and start again: a new key is made, and the log says so", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key of the audit log in %s: %w", path, err)
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key of the audit log in %s is not Ed25519", path)
	}
	return key, nil
}

// makeKey makes a key whose file is whole or not there.
func makeKey(path string) (_ ed25519.PrivateKey, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a key for the audit log: %w", err)
		}
	}()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".audit-key-*") // of mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name()) // no longer there when all went well
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return nil, err
	}
	return key, os.Rename(f.Name(), path)
}

// EncodeKey gives a public key in the form that openssl and others read (PEM,
// RFC 7468).
func EncodeKey(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// DecodeKey reads what EncodeKey gives.
func DecodeKey(data []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is not a public key in PEM")
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it is not a public key: %w", err)
	}
	key, ok := k.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("it is not an Ed25519 key")
	}
	return key, nil
}

// Fingerprint is a public key in short, for people to compare.
func Fingerprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
