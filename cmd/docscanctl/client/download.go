package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// maxResumes is how often in a row a download may break off without having got
// a single byte further.
const maxResumes = 5

// Download fetches path into file. It writes beside it under another name,
// syncs, and renames at the end, so that file is never half of something. A
// connection that breaks off is taken up again where it was, as long as the
// thing itself stays the same. The result is the size in bytes.
func (c *Client) Download(ctx context.Context, path, file string) (int64, error) {
	return save(file, 0o666, func(f *os.File) (int64, error) {
		return c.copyResuming(ctx, path, f)
	})
}

// DownloadTo is Download to a stream, which after an error has had the
// beginning.
func (c *Client) DownloadTo(ctx context.Context, path string, w io.Writer) (int64, error) {
	return c.copyResuming(ctx, path, w)
}

// DownloadPrivate is Download of what nobody else may read and what is made
// anew for each request, such as a backup: it cannot be taken up again, and it
// becomes file only if verify, called with what has come, finds nothing wrong.
func (c *Client) DownloadPrivate(ctx context.Context, path, file string, verify func(*os.File) error) (int64, error) {
	return save(file, 0o600, func(f *os.File) (int64, error) {
		n, err := c.copyOnce(ctx, path, f)
		if err != nil {
			return n, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return n, fmt.Errorf("read back: %w", err)
		}
		return n, verify(f)
	})
}

// save lets write fill a file that then takes the place of the one called name.
func save(name string, mode fs.FileMode, write func(*os.File) (int64, error)) (size int64, err error) {
	// Renaming a file over /dev/null would be a poor thing to do for root.
	if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() {
		return 0, fmt.Errorf("write %s: it is there and is no ordinary file", name)
	}
	part := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".part-"+rand.Text()[:8])
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(part)
		}
	}()
	if size, err = write(f); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	if err := f.Close(); err != nil {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(part, name); err != nil {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	syncDir(filepath.Dir(name))
	return size, nil
}

// syncDir makes a rename in dir last. Not every system can do that; the file
// itself is safe under either name.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
}

// copyOnce copies the body at path to w.
func (c *Client) copyOnce(ctx context.Context, path string, w io.Writer) (int64, error) {
	resp, err := c.do(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(w, body{resp.Body})
	if err != nil {
		return n, broken(ctx, err)
	}
	return n, nil
}

// copyResuming copies the body at path to w, with as many requests as it takes.
func (c *Client) copyResuming(ctx context.Context, path string, w io.Writer) (int64, error) {
	var have int64
	total := int64(-1) // until the first answer
	tag := ""
	for tries := 0; ; tries++ {
		header := http.Header{"Accept-Encoding": {"identity"}}
		if have > 0 {
			header.Set("Range", fmt.Sprintf("bytes=%d-", have))
			header.Set("If-Range", tag)
		}
		n, err := func() (int64, error) {
			resp, err := c.do(ctx, http.MethodGet, path, header, nil)
			if err != nil {
				return 0, err
			}
			defer resp.Body.Close()
			switch {
			case have == 0:
				total, tag = resp.ContentLength, resp.Header.Get("ETag")
			case resp.StatusCode != http.StatusPartialContent || !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)):
				return 0, errChanged
			case rangeTotal(resp.Header.Get("Content-Range")) != total:
				return 0, errChanged
			}
			return io.Copy(w, body{resp.Body})
		}()
		have += n
		if err == nil && (have == total || total < 0) {
			return have, nil
		}
		if err == nil {
			err = readError{io.ErrUnexpectedEOF}
		}
		// Only a connection can be tried again, and only for something that has
		// a name to tell that it is still the same.
		var read readError
		if !errors.As(err, &read) && !(have > 0 && errors.Is(err, ErrUnreachable)) {
			return have, err
		}
		if n > 0 {
			tries = 0
		}
		if ctx.Err() != nil || total < 0 || tag == "" || strings.HasPrefix(tag, "W/") || tries >= maxResumes {
			return have, broken(ctx, err)
		}
		select {
		case <-ctx.Done():
			return have, context.Cause(ctx)
		case <-time.After(backoff(tries)):
		}
	}
}

var errChanged = errors.New("the file changed on the server while it was downloaded; please try again")

// rangeTotal gives the size after the slash of a Content-Range, or -1.
func rangeTotal(s string) int64 {
	_, after, _ := strings.Cut(s, "/")
	n, err := strconv.ParseInt(after, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// body marks the errors of reading an answer, to tell them from those of
// writing the file.
type body struct{ r io.Reader }

type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

func (b body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = readError{err}
	}
	return n, err
}

// broken says that the connection was lost, if that is what err is.
func broken(ctx context.Context, err error) error {
	var read readError
	if errors.As(err, &read) {
		return fmt.Errorf("%w: the connection broke off: %w", ErrUnreachable, cause(ctx, read.error))
	}
	return err
}
