package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"docscan/store"
)

// strictAPI is the description, in which nothing may be that is not described.
type strictAPI struct {
	doc map[string]any

	mu      sync.Mutex
	schemas map[string]*jsonschema.Resolved // by method, path and status, or "body"
}

// theAPI is made once, as it takes a while.
var theAPI = sync.OnceValues(func() (*strictAPI, error) {
	d, err := describeAPI("test", routes(), operations(), true)
	if err != nil {
		return nil, err
	}
	j, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	api := &strictAPI{schemas: make(map[string]*jsonschema.Resolved)}
	return api, json.Unmarshal(j, &api.doc)
})

// asDescribed serves with h and has the test fail when a request with JSON that is
// granted, or any answer in JSON, is otherwise than the description of the API says.
func asDescribed(t testing.TB, h http.Handler) http.Handler {
	api, err := theAPI()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := routeOf(r.URL.Path)
		if !strings.HasPrefix(route, "/api/") || api.at("paths", described(route), strings.ToLower(r.Method)) == nil {
			h.ServeHTTP(w, r)
			return
		}
		var asked bytes.Buffer
		r = r.WithContext(r.Context()) // the server looks at the body of its own request
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &asked), r.Body}
		o := &overheard{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(o, r)
		what := r.Method + " " + r.URL.Path
		if o.isJSON() && r.Header.Get("Range") == "" && r.Method != http.MethodHead {
			text, err := o.text()
			if err == nil {
				err = api.check(r.Method, described(route), o.status, o.Header().Get("Content-Type"), text)
			}
			if err != nil {
				t.Errorf("%s is answered otherwise than described: %v\n%.2000s", what, err, text)
			}
		}
		if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind == jsonType && o.status < 300 && asked.Len() > 0 {
			if err := api.checkBody(r.Method, described(route), asked.Bytes()); err != nil {
				t.Errorf("%s took a body otherwise than described: %v\n%.2000s", what, err, asked.Bytes())
			}
		}
	})
}

// described is a route as it stands in the description.
func described(route string) string { return param.ReplaceAllString(route, "{$1}") }

// overheard keeps a copy of an answer in JSON.
type overheard struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (o *overheard) isJSON() bool {
	kind, _, _ := strings.Cut(o.Header().Get("Content-Type"), ";")
	return kind == jsonType || kind == "application/problem+json"
}

// text is the answer as it was before it was packed.
func (o *overheard) text() ([]byte, error) {
	if o.Header().Get("Content-Encoding") != "gzip" {
		return o.body.Bytes(), nil
	}
	r, err := gzip.NewReader(&o.body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func (o *overheard) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *overheard) Write(b []byte) (int, error) {
	if o.isJSON() {
		o.body.Write(b)
	}
	return o.ResponseWriter.Write(b)
}

// Unwrap lets the server flush and set its limits.
func (o *overheard) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// at gives what stands at a path of the description; nil is nothing.
func (x *strictAPI) at(keys ...string) any {
	var node any = x.doc
	for _, k := range keys {
		m, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		if ref, ok := m["$ref"].(string); ok {
			m, _ = x.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(map[string]any)
		}
		node = m[k]
	}
	return node
}

// check compares an answer with its description.
func (x *strictAPI) check(method, path string, status int, kind string, body []byte) error {
	responses := []string{"paths", path, strings.ToLower(method), "responses"}
	code := strconv.Itoa(status)
	if x.at(append(responses, code)...) == nil {
		if status < 400 {
			return fmt.Errorf("an answer %d is not described", status)
		}
		code = "default"
	}
	content, _ := x.at(append(responses, code, "content")...).(map[string]any)
	if len(content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("a body %.80q is not described", body)
		}
		return nil
	}
	kind, _, _ = strings.Cut(kind, ";")
	media, ok := content[kind].(map[string]any)
	if !ok && content["image/*"] == nil && content[anyFile] == nil {
		return fmt.Errorf("it is %q", kind)
	}
	return x.fits(method+" "+path+" "+code, media["schema"], body)
}

