package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"docscan/store/audit"
	"docscan/store/writeback"
)

// Kinds of problems.
const (
	ProblemMissingBlob     = "missing-blob"     // a record names a file that is not there
	ProblemDamagedBlob     = "damaged-blob"     // a file is not what its name says
	ProblemOrphanBlob      = "orphan-blob"      // no record names a file
	ProblemStrangeFile     = "strange-file"     // docscan did not put it there
	ProblemBrokenRecord    = "broken-record"    // a record cannot be read
	ProblemBrokenReference = "broken-reference" // a record names one that is not there
	ProblemWrongCounter    = "wrong-counter"    // a batch counts its pages wrongly
	ProblemIndex           = "index"            // a list does not agree with its records
	ProblemAudit           = "audit"            // the audit log was changed
	ProblemDatabase        = "database"         // bbolt finds the database damaged
	ProblemMore            = "more"             // there are more than a report holds
)

// A Problem is something wrong with the data, in a person's words.
type Problem struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject"` // what it is about: "page 3 of batch 0190...", a file
	What    string `json:"what"`    // what is wrong, and what that means
	Advice  string `json:"advice"`  // what to do
}

// A Report is what a check found.
type Report struct {
	Problems []Problem `json:"problems"` // empty when all is well
	// Counts says how much was looked at: "batches", "pages", "documents",
	// "users", "sessions", "tokens", "profiles", "settings", "audit", "blobs",
	// "bytes" (of blobs), "waiting" (files that no record names yet or any more,
	// as is usual for a while), and "problems".
	Counts map[string]int `json:"counts"`
}

// maxProblems bounds a report: a lost disk must not fill the memory too.
const maxProblems = 1000

const (
	adviceRestore  = "Restore the newest backup that is whole (docscanctl restore), or delete what it belongs to and scan it again."
	adviceRepair   = "Nothing is lost. Stop docscand and start it again; it makes its lists anew when an older version has used the data. If it stays, report it."
	adviceDisk     = "Look at the disk's health (smartctl -a, dmesg), and restore the newest backup that is whole (docscanctl restore)."
	adviceAudit    = "Find out who had access to the data directory. A backup has the log as it was then."
	adviceOrphan   = "Nothing is lost. docscand removes it within a few hours; should it be needed, copy it elsewhere before."
	adviceStrange  = "docscan does not use it and leaves it alone. Move it elsewhere."
	adviceReport   = "Report it, with this output; the data that it does not name are whole."
	adviceFileName = "Restore the file from a backup, or delete what it belongs to and scan it again."
)

// Check walks everything: each record and what it refers to, each file against
// its hash, the chain of the audit log, and the database's own pages. It changes
// nothing, and other work goes on meanwhile: it reads a snapshot. The error says
// why it could not look; what it found is in the report.
func (s *Store) Check(ctx context.Context) (Report, error) {
	release := s.files.hold() // before the snapshot: its files must stay
	defer release()
	snap, err := s.snapshot()
	if err != nil {
		return Report{}, fmt.Errorf("check: %w", err)
	}
	defer snap.remove()
	waiting := func(sum string, info fs.FileInfo) bool {
		s.files.mu.Lock()
		defer s.files.mu.Unlock()
		if _, ok := s.files.recent[sum]; ok {
			return true
		}
		// What an earlier process had under way when it ended is swept after
		// the grace time. What is newer than this process is not ours.
		return info.ModTime().Before(s.opened) && time.Since(info.ModTime()) < Grace
	}
	r, err := checkData(ctx, snap.path, s.dir, waiting)
	if err != nil {
		return Report{}, fmt.Errorf("check: %w", err)
	}
	return r, nil
}

// CheckDir is Check for a data directory that no daemon is using. The error
// wraps ErrLocked if one is, ErrNewerSchema, or fs.ErrNotExist.
func CheckDir(ctx context.Context, dir string) (Report, error) {
	name := filepath.Join(dir, databaseName)
	if _, err := os.Stat(name); err != nil {
		return Report{}, fmt.Errorf("check %s: there are no data of docscan: %w", dir, err)
	}
	waiting := func(_ string, info fs.FileInfo) bool { return time.Since(info.ModTime()) < Grace }
	r, err := checkData(ctx, name, dir, waiting)
	if err != nil {
		return Report{}, fmt.Errorf("check %s: %w", dir, err)
	}
	return r, nil
}

