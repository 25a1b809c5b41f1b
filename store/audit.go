package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// bucketCheckpoints has the signed checkpoints of the audit log. It is made by the
// first one: a program that does not know it leaves it alone.
var bucketCheckpoints = []byte("audit-checkpoints")

// auditKeyName is the file with the key that signs the audit log. It is not in the
// database and in no backup: whoever can write one need not be able to sign the other.
const auditKeyName = "audit.key"

// exportStep is how many entries are read in one transaction.
const exportStep = 1000

// openAudit reads the key, and records when it is another than the one that signed
// before, as after a restore on another box.
func (s *Store) openAudit() (err error) {
	if s.auditKey, err = audit.OpenKey(filepath.Join(s.dir, auditKeyName)); err != nil {
		return err
	}
	var c audit.Checkpoint
	err = s.view(func(tx *bbolt.Tx) (err error) {
		if b := tx.Bucket(bucketCheckpoints); b != nil {
			c, err = audit.Last(b)
		}
		return err
	})
	if err != nil || c.Seq == 0 || s.AuditKey().Equal(ed25519.PublicKey(c.Key)) {
		return err
	}
	return s.AddAudit(audit.Entry{
		EventType: audit.Security, Actor: "docscan", Action: "audit_key_changed", Target: audit.Fingerprint(s.AuditKey()),
		Status: audit.Success, Details: "before: " + audit.Fingerprint(c.Key),
	})
}

// AuditKey is the key that checkpoints are verified with.
func (s *Store) AuditKey() ed25519.PublicKey { return s.auditKey.Public().(ed25519.PublicKey) }

// AddAudit records something that changes nothing else here, all or none.
func (s *Store) AddAudit(entries ...audit.Entry) error {
	return s.update(func(tx *bbolt.Tx) error { return appendAudit(tx, entries) })
}

// SealAudit signs the log up to its last entry.
func (s *Store) SealAudit() (c audit.Checkpoint, err error) {
	err = s.update(func(tx *bbolt.Tx) (err error) {
		c, err = s.seal(tx)
		return err
	})
	return c, err
}

func (s *Store) seal(tx *bbolt.Tx) (audit.Checkpoint, error) {
	b, err := tx.CreateBucketIfNotExists(bucketCheckpoints)
	if err != nil {
		return audit.Checkpoint{}, err
	}
	return audit.Seal(tx.Bucket(bucketAudit), b, s.auditKey)
}

// auditEnd gives the number of the last entry, and the last checkpoint.
func (s *Store) auditEnd() (n uint64, c audit.Checkpoint, err error) {
	err = s.view(func(tx *bbolt.Tx) (err error) {
		n = tx.Bucket(bucketAudit).Sequence()
		if b := tx.Bucket(bucketCheckpoints); b != nil {
			c, err = audit.Last(b)
		}
		return err
	})
	return n, c, err
}

// AuditCount is how many entries there have ever been, and up to which one the log is
// signed.
func (s *Store) AuditCount() (n, signed uint64, err error) {
	n, c, err := s.auditEnd()
	return n, c.Seq, err
}

// Tally counts batches that are not final, and documents, without reading them. While
// a migration is going on it may miss some of the former.
func (s *Store) Tally() (open, documents int, err error) {
	list := bucketOwnDocuments // the smaller one
	if !s.indexed.Load() {
		list = bucketDocuments
	}
	err = s.view(func(tx *bbolt.Tx) error {
		open = tx.Bucket(bucketOpenBatches).Stats().KeyN
		documents = tx.Bucket(list).Stats().KeyN
		return nil
	})
	return open, documents, err
}

// Audit lists entries of the log, newest first; next asks for the rest, 0: there is
// none.
func (s *Store) Audit(q audit.Query) (list []audit.Line, next uint64, err error) {
	err = s.view(func(tx *bbolt.Tx) (err error) {
		list, next, err = audit.List(tx.Bucket(bucketAudit), q)
		return err
	})
	return list, next, err
}

// Trouble gives what the log says of log-ins and limits since a moment.
func (s *Store) Trouble(since time.Time) (t audit.Trouble, err error) {
	err = s.view(func(tx *bbolt.Tx) (err error) {
		t, err = audit.Look(tx.Bucket(bucketAudit), since)
		return err
	})
	return t, err
}

// VerifyAudit holds the log in the database against itself and its checkpoints.
func (s *Store) VerifyAudit() (sum audit.Summary, err error) {
	err = s.view(func(tx *bbolt.Tx) (err error) {
		sum, err = new(audit.Verifier).Bucket(tx.Bucket(bucketAudit), tx.Bucket(bucketCheckpoints))
		return err
	})
	return sum, err
}

