package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// deeds gives s a log of n entries with a checkpoint after every third.
func deeds(t *testing.T, s *Store, n int) {
	t.Helper()
	s.db.NoSync = true // no power is cut here
	for i := range n {
		e := audit.Entry{EventType: audit.Authentication, Actor: fmt.Sprint("user", i%3), Action: "login", Address: fmt.Sprint("192.0.2.", i%4), Status: audit.Success}
		if i%5 == 4 {
			e.Status = audit.Failure
		}
		if err := s.AddAudit(e); err != nil {
			t.Fatal(err)
		}
		if i%3 == 2 {
			if _, err := s.SealAudit(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func export(t *testing.T, s *Store) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.ExportAudit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func seqKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Whatever is done to the log in the database shows, there and in what is exported
// afterwards.
func TestTamperedLog(t *testing.T) {
	both := func(tx *bbolt.Tx, f func(b *bbolt.Bucket) error) error {
		return errors.Join(f(tx.Bucket(bucketAudit)), f(tx.Bucket(bucketCheckpoints)))
	}
	tests := []struct {
		name string
		do   func(tx *bbolt.Tx) error
		want string
	}{
		{"a word changed", func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketAudit)
			return b.Put(seqKey(4), bytes.Replace(b.Get(seqKey(4)), []byte("user0"), []byte("user9"), 1))
		}, "entry 4"},
		{"one removed in the middle", func(tx *bbolt.Tx) error { return tx.Bucket(bucketAudit).Delete(seqKey(5)) }, "entry 6"},
		{"the first removed", func(tx *bbolt.Tx) error { return tx.Bucket(bucketAudit).Delete(seqKey(1)) }, "entry 2"},
		{"the beginning removed up to a checkpoint", func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketAudit)
			return errors.Join(b.Delete(seqKey(1)), b.Delete(seqKey(2)), b.Delete(seqKey(3)))
		}, "entry"},
		{"the last removed", func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketAudit)
			return errors.Join(b.Delete(seqKey(12)), b.Delete(seqKey(11)), b.SetSequence(10))
		}, "entry 10"},
		{"one put in twice", func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketAudit)
			return errors.Join(b.SetSequence(13), b.Put(seqKey(13), b.Get(seqKey(12))))
		}, "entry 12"},
		{"one put in anew at the end, in place of those removed", func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketAudit)
			err := errors.Join(b.Delete(seqKey(12)), b.Delete(seqKey(11)), b.SetSequence(10))
			for range 2 {
				err = errors.Join(err, audit.Append(b, entry))
			}
			return err
		}, "entry 12"},
		{"no longer JSON", func(tx *bbolt.Tx) error { return tx.Bucket(bucketAudit).Put(seqKey(7), []byte("{")) }, "entry 7"},
		{"a checkpoint's number changed", func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketCheckpoints)
			return b.Put(seqKey(6), bytes.Replace(b.Get(seqKey(6)), []byte(`"seq":6`), []byte(`"seq":5`), 1))
		}, "entry 6"},
		{"a checkpoint forged", func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketCheckpoints)
			return b.Put(seqKey(6), bytes.Replace(b.Get(seqKey(6)), []byte(`"time":"2`), []byte(`"time":"3`), 1))
		}, "entry 6"},
		{"an ordinary checkpoint made one of pruning", func(tx *bbolt.Tx) error {
			return both(tx, func(b *bbolt.Bucket) error {
				for n := uint64(1); n < 6; n++ {
					if err := b.Delete(seqKey(n)); err != nil {
						return err
					}
				}
				v := b.Get(seqKey(6))
				if bytes.Contains(v, []byte("signature")) {
					return b.Put(seqKey(6), bytes.Replace(v, []byte(`"key"`), []byte(`"pruned":true,"key"`), 1))
				}
				return b.Delete(seqKey(6))
			})
		}, "entry 6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openTest(t)
			deeds(t, s, 12)
			if sum, err := s.VerifyAudit(); err != nil || sum.Entries != 12 || sum.Sealed != 12 || sum.Checkpoints != 4 {
				t.Fatalf("before: %+v, %v", sum, err)
			}
			if err := s.db.Update(tt.do); err != nil {
				t.Fatal(err)
			}
			if _, err := s.VerifyAudit(); !errors.Is(err, audit.ErrBroken) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("in the database: %v, want %s", err, tt.want)
			}
			var b bytes.Buffer
			err := s.ExportAudit(t.Context(), &b) // may refuse what is not JSON
			if err == nil {
				_, err = new(audit.Verifier).Export(t.Context(), &b)
			}
			if !errors.Is(err, audit.ErrBroken) {
				t.Errorf("in the export: %v, want a broken log", err)
			}
		})
	}
}