// checkBody compares the JSON of a request with its description.
func (x *strictAPI) checkBody(method, path string, body []byte) error {
	content, _ := x.at("paths", path, strings.ToLower(method), "requestBody", "content").(map[string]any)
	media, ok := content[jsonType].(map[string]any)
	switch {
	case ok:
		return x.fits(method+" "+path+" body", media["schema"], body)
	case len(content) > 0:
		return nil // a file, whatever it is called
	}
	return errors.New("it has no body")
}

// fits compares JSON with a schema of the description, whose name is key.
func (x *strictAPI) fits(key string, schema any, body []byte) error {
	if schema == nil {
		return nil
	}
	r, err := x.resolve(key, schema)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	return r.Validate(v)
}

var reference = regexp.MustCompile(`#/components/schemas/(\w+)`)

func (x *strictAPI) resolve(key string, schema any) (*jsonschema.Resolved, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.schemas[key]; r != nil {
		return r, nil
	}
	// References lead to #/components/schemas: the schema gets those that it needs under it.
	defs := make(map[string]*jsonschema.Schema)
	var read func(v any) (*jsonschema.Schema, error)
	read = func(v any) (*jsonschema.Schema, error) {
		j, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		for _, m := range reference.FindAllSubmatch(j, -1) {
			name := string(m[1])
			if defs[name] != nil {
				continue
			}
			defs[name] = new(jsonschema.Schema) // it may hold itself
			if defs[name], err = read(x.at("components", "schemas", name)); err != nil {
				return nil, err
			}
		}
		s := new(jsonschema.Schema)
		return s, json.Unmarshal(reference.ReplaceAll(j, []byte("#/$$defs/$1")), s)
	}
	s, err := read(map[string]any{"allOf": []any{schema}})
	if err != nil {
		return nil, err
	}
	s.Defs = defs
	r, err := s.Resolve(nil)
	if err == nil {
		x.schemas[key] = r
	}
	return r, err
}

