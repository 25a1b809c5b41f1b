package web

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"docscan/store"
	"docscan/store/audit"
)

// The eleventh attempt within a minute is refused, with what a program needs to
// wait, and with one entry however often it is tried again.
func TestLimitIsTold(t *testing.T) {
	s := newSite(t, func(c *Config) { c.LoginsPerMinute = 10 })
	for i := range 13 {
		a := s.ask("POST", "/api/login", "", fmt.Sprintf(`{"username":"u%d","password":"wrong"}`, i))
		if i < 10 {
			if a.StatusCode != 401 || a.Header.Get("RateLimit-Policy") != `"login";q=10;w=60` || !strings.HasPrefix(a.Header.Get("RateLimit"), fmt.Sprintf(`"login";r=%d;t=`, 9-i)) {
				t.Errorf("attempt %d: %s, %q, %q", i+1, a.Status, a.Header.Get("RateLimit-Policy"), a.Header.Get("RateLimit"))
			}
			continue
		}
		if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || a.Header.Get("Retry-After") == "0" || !strings.HasPrefix(a.Header.Get("RateLimit"), `"login";r=0;t=`) {
			t.Errorf("attempt %d: %s %v", i+1, a.Status, a.Header)
		}
	}
	if n := s.recorded("rate_limit_exceeded", audit.Blocked); n != 1 {
		t.Errorf("%d entries of the limit, want 1", n)
	}
	if n := s.recorded("login", audit.Failure); n != 10 {
		t.Errorf("%d entries of failures, want 10", n)
	}
}

