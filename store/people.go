package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"golang.org/x/text/secure/precis"

	"docscan/store/audit"
)

// FoldName is what makes two names the same: the form in which they are compared
// (RFC 8265, UsernameCaseMapped: neither case nor the width or composition of
// characters counts). A name that is not fit for one, as older programs took,
// is compared without regard to case.
func FoldName(name string) string {
	if folded, err := precis.UsernameCaseMapped.CompareKey(name); err == nil {
		return folded
	}
	return strings.ToLower(name)
}

// ErrLastAdmin says that nobody would be left who can administer docscan.
var ErrLastAdmin = errors.New("it is the last active administrator")

// keepAdmin is ErrLastAdmin unless some other user than id administers.
func keepAdmin(tx *bbolt.Tx, id UserID) error {
	found := false
	err := each(tx, bucketUsers, func(_ []byte, u *User) error {
		found = found || u.ID != id && u.Role == RoleAdmin && u.Active()
		return nil
	})
	if err == nil && !found {
		err = ErrLastAdmin
	}
	return err
}

// AddUser adds a user. A name in use, as FoldName has it, is ErrExists.
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
			if first || other.ID == u.ID || FoldName(other.Name) == FoldName(u.Name) {
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

// UserByName gives the user of that log-in name, as FoldName has it.
func (s *Store) UserByName(name string) (User, error) {
	folded := FoldName(name)
	all, err := list(s, bucketUsers, func(u *User) bool { return FoldName(u.Name) == folded })
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

// UpdateUser changes a user. Whoever is the last active administrator stays one:
// anything else is ErrLastAdmin. Whoever is shut out or gets another role holds nothing
// any more, as with CutUser.
func (s *Store) UpdateUser(id UserID, change func(*User) error, entries ...audit.Entry) (User, error) {
	return s.updateUser(id, change, nil, entries)
}

// Keeps says what a user still holds after a change.
type Keeps struct {
	Session string // hash of the one log-in that goes on; empty: none
	Renewed string // hash of the secret that opens it from now on; empty: the same
	Tokens  bool
}

// CutUser changes a user and, in the same transaction, ends all that this user
// holds but what is kept. It is ErrNotFound, and changes nothing, if a log-in that is to
// go on with another secret has ended.
func (s *Store) CutUser(id UserID, keeps Keeps, change func(*User) error, entries ...audit.Entry) (User, error) {
	return s.updateUser(id, change, &keeps, entries)
}

// cut ends what a user holds.
func cut(tx *bbolt.Tx, id UserID, keeps Keeps) error {
	err := deleteWhere(tx, bucketSessions, func(x *Session) bool { return x.User == id && x.Hash != keeps.Session })
	if err == nil && !keeps.Tokens {
		err = deleteWhere(tx, bucketTokens, func(x *Token) bool { return x.User == id })
	}
	if err != nil || keeps.Renewed == "" {
		return err
	}
	var x Session
	if err := get(tx, bucketSessions, []byte(keeps.Session), &x); err != nil {
		return err
	}
	if err := tx.Bucket(bucketSessions).Delete([]byte(keeps.Session)); err != nil {
		return err
	}
	x.Hash = keeps.Renewed
	return put(tx, bucketSessions, []byte(x.Hash), &x)
}

// updateUser changes a user and, unless keeps is nil, ends what the user holds.
func (s *Store) updateUser(id UserID, change func(*User) error, keeps *Keeps, entries []audit.Entry) (User, error) {
	var u User
	err := s.update(func(tx *bbolt.Tx) error {
		u = User{}
		if err := get(tx, bucketUsers, []byte(id), &u); err != nil {
			return err
		}
		role, active, keeps := u.Role, u.Active(), keeps
		if err := change(&u); err != nil {
			return err
		}
		if role == RoleAdmin && active && (u.Role != RoleAdmin || !u.Active()) {
			if err := keepAdmin(tx, id); err != nil {
				return err
			}
		}
		if active && !u.Active() || u.Role != role {
			keeps = new(Keeps)
		}
		if keeps != nil {
			u.Cuts++
			if err := cut(tx, id, *keeps); err != nil {
				return err
			}
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

// ErrOwns says that a user cannot go while documents or batches are theirs.
var ErrOwns = errors.New("documents or batches belong to this user")

// DeleteUser removes a user with all that this user holds. What belongs to the
// user goes to heir, and the documents among it are returned as they are now;
// without an heir (empty) it is ErrOwns. The last active administrator is
// ErrLastAdmin.
func (s *Store) DeleteUser(id, heir UserID, entries ...audit.Entry) ([]Document, error) {
	var changed []Document
	err := s.update(func(tx *bbolt.Tx) (err error) {
		changed = nil
		var u User
		if err := get(tx, bucketUsers, []byte(id), &u); err != nil {
			return err
		}
		if u.Role == RoleAdmin && u.Active() {
			if err := keepAdmin(tx, id); err != nil {
				return err
			}
		}
		if changed, err = s.bequeath(tx, id, heir); err != nil {
			return err
		}
		if err := cut(tx, id, Keeps{}); err != nil {
			return err
		}
		if err := tx.Bucket(bucketUsers).Delete([]byte(id)); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return nil, fmt.Errorf("delete user %s: %w", id, err)
	}
	return changed, nil
}

// bequeath gives all that belongs to a user to heir.
func (s *Store) bequeath(tx *bbolt.Tx, id, heir UserID) (changed []Document, err error) {
	batches, documents := ownedBy(tx, bucketOwnBatches, id), ownedBy(tx, bucketOwnDocuments, id)
	if !s.indexed.Load() {
		batches, err = with(tx, bucketBatches, func(b *Batch) bool { return b.Owner == id })
		if err != nil {
			return nil, err
		}
		documents, err = with(tx, bucketDocuments, func(d *Document) bool { return d.Owner == id })
		if err != nil {
			return nil, err
		}
	}
	if len(batches)+len(documents) == 0 {
		return nil, nil
	}
	if heir == "" || heir == id {
		return nil, ErrOwns
	}
	if tx.Bucket(bucketUsers).Get([]byte(heir)) == nil {
		return nil, fmt.Errorf("heir %.40q: %w", heir, ErrNotFound)
	}
	for _, key := range batches {
		var b Batch
		if err := get(tx, bucketBatches, key, &b); err != nil {
			return nil, fmt.Errorf("batch %s: %w", key, err)
		}
		b.Owner = heir
		if err := putBatch(tx, &b); err != nil {
			return nil, err
		}
		if err := bequeathHandin(tx, &b); err != nil {
			return nil, err
		}
	}
	for _, key := range documents {
		var d Document
		if err := get(tx, bucketDocuments, key, &d); err != nil {
			return nil, fmt.Errorf("document %s: %w", key, err)
		}
		d.Owner = heir
		d.Revision++ // the index follows it
		if err := putDocument(tx, &d); err != nil {
			return nil, err
		}
		changed = append(changed, d)
	}
	return changed, nil
}

// ownedBy gives the keys of what an index lists for a user.
func ownedBy(tx *bbolt.Tx, index []byte, id UserID) (keys [][]byte) {
	prefix := ownerPrefix(id)
	c := tx.Bucket(index).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k[len(prefix):]))
	}
	return keys
}

// with gives the keys of the records of a bucket for which is holds.
func with[T any](tx *bbolt.Tx, bucket []byte, is func(*T) bool) (keys [][]byte, err error) {
	err = each(tx, bucket, func(key []byte, v *T) error {
		if is(v) {
			keys = append(keys, bytes.Clone(key))
		}
		return nil
	})
	return keys, err
}

// still is ErrConflict unless u, as it was read before, can log in and nothing that u
// held has been ended since.
func still(tx *bbolt.Tx, u *User) error {
	var now User
	err := get(tx, bucketUsers, []byte(u.ID), &now)
	if errors.Is(err, ErrNotFound) || err == nil && (!now.Active() || now.Cuts != u.Cuts) {
		return ErrConflict
	}
	return err
}

// AddSession records a log-in. u is whose it is, as read before the password or whatever
// else opened it was looked at: if what u holds has been ended since, as when somebody was
// shut out or got another password meanwhile, there is no log-in and the error is
// ErrConflict. A nil u is the box itself.
func (s *Store) AddSession(u *User, x Session, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if u != nil {
			if err := still(tx, u); err != nil {
				return err
			}
			x.User = u.ID
		}
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
	err := s.view(func(tx *bbolt.Tx) error { return get(tx, bucketSessions, []byte(hash), &x) })
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

// EndSessionOf ends the session of user u with that ID, or is ErrNotFound.
func (s *Store) EndSessionOf(u UserID, id SessionID, entries ...audit.Entry) error {
	found := false
	err := s.update(func(tx *bbolt.Tx) error {
		found = false
		err := deleteWhere(tx, bucketSessions, func(x *Session) bool {
			is := x.User == u && x.ID == id
			found = found || is
			return is
		})
		if err == nil && !found {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("end session %.40q: %w", id, err)
	}
	return nil
}

// EndExpiredSessions removes sessions that are over; idle is how long one may go
// without use.
func (s *Store) EndExpiredSessions(now time.Time, idle time.Duration) error {
	return s.endSessions(func(x *Session) bool { return x.Over(now, idle) }, nil)
}

func (s *Store) endSessions(which func(*Session) bool, entries []audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if err := deleteWhere(tx, bucketSessions, which); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// deleteWhere removes the records of a bucket for which which is true.
func deleteWhere[T any](tx *bbolt.Tx, bucket []byte, which func(*T) bool) error {
	var keys [][]byte // a bucket must not change while it is walked
	err := each(tx, bucket, func(k []byte, x *T) error {
		if which(x) {
			keys = append(keys, bytes.Clone(k))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := tx.Bucket(bucket).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// MaxTokens is how many tokens one user has at most.
const MaxTokens = 100

// ErrTokens says that there is room for no other token.
var ErrTokens = fmt.Errorf("there are %d tokens", MaxTokens)

// AddToken records a token, or is ErrTokens. u is whose it is, as with AddSession.
func (s *Store) AddToken(u *User, x Token, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if u != nil {
			if err := still(tx, u); err != nil {
				return err
			}
			x.User = u.ID
		}
		n := 0
		err := each(tx, bucketTokens, func(_ []byte, other *Token) error {
			if other.User == x.User && other.Hash != x.Hash {
				n++
			}
			return nil
		})
		if err == nil && n >= MaxTokens {
			err = ErrTokens
		}
		if err != nil {
			return err
		}
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
	err := s.view(func(tx *bbolt.Tx) error { return get(tx, bucketTokens, []byte(hash), &x) })
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

// TouchToken records that the token was used at t.
func (s *Store) TouchToken(hash string, t time.Time) error {
	err := s.update(func(tx *bbolt.Tx) error {
		var x Token
		if err := get(tx, bucketTokens, []byte(hash), &x); err != nil {
			return err
		}
		x.Used = t
		return put(tx, bucketTokens, []byte(hash), &x)
	})
	if err != nil {
		return fmt.Errorf("touch token: %w", err)
	}
	return nil
}

// An Activity is what a user has done so far.
type Activity struct {
	Batches int       // stacks of paper, and requests that brought files
	Last    time.Time // the last batch or the last use of a log-in; zero: neither
}

// Activities gives what all users have done.
func (s *Store) Activities() (map[UserID]Activity, error) {
	all := make(map[UserID]Activity)
	did := func(u UserID, batches int, at time.Time) {
		a := all[u]
		a.Batches += batches
		if at.After(a.Last) {
			a.Last = at
		}
		all[u] = a
	}
	err := s.view(func(tx *bbolt.Tx) error {
		err := tx.Bucket(bucketOwnBatches).ForEach(func(k, _ []byte) error {
			owner, id, _ := bytes.Cut(k, []byte{0})
			var at time.Time
			if u, err := uuid.ParseBytes(id); err == nil { // version 7 tells its time
				at = time.Unix(u.Time().UnixTime())
			}
			did(UserID(owner), 1, at)
			return nil
		})
		if err != nil {
			return err
		}
		if tx.Bucket(bucketHandins) != nil { // what one request has brought is one
			err := each(tx, bucketHandins, func(_ []byte, h *Handin) error {
				did(h.Owner, 1-h.batches(), h.Created)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return each(tx, bucketSessions, func(_ []byte, x *Session) error {
			did(x.User, 0, x.Seen)
			return nil
		})
	})
	return all, err
}

// Sizes are how many records of a kind there are.
type Sizes struct{ Batches, Open, Pages, Documents int }

// Sizes counts the records.
func (s *Store) Sizes() (n Sizes, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		count := func(bucket []byte) int { return tx.Bucket(bucket).Stats().KeyN }
		n = Sizes{count(bucketBatches), count(bucketOpenBatches), count(bucketPages), count(bucketDocuments)}
		return nil
	})
	return n, err
}