// checkData checks the database file at path and the blobs in dir. waiting says
// of a file without a name whether that is as it should be.
func checkData(ctx context.Context, path, dir string, waiting func(sum string, info fs.FileInfo) bool) (Report, error) {
	c := checker{
		ctx:    ctx,
		dir:    dir,
		named:  make(map[string]reference),
		counts: map[string]int{"waiting": 0, "bytes": 0},
	}
	err := withDatabase(path, func(tx *bbolt.Tx) error {
		if err := checkSchema(tx); err != nil {
			return err
		}
		if err := guarded(func() error { return c.records(tx) }); err != nil {
			return err
		}
		// bbolt looks at the same pages again, where a wild pointer could not be
		// caught: only if our own walk met none.
		return c.pages(tx)
	})
	var bad *damage
	switch {
	case errors.As(err, &bad):
		c.add(ProblemDatabase, databaseName, fmt.Sprintf("The database is damaged (%v). Records in the damaged part cannot be read.", bad.err), adviceDisk)
	case err != nil:
		return Report{}, err
	}
	if bad == nil {
		if err := c.blobs(); err != nil {
			return Report{}, err
		}
		if err := c.files(waiting); err != nil {
			return Report{}, err
		}
	}
	if n := c.counts["problems"]; n > maxProblems {
		c.problems = append(c.problems, Problem{ProblemMore, "report", fmt.Sprintf("There are %d more problems than are listed.", n-maxProblems), "Deal with those listed, then check again."})
	}
	if c.problems == nil {
		c.problems = []Problem{}
	}
	return Report{c.problems, c.counts}, nil
}

// checker gathers what a check finds.
type checker struct {
	ctx      context.Context
	dir      string
	problems []Problem
	counts   map[string]int
	named    map[string]reference // by sum
}

// A reference is a blob as a record names it.
type reference struct {
	blob Blob
	by   string // the record
	part string // what it is there: "the PDF"
}

func (c *checker) add(kind, subject, what, advice string) {
	c.counts["problems"]++
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{kind, subject, what, advice})
	}
}

// decode reads a record. Of one that is broken it tells, and gives false.
func decode[T any](c *checker, bucket, key, value []byte) (T, bool) {
	c.counts[string(bucket)]++
	var t T
	if err := json.Unmarshal(value, &t); err != nil {
		c.broken(bucket, key, err.Error())
		return t, false
	}
	return t, true
}

func (c *checker) broken(bucket, key []byte, what string) {
	c.add(ProblemBrokenRecord, recordName(bucket, key), "A record cannot be used: "+what+". What it describes is not shown or not found.", adviceRestore)
}

// recordName names a record whose content may be unreadable.
func recordName(bucket, key []byte) string {
	switch {
	case bytes.Equal(bucket, bucketPages) && len(key) > 5:
		return pageName(BatchID(key[:len(key)-5]), int(binary.BigEndian.Uint32(key[len(key)-4:])))
	case bytes.Equal(bucket, bucketSessions), bytes.Equal(bucket, bucketTokens):
		return fmt.Sprintf("%s/%.8q...", bucket, key) // the hash of a secret
	}
	return fmt.Sprintf("%s/%q", bucket, key)
}

func pageName(batch BatchID, seq int) string { return fmt.Sprintf("page %d of batch %s", seq, batch) }

func (c *checker) dangling(subject, what string) {
	c.add(ProblemBrokenReference, subject, what, adviceRestore)
}

// records walks all buckets.
func (c *checker) records(tx *bbolt.Tx) error {
	for _, name := range slices.Concat(recordBuckets, indexBuckets) {
		if tx.Bucket(name) == nil {
			c.add(ProblemDatabase, databaseName, fmt.Sprintf("The list %q is missing altogether.", name), adviceDisk)
			return nil
		}
	}
	for _, walk := range []func(*bbolt.Tx) error{c.batches, c.pageRecords, c.documents, c.people, c.rest, c.indexes} {
		if err := walk(tx); err != nil {
			return err
		}
	}
	sum, err := new(audit.Verifier).Bucket(tx.Bucket(bucketAudit), tx.Bucket(bucketCheckpoints))
	c.counts[string(bucketAudit)] = sum.Entries
	if err != nil {
		c.add(ProblemAudit, "audit log", fmt.Sprintf("%v. Entries from there on prove nothing.", err), adviceAudit)
	}
	return nil
}

func (c *checker) each(tx *bbolt.Tx, bucket []byte, f func(k, v []byte)) error {
	return tx.Bucket(bucket).ForEach(func(k, v []byte) error {
		f(k, v)
		return c.ctx.Err()
	})
}

