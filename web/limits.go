package web

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"docscan/store"
	"docscan/store/audit"
)

// Names of limits.
const (
	limitLogin    = "login"    // attempts to log in, by network
	limitAccount  = "account"  // failures to log in, by name; see delay
	limitRegister = "register" // registrations, by network
	limitUpload   = "upload"   // requests that bring files, by user
	limitExport   = "export"   // documents and backups taken away, by user
	limitAdmin    = "admin"    // administrators' changes, by user
)

// accountMemory is how long a failure to log in counts against its name.
const accountMemory = time.Hour

func newLimits(cfg Config) map[string]*limiter[string] {
	return map[string]*limiter[string]{
		limitLogin:    newLimiter[string](cfg.LoginsPerMinute, time.Minute),
		limitAccount:  newLimiter[string](math.MaxInt32, accountMemory),
		limitRegister: newLimiter[string](cfg.RegistrationsPerMinute, time.Minute),
		limitUpload:   newLimiter[string](cfg.UploadsPerMinute, time.Minute),
		limitExport:   newLimiter[string](cfg.ExportsPerMinute, time.Minute),
		limitAdmin:    newLimiter[string](cfg.AdminPerMinute, time.Minute),
	}
}

// limitOf is the limit on a route that is counted by user, "" for none.
func limitOf(rt route) string {
	reads := rt.method == http.MethodGet
	switch {
	case rt.access == senders && !reads:
		return limitUpload
	case rt.access.administers() && !reads:
		return limitAdmin
	case reads && rt.path == "/api/v1/system/backup", reads && strings.Contains(rt.path+"/", "/export/"):
		return limitExport
	case reads && strings.Contains(rt.path, "/:id/") && !strings.Contains(rt.path, ":seq"):
		for _, end := range []string{"/pdf", "/text", "/original"} {
			if strings.HasSuffix(rt.path, end) {
				return limitExport
			}
		}
	case reads && strings.HasSuffix(rt.path, "/raw"):
		return limitExport
	}
	return ""
}

// limitUser counts a request against the limit of its route. Work at the box
// itself has none.
func (s *Server) limitUser(c *call, rt route) error {
	return s.limitCaller(c, limitOf(rt))
}

// limitCaller counts a request against one of the limits by user; "" is none.
func (s *Server) limitCaller(c *call, name string) error {
	if name == "" || c.caller == nil || c.address == "" || c.account != "" {
		return nil
	}
	if name == limitExport {
		began := !s.views.allow(reading{c.user.Name, c.address, "export " + c.r.URL.Path}).ok
		if began && c.r.Header.Get("Range") != "" && takesRange(c.r.URL.Path) {
			return nil // the rest of a file that was counted when it began
		}
	}
	return s.limit(c.w, name, cmp.Or(string(c.user.ID), c.token), c.entry(audit.Security, "", limitTarget(name)))
}

// takesRange reports whether a file comes in parts: one that is kept does, one that is made
// for the request does not.
func takesRange(path string) bool {
	return slices.ContainsFunc([]string{"/pdf", "/original", "/raw"}, func(end string) bool { return strings.HasSuffix(path, end) }) && !strings.Contains(path, "/export/")
}

func limitTarget(name string) string { return name + "s a minute" }

// limit counts an attempt that entry describes, tells in the headers of w how
// many are left, and refuses and records it if there have been too many.
func (s *Server) limit(w http.ResponseWriter, name, key string, entry audit.Entry) error {
	l := s.limits[name]
	v := l.allow(key)
	h := w.Header()
	// draft-ietf-httpapi-ratelimit-headers
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", name, l.most, int(l.interval.Seconds())))
	h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", name, v.left, seconds(v.reset)))
	if v.ok {
		return s.keepLimit(name, key)
	}
	return s.refuse(v, entry)
}

// refuse records the first refusal of a row: a flood of them must not fill the
// audit log.
func (s *Server) refuse(v verdict, entry audit.Entry) error {
	if v.first {
		entry.EventType, entry.Action, entry.Status = audit.Security, "rate_limit_exceeded", audit.Blocked
		if err := s.Store.AddAudit(entry); err != nil {
			return err
		}
	}
	return &retryLater{wait: v.reset}
}

