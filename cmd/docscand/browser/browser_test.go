// Package browser has no code of its own: its tests drive the shipped program's
// pages in Debian's Chromium, by keyboard, as people with and without script see
// them.
package browser

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docscan/cmd/docscand/box"
)

// What a page may cost at its first load (without pictures of pages).
const (
	maxRequests = 8
	maxBytes    = 45 << 10
)

const password = "seven green tractors"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// paper draws an A5 page at 100 dpi with some lines.
func paper(t *testing.T, lines ...string) []byte {
	t.Helper()
	parsed, err := opentype.Parse(goregular.TTF)
	must(t, err)
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: 20, DPI: 100})
	must(t, err)
	defer face.Close()
	img := image.NewRGBA(image.Rect(0, 0, 583, 827))
	draw.Draw(img, img.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	for i, l := range lines {
		d := font.Drawer{Dst: img, Src: image.Black, Face: face, Dot: fixed.P(60, 120+60*i)}
		d.DrawString(l)
	}
	var b bytes.Buffer
	must(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}))
	return b.Bytes()
}

// built is the program file of docscand, made once for all tests.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		panic(err)
	}
	code := 1
	if built, err = box.Program(context.Background(), dir, "1.0.0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// start starts a box with three sheets in its feeder that nobody has set up, after set
// has had its way with it. A test may mostly wait for its browser, so others go on
// beside it.
func start(t *testing.T, set func(*box.Box)) (*box.Box, context.Context) {
	t.Helper()
	t.Parallel()
	b := box.New(built, t.TempDir())
	b.Fresh = true
	must(t, os.Mkdir(b.Stack, 0o700))
	for i, lines := range [][]string{
		{"Invoice for the boiler", "City Works, thirty days"}, {"The garage needs a roof"}, {"Yours sincerely"},
	} {
		must(t, os.WriteFile(filepath.Join(b.Stack, fmt.Sprintf("%d.jpg", i)), paper(t, lines...), 0o600))
	}
	b.Set["device.sim.sheets_per_minute"] = "0"
	b.Set["device.sim.duplex"] = "false"
	b.Set["web.password_passes"] = "1" // what it costs is not what is looked at
	set(b)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(func() {
		stop()
		must(t, b.Stop())
		if t.Failed() {
			t.Logf("docscand's log:\n%s", b.Log)
		}
	})
	must(t, b.Start(ctx))
	return b, ctx
}

// TestPages is one person's first day with a box, and what the others see of it.
// Its parts build on each other.
func TestPages(t *testing.T) {
	b, ctx := start(t, func(*box.Box) {})
	p := open(t, b.URL)
	part := func(name string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) {
			p.t = t
			f(t)
			p.sound(name)
		}) {
			t.FailNow()
		}
		p.t = t
	}

	part("set up", func(t *testing.T) {
		p.visit(strings.TrimPrefix(b.Link, b.URL))
		p.seen("/setup")
		p.until(`document.activeElement.name === "username"`) // no need to look for the first field
		p.write("anna")
		p.fill("password", password)
		p.fill("again", password)
		p.press(kb.Enter)
		p.arrives("/welcome/zone")
		p.shot("welcome-zone", 1200)
		p.fill("zone", "Europe/Nowhere")
		p.press(kb.Enter)
		p.shows("There is no such time zone.")
		p.sound("a wrong time zone", "422")
		p.fill("zone", "Europe/Berlin")
		p.push("Save and go on")
		p.arrives("/welcome/scanner")
		p.push("Scan a test page")
		p.until(`location.pathname === "/welcome/scanner" && document.querySelector(".cards a")`) // by itself
		p.shot("welcome-scanner", 1200)
		p.push("It works, go on")
		p.arrives("/welcome/documents")
		p.push("Start scanning")
		p.arrives("/")
	})
	var in struct {
		Token string `json:"access_token"`
	}
	must(t, b.Post(ctx, "/api/v1/login", map[string]string{"username": "anna", "password": password}, &in))
	b.Token = in.Token
	var docs struct {
		Documents []struct {
			ID       string `json:"id"`
			Revision int    `json:"revision"`
		} `json:"documents"`
	}
	must(t, b.Get(ctx, "/api/v1/documents", &docs))
	first := "/documents/" + docs.Documents[0].ID

	part("scan", func(t *testing.T) {
		p.visit("/")
		before := eval[int](p, `document.querySelectorAll(".cards a").length`)
		p.onTo("button", "Scan")
		p.press(kb.Enter)
		p.until(fmt.Sprintf(`document.querySelectorAll(".cards a").length > %d`, before)) // by events, without loading again
		p.shot("home", 360)
		p.shot("home", 1200)
	})

	part("find", func(t *testing.T) {
		p.push("Documents")
		p.arrives("/documents")
		p.press("/") // the key for it
		p.until(`document.activeElement.id === "q"`)
		p.write("boiler")
		p.until(`document.querySelector("#results mark") && location.search === "?q=boiler"`)
		p.shot("search", 360)
		p.write("bo1ler")
		p.shows("Did you mean:")
		p.push("boiler")
		p.until(`location.search === "?q=boiler"`)
		p.push("Keep this search")
		p.fill("name", "Heating")
		p.press(kb.Enter)
		p.until(`document.querySelector(".searches")`)
		p.visit("/documents?q=created:soon")
		p.shows("finds nothing: a date is like")
		p.visit("/documents?q=%22the+boiler%22+-garage")
		p.shows("0 documents found")
		p.visit("/documents?q=invoice+roof") // on different pages
		p.onTo(".rows a", "")
		p.press(kb.Enter)
		p.until(`document.querySelectorAll(".hit").length === 2`)
		p.shot("document", 360)
		p.shot("document", 1200)
		marked := eval[[]float64](p, where)
		if marked[0] < 0.07 || marked[0] > 0.15 || marked[1] < 0.08 || marked[1] > 0.16 || marked[2] < 0.1 || marked[2] > 0.35 {
			t.Errorf("the hit is marked at %v of the picture, which is not where the word stands", marked)
		}
	})

	part("say what it is", func(t *testing.T) {
		p.visit(first)
		p.press("e")
		p.until(`document.querySelector(".marks[open]")`)
		p.fill("title", "Boiler")
		p.fill("correspondent", "City Works")
		p.fill("type", "Invoice")
		p.fill("tags", "heating, house")
		p.press(kb.Enter)
		p.until(`document.querySelector("h1").innerText === "Boiler" && document.querySelector(".notice")`)
		p.press("u") // take it back
		p.until(`document.querySelector("h1").innerText !== "Boiler"`)
		p.shows("Taken back.")
	})

	logIn := func() { // as in another tab
		t.Helper()
		must(t, b.Post(ctx, "/api/v1/login", map[string]string{"username": "anna", "password": password}, &in))
		send(p, network.SetCookie, network.SetCookieParams{Name: "docscan_session", Value: in.Token, URL: b.URL})
	}
	part("logged out while writing", func(t *testing.T) {
		p.visit(first + "?edit")
		p.fill("title", "Kept")
		send(p, network.ClearBrowserCookies, cdp.Empty{})
		p.press(kb.Enter)
		p.shows("What you wrote on this page stays.")
		p.audit("a log-in that is over", allRules)
		p.shot("out", 360)
		logIn()
		p.until(`document.getElementById("out").hidden`) // by itself
		p.press(kb.Enter)
		p.until(`document.querySelector("h1").innerText === "Kept"`)
		p.sound("logged out", "401")
	})

	part("two people", func(t *testing.T) {
		p.visit(first + "?edit")
		p.fill("title", "Mine")
		id := strings.TrimPrefix(first, "/documents/")
		var now struct {
			Revision int `json:"revision"`
		}
		must(t, b.Get(ctx, "/api/v1/documents/"+id, &now))
		must(t, b.Patch(ctx, "/api/v1/documents/"+id, map[string]any{"title": "Theirs", "revision": now.Revision}, nil))
		p.shows("This document has been changed since you opened it.") // news came by itself
		p.press(kb.Enter)
		p.shows("Now it is: Theirs")
		p.sound("a conflict", "412")
		p.shot("conflict", 1200)
		if got := eval[string](p, `document.querySelector("[name=title]").value`); got != "Mine" {
			t.Errorf("what was typed is %q, want it kept", got)
		}
		p.push("Save mine")
		p.until(`document.querySelector("h1").innerText === "Mine"`)
	})

	part("reorder", func(t *testing.T) {
		p.visit(first)
		pages := `[...document.querySelectorAll(".page .picture img")].map((i) => i.src.split("?")[1])`
		was := eval[[]string](p, pages)
		if len(was) != 3 {
			t.Fatalf("pages %q, want three", was)
		}
		are := func(order ...int) {
			t.Helper()
			var want []string
			for _, i := range order {
				want = append(want, was[i])
			}
			p.until(pages + `.join(" ") === ` + quote(strings.Join(want, " ")))
		}
		p.push("Change page 1")
		p.push("Behind the next page")
		are(1, 0, 2)
		p.press("u")
		are(0, 1, 2)
		p.push("Change page 3")
		p.fill("to", "1")
		p.press(kb.Enter)
		are(2, 0, 1)
		// The same with a mouse.
		p.click("summary", "Change page 1")
		p.click("button", "Behind the next page")
		are(0, 2, 1)
		p.visit(first)
		p.click("summary", "Change page 3")
		p.click("button", "Before the page before")
		are(0, 1, 2)
	})

	part("pages", func(t *testing.T) {
		p.visit(first)
		p.push("Change page 1")
		p.offline(true)
		p.push("Turn right")
		p.until(`!document.getElementById("offline").hidden`) // that nothing happens is told
		p.shot("offline", 360)
		p.offline(false)
		p.until(`document.getElementById("offline").hidden`)
		p.sound("no network", "ERR_INTERNET_DISCONNECTED", "htmx:", "[object Event]")
		p.push("Turn right")
		p.until(`document.querySelector("#page-1 img").src.endsWith("-90") && document.querySelector("#page-1 img").complete`)
		p.until(`(() => { const i = document.querySelector("#page-1 img"); return i.naturalWidth > i.naturalHeight })()`) // it lies
		p.visit(first + "?q=invoice")
		p.until(`document.querySelector(".hit") && document.querySelector("#page-1 img").complete`)
		lies := eval[[]float64](p, where)
		if lies[0] < 0.75 || lies[0] > 0.95 || lies[1] < 0.05 || lies[1] > 0.17 || lies[3] < 0.1 || lies[3] > 0.37 {
			t.Errorf("on the turned page the hit is marked at %v, which is not where the word stands", lies)
		}
		p.visit(first)
		p.push("Change page 2")
		p.push("Take out")
		p.shows("Set aside")
		p.until(`document.querySelectorAll(".page").length === 2`)
		p.visit(first)
		p.push("Put back")
		p.until(`document.querySelectorAll(".page").length === 3`)
		p.push("Change page 1")
		p.push("New document after this page")
		p.shows("Split in two.")
		p.until(`document.querySelectorAll(".page").length === 1`)
	})

	part("many at once", func(t *testing.T) {
		p.visit("/documents?q=Mine")
		p.until(`document.querySelectorAll("#results .rows li").length === 2`)
		p.push("Do something with those that are ticked")
		p.onTo("[data-all]", "")
		p.press(" ")
		p.until(`document.querySelector("[data-count]").innerText === "2"`)
		p.push("Do it") // with tags that nobody has typed
		p.shows("Write the tags")
		p.until(`document.querySelector("[data-count]").innerText === "2"`) // both are ticked still
		p.shot("bulk", 360)
		p.sound("nothing typed", "422")
		// A list of one page does not offer all of its pages, so that is put into its form.
		eval[bool](p, `(() => {
			const form = document.querySelector("form.bulk"), all = document.createElement("input");
			all.name = "all";
			all.value = "1";
			form.append(all);
			form.querySelector("select").value = "trash";
			form.requestSubmit();
			return true;
		})()`)
		p.shows("Put 2 documents into the trash?")
		p.audit("asking for all", allRules)
		p.shot("many", 360)
		p.shot("many", 1200)
		p.visit("/documents?q=Mine")
		p.push("Do something with those that are ticked")
		p.onTo("[data-all]", "")
		p.press(" ")
		p.onTo("select", "What to do")
		for do, want := range map[string]string{"type": "said-types", "from": "said-senders", "untag": "said-tags"} {
			suggested := eval[string](p, `(() => {
				const what = document.activeElement;
				what.value = `+quote(do)+`;
				what.dispatchEvent(new Event("change", {bubbles: true}));
				return what.form.elements.value.list.id;
			})()`)
			if suggested != want {
				t.Errorf("to %s, %s are suggested, want %s", do, suggested, want)
			}
		}
		p.press("m") // make one document of them
		p.push("Do it")
		p.until(`location.pathname.startsWith("/documents/") && document.querySelectorAll(".page").length === 3`)
	})

	part("throw away and fetch back", func(t *testing.T) {
		p.visit(first)
		p.push("Put into the trash")
		p.arrives("/documents")
		p.visit("/trash")
		p.shot("trash", 360)
		p.onTo(`form[action="/trash/`+strings.TrimPrefix(first, "/documents/")+`/restore"] button`, "Take it out")
		p.press(kb.Enter)
		p.arrives(first)
	})

	part("kiosk", func(t *testing.T) {
		p.visit("/kiosk")
		p.shot("kiosk", 360)
		p.shot("kiosk", 1200)
		p.onTo("button.main", "Front sides only")
		p.press(kb.Enter)
		p.until(`location.pathname === "/kiosk" && document.querySelector(".state .count")`)
		p.until(`!document.querySelector(".state") && document.querySelector("button.main")`)
		must(t, os.Rename(b.Stack, b.Stack+"-gone")) // the feeder is empty
		p.push("Front sides only")
		p.shows("There is no paper in the feeder.")
		p.shot("kiosk-fault", 360)
		p.sound("an empty feeder")
		must(t, os.Rename(b.Stack+"-gone", b.Stack))
		p.visit("/kiosk")
		p.offline(true)
		eval[bool](p, `document.dispatchEvent(new Event("visibilitychange"))`) // the tablet wakes
		p.until(`!document.getElementById("offline").hidden`)
		p.push("Front sides only") // the page stays, and with it the way back
		p.offline(false)
		p.until(`document.getElementById("offline").hidden`)
		p.sound("no network", "ERR_INTERNET_DISCONNECTED")
	})

	part("the box", func(t *testing.T) {
		p.visit("/system")
		p.push("Check all that is stored")
		p.shows("All is well.")
		p.shot("system", 360)
		p.shot("system", 1200)
		p.visit("/profiles")
		p.push("New profile")
		p.fill("name", "Receipts")
		p.press(kb.Enter)
		p.until(`document.body.innerText.includes("Receipts") && !document.querySelector("details[open]")`)
		p.visit("/devices")
		p.fill("name", "Front desk")
		p.press(kb.Enter)
		p.shows("Front desk")
		share := t.TempDir()
		p.visit("/destinations")
		p.fill("name", "Share")
		p.fill("folder", filepath.Join(share, "none"))
		p.press(kb.Enter)
		p.shows("the folder does not exist")
		p.sound("a folder that is not there", "422")
		p.fill("folder", share)
		p.onTo("[name=older]", "")
		p.press(" ")
		p.press(kb.Enter)
		p.shows("Saved.")
		must(t, box.Until(ctx, func() (bool, error) {
			list, err := filepath.Glob(filepath.Join(share, "* Mine.pdf"))
			return len(list) == 1, err
		}))
		p.visit("/account")
		p.onTo("[name=keys]", "")
		p.press(" ")
		p.push("Save")
		p.shows("Saved.")
		p.visit("/documents")
		p.press("/")
		if eval[string](p, "document.activeElement.id") == "q" {
			t.Error("a letter is a shortcut although that is switched off")
		}
	})

	part("every page for everybody", func(t *testing.T) {
		var now struct {
			Revision int `json:"revision"`
		}
		path := "/api/v1" + first
		must(t, b.Get(ctx, path, &now))
		long := map[string]any{"title": "Die Donaudampfschifffahrtsgesellschaftskapitänsmützenmanufaktur", "revision": now.Revision}
		must(t, b.Patch(ctx, path, long, nil))
		for _, path := range everyPage {
			path = strings.Replace(path, ":id", strings.TrimPrefix(first, "/documents/"), 1)
			p.fresh()
			p.look(looks[0].features)
			p.visit(path)
			p.until(`document.readyState === "complete"`)
			requests, size, foreign := p.weight()
			if requests > maxRequests || size > maxBytes || len(foreign) > 0 {
				t.Errorf("%s: %d requests with %.0f bytes, want at most %d with %d; foreign: %v", path, requests, size, maxRequests, maxBytes, foreign)
			}
			t.Logf("%s: %d requests, %.0f bytes", path, requests, size)
			for _, l := range looks {
				p.look(l.features)
				p.wide(l.width)
				p.audit(path+", "+l.name, l.run)
				p.shot(strings.ReplaceAll(strings.Trim(path, "/"), "/", "_")+"-"+l.name, 360)
			}
			if over := p.narrow(360, 100); over > 0 {
				t.Errorf("%s: %d pixels too wide for 360", path, over)
			}
			if text := p.squeezed(360); text != "" {
				t.Errorf("%s: %q is squeezed", path, text)
			}
			for _, width := range []int64{360, 720} {
				if over := p.narrow(width, 200); over > 0 {
					t.Errorf("%s: %d pixels too wide for %d with text at 200 %%", path, over, width)
				}
			}
			p.sound(path, "(Not Found) "+p.url+"/nowhere", "(Unprocessable Entity) "+p.url+"/sheets/separators")
		}
		p.look(looks[0].features)
	})

	part("without script", func(t *testing.T) {
		send(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		p.visit("/")
		before := eval[int](p, `document.querySelectorAll(".cards a").length`)
		p.onTo("button", "Scan")
		p.press(kb.Enter)
		p.until(fmt.Sprintf(`document.querySelectorAll(".cards a").length > %d`, before)) // it loads itself again
		p.visit("/documents")
		p.fill("q", "boiler")
		p.press(kb.Enter)
		p.until(`document.querySelector("#results mark")`)
		p.onTo(".rows a", "")
		p.press(kb.Enter)
		p.until(`document.querySelector(".hit")`)
		p.push("Title, date")
		p.fill("title", "No script")
		p.press(kb.Enter)
		p.until(`document.querySelector("h1").innerText === "No script"`)
		p.push("Undo")
		p.until(`document.querySelector("h1").innerText !== "No script"`)
		p.push("Title, date")
		p.fill("title", "Kept")
		send(p, network.ClearBrowserCookies, cdp.Empty{})
		p.press(kb.Enter)
		p.shows("It is not saved.")
		if got := eval[string](p, `document.querySelector("section input[readonly]").value`); got != "Kept" {
			t.Errorf("what was typed is told as %q", got)
		}
		p.shot("typed", 360)
		logIn()
		send(p, page.Reload, page.ReloadParams{}) // which sends it once more
		p.until(`document.querySelector("h1").innerText === "Kept"`)
		p.sound("logged out without script", "401")
		p.push("Change page 1")
		p.push("Turn right")
		p.until(`document.querySelector("#page-1 img").src.endsWith("-90")`)
		p.visit("/kiosk")
		p.push("Front sides only")
		p.until(`location.pathname === "/kiosk" && document.querySelector(".state .count")`)
		p.visit("/documents")
		p.push("anna")
		p.push("Log out")
		p.arrives("/login")
		p.until(`document.activeElement.name === "username"`)
		p.write("anna")
		p.fill("password", password)
		p.press(kb.Enter)
		p.arrives("/")
	})
}

// where gives the box of the first hit of a document: left, top, width and height in parts
// of the picture.
const where = `(() => {
	const r = document.querySelector(".hit").getBoundingClientRect(), i = document.querySelector(".picture img").getBoundingClientRect();
	return [(r.left - i.left) / i.width, (r.top - i.top) / i.height, r.width / i.width, r.height / i.height];
})()`

// everyPage lists the pages an administrator can open; a test of package web compares
// it, and those that are seen on the way, with the router.
var everyPage = []string{
	"/", "/documents", "/documents?q=boiler", "/documents/:id?q=boiler&edit", "/trash", "/trash/:id/delete", "/kiosk", "/keys", "/account",
	"/devices", "/profiles", "/people", "/audit", "/security", "/system", "/system/ssh", "/system/update", "/destinations", "/languages", "/sheets", "/sheets/separators?kind=qr", "/api-docs",
	"/welcome/zone", "/welcome/scanner", "/welcome/documents", "/nowhere",
}
