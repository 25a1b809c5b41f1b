//go:build linux

// Package account lets a fleet into a box, or keeps it out: the two accounts of
// the system, the keys that open them, and what sshd does with those.
//
// Each key is bound to "docscanctl receive" by a forced command and can do
// nothing else: no shell, no forwarding, no terminal. Keys and certificate
// authorities lie in files of root, which the accounts cannot change. Nothing of
// it is there before somebody asks for it.
package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"docscan/packaging/fleet/receive"
)

// Where things are, below the root of the system.
const (
	keysDir    = "/etc/ssh/docscan"
	dropIn     = "/etc/ssh/sshd_config.d/docscan.conf"
	mainConfig = "/etc/ssh/sshd_config"
)

// What a file of keysDir holds of an account, by the end of its name. Authorities
// are those of one account each: who signs for updates must not let people in who
// may do more.
const (
	keysSuffix       = ".keys"
	caSuffix         = ".ca"
	principalsSuffix = ".principals"
)

var accounts = []string{receive.UpdateAccount, receive.FleetAccount}

// A Box is a system that a fleet is let into.
type Box struct {
	Root    string // "/", or elsewhere to prepare an image
	Program string // docscanctl, as sshd is to start it
	Socket  string // local socket of docscand, if it is not at its usual place
}

// A Grant lets keys in.
type Grant struct {
	Keys  []byte // lines as in authorized_keys
	CA    []byte // public keys whose certificates count
	Allow receive.Allow
}

// account is whom a grant is for.
func (g Grant) account() string {
	if len(g.Allow) > 0 {
		return receive.FleetAccount
	}
	return receive.UpdateAccount
}

// Let lets the keys and authorities of g in, and says what was done.
func (b Box) Let(ctx context.Context, g Grant) (done []string, err error) {
	account := g.account()
	lines, err := b.keyLines(g)
	if err != nil {
		return nil, err
	}
	authorities, err := parseKeys(g.CA)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if len(lines)+len(authorities) == 0 {
		return nil, errors.New("there is no key")
	}
	if err := b.included(); err != nil {
		return nil, err
	}
	for _, name := range accounts {
		made, err := b.addAccount(ctx, name)
		if err != nil {
			return done, err
		}
		if made {
			done = append(done, "The account "+name+" was made; it has no password.")
		}
	}
	// The local socket lies in a directory of docscan's group; what lies beside it
	// only docscan itself may read.
	if b.hasGroup(daemonUser) {
		if err := b.run(ctx, "usermod", "--append", "--groups", daemonUser, account); err != nil {
			return done, err
		}
	}
	if slices.Contains(g.Allow, receive.VerbConfig) {
		note, err := b.openSettings(ctx)
		if err != nil {
			return done, err
		}
		done = append(done, note)
	}
	if slices.Contains(g.Allow, receive.VerbLogs) {
		if err := b.run(ctx, "usermod", "--append", "--groups", "systemd-journal", account); err != nil {
			return done, err
		}
	}
	if err := os.MkdirAll(b.path(keysDir), 0o755); err != nil {
		return done, err
	}
	for _, l := range lines {
		if err := b.add(account+keysSuffix, l.text, func(old string) bool { return strings.Contains(old, l.key) }); err != nil {
			return done, err
		}
		done = append(done, fmt.Sprintf("%s may come in as %s and use: %s.", l.name, account, allows(g.Allow)))
	}
	for _, k := range authorities {
		text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.key)))
		if err := b.add(account+caSuffix, text+" "+k.name, func(old string) bool { return strings.HasPrefix(old, text) }); err != nil {
			return done, err
		}
		line := b.options(g.Allow, "") + " " + account
		if err := b.add(account+principalsSuffix, line, func(old string) bool { return strings.HasSuffix(old, " "+account) }); err != nil {
			return done, err
		}
		done = append(done, fmt.Sprintf("Certificates of %s for the principal %s may come in and use: %s.", ssh.FingerprintSHA256(k.key), account, allows(g.Allow)))
	}
	return done, b.configure(ctx)
}

