package web

import (
	"time"

	"docscan/scan/text"
	"docscan/store"
	"docscan/store/audit"
)

// An operation is what the API's description says of a route beyond its summary. in and
// out are values of the types that go over the wire as JSON; nil is no body.
type operation struct {
	in, out any
	status  int      // of success; 0: 200, or 204 without out and kind
	takes   string   // media type of a body that is no JSON
	gives   string   // media type of an answer that is no JSON
	query   []string // names in queryParameters
	tag     bool     // answers with an ETag
	match   bool     // wants If-Match
	needs   []string // fields of in that must be there, where its type is also one of answers
	bare    bool     // may also answer 204: there is nothing to tell
}

// Fields that every list has.
var paging = []string{"limit", "cursor"}

// A queryParameter is one that a route takes behind its path.
type queryParameter struct {
	kind string // type of JSON Schema
	what string
}

var queryParameters = map[string]queryParameter{
	"limit":      {"integer", "At most so many (1 to 500)"},
	"cursor":     {"string", "Go on behind the page that gave this as next"},
	"q":          {"string", "What is looked for: words, \"phrases\", -words that must not be there"},
	"download":   {"string", "1: as a file to be kept"},
	"forever":    {"string", "1: not into the trash"},
	"profile":    {"string", "ID of the profile; the first one if left out"},
	"name":       {"string", "Name of the file that is the body"},
	"size":       {"integer", "Bytes of the whole file"},
	"offset":     {"integer", "Where this part begins"},
	"heir":       {"string", "ID of the person whom the documents go to"},
	"is_active":  {"boolean", "Whether the person is let in"},
	"dry_run":    {"string", "1: only say whether it would do"},
	"document":   {"string", "ID of a document; may be given several times"},
	"together":   {"string", "1: as one PDF instead of a ZIP"},
	"kind":       {"string", "Which kind of sheet"},
	"text":       {"string", "What stands on it"},
	"sheets":     {"integer", "How many"},
	"paper":      {"string", "Size of the paper, such as a4"},
	"days":       {"integer", "How many days back (1 to 366)"},
	"event_type": {"string", "Kind of event: authentication, admin_action, security or data_access"},
	"actor":      {"string", "Who did it"},
	"action":     {"string", "What was done"},
	"target":     {"string", "Beginning of what it was done to, or of one of several"},
	"ip_address": {"string", "Beginning of the address it came from"},
	"status":     {"string", "Outcome: success, failure or blocked"},
}

