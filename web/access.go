package web

import (
	"net/http"
	"slices"

	"docscan/store"
)

// access says who may use a route.
type access int

// Who may. A key for programs also needs the scope that goes with it; see scope.
const (
	anyone   access = iota
	entering        // whoever is logged in, even if the password must be changed first
	panels          // whoever may scan: people and panels
	members         // people
	senders         // people, who bring files
	selves          // people, about their own account
	admins          // administrators
	updaters        // administrators, and the accounts of a fleet
	fleets          // administrators, and the account of a fleet that may more than update
)

// administers reports whether people need to be administrators.
func (a access) administers() bool { return a == admins || a == updaters || a == fleets }

// A scope is what a key for programs is good for.
type scope string

// The scopes. None lets a key do what its user may not.
const (
	scopeRead   scope = "read"   // see and download
	scopeScan   scope = "scan"   // press, see how far scanning is
	scopeUpload scope = "upload" // bring files
	scopeWrite  scope = "write"  // change and delete documents
	scopeAll    scope = "all"    // all its user may do, also with accounts
)

// scopes are all there are.
var scopes = []scope{scopeRead, scopeScan, scopeUpload, scopeWrite, scopeAll}

// needs gives the scopes of which a key must have one for a request.
func (a access) needs(method string) []scope {
	reads := method == http.MethodGet || method == http.MethodHead
	switch {
	case a == panels && reads:
		return []scope{scopeRead, scopeScan, scopeUpload, scopeWrite}
	case a == entering && reads:
		return scopes // who am I?
	case a == panels:
		return []scope{scopeScan}
	case a == senders && !reads:
		return []scope{scopeUpload}
	case (a == members || a == senders) && reads:
		return []scope{scopeRead}
	case a == members:
		return []scope{scopeWrite}
	}
	return nil // only all
}

// permit is nil if who may make a request of this method.
func (a access) permit(who *caller, method string) error {
	if who != nil && who.account != "" { // what is made for it, and nothing else
		if a == updaters || a == fleets && who.more {
			return nil
		}
		return problemf(403, "not-for-fleet", "Not allowed", "The account %s may not do this.", who.account)
	}
	if a == anyone {
		return nil
	}
	if who == nil {
		return errNotAuthenticated
	}
	if who.user.MustChange && a != entering {
		return errMustChange
	}
	if who.user.Role == store.RolePanel && a != entering && a != panels {
		return errPanel
	}
	if a.administers() && !who.admin() {
		return errAdminOnly
	}
	if len(who.scopes) == 0 || slices.Contains(who.scopes, string(scopeAll)) {
		return nil
	}
	if !slices.ContainsFunc(a.needs(method), func(s scope) bool { return slices.Contains(who.scopes, string(s)) }) {
		return errScope
	}
	return nil
}

var (
	errMustChange = problemf(403, "change-password", "Choose a password", "Somebody else gave you this password. Choose one of your own first.")
	errPanel      = problemf(403, "panel", "Only at a computer", "This screen is for scanning. Log in at a computer to see documents.")
	errScope      = problemf(403, "scope", "Key not good for this", "This key is not good for that. Make one with the scope it needs.")
)
