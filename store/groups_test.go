package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// addUser adds an account of a role.
func addUser(t testing.TB, s *Store, name string, role Role) UserID {
	t.Helper()
	u := User{ID: UserID(NewID()), Name: name, Role: role, Created: time.Now()}
	if err := s.AddUser(u); err != nil {
		t.Fatal(err)
	}
	return u.ID
}

// What is shared with a group is listed once for each of its people, in order,
// and for nobody else.
func TestShares(t *testing.T) {
	s := openTest(t)
	anna, ben := addUser(t, s, "anna", RoleMember), addUser(t, s, "ben", RoleMember)
	office, board := Group{ID: GroupID(NewID()), Name: "Office"}, Group{ID: GroupID(NewID()), Name: "Board"}
	for _, g := range []Group{office, board} {
		if err := s.PutGroup(g); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutGroup(Group{ID: "other", Name: "OFFICE"}); !errors.Is(err, ErrExists) {
		t.Errorf("a second group of that name: %v", err)
	}
	for _, id := range []UserID{anna, ben} {
		if _, err := s.UpdateUser(id, func(u *User) error { u.Groups = []GroupID{office.ID, board.ID}; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var ids []DocumentID
	for _, o := range []UserID{anna, ben, "", anna, ben} {
		ids = append(ids, fileBatch(t, s, o, 1).ID)
	}
	share := func(i int, with ...GroupID) {
		t.Helper()
		if _, err := s.ShareDocument(ids[i], with, entry); err != nil {
			t.Fatal(err)
		}
	}
	share(0, office.ID, board.ID) // anna's own, in both
	share(1, office.ID, board.ID)
	share(4, board.ID)
	if _, err := s.ShareDocument(ids[0], []GroupID{"none"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("shared with a group that is not there: %v", err)
	}
	lists := func(what string, r Reader, want ...int) {
		t.Helper()
		for _, limit := range []int{0, 1, 2} {
			var got []int
			var before DocumentID
			for {
				page, err := s.Documents(DocumentQuery{Owner: &r, Limit: limit, Before: before})
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range page {
					got = append(got, slices.Index(ids, d.ID))
					before = d.ID
				}
				if limit == 0 || len(page) < limit {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %d at a time: %v, want %v", what, limit, got, want)
			}
		}
	}
	lists("anna of both groups", Reader{anna, []GroupID{office.ID, board.ID}}, 4, 3, 2, 1, 0)
	lists("anna of the office", Reader{anna, []GroupID{office.ID}}, 3, 2, 1, 0)
	lists("anna of no group", Reader{anna, nil}, 3, 2, 0)
	lists("a stranger of the board", Reader{"zoe", []GroupID{board.ID}}, 4, 2, 1, 0)

	share(1)
	lists("anna when ben has taken one back", Reader{anna, []GroupID{office.ID, board.ID}}, 4, 3, 2, 0)
	if err := s.DeleteDocument(Revision{ID: ids[4]}, entry); err != nil {
		t.Fatal(err)
	}
	lists("anna when ben has deleted one", Reader{anna, []GroupID{office.ID, board.ID}}, 3, 2, 0)

	changed, err := s.DeleteGroup(board.ID, entry)
	if err != nil {
		t.Fatal(err)
	}
	if len(changed) != 1 || changed[0].ID != ids[0] || !slices.Equal(changed[0].Groups, []GroupID{office.ID}) {
		t.Errorf("with the group %d documents change: %+v", len(changed), changed)
	}
	if u, err := s.User(anna); err != nil || !slices.Equal(u.Groups, []GroupID{office.ID}) {
		t.Errorf("anna is in %v (%v) after the board is gone", u.Groups, err)
	}
	clean(t, s)
}

// A program of before deletes documents and knows nothing of the lists of shares.
func TestSharesThatAreOutOfDate(t *testing.T) {
	s := openTest(t)
	g := Group{ID: GroupID(NewID()), Name: "Office"}
	if err := s.PutGroup(g); err != nil {
		t.Fatal(err)
	}
	gone, kept := fileBatch(t, s, "ben", 1), fileBatch(t, s, "ben", 1)
	for _, d := range []Document{gone, kept} {
		if _, err := s.ShareDocument(d.ID, []GroupID{g.ID}); err != nil {
			t.Fatal(err)
		}
	}
	err := s.update(func(tx *bbolt.Tx) error {
		if err := tx.Bucket(bucketOwnDocuments).Delete(ownerKey("ben", string(gone.ID))); err != nil {
			return err
		}
		return tx.Bucket(bucketDocuments).Delete([]byte(gone.ID))
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Documents(DocumentQuery{Owner: &Reader{"anna", []GroupID{g.ID}}})
	if err != nil || len(got) != 1 || got[0].ID != kept.ID {
		t.Errorf("listed: %v, %v", got, err)
	}
	if changed, err := s.DeleteGroup(g.ID); err != nil || len(changed) != 1 {
		t.Errorf("the group cannot go: %v, %v", changed, err)
	}
}

// Somebody can always administer docscan.
func TestLastAdmin(t *testing.T) {
	s := openTest(t)
	anna, ben := addUser(t, s, "anna", RoleAdmin), addUser(t, s, "ben", RoleAdmin)
	disable := func(u *User) error { u.Disabled = true; return nil }
	demote := func(u *User) error { u.Role = RoleMember; return nil }
	if _, err := s.CutUser(ben, Keeps{}, disable); err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func() error{
		"disabled": func() error { _, err := s.CutUser(anna, Keeps{}, disable); return err },
		"demoted":  func() error { _, err := s.UpdateUser(anna, demote); return err },
		"deleted":  func() error { _, err := s.DeleteUser(anna, ben); return err },
	} {
		if err := try(); !errors.Is(err, ErrLastAdmin) {
			t.Errorf("the last active administrator is %s: %v", what, err)
		}
	}
	if u, err := s.User(anna); err != nil || u.Role != RoleAdmin || u.Disabled {
		t.Errorf("after the refusals: %+v, %v", u, err)
	}
	// Two who push each other out at the same moment: one stays.
	if _, err := s.UpdateUser(ben, func(u *User) error { u.Disabled = false; return nil }); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	for _, id := range []UserID{anna, ben} {
		go func() { _, err := s.CutUser(id, Keeps{}, disable); errs <- err }()
	}
	first, second := <-errs, <-errs
	if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), ErrLastAdmin) {
		t.Errorf("both push the other out: %v, %v", first, second)
	}
}

// Of several keys that are made at once, none comes to be that there is no room for.
func TestTokensAreBounded(t *testing.T) {
	s := openTest(t)
	anna, ben := addUser(t, s, "anna", RoleAdmin), addUser(t, s, "ben", RoleMember)
	token := func(u UserID, i int) Token { return Token{ID: TokenID(NewID()), Hash: fmt.Sprint(u, i), User: u} }
	for i := range MaxTokens {
		if err := s.AddToken(nil, token(ben, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddToken(nil, token(ben, MaxTokens)); !errors.Is(err, ErrTokens) {
		t.Errorf("one more: %v", err)
	}
	if err := s.AddToken(nil, token(anna, 0)); err != nil {
		t.Errorf("somebody else's: %v", err)
	}
	list, err := s.Tokens(ben)
	if err == nil {
		err = s.DeleteToken(ben, list[0].ID)
	}
	if err == nil {
		err = s.AddToken(nil, token(ben, MaxTokens))
	}
	if err != nil {
		t.Errorf("when one was deleted: %v", err)
	}
}

// What a user holds ends with the change that cuts it off.
func TestCutUser(t *testing.T) {
	s := openTest(t)
	anna, ben := addUser(t, s, "anna", RoleAdmin), addUser(t, s, "ben", RoleMember)
	for hash, u := range map[string]UserID{"a1": anna, "b1": ben, "b2": ben} {
		if err := s.AddSession(nil, Session{ID: SessionID(NewID()), Hash: hash, User: u}); err != nil {
			t.Fatal(err)
		}
		if err := s.AddToken(nil, Token{ID: TokenID(NewID()), Hash: "token " + hash, User: u}); err != nil {
			t.Fatal(err)
		}
	}
	nothing := func(*User) error { return nil }
	holds := func(u UserID) [2]int {
		t.Helper()
		sessions, err := s.Sessions(u)
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := s.Tokens(u)
		if err != nil {
			t.Fatal(err)
		}
		return [2]int{len(sessions), len(tokens)}
	}
	if _, err := s.CutUser(ben, Keeps{Session: "b2", Tokens: true}, nothing, entry); err != nil || holds(ben) != [2]int{1, 2} {
		t.Errorf("with one log-in and the tokens kept: %v (%v)", holds(ben), err)
	}
	if _, err := s.CutUser(ben, Keeps{}, nothing, entry); err != nil || holds(ben) != [2]int{} {
		t.Errorf("with nothing kept: %v (%v)", holds(ben), err)
	}
	if holds(anna) != [2]int{1, 1} {
		t.Errorf("somebody else holds %v", holds(anna))
	}

	// A log-in or key that was begun before the cut comes to nothing after it.
	for what, change := range map[string]func(id UserID) error{
		"cut": func(id UserID) error { _, err := s.CutUser(id, Keeps{}, nothing); return err },
		"disabled": func(id UserID) error {
			_, err := s.UpdateUser(id, func(u *User) error { u.Disabled = true; return nil })
			return err
		},
		"another role": func(id UserID) error {
			_, err := s.UpdateUser(id, func(u *User) error { u.Role = RolePanel; return nil })
			return err
		},
		"deleted": func(id UserID) error { _, err := s.DeleteUser(id, ""); return err },
	} {
		id := addUser(t, s, what, RoleMember)
		before, err := s.User(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.AddSession(&before, Session{Hash: "session of " + what}), s.AddToken(&before, Token{Hash: "token of " + what})); err != nil || holds(id) != [2]int{1, 1} {
			t.Fatalf("%s: %v (%v)", what, holds(id), err)
		}
		if err := change(id); err != nil {
			t.Fatal(err)
		}
		if err := s.AddSession(&before, Session{Hash: "late session of " + what}, entry); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: a log-in that was begun before: %v, want ErrConflict", what, err)
		}
		if err := s.AddToken(&before, Token{Hash: "late token of " + what}, entry); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: a key that was asked for before: %v, want ErrConflict", what, err)
		}
		if holds(id) != [2]int{} {
			t.Errorf("%s: %v is still held", what, holds(id))
		}
	}
	// What changes nothing of that ends nothing.
	if u, err := s.UpdateUser(anna, func(u *User) error { u.FullName = "Anna A"; return nil }); err != nil || u.Cuts != 0 || holds(anna) != [2]int{1, 1} {
		t.Errorf("with another name %+v holds %v, %v", u, holds(anna), err)
	}
}

// Whoever goes leaves documents to somebody, or does not go.
func TestDeleteUser(t *testing.T) {
	s := openTest(t)
	anna, ben := addUser(t, s, "anna", RoleAdmin), addUser(t, s, "ben", RoleMember)
	d := fileBatch(t, s, ben, 2)
	if _, err := s.DeleteUser(ben, ""); !errors.Is(err, ErrOwns) {
		t.Errorf("without an heir: %v", err)
	}
	if _, err := s.DeleteUser(ben, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("with an heir who is not there: %v", err)
	}
	changed, err := s.DeleteUser(ben, anna, entry)
	if err != nil || len(changed) != 1 || changed[0].ID != d.ID || changed[0].Owner != anna || changed[0].Revision != d.Revision+1 {
		t.Errorf("with an heir: %+v, %v", changed, err)
	}
	if _, err := s.User(ben); !errors.Is(err, ErrNotFound) {
		t.Errorf("ben is still there: %v", err)
	}
	if got, err := s.Batches(BatchQuery{Owner: &Reader{User: anna}}); err != nil || len(got) != 1 {
		t.Errorf("the batch: %v, %v", got, err)
	}
	clean(t, s)
}

// Names that look the same to a person who types are the same.
func TestFoldName(t *testing.T) {
	for _, pair := range [][2]string{
		{"Anna", "anna"},
		{"Ａｎｎａ", "anna"}, // full width
		{"jos\u0065\u0301", "jos\u00e9"},
		{"STRASSE", "strasse"},
	} {
		if FoldName(pair[0]) != FoldName(pair[1]) {
			t.Errorf("%q and %q are different: %q, %q", pair[0], pair[1], FoldName(pair[0]), FoldName(pair[1]))
		}
	}
	if FoldName("anna") == FoldName("аnna") {
		t.Error("a Cyrillic letter is taken for a Latin one: that would let one person log in as another")
	}
}
