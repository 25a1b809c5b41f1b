package web

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"docscan/store"
	"docscan/store/audit"
)

// One-time codes as all the apps for them have them (RFC 6238): six digits, a new
// one each half minute. One period to either side is taken, for clocks that
// differ.
const (
	codePeriod = 30
	codeDigits = otp.DigitsSix
	codeSkew   = 1
)

// Recovery codes stand in for a lost phone, each once: 24 characters of base32 are
// 120 bits, too many to guess even for somebody who has the hashes.
const (
	recoveryCodes = 10
	recoveryBytes = 15
	recoveryGroup = 6 // characters between dashes
)

var (
	errSecondFactor = problemf(401, "second-factor", "Code needed", "Enter the code that your app shows, or one of your recovery codes.")
	errWrongCode    = problemf(401, "wrong-code", "Log-in refused", "The code is not right, or has been used before.")
)

// useCode uses up a one-time or recovery code of a user, as read before the password was
// looked at, and says which it was. The transaction sees to it that no code is taken twice.
// It is store.ErrConflict if what the user held has been ended since.
func (s *Server) useCode(before *store.User, code string) (factor string, err error) {
	code = tidyCode(code)
	_, err = s.Store.UpdateUser(before.ID, func(u *store.User) error {
		if u.Cuts != before.Cuts || !u.Active() {
			return store.ErrConflict
		}
		if u.OneTime == nil {
			return errWrongCode
		}
		if len(code) == codeDigits.Length() {
			step, ok := matchCode(u.OneTime.Secret, code, u.OneTime.Step, time.Now())
			if !ok {
				return errWrongCode
			}
			factor, u.OneTime.Step = "code", step
			return nil
		}
		i := slices.Index(u.Recovery, hashSecret(code))
		if i < 0 {
			return errWrongCode
		}
		factor, u.Recovery = "recovery code", slices.Delete(u.Recovery, i, i+1)
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		err = store.ErrConflict
	}
	return factor, err
}

// tidyCode takes out what people put between the characters of a code.
func tidyCode(code string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(code[:min(len(code), 64)]))
}

// matchCode finds the period after step used whose code this is.
func matchCode(secret, code string, used int64, now time.Time) (step int64, ok bool) {
	for d := int64(-codeSkew); d <= codeSkew; d++ {
		at := now.Unix()/codePeriod + d
		good, err := hotp.ValidateCustom(code, uint64(at), secret, hotp.ValidateOpts{Digits: codeDigits, Algorithm: otp.AlgorithmSHA1})
		if err == nil && good && at > used {
			return at, true
		}
	}
	return 0, false
}

// newRecovery makes recovery codes, and what is kept of them.
func newRecovery() (codes, hashes []string) {
	for range recoveryCodes {
		b := make([]byte, recoveryBytes)
		rand.Read(b) // never fails
		code := strings.ToLower(base32.StdEncoding.EncodeToString(b))
		hashes = append(hashes, hashSecret(code))
		var groups []string
		for g := range slices.Chunk([]byte(code), recoveryGroup) {
			groups = append(groups, string(g))
		}
		codes = append(codes, strings.Join(groups, "-"))
	}
	return codes, hashes
}

// An enrolment is a second factor that waits for its first code.
type enrolment struct {
	user   store.UserID
	secret string
	uri    string // otpauth://, for the app
}

// enrol begins to set up one-time codes. It returns what the app needs, and the
// ticket that confirmCode takes.
func (s *Server) enrol(c *call, password string) (e enrolment, ticket string, err error) {
	if err := s.confirm(c, password); err != nil {
		return e, "", err
	}
	host := c.r.Host
	if i := strings.LastIndexByte(host, ':'); i > 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: "docscan " + strings.Map(plain, clip(host)), AccountName: c.user.Name, Period: codePeriod, Digits: codeDigits,
		Algorithm: otp.AlgorithmSHA1, SecretSize: 20,
	})
	if err != nil {
		return e, "", fmt.Errorf("make a second factor: %w", err)
	}
	e = enrolment{c.user.ID, key.Secret(), key.URL()}
	return e, s.halfway.begin(e), nil
}

// plain leaves of a host name what stands in one.
func plain(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '-' {
		return r
	}
	return -1
}

