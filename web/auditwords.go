package web

import (
	"slices"
	"strconv"
	"strings"

	"docscan/device"
	"docscan/scan"
	"docscan/store/audit"
)

// The audit log keeps names that scripts know and words in English. The pages say them in
// the reader's language; exports and the API have them as they are kept.

// auditActions are the actions that docscan records, in words.
var auditActions = map[string]string{
	"login": msg("logging in"), "logout": msg("logging out"), "register": msg("asking for an account"), "setup": msg("setting docscan up"),
	"password_check": msg("asking for the password again"), "password_changed": msg("changed the password"),
	"second_factor_on": msg("turned one-time codes on"), "second_factor_off": msg("turned one-time codes off"), "recovery_codes_made": msg("made new recovery codes"),
	"passkey_added": msg("added a passkey"), "passkey_deleted": msg("deleted a passkey"),
	"token_created": msg("made a key for programs"), "token_deleted": msg("deleted a key for programs"),
	"session_ended": msg("ended a log-in"), "sessions_ended": msg("ended all log-ins and keys"),

	"user_added": msg("added a person"), "user_changed": msg("changed a person"), "user_deleted": msg("deleted a person"),
	"user_activated": msg("let somebody in"), "user_deactivated": msg("shut somebody out"), "password_reset": msg("gave somebody a password"),
	"group_added": msg("added a group"), "group_renamed": msg("renamed a group"), "group_deleted": msg("deleted a group"),

	"settings_changed": msg("changed settings of the box"), "device_settings": msg("changed what a scanner does"),
	"profile_saved": msg("saved a profile"), "profile_deleted": msg("deleted a profile"),
	"destination_added": msg("added a destination"), "destination_deleted": msg("deleted a destination"),
	"language_install": msg("installed a language"), "language_added": msg("handed in data of a language"), "language_removed": msg("removed a language"),
	"ssh_let_key": msg("let a key in over SSH"), "ssh_let_authority": msg("let an authority in over SSH"), "ssh_keep_out": msg("kept a key out over SSH"), "ssh_close": msg("shut SSH for updates"),
	"labels_printed": msg("printed labels"), "cache_clear": msg("gave memory back"), "diagnosis": msg("fetched a diagnosis"),
	"check": msg("checked all that is stored"), "backup": msg("made a backup"), "restore": msg("restored a backup"),
	"restore_checked": msg("checking a backup for restoring"), "restore_dropped": msg("removed a backup that lay ready"),
	"audit_export": msg("exported the audit log"), "audit_verified": msg("verifying the audit log"), "audit_pruned": msg("removed old entries of the audit log"),
	"audit_key_changed": msg("the audit log has a new key"), "audit_checkpoint": msg("signed the audit log"),
	"update_install": msg("installing a version"), "update_try": msg("trying a version"), "update_commit": msg("keeping a version"),
	"update_roll-back": msg("taking a version back"), "update_mend": msg("putting the versions in order"), "update_restart": msg("starting docscan anew"), "update_settings": msg("taking new settings"),

	"scan": msg("scanned"), "scan_resume": msg("went on with a scan"), "scan_finish": msg("finished a scan"), "scan_cancel": msg("stopped a scan"), "scan_end": msg("the scan ended"),
	"upload": msg("handed in a file"), "upload_batch": msg("handed in files"), "upload_end": msg("taking the file in"),
	"document_filed": msg("filed a document"), "document_view": msg("read a document"), "batch_view": msg("read a page of a scan"), "document_search": msg("found documents of somebody else"),
	"document_list":   msg("looked through documents of somebody else"),
	"document_export": msg("took a document away"), "document_delivered": msg("delivered a document"), "document_shared": msg("changed who can read a document"),
	"document_edit": msg("changed what is said of a document"), "document_pages": msg("changed the pages of a document"), "document_split": msg("split a document"),
	"document_merge": msg("merged documents"), "document_trash": msg("put a document into the trash"), "document_restore": msg("took a document out of the trash"),
	"document_undo": msg("took a change of a document back"), "document_delete": msg("deleted a document for ever"),
	"document_read_again": msg("had a document read again"), "document_was_read": msg("reading the document again"), "document_read": msg("read a document again"),

	"device_loose": msg("a scanner came and went too often to record each time"),
	"device_new":   msg("a new scanner was connected"), "device_connected": msg("a scanner was connected"), "device_disconnected": msg("a scanner was disconnected"),
	"rate_limit_exceeded": msg("was too fast"), "access_denied": msg("no right to it"), "token_refused": msg("a key or log-in that does not hold"),
	"cross_origin_blocked": msg("asked by another site"), "login_too_late": msg("a log-in that was not gone on with in time"),
}

