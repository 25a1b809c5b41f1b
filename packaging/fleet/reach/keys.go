package reach

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// defaultKeys are tried if nobody names a key file.
var defaultKeys = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}

// windowsAgent is where OpenSSH's agent on Windows listens.
const windowsAgent = `\\.\pipe\openssh-ssh-agent`

// keyring has the keys of the person: those of ssh-agent and those in files.
type keyring struct {
	home  string
	agent string

	mu    sync.Mutex
	files map[string]fileKey
}

// fileKey is what was read of a key file.
type fileKey struct {
	signer ssh.Signer    // nil: it is protected by a passphrase
	public ssh.PublicKey // nil: it is not known
	cert   *ssh.Certificate
	err    error
}

// signers gives what makes the signatures for a login at t. done lets go of the
// agent.
func (k *keyring) signers(t target) (get func() ([]ssh.Signer, error), done func(), err error) {
	held, closer, err := k.fromAgent()
	if err != nil {
		return nil, nil, err
	}
	done = func() {
		if closer != nil {
			closer.Close()
		}
	}
	named := len(t.keyFiles) > 0
	files := t.keyFiles
	if !named {
		files = defaultKeys
	}
	var mine []ssh.Signer
	var locked []string
	for _, name := range files {
		f := k.file(name)
		if f.err != nil {
			if errors.Is(f.err, fs.ErrNotExist) && !t.only {
				continue
			}
			done()
			return nil, nil, fail(Local, "read the key %s: %w", name, f.err)
		}
		s := f.signer
		if s == nil { // ssh-agent may have it
			s = find(held, f.public)
		}
		if s == nil {
			locked = append(locked, name)
			continue
		}
		for _, cert := range k.certificates(f, t.certFiles) {
			if c, err := ssh.NewCertSigner(cert, s); err == nil {
				mine = append(mine, c)
			}
		}
		mine = append(mine, s)
	}
	if !t.only {
		// A key that is both in a file and in the agent is shown once.
		for _, s := range held {
			if find(mine, s.PublicKey()) == nil {
				mine = append(mine, s)
			}
		}
	}
	if len(mine) == 0 {
		done()
		if len(locked) > 0 {
			return nil, nil, fail(Local, "the key %s is protected by a passphrase, which is not asked for here: ssh-add it first", strings.Join(locked, ", "))
		}
		return nil, nil, fail(Local, "there is no key to log in with: no ssh-agent, and none of %s", strings.Join(files, ", "))
	}
	return func() ([]ssh.Signer, error) { return mine, nil }, done, nil
}

func find(signers []ssh.Signer, key ssh.PublicKey) ssh.Signer {
	if key == nil {
		return nil
	}
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			return s
		}
	}
	return nil
}

// fromAgent gives the keys that ssh-agent holds; none if there is no agent.
func (k *keyring) fromAgent() ([]ssh.Signer, io.Closer, error) {
	var c io.ReadWriteCloser
	var err error
	switch {
	case k.agent != "" && strings.HasPrefix(k.agent, `\\.\pipe\`):
		c, err = os.OpenFile(k.agent, os.O_RDWR, 0)
	case k.agent != "":
		c, err = net.Dial("unix", k.agent)
	case runtime.GOOS == "windows":
		if c, err = os.OpenFile(windowsAgent, os.O_RDWR, 0); err != nil {
			return nil, nil, nil // there is none
		}
	default:
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fail(Local, "ssh-agent does not answer: %w", err)
	}
	signers, err := agent.NewClient(c).Signers()
	if err != nil {
		c.Close()
		return nil, nil, fail(Local, "ask ssh-agent for its keys: %w", err)
	}
	return signers, c, nil
}

// file reads a key file, once.
func (k *keyring) file(name string) fileKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.files[name]
	if !ok {
		f = readKey(Options{Home: k.home}.expand(name))
		k.files[name] = f
	}
	return f
}

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 64 << 10

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("it is larger than %d bytes", maxKeyFile)
	}
	return text, err
}

func readKey(name string) fileKey {
	var f fileKey
	text, err := readSmall(name)
	if err != nil {
		return fileKey{err: err}
	}
	f.signer, err = ssh.ParsePrivateKey(text)
	var missing *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &missing):
		if f.public = missing.PublicKey; f.public == nil {
			f.public = readPublic(name + ".pub")
		}
	case err != nil:
		// A public key names one that only the agent has.
		if f.public, _, _, _, err = ssh.ParseAuthorizedKey(text); err != nil {
			return fileKey{err: errors.New("it is neither a private nor a public key")}
		}
	default:
		f.public = f.signer.PublicKey()
	}
	f.cert, _ = readPublic(strings.TrimSuffix(name, ".pub") + "-cert.pub").(*ssh.Certificate)
	return f
}

// readPublic reads a public key or certificate; nil if there is none.
func readPublic(name string) ssh.PublicKey {
	text, err := readSmall(name)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return key
}

// certificates gives those that belong to a key.
func (k *keyring) certificates(f fileKey, names []string) []*ssh.Certificate {
	var list []*ssh.Certificate
	if f.cert != nil {
		list = append(list, f.cert)
	}
	for _, name := range names {
		cert, ok := readPublic(filepath.Clean(Options{Home: k.home}.expand(name))).(*ssh.Certificate)
		if ok && f.public != nil && bytes.Equal(cert.Key.Marshal(), f.public.Marshal()) {
			list = append(list, cert)
		}
	}
	return list
}