// batches checks each batch, its pages and its documents.
func (c *checker) batches(tx *bbolt.Tx) error {
	return c.each(tx, bucketBatches, func(k, v []byte) {
		b, ok := decode[Batch](c, bucketBatches, k, v)
		if !ok {
			return
		}
		name := "batch " + string(k)
		if string(b.ID) != string(k) {
			c.broken(bucketBatches, k, fmt.Sprintf("it says it is batch %.40q", b.ID))
			return
		}
		if !slices.Contains([]BatchState{BatchScanning, BatchStopped, BatchProcessing, BatchCompleted, BatchCanceled, BatchFailed}, b.State) {
			c.broken(bucketBatches, k, fmt.Sprintf("its state %.40q is not known", b.State))
		}
		c.owner(tx, name, b.Owner)
		if b.Upload != nil {
			c.name(name, "the uploaded file", b.Upload.File)
		}
		pages, err := pagesOf(tx, b.ID)
		if err != nil {
			return // told by pageRecords
		}
		done := 0
		for _, p := range pages {
			if p.State != PageSafe {
				done++
			}
		}
		if len(pages) != b.Pages || done != b.Done {
			c.add(ProblemWrongCounter, name, fmt.Sprintf("It counts %d pages of which %d are done; there are %d and %d.", b.Pages, b.Done, len(pages), done),
				"No page is lost by this, unless others of this batch are reported too. "+adviceReport)
		}
		if b.State != BatchCompleted {
			return
		}
		for _, id := range b.Documents {
			if tx.Bucket(bucketDocuments).Get([]byte(id)) == nil {
				c.dangling(name, fmt.Sprintf("Its document %s is not there.", id))
			}
		}
	})
}

func (c *checker) pageRecords(tx *bbolt.Tx) error {
	return c.each(tx, bucketPages, func(k, v []byte) {
		p, ok := decode[Page](c, bucketPages, k, v)
		if !ok {
			return
		}
		if !bytes.Equal(k, pageKey(p.Batch, p.Seq)) {
			c.broken(bucketPages, k, fmt.Sprintf("it says it is page %d of batch %.40q", p.Seq, p.Batch))
			return
		}
		name := pageName(p.Batch, p.Seq)
		if !slices.Contains([]PageState{PageSafe, PageDone, PageKept}, p.State) {
			c.broken(bucketPages, k, fmt.Sprintf("its state %.40q is not known", p.State))
		}
		if tx.Bucket(bucketBatches).Get([]byte(p.Batch)) == nil {
			c.dangling(name, "Its batch is not there, so the page is in no list.")
		}
		if p.Supersedes != 0 && tx.Bucket(bucketPages).Get(pageKey(p.Batch, p.Supersedes)) == nil {
			c.dangling(name, fmt.Sprintf("Page %d, whose place it takes, is not there.", p.Supersedes))
		}
		c.name(name, "the image as it was scanned", p.Raw)
		c.name(name, "the picture for the PDF", p.Image.Blob)
		c.name(name, "the layers for the PDF", p.Layered.Blob)
		c.name(name, "the picture for the screen", p.View)
		c.name(name, "the thumbnail", p.Thumb)
		c.name(name, "the text", p.Text)
	})
}

func (c *checker) documents(tx *bbolt.Tx) error {
	return c.each(tx, bucketDocuments, func(k, v []byte) {
		d, ok := decode[Document](c, bucketDocuments, k, v)
		if !ok {
			return
		}
		if string(d.ID) != string(k) {
			c.broken(bucketDocuments, k, fmt.Sprintf("it says it is document %.40q", d.ID))
			return
		}
		name := "document " + string(k)
		c.owner(tx, name, d.Owner)
		if tx.Bucket(bucketBatches).Get([]byte(d.Batch)) == nil {
			c.dangling(name, fmt.Sprintf("Its batch %.40q is not there.", d.Batch))
		}
		for i, p := range d.Pages {
			if tx.Bucket(bucketPages).Get(pageKey(p.Batch, p.Seq)) == nil {
				c.dangling(name, fmt.Sprintf("Its page %d (%s) is not there. The PDF still has it.", i+1, pageName(p.Batch, p.Seq)))
			}
		}
		if d.PDF.Zero() {
			c.broken(bucketDocuments, k, "it names no PDF")
		}
		c.name(name, "the PDF", d.PDF)
	})
}

