package inventory

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const tomlExample = `[defaults]
jump = "bastion.example"
tags = ["all-boxes"]

[groups.berlin]
timezone = "Europe/Berlin"
tags = ["de"]

[groups.thin]
rate_kb = 20
jump = "none"

[hosts.box-2]
address = "10.0.0.2"
groups = ["berlin", "thin"]

[hosts.box-1]
port = 2222
key = "keys/id"
tags = ["canary"]
`

func TestTOML(t *testing.T) {
	inv, err := Parse("/etc/fleet.toml", []byte(tomlExample))
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Hosts) != 2 {
		t.Fatalf("%d hosts, want 2", len(inv.Hosts))
	}
	a, b := inv.Hosts[0], inv.Hosts[1]
	if a.Name != "box-2" || a.Address != "10.0.0.2" || a.Jump != "none" || a.RateKB != 20 || a.Timezone != "Europe/Berlin" || a.Line != 13 {
		t.Errorf("first host: %+v", a)
	}
	if got := strings.Join(a.Tags, " ") + "|" + strings.Join(a.Groups, " "); got != "all-boxes de|berlin thin" {
		t.Errorf("tags and groups of the first: %s", got)
	}
	if b.Name != "box-1" || b.Port != 2222 || b.Jump != "bastion.example" || b.Key != filepath.FromSlash("/etc/keys/id") {
		t.Errorf("second host: %+v", b)
	}
}

