package web

import (
	"context"
	"net"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// peer is who is at the other end of the local socket: the number of its user,
// or -1 if that cannot be told.
type peer struct{ uid int }

type peerKey struct{}

// trusted is root and docscan's own user.
func (p peer) trusted() bool { return p.uid == 0 || p.uid >= 0 && p.uid == os.Getuid() }

// account is the name of its user; empty if there is none.
func (p peer) account() string {
	if p.uid < 0 {
		return ""
	}
	u, err := user.LookupId(strconv.Itoa(p.uid))
	if err != nil {
		return ""
	}
	return u.Username
}

// withPeer notes the credentials of a connection over the local socket
// (SO_PEERCRED, unix(7)).
func withPeer(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	p := peer{-1}
	raw, err := u.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { // an error leaves p unknown
			if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				p.uid = int(cred.Uid)
			}
		})
	}
	return context.WithValue(ctx, peerKey{}, p)
}
