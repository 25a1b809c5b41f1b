package browser

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp/kb"
	"github.com/pquerna/otp/totp"
)

// TestPeople is how people come in: with a password that another gave, with an
// app's code, with a passkey. Its parts build on each other.
func TestPeople(t *testing.T) {
	b, ctx := start(t)
	// A name, as browsers want one for passkeys.
	at := strings.Replace(b.URL, "127.0.0.1", "localhost", 1)
	p := open(t, at)
	link, err := url.Parse(b.Link)
	must(t, err)
	var in struct {
		Token string `json:"access_token"`
	}
	must(t, b.Post(ctx, "/api/v1/setup", map[string]string{"token": link.Query().Get("token"), "username": "anna", "password": password}, &in))
	b.Token = in.Token
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
}
