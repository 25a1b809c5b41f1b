package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"docscan/store/audit"
)

// SSHAccess lets a fleet into this box over SSH, for updates and nothing else.
// What is refused for a reason that people can do something about is an error
// whose chain has ErrSSHAccess.
type SSHAccess interface {
	// Ways lists who may come in.
	Ways() ([]SSHWay, error)
	// LetKeys lets public keys in, one a line.
	LetKeys(ctx context.Context, keys string) error
	// LetAuthority lets in every certificate of an authority, of which that is the
	// public key.
	LetAuthority(ctx context.Context, key string) error
	// KeepOut keeps the key or authority with that fingerprint out again.
	KeepOut(ctx context.Context, fingerprint string) error
	// Close keeps everybody out.
	Close(ctx context.Context) error
}

// ErrSSHAccess is in the chain of an error whose text is fit for people.
var ErrSSHAccess = errors.New("nothing was changed")

// An SSHWay is a key that may come in, or an authority whose certificates may.
type SSHWay struct {
	Account     string   `json:"account"`
	Authority   bool     `json:"authority"`
	Name        string   `json:"name"`
	Fingerprint string   `json:"fingerprint"`
	Allow       []string `json:"allow"` // besides updates
}

const (
	sshAccessPath = "/api/v1/system/ssh"
	sshAccessPage = "/system/ssh"
)

func sshAccessRoutes() []route {
	return []route{
		{"GET", sshAccessPath, admins, (*Server).apiSSHAccess, "Who may bring updates over SSH, and whether that can be changed from here"},
		{"POST", sshAccessPath, admins, (*Server).apiChangeSSHAccess, "Let public keys in for updates: {keys}, or every certificate of an authority: {authority}; keep one out again: {keep_out: fingerprint}, or all: {close: true}"},
		{"GET", sshAccessPage, admins, (*Server).sshAccessPage, ""},
		{"POST", sshAccessPage, admins, (*Server).sshAccessForm, ""},
	}
}

// sshAccessBody is one wish.
type sshAccessBody struct {
	Keys      string `json:"keys,omitempty"`
	Authority string `json:"authority,omitempty"`
	KeepOut   string `json:"keep_out,omitempty"`
	Close     bool   `json:"close,omitempty"`
}

type sshAccessView struct {
	Changeable bool     `json:"changeable"`
	Ways       []SSHWay `json:"ways"`

	Error     string `json:"-"`
	Typed     string `json:"-"` // what the form had
	Authority bool   `json:"-"`
}

func (s *Server) sshAccess() (sshAccessView, error) {
	v := sshAccessView{Changeable: s.SSHAccess != nil, Ways: []SSHWay{}}
	if !v.Changeable {
		return v, nil
	}
	ways, err := s.SSHAccess.Ways()
	v.Ways = append(v.Ways, ways...)
	return v, err
}

func (s *Server) apiSSHAccess(c *call) error {
	v, err := s.sshAccess()
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, v)
}

func (s *Server) apiChangeSSHAccess(c *call) error {
	var in sshAccessBody
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if err := s.changeSSHAccess(c, in); err != nil {
		return err
	}
	return s.apiSSHAccess(c)
}

// maxSSHKeys bounds what is let in at once, in bytes: a hundred keys of any kind.
const maxSSHKeys = 40 << 10