// confirmCode sets up one-time codes when the app has shown that it can make them,
// and returns recovery codes, which are shown once, and to programs the secret with which
// they go on. After a wrong code there is a new ticket. All other log-ins end.
func (s *Server) confirmCode(c *call, ticket, code string) (codes []string, secret, again string, e enrolment, err error) {
	data, ok := s.halfway.end(ticket)
	e, fits := data.(enrolment)
	if !ok || !fits || e.user != c.user.ID {
		return nil, "", "", e, problemf(422, "too-late", "Too late", "This took too long. Begin once more.")
	}
	if err := s.limit(c.w, limitLogin, "user "+string(c.user.ID), c.entry(audit.Authentication, "", c.user.Name)); err != nil {
		return nil, "", s.halfway.begin(e), e, err
	}
	step, good := matchCode(e.secret, tidyCode(code), 0, time.Now())
	if !good {
		return nil, "", s.halfway.begin(e), e, problemf(422, "wrong-code", "Wrong code", "The code is not right. Look whether the clocks of the phone and of the box agree.")
	}
	codes, hashes := newRecovery()
	secret, err = s.changeSelf(c, true, func(u *store.User) error {
		u.OneTime = &store.OneTime{Secret: e.secret, Since: time.Now(), Step: step}
		u.Recovery = hashes
		return nil
	}, c.entry(audit.Authentication, "second_factor_on", c.user.Name))
	if err != nil {
		return nil, "", "", e, err
	}
	return codes, secret, "", e, nil
}

// freshRecovery gives the caller new recovery codes for the old ones. All other
// log-ins end.
func (s *Server) freshRecovery(c *call, password string) ([]string, error) {
	if err := s.confirm(c, password); err != nil {
		return nil, err
	}
	codes, hashes := newRecovery()
	_, err := s.changeSelf(c, false, func(u *store.User) error {
		if u.OneTime == nil {
			return problemf(409, "no-second-factor", "No second factor", "There is no second factor to recover.")
		}
		u.Recovery = hashes
		return nil
	}, c.entry(audit.Authentication, "recovery_codes_made", c.user.Name))
	return codes, err
}

// dropSecondFactor ends one-time codes, and all other log-ins.
func (s *Server) dropSecondFactor(c *call, password string) error {
	if err := s.confirm(c, password); err != nil {
		return err
	}
	_, err := s.changeSelf(c, false, func(u *store.User) error {
		u.OneTime, u.Recovery = nil, nil
		return nil
	}, c.entry(audit.Authentication, "second_factor_off", c.user.Name))
	return err
}

// drawQR draws a QR code of text, of black squares on white with a quiet zone of
// four (ISO/IEC 18004), for a page of any colours.
func drawQR(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("draw a QR code: %w", err)
	}
	const quiet = 4
	n := code.Bounds().Dx()
	var path strings.Builder
	for y := range n {
		for x := range n {
			if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	return template.HTML(fmt.Sprintf(`<svg class="qr" viewBox="0 0 %d %d" width="240" height="240" aria-hidden="true" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="%s"/></svg>`,
		n+2*quiet, n+2*quiet, n+2*quiet, n+2*quiet, path.String())), nil
}

// halfLogin is a log-in whose password was right and whose code is missing.
type halfLogin struct {
	user   store.User // as it was when the password was looked at: a cut since then ends this
	tries  int
	length time.Duration
}

// maxTries is how many codes one password is good for.
const maxTries = 5

// finishLogin takes the code of a log-in that waits for it. After a wrong one
// there is a new ticket, as long as there are tries.
func (s *Server) finishLogin(c *call, ticket, code string) (secret, again string, err error) {
	data, ok := s.halfway.end(ticket)
	half, fits := data.(halfLogin)
	if !ok || !fits {
		s.recordRefusal(c.r, nil, "login_too_late")
		return "", "", problemf(401, "too-late", "Too late", "This took too long. Begin once more.")
	}
	u := half.user
	entry := audit.Entry{Time: time.Now(), EventType: audit.Authentication, Actor: u.Name, Action: "login", Target: u.Name, Address: address(c.r), Status: audit.Failure}
	if err := s.limit(c.w, limitLogin, limitKey(entry.Address).String(), entry); err != nil {
		return "", s.halfway.begin(half), err
	}
	key := s.failureKey(c.r, u.ID, u.Name)
	if err := s.attempt(key, entry); err != nil {
		return "", s.halfway.begin(half), err
	}
	factor, err := s.useCode(&u, code)
	if errors.Is(err, errWrongCode) {
		entry.Details = "second factor"
		if half.tries++; half.tries < maxTries {
			again = s.halfway.begin(half)
		}
		return "", again, s.refuseLogin(key, entry, errWrongCode)
	}
	if errors.Is(err, store.ErrConflict) {
		return "", "", s.refuseLogin(key, entry, errWrongPassword)
	}
	if err == nil {
		err = s.succeeded(key)
	}
	if err != nil {
		return "", "", err
	}
	secret, err = s.enter(c, u, factor, half.length, entry)
	return secret, "", err
}