// A restart gives nobody new attempts.
func TestLimitsOutliveARestart(t *testing.T) {
	s := newSite(t, func(c *Config) { c.LoginsPerMinute, c.RegistrationsPerMinute, c.AdminPerMinute = 3, 1, 1 })
	s.logInWith("nobody", "")
	s.logInWith("nobody", "")
	next := func() *Server {
		t.Helper()
		n, err := New(s.cfg, s.Deps)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// As after a crash: nothing was written at the end.
	n := next()
	if v := n.limits[limitLogin].allow(limitKey("127.0.0.1").String()); !v.ok || v.left != 0 {
		t.Errorf("after two of three attempts and a crash: %+v", v)
	}
	if got := len(n.limits[limitAccount].seen[accountKey("nobody")]); got != 2 {
		t.Errorf("%d failures of the name are known, want 2", got)
	}
	s.limits[limitAdmin].allow("anna")
	if err := s.KeepLimits(); err != nil {
		t.Fatal(err)
	}
	if v := next().limits[limitAdmin].allow("anna"); v.ok {
		t.Error("after an orderly end a limit begins anew")
	}
	// What has no meaning any more is forgotten.
	if err := s.Store.PutCounts(map[string][]time.Time{"login old": {time.Now().Add(-time.Hour)}, "unknown x": {time.Now()}, "login " + "future": {time.Now()}}); err != nil {
		t.Fatal(err)
	}
	n = next()
	if _, ok := n.limits[limitLogin].seen["old"]; ok {
		t.Error("what is long over counts")
	}
	all, err := s.Store.Counts(func(string) time.Duration { return time.Hour * 24 * 365 })
	if err != nil {
		t.Fatal(err)
	}
	for key := range all {
		if key == "login old" || key == "unknown x" {
			t.Errorf("%q is kept", key)
		}
	}
}

// Each person and each network has limits of its own.
func TestLimitsByRoute(t *testing.T) {
	s := newSite(t, func(c *Config) { c.AdminPerMinute, c.UploadsPerMinute, c.ExportsPerMinute = 2, 2, 2 })
	anna, bea, ben := s.user("anna", store.RoleAdmin), s.user("bea", store.RoleAdmin), s.user("ben", store.RoleMember)
	d := s.file(s.named("ben").ID, "Letter", "words")
	again := s.logInAs("bea") // the limit is hers, not that of a log-in
	for _, tt := range []struct{ method, path, token, limit string }{
		{"GET", auditExport, bea, limitExport},
		{"GET", "/api/v1/export?document=" + string(d.ID), s.user("cara", store.RoleMember), limitExport},
		{"POST", "/api/v1/groups", anna, limitAdmin},
		{"POST", uploadsPath, ben, limitUpload},
		{"GET", "/api/v1/documents/" + string(d.ID) + "/pdf", ben, limitExport},
	} {
		for i := range 3 {
			a := s.ask(tt.method, tt.path, tt.token, "")
			if refused := a.StatusCode == 429; refused != (i == 2) || a.Header.Get("RateLimit-Policy") != fmt.Sprintf(`"%s";q=2;w=60`, tt.limit) {
				t.Errorf("%s %s, time %d: %s, %q", tt.method, tt.path, i+1, a.Status, a.Header.Get("RateLimit-Policy"))
			}
		}
	}
	if got := s.status("POST", "/api/v1/groups", bea, `{"name":"Office"}`); got != 201 {
		t.Errorf("another administrator: %d", got)
	}
	if a := s.ask("GET", "/api/v1/documents/"+string(d.ID)+"/pdf", ben, "", "Range", "bytes=1-2"); a.StatusCode != 206 {
		t.Errorf("the rest of a file that has begun: %s", a.Status)
	}
	if got := s.status("GET", "/api/v1/users", anna, ""); got != 200 {
		t.Errorf("to look is no change: %d", got)
	}
	if got := s.status("GET", auditExport, again, ""); got != 429 {
		t.Errorf("the same person with another log-in: %d", got)
	}
	key := s.read(s.ask("POST", "/api/v1/tokens", again, `{"name":"script"}`), "token")
	if got := s.status("GET", auditExport, key, ""); got != 429 {
		t.Errorf("the same person with a key: %d", got)
	}
	dora := s.user("dora", store.RoleMember)
	for i := range 3 { // what a form takes away counts, too
		a := s.form("/documents", dora, url.Values{"do": {"zip"}, "id": {string(d.ID)}})
		if refused := a.StatusCode == 429; refused != (i == 2) {
			t.Errorf("a form, time %d: %s", i+1, a.Status)
		}
	}
	emil := s.user("emil", store.RoleMember)
	for i := range 3 { // whole files are whole files, however they are asked for
		id := s.file(s.named("emil").ID, "Letter", "words").ID
		a := s.ask("GET", "/api/v1/documents/"+string(id)+"/pdf", emil, "", "Range", "bytes=0-")
		if refused := a.StatusCode == 429; refused != (i == 2) {
			t.Errorf("file %d by its range: %s", i+1, a.Status)
		}
	}
	if n := s.recorded("rate_limit_exceeded", audit.Blocked); n != 7 {
		t.Errorf("%d entries, want 7", n)
	}
}

// Failures under one name delay the next attempts more and more, from wherever
// they come, but not those of a browser that belongs to the name.
func TestDelayByName(t *testing.T) {
	s := newSite(t, func(c *Config) { c.LoginsPerMinute = 3 })
	s.user("ben", store.RoleMember) // logs in once
	known := s.ask("POST", "/api/v1/login", "", fmt.Sprintf(`{"username":"ben","password":%q}`, password))
	var device string
	for _, c := range known.Cookies() {
		if c.Name == deviceCookie {
			device = c.Name + "=" + c.Value
		}
	}
	if device == "" {
		t.Fatalf("%s: no cookie of the device", known.Status)
	}
	clear(s.limits[limitLogin].seen)
	l := s.limits[limitAccount]
	l.failed(accountKey("BEN"), 3)
	body := fmt.Sprintf(`{"username":"ben","password":%q}`, password)
	a := s.ask("POST", "/api/v1/login", "", body)
	if a.StatusCode != 429 || a.Header.Get("Retry-After") != "1" {
		t.Errorf("from anywhere, with the right password: %s %q", a.Status, a.Header.Get("Retry-After"))
	}
	if a := s.ask("POST", "/api/v1/login", "", body, "Cookie", device); a.StatusCode != 200 {
		t.Errorf("from ben's own browser: %s %s", a.Status, a.body)
	}
	forged := device[:len(device)-2] + "xx"
	if a := s.ask("POST", "/api/v1/login", "", body, "Cookie", forged); a.StatusCode != 429 {
		t.Errorf("with a forged cookie: %s", a.Status)
	}
	// A name that does not exist is treated alike.
	clear(s.limits[limitLogin].seen)
	l.failed(accountKey("nobody"), 3)
	if a := s.ask("POST", "/api/v1/login", "", `{"username":"nobody","password":"x"}`); a.StatusCode != 429 {
		t.Errorf("a name that does not exist: %s", a.Status)
	}
}

// Whoever has a log-in of somebody's guesses the password no faster than others.
func TestConfirmingIsDelayed(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	l, key := s.limits[limitAccount], confirmKey(s.named("ben").ID)
	ask := func(password string) answer {
		t.Helper()
		return s.ask("POST", "/api/v1/second-factor", ben, fmt.Sprintf(`{"password":%q}`, password))
	}
	for i := range 2 {
		if a := ask("a guess"); a.StatusCode != 422 || len(l.seen[key]) != i+1 {
			t.Errorf("guess %d: %s, and %d failures are known", i+1, a.Status, len(l.seen[key]))
		}
	}
	if a := ask(password); a.StatusCode != 200 || len(l.seen[key]) != 0 {
		t.Errorf("the password: %s, and %d failures are known", a.Status, len(l.seen[key]))
	}
	for range 2 * freeFailures { // strangers who guess at the name
		l.failed(accountKey("ben"), freeFailures)
	}
	if a := ask(password); a.StatusCode != 200 {
		t.Errorf("after guesses at the log-in: %s", a.Status)
	}
	l.failed(key, freeFailures)
	if a := ask(password); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("after %d failures: %s", freeFailures, a.Status)
	}
}