// So does whatever is done to an export.
func TestTamperedExport(t *testing.T) {
	s := openTest(t)
	deeds(t, s, 10)
	whole := strings.SplitAfter(strings.TrimSuffix(export(t, s), "\n"), "\n")
	verify := func(lines []string, v audit.Verifier) (audit.Summary, error) {
		return v.Export(t.Context(), strings.NewReader(strings.Join(lines, "")))
	}
	sum, err := verify(whole, audit.Verifier{Trusted: []ed25519.PublicKey{s.AuditKey()}})
	if err != nil || sum.Entries != 10 || sum.First != 1 || sum.Sealed != 10 || len(sum.Keys) != 1 || sum.Keys[0] != audit.Fingerprint(s.AuditKey()) {
		t.Fatalf("whole: %+v, %v", sum, err)
	}
	for i := range whole {
		if _, err := verify(slices.Delete(slices.Clone(whole), i, i+1), audit.Verifier{}); err == nil && !strings.Contains(whole[i], "audit_checkpoint") {
			t.Errorf("entry in line %d removed: not noticed", i+1)
		}
		if _, err := verify(slices.Insert(slices.Clone(whole), i, whole[i]), audit.Verifier{}); err == nil && !strings.Contains(whole[i], "audit_checkpoint") {
			t.Errorf("entry in line %d doubled: not noticed", i+1)
		}
		for _, change := range [][2]string{{"user", "User"}, {"192.0.2.", "192.0.3."}, {"success", "failure"}, {"INFO", "WARN"}, {`"timestamp": "2`, `"timestamp": "3`}} {
			changed := slices.Clone(whole)
			changed[i] = strings.Replace(changed[i], change[0], change[1], 1)
			if _, err := verify(changed, audit.Verifier{}); err == nil && changed[i] != whole[i] && !strings.Contains(whole[i], "audit_checkpoint") {
				t.Errorf("%s in line %d: not noticed", change[1], i+1)
			}
		}
		if i > 0 && !strings.Contains(whole[i-1], "audit_checkpoint") {
			if _, err := verify(whole[:i], audit.Verifier{}); !errors.Is(err, audit.ErrBroken) {
				t.Errorf("cut off before line %d: %v", i+1, err)
			}
		}
	}

	// One that ends with an earlier checkpoint is the log of that time; who has a
	// later one sees what is missing.
	old := whole[:4]
	if !strings.Contains(old[3], "audit_checkpoint") {
		t.Fatalf("line 4 is %s", old[3])
	}
	end, err := audit.LastCheckpoint(strings.NewReader(strings.Join(whole, "")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(old, audit.Verifier{}); err != nil {
		t.Error(err)
	}
	if _, err := verify(old, audit.Verifier{Earlier: &end}); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("shorter than the earlier export: %v", err)
	}
	if _, err := verify(whole, audit.Verifier{Earlier: &end}); err != nil {
		t.Error(err)
	}

	// A log made anew as a whole has another key, or fails the earlier checkpoint.
	forged := openTest(t)
	deeds(t, forged, 12)
	other := strings.SplitAfter(export(t, forged), "\n")
	if _, err := verify(other, audit.Verifier{Trusted: []ed25519.PublicKey{s.AuditKey()}}); !errors.Is(err, audit.ErrBroken) || !strings.Contains(err.Error(), "another key") {
		t.Errorf("another box's log: %v", err)
	}
	if _, err := verify(other, audit.Verifier{Earlier: &end}); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("another box's log beside an earlier export: %v", err)
	}
}

// What was removed as too old leaves a signed note; the rest can be verified, and
// pruning is not something that anybody can imitate.
func TestPrune(t *testing.T) {
	s := openTest(t)
	deeds(t, s, 7)
	limit := time.Now()
	deeds(t, s, 4)
	if n, err := s.PruneAudit(limit); n != 7 || err != nil {
		t.Fatalf("%d removed, %v, want 7", n, err)
	}
	if n, err := s.PruneAudit(limit); n != 0 || err != nil {
		t.Errorf("the second time %d removed, %v", n, err)
	}
	sum, err := s.VerifyAudit()
	if err != nil || sum.Entries != 4 || sum.First != 8 || sum.Last != 11 {
		t.Errorf("%+v, %v", sum, err)
	}
	text := export(t, s)
	if sum, err := new(audit.Verifier).Export(t.Context(), strings.NewReader(text)); err != nil || sum.Entries != 4 {
		t.Errorf("%+v, %v", sum, err)
	}
	_, rest, _ := strings.Cut(text, "\n")
	if _, err := new(audit.Verifier).Export(t.Context(), strings.NewReader(rest)); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("without the note: %v", err)
	}
	// All are old: the last one stays, so that the chain goes on.
	if n, err := s.PruneAudit(time.Now().Add(time.Hour)); n != 3 || err != nil {
		t.Errorf("%d removed, %v, want 3", n, err)
	}
	deeds(t, s, 1)
	if sum, err := s.VerifyAudit(); err != nil || sum.Entries != 2 || sum.First != 11 {
		t.Errorf("%+v, %v", sum, err)
	}
	if report, err := s.Check(t.Context()); err != nil || len(report.Problems) > 0 {
		t.Errorf("the check finds %+v, %v", report.Problems, err)
	}
}

