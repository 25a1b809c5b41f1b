package browser

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp/kb"
	"github.com/pquerna/otp/totp"

	"docscan/cmd/docscand/box"
)

// TestPeople is how people come in: with the code of the set-up, with a password that
// another gave, with an app's code, with a passkey, and after a backup was restored. Its
// parts build on each other.
func TestPeople(t *testing.T) {
	b, ctx := start(t, func(b *box.Box) {
		b.World = []string{"env", "INVOCATION_ID=of-systemd"} // which starts it again, so that it can restore
		b.Set["web.listen"] = quietPort(t)                    // the page waits for it there
	})
	// A name, as browsers want one for passkeys.
	at := strings.Replace(b.URL, "127.0.0.1", "localhost", 1)
	p := open(t, at)
	link, err := url.Parse(b.Link)
	must(t, err)
	part := func(name string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) {
			p.t = t
			f(t)
			// The events of a page end before it, when its log-in does.
			p.sound(name, "401", "403", "422", "[object Event]")
		}) {
			t.FailNow()
		}
		p.t = t
	}
	logIn := func(name, password string) {
		p.visit("/login")
		p.until(`document.activeElement.name === "username"`)
		p.write(name)
		p.fill("password", password)
		p.press(kb.Enter)
	}

	part("set up with the code", func(t *testing.T) {
		send(p, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"})
		code := link.Query().Get("token")
		for _, typed := range []string{"abcd-efgh-jkmn-pqrs", strings.ToUpper(strings.ReplaceAll(code, "-", " "))} { // as people read it off a screen
			p.visit("/")
			p.arrives("/setup")
			p.until(`document.activeElement.name === "setup_code"`)
			p.write(typed)
			p.fill("username", "anna")
			p.fill("password", password)
			p.fill("again", password)
			p.press(kb.Enter)
			if typed[0] == 'a' {
				p.shows("The set-up code is wrong")
				p.seen("/setup")
				if got := eval[string](p, `document.querySelector("[name=setup_code]").value + " " + document.querySelector("[name=username]").value`); got != typed+" anna" {
					t.Errorf("what was typed is %q after it was refused", got)
				}
			}
		}
		p.arrives("/welcome/zone")
		p.until(`document.querySelector("[name=zone]").value === "Europe/Berlin"`) // the browser knows
		p.push("Save and go on")
		p.arrives("/welcome/scanner")
		p.push("Leave this out for now")
		p.arrives("/welcome/documents")
		p.push("Add a destination")
		p.arrives("/destinations")
		p.push("Go on with it") // it leads back
		p.arrives("/welcome/documents")
		p.push("Start scanning")
		p.arrives("/")
		p.push("anna")
		p.push("Log out")
		p.arrives("/login")
	})
	var in struct {
		Token string `json:"access_token"`
	}
	must(t, b.Post(ctx, "/api/v1/login", map[string]string{"username": "anna", "password": password}, &in))
	b.Token = in.Token

	part("add a person", func(t *testing.T) {
		p.visit("/login")
		p.until(`!document.querySelector("[data-passkey-login]").hidden`)
		p.seen("/login")
		logIn("anna", "wrong and wrong")
		p.shows("Incorrect username or password")
		logIn("anna", password)
		p.arrives("/")
		p.visit("/people")
		p.fill("username", "ben")
		p.fill("password", "given by anna, soon gone")
		p.press(kb.Enter)
		p.until(`location.pathname === "/people" && document.body.innerText.includes("ben")`)
		p.onTo("#groups [name=name]", "")
		p.write("Office")
		p.fresh()
		p.line(false, 300)
		p.press(kb.Enter)
		p.press(kb.Enter) // who presses twice means it once
		p.shows("0 people")
		p.line(false, 0)
		if n := p.asked("/groups"); n != 1 {
			t.Errorf("two presses are %d wishes", n)
		}
		p.seen("/people")
		p.push("Change")
		p.onTo("#groups form[action^='/groups/'] [name=name]", "")
		p.write("Back office")
		p.press(kb.Enter)
		p.shows("Back office")
		p.push("ben")
		p.until(`document.querySelector("h1").innerText === "ben"`)
		p.onTo("[name=group]", "Back office")
		p.press(" ")
		p.push("Save")
		p.shows("Saved.")
		p.until(`document.querySelector("[name=group]").checked`)
		p.seen("/people/:id")
		p.push("anna")
		p.push("Log out")
		p.arrives("/login")
	})

	part("choose a password", func(t *testing.T) {
		logIn("ben", "given by anna, soon gone")
		p.arrives("/account/password")
		p.seen("/account/password")
		p.until(`document.activeElement.name === "old"`)
		p.write("given by anna, soon gone")
		p.fill("password", "my own and long one")
		p.fill("again", "my own and long one")
		p.press(kb.Enter)
		p.arrives("/")
	})

	var secret string
	part("set up one-time codes", func(t *testing.T) {
		p.visit("/account")
		p.onTo(`#second-factor [name=password]`, "")
		p.write("my own and long one")
		p.press(kb.Enter)
		p.until(`document.querySelector("svg.qr")`)
		p.seen("/account/second-factor")
		secret = eval[string](p, `document.querySelector("#second-factor code").innerText`)
		code, err := totp.GenerateCode(secret, time.Now())
		must(t, err)
		p.fill("code", code)
		p.press(kb.Enter)
		p.until(`document.querySelectorAll(".codes li").length === 10`)
		p.seen("/account/second-factor/confirm")
	})

	part("add a passkey", func(t *testing.T) {
		send(p, webauthn.Enable, webauthn.EnableParams{})
		send(p, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
		p.visit("/account")
		p.until(`!document.querySelector("[data-passkey-add]").hidden`)
		p.onTo("[data-passkey-add] [name=name]", "")
		p.write("This laptop")
		p.fill("password", "not the password")
		p.press(kb.Enter)
		p.shows("The present password is not right.")
		p.onTo("[data-passkey-add] [name=password]", "")
		p.write("my own and long one")
		p.press(kb.Enter)
		p.shows("This laptop")
		p.until(`document.querySelector("[action^='/account/passkeys/']")`)
		p.seen("/account")
		p.push("ben")
		p.push("Log out")
		p.arrives("/login")
	})

	part("come in with the passkey", func(t *testing.T) {
		p.push("Log in with a passkey")
		p.arrives("/")
		p.push("ben")
		p.push("Log out")
		p.arrives("/login")
	})

	part("come in with password and code", func(t *testing.T) {
		logIn("ben", "my own and long one")
		p.until(`document.querySelector("[name=code]")`)
		p.seen("/login")
		p.until(`document.activeElement.name === "code" || document.querySelector("[name=code]").focus() === undefined`)
		// The code of the next half minute: the one of this may have been used.
		code, err := totp.GenerateCode(secret, time.Now().Add(30*time.Second))
		must(t, err)
		p.write(code)
		p.press(kb.Enter)
		p.arrives("/")
		p.visit("/register")
		p.seen("/register")
	})

	part("restore a backup", func(t *testing.T) {
		var backup []byte
		must(t, b.Get(ctx, "/api/v1/system/backup", &backup))
		must(t, b.Post(ctx, "/api/v1/users", map[string]string{"username": "latecomer", "password": "eight red tractors"}, nil))
		half, whole := filepath.Join(t.TempDir(), "half.backup"), filepath.Join(t.TempDir(), "whole.backup")
		must(t, os.WriteFile(half, backup[:len(backup)/2], 0o600))
		must(t, os.WriteFile(whole, backup, 0o600))
		p.visit("/")
		p.push("ben")
		p.push("Log out")
		p.arrives("/login")
		logIn("anna", password)
		p.arrives("/")
		p.visit("/system")
		p.push("Restore a backup")
		p.choose("backup", half)
		p.push("Check it")
		p.shows("This is no whole backup of docscan")
		p.choose("backup", whole)
		p.push("Check it")
		p.shows("A backup lies ready, and it is whole.")
		p.seen("/system")
		p.fill("password", "not the password")
		p.press(kb.Enter)
		p.shows("The present password is not right.")
		p.fill("password", password)
		p.press(kb.Enter)
		p.shows("docscan starts anew")
		p.seen("/system/restore/start")
		must(t, box.Until(ctx, func() (bool, error) { return b.Ended(), nil }))
		must(t, b.Start(ctx))
		p.arrives("/login") // by itself
		p.sound("a restore", "401", "422", "ERR_", "[object Event]")
		logIn("anna", password)
		p.arrives("/")
		p.visit("/people")
		p.shows("Back office")
		if eval[bool](p, `document.body.innerText.includes("latecomer")`) {
			t.Error("somebody is there who came after the backup")
		}
	})
}

// quietPort is an address that nobody uses, below the ports that the system gives out by
// itself (32768 and up), so that nobody gets it while docscan is started anew.
func quietPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err == nil {
			must(t, l.Close())
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}