// Where one address has many attempts, a name has no more for it.
func TestManyAttemptsAreNotForOneName(t *testing.T) {
	s := newSite(t, func(c *Config) { c.LoginsPerMinute = 1_000_000 })
	s.user("ben", store.RoleMember)
	for i := range freeFailures {
		if a := s.ask("POST", "/api/v1/login", "", `{"username":"ben","password":"a guess"}`); a.StatusCode != 401 {
			t.Fatalf("guess %d: %s", i+1, a.Status)
		}
	}
	if a := s.logInWith("ben", ""); a.StatusCode != 429 {
		t.Errorf("after %d failures: %s", freeFailures, a.Status)
	}
}

func TestDelay(t *testing.T) {
	for _, tt := range []struct {
		failures int
		want     time.Duration
	}{{0, 0}, {9, 0}, {10, time.Second}, {11, 2 * time.Second}, {14, 16 * time.Second}, {16, time.Minute}, {1000, time.Minute}} {
		if got := delay(tt.failures, 10); got != tt.want {
			t.Errorf("after %d failures %v, want %v", tt.failures, got, tt.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter[string](1<<30, accountMemory)
		l.failed("x", 12)
		if v := l.attempt("x", 10); v.ok || v.reset != 4*time.Second || !v.first {
			t.Errorf("%+v", v)
		}
		if v := l.attempt("x", 10); v.ok || v.first {
			t.Errorf("%+v, want it to be no new row", v)
		}
		time.Sleep(4 * time.Second)
		if v := l.attempt("x", 10); !v.ok {
			t.Errorf("after the wait: %+v", v)
		}
		time.Sleep(accountMemory)
		l.failed("x", 1)
		if n := len(l.seen["x"]); n != 1 {
			t.Errorf("after an hour %d failures count", n)
		}
		l.takeBack("x")
		l.takeBack("x")
		if n := len(l.seen["x"]); n != 0 {
			t.Errorf("%d failures count that were none", n)
		}
	})
}

// failed counts failures of a key that did not have to wait.
func (l *limiter[K]) failed(key K, n int) {
	for range n {
		l.attempt(key, math.MaxInt)
	}
}

// Guesses that come all at once get no further than one after the other.
func TestGuessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which no time passes
		l := newLimiter[string](math.MaxInt32, accountMemory)
		passed := make(chan bool)
		for range 20 {
			go func() { passed <- l.attempt("ben", 3).ok }()
		}
		n := 0
		for range 20 {
			if <-passed {
				n++
			}
		}
		if n != 3 {
			t.Errorf("%d of 20 attempts pass at once, want the 3 that need not wait", n)
		}
	})
}

// IPv6 counts by /64, IPv4 by address, however it is written.
func TestLimitKey(t *testing.T) {
	for _, tt := range []struct{ a, b string }{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"fe80::1%eth0", "fe80::2%eth1"},
	} {
		if limitKey(tt.a) != limitKey(tt.b) {
			t.Errorf("%s and %s count apart", tt.a, tt.b)
		}
	}
	if limitKey("2001:db8:1:2::1") == limitKey("2001:db8:1:3::1") || limitKey("192.0.2.1") == limitKey("192.0.2.2") {
		t.Error("different networks count together")
	}
}

