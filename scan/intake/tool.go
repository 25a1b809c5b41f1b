package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"docscan/scan/refusal"
)

// tool runs a program of a Debian package on the file, confined, and gives what
// it prints, also beside an error. The error wraps ErrTools or ErrDamaged and is
// fit for people, or is that of ctx.
func (f *File) tool(ctx context.Context, dir, debian, program string, args ...string) ([]byte, error) {
	timed, stop := context.WithTimeout(ctx, time.Duration(f.cfg.PageSeconds)*time.Second)
	defer stop()
	const later = 5 // seconds: the kernel ends it where we do not, and cannot say why
	cage := []string{
		Command, "-read", f.path, "-dir", dir,
		"-memory-mb", strconv.Itoa(f.cfg.MemoryMB), "-cpu-seconds", strconv.Itoa(f.cfg.PageSeconds + later), "--", program,
	}
	cmd := exec.CommandContext(timed, f.cfg.Exe, append(cage, args...)...)
	said, complaints := &bounded{most: maxPrinted}, &bounded{most: 64 << 10}
	cmd.Stdout, cmd.Stderr = said, complaints
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the terminal is for the daemon alone
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return said.Bytes(), ctx.Err()
	case said.over:
		return nil, fmt.Errorf("%w: %s has too much to say of it", ErrDamaged, program)
	case err == nil:
		return said.Bytes(), nil
	case timed.Err() != nil:
		return said.Bytes(), refusal.New(ErrDamaged, "It took longer than %d seconds and was given up. Print it anew as PDF and send that.", f.cfg.PageSeconds)
	case errors.As(err, &exit) && exit.ExitCode() == notInstalled:
		return nil, refusal.New(ErrTools, "A program that reads such files is not installed. Install the Debian package: %s", debian)
	case errors.As(err, &exit):
		// Where the file lies here is nobody's business.
		places := strings.NewReplacer(f.path+": ", "", f.path, "the file", dir+"/", "")
		return said.Bytes(), fmt.Errorf("%w%s", ErrDamaged, note(places.Replace(complaints.String())))
	}
	return said.Bytes(), fmt.Errorf("run %s: %w", program, err)
}

// note gives the last line that a tool has said, as an end to a message.
func note(said string) string {
	last := ""
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(line, "?")))
		if line != "" {
			last = line
		}
	}
	const most = 200
	if len(last) > most {
		last = strings.ToValidUTF8(last[:most], "") + "..."
	} else {
		last = strings.TrimRight(last, ".") // whoever tells it ends the sentence
	}
	if last == "" {
		return ""
	}
	return ": " + last
}

// bounded keeps up to most bytes and remembers whether there were more.
type bounded struct {
	bytes.Buffer
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - b.Len()
	if len(p) > room {
		b.over = true
		b.Buffer.Write(p[:max(0, room)])
		return len(p), nil // the tool need not fail at it
	}
	return b.Buffer.Write(p)
}