// seconds rounds up.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// retryLater refuses somebody who asks too often.
type retryLater struct {
	wait  time.Duration
	crowd bool // others ask too often, which nobody has recorded yet
}

func (e *retryLater) Error() string { return "too many attempts" }

// limiter counts attempts by key in a sliding window of one interval.
type limiter[K comparable] struct {
	most     int
	interval time.Duration

	mu      sync.Mutex
	seen    map[K][]time.Time
	refused map[K]time.Time // until when further refusals are the same row
}

// maxKeys bounds a limiter, in memory and in the store, under attack from many
// addresses or under many names.
const maxKeys = 10000

func newLimiter[K comparable](most int, interval time.Duration) *limiter[K] {
	return &limiter[K]{most: most, interval: interval, seen: make(map[K][]time.Time), refused: make(map[K]time.Time)}
}

// A verdict is what a limiter says of an attempt.
type verdict struct {
	ok    bool
	left  int           // attempts that remain
	reset time.Duration // until there is one more
	first bool          // of the refusals in a row
}

// allow counts an attempt, unless there have been too many.
func (l *limiter[K]) allow(key K) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	list := l.recent(key, now)
	if len(list) < l.most {
		list = append(list, now)
		l.seen[key] = list
		return verdict{ok: true, left: l.most - len(list), reset: l.interval - now.Sub(list[0])}
	}
	return l.refuse(key, now, list[0].Add(l.interval).Sub(now))
}

// refuse is the verdict on an attempt that must wait.
func (l *limiter[K]) refuse(key K, now time.Time, wait time.Duration) verdict {
	v := verdict{reset: wait, first: now.After(l.refused[key])}
	l.refused[key] = now.Add(wait)
	return v
}

// recent gives the attempts of a key that still count, and forgets old ones.
func (l *limiter[K]) recent(key K, now time.Time) []time.Time {
	if len(l.seen) >= maxKeys {
		l.thin(now)
	}
	if len(l.refused) >= maxKeys {
		clear(l.refused)
	}
	list := slices.DeleteFunc(l.seen[key], l.over(now))
	if len(list) == 0 {
		delete(l.seen, key)
		return nil
	}
	l.seen[key] = list
	return list
}

// over says which attempts count no more.
func (l *limiter[K]) over(now time.Time) func(time.Time) bool {
	return func(t time.Time) bool { return now.Sub(t) >= l.interval || t.After(now.Add(time.Minute)) } // the clock was put back
}

// thin forgets the keys that count no more, and if there are too many all the same,
// those with the fewest attempts, of these the oldest. A flood of new keys pushes
// itself out, not the key that is under attack.
func (l *limiter[K]) thin(now time.Time) {
	over := l.over(now)
	maps.DeleteFunc(l.seen, func(_ K, list []time.Time) bool { return over(list[len(list)-1]) })
	if len(l.seen) < maxKeys {
		return
	}
	keys := slices.SortedFunc(maps.Keys(l.seen), func(a, b K) int {
		x, y := l.seen[a], l.seen[b]
		return cmp.Or(len(x)-len(y), x[len(x)-1].Compare(y[len(y)-1]))
	})
	for _, k := range keys[:len(keys)-maxKeys*9/10] {
		delete(l.seen, k)
	}
}

// freeFailures is how many failures under one name cost nothing at most, however many
// attempts an address has: where many people come from one address, that is no reason to
// let more be guessed of each. keptFailures are so many and those that double the delay.
const (
	freeFailures = 24
	keptFailures = freeFailures + 8
)

// delay is how long after the last of so many failures the next attempt is taken:
// the first ones cost nothing, then it doubles up to a minute. It never grows
// beyond, so that a stranger who keeps failing cannot lock anybody out for long.
func delay(failures, free int) time.Duration {
	if failures < free {
		return 0
	}
	return min(time.Second<<min(failures-free, 6), time.Minute)
}

// attempt counts an attempt for a name, or from a device that is known to it, as a
// failure, unless it must wait for failures before it. Of many that come at once only those
// pass that would have passed one after the other, had they failed.
func (l *limiter[K]) attempt(key K, free int) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	list := l.recent(key, now)
	if len(list) > 0 {
		if wait := list[len(list)-1].Add(delay(len(list), free)).Sub(now); wait > 0 {
			return l.refuse(key, now, wait)
		}
	}
	list = append(list, now)
	l.seen[key] = list[max(0, len(list)-keptFailures):] // more make no difference
	return verdict{ok: true}
}