// checkSSHKeys gives the fingerprints of public keys, one a line.
func checkSSHKeys(text string) ([]string, error) {
	if len(text) > maxSSHKeys {
		return nil, problemf(422, "bad-ssh-key", "Not possible", "These are too many keys at once.")
	}
	if strings.Contains(text, "PRIVATE KEY") {
		return nil, problemf(422, "bad-ssh-key", "Not possible", "This is a private key. It must never leave its machine; paste the public one, whose file ends in .pub. If others could see this page, make a new key.")
	}
	var prints []string
	for n, line := range bytes.Split([]byte(text), []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			return nil, problemf(422, "bad-ssh-key", "Not possible", "Line %d is not a public key. One begins with ssh-ed25519, ecdsa-sha2-nistp256 or ssh-rsa, as in a file whose name ends in .pub.", n+1)
		}
		if _, cert := key.(*ssh.Certificate); cert {
			return nil, problemf(422, "bad-ssh-key", "Not possible", "Line %d is a certificate. Let in the authority that signed it.", n+1)
		}
		prints = append(prints, ssh.FingerprintSHA256(key))
	}
	if len(prints) == 0 {
		return nil, problemf(422, "bad-ssh-key", "Not possible", "There is no public key.")
	}
	return prints, nil
}

// changeSSHAccess does one thing, and records it.
func (s *Server) changeSSHAccess(c *call, in sshAccessBody) error {
	if s.SSHAccess == nil {
		return problemf(404, "no-ssh-access", "Not here", "Keys are let in on the box itself, as root: docscanctl receive setup")
	}
	var action, target string
	var err error
	ctx := c.r.Context()
	wishes := 0
	for _, is := range []bool{in.Keys != "", in.Authority != "", in.KeepOut != "", in.Close} {
		if is {
			wishes++
		}
	}
	switch {
	case wishes > 1: // of which the log would have one
		return problemf(422, "bad-ssh-key", "Not possible", "One thing at a time: let keys in, let an authority in, keep one out, or keep all out.")
	case in.Keys != "" || in.Authority != "":
		prints, perr := checkSSHKeys(in.Keys + in.Authority)
		if perr != nil {
			return perr
		}
		if target = strings.Join(prints, " "); in.Authority != "" {
			action, err = "ssh_let_authority", s.SSHAccess.LetAuthority(ctx, in.Authority)
		} else {
			action, err = "ssh_let_key", s.SSHAccess.LetKeys(ctx, in.Keys)
		}
	case in.KeepOut != "":
		action, target, err = "ssh_keep_out", clip(in.KeepOut), s.SSHAccess.KeepOut(ctx, in.KeepOut)
	case in.Close:
		action, err = "ssh_close", s.SSHAccess.Close(ctx)
	default:
		return problemf(422, "bad-ssh-key", "Not possible", "There is no public key.")
	}
	entry := c.entry(audit.AdminAction, action, target)
	if err != nil {
		entry.Status = audit.Failure
	}
	if aerr := s.Store.AddAudit(entry); aerr != nil {
		return errors.Join(err, aerr)
	}
	if errors.Is(err, ErrSSHAccess) {
		return problemf(409, "ssh-access", "Not possible", "The box does not do this: %v", err)
	}
	return err
}

func (s *Server) sshAccessPage(c *call) error {
	v, err := s.sshAccess()
	if err != nil {
		return err
	}
	return s.show(c, "ssh", v)
}

func (s *Server) sshAccessForm(c *call) error {
	typed, authority := c.r.PostFormValue("key"), c.r.PostFormValue("kind") == "authority"
	in := sshAccessBody{KeepOut: c.r.PostFormValue("keep_out"), Close: c.r.PostFormValue("close") != ""}
	switch {
	case in.KeepOut != "" || in.Close:
	case authority:
		in.Authority = typed
	default:
		in.Keys = typed
	}
	err := s.changeSSHAccess(c, in)
	if err == nil {
		tell(c, "changed", "")
		return redirect(c, sshAccessPage)
	}
	p := problem(err)
	if p.Status != http.StatusUnprocessableEntity && p.Status != http.StatusConflict {
		return err
	}
	v, err := s.sshAccess()
	if err != nil {
		return err
	}
	v.Error, v.Authority = c.say(p), authority
	if !strings.Contains(typed, "PRIVATE KEY") { // which is not sent back
		v.Typed = typed
	}
	return s.render(c.w, c.r, c.caller, p.Status, "ssh", v)
}
