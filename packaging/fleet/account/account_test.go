//go:build linux

package account

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"docscan/packaging/fleet/receive"
)

// newKey gives a public key as a file has it.
func newKey(t *testing.T, comment string) []byte {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " " + comment + "\n")
}

// newBox gives an empty system with Debian's sshd configuration.
func newBox(t *testing.T) Box {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\nsystemd-journal:x:101:\ndocscan:x:102:\n",
		"etc/shadow": "", "etc/gshadow": "", "etc/login.defs": "",
		"etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Box{Root: root, Program: "/usr/bin/docscanctl"}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLet(t *testing.T) {
	b := newBox(t)
	anna, ben, ca := newKey(t, "anna@laptop"), newKey(t, `ben" ssh-rsa`), newKey(t, "the CA")
	// Options that somebody put before a key are not taken over.
	sly := append([]byte(`environment="LD_PRELOAD=x",command="/bin/sh" `), anna...)
	for _, g := range []Grant{{Keys: sly}, {Keys: anna}, {Keys: ben, Allow: receive.Allow{"audit", "logs"}}, {CA: ca}} {
		done, err := b.Let(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(done)
	}
	update := read(t, b.path("/etc/ssh/docscan/docscan-update.keys"))
	want := `restrict,command="/usr/bin/docscanctl receive --name anna@laptop" ` + string(anna)
	if update != want {
		t.Errorf("keys for updates:\n%swant\n%s", update, want)
	}
	fleet := read(t, b.path("/etc/ssh/docscan/docscan-fleet.keys"))
	if !strings.HasPrefix(fleet, `restrict,command="/usr/bin/docscanctl receive --allow audit,logs --name ben__ssh-rsa" ssh-ed25519 `) || strings.Count(fleet, "\n") != 1 {
		t.Errorf("keys for the fleet:\n%s", fleet)
	}
	if got := read(t, b.path("/etc/ssh/docscan/docscan-update.principals")); got != "restrict,command=\"/usr/bin/docscanctl receive\" docscan-update\n" {
		t.Errorf("principals:\n%s", got)
	}
	passwd, shadow := read(t, b.path("/etc/passwd")), read(t, b.path("/etc/shadow"))
	for _, name := range []string{"docscan-update", "docscan-fleet"} {
		if !strings.Contains(passwd, "\n"+name+":x:") || !strings.Contains(shadow, name+":*:") {
			t.Errorf("no account %s without a password:\n%s%s", name, passwd, shadow)
		}
	}
	if !strings.Contains(read(t, b.path("/etc/group")), "systemd-journal:x:101:docscan-fleet") {
		t.Error("docscan-fleet may not read the journal")
	}
	if !strings.Contains(read(t, b.path("/etc/group")), "docscan:x:102:docscan-update,docscan-fleet") {
		t.Error("the accounts do not reach the local socket")
	}
	ways, err := b.Ways()
	if err != nil || len(ways) != 3 {
		t.Fatalf("ways in: %q, %v; want 3", ways, err)
	}
	for i, want := range []string{"docscan-update: anna@laptop (SHA256:", "docscan-update: certificates of the_CA (SHA256:", "docscan-fleet: ben__ssh-rsa (SHA256:"} {
		if !strings.HasPrefix(ways[i].String(), want) {
			t.Errorf("way %q, want %q", ways[i], want)
		}
	}
	if !slices.Equal(ways[2].Allow, receive.Allow{"audit", "logs"}) || ways[0].Allow != nil {
		t.Errorf("allowances: %q, %q", ways[0].Allow, ways[2].Allow)
	}
	// A key that is lost is kept out again, and so is an authority.
	for _, w := range ways[1:] {
		if err := b.Remove(t.Context(), w.Fingerprint); err != nil {
			t.Error(err)
		}
	}
	if left, err := b.Ways(); err != nil || len(left) != 1 || left[0].Name != "anna@laptop" {
		t.Errorf("ways in after two were removed: %q, %v", left, err)
	}
	if text := read(t, b.path(dropIn)); strings.Contains(text, "TrustedUserCAKeys") {
		t.Errorf("sshd still looks for an authority:\n%s", text)
	}
	if err := b.Remove(t.Context(), ways[1].Fingerprint); err == nil || !strings.Contains(err.Error(), "no key and no authority") {
		t.Errorf("removed twice: %v", err)
	}
	if err := b.Off(t.Context()); err != nil {
		t.Error(err)
	}
	if ways, err := b.Ways(); err != nil || len(ways) != 0 {
		t.Errorf("ways in afterwards: %q, %v; want none", ways, err)
	}
}

// What is written, Debian's sshd takes, and it does with the accounts what is
// meant, and with no other.
func TestSSHDTakesIt(t *testing.T) {
	b := newBox(t)
	for _, g := range []Grant{{Keys: newKey(t, "a"), CA: newKey(t, "ca")}, {Keys: newKey(t, "b"), Allow: receive.Allow{"logs"}}} {
		if _, err := b.Let(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	// What sshd wants to be there, and the service makes at its start.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	host := filepath.Join(dir, "host")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	config := filepath.Join(dir, "sshd_config")
	text := "HostKey " + host + "\nInclude " + b.path(dropIn) + "\nPermitTTY yes\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string][]string{
		"docscan-update": {"authorizedkeysfile /etc/ssh/docscan/%u.keys", "permittty no", "disableforwarding yes", "permituserrc no", "authenticationmethods publickey", "trustedusercakeys /etc/ssh/docscan/docscan-update.ca", "authorizedprincipalsfile /etc/ssh/docscan/%u.principals"},
		// Who signs for updates does not sign for more.
		"docscan-fleet": {"authorizedkeysfile /etc/ssh/docscan/%u.keys", "permittty no", "disableforwarding yes", "trustedusercakeys none"},
		"anna":          {"authorizedkeysfile .ssh/authorized_keys", "permittty yes", "disableforwarding no", "authenticationmethods any", "trustedusercakeys none"},
	} {
		out, err := exec.Command("/usr/sbin/sshd", "-T", "-f", config, "-C", "user="+user+",host=h,addr=127.0.0.1").CombinedOutput()
		if err != nil {
			t.Fatalf("sshd -T: %v: %s", err, out)
		}
		for _, line := range want {
			if !strings.Contains(string(out), "\n"+line) {
				t.Errorf("for %s sshd has not %q", user, line)
			}
		}
	}
}

func TestLetRefuses(t *testing.T) {
	key := newKey(t, "a")
	tests := []struct {
		name   string
		change func(*Box)
		grant  Grant
		want   string
	}{
		{"no key", nil, Grant{}, "there is no key"},
		{"no public key", nil, Grant{Keys: []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n")}, "is no public key"},
		{"a program with a quotation mark", func(b *Box) { b.Program = `/x" y` }, Grant{Keys: key}, "cannot hold"},
		{"no sshd", func(b *Box) { os.Remove(b.path(mainConfig)) }, Grant{Keys: key}, "apt install openssh-server"},
		{"sshd reads no drop-ins", func(b *Box) { os.WriteFile(b.path(mainConfig), []byte("#Include sshd_config.d/x\n"), 0o600) }, Grant{Keys: key}, "does not read sshd_config.d"},
		{"account of root", func(b *Box) {
			os.WriteFile(b.path("/etc/passwd"), []byte("docscan-update:x:0:0::/:/bin/sh\n"), 0o600)
		}, Grant{Keys: key}, "rights of root"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t)
			if tt.change != nil {
				tt.change(&b)
			}
			if _, err := b.Let(t.Context(), tt.grant); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// Whatever stands in a key file, each line that comes of it has the forced
// command and nothing else before the key.
func FuzzKeyLines(f *testing.F) {
	f.Add([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9rBQhXyGfsVq4DLwRnqtMH4zJ4OjvS2oXCcUGo8W2q a\" b\n"))
	f.Add([]byte(`command="x" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9rBQhXyGfsVq4DLwRnqtMH4zJ4OjvS2oXCcUGo8W2q` + "\r-x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, err := Box{Program: "/usr/bin/docscanctl"}.keyLines(Grant{Keys: text})
		if err != nil {
			return
		}
		for _, l := range lines {
			_, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(l.text))
			if err != nil || len(rest) != 0 || len(options) != 2 || options[0] != "restrict" || !strings.HasPrefix(options[1], `command="/usr/bin/docscanctl receive --name `) || strings.ContainsAny(l.text, "\n\r\x00") {
				t.Errorf("line %q: options %q, rest %q, %v", l.text, options, rest, err)
			}
		}
	})
}
