package store

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/writeback"
)

// A backup is one tar file, so that a person can look inside with tar and prove
// it with sha256sum -c. Its entries, in this order:
//
//	docscan-backup.json      what it is: a backupHeader
//	docscan.db               the database at one moment
//	blobs/ab/ab12...         every file that database names, by name
//	SHA256SUMS               of all above
//	docscan-backup-end.json  a backupTrailer; without it the file is not whole
const (
	backupHeaderName  = "docscan-backup.json"
	backupSumsName    = "SHA256SUMS"
	backupTrailerName = "docscan-backup-end.json"
)

// backupFormat is the form of backups this program writes and the newest it
// reads.
const backupFormat = 1

type backupHeader struct {
	Format       int       `json:"format"`
	Created      time.Time `json:"created"`
	Schema       uint64    `json:"schema"`        // of the data
	OldestReader uint64    `json:"oldest_reader"` // the oldest schema whose programs can read them
	DatabaseSize int64     `json:"database_size"`
	Blobs        int       `json:"blobs"`
	BlobBytes    int64     `json:"blob_bytes"`
}

type backupTrailer struct {
	Files  int    `json:"files"`  // entries before this one
	Bytes  int64  `json:"bytes"`  // of their content
	SHA256 string `json:"sha256"` // of the whole file up to this entry
}

// ErrBadBackup says that a file is no whole backup.
var ErrBadBackup = errors.New("this is no whole backup")

// Backup writes everything to w, as it is at one moment, while other work goes
// on. It fails rather than leave out a file that is missing or damaged. The
// backup is whole only if the error is nil. It calls copied, if not nil, when it
// needs the store itself no more, only the files of pages and documents.
func (s *Store) Backup(ctx context.Context, w io.Writer, copied func()) error {
	if err := s.backup(ctx, w, copied); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, w io.Writer, copied func()) error {
	release := s.files.hold() // before the snapshot: its files must stay
	defer release()
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	defer snap.remove()
	info, err := os.Stat(snap.path)
	if err != nil {
		return err
	}
	h := backupHeader{Format: backupFormat, Created: time.Now().UTC().Truncate(time.Second), DatabaseSize: info.Size()}
	var named map[string]Blob
	err = withDatabase(snap.path, func(tx *bbolt.Tx) (err error) {
		h.Schema, h.OldestReader = number(tx, keySchema), number(tx, keyReader)
		named, err = namedBlobs(tx, ctx.Err)
		return err
	})
	if err != nil {
		return err
	}
	h.Blobs = len(named)
	for _, b := range named {
		h.BlobBytes += b.Size
	}
	out := newBackupWriter(ctx, w, h.Created)
	if err := out.addJSON(backupHeaderName, h); err != nil {
		return err
	}
	if _, err := out.addFile(databaseName, snap.path, h.DatabaseSize); err != nil {
		return err
	}
	if copied != nil {
		copied()
	}
	for _, sum := range sortedKeys(named) {
		got, err := out.addFile(path.Join(blobsName, sum[:2], sum), s.blobPath(sum), named[sum].Size)
		if err == nil && got != sum {
			err = errBlobChanged
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errBlobChanged) {
			return fmt.Errorf("the file blobs/%s/%s, which a page or document needs, is missing or damaged; "+
				"docscanctl check says whose it is and what to do: %w", sum[:2], sum, err)
		}
		if err != nil {
			return err
		}
	}
	return out.finish()
}

var errBlobChanged = errors.New("its content is not what was written")

// backupWriter writes the entries of a backup and remembers what the end of it
// must say.
type backupWriter struct {
	ctx     context.Context
	tar     *tar.Writer
	all     hash.Hash // of every byte written
	sums    bytes.Buffer
	created time.Time
	totals  backupTrailer
}

func newBackupWriter(ctx context.Context, w io.Writer, created time.Time) *backupWriter {
	b := &backupWriter{ctx: ctx, all: sha256.New(), created: created}
	b.tar = tar.NewWriter(io.MultiWriter(w, b.all))
	return b
}

// add writes an entry of exactly size bytes and gives their SHA-256.
func (b *backupWriter) add(name string, r io.Reader, size int64) (string, error) {
	err := b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: b.created})
	if err != nil {
		return "", err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(b.tar, h), &contextReader{b.ctx, io.LimitReader(r, size)})
	if err != nil {
		return "", err
	}
	if n != size {
		return "", errBlobChanged
	}
	// The padding is part of what the trailer vouches for.
	if err := b.tar.Flush(); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	fmt.Fprintf(&b.sums, "%s  %s\n", sum, name)
	b.totals.Files++
	b.totals.Bytes += size
	return sum, nil
}

func (b *backupWriter) addJSON(name string, v any) error {
	j, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	j = append(j, '\n')
	_, err = b.add(name, bytes.NewReader(j), int64(len(j)))
	return err
}