// takeBack makes the last attempt of a key one that does not count.
func (l *limiter[K]) takeBack(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch list := l.seen[key]; len(list) {
	case 0:
	case 1:
		delete(l.seen, key)
	default:
		l.seen[key] = list[:len(list)-1]
	}
}

// forget ends what was counted for a key.
func (l *limiter[K]) forget(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, key)
}

// limitKey counts IPv6 by /64, which is what one customer gets.
func limitKey(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// kept are the limits that are written with every attempt, as each costs a hash
// of a password anyway. The others are written when docscan stops.
var kept = []string{limitLogin, limitAccount, limitRegister}

// keepLimit writes what is counted for a key of a kept limit, and now and then has
// the store forget what is counted no more.
func (s *Server) keepLimit(name, key string) error {
	if !slices.Contains(kept, name) {
		return nil
	}
	l := s.limits[name]
	l.mu.Lock()
	list := slices.Clone(l.seen[key])
	l.mu.Unlock()
	if err := s.Store.PutCounts(map[string][]time.Time{name + " " + key: list}); err != nil {
		return err
	}
	if !s.tidied.due(time.Now()) {
		return nil
	}
	return s.tidyLimits()
}

// A tidying says when the store is to forget counts: after so many writes, so that
// a flood of names and addresses does not fill it, and after a while, so that they
// do not stay when it is over.
type tidying struct {
	mu     sync.Mutex
	writes int
	last   time.Time
}

const (
	tidyWrites = maxKeys / 10
	tidyTime   = 10 * time.Minute
)

func (t *tidying) due(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes++
	if t.writes < tidyWrites && now.Sub(t.last).Abs() < tidyTime {
		return false
	}
	t.writes, t.last = 0, now
	return true
}

// tidyLimits has the store forget what is counted no more.
func (s *Server) tidyLimits() error {
	for _, l := range s.limits {
		l.mu.Lock()
		l.thin(time.Now())
		l.mu.Unlock()
	}
	return s.Store.PruneCounts(func(at string) bool {
		name, key, _ := strings.Cut(at, " ")
		l, ok := s.limits[name]
		if !ok {
			return false
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		_, ok = l.seen[key]
		return ok
	})
}

// KeepLimits writes all that is counted, so that the next start goes on with it.
func (s *Server) KeepLimits() error {
	all := make(map[string][]time.Time)
	for name, l := range s.limits {
		l.mu.Lock()
		for key, list := range l.seen {
			all[name+" "+key] = slices.Clone(list)
		}
		l.mu.Unlock()
	}
	return errors.Join(s.Store.PutCounts(all), s.tidyLimits())
}

// loadLimits goes on with what was counted before.
func (s *Server) loadLimits() error {
	all, err := s.Store.Counts(func(at string) time.Duration {
		name, _, _ := strings.Cut(at, " ")
		if l, ok := s.limits[name]; ok {
			return l.interval
		}
		return 0
	})
	for at, list := range all {
		name, key, _ := strings.Cut(at, " ")
		s.limits[name].seen[key] = list
	}
	for _, l := range s.limits {
		l.thin(time.Now())
	}
	return err
}

// Attempts are the log-ins lately tried from networks, for the server that goes
// on in another process: nobody gets more of them because it changes. A program
// of before reads them only from here.
type Attempts map[netip.Prefix][]time.Time

// Attempts gives those that still count.
func (s *Server) Attempts() Attempts {
	l := s.limits[limitLogin]
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(Attempts, len(l.seen))
	for k, times := range l.seen {
		if p, err := netip.ParsePrefix(k); err == nil && len(times) > 0 && time.Since(times[len(times)-1]) < l.interval {
			all[p] = slices.Clone(times)
		}
	}
	return all
}

// TakeAttempts goes on counting where another server has ended.
func (s *Server) TakeAttempts(a Attempts) {
	l := s.limits[limitLogin]
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, times := range a {
		if len(times) > 0 {
			l.seen[k.String()] = times
		}
	}
}

// accountKey is what a name is counted by: two spellings of one are one, and what
// a stranger types does not stand in the database.
func accountKey(name string) string { return hashSecret(store.FoldName(clip(name)))[:32] }
