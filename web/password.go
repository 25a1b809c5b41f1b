package web

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Cost of argon2id. The memory is what OWASP's Password Storage Cheat Sheet has
// for its second choice, as a box may have 512 MB in all; one thread, as the
// other cores read pages. How many passes fit into hashTime the box measures
// itself, once: the same program runs on a Pi and on a server.
const (
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonKey     = 32

	hashTime            = 350 * time.Millisecond
	minPasses           = 3
	maxPasses           = 64
	passwordCostSetting = "password-cost"
)

// passwordCost is what a box has measured.
type passwordCost struct {
	Passes   uint32    `json:"passes"`
	Measured time.Time `json:"measured"`
}

// measurePasses gives how many passes a new hash takes: those configured, or those once
// measured on this box.
func (s *Server) measurePasses() (uint32, error) {
	if s.cfg.PasswordPasses > 0 {
		return uint32(s.cfg.PasswordPasses), nil
	}
	var known passwordCost
	ok, err := s.Store.Setting(passwordCostSetting, &known)
	if err != nil {
		return 0, err
	}
	if ok && known.Passes >= minPasses && known.Passes <= maxPasses {
		return known.Passes, nil
	}
	one := time.Hour
	for range 3 { // the quickest: the others had to share the core
		start := time.Now()
		argon2.IDKey([]byte("measure"), make([]byte, 16), 2, argonMemory, argonThreads, argonKey)
		one = min(one, time.Since(start)/2)
	}
	releaseHeap() // what the trials took is not needed again
	known = passwordCost{Passes: uint32(min(max(hashTime/one, minPasses), maxPasses)), Measured: time.Now()}
	return known.Passes, s.Store.PutSetting(passwordCostSetting, known)
}

// maxHashing is how many may wait for the one hash that is computed at a time:
// more than these would wait longer than a person does.
const maxHashing = 16

// argon computes a hash when no other is being computed.
func (s *Server) argon(ctx context.Context, password string, salt []byte, passes, memory uint32) ([]byte, error) {
	if s.waiting.Add(1) > maxHashing {
		s.waiting.Add(-1)
		return nil, &retryLater{wait: hashTime * maxHashing, crowd: true}
	}
	defer s.waiting.Add(-1)
	select {
	case s.hashing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.hashing }()
	key := argon2.IDKey([]byte(password), salt, passes, memory, argonThreads, argonKey)
	if s.waiting.Load() == 1 {
		releaseHeap() // it took as much as all the rest does
	}
	return key, nil
}

// hashPassword gives the encoded argon2id hash of a password, in the usual form.
func (s *Server) hashPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	key, err := s.argon(ctx, password, salt, s.passes, argonMemory)
	if err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, s.passes, argonThreads, enc.EncodeToString(salt), enc.EncodeToString(key)), nil
}

// decoy stands in for the hash of a user who is not there, so that the time
// tells nothing. A name that is docscan's own is nobody's, as all can know: its decoy is
// quick, for with it a new version is asked to refuse a log-in while people wait for theirs.
func (s *Server) decoy(name string) string {
	passes := s.passes
	if isReserved(name) {
		passes = 1
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", argon2.Version, argonMemory, passes, argonThreads)
}

// checkPassword reports whether password is the one that was hashed, and whether
// the hash costs what a new one would.
func (s *Server) checkPassword(ctx context.Context, encoded, password string) (good, current bool, err error) {
	var version int
	var memory, passes uint32
	var threads uint8
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, false, nil
	}
	_, err = fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &threads)
	salt, serr := base64.RawStdEncoding.DecodeString(parts[4])
	key, kerr := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || serr != nil || kerr != nil || version != argon2.Version || memory > 1<<18 || passes > 100 || passes < 1 || threads != argonThreads {
		return false, false, nil
	}
	got, err := s.argon(ctx, password, salt, passes, memory)
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(got, key) == 1, passes == s.passes && memory == argonMemory, nil
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Bounds of passwords, in characters and bytes.
const minPassword, maxPassword = 10, 1024

// common are the passwords that are tried first, one a line, sorted; see the
// README beside it.
//
//go:embed passwords/passwords.gz
var common []byte

// checkNewPassword says what is wrong with a password somebody chooses. Length
// counts and nothing else but what is tried first: any character may stand in
// it, and none must.
func checkNewPassword(name, password string) error {
	folded := strings.ToLower(password)
	switch {
	case !utf8.ValidString(password):
		return problemf(422, "weak-password", "Password not readable", "The password is not valid UTF-8.")
	case utf8.RuneCountInString(password) < minPassword:
		return problemf(422, "weak-password", "Password too short", "The password needs at least %d characters. Some words in a row are easy to remember.", minPassword)
	case len(password) > maxPassword:
		return problemf(422, "weak-password", "Password too long", "The password may have at most %d bytes.", maxPassword)
	case name != "" && strings.Contains(folded, strings.ToLower(name)) && len(folded) < len(name)+minPassword:
		return problemf(422, "weak-password", "Password too easy", "The password must not be made of the name.")
	case isCommon(folded):
		return problemf(422, "weak-password", "Password too common", "This password is one of those that are tried first. Choose another.")
	}
	return nil
}

// isCommon reports whether a password in lower case is one of those tried first,
// also with what people put behind such a one, or one character over and over.
func isCommon(folded string) bool {
	first, _ := utf8.DecodeRuneInString(folded)
	if strings.Trim(folded, string(first)) == "" || strings.Contains(folded, "docscan") && len(folded) < len("docscan")+minPassword {
		return true
	}
	tried := []string{folded, strings.TrimRight(folded, "0123456789!?.,*#$%&+_- ")}
	z, err := gzip.NewReader(bytes.NewReader(common))
	if err != nil {
		panic(fmt.Sprintf("the list of common passwords: %v", err)) // it is part of the program
	}
	for lines := bufio.NewScanner(z); lines.Scan(); {
		if slices.Contains(tried, lines.Text()) {
			return true
		}
	}
	return false
}

// temporaryPassword makes one that can be read out and typed: 16 of 31
// characters, without those that look alike, are 79 bits.
func temporaryPassword() string {
	const alphabet = "abcdefghjkmnpqrstuvwxyz23456789x" // x twice, so that there are 32
	b := make([]byte, 16)
	rand.Read(b) // never fails
	var p strings.Builder
	for i, c := range b {
		if i > 0 && i%4 == 0 {
			p.WriteByte('-')
		}
		p.WriteByte(alphabet[c%32])
	}
	return p.String()
}
