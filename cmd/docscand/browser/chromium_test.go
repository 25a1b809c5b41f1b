package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long a page may take to become what it should: long, as the
// machine may be busy, and never waited for in full.
const patience = 40 * time.Second

// A tab is one tab of Chromium, driven by its keyboard.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string // of the box
	axe string

	mu       sync.Mutex
	wrong    []string // errors of the console, and refusals of the policy
	requests []*request
	byID     map[network.RequestID]*request
}

// request is one that the page made.
type request struct {
	url  string
	size float64 // bytes over the line, packed
}

// open starts a Chromium with one tab for the box at address.
func open(t *testing.T, address string) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // root has none
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "en"),
		chromedp.Flag("hide-scrollbars", false),
		chromedp.WSURLReadTimeout(patience),
		chromedp.WindowSize(1200, 900),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, stop := chromedp.NewContext(alloc)
	// Chromium writes into its folder until it is gone.
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log("ending Chromium:", err)
		}
		stop()
		stopAlloc()
	})
	axe, err := os.ReadFile("testdata/vendor/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	p := &tab{t: t, ctx: ctx, url: address, axe: string(axe), byID: make(map[network.RequestID]*request)}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	send(p, network.Enable, network.EnableParams{})
	send(p, log.Enable, cdp.Empty{})
	send(p, runtime.Enable, cdp.Empty{})
	send(p, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return p
}

// run does something in the tab and gives what comes of it.
func run[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("%v\nat %s", err, p.where())
	}
	return v
}

// send sends a command of the DevTools protocol.
func send[P, R any](p *tab, c cdp.Command[P, R], params P) R {
	p.t.Helper()
	return run(p, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, c, params) })
}

// hear keeps what the page does and complains of.
func (p *tab) hear(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		r := &request{url: ev.Request.URL}
		p.requests = append(p.requests, r)
		p.byID[ev.RequestID] = r
	case *network.EventLoadingFinished:
		if r := p.byID[ev.RequestID]; r != nil {
			r.size = ev.EncodedDataLength
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning {
			var text []string
			for _, a := range ev.Args {
				text = append(text, string(a.Value), a.Description)
			}
			p.wrong = append(p.wrong, "console: "+strings.Join(text, " "))
		}
	case *runtime.EventExceptionThrown:
		p.wrong = append(p.wrong, "exception: "+thrown(ev.ExceptionDetails))
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError || ev.Entry.Level == log.EntryLevelWarning {
			p.wrong = append(p.wrong, fmt.Sprintf("%s: %s %s", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL))
		}
	}
}

// sound fails the test with what was wrong since the last call, but for what one
// of expected is part of.
func (p *tab) sound(where string, expected ...string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wrong {
		known := false
		for _, e := range expected {
			known = known || strings.Contains(w, e)
		}
		if !known {
			p.t.Errorf("%s: %s", where, w)
		}
	}
	p.wrong = nil
}