// A long log is exported and pruned in steps.
func TestLongLog(t *testing.T) {
	s := openTest(t)
	const n = 2*exportStep + 17
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for range n {
			if err := audit.Append(tx.Bucket(bucketAudit), entry); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := new(audit.Verifier).Export(t.Context(), strings.NewReader(export(t, s))); err != nil || sum.Entries != n {
		t.Errorf("%+v, %v", sum, err)
	}
	if gone, err := s.PruneAudit(time.Now().Add(time.Second)); gone != n-1 || err != nil {
		t.Errorf("%d removed, %v", gone, err)
	}
	if sum, err := s.VerifyAudit(); err != nil || sum.Entries != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// What is no UTF-8 goes into the log all the same, and does not break it.
func TestBadTextInLog(t *testing.T) {
	s := openTest(t)
	for _, text := range []string{"\xff\xfe", "a\xc3", "\x00\u2028<&>\ufffd", `"\`} {
		if err := s.AddAudit(audit.Entry{Actor: text, Action: text, Target: text, Details: text, Status: audit.Failure}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.VerifyAudit(); err != nil {
		t.Error(err)
	}
	if _, err := new(audit.Verifier).Export(t.Context(), strings.NewReader(export(t, s))); err != nil {
		t.Error(err)
	}
}

// The key stays; another one, as on another box, is told of in the log.
func TestAuditKey(t *testing.T) {
	s := openTest(t)
	deeds(t, s, 1)
	key := s.AuditKey()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	reopen := func() *Store {
		n, err := Open(Config{Dir: s.Dir()}, s.log)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s = reopen()
	if !key.Equal(s.AuditKey()) {
		t.Error("the key is another after a start")
	}
	if sum, err := s.VerifyAudit(); err != nil || sum.Entries != 1 || sum.Sealed != 1 {
		t.Errorf("after a stop: %+v, %v", sum, err)
	}
	if err := errors.Join(s.Close(), os.Remove(filepath.Join(s.Dir(), auditKeyName))); err != nil {
		t.Fatal(err)
	}
	s = reopen()
	defer s.Close()
	list, _, err := s.Audit(audit.Query{Limit: 1})
	if err != nil || list[0].Action != "audit_key_changed" || list[0].Target != audit.Fingerprint(s.AuditKey()) {
		t.Errorf("%+v, %v", list, err)
	}
	if sum, err := new(audit.Verifier).Export(t.Context(), strings.NewReader(export(t, s))); err != nil || len(sum.Keys) != 2 {
		t.Errorf("%+v, %v", sum, err)
	}
	pem, err := audit.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := audit.DecodeKey(pem); err != nil || !back.Equal(key) {
		t.Errorf("the key does not come back: %v", err)
	}
}

// The guide of the service before greps and asks jq. Its lines work.
func TestGuideLines(t *testing.T) {
	s := openTest(t)
	deeds(t, s, 20)
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(export(t, s)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ line, want string }{
		{`jq -c 'select(.action == "login")' audit.log | wc -l`, "20"},
		{`jq -c 'select(.event_type == "authentication" and .status == "failure")' audit.log | wc -l`, "4"},
		{`jq -r 'select(.action == "login" and .status == "failure") | .ip_address' audit.log | sort | uniq -c | sort -rn | awk '{print $1, $2}' | head -2`, "1 192.0.2.3\n1 192.0.2.2"},
		{`jq -s '[.[] | select(.status == "failure")] | group_by(.ip_address) | map({ip: .[0].ip_address, n: length}) | length' audit.log`, "4"},
		{`grep '"action": "login"' audit.log | grep -c '"status": "failure"'`, "4"},
		{`jq -r '[.timestamp, .level, .event_type, .actor, .action, .target, .ip_address, .status, .details, .message] | length' audit.log | sort -u`, "10"},
	}
	for _, tt := range tests {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", tt.line)
		cmd.Dir = filepath.Dir(path)
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
			t.Errorf("%s\ngives %q, %v, want %q", tt.line, got, err, tt.want)
		}
	}
}

// The file has what the log has, whatever becomes of it: half lines after a power
// cut, rotation by size, a restart, a folder that is not there for a while.
func TestAuditFile(t *testing.T) {
	s := openTest(t)
	dir := t.TempDir()
	cfg := audit.Config{File: filepath.Join(dir, "audit.log"), FileMB: 1, FileCount: 3}
	all := func() string {
		var b strings.Builder
		for _, suffix := range []string{".3", ".2", ".1", ""} {
			data, err := os.ReadFile(cfg.File + suffix)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			b.Write(data)
		}
		return b.String()
	}
	same := func(what string) {
		t.Helper()
		if got, want := all(), export(t, s); got != want {
			t.Fatalf("%s: the file has %d lines, the log %d", what, strings.Count(got, "\n"), strings.Count(want, "\n"))
		}
	}
	follow := func() {
		t.Helper()
		if _, err := s.SealAudit(); err != nil {
			t.Fatal(err)
		}
		if err := s.follow(audit.OpenFile(cfg)); err != nil {
			t.Fatal(err)
		}
	}
	deeds(t, s, 4)
	follow()
	same("at first")
	follow()
	same("without news")
	deeds(t, s, 2)
	follow()
	same("after a start")

	data, err := os.ReadFile(cfg.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.File, data[:len(data)-300], 0o640); err != nil {
		t.Fatal(err)
	}
	deeds(t, s, 1)
	follow()
	same("after a power cut")

	for range 5 {
		err := s.db.Update(func(tx *bbolt.Tx) error {
			for range 1000 {
				if err := audit.Append(tx.Bucket(bucketAudit), entry); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		follow()
	}
	same("after rotation")
	if info, err := os.Stat(cfg.File + ".1"); err != nil || info.Size() > int64(cfg.FileMB)<<20 {
		t.Errorf("the file before: %v, %v", info, err)
	}
	if sum, err := new(audit.Verifier).Export(t.Context(), bufio.NewReader(strings.NewReader(all()))); err != nil || sum.Entries != 5007 {
		t.Errorf("the files are not an export: %+v, %v", sum, err)
	}

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	deeds(t, s, 1)
	if err := s.follow(audit.OpenFile(cfg)); err == nil {
		t.Error("a folder that is not there is no error")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	follow()
	same("written anew")
}

// A restore makes the log another one. However many entries it has by the time, the file
// does not go on with what was before.
func TestAuditFileAfterRestore(t *testing.T) {
	for _, entries := range []int{2, 4, 9} {
		s, restored := openTest(t), openTest(t)
		cfg := audit.Config{File: filepath.Join(t.TempDir(), "audit.log"), FileMB: 1, FileCount: 3}
		deeds(t, s, 4)
		before := export(t, s)
		deeds(t, restored, entries)
		want := export(t, restored)
		for _, from := range []*Store{s, restored, restored} { // the last as at a later start
			if err := from.follow(audit.OpenFile(cfg)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(cfg.File)
		if err != nil || string(got) != want {
			t.Errorf("the file has %d lines, want the %d of the restored log; %v", bytes.Count(got, []byte("\n")), strings.Count(want, "\n"), err)
		}
		if aside, err := os.ReadFile(cfg.File + ".1"); err != nil || string(aside) != before {
			t.Errorf("the file of before is %d bytes, want %d; %v", len(aside), len(before), err)
		}
		if _, err := os.Stat(cfg.File + ".2"); err == nil {
			t.Error("the file is begun anew again and again")
		}
	}
}

// KeepAudit signs, prunes and writes without being asked.
func TestKeepAudit(t *testing.T) {
	s := openTest(t)
	deeds(t, s, 1)
	synctest.Test(t, func(t *testing.T) {
		outside := s.changed
		defer func() { s.changed = outside }()
		s.changed = make(chan struct{}, 1)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		cfg := audit.Config{File: filepath.Join(t.TempDir(), "audit.log"), FileMB: 1, FileCount: 1, KeepDays: 1}
		done := make(chan error, 1)
		go func() { done <- s.KeepAudit(ctx, cfg) }()
		synctest.Wait()
		if err := s.AddAudit(entry); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		data, err := os.ReadFile(cfg.File)
		if err != nil || strings.Count(string(data), `"hash"`) < 2 {
			t.Errorf("the file follows with %q, %v", data, err)
		}
		time.Sleep(sealTime + 2*auditTick)
		synctest.Wait()
		if n, c, err := s.auditEnd(); err != nil || c.Seq != n {
			t.Errorf("of %d entries %d are signed, %v", n, c.Seq, err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
