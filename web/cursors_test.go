package web

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/store"
)

// Lists that are read as a whole come in pages, too: each thing once, in the same order.
func TestShortListsHaveCursors(t *testing.T) {
	s := newSite(t, nil)
	s.Updates = &fakeUpdates{}
	admin := s.user("anna", store.RoleAdmin)
	anna := s.named("anna")
	const many = 5
	for i := range many {
		s.json("POST", "/api/v1/groups", admin, fmt.Sprintf(`{"name":"Group %d"}`, i), 201, nil)
		if err := s.Store.PutDestination(store.Destination{ID: store.DestinationID(store.NewID()), Name: fmt.Sprint("Folder ", i), Kind: "folder", Folder: "/none", Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Store.UpdateUser(anna.ID, func(u *store.User) error {
			u.Passkeys = append(u.Passkeys, store.Passkey{ID: store.NewID(), Name: fmt.Sprint("Key ", i), Site: "box"})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s.logInAs("anna")
	}
	for _, tt := range []struct{ path, list string }{
		{"/api/v1/groups", "groups"},
		{"/api/v1/destinations", "destinations"},
		{"/api/v1/passkeys", "passkeys"},
		{"/api/v1/update/history", "steps"},
		{"/api/v1/users/" + string(anna.ID) + "/sessions", "sessions"},
		{"/api/v1/sessions", "sessions"},
	} {
		get := func(query string) (list []json.RawMessage, next string) {
			t.Helper()
			var body map[string]json.RawMessage
			s.json("GET", tt.path+query, admin, "", 200, &body)
			if err := json.Unmarshal(body[tt.list], &list); err != nil {
				t.Fatalf("%s: %v", tt.path, err)
			}
			if err := json.Unmarshal(body["next"], &next); err != nil {
				t.Fatalf("%s: %v", tt.path, err)
			}
			return list, next
		}
		all, next := get("")
		if len(all) < many || next != "" {
			t.Errorf("%s: %d, next %q", tt.path, len(all), next)
		}
		var got []json.RawMessage
		for cursor := ""; len(got) <= len(all); {
			list, next := get("?limit=2&cursor=" + url.QueryEscape(cursor))
			got = append(got, list...)
			if cursor = next; cursor == "" {
				break
			}
		}
		if len(got) != len(all) {
			t.Fatalf("%s: %d in pages of two, %d in one", tt.path, len(got), len(all))
		}
		for i := range all {
			if string(got[i]) != string(all[i]) {
				t.Errorf("%s: number %d is %s in pages, %s in one", tt.path, i+1, got[i], all[i])
			}
		}
		_, next = get("?limit=2")
		_, bare, _ := strings.Cut(next, ".") // as the release before has it
		if list, _ := get("?limit=2&cursor=" + url.QueryEscape(bare)); len(list) == 0 || string(list[0]) != string(all[2]) {
			t.Errorf("%s behind the cursor %s: %s, want %s first", tt.path, bare, list, all[2])
		}
		for _, cursor := range []string{"nonsense", "0.x", "-1.x", "x.y", "99999999999999999999.x"} {
			if got := s.status("GET", tt.path+"?cursor="+cursor, admin, ""); got != 400 {
				t.Errorf("%s with the cursor %s: %d", tt.path, cursor, got)
			}
		}
		if list, next := get("?cursor=1000.gone"); len(list) > 0 || next != "" {
			t.Errorf("%s behind its end: %d, next %q", tt.path, len(list), next)
		}
	}

	// Somebody deletes what a cursor names: the others come all the same, each once.
	var page groupsView
	s.json("GET", "/api/v1/groups?limit=2", admin, "", 200, &page)
	s.json("DELETE", "/api/v1/groups/"+string(page.Groups[1].ID), admin, "", 204, nil)
	names := []string{}
	for cursor := page.Next; cursor != ""; cursor = page.Next {
		page = groupsView{}
		s.json("GET", "/api/v1/groups?limit=2&cursor="+url.QueryEscape(cursor), admin, "", 200, &page)
		for _, g := range page.Groups {
			names = append(names, g.Name)
		}
	}
	if want := []string{"Group 2", "Group 3", "Group 4"}; !slices.Equal(names, want) {
		t.Errorf("behind a group that was deleted come %q, want %q", names, want)
	}
}