func (c *checker) people(tx *bbolt.Tx) error {
	names := make(map[string]string)
	err := c.each(tx, bucketUsers, func(k, v []byte) {
		u, ok := decode[User](c, bucketUsers, k, v)
		if !ok {
			return
		}
		if string(u.ID) != string(k) {
			c.broken(bucketUsers, k, fmt.Sprintf("it says it is user %.40q", u.ID))
		}
		folded := FoldName(u.Name)
		if other, twice := names[folded]; twice {
			c.add(ProblemBrokenRecord, "user "+string(k), fmt.Sprintf("The log-in name %.40q is that of user %s too; only one of them can log in.", u.Name, other), adviceReport)
		}
		names[folded] = string(k)
	})
	if err != nil {
		return err
	}
	err = c.each(tx, bucketSessions, func(k, v []byte) {
		x, ok := decode[Session](c, bucketSessions, k, v)
		if ok {
			c.key(tx, bucketSessions, k, x.Hash, x.User)
		}
	})
	if err != nil {
		return err
	}
	return c.each(tx, bucketTokens, func(k, v []byte) {
		x, ok := decode[Token](c, bucketTokens, k, v)
		if ok {
			c.key(tx, bucketTokens, k, x.Hash, x.User)
		}
	})
}

// key checks what a session and a token have in common.
func (c *checker) key(tx *bbolt.Tx, bucket, k []byte, hash string, user UserID) {
	if hash != string(k) {
		c.broken(bucket, k, "its hash is another one")
	}
	c.owner(tx, recordName(bucket, k), user)
}

// owner checks that a user is there. What is no identifier is none of our
// users: it stands for somebody outside, such as root on the box.
func (c *checker) owner(tx *bbolt.Tx, subject string, id UserID) {
	if id != "" && CheckID(string(id)) == nil && tx.Bucket(bucketUsers).Get([]byte(id)) == nil {
		c.dangling(subject, fmt.Sprintf("It belongs to user %s, who is not there. Only admins see it.", id))
	}
}

// rest checks records that refer to nothing.
func (c *checker) rest(tx *bbolt.Tx) error {
	err := c.each(tx, bucketProfiles, func(k, v []byte) {
		if p, ok := decode[Profile](c, bucketProfiles, k, v); ok && string(p.ID) != string(k) {
			c.broken(bucketProfiles, k, fmt.Sprintf("it says it is profile %.40q", p.ID))
		}
	})
	if err != nil {
		return err
	}
	return c.each(tx, bucketSettings, func(k, v []byte) { decode[any](c, bucketSettings, k, v) })
}

// indexes checks that each index has exactly the keys its records ask for.
func (c *checker) indexes(tx *bbolt.Tx) error {
	if !migrated(tx) {
		return nil // they are made anew
	}
	want := make(map[string]bool)
	if err := each(tx, bucketBatches, func(k []byte, b *Batch) error {
		if !b.State.Final() {
			want[string(bucketOpenBatches)+"/"+string(k)] = true
		}
		want[string(bucketOwnBatches)+"/"+string(ownerKey(b.Owner, string(k)))] = true
		return nil
	}); err != nil {
		return nil // told already
	}
	if err := each(tx, bucketDocuments, func(k []byte, d *Document) error {
		want[string(bucketOwnDocuments)+"/"+string(ownerKey(d.Owner, string(k)))] = true
		return nil
	}); err != nil {
		return nil // told already
	}
	for _, name := range indexBuckets {
		err := c.each(tx, name, func(k, _ []byte) {
			at := string(name) + "/" + string(k)
			if !want[at] {
				c.add(ProblemIndex, strings.ReplaceAll(at, "\x00", "/"), "A list has an entry without its record.", adviceRepair)
			}
			delete(want, at)
		})
		if err != nil {
			return err
		}
	}
	for at := range want {
		c.add(ProblemIndex, strings.ReplaceAll(at, "\x00", "/"), "A record is missing in a list, so it is not shown there.", adviceRepair)
	}
	return nil
}

// name remembers that a record names b.
func (c *checker) name(by, part string, b Blob) {
	if b.Zero() {
		return
	}
	if !validSum(b.Sum) || b.Size < 0 {
		c.add(ProblemBrokenRecord, by, fmt.Sprintf("%s has an impossible name (%.70q, %d bytes).", part, b.Sum, b.Size), adviceRestore)
		return
	}
	if before, twice := c.named[b.Sum]; twice {
		if before.blob.Size != b.Size {
			c.add(ProblemBrokenRecord, by, fmt.Sprintf("%s has %d bytes here and %d bytes in %s.", part, b.Size, before.blob.Size, before.by), adviceRestore)
		}
		return
	}
	c.named[b.Sum] = reference{b, by, part}
}

