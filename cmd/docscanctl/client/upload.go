package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// uploadPart is how much of a file goes into one request, in bytes. The server
// takes 16 MiB.
const uploadPart = 4 << 20

// uploadTries is how often one part is sent, with uploadPause before the second
// time and longer before each further one: some 15 s, in which a docscand that is
// started anew is there again.
const (
	uploadTries = 5
	uploadPause = time.Second
)

// Upload sends the update file name, going on where an earlier upload of it
// ended, and gives its SHA-256 and size. progress is told how many bytes have
// arrived; it may be nil.
func (c *Client) Upload(ctx context.Context, name string, progress func(sent, size int64)) (digest string, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", 0, fmt.Errorf("upload: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fmt.Errorf("upload: read %s: %w", name, err)
	}
	if size == 0 {
		return "", 0, fmt.Errorf("upload: %s is empty", name)
	}
	digest = hex.EncodeToString(h.Sum(nil))
	path := fmt.Sprintf("/api/v1/update/uploads/%s?size=%d", digest, size)
	at, err := offset(c.Get(ctx, path))
	if err != nil {
		return "", 0, err
	}
	buf := make([]byte, uploadPart)
	for failures := 0; at < size; {
		n, err := f.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", 0, fmt.Errorf("upload: read %s: %w", name, err)
		}
		next, err := c.part(ctx, fmt.Sprintf("%s&offset=%d", path, at), buf[:n])
		switch {
		case err == nil && next <= at:
			return "", 0, fmt.Errorf("upload: the server has %d bytes after it was sent those up to %d", next, at+int64(n))
		case err == nil:
			at, failures = next, 0
			if progress != nil {
				progress(at, size)
			}
		case !errors.Is(err, ErrUnreachable) || ctx.Err() != nil:
			return "", 0, err
		default: // the connection broke: ask where it goes on
			if failures++; failures == uploadTries {
				return "", 0, err
			}
			select {
			case <-ctx.Done():
				return "", 0, context.Cause(ctx)
			case <-time.After(uploadPause << (failures - 1)):
			}
			if got, err := offset(c.Get(ctx, path)); err == nil {
				at = got
			}
		}
	}
	return digest, size, nil
}

// part sends one part and gives where the next begins.
func (c *Client) part(ctx context.Context, path string, body []byte) (int64, error) {
	resp, err := c.do(ctx, http.MethodPut, path, nil, body)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return 0, fmt.Errorf("%w: the connection broke off: %w", ErrUnreachable, cause(ctx, err))
	}
	return offset(raw, nil)
}

func offset(raw json.RawMessage, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	var answer struct {
		Offset int64 `json:"offset"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Offset < 0 {
		return 0, fmt.Errorf("upload: the server does not say where it goes on: %.80s", raw)
	}
	return answer.Offset, nil
}