// Bodies that have no name elsewhere.
type (
	loginBody struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Code     string `json:"code,omitempty"` // one-time or recovery code
	}
	registerBody struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Email    string `json:"email,omitempty"`
		FullName string `json:"full_name,omitempty"`
	}
	setupBody struct {
		Token    string `json:"token"`
		Username string `json:"username"`
		Password string `json:"password"`
	}
	passwordBody struct {
		Old      string `json:"old"`
		Password string `json:"password"`
	}
	scanBody struct {
		Device  string          `json:"device,omitempty"`
		Profile store.ProfileID `json:"profile,omitempty"`
		Anew    bool            `json:"anew,omitempty"`
	}
	marksBody struct {
		Title         string   `json:"title,omitempty"`
		Date          string   `json:"date,omitempty"`
		Correspondent string   `json:"correspondent,omitempty"`
		Type          string   `json:"type,omitempty"`
		Tags          []string `json:"tags,omitempty"`
		Remark        string   `json:"remark,omitempty"`
		Revision      int      `json:"revision,omitempty"`
		ASN           int      `json:"asn,omitempty"`
	}
	arrangeBody struct {
		Pages    []store.DocumentPage `json:"pages"`
		Revision int                  `json:"revision,omitempty"`
	}
	splitBody struct {
		After    []int `json:"after"`
		Revision int   `json:"revision,omitempty"`
	}
	mergeBody struct {
		Documents []store.Revision `json:"documents"`
		Revision  int              `json:"revision,omitempty"`
	}
	installBody struct {
		Digest    string `json:"digest"`
		Size      int64  `json:"size"`
		Downgrade bool   `json:"downgrade,omitempty"`
	}
	packageBody struct {
		Downgrade bool `json:"downgrade,omitempty"`
	}
	searchesView struct {
		Searches []savedSearch `json:"searches"`
	}
	destinationsView struct {
		Destinations []destinationView `json:"destinations"`
		Next         string            `json:"next"`
	}
	deliveriesView struct {
		Deliveries []arrival `json:"deliveries"`
	}
	reasonBody struct {
		Reason string `json:"reason"`
	}
	personView struct {
		ID           store.UserID    `json:"id"`
		Name         string          `json:"name"`
		Username     string          `json:"username"`
		Role         store.Role      `json:"role"`
		Disabled     bool            `json:"disabled"`
		Created      time.Time       `json:"created"`
		CreatedAt    time.Time       `json:"created_at"`
		Email        string          `json:"email"`
		FullName     string          `json:"full_name"`
		Groups       []store.GroupID `json:"groups"`
		Pending      bool            `json:"pending"`
		MustChange   bool            `json:"must_change_password"`
		SecondFactor bool            `json:"second_factor"`
		Passkeys     int             `json:"passkeys"`
		Active       bool            `json:"is_active"`
		Admin        bool            `json:"is_admin"`
		Batches      int             `json:"total_batches,omitempty"` // only where it is asked for
		Last         *time.Time      `json:"last_activity,omitempty"`
	}
	usersView struct {
		Users []personView `json:"users"`
		Next  string       `json:"next"`
	}
	activitiesView struct {
		User    personView    `json:"user"`
		Batches []batchBefore `json:"batches"`
	}
	messageView struct {
		Message string `json:"message"`
		Active  bool   `json:"is_active,omitempty"`
	}
	tempView struct {
		Message  string    `json:"message"`
		Username string    `json:"username"`
		Password string    `json:"temp_password"`
		Expires  time.Time `json:"expires"`
	}
	oldStatsView struct {
		Users          map[string]int `json:"users"`
		Batches        map[string]int `json:"batches"`
		Files          map[string]int `json:"files"`
		TotalUsers     int            `json:"total_users"`
		ActiveUsers    int            `json:"active_users"`
		TotalBatches   int            `json:"total_batches"`
		TotalFiles     int            `json:"total_files"`
		TotalDocuments int            `json:"total_documents"`
	}
	loginView struct {
		renewedView
		User personView `json:"user"`
	}
	renewedView struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	factorView struct {
		Codes    bool `json:"one_time_codes"`
		Recovery int  `json:"recovery_codes"`
		Passkeys int  `json:"passkeys"`
	}
	enrolView struct {
		Ticket string `json:"ticket"`
		Secret string `json:"secret"`
		URI    string `json:"uri"`
	}
	recoveryView struct {
		Codes []string `json:"recovery_codes"`
		Token string   `json:"access_token,omitempty"`
		Type  string   `json:"token_type,omitempty"`
	}
	enteredView struct {
		User personView `json:"user"`
	}
	passkeysView struct {
		Passkeys []passkeyView `json:"passkeys"`
		Next     string        `json:"next"`
	}
	groupsView struct {
		Groups []groupView `json:"groups"`
		Next   string      `json:"next"`
	}
	linesView struct {
		Lines []LogLine `json:"lines"`
	}
	proofBody struct {
		Password string `json:"password"`
	}
	codeBody struct {
		Ticket string `json:"ticket"`
		Code   string `json:"code"`
	}
	credentialBody struct {
		Ticket     string `json:"ticket"`
		Name       string `json:"name,omitempty"`
		Credential any    `json:"credential"`
	}
	resetBody struct {
		SecondFactors bool `json:"second_factors,omitempty"`
	}
	newPasswordBody struct {
		Password string `json:"new_password"`
	}
	nameBody struct {
		Name string `json:"name"`
	}
	groupsBody struct {
		Groups []store.GroupID `json:"groups"`
	}
	readBody struct {
		Languages []string `json:"languages,omitempty"`
		Leave     []string `json:"leave,omitempty"`
		Revision  int      `json:"revision,omitempty"`
	}
)

// Media types of files.
const (
	anyFile  = "application/octet-stream"
	jsonType = "application/json"
	pdfType  = "application/pdf"
)