// addFile adds the file at path, which must have size bytes.
func (b *backupWriter) addFile(name, path string, size int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Size() != size {
		return "", errBlobChanged
	}
	return b.add(name, f, size)
}

func (b *backupWriter) finish() error {
	sums := bytes.Clone(b.sums.Bytes())
	if _, err := b.add(backupSumsName, bytes.NewReader(sums), int64(len(sums))); err != nil {
		return err
	}
	b.totals.SHA256 = hex.EncodeToString(b.all.Sum(nil))
	if err := b.addJSON(backupTrailerName, b.totals); err != nil {
		return err
	}
	return b.tar.Close()
}

// VerifyBackup reads a backup to its end and proves that it is whole: nothing
// is missing, nothing is changed, its database can be read by this program and
// each file that database names is there. The error wraps ErrBadBackup,
// ErrNewerSchema or ErrDiskFull (the database is unpacked into the directory
// for temporary files).
func VerifyBackup(r io.Reader) error {
	dir, err := os.MkdirTemp("", "docscan-verify-*")
	if err != nil {
		return fmt.Errorf("verify the backup: %w", mapError(err))
	}
	defer os.RemoveAll(dir)
	if err := readBackup(r, dir, discardBlob); err != nil {
		return fmt.Errorf("verify the backup: %w", mapError(err))
	}
	return nil
}

func discardBlob(string) (io.WriteCloser, error) { return discard{io.Discard}, nil }

type discard struct{ io.Writer }

func (discard) Close() error { return nil }

// maxJSON bounds the header and trailer of a backup; both have some 200 bytes.
const maxJSON = 64 << 10

// readBackup reads and verifies a backup. The database goes to docscan.db in
// dir; each blob, which may turn out to be a wrong one, to what create gives for
// its sum. All is proven only when the error is nil.
func readBackup(r io.Reader, dir string, create func(sum string) (io.WriteCloser, error)) error {
	in := newBackupReader(r)
	var h backupHeader
	if err := in.json(backupHeaderName, &h); err != nil {
		return err
	}
	switch {
	case h.Format > backupFormat:
		return fmt.Errorf("%w: the backup has format %d, this docscan reads up to %d. Install the docscan that made it", ErrNewerSchema, h.Format, backupFormat)
	case h.Format < 1 || h.DatabaseSize < 0 || h.Blobs < 0 || h.BlobBytes < 0:
		return bad("its header makes no sense")
	case h.Schema > schemaVersion && h.OldestReader > schemaVersion:
		return fmt.Errorf("%w: the backup has schema %d, this docscan reads up to %d. Install the docscan that made it", ErrNewerSchema, h.Schema, schemaVersion)
	}
	db := filepath.Join(dir, databaseName)
	f, err := os.OpenFile(db, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := in.copy(databaseName, h.DatabaseSize, newSyncCloser(f)); err != nil {
		return err
	}
	named, err := databaseBlobs(db)
	if err != nil {
		return err
	}
	var total int64
	for _, sum := range sortedKeys(named) {
		b := named[sum]
		total += b.Size
		if !validSum(sum) || b.Size < 0 {
			return bad("its database names the impossible file %.70q", sum)
		}
		w, err := create(sum)
		if err != nil {
			return err
		}
		got, err := in.copy(path.Join(blobsName, sum[:2], sum), b.Size, w)
		if err != nil {
			return err
		}
		if got != sum {
			return bad("its file %s is damaged", sum)
		}
	}
	if len(named) != h.Blobs || total != h.BlobBytes {
		return bad("it says it has %d files with %d bytes, its database names %d with %d", h.Blobs, h.BlobBytes, len(named), total)
	}
	return in.finish()
}

// databaseBlobs gives the blobs that a database of unknown origin names, once it
// has proven to be sound and for us.
func databaseBlobs(path string) (named map[string]Blob, err error) {
	err = withDatabase(path, func(tx *bbolt.Tx) error {
		if err := checkSchema(tx); err != nil {
			return err
		}
		for _, name := range recordBuckets {
			if tx.Bucket(name) == nil {
				return &damage{fmt.Errorf("the list %q is missing", name)}
			}
		}
		if named, err = namedBlobs(tx, context.Background().Err); err != nil {
			return &damage{err}
		}
		var first error
		for err := range tx.Check() { // to its end: a goroutine sends
			if first == nil {
				first = &damage{err}
			}
		}
		return first
	})
	var broken *damage
	if errors.As(err, &broken) {
		return nil, bad("its database is damaged (%v)", broken.err)
	}
	return named, err
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadBackup, fmt.Sprintf(format, args...))
}

// backupReader reads the entries of a backup in their order.
type backupReader struct {
	raw  *lateHash
	tar  *tar.Reader
	sums hash.Hash // of what SHA256SUMS must say
	size int64     // of what SHA256SUMS must say
	seen backupTrailer
}