func TestINI(t *testing.T) {
	inv, err := Parse("hosts", []byte(`
alone ansible_host=10.0.0.9   # a comment
[berlin]
b[01:03] ansible_port=2200
[hamburg]
h1 ansible_host=10.2.0.1 docscan_tags=canary,fast
b02
[germany:children]
berlin
hamburg
[germany:vars]
ansible_ssh_common_args='-o ProxyJump=jump.example -C'
[hamburg:vars]
docscan_rate_kb = 50
[all:vars]
ansible_user=root
docscan_user=updates
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range inv.Hosts {
		got = append(got, fmt.Sprintf("%s %s:%d %s %s %v %v %d", h.Name, h.Address, h.Port, h.User, h.Jump, h.Groups, h.Tags, h.RateKB))
	}
	want := []string{
		"alone 10.0.0.9:0 updates  [] [] 0",
		"b01 :2200 updates jump.example [berlin germany] [] 0",
		"b02 :2200 updates jump.example [berlin germany hamburg] [] 50",
		"b03 :2200 updates jump.example [berlin germany] [] 0",
		"h1 10.2.0.1:0 updates jump.example [germany hamburg] [canary fast] 50",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPlain(t *testing.T) {
	inv, err := Parse("boxes.txt", []byte("box-1\r\n# nobody\nanna@10.0.0.2:2222 # the loud one\n[fe80::1]:22\n::1\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range inv.Hosts {
		got = append(got, fmt.Sprintf("%d %s@%s %d", h.Line, h.User, h.Name, h.Port))
	}
	if want := []string{"1 @box-1 0", "3 anna@10.0.0.2 2222", "4 @fe80::1 22", "5 @::1 0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrors(t *testing.T) {
	tests := []struct{ name, file, text, want string }{
		{"twice", "l", "a\nb\nA\n", "l:3: A is there twice, first in line 1"},
		{"same box", "l.toml", "[hosts.a]\naddress = \"10.0.0.1\"\n[hosts.b]\naddress = \"10.0.0.1\"\n", "l.toml:3: b is the same box as a in line 1: both are at 10.0.0.1:22"},
		{"same box in INI", "l", "[g]\na ansible_host=x\nb ansible_host=x\n", "l:3: b is the same box as a in line 2: both are at x:22"},
		{"two words", "l", "a\nb c\n", "l:2: one host a line"},
		{"port", "l", "a:0\n", "l:1: \"a:0\" has no port"},
		{"port in TOML", "l.toml", "[hosts.a]\nport = 70000\n", "l.toml:1: a: port 70000 is not 1 to 65535"},
		{"unknown key", "l.toml", "[hosts.a]\nadress = \"x\"\n", "l.toml:2: there is no key hosts.a.adress"},
		{"unknown group", "l.toml", "\n[hosts.a]\ngroups = [\"x\"]\n", "l.toml:2: a: there is no table [groups.x]"},
		{"syntax", "l.toml", "[hosts.a]\nport = \n", "l.toml:2: "},
		{"twice in TOML", "l.toml", "[hosts.a]\nport = 1\n[hosts.a]\nport = 2\n", "l.toml:3: "},
		{"timezone", "l.toml", "[hosts.a]\ntimezone = \"Mars/Olympus\"\n", "l.toml:1: a: there is no timezone"},
		{"section", "l", "[g]\na\n[g:hosts]\n", "l:3: \"[g:hosts]\" is no section"},
		{"variable", "l", "[g]\na b\n", "l:2: \"b\" is no variable"},
		{"quote", "l", "[g]\na x='b\n", "l:2: a quotation mark is not closed"},
		{"range", "l", "[g]\nb[3:1]\n", "l:2: \"b[3:1]\": 3 comes after 1"},
		{"range too large", "l", "[g]\nb[0:9999999]\n", "l:2: \"b[0:9999999]\": more than 65536 hosts"},
		{"own variable", "l", "[g]\na docscan_usr=x\n", "l:2: there is no variable docscan_usr"},
		{"name", "l", "-oProxyCommand=x\n", "l:1: \"-oProxyCommand=x\" is no name for a host"},
		{"path", "l", "../../etc\n", "l:1: \"../../etc\" is no name for a host"},
		{"empty", "l", "# nothing\n", "l: there is no host in it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.file, []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	inv, err := Parse("/etc/fleet.toml", []byte(tomlExample))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		limit []string
		want  string
	}{
		{nil, "box-2 box-1"},
		{[]string{"berlin"}, "box-2"},
		{[]string{"tag:canary"}, "box-1"},
		{[]string{"canary", "box-2"}, "box-2 box-1"},
		{[]string{"box-*", "!thin"}, "box-1"},
		{[]string{"!host:BOX-1"}, "box-2"},
	}
	for _, tt := range tests {
		hosts, err := inv.Select(tt.limit)
		var names []string
		for _, h := range hosts {
			names = append(names, h.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != tt.want {
			t.Errorf("%v gives %q, %v; want %q", tt.limit, got, err, tt.want)
		}
	}
	for _, limit := range [][]string{{"hamburg"}, {"box-*", "!box-*"}, {"box-["}} {
		if _, err := inv.Select(limit); err == nil {
			t.Errorf("%v gives no error", limit)
		}
	}
}

func TestLoad(t *testing.T) {
	name := filepath.Join(t.TempDir(), "boxes")
	if err := os.WriteFile(name, []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inv, err := Load(name)
	if err != nil || len(inv.Hosts) != 1 {
		t.Errorf("%v, %v; want one host", inv, err)
	}
	if _, err := Load(name + ".missing"); err == nil {
		t.Error("a missing inventory gives no error")
	}
}

// Whatever is in a file, each host of it can be told apart and named in a path.
func FuzzParse(f *testing.F) {
	f.Add("l.toml", tomlExample)
	f.Add("l", "[g]\na[1:3] ansible_host='x y' # z\n[g:vars]\nx=1\n[h:children]\ng\n")
	f.Add("l", "a@b:22\n[::1]:3\n")
	f.Add("l", "[a:children]\na\n[a]\nx[a:c][01:02:1]\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		inv, err := Parse(name, []byte(text))
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, h := range inv.Hosts {
			if seen[h.Name] || h.Name == "" || strings.ContainsAny(h.Name, "/\\\x00 \n") || h.Port < 0 || h.Port > 65535 {
				t.Errorf("host %+v", h)
			}
			seen[h.Name] = true
		}
	})
}