// operations says of each route of the API what goes over the wire, by method and path.
func operations() map[string]operation {
	file := operation{gives: anyFile}
	picture := operation{gives: "image/*"}
	return map[string]operation{
		"GET /api/health":                                  {out: healthView{}},
		"POST /api/heartbeat":                              {out: heartbeatView{}},
		"GET /api/admin/dashboard/stats":                   {out: oldStatsView{}},
		"GET /api/me":                                      {out: personView{}},
		"GET /api/admin/users":                             {out: []personView{}},
		"GET /api/admin/users/:id/activities":              {out: activitiesView{}},
		"PATCH /api/admin/users/:id/status":                {out: messageView{}, query: []string{"is_active"}},
		"POST /api/admin/users/:id/reset-password":         {in: newPasswordBody{}, out: messageView{}},
		"POST /api/admin/users/:id/generate-temp-password": {out: tempView{}},
		"POST /api/register":                               {in: registerBody{}, out: personView{}},
		"POST /api/v1/register":                            {in: registerBody{}, out: personView{}},
		"GET /api/v1/second-factor":                        {out: factorView{}},
		"POST /api/v1/second-factor":                       {in: proofBody{}, out: enrolView{}},
		"POST /api/v1/second-factor/confirm":               {in: codeBody{}, out: recoveryView{}},
		"POST /api/v1/second-factor/recovery":              {in: proofBody{}, out: recoveryView{}},
		"POST /api/v1/second-factor/off":                   {in: proofBody{}},
		"GET /api/v1/passkeys":                             {out: passkeysView{}, query: paging},
		"POST /api/v1/passkeys":                            {in: credentialBody{}, out: passkeyView{}, status: 201},
		"DELETE /api/v1/passkeys/:id":                      {in: proofBody{}},
		"POST /api/v1/passkey-challenges":                  {in: proofBody{}, out: challenge{}},
		"POST /api/v1/login/passkey":                       {in: credentialBody{}, out: enteredView{}},
		"POST /api/v1/login/passkey-challenge":             {out: challenge{}},
		"GET /api/v1/users/:id":                            {out: personView{}, tag: true},
		"PATCH /api/v1/users/:id":                          {in: userChange{}, out: personView{}, tag: true, match: true},
		"DELETE /api/v1/users/:id":                         {query: []string{"heir"}, match: true},
		"POST /api/v1/users/:id/reset":                     {in: resetBody{}, out: tempView{}},
		"POST /api/v1/users/:id/end":                       {},
		"GET /api/v1/users/:id/sessions":                   {out: sessionsView{}, query: paging},
		"DELETE /api/v1/users/:id/sessions/:session":       {},
		"GET /api/v1/groups":                               {out: groupsView{}, query: paging},
		"POST /api/v1/groups":                              {in: nameBody{}, out: store.Group{}, status: 201},
		"GET /api/v1/groups/:id":                           {out: store.Group{}, tag: true},
		"PATCH /api/v1/groups/:id":                         {in: nameBody{}, out: store.Group{}, tag: true, match: true},
		"DELETE /api/v1/groups/:id":                        {match: true},
		"PUT /api/v1/documents/:id/groups":                 {in: groupsBody{}, out: store.Document{}, tag: true, match: true},
		"POST /api/v1/documents/:id/read":                  {in: readBody{}, status: 202, match: true},
		"GET /api/v1/languages":                            {out: languagesView{}},
		"POST /api/v1/languages":                           {in: nameBody{}, status: 202},
		"PUT /api/v1/languages/:name":                      {takes: anyFile},
		"DELETE /api/v1/languages/:name":                   {},
		"GET /api/v1/system/log":                           {out: linesView{}},
		"GET /api/v1/system/settings":                      {out: settingsView{}, tag: true},
		"PUT /api/v1/system/settings":                      {in: settingsView{}, out: settingsView{}, tag: true, match: true},
		"GET " + restorePath:                               {out: store.Staged{}, tag: true},
		"POST " + restorePath:                              {takes: anyFile, out: store.Staged{}, tag: true, status: 201},
		"DELETE " + restorePath:                            {match: true},
		"POST " + restorePath + "/start":                   {in: proofBody{}, needs: []string{}, status: 202, match: true},
		"GET /api/v1/update/facts":                         {out: facts{}},
		"GET /api/v1/fleet/devices":                        {out: devicesView{}},
		"POST /api/v1/fleet/check":                         {out: store.Report{}},
		"POST /api/v1/fleet/restart":                       {},
		"PUT /api/v1/fleet/config":                         {takes: "application/toml", out: UpdateStatus{}, status: 202, query: []string{"dry_run"}},
		"GET /api/v1/system/ssh":                           {out: sshAccessView{}},
		"POST /api/v1/system/ssh":                          {in: sshAccessBody{}, out: sshAccessView{}},
		"POST /api/upload":                                 {takes: "multipart/form-data", out: batchBefore{}},
		"GET /api/batches":                                 {out: batchesBeforeView{}, query: paging},
		"GET /api/batches/:id":                             {out: batchBefore{}},
		"GET /api/batches/:id/results":                     {out: resultsView{}},
		"GET /api/results":                                 {out: resultsView{}, query: paging},
		"GET /api/cache/stats":                             {out: cacheView{}},
		"POST /api/cache/clear":                            {out: clearView{}},
		"GET /api/connections":                             {out: connectionsView{}},
		"GET /api/events":                                  {gives: "text/event-stream"},
		"GET /api/v1/document-types":                       {out: documentTypesView{}},
		"POST /api/login":                                  {in: loginBody{}, out: loginView{}},
		"POST /api/v1/login":                               {in: loginBody{}, out: loginView{}},
		"POST /api/v1/setup":                               {in: setupBody{}, out: loginView{}, status: 201},
		"POST /api/v1/logout":                              {},
		"GET /api/v1/me":                                   {out: personView{}},
		"POST /api/v1/password":                            {in: passwordBody{}, out: renewedView{}, bare: true},
		"GET /api/v1/status":                               {out: statusView{}},
		"GET /api/v1/devices":                              {out: devicesView{}, query: paging},
		"GET /api/v1/devices/:id":                          {out: deviceView{}, tag: true},
		"PUT /api/v1/devices/:id":                          {in: store.Machine{}, needs: []string{}, out: deviceView{}, tag: true, match: true},
		"GET /api/v1/devices/:id/diagnosis":                {gives: "text/plain"},
		"GET /api/v1/profiles":                             {out: profilesView{}, query: paging},
		"GET /api/v1/profiles/:id":                         {out: store.Profile{}, tag: true},
		"PUT /api/v1/profiles/:id":                         {in: store.Profile{}, needs: []string{"name", "source", "mode", "resolution"}, out: store.Profile{}, tag: true, match: true},
		"DELETE /api/v1/profiles/:id":                      {match: true},
		"POST /api/v1/scans":                               {in: scanBody{}, out: store.Batch{}, status: 202},
		"GET /api/v1/batches":                              {out: batchesView{}, query: paging},
		"GET /api/v1/batches/:id":                          {out: batchView{}},
		"POST /api/v1/batches/:id/cancel":                  {out: store.Batch{}, status: 202},
		"POST /api/v1/batches/:id/resume":                  {out: store.Batch{}, status: 202},
		"POST /api/v1/batches/:id/finish":                  {out: store.Batch{}, status: 202},
		"GET /api/v1/batches/:id/original":                 file,
		"GET /api/v1/documents/:id/original":               file,
		"GET /api/v1/batches/:id/pages/:seq/thumb":         picture,
		"GET /api/v1/batches/:id/pages/:seq/view":          picture,
		"GET /api/v1/batches/:id/pages/:seq/raw":           file,
		"GET /api/v1/batches/:id/pages/:seq/text":          {out: text.Page{}},
		"GET /api/v1/documents":                            {out: foundView{}, query: append([]string{"q"}, paging...)},
		"GET /api/v1/documents/:id":                        {out: store.Document{}, tag: true},
		"PATCH /api/v1/documents/:id":                      {in: marksBody{}, out: changedView{}, tag: true, match: true},
		"DELETE /api/v1/documents/:id":                     {query: []string{"forever"}, match: true},
		"PUT /api/v1/documents/:id/pages":                  {in: arrangeBody{}, out: changedView{}, tag: true, match: true},
		"GET /api/v1/documents/:id/aside":                  {out: pagesView{}},
		"GET /api/v1/documents/:id/changes":                {out: changesView{}, query: paging},
		"POST /api/v1/documents/:id/split":                 {in: splitBody{}, out: splitView{}, match: true},
		"POST /api/v1/documents/:id/merge":                 {in: mergeBody{}, out: changedView{}, tag: true, match: true},
		"POST /api/v1/documents/:id/restore":               {out: changedView{}, tag: true},
		"POST /api/v1/changes":                             {in: manyChange{}, out: splitView{}},
		"POST /api/v1/changes/:id/undo":                    {out: documentsView{}},
		"GET /api/v1/sheets":                               {out: sheetsView{}},
		"GET /api/v1/sheets/separators":                    {gives: pdfType, query: []string{"kind", "text", "sheets", "paper"}},
		"POST /api/v1/sheets/labels":                       {in: labelsBody{}, gives: pdfType},
		"GET /api/v1/trash":                                {out: documentsView{}, query: paging},
		"GET /api/v1/documents/:id/pdf":                    {gives: pdfType, query: []string{"download"}},
		"GET /api/v1/documents/:id/text":                   {gives: "text/plain"},
		"GET /api/v1/documents/:id/pages/:seq/thumb":       picture,
		"GET /api/v1/documents/:id/pages/:seq/view":        picture,
		"GET /api/v1/documents/:id/pages/:seq/text":        {out: text.Page{}},
		"GET /api/batches/:id/export/:format":              file,
		"GET /api/results/:id/export/:format":              file,
		"GET /api/v1/events":                               {gives: "text/event-stream"},
		"GET /api/v1/sessions":                             {out: sessionsView{}, query: paging},
		"DELETE /api/v1/sessions/:id":                      {},
		"GET /api/v1/tokens":                               {out: tokensView{}, query: paging},
		"POST /api/v1/tokens":                              {in: tokenWish{}, out: tokenView{}, status: 201},
		"DELETE /api/v1/tokens/:id":                        {},
		"GET /api/v1/users":                                {out: usersView{}, query: paging},
		"POST /api/v1/users":                               {in: newAccount{}, out: personView{}, status: 201},
		"POST /api/v1/uploads":                             {takes: "multipart/form-data", out: uploadsView{}, status: 201, query: []string{"profile", "name"}},
		"POST /api/v1/system/check":                        {out: store.Report{}},
		"GET /api/v1/suggestions":                          {out: suggestionsView{}},
		"GET /api/v1/searches":                             {out: searchesView{}, tag: true},
		"GET /api/v1/destinations":                         {out: destinationsView{}, query: paging},
		"POST /api/v1/destinations":                        {in: store.Destination{}, needs: []string{"name", "kind"}, out: destinationView{}, status: 201},
		"DELETE /api/v1/destinations/:id":                  {},
		"POST /api/v1/destinations/:id/retry":              {status: 202},
		"GET /api/v1/documents/:id/deliveries":             {out: deliveriesView{}},
		"GET /api/v1/export":                               {gives: anyFile, query: []string{"document", "q", "together"}},
		"GET /api/v1/preferences":                          {out: preferencesView{}, tag: true},
		"PUT /api/v1/preferences":                          {in: preferencesView{}, out: preferencesView{}, tag: true, match: true},
		"PUT /api/v1/searches":                             {in: searchesView{}, out: searchesView{}, tag: true, match: true},
		"GET /api/v1/system/backup":                        file,
		"GET /api/v1/openapi.json":                         {out: map[string]any{}},
		"GET /api/v1/update":                               {out: UpdateStatus{}},
		"GET /api/v1/update/history":                       {out: updateStepsView{}, query: paging},
		"GET /api/v1/update/uploads/:digest":               {out: uploadedView{}, query: []string{"size"}},
		"PUT /api/v1/update/uploads/:digest":               {takes: anyFile, out: uploadedView{}, query: []string{"size", "offset"}},
		"POST /api/v1/update/install":                      {in: installBody{}, out: UpdateStatus{}, status: 202},
		"POST /api/v1/update/package":                      {in: packageBody{}, out: UpdateStatus{}, status: 202},
		"POST /api/v1/update/rollback":                     {in: reasonBody{}, out: UpdateStatus{}, status: 202},
		"GET /api/v1/audit":                                {out: auditList{}, query: append([]string{"event_type", "actor", "action", "target", "ip_address", "status"}, paging...)},
		"GET /api/v1/audit/export":                         {gives: "application/x-ndjson"},
		"GET /api/v1/audit/key":                            {out: auditKeyView{}},
		"POST /api/v1/audit/verify":                        {out: auditVerdict{}},
		"GET /api/v1/security":                             {out: audit.Trouble{}, query: []string{"days"}},
	}
}

// components are the types that have a name of their own in the description, those that
// others hold first.
func components() []component {
	return []component{
		{"Page", store.Page{}}, {"Document", store.Document{}}, {"Profile", store.Profile{}}, {"Batch", store.Batch{}},
		{"FoundDocument", found{}}, {"Choices", store.Machine{}}, {"PageText", text.Page{}}, {"AuditEntry", audit.Line{}}, {"UpdateStatus", UpdateStatus{}}, {"Problem", Problem{}},
	}
}

type component struct {
	name string
	of   any
}