func allows(a receive.Allow) string {
	return strings.Join(append([]string{"updates"}, a...), ", ")
}

// Remove keeps the key or authority with that fingerprint out again, as [Box.Ways]
// gives it.
func (b Box) Remove(ctx context.Context, fingerprint string) error {
	found := false
	for _, account := range accounts {
		for _, kind := range []string{keysSuffix, caSuffix} {
			file := b.path(keysDir + "/" + account + kind)
			lines, err := readLines(file)
			if err != nil {
				return err
			}
			left := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
				key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
				return err == nil && ssh.FingerprintSHA256(key) == fingerprint
			})
			if len(left) == len(lines) {
				continue
			}
			found = true
			if len(left) > 0 {
				err = write(file, strings.Join(left, "\n")+"\n")
			} else {
				err = os.Remove(file)
			}
			if err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("no key and no authority here has the fingerprint %q", fingerprint)
	}
	return b.configure(ctx) // without its last authority sshd must not look for one
}

// Off keeps everybody out again. The accounts stay, without any way in.
func (b Box) Off(ctx context.Context) error {
	if err := os.Remove(b.path(dropIn)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(b.path(keysDir)); err != nil {
		return err
	}
	return b.reload(ctx)
}

// A Way is a way into the box.
type Way struct {
	Account     string        `json:"account"`
	Authority   bool          `json:"authority"` // it is every certificate of this key that opens the account
	Name        string        `json:"name"`
	Fingerprint string        `json:"fingerprint"` // as ssh-keygen -l gives it
	Allow       receive.Allow `json:"allow"`       // besides updates
}

// String tells it in a line.
func (w Way) String() string {
	what := w.Name
	if w.Authority {
		what = "certificates of " + w.Name
	}
	return fmt.Sprintf("%s: %s (%s) may use: %s", w.Account, what, w.Fingerprint, allows(w.Allow))
}

// Ways lists the ways in.
func (b Box) Ways() ([]Way, error) {
	var ways []Way
	for _, account := range accounts {
		granted, err := readLines(b.path(keysDir + "/" + account + principalsSuffix))
		if err != nil {
			return nil, err
		}
		for _, kind := range []string{keysSuffix, caSuffix} {
			lines, err := readLines(b.path(keysDir + "/" + account + kind))
			if err != nil {
				return nil, err
			}
			for _, line := range lines {
				key, name, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
				if err != nil {
					return nil, fmt.Errorf("%s/%s%s: %q is no key: %w", keysDir, account, kind, line, err)
				}
				w := Way{Account: account, Authority: kind == caSuffix, Name: name, Fingerprint: ssh.FingerprintSHA256(key), Allow: allowOf(line)}
				if w.Authority {
					w.Allow = allowOf(strings.Join(granted, " "))
				}
				ways = append(ways, w)
			}
		}
	}
	return ways, nil
}

// allowOf gives what options have after --allow.
func allowOf(line string) receive.Allow {
	_, rest, ok := strings.Cut(line, " --allow ")
	if !ok {
		return nil
	}
	list, _, _ := strings.Cut(rest, "\"")
	list, _, _ = strings.Cut(list, " ")
	allow, err := receive.ParseAllow(list)
	if err != nil { // somebody has edited it by hand
		return receive.Allow{list}
	}
	return allow
}

// readLines gives the lines of a file that say something; none if it is not there.
func readLines(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines, err
}

func (b Box) path(name string) string { return filepath.Join(b.Root, name) }

// options are those of a line in authorized_keys or of principals (sshd(8),
// "AUTHORIZED_KEYS FILE FORMAT").
func (b Box) options(allow receive.Allow, name string) string {
	command := b.Program
	if b.Socket != "" {
		command += " --socket " + b.Socket
	}
	command += " receive"
	if len(allow) > 0 {
		command += " --allow " + allow.String()
	}
	if name != "" {
		command += " --name " + name
	}
	return `restrict,command="` + command + `"`
}

// keyLine is one line of authorized_keys.
type keyLine struct{ text, key, name string }

func (b Box) keyLines(g Grant) ([]keyLine, error) {
	for _, word := range []string{b.Program, b.Socket} {
		if strings.ContainsFunc(word, func(r rune) bool { return !plain(r) && r != '/' }) {
			return nil, fmt.Errorf("%q has letters that sshd's files cannot hold", word)
		}
	}
	keys, err := parseKeys(g.Keys)
	if err != nil {
		return nil, err
	}
	var lines []keyLine
	for _, k := range keys {
		text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.key)))
		lines = append(lines, keyLine{b.options(g.Allow, k.name) + " " + text + " " + k.name, text, k.name})
	}
	return lines, nil
}