// auditPlaces are words of an entry's target and details that are the same always.
var auditPlaces = map[string]string{
	"uploads a minute": msg("files handed in a minute"), "exports a minute": msg("files taken away a minute"), "admins a minute": msg("changes of an administrator a minute"),
	"with code": msg("with a one-time code"), "with recovery code": msg("with a recovery code"), "with passkey": msg("with a passkey"), "passkey": msg("with a passkey"),
	"new device": msg("from a new device"), "second factor": msg("wrong one-time or recovery code"), "the temporary password has ended": msg("the temporary password has ended"),
	"temporary password": msg("a temporary one"), "second factors taken away": msg("one-time codes and passkeys taken away"), "waits for an administrator": msg("waits for an administrator"),
	"zone": msg("time zone"), "language": msg("language"), "role admin": msg("now an administrator"), "role member": msg("now a member"), "role panel": msg("now a panel"),
	"admin": msg("Administrator"), "member": msg("Member"), "panel": msg("Panel"),
}

// auditWord is a kind or an outcome in words; others are shown as they are.
func auditWord(s string) string {
	switch s {
	case audit.Authentication:
		return msg("log-in")
	case audit.AdminAction:
		return msg("administration")
	case audit.Security:
		return msg("security")
	case audit.DataAccess:
		return msg("documents")
	case audit.Success:
		return msg("done")
	case audit.Failure:
		return msg("failed")
	case audit.Blocked:
		return msg("refused")
	}
	return s
}

// actionIn is an action in words; one of another version is shown as it is.
func actionIn(l *tongue, action string) string {
	if word, ok := auditActions[action]; ok {
		return l.T(word)
	}
	return action
}

// placeIn says what an entry was done to. What people have named stays.
func placeIn(l *tongue, e audit.Line) string {
	fixed := []string{"rate_limit_exceeded", "settings_changed"}
	if word, ok := auditPlaces[e.Target]; ok && slices.Contains(fixed, e.Action) {
		return l.T(word)
	}
	if ids := strings.Fields(e.Target); e.EventType == audit.DataAccess && len(ids) > maxTargets {
		return strings.Join(ids[:maxTargets], " ") + " " + l.N(len(ids)-maxTargets, "and %d more", "and %d more")
	}
	return e.Target
}

// maxTargets is how many documents of a change are named on a line of the log; all of them
// are in the entry, and found.
const maxTargets = 3

// detailsIn says the details of an entry.
func detailsIn(l *tongue, e audit.Line) string {
	if e.Action == "scan_end" {
		if what, _ := scan.FaultText(device.FaultKind(e.Details)); e.Details != "" {
			return l.T(what)
		}
	}
	if e.Action == "token_created" {
		return scopesIn(l, strings.Fields(e.Details))
	}
	parts := strings.Split(e.Details, ", ")
	for i, part := range parts {
		if word, ok := auditPlaces[part]; ok {
			parts[i] = l.T(word)
		} else if whose, ok := strings.CutPrefix(part, "of user "); ok && e.EventType == audit.DataAccess {
			parts[i] = l.T("of a person who is gone (%s)", whose)
		} else if whose, ok := strings.CutPrefix(part, "of "); ok && e.EventType == audit.DataAccess {
			parts[i] = l.T("of %s", whose)
		} else if n, err := strconv.Atoi(strings.TrimSuffix(part, " more changes")); err == nil && e.Action == "device_loose" {
			parts[i] = l.N(n, "%d more change", "%d more changes")
		}
	}
	return strings.Join(parts, ", ")
}

// An auditChoice is an action that the page offers to look for.
type auditChoice struct{ Action, Word string }

// auditChoices lists the actions by their words, with those of also that no list has.
func auditChoices(l *tongue, also ...string) []auditChoice {
	var list []auditChoice
	for action := range auditActions {
		list = append(list, auditChoice{action, actionIn(l, action)})
	}
	for _, action := range also {
		if _, ok := auditActions[action]; !ok && action != "" {
			list = append(list, auditChoice{action, action})
		}
	}
	slices.SortFunc(list, func(a, b auditChoice) int { return strings.Compare(strings.ToLower(a.Word), strings.ToLower(b.Word)) })
	return slices.Compact(list)
}