// The description is one of OpenAPI 3.1, and has what the router has and nothing else.
func TestDescriptionIsWhole(t *testing.T) {
	s := newSite(t, nil)
	a := s.ask("GET", "/api/v1/openapi.json", "", "")
	// The schema that the OpenAPI Initiative publishes for documents of 3.1.
	data, err := os.ReadFile("testdata/openapi-3.1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var official jsonschema.Schema
	if err := json.Unmarshal(data, &official); err != nil {
		t.Fatal(err)
	}
	rules, err := official.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var whole any
	if err := json.Unmarshal([]byte(a.body), &whole); err != nil {
		t.Fatal(err)
	}
	if err := rules.Validate(whole); err != nil {
		t.Error(err)
	}
	if err := rules.Validate(map[string]any{"openapi": "3.1.0", "info": map[string]any{"title": "without a version"}, "paths": map[string]any{}}); err == nil {
		t.Error("the rules allow what they must not")
	}
	var d apiDescription
	if err := json.Unmarshal([]byte(a.body), &d); err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	ids := make(map[string]string)
	for _, rt := range routes() {
		if rt.summary == "" {
			if strings.HasPrefix(rt.path, "/api/") {
				t.Errorf("%s %s is of the API, but has no summary", rt.method, rt.path)
			}
			continue
		}
		key := rt.method + " " + rt.path
		known[key] = true
		op, ok := d.Paths[param.ReplaceAllString(rt.path, "{$1}")][strings.ToLower(rt.method)]
		if !ok {
			t.Errorf("%s is not described", key)
		}
		if _, ok := operations()[key]; !ok {
			t.Errorf("operations does not say what goes over the wire at %s", key)
		}
		if before := ids[op.ID]; before != "" {
			t.Errorf("%s and %s have the same name %s", key, before, op.ID)
		}
		ids[op.ID] = key
	}
	for key := range operations() {
		if !known[key] {
			t.Errorf("%s is described, but there is no such route", key)
		}
	}
	for key, op := range operations() {
		for _, q := range op.query {
			if queryParameters[q].what == "" {
				t.Errorf("%s: the parameter %s has no description", key, q)
			}
		}
	}
}

// What a real run answers is what is described: success and refusals, all fields.
func TestAnswersAreAsDescribed(t *testing.T) {
	s := newSite(t, nil)
	api, err := theAPI()
	if err != nil {
		t.Fatal(err)
	}
	admin := s.user("anna", store.RoleAdmin)
	d := s.file("", "Invoice", "seven green tractors")
	other := s.file("", "Letter", "dear tractors")
	for _, wrong := range []string{`{}`, `{"document_types":"none"}`, `{"document_types":[],"more":1}`} {
		if err := api.check("GET", "/api/v1/document-types", 200, jsonType, []byte(wrong)); err == nil {
			t.Fatalf("%s is taken for an answer", wrong)
		}
	}
	for _, wrong := range []string{`{}`, `{"name":7}`, `{"name":"x","more":1}`} {
		if err := api.checkBody("POST", "/api/v1/groups", []byte(wrong)); err == nil {
			t.Fatalf("%s is taken for a body", wrong)
		}
	}
	asked := make(map[string]bool)
	ask := func(want int, method, path, body string, header ...string) string {
		t.Helper()
		a := s.ask(method, path, admin, body, header...)
		if a.StatusCode != want {
			t.Errorf("%s %s: %s, want %d: %s", method, path, a.Status, want, a.body)
			return a.body
		}
		if err := api.check(method, described(routeOf(path)), a.StatusCode, a.Header.Get("Content-Type"), []byte(a.body)); err != nil {
			t.Errorf("%s %s is answered otherwise than described: %v\n%.2000s", method, path, err, a.body)
		}
		if want/100 == 2 {
			asked[method+" "+routeOf(path)] = true
		}
		return a.body
	}
	doc, batch := "/api/v1/documents/"+string(d.ID), "/api/v1/batches/"+string(d.Batch)
	for _, path := range []string{
		"/api/health", "/api/admin/dashboard/stats", "/api/batches", "/api/batches/" + string(d.Batch), "/api/batches/" + string(d.Batch) + "/results",
		"/api/results", "/api/cache/stats", "/api/connections", "/api/v1/document-types", "/api/v1/me", "/api/v1/status", "/api/v1/devices",
		"/api/v1/profiles", "/api/v1/profiles/standard", "/api/v1/batches", batch, "/api/v1/documents", "/api/v1/documents?q=tractors", doc,
		doc + "/aside", doc + "/changes", "/api/v1/trash", "/api/v1/sheets", "/api/v1/sessions", "/api/v1/tokens", "/api/v1/users", "/api/v1/audit", "/api/v1/audit/key",
		"/api/v1/security", "/api/v1/openapi.json", doc + "/pages/1/text", batch + "/pages/1/text",
	} {
		ask(200, "GET", path, "")
	}
	for _, path := range []string{"/api/v1/documents/" + store.NewID(), "/api/v1/devices/none", "/api/v1/update"} {
		ask(404, "GET", path, "")
	}
	ask(400, "GET", "/api/v1/documents?limit=0", "")
	var people usersView
	if err := json.Unmarshal([]byte(ask(200, "GET", "/api/v1/users?limit=1", "")), &people); err != nil || len(people.Users) != 1 {
		t.Fatalf("%+v, %v", people, err)
	}
	anna := string(people.Users[0].ID)
	for _, path := range []string{
		"/api/me", "/api/admin/users", "/api/admin/users/" + anna + "/activities", "/api/v1/users/" + anna, "/api/v1/users/" + anna + "/sessions",
		"/api/v1/second-factor", "/api/v1/passkeys", "/api/v1/groups", "/api/v1/fleet/devices", "/api/v1/update/facts", "/api/v1/system/settings",
		"/api/v1/searches", "/api/v1/suggestions", "/api/v1/destinations", doc + "/deliveries", "/api/v1/devices", "/api/v1/fleet/devices",
	} {
		ask(200, "GET", path, "")
	}
	ask(428, "PATCH", "/api/v1/users/"+anna, `{"full_name":"Anna"}`)
	ask(412, "PATCH", "/api/v1/users/"+anna, `{"full_name":"Anna"}`, "If-Match", `"x"`)
	ask(200, "PATCH", "/api/v1/users/"+anna, `{"full_name":"Anna"}`, "If-Match", "*")
	var office store.Group
	if err := json.Unmarshal([]byte(ask(201, "POST", "/api/v1/groups", `{"name":"Office"}`)), &office); err != nil {
		t.Fatal(err)
	}
	ask(200, "GET", "/api/v1/groups/"+string(office.ID), "")
	ask(200, "POST", "/api/heartbeat", "")
	ask(200, "POST", "/api/cache/clear", "")
	ask(200, "POST", "/api/v1/login", fmt.Sprintf(`{"username":"anna","password":%q}`, password))
	ask(200, "POST", "/api/login", fmt.Sprintf(`{"username":"anna","password":%q}`, password))
	ask(401, "POST", "/api/v1/login", `{"username":"anna","password":"no"}`)
	ask(201, "POST", "/api/v1/users", fmt.Sprintf(`{"username":"ben","password":%q}`, password))
	ask(201, "POST", "/api/v1/tokens", `{"name":"monitor"}`)
	ask(503, "POST", "/api/v1/scans", `{}`)
	ask(200, "POST", "/api/v1/audit/verify", "")
	ask(200, "POST", "/api/v1/system/check", "")
	ask(428, "PATCH", doc, `{"title":"Bill"}`)
	ask(412, "PATCH", doc, `{"title":"Bill"}`, "If-Match", `"r99"`)
	ask(200, "PATCH", doc, `{"title":"Bill","tags":["tractor"]}`, "If-Match", `"r1"`)
	changes := ask(200, "GET", doc+"/changes", "")
	var list changesView
	said := ask(200, "GET", "/api/v1/suggestions", "")
	if said != "{\"types\":[],\"correspondents\":[],\"tags\":[\"tractor\"]}\n" {
		t.Errorf("suggested is %s", said)
	}
	if err := json.Unmarshal([]byte(changes), &list); err != nil || len(list.Changes) != 1 || list.Changes[0].Was == nil {
		t.Fatalf("%s, %v", changes, err)
	}
	want := wasView{stated(d), stated(d)}
	want.To.Title, want.To.Tags = "Bill", []string{"tractor"}
	if was := *list.Changes[0].Was; !reflect.DeepEqual(was, want) {
		t.Errorf("it was %+v, want %+v", was, want)
	}
	ask(200, "POST", "/api/v1/changes/"+string(list.Changes[0].ID)+"/undo", "")
	ask(204, "DELETE", "/api/v1/documents/"+string(other.ID), "")
	ask(200, "GET", "/api/v1/trash", "")
	ask(200, "POST", "/api/v1/documents/"+string(other.ID)+"/restore", "")
	ask(200, "PUT", "/api/v1/profiles/new", `{"name":"New","source":"auto","mode":"gray","resolution":300}`)
	ask(428, "PUT", "/api/v1/profiles/new", `{"name":"New","source":"auto","mode":"gray","resolution":200}`)
	ask(412, "PUT", "/api/v1/profiles/new", `{"name":"New","source":"auto","mode":"gray","resolution":200}`, "If-Match", `"x"`)
	ask(204, "DELETE", "/api/v1/profiles/new", "", "If-Match", "*")
	ask(200, "GET", doc+"/pdf", "")
	ask(200, "GET", "/api/v1/sheets/separators?kind=qr&text=next", "")
	ask(422, "GET", "/api/v1/sheets/separators?kind=qr", "")
	ask(200, "POST", "/api/v1/sheets/labels", `{"layout":"L4731","kind":"qr","count":2}`)
	ask(422, "POST", "/api/v1/sheets/labels", `{"layout":"L0","kind":"qr"}`)
	ask(200, "GET", doc+"/text", "")
	ask(200, "GET", "/api/v1/audit/export", "")
	ask(200, "GET", doc+"/pages/1/thumb", "")
	ask(200, "GET", batch+"/pages/1/raw", "")
	ask(200, "GET", "/api/results/"+string(d.ID)+"/export/excel", "")
	ask(200, "GET", "/api/results/"+string(d.ID)+"/export/pdf", "")
	ask(204, "POST", "/api/v1/logout", "")

	// Most of the API has been asked: what needs a scanner or another slot is asked
	// elsewhere.
	missing := 0
	for key, op := range operations() {
		if !asked[key] && op.out != nil {
			missing++
			t.Logf("not asked here: %s", key)
		}
	}
	if missing > len(operations())/2 {
		t.Errorf("%d of %d answers with JSON are not compared with their description", missing, len(operations()))
	}
}

// routeOf gives the route that a path belongs to.
func routeOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	have := strings.Split(path, "/")
	best := ""
	for _, rt := range routes() {
		want := strings.Split(rt.path, "/")
		if len(want) != len(have) {
			continue
		}
		fits, fixed := true, 0
		for i := range want {
			switch {
			case want[i] == have[i]:
				fixed++
			case !strings.HasPrefix(want[i], ":"):
				fits = false
			}
		}
		if fits && (best == "" || fixed > strings.Count(best, "/")-strings.Count(best, ":")) {
			best = rt.path
		}
	}
	return best
}