// publicKey is a key with the name that its comment gives it.
type publicKey struct {
	key  ssh.PublicKey
	name string
}

// parseKeys reads public keys, one a line. Options that a line has are not taken
// over: what a key may do is said by the grant alone.
func parseKeys(text []byte) ([]publicKey, error) {
	var keys []publicKey
	for n := 1; len(bytes.TrimSpace(text)) > 0; n++ {
		key, comment, _, rest, err := ssh.ParseAuthorizedKey(text)
		if err != nil {
			return nil, fmt.Errorf("key %d is no public key as in id_ed25519.pub: %w", n, err)
		}
		if _, cert := key.(*ssh.Certificate); cert {
			return nil, fmt.Errorf("key %d is a certificate; give the authority's public key with --ca", n)
		}
		name := strings.Map(func(r rune) rune {
			if plain(r) {
				return r
			}
			return '_'
		}, comment)
		if name = name[:min(len(name), 64)]; name == "" || name[0] == '-' {
			name = strings.NewReplacer("/", "_", "+", "_").Replace(ssh.FingerprintSHA256(key)[len("SHA256:"):][:16])
		}
		keys = append(keys, publicKey{key, name})
		text = rest
	}
	return keys, nil
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._@-", r)
}

// add puts a line into a file of keysDir, in the place of one that it replaces.
func (b Box) add(name, line string, replaces func(old string) bool) error {
	file := b.path(keysDir + "/" + name)
	lines, err := readLines(file)
	if err != nil {
		return err
	}
	lines = slices.DeleteFunc(lines, replaces)
	return write(file, strings.Join(append(lines, line), "\n")+"\n")
}

// write replaces a file. Only root may change it; sshd insists on that.
func write(file, text string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// included reports whether sshd reads what is written for it.
func (b Box) included() error {
	text, err := os.ReadFile(b.path(mainConfig))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no SSH server here; install it: apt install openssh-server")
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 1 && strings.EqualFold(words[0], "Include") && strings.Contains(line, "sshd_config.d/") {
			return nil
		}
	}
	return fmt.Errorf("%s does not read sshd_config.d; add at its beginning: Include /etc/ssh/sshd_config.d/*.conf", mainConfig)
}

// addAccount makes an account, if it is not there.
func (b Box) addAccount(ctx context.Context, name string) (made bool, err error) {
	text, err := os.ReadFile(b.path("/etc/passwd"))
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(line, ":")
		if fields[0] != name {
			continue
		}
		if len(fields) > 2 && fields[2] == "0" {
			return false, fmt.Errorf("the account %s has the rights of root; remove it first", name)
		}
		return false, nil
	}
	// "*" is no password and, unlike "!", no lock, which keeps keys out as well.
	return true, b.run(ctx, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/",
		"--shell", "/bin/sh", "--password", "*", "--comment", "docscan's fleet over SSH", name)
}

// daemonUser is docscand's user and group.
const daemonUser = "docscan"