// where says where the page is, for who reads why a test failed.
func (p *tab) where() string {
	ctx, stop := context.WithTimeout(p.ctx, 5*time.Second)
	defer stop()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText.slice(0, 1500)`))
	if err != nil {
		return err.Error()
	}
	return s
}

// eval gives the value of an expression in the page.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	return run(p, chromedp.Evaluate[T](expression))
}

// until waits for an expression to be true. A page that is being replaced by
// another answers with an error, which is the same as not yet.
func (p *tab) until(expression string) {
	p.t.Helper()
	end := time.Now().Add(patience)
	var last error
	for time.Now().Before(end) {
		ctx, stop := context.WithTimeout(p.ctx, 5*time.Second)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		stop()
		if last = err; err == nil && ok {
			return
		}
		time.Sleep(40 * time.Millisecond)
	}
	p.t.Fatalf("waited in vain for %s (%v)\nat %s", expression, last, p.where())
}

// visit opens a page of the box by its address, as a link in a mail would.
func (p *tab) visit(path string) {
	p.t.Helper()
	run(p, chromedp.Navigate(p.url+path))
}

// arrives waits for the page of this path, with its script at work.
func (p *tab) arrives(path string) {
	p.t.Helper()
	p.until("location.pathname === " + quote(path) + ` && document.readyState === "complete"`)
}

// shows waits for a text on the page.
func (p *tab) shows(text string) {
	p.t.Helper()
	p.until("document.body && document.body.innerText.includes(" + quote(text) + ")")
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always can
	}
	return string(b)
}

// maxStops is how many stops of the Tab key a page may have before what is
// looked for; a page with more is not one for the keyboard.
const maxStops = 150

// onTo goes by the Tab key to the element that selector describes and whose label
// or text begins with text. Every stop on the way must be seen.
func (p *tab) onTo(selector, text string) {
	p.t.Helper()
	look := fmt.Sprintf(`(() => {
		const e = document.activeElement;
		const said = (e.labels && e.labels[0] || e).innerText || e.getAttribute("aria-label") || e.value || "";
		const style = getComputedStyle(e);
		return {at: e.matches(%s) && said.trim().startsWith(%s), seen: e === document.body || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
			what: e.tagName + " " + said.trim().slice(0, 40)};
	})()`, quote(selector), quote(text))
	for range maxStops {
		p.press(kb.Tab)
		stop := eval[struct {
			At, Seen bool
			What     string
		}](p, look)
		if !stop.Seen {
			p.t.Errorf("the keyboard is at %q, and nobody sees it (%s)", stop.What, eval[string](p, "location.pathname"))
		}
		if stop.At {
			return
		}
	}
	p.t.Fatalf("the keyboard does not come to %s %q\nat %s", selector, text, p.where())
}

// press presses keys one after the other, once the page has its script: what it
// shows comes first, and before that it is deaf to keys of its own.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.until(`document.readyState === "complete"`)
	run(p, chromedp.KeyEvent(keys))
}

// write replaces what stands in the field at the keyboard.
func (p *tab) write(text string) {
	p.t.Helper()
	run(p, chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	run(p, chromedp.KeyEvent(text))
}

// fill goes to the field of this name and writes into it.
func (p *tab) fill(name, text string) {
	p.t.Helper()
	p.onTo("[name="+name+"]", "")
	p.write(text)
}

// push goes to a button or link by its text and presses it.
func (p *tab) push(text string) {
	p.t.Helper()
	p.onTo("button, a, summary", text)
	p.press(kb.Enter)
}

// click goes with the mouse to what selector describes and whose text begins with text, and
// presses its button.
func (p *tab) click(selector, text string) {
	p.t.Helper()
	p.until(`document.readyState === "complete"`)
	look := fmt.Sprintf(`(() => {
		const e = [...document.querySelectorAll(%s)].find((e) => e.checkVisibility() && e.innerText.trim().startsWith(%s));
		if (!e) return [];
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect(), x = r.left + r.width / 2, y = r.top + r.height / 2;
		return e.contains(document.elementFromPoint(x, y)) ? [x, y] : [];
	})()`, quote(selector), quote(text))
	var at []float64
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		now := eval[[]float64](p, look)
		if len(now) == 2 && slices.Equal(at, now) { // pictures that come late push it about no more
			break
		}
		if at = now; time.Now().After(end) {
			p.t.Fatalf("%s %q cannot be clicked\nat %s", selector, text, p.where())
		}
	}
	run(p, chromedp.MouseClickXY(at[0], at[1]))
}

// fresh empties the cache and forgets the requests made so far.
func (p *tab) fresh() {
	p.t.Helper()
	send(p, network.ClearBrowserCache, cdp.Empty{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

// weight says what the page has asked for since fresh, without the pictures of
// pages, which are not ours to shrink.
func (p *tab) weight() (requests int, size float64, foreign []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		if strings.HasPrefix(r.url, "data:") {
			continue // stands in what was fetched
		}
		u, err := url.Parse(r.url)
		if err != nil || !strings.HasPrefix(r.url, p.url+"/") {
			foreign = append(foreign, r.url)
			continue
		}
		if strings.HasPrefix(u.Path, "/api/v1/") && (strings.HasSuffix(u.Path, "/thumb") || strings.HasSuffix(u.Path, "/view")) {
			continue
		}
		requests++
		size += r.size
	}
	return requests, size, foreign
}

// looks are how people's browsers show pages.
var looks = []struct {
	name     string
	width    int64  // pixels; 0: a desktop's
	run      string // what axe looks for
	features []*emulation.MediaFeature
}{
	{"light", 0, allRules, []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}, {Name: "forced-colors", Value: "none"}}},
	{"dark", 360, allRules, []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}, {Name: "forced-colors", Value: "none"}}},
	{"forced colours", 360, lookRules, []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}, {Name: "forced-colors", Value: "active"}}},
}

// allRules are those of axe for WCAG 2.2 AA. lookRules are those of them that
// depend on how a page looks and not on what it is made of: enough for a page that
// has been looked at with all of them at the same width.
const (
	allRules  = `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]`
	lookRules = `{type: "rule", values: ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"]}`
)