// form makes a body of files and fields, in this order: name=value, name@file=content.
func form(t testing.TB, parts ...string) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		name, value, _ := strings.Cut(p, "=")
		if field, file, ok := strings.Cut(name, "@"); ok {
			f, err := w.CreateFormFile(field, file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(f, value); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// A repeated request with the same key is done once; another request with it is refused.
func TestIdempotencyKey(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	other := s.user("ben", store.RoleAdmin)
	body := fmt.Sprintf(`{"username":"carla","password":%q}`, password)
	first := s.ask("POST", "/api/v1/users", admin, body, "Idempotency-Key", "k1")
	again := s.ask("POST", "/api/v1/users", admin, body, "Idempotency-Key", "k1")
	if first.StatusCode != 201 || again.StatusCode != 201 || first.body != again.body || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s %s\n%s %s", first.Status, first.body, again.Status, again.body)
	}
	tests := []struct {
		name, token, path, body, key string
		want                         int
	}{
		{"another body", admin, "/api/v1/users", fmt.Sprintf(`{"username":"dora","password":%q}`, password), "k1", 422},
		{"another path", admin, "/api/v1/tokens", body, "k1", 422},
		{"another user", other, "/api/v1/users", body, "k1", 409}, // name taken: it is run
		{"no key", admin, "/api/v1/users", body, "", 409},
		{"a key too long", admin, "/api/v1/users", body, strings.Repeat("k", 200), 400},
		{"a refusal is not kept", admin, "/api/v1/users", `{"username":"erik","password":"no"}`, "k2", 422},
		{"so it can be mended", admin, "/api/v1/users", fmt.Sprintf(`{"username":"erik","password":%q}`, password), "k2", 201},
		{"a secret is made", admin, "/api/v1/tokens", `{"name":"x"}`, "k3", 201},
		{"and not shown again", admin, "/api/v1/tokens", `{"name":"x"}`, "k3", 409},
	}
	for _, tt := range tests {
		if a := s.ask("POST", tt.path, tt.token, tt.body, "Idempotency-Key", tt.key); a.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d: %s", tt.name, a.Status, tt.want, a.body)
		}
	}
	users, err := s.Store.Users()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, u := range users {
		names = append(names, u.Name)
	}
	if !slices.Equal(names, []string{"anna", "ben", "carla", "erik"}) {
		t.Errorf("there are %v", names)
	}
	if strings.Contains(s.log.String(), password) {
		t.Error("the log holds a password")
	}
	// What is kept to know a repeat must not help to guess a password.
	r, ok, err := s.Store.Reply(hashSecret(string(s.named("anna").ID) + "\x00anna\x00k1"))
	if err != nil || !ok || r.Sum == hashSecret(body) || len(r.Sum) != 64 {
		t.Errorf("of the request %+v is kept, %t, %v", r, ok, err)
	}
	if http.StatusOK != s.ask("GET", "/api/v1/me", admin, "", "Idempotency-Key", "k1").StatusCode {
		t.Error("a key on a GET matters")
	}
}