// pages lets bbolt check its own structure.
func (c *checker) pages(tx *bbolt.Tx) error {
	for err := range tx.Check() { // to its end: a goroutine sends
		c.add(ProblemDatabase, databaseName, fmt.Sprintf("The database's structure is damaged (%v).", err), adviceDisk)
	}
	return c.ctx.Err()
}

// blobs checks the files that records name.
func (c *checker) blobs() error {
	for _, sum := range sortedKeys(c.named) {
		r := c.named[sum]
		got, size, err := hashFile(c.ctx, blobPath(c.dir, sum))
		switch {
		case c.ctx.Err() != nil:
			return c.ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			c.add(ProblemMissingBlob, r.by, fmt.Sprintf("The file of %s is missing: blobs/%s/%s.", r.part, sum[:2], sum), adviceFileName)
			continue
		case err != nil:
			c.add(ProblemDamagedBlob, r.by, fmt.Sprintf("The file of %s cannot be read: %v.", r.part, err), adviceDisk)
			continue
		case got != sum || size != r.blob.Size:
			c.add(ProblemDamagedBlob, r.by, fmt.Sprintf("The file of %s is damaged: blobs/%s/%s is not what was written (it has %d bytes, %d are recorded).", r.part, sum[:2], sum, size, r.blob.Size), adviceFileName)
		}
		c.counts["blobs"]++
		c.counts["bytes"] += int(size)
	}
	return nil
}

// files looks for files below blobs/ that no record names.
func (c *checker) files(waiting func(sum string, info fs.FileInfo) bool) error {
	err := eachBlobFile(c.dir, func(path string, info fs.FileInfo) error {
		sum := info.Name()
		_, named := c.named[sum]
		rel, err := filepath.Rel(c.dir, path)
		if err != nil {
			return err
		}
		switch {
		case !validSum(sum) || path != blobPath(c.dir, sum) || !info.Mode().IsRegular():
			c.add(ProblemStrangeFile, rel, "It is not one of docscan's files.", adviceStrange)
		case named:
		case waiting(sum, info) && c.whole(path, sum):
			c.counts["waiting"]++
		default:
			c.add(ProblemOrphanBlob, rel, "No record names this file.", adviceOrphan)
		}
		return c.ctx.Err()
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no blobs at all: told by the records that name some
	}
	return err
}

// whole reports whether a file is what its name says. One that is not was not
// written by docscan, whatever its age.
func (c *checker) whole(path, sum string) bool {
	got, _, err := hashFile(c.ctx, path)
	return err == nil && got == sum
}

// hashFile gives a file's SHA-256 and size.
func hashFile(ctx context.Context, path string) (sum string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, &contextReader{ctx, f})
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// contextReader ends with the error of ctx once that has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// damage says that a database file's structure is broken.
type damage struct{ err error }

func (d *damage) Error() string { return fmt.Sprintf("the database is damaged: %v", d.err) }
func (d *damage) Unwrap() error { return d.err }

// guarded runs f, which reads a database that may be damaged. bbolt trusts its
// file: a wild page number makes it panic, or fault beyond the mapping.
func guarded(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if r := recover(); r != nil {
			err = &damage{fmt.Errorf("%v", r)}
		}
	}()
	return f()
}

// withDatabase opens a database file for reading only, for f. A file that is no
// whole database gives a *damage.
func withDatabase(path string, f func(tx *bbolt.Tx) error) error {
	var db *bbolt.DB
	err := guarded(func() (err error) {
		db, err = bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: probeTimeout})
		return err
	})
	switch {
	case err == nil:
	case errors.Is(err, berrors.ErrTimeout):
		return ErrLocked
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, io.ErrUnexpectedEOF):
		return &damage{err}
	default:
		return err
	}
	defer db.Close()
	return guarded(func() error { return db.View(f) })
}

// snapshot is a copy of the database at one moment.
type snapshot struct{ path string }

// snapshot copies the database into the spool. A read transaction that lasts as
// long as somebody's network would keep a growing database from its writers; a
// copy on the same disk takes moments.
func (s *Store) snapshot() (snapshot, error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, spoolName), "snapshot-*")
	if err != nil {
		return snapshot{}, fmt.Errorf("copy the database: %w", mapError(err))
	}
	w := writeError{w: writeback.New(f, 0)}
	err = s.view(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(&w)
		return err
	})
	if w.err != nil {
		err = w.err // bbolt keeps the text of it only
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return snapshot{}, fmt.Errorf("copy the database: %w", mapError(err))
	}
	return snapshot{f.Name()}, nil
}

// writeError keeps the first error of a writer.
type writeError struct {
	w   io.Writer
	err error
}

func (w *writeError) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

func (s snapshot) remove() { os.Remove(s.path) }
