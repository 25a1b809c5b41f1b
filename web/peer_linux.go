package web

import (
	"context"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peer is who is at the other end of the local socket.
type peer struct{ trusted bool }

type peerKey struct{}

// withPeer notes the credentials of a connection over the local socket: root
// and docscan's own user are trusted (SO_PEERCRED, unix(7)).
func withPeer(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	var p peer
	raw, err := u.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { // an error leaves p untrusted
			cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
			p.trusted = err == nil && (cred.Uid == 0 || int(cred.Uid) == os.Getuid())
		})
	}
	return context.WithValue(ctx, peerKey{}, p)
}