// look makes the browser show pages so.
func (p *tab) look(features []*emulation.MediaFeature) {
	p.t.Helper()
	send(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
}

// audit runs axe-core's rules for WCAG 2.2 AA on the page as it is shown. axe
// works in a world of its own beside the page's scripts, so that the page's policy
// holds for the page, not for axe.
func (p *tab) audit(where, rules string) {
	p.t.Helper()
	var found []struct {
		ID    string `json:"id"`
		Help  string `json:"help"`
		Nodes []struct {
			HTML    string `json:"html"`
			Summary string `json:"failureSummary"`
		} `json:"nodes"`
	}
	yes := true
	frame := cdp.FrameID(chromedp.FromContext(p.ctx).Target.TargetID) // the main frame bears its name
	world := send(p, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame, WorldName: "axe"})
	in := func(script string) []byte {
		r := send(p, runtime.Evaluate, runtime.EvaluateParams{Expression: script, ContextID: world.ExecutionContextID, AwaitPromise: &yes, ReturnByValue: &yes})
		if r.ExceptionDetails != nil {
			p.t.Fatalf("axe on %s: %s", where, thrown(r.ExceptionDetails))
		}
		return r.Result.Value
	}
	if string(in("!!window.axe")) != "true" {
		in(p.axe + "; 1")
	}
	out := in(`axe.run(document, {runOnly: ` + rules + `, resultTypes: ["violations"]}).then((r) => r.violations)`)
	must(p.t, json.Unmarshal(out, &found))
	for _, f := range found {
		for _, n := range f.Nodes {
			p.t.Errorf("%s: %s: %s\n\t%s\n\t%s", where, f.ID, f.Help, n.HTML, n.Summary)
		}
	}
}

// seen looks at a page, that of a route, as everybody may see it.
func (p *tab) seen(route string) {
	p.t.Helper()
	at := eval[string](p, "location.pathname")
	if matched, err := path.Match(strings.ReplaceAll(route, ":id", "*"), at); err != nil || !matched {
		p.t.Fatalf("the page is %s, want %s", at, route)
	}
	name := "seen" + strings.NewReplacer("/", "-", ":", "").Replace(route)
	for _, l := range looks {
		p.look(l.features)
		p.wide(l.width)
		p.audit(route+", "+l.name, l.run)
		p.shot(name+"-"+strings.ReplaceAll(l.name, " ", "-"), max(l.width, 360))
	}
	p.look(looks[0].features)
	p.wide(0)
	p.shot(name, 1200)
	if over := p.narrow(360, 100); over > 0 {
		p.t.Errorf("%s: %d pixels too wide for 360", route, over)
	}
}

// narrow reports how far the page reaches beyond a window of this width, in
// pixels, with text of this many percent.
func (p *tab) narrow(width int64, percent int) int {
	p.t.Helper()
	p.wide(width)
	over := eval[int](p, fmt.Sprintf(`(() => {
		document.documentElement.style.fontSize = %q;
		const over = document.documentElement.scrollWidth - document.documentElement.clientWidth;
		document.documentElement.style.fontSize = "";
		return over;
	})()`, fmt.Sprintf("%d%%", percent)))
	p.wide(0)
	return over
}

// squeezed gives a text that has room for a letter or two in a line, in a window of
// this width; "" is none.
func (p *tab) squeezed(width int64) string {
	p.t.Helper()
	p.wide(width)
	defer p.wide(0)
	return eval[string](p, `(() => {
		for (const e of document.querySelectorAll("main :is(strong, h1, h2, p, label, a, span)")) {
			if (e.offsetWidth > 1 && e.offsetWidth < 24 && e.innerText.trim().length > 8) return e.innerText;
		}
		return "";
	})()`)
}

// shot writes a picture of the page, for who wants to look; SHOTS names
// the folder.
func (p *tab) shot(name string, width int64) {
	dir := os.Getenv("SHOTS")
	if dir == "" {
		return
	}
	p.wide(width)
	png := run(p, chromedp.FullScreenshot(100))
	p.wide(0)
	if err := os.WriteFile(fmt.Sprintf("%s/%s-%d.png", dir, name, width), png, 0o600); err != nil {
		p.t.Error(err)
	}
}

// choose hands a file to the field of this name, as the browser's own window for that does.
func (p *tab) choose(name, file string) {
	p.t.Helper()
	p.onTo("[name="+name+"]", "")
	field := send(p, runtime.Evaluate, runtime.EvaluateParams{Expression: "document.activeElement"})
	send(p, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{file}, ObjectID: field.Result.ObjectID})
}

// asked counts the requests for a path since fresh.
func (p *tab) asked(path string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		if r.url == p.url+path {
			n++
		}
	}
	return n
}

// offline takes the network away from the page, or gives it back.
func (p *tab) offline(gone bool) {
	p.t.Helper()
	p.line(gone, 0)
}

// line makes the network of the page so: gone, or with answers that are late by so many
// milliseconds.
func (p *tab) line(gone bool, late int) {
	p.t.Helper()
	// The command that took the place of this one is not in every Chromium.
	command := cdp.Command[map[string]any, cdp.Empty]{Method: "Network.emulateNetworkConditions"}
	send(p, command, map[string]any{"offline": gone, "latency": late, "downloadThroughput": -1, "uploadThroughput": -1})
}

// wide makes the window so wide, in pixels; 0 is as it was.
func (p *tab) wide(width int64) {
	p.t.Helper()
	if width == 0 {
		send(p, emulation.ClearDeviceMetricsOverride, cdp.Empty{})
		return
	}
	send(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
}

// thrown is what a script threw, in words.
func thrown(d *runtime.ExceptionDetails) string {
	if d.Exception != nil {
		return d.Text + " " + d.Exception.Description
	}
	return d.Text
}
