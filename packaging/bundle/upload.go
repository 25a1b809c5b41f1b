package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"docscan/store/writeback"
)

// Why a part of an upload is refused.
var (
	ErrBadUpload = errors.New("an upload needs the SHA-256 of the file in hexadecimal and its size")
	ErrGap       = errors.New("a part before this one is missing")
	ErrDigest    = errors.New("what arrived is not the file that was announced; send it again from the start")
)

// uploadSuffix ends the names of files that are on their way in.
const uploadSuffix = ".upload"

// An Upload is a bundle on its way in. It lies in a file named by the SHA-256
// it will have, so whoever sends the same bundle again, after a lost connection
// or a power cut, goes on where it ended. It must not be used concurrently, and
// no two Uploads may be open for one digest; the caller sees to that.
type Upload struct {
	name   string
	digest string
	size   int64
	have   int64
}

// OpenUpload begins or goes on with the upload of the bundle of this size and
// SHA-256 into dir.
func OpenUpload(dir, digest string, size int64) (*Upload, error) {
	if !isSHA256(digest) || size <= 0 {
		return nil, fmt.Errorf("SHA-256 %.80q, %d bytes: %w", digest, size, ErrBadUpload)
	}
	if size > MaxSize {
		return nil, fmt.Errorf("%d bytes, at most %d: %w", size, int64(MaxSize), ErrTooLarge)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("begin upload: %w", err)
	}
	u := &Upload{name: filepath.Join(dir, digest+uploadSuffix), digest: digest, size: size}
	info, err := os.Stat(u.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("go on with upload: %w", err)
	case info.Size() > size:
		// Announced before with another size. The digest decides in the end.
		if err := os.Truncate(u.name, 0); err != nil {
			return nil, fmt.Errorf("begin upload again: %w", err)
		}
	default:
		u.have = info.Size()
	}
	return u, nil
}

// Receive takes a whole bundle from r into dir, of which nobody has said what it
// is, and gives its SHA-256 and size. [OpenUpload] then finds all of it.
func Receive(ctx context.Context, dir string, r io.Reader) (digest string, size int64, err error) {
	digest, size, err = receive(ctx, dir, r)
	if err != nil {
		return "", 0, fmt.Errorf("receive an update file: %w", err)
	}
	return digest, size, nil
}

func receive(ctx context.Context, dir string, r io.Reader) (digest string, size int64, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", 0, err
	}
	f, err := os.CreateTemp(dir, "*"+uploadSuffix) // swept like one that is on its way in
	if err != nil {
		return "", 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(writeback.New(f, 0), h), contextReader{ctx, io.LimitReader(r, MaxSize+1)})
	switch {
	case err != nil:
	case size > MaxSize:
		err = fmt.Errorf("more than %d bytes: %w", int64(MaxSize), ErrTooLarge)
	case size == 0:
		err = fmt.Errorf("no bytes: %w", ErrTruncated)
	default:
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", 0, err
	}
	digest = hex.EncodeToString(h.Sum(nil))
	return digest, size, os.Rename(f.Name(), filepath.Join(dir, digest+uploadSuffix))
}

// Digest is the SHA-256 that the file will have.
func (u *Upload) Digest() string { return u.digest }

// Offset is how many bytes are here: where the next part begins.
func (u *Upload) Offset() int64 { return u.have }

// Write adds the part that r gives, beginning at offset, and syncs it. A part
// may begin before [Upload.Offset], for its sender may not know what arrived,
// but not after it. What arrived before an error of r is kept.
func (u *Upload) Write(ctx context.Context, offset int64, r io.Reader) error {
	if offset < 0 || offset > u.have {
		return fmt.Errorf("part at %d, the next begins at %d: %w", offset, u.have, ErrGap)
	}
	f, err := os.OpenFile(u.name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write upload: %w", err)
	}
	defer f.Close()
	n, err := io.Copy(writeback.New(f, offset), contextReader{ctx, io.LimitReader(r, u.size-offset)})
	u.have = max(u.have, offset+n)
	if err == nil {
		var more [1]byte
		if k, _ := io.ReadFull(r, more[:]); k > 0 {
			err = fmt.Errorf("more than the %d bytes announced: %w", u.size, ErrTooLarge)
		}
	}
	if err := errors.Join(err, f.Sync()); err != nil {
		return fmt.Errorf("write upload: %w", err)
	}
	return nil
}

// Finish proves that all has arrived and gives the file, to be opened with
// [Open]; the caller closes it, and calls [Upload.Discard] when it is done with.
// What is wrong altogether is thrown away.
func (u *Upload) Finish(ctx context.Context) (*os.File, error) {
	if u.have < u.size {
		return nil, fmt.Errorf("finish upload: %d of %d bytes: %w", u.have, u.size, ErrTruncated)
	}
	f, err := os.Open(u.name)
	if err != nil {
		return nil, fmt.Errorf("finish upload: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(h, contextReader{ctx, f})
	if err == nil && hex.EncodeToString(h.Sum(nil)) != u.digest {
		err = errors.Join(ErrDigest, u.Discard())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("finish upload: %w", err), f.Close())
	}
	return f, nil
}

// Discard removes what has arrived.
func (u *Upload) Discard() error {
	u.have = 0
	if err := os.Remove(u.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("discard upload: %w", err)
	}
	return nil
}

// keptUploads is how many uploads are kept beside one that begins. Whoever may
// only upload can so fill the disk with as many bundles and no more.
const keptUploads = 1

// SweepUploads removes uploads in dir that nothing was added to since the time,
// and of the others but that of digest all except the newest.
func SweepUploads(dir, digest string, since time.Time) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep uploads: %w", err)
	}
	var others []fs.FileInfo
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), uploadSuffix) || e.Name() == digest+uploadSuffix {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("sweep uploads: %w", err)
		}
		others = append(others, info)
	}
	slices.SortFunc(others, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for i, info := range others {
		if i < keptUploads && !info.ModTime().Before(since) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, info.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sweep uploads: %w", err)
		}
	}
	return nil
}