// hasGroup reports whether the system has a group.
func (b Box) hasGroup(name string) bool {
	text, err := os.ReadFile(b.path("/etc/group"))
	return err == nil && strings.Contains("\n"+string(text), "\n"+name+":")
}

// settingsDir is where docscan.toml is on a box.
const settingsDir = "/etc/docscan"

// openSettings lets docscand replace its docscan.toml. The directory is sticky, so
// that nothing else in it can be replaced, such as the keys of updates.
func (b Box) openSettings(ctx context.Context) (note string, err error) {
	if _, err := os.Stat(b.path(settingsDir)); err != nil || !b.hasGroup(daemonUser) {
		return "There is no " + settingsDir + " of an installed docscan: settings can be pushed once docscand may replace its docscan.toml.", nil
	}
	dir := b.path(settingsDir)
	if err := errors.Join(
		command(ctx, "chown", daemonUser+":"+daemonUser, filepath.Join(dir, "docscan.toml")),
		command(ctx, "chgrp", daemonUser, dir), os.Chmod(dir, 0o775|os.ModeSticky),
	); err != nil {
		return "", err
	}
	unit := b.path("/etc/systemd/system/docscand.service.d")
	if err := os.MkdirAll(unit, 0o755); err != nil {
		return "", err
	}
	err = write(filepath.Join(unit, "fleet-config.conf"), "# Written by \"docscanctl receive setup --allow config\".\n[Service]\nReadWritePaths="+settingsDir+"\n")
	if err == nil && b.live() {
		err = command(ctx, "systemctl", "daemon-reload")
	}
	return "docscand may replace " + settingsDir + "/docscan.toml from its next start on: systemctl restart docscand", err
}

// live reports whether it is the system that runs, with systemd.
func (b Box) live() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil && filepath.Clean(b.Root) == "/"
}

// run runs a program of Debian's passwd on this system or the one below Root.
func (b Box) run(ctx context.Context, program string, args ...string) error {
	if filepath.Clean(b.Root) != "/" {
		args = append([]string{"--prefix", b.Root}, args...)
	}
	return command(ctx, program, args...)
}

func command(ctx context.Context, program string, args ...string) error {
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}

// configure tells sshd of the files.
func (b Box) configure(ctx context.Context) error {
	text := "# Written by \"docscanctl receive setup\"; undone by \"docscanctl receive setup --off\".\n"
	for _, account := range accounts {
		text += `Match User ` + account + `
	AuthenticationMethods publickey
	AuthorizedKeysFile ` + keysDir + `/%u` + keysSuffix + `
	ClientAliveInterval 30
	ClientAliveCountMax 4
	DisableForwarding yes
	PermitTTY no
	PermitUserRC no
`
		if _, err := os.Stat(b.path(keysDir + "/" + account + caSuffix)); err == nil {
			text += "\tTrustedUserCAKeys " + keysDir + "/" + account + caSuffix + "\n\tAuthorizedPrincipalsFile " + keysDir + "/%u" + principalsSuffix + "\n"
		}
	}
	if err := os.MkdirAll(filepath.Dir(b.path(dropIn)), 0o755); err != nil {
		return err
	}
	if err := write(b.path(dropIn), text); err != nil {
		return err
	}
	if filepath.Clean(b.Root) == "/" {
		// sshd's service makes it; where that does not run yet, sshd wants it all the same.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return err
		}
		if err := command(ctx, "/usr/sbin/sshd", "-t"); err != nil {
			return errors.Join(fmt.Errorf("sshd does not take what was written for it: %w", err), os.Remove(dropIn))
		}
	}
	return b.reload(ctx)
}

// reload has the sshd that runs read its files again.
func (b Box) reload(ctx context.Context) error {
	if !b.live() {
		return nil
	}
	return command(ctx, "systemctl", "try-reload-or-restart", "ssh.service")
}