// Attempts count by the network of whom a proxy asks for, if the proxy is one that was named,
// and nobody gets more by what a client writes into the header itself.
func TestLimitsAreForNetworks(t *testing.T) {
	ask := func(s *site, path, from string) int {
		t.Helper()
		body := fmt.Sprintf(`{"username":%q,"password":%q}`, "u"+store.NewID()[24:], password)
		return s.ask("POST", path, "", body, forwardedFor, from).StatusCode
	}
	change := func(c *Config) { c.LoginsPerMinute, c.RegistrationsPerMinute = 2, 2 }
	behind := newSite(t, func(c *Config) { change(c); c.TrustedProxies = []string{"127.0.0.1"} })
	behind.user("anna", store.RoleAdmin)
	for path, good := range map[string]int{"/api/login": 401, "/api/register": 200} {
		for _, tt := range []struct {
			from string
			want int
		}{
			{"2001:db8:1:2::1", good},
			{"192.0.2.77, 2001:db8:1:2:ffff::9", good}, // what is on the left, the client has written
			{"192.0.2.78, 2001:db8:1:2:a:b:c:d", 429},
			{"2001:db8:1:3::1", good},
			{"198.51.100.7", good}, {"::ffff:198.51.100.7", good}, {"198.51.100.7", 429}, {"198.51.100.8", good},
		} {
			if got := ask(behind, path, tt.from); got != tt.want {
				t.Errorf("%s from %s: %d, want %d", path, tt.from, got, tt.want)
			}
		}
	}
	list, _, err := behind.Store.Audit(audit.Query{Action: "rate_limit_exceeded", Limit: 10})
	if err != nil || len(list) != 4 {
		t.Fatalf("%d refusals are recorded (%v), want 4", len(list), err)
	}
	for _, l := range list {
		if l.Address != "2001:db8:1:2:a:b:c:d" && l.Address != "198.51.100.7" {
			t.Errorf("a refusal is recorded of %s", l.Address)
		}
	}
	alone := newSite(t, change)
	alone.user("anna", store.RoleAdmin)
	for i, want := range []int{401, 401, 429} {
		if got := ask(alone, "/api/login", fmt.Sprintf("192.0.2.%d", i)); got != want {
			t.Errorf("from a proxy that nobody named, log-in %d: %d, want %d", i+1, got, want)
		}
	}
}

// The memory of a limiter is bounded, whoever attacks.
func TestLimiterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter[int](1, time.Minute)
		for i := range 3 * maxKeys {
			l.allow(i)
			l.allow(i)
		}
		if len(l.seen) > maxKeys || len(l.refused) > maxKeys {
			t.Errorf("%d and %d keys are kept", len(l.seen), len(l.refused))
		}
		time.Sleep(time.Hour)
		for i := range maxKeys - 1 { // of more, some are forgotten, whichever come first
			l.allow(-i)
		}
		if v := l.allow(0); v.ok || len(l.seen) > maxKeys {
			t.Errorf("after an hour %d keys are kept: %+v", len(l.seen), v)
		}
	})
}

// A flood of names does not push out the one under attack, and what is over is
// forgotten without losing what is not.
func TestFloodForgetsNoAttack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter[string](math.MaxInt, accountMemory)
		l.failed("attacked", 5)
		time.Sleep(accountMemory - time.Minute)
		l.failed("attacked", 12)
		time.Sleep(2 * time.Minute) // the first five are over
		if v := l.attempt("attacked", 10); !v.ok {
			t.Errorf("two minutes after the last failure: %+v", v)
		}
		for i := range 3 * maxKeys {
			l.failed("name "+strconv.Itoa(i), 1)
		}
		if len(l.seen) > maxKeys {
			t.Errorf("%d names are kept", len(l.seen))
		}
		if v := l.attempt("attacked", 10); v.ok || v.reset != 8*time.Second {
			t.Errorf("after 13 failures: %+v, want a wait of 8 s", v)
		}
	})
}