// deaf is the connection of somebody who does not wait for the answer.
type deaf struct{ header http.Header }

func (d deaf) Header() http.Header       { return d.header }
func (d deaf) WriteHeader(int)           {}
func (d deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Who asks again because the answer got lost, gets it, and nothing is done twice.
func TestLostAnswerIsRepeated(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	r := httptest.NewRequest("POST", "/api/v1/groups", strings.NewReader(`{"name":"Office"}`))
	r.Header.Set("Authorization", "Bearer "+admin)
	r.Header.Set("Idempotency-Key", "k")
	s.Handler().ServeHTTP(deaf{make(http.Header)}, r)
	a := s.ask("POST", "/api/v1/groups", admin, `{"name":"Office"}`, "Idempotency-Key", "k")
	if a.StatusCode != 201 || a.Header.Get("Idempotency-Replayed") != "true" || !strings.Contains(a.body, "Office") {
		t.Errorf("%s %s", a.Status, a.body)
	}
}

// What an answer shows once is not kept for a repeat.
func TestNoSecretIsKeptForRepeats(t *testing.T) {
	secrets := []string{"access_token", "token", "secret", "ticket", "temp_password", "recovery_codes"}
	for _, rt := range routes() {
		op := operations()[rt.method+" "+rt.path]
		if rt.method != http.MethodPost || rt.access == anyone || op.out == nil {
			continue
		}
		tree, err := schemaTree(op.out)
		if err != nil {
			t.Fatal(err)
		}
		fields, _ := tree["properties"].(map[string]any)
		if has := slices.ContainsFunc(secrets, func(name string) bool { return fields[name] != nil }); has != secretAnswers[rt.path] {
			t.Errorf("%s: an answer with a secret: %t, and it is known as one: %t", rt.path, has, secretAnswers[rt.path])
		}
	}
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	in := fmt.Sprintf(`{"username":"ben","password":%q}`, password)
	first, again := s.ask("POST", "/api/v1/login", ben, in, "Idempotency-Key", "k"), s.ask("POST", "/api/v1/login", ben, in, "Idempotency-Key", "k")
	if first.StatusCode != 200 || again.StatusCode != 200 || s.read(first, "access_token") == s.read(again, "access_token") {
		t.Errorf("a log-in of somebody who is logged in is repeated: %s %s", again.Status, again.body)
	}
}

// The page shows each operation once, from the same table.
func TestAPIDocsPage(t *testing.T) {
	s := newSite(t, nil)
	ben := s.user("ben", store.RoleMember)
	a := s.ask("GET", "/api-docs", ben, "")
	if a.StatusCode != 200 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	for _, want := range []string{"PATCH /api/v1/documents/{id}", "correspondent?, date?,", "<code>If-Match</code> (header)", "{password, username, code?}"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page is without %q", want)
		}
	}
	if got, want := strings.Count(a.body, "<br>Who I am"), 2; got != want {
		t.Errorf("%d operations say who I am, want %d", got, want)
	}
}
