package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// AddUser adds a user. A name in use, without regard to case, is ErrExists.
func (s *Store) AddUser(u User, entries ...audit.Entry) error {
	return s.addUser(u, false, entries)
}

// AddFirstUser adds a user only while there is none: ErrExists otherwise. Of
// several that try at once, one succeeds.
func (s *Store) AddFirstUser(u User, entries ...audit.Entry) error {
	return s.addUser(u, true, entries)
}

func (s *Store) addUser(u User, first bool, entries []audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		err := each(tx, bucketUsers, func(_ []byte, other *User) error {
			if first || other.ID == u.ID || strings.EqualFold(other.Name, u.Name) {
				return ErrExists
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := put(tx, bucketUsers, []byte(u.ID), &u); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("add user %s: %w", u.Name, err)
	}
	return nil
}

// User gives a user, or ErrNotFound.
func (s *Store) User(id UserID) (User, error) {
	return read[User](s, bucketUsers, "user", string(id))
}

// UserByName gives the user of that log-in name, without regard to case.
func (s *Store) UserByName(name string) (User, error) {
	all, err := list(s, bucketUsers, func(u *User) bool { return strings.EqualFold(u.Name, name) })
	if err != nil {
		return User{}, err
	}
	if len(all) == 0 {
		return User{}, fmt.Errorf("user %.40q: %w", name, ErrNotFound)
	}
	return all[0], nil
}

// Users lists all users by name.
func (s *Store) Users() ([]User, error) {
	all, err := list[User](s, bucketUsers, nil)
	slices.SortFunc(all, func(a, b User) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return all, err
}

// UpdateUser changes a user.
func (s *Store) UpdateUser(id UserID, change func(*User) error, entries ...audit.Entry) (User, error) {
	var u User
	err := s.update(func(tx *bbolt.Tx) error {
		if err := get(tx, bucketUsers, []byte(id), &u); err != nil {
			return err
		}
		if err := change(&u); err != nil {
			return err
		}
		if err := put(tx, bucketUsers, []byte(id), &u); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return User{}, fmt.Errorf("user %s: %w", id, err)
	}
	return u, nil
}

// AddSession records a log-in.
func (s *Store) AddSession(x Session, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if err := put(tx, bucketSessions, []byte(x.Hash), &x); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("add session: %w", err)
	}
	return nil
}

// SessionByHash gives the session of a secret's hash, or ErrNotFound. Whether it
// is still valid is the caller's business.
func (s *Store) SessionByHash(hash string) (Session, error) {
	var x Session
	err := s.db.View(func(tx *bbolt.Tx) error { return get(tx, bucketSessions, []byte(hash), &x) })
	if err != nil {
		return Session{}, fmt.Errorf("session: %w", err)
	}
	return x, nil
}

// Sessions lists the sessions of a user, oldest first.
func (s *Store) Sessions(u UserID) ([]Session, error) {
	all, err := list(s, bucketSessions, func(x *Session) bool { return x.User == u })
	slices.SortFunc(all, func(a, b Session) int { return a.Created.Compare(b.Created) })
	return all, err
}

// TouchSession records that the session was used at t.
func (s *Store) TouchSession(hash string, t time.Time) error {
	err := s.update(func(tx *bbolt.Tx) error {
		var x Session
		if err := get(tx, bucketSessions, []byte(hash), &x); err != nil {
			return err
		}
		x.Seen = t
		return put(tx, bucketSessions, []byte(hash), &x)
	})
	if err != nil {
		return fmt.Errorf("touch session: %w", err)
	}
	return nil
}

// EndSession ends the session of a secret's hash. One that has ended already is
// no error.
func (s *Store) EndSession(hash string, entries ...audit.Entry) error {
	return s.endSessions(func(x *Session) bool { return x.Hash == hash }, entries)
}

// EndSessionsOf ends all sessions of a user but the one with hash except.
func (s *Store) EndSessionsOf(u UserID, except string, entries ...audit.Entry) error {
	return s.endSessions(func(x *Session) bool { return x.User == u && x.Hash != except }, entries)
}

// EndExpiredSessions removes sessions that were over before t, or not used since
// idle.
func (s *Store) EndExpiredSessions(t, idle time.Time) error {
	return s.endSessions(func(x *Session) bool { return x.Expires.Before(t) || x.Seen.Before(idle) }, nil)
}

func (s *Store) endSessions(which func(*Session) bool, entries []audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		var keys [][]byte // a bucket must not change while it is walked
		err := each(tx, bucketSessions, func(k []byte, x *Session) error {
			if which(x) {
				keys = append(keys, k)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := tx.Bucket(bucketSessions).Delete(k); err != nil {
				return err
			}
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// AddToken records a token.
func (s *Store) AddToken(x Token, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if err := put(tx, bucketTokens, []byte(x.Hash), &x); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("add token: %w", err)
	}
	return nil
}

// TokenByHash gives the token of a secret's hash, or ErrNotFound.
func (s *Store) TokenByHash(hash string) (Token, error) {
	var x Token
	err := s.db.View(func(tx *bbolt.Tx) error { return get(tx, bucketTokens, []byte(hash), &x) })
	if err != nil {
		return Token{}, fmt.Errorf("token: %w", err)
	}
	return x, nil
}

// Tokens lists the tokens of a user, oldest first.
func (s *Store) Tokens(u UserID) ([]Token, error) {
	all, err := list(s, bucketTokens, func(x *Token) bool { return x.User == u })
	slices.SortFunc(all, func(a, b Token) int { return a.Created.Compare(b.Created) })
	return all, err
}

// DeleteToken removes a token of user u, or ErrNotFound.
func (s *Store) DeleteToken(u UserID, id TokenID, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		var key []byte
		err := each(tx, bucketTokens, func(k []byte, x *Token) error {
			if x.User == u && x.ID == id {
				key = k
			}
			return nil
		})
		if err != nil {
			return err
		}
		if key == nil {
			return ErrNotFound
		}
		if err := tx.Bucket(bucketTokens).Delete(key); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("delete token %s: %w", id, err)
	}
	return nil
}