// ExportAudit writes the log as JSON lines, the last of them a checkpoint.
func (s *Store) ExportAudit(ctx context.Context, w io.Writer) error {
	s.pruning.RLock()
	defer s.pruning.RUnlock()
	var end uint64
	err := s.update(func(tx *bbolt.Tx) error {
		end = audit.End(tx.Bucket(bucketAudit))
		_, err := s.seal(tx)
		return err
	})
	if err != nil {
		return err
	}
	for at := (audit.Position{}); at.Entry < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := at
		if at, err = s.copyAudit(w, at, int(min(end-at.Entry, exportStep))); err != nil {
			return err
		}
		if at == before {
			return nil // a log that was cut short
		}
	}
	return nil
}

// copyAudit writes at most so many entries after a position, and gives the one it
// has come to.
func (s *Store) copyAudit(w io.Writer, from audit.Position, limit int) (audit.Position, error) {
	var b bytes.Buffer // a slow reader must not keep the transaction open
	err := s.view(func(tx *bbolt.Tx) (err error) {
		from, err = audit.Export(tx.Bucket(bucketAudit), tx.Bucket(bucketCheckpoints), &b, from, limit)
		return err
	})
	if err != nil {
		return from, err
	}
	_, err = b.WriteTo(w)
	return from, err
}

// PruneAudit removes entries from before limit and returns how many. The log stays
// provable. While somebody exports it nothing is removed.
func (s *Store) PruneAudit(limit time.Time) (n int, err error) {
	if !s.pruning.TryLock() {
		return 0, nil
	}
	defer s.pruning.Unlock()
	for {
		var step int
		err := s.update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucketCheckpoints)
			if err != nil {
				return err
			}
			step, err = audit.Prune(tx.Bucket(bucketAudit), b, s.auditKey, limit)
			return err
		})
		if n += step; err != nil || step == 0 {
			return n, err
		}
	}
}

// When the log is signed: after so many entries or so much time, whichever is first.
const (
	sealEntries = 100
	sealTime    = 10 * time.Minute
	auditTick   = time.Minute
)

// KeepAudit looks after the log until ctx ends: signs it now and then, removes what
// need not be kept any longer, and writes it to a file if one is wished. The file only
// follows the store, so that nothing waits for it and nothing is lost when it cannot be
// written.
func (s *Store) KeepAudit(ctx context.Context, cfg audit.Config) error {
	var file *audit.File
	if cfg.File != "" {
		file = audit.OpenFile(cfg)
	}
	tick := time.NewTicker(auditTick)
	defer tick.Stop()
	failed := false // so that a file that cannot be written is told of once
	due := true
	for {
		if due {
			s.sealDue()
			s.pruneDue(cfg)
		}
		if file != nil && (due || !failed) {
			err := s.follow(file)
			if err != nil && !failed {
				s.log.Error("writing the audit file failed; the log in the store goes on, and the file follows", "file", cfg.File, "err", err)
			}
			failed = err != nil
		}
		due = false
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		case <-tick.C:
			due = true
		}
	}
}

func (s *Store) sealDue() {
	n, c, err := s.auditEnd()
	if err == nil && n > c.Seq && (n-c.Seq >= sealEntries || time.Since(c.Time) >= sealTime) {
		c, err = s.SealAudit()
		// The journal is another witness of it.
		s.log.Info("audit log signed", "entry", c.Seq, "hash", c.Hash)
	}
	if err != nil {
		s.log.Error("signing the audit log failed", "err", err)
	}
}

func (s *Store) pruneDue(cfg audit.Config) {
	if cfg.KeepDays == 0 {
		return
	}
	n, err := s.PruneAudit(time.Now().AddDate(0, 0, -cfg.KeepDays))
	if n > 0 {
		err = errors.Join(err, s.AddAudit(audit.Entry{
			EventType: audit.AdminAction, Actor: "docscan", Action: "audit_pruned", Status: audit.Success,
			Details: fmt.Sprintf("%d entries older than %d days", n, cfg.KeepDays),
		}))
	}
	if err != nil {
		s.log.Error("removing old entries of the audit log failed", "err", err)
	}
}

// follow brings the file up to the store.
func (s *Store) follow(f *audit.File) error {
	n, c, err := s.auditEnd()
	if err != nil {
		return err
	}
	at, err := f.Position()
	if err != nil {
		return err
	}
	var passed bool
	err = s.view(func(tx *bbolt.Tx) (err error) {
		passed, err = audit.Passed(tx.Bucket(bucketAudit), at)
		return err
	})
	if err != nil {
		return err
	}
	if !passed { // it is of a store that a backup has taken the place of
		if err := f.Renew(); err != nil {
			return err
		}
		at = audit.Position{}
	}
	for at.Entry < n || at.Checkpoint < c.Seq {
		before := at
		var b bytes.Buffer
		if at, err = s.copyAudit(&b, at, exportStep); err != nil {
			return err
		}
		if at == before {
			return nil
		}
		if err := f.Append(b.Bytes(), at); err != nil {
			return err
		}
	}
	return nil
}