func newBackupReader(r io.Reader) *backupReader {
	raw := &lateHash{r: r, hash: sha256.New()}
	return &backupReader{raw: raw, tar: tar.NewReader(raw), sums: sha256.New()}
}

// next goes to the entry, which must have that name and be a plain file.
func (b *backupReader) next(name string) (int64, error) {
	h, err := b.tar.Next()
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return 0, bad("it ends before %s; the rest of the file is missing", name)
	case err != nil && b.raw.err != nil:
		return 0, b.raw.err // of the disk, not of the content
	case err != nil:
		return 0, bad("%s cannot be found: %v", name, err)
	case h.Name != name || h.Typeflag != tar.TypeReg || h.Size < 0:
		return 0, bad("it has %.80q where %s should be", h.Name, name)
	}
	for key := range h.PAXRecords {
		if key != "size" { // others could make much out of few bytes (sparse files)
			return 0, bad("%s has the unknown property %.40q", name, key)
		}
	}
	return h.Size, nil
}

// copy gives the content of the next entry to w, which it closes, and the
// SHA-256 of it.
func (b *backupReader) copy(name string, size int64, w io.WriteCloser) (sum string, err error) {
	defer func() {
		if cerr := w.Close(); err == nil {
			err = cerr
		}
	}()
	n, err := b.next(name)
	if err != nil {
		return "", err
	}
	if n != size {
		return "", bad("%s has %d bytes, not %d", name, n, size)
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, h), b.tar); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return "", bad("it ends within %s; the rest of the file is missing", name)
		}
		return "", err
	}
	sum = hex.EncodeToString(h.Sum(nil))
	line := fmt.Sprintf("%s  %s\n", sum, name)
	io.WriteString(b.sums, line)
	b.size += int64(len(line))
	b.seen.Files++
	b.seen.Bytes += size
	return sum, nil
}

// json reads the next entry as JSON.
func (b *backupReader) json(name string, v any) error {
	n, err := b.next(name)
	if err != nil {
		return err
	}
	b.raw.mark()
	if n > maxJSON {
		return bad("%s has %d bytes", name, n)
	}
	j, err := io.ReadAll(b.tar)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("it ends within %s; the rest of the file is missing", name)
	}
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(j))
	if err := dec.Decode(v); err != nil {
		return bad("%s is not readable: %v", name, err)
	}
	sum := sha256.Sum256(j)
	line := fmt.Sprintf("%x  %s\n", sum, name)
	io.WriteString(b.sums, line)
	b.size += int64(len(line))
	b.seen.Files++
	b.seen.Bytes += n
	return nil
}

// finish verifies the sums, the trailer, and that nothing follows.
func (b *backupReader) finish() error {
	want := hex.EncodeToString(b.sums.Sum(nil))
	got, err := b.copy(backupSumsName, b.size, discard{io.Discard})
	if err != nil {
		return err
	}
	if got != want {
		return bad("%s does not agree with the files", backupSumsName)
	}
	seen := b.seen
	var t backupTrailer
	if err := b.json(backupTrailerName, &t); err != nil {
		return err
	}
	seen.SHA256 = b.raw.before
	if t != seen {
		return bad("its end does not agree with what is before it")
	}
	if _, err := b.tar.Next(); !errors.Is(err, io.EOF) {
		return bad("something follows its end")
	}
	return b.raw.rest()
}

// lateHash hashes what is read but for the last block: when the trailer's header
// has been read, the hash is that of everything before the trailer.
type lateHash struct {
	r      io.Reader
	hash   hash.Hash
	last   []byte // at most one block, not hashed yet
	before string // the hash up to the last block that was read in full
	err    error  // of r, but for its end
}

const tarBlock = 512

func (l *lateHash) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if err != nil && err != io.EOF {
		l.err = err
	}
	l.last = append(l.last, p[:n]...)
	if over := len(l.last) - tarBlock; over > 0 {
		l.hash.Write(l.last[:over])
		l.last = append(l.last[:0], l.last[over:]...)
	}
	return n, err
}

// mark keeps the hash of everything but the last block.
func (l *lateHash) mark() { l.before = hex.EncodeToString(l.hash.Sum(nil)) }

// rest reads to the end: nothing but padding may be there.
func (l *lateHash) rest() error {
	buf := make([]byte, 4096)
	for {
		n, err := l.r.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return bad("something follows its end")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// syncCloser makes a new file durable before it closes it.
type syncCloser struct {
	*writeback.Writer
	f *os.File
}

func newSyncCloser(f *os.File) syncCloser { return syncCloser{writeback.New(f, 0), f} }

func (s syncCloser) Close() error { return errors.Join(s.f.Sync(), s.f.Close()) }
