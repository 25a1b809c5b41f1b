package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"docscan/packaging/fleet/account"
	"docscan/packaging/wish"
	"docscan/web"
)

// sshAccess asks root to let a fleet in, in the words of the pages.
type sshAccess struct {
	files  wish.Files
	asking sync.Mutex // held while a wish waits: a second one would take its place
}

var _ web.SSHAccess = (*sshAccess)(nil)

// newSSHAccess gives nil where nobody answers a wish, as where docscan was not
// installed as a package.
func newSSHAccess() web.SSHAccess {
	files, ok := account.Files()
	if !ok {
		return nil
	}
	return &sshAccess{files: files}
}

func (*sshAccess) Ways() ([]web.SSHWay, error) {
	ways, err := account.Box{Root: "/"}.Ways()
	if err != nil {
		return nil, fmt.Errorf("find out who may come in over SSH: %w", err)
	}
	var list []web.SSHWay
	for _, w := range ways {
		list = append(list, web.SSHWay{Account: w.Account, Authority: w.Authority, Name: w.Name, Fingerprint: w.Fingerprint, Allow: append([]string{}, w.Allow...)})
	}
	return list, nil
}

// rootPatience is how long root may take: it makes accounts and has sshd read its files.
const rootPatience = 20 * time.Second

func (s *sshAccess) ask(ctx context.Context, w account.Wish) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	ctx, stop := context.WithTimeout(ctx, rootPatience)
	defer stop()
	_, err := account.Ask(ctx, s.files, w)
	var no wish.Refusal
	switch {
	case errors.As(err, &no):
		return fmt.Errorf("%w: %w", web.ErrSSHAccess, err)
	case errors.Is(err, wish.ErrNoAnswer):
		return fmt.Errorf("%w: %w; look at: journalctl -u docscan-fleet", web.ErrSSHAccess, err)
	}
	return err
}

func (s *sshAccess) LetKeys(ctx context.Context, keys string) error {
	return s.ask(ctx, account.Wish{Keys: keys})
}

func (s *sshAccess) LetAuthority(ctx context.Context, key string) error {
	return s.ask(ctx, account.Wish{CA: key})
}

func (s *sshAccess) KeepOut(ctx context.Context, fingerprint string) error {
	return s.ask(ctx, account.Wish{Remove: fingerprint})
}

func (s *sshAccess) Close(ctx context.Context) error { return s.ask(ctx, account.Wish{Off: true}) }