// Nor does it fill the store, and an hour later the store knows nothing of it.
func TestCountsInTheStoreAreBounded(t *testing.T) {
	s := newSite(t, nil)
	l, attacked := s.limits[limitAccount], accountKey("ben")
	written := make(map[string][]time.Time)
	l.failed(attacked, 12)
	for i := range maxKeys + tidyWrites {
		key := accountKey("name " + strconv.Itoa(i))
		l.failed(key, 1)
		written[limitAccount+" "+key] = []time.Time{time.Now()}
	}
	if err := s.Store.PutCounts(written); err != nil {
		t.Fatal(err)
	}
	if err := s.keepLimit(limitAccount, attacked); err != nil {
		t.Fatal(err)
	}
	forever := func(string) time.Duration { return 1 << 62 }
	all, err := s.Store.Counts(forever)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) > maxKeys {
		t.Errorf("%d counts are kept", len(all))
	}
	next, err := New(s.cfg, s.Deps)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(next.limits[limitAccount].seen[attacked]); got != 12 {
		t.Errorf("after a crash %d failures of the attacked account are known, want 12", got)
	}
	for key := range l.seen {
		l.seen[key] = []time.Time{time.Now().Add(-accountMemory)}
	}
	s.tidied.last = time.Now().Add(-tidyTime)
	if a := s.ask("POST", "/api/login", "", `{"username":"somebody","password":"wrong"}`); a.StatusCode != 401 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	if all, err = s.Store.Counts(forever); err != nil || len(all) != 2 {
		t.Errorf("an hour later %d counts are kept, want those of one network and one name; %v", len(all), err)
	}
}

// More who want a password checked than can be in good time are sent away.
func TestHashingIsBounded(t *testing.T) {
	s := newSite(t, nil)
	s.hashing <- struct{}{} // one hash that takes long
	answers := make(chan int, maxHashing+4)
	for range maxHashing + 4 {
		go func() {
			resp, err := http.Post(s.url+"/api/login", "application/json", strings.NewReader(`{"username":"x","password":"y"}`))
			if err != nil {
				answers <- 0
				return
			}
			resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	for range 4 {
		if got := <-answers; got != 429 {
			t.Errorf("one too many: %d", got)
		}
	}
	<-s.hashing
	for range maxHashing {
		if got := <-answers; got != 401 {
			t.Errorf("one that waited: %d", got)
		}
	}
	if n := s.recorded("rate_limit_exceeded", audit.Blocked); n != 4 {
		t.Errorf("%d of those sent away are recorded, want 4", n)
	}
}

// The cost is measured once and kept.
func TestPasswordCost(t *testing.T) {
	s := newSite(t, nil)
	s.cfg.PasswordPasses = 0
	n, err := s.measurePasses()
	if err != nil || n < minPasses || n > maxPasses {
		t.Fatalf("%d passes, %v", n, err)
	}
	if err := s.Store.PutSetting(passwordCostSetting, passwordCost{Passes: 7}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.measurePasses(); err != nil || n != 7 {
		t.Errorf("%d passes, %v; want those measured before", n, err)
	}
	// A hash of another cost is made anew when its password is shown.
	s.user("ben", store.RoleMember)
	before := s.named("ben").Password
	s.passes = 2
	s.logInAs("ben")
	if after := s.named("ben").Password; after == before || !strings.Contains(after, "t=2,") {
		t.Errorf("the hash is %.40q", after)
	}
	s.logInAs("ben")
}

func TestNewPasswords(t *testing.T) {
	for password, ok := range map[string]bool{
		"seven green tractors":             true,
		"ünïcödé ist auch gut":             true,
		"🦆🐑🐄🐖🐓🦃🐇🐕🐈🐎":                       true,
		strings.Repeat("a1", 5):            true,
		strings.Repeat("x y ", 256):        true,
		strings.Repeat("x y ", 257):        false,
		"short":                            false,
		"aaaaaaaaaaaaaa":                   false,
		"🦆🦆🦆🦆🦆🦆🦆🦆🦆🦆":                       false,
		"Password123!":                     false,
		"qwertyuiop":                       false,
		"princess1990":                     false,
		"iloveyou!!!":                      false,
		"annabelle99":                      false,
		"docscan-2026":                     false,
		"not utf-8 at all \xff\xfe\xfd":    false,
		"docscan is the box in the corner": true,
	} {
		if err := checkNewPassword("annabelle", password); (err == nil) != ok {
			t.Errorf("%.40q: %v", password, err)
		}
	}
}
