package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

var param = regexp.MustCompile(`:([a-z]+)`)

// openAPI gives the description of the API.
func (s *Server) openAPI(c *call) error {
	doc, err := s.description()
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", jsonType)
	c.w.Header().Set("Cache-Control", "no-cache")
	return send(c.w, c.r, http.StatusOK, doc)
}

// A describer makes the description once: it does not change while the program runs.
type describer struct {
	once sync.Once
	doc  []byte
	err  error
}

func (s *Server) description() ([]byte, error) {
	s.describe.once.Do(func() {
		d, err := describeAPI(s.Version, routes(), operations(), false)
		if err == nil {
			s.describe.doc, err = json.Marshal(d)
		}
		s.describe.err = err
	})
	return s.describe.doc, s.describe.err
}

// An apiDescription is a document of OpenAPI 3.1.
type apiDescription struct {
	OpenAPI    string                             `json:"openapi"`
	Info       map[string]any                     `json:"info"`
	Servers    []map[string]string                `json:"servers"`
	Security   []map[string][]string              `json:"security"`
	Paths      map[string]map[string]apiOperation `json:"paths"`
	Components map[string]any                     `json:"components"`
}

type apiOperation struct {
	Summary     string                 `json:"summary"`
	ID          string                 `json:"operationId"`
	Tags        []string               `json:"tags"`
	Security    *[]map[string][]string `json:"security,omitempty"`
	Parameters  []apiParameter         `json:"parameters,omitempty"`
	RequestBody *apiBody               `json:"requestBody,omitempty"`
	Responses   map[string]any         `json:"responses"`
}

type apiParameter struct {
	Name        string         `json:"name"`
	In          string         `json:"in"`
	Required    bool           `json:"required,omitempty"`
	Description string         `json:"description,omitempty"`
	Schema      map[string]any `json:"schema"`
}

type apiBody struct {
	Required bool           `json:"required,omitempty"`
	Content  map[string]any `json:"content"`
}

// describeAPI puts routes and what is known of them together. strict forbids fields that
// are not described; clients should not mind them, but tests do.
func describeAPI(version string, routes []route, ops map[string]operation, strict bool) (*apiDescription, error) {
	d := &apiDescription{
		OpenAPI: "3.1.0",
		Info: map[string]any{
			"title": "docscan", "version": version, "license": map[string]string{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "Everything the pages of docscan do. Errors are problems (RFC 9457) whose detail says what happened and what to do. " +
				"A POST with the header Idempotency-Key can be repeated for a day and is done once.",
		},
		Servers:  []map[string]string{{"url": "/"}},
		Security: []map[string][]string{{"bearer": {}}, {"cookie": {}}},
		Paths:    make(map[string]map[string]apiOperation),
	}
	x := &schemas{named: make(map[string]string), strict: strict}
	named := make(map[string]any)
	for _, c := range components() {
		s, err := x.of(c.of)
		if err != nil {
			return nil, err
		}
		j, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		named[c.name], x.named[string(j)] = s, c.name
	}
	d.Components = map[string]any{
		"securitySchemes": map[string]any{
			"bearer": map[string]string{"type": "http", "scheme": "bearer"},
			"cookie": map[string]string{"type": "apiKey", "in": "cookie", "name": cookieName},
		},
		"responses": map[string]any{"Problem": map[string]any{
			"description": "An error (RFC 9457)",
			"content":     map[string]any{"application/problem+json": map[string]any{"schema": map[string]string{"$ref": "#/components/schemas/Problem"}}},
		}},
		"schemas": named,
	}
	for _, rt := range routes {
		if rt.summary == "" {
			continue
		}
		o, err := describeRoute(rt, ops[rt.method+" "+rt.path], x)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", rt.method, rt.path, err)
		}
		path := param.ReplaceAllString(rt.path, "{$1}")
		if d.Paths[path] == nil {
			d.Paths[path] = make(map[string]apiOperation)
		}
		d.Paths[path][strings.ToLower(rt.method)] = o
	}
	return d, nil
}

func describeRoute(rt route, op operation, x *schemas) (apiOperation, error) {
	o := apiOperation{Summary: rt.summary, ID: operationID(rt), Tags: []string{tagOfPath(rt.path)}, Responses: make(map[string]any)}
	switch rt.access {
	case anyone:
		o.Security = &[]map[string][]string{}
	case admins:
		o.Summary += " (administrators)"
	}
	text := map[string]any{"type": "string"}
	for _, m := range param.FindAllStringSubmatch(rt.path, -1) {
		schema := text
		switch m[1] {
		case "seq":
			schema = map[string]any{"type": "integer", "minimum": 1}
		case "format":
			schema = map[string]any{"type": "string", "enum": []string{"pdf", "excel"}}
		}
		o.Parameters = append(o.Parameters, apiParameter{Name: m[1], In: "path", Required: true, Schema: schema})
	}
	for _, name := range op.query {
		q := queryParameters[name]
		o.Parameters = append(o.Parameters, apiParameter{Name: name, In: "query", Description: q.what, Schema: map[string]any{"type": q.kind}})
	}
	header := func(name, what string) {
		o.Parameters = append(o.Parameters, apiParameter{Name: name, In: "header", Description: what, Schema: text})
	}
	if op.match {
		header("If-Match", "ETag of the state that the change is made from; 428 without it, 412 if there is another by now")
	}
	if rt.method == http.MethodPost && rt.access != anyone {
		header("Idempotency-Key", "Lets the request be repeated without being done twice")
	}
	if op.gives == "text/event-stream" {
		header("Last-Event-ID", "Replays what came after this event")
	}
	switch {
	case op.takes == "multipart/form-data":
		o.RequestBody = &apiBody{Required: true, Content: map[string]any{op.takes: map[string]any{"schema": map[string]any{
			"type": "object", "required": []string{"files"},
			"properties": map[string]any{
				"files":          map[string]any{"type": "array", "maxItems": maxFiles, "items": map[string]any{"type": "string", "contentMediaType": anyFile}},
				"document_types": map[string]any{"type": "array", "items": text, "description": "One for all files, or one for each in turn"},
				"profile":        text,
			},
		}}}}
	case op.takes != "":
		o.RequestBody = &apiBody{Required: true, Content: map[string]any{op.takes: map[string]any{}}}
	case op.in != nil:
		s, needed, err := x.body(op)
		if err != nil {
			return o, err
		}
		o.RequestBody = &apiBody{Required: needed, Content: map[string]any{jsonType: map[string]any{"schema": s}}}
	}
	status, answer := op.status, map[string]any{"description": "Done"}
	switch {
	case op.gives != "":
		answer["content"] = map[string]any{op.gives: map[string]any{}}
	case op.out != nil:
		s, err := x.of(op.out)
		if err != nil {
			return o, err
		}
		answer["content"] = map[string]any{jsonType: map[string]any{"schema": s}}
	case status == 0:
		status = http.StatusNoContent
	}
	if status == 0 {
		status = http.StatusOK
	}
	if op.tag {
		answer["headers"] = map[string]any{"ETag": map[string]any{"schema": text}}
	}
	o.Responses[fmt.Sprint(status)] = answer
	if op.bare {
		o.Responses["204"] = map[string]any{"description": "Done"}
	}
	if rt.path == "/api/health" {
		o.Responses["503"] = map[string]any{"description": "A part does not work", "content": answer["content"]}
	}
	o.Responses["default"] = map[string]string{"$ref": "#/components/responses/Problem"}
	return o, nil
}

// schemas makes schemas of Go's types. One that has a name is given by reference
// wherever it stands.
type schemas struct {
	named  map[string]string // names by schema
	strict bool
}

// written are the schemas of types that write their JSON themselves.
var written = map[reflect.Type]*jsonschema.Schema{
	reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time"},
	reflect.TypeFor[[]byte]():    {Types: []string{"null", "string"}, ContentEncoding: "base64"},
}

func (x *schemas) of(v any) (any, error) {
	tree, err := schemaTree(v)
	if err != nil {
		return nil, err
	}
	return x.refer(tree)
}

// body makes the schema of what op takes, and says whether there must be a body:
// handlers take none for one without fields.
func (x *schemas) body(op operation) (schema any, needed bool, err error) {
	tree, err := schemaTree(op.in)
	if err != nil {
		return nil, false, err
	}
	switch {
	case len(op.needs) > 0:
		tree["required"] = op.needs
	case op.needs != nil:
		delete(tree, "required")
	}
	needed = tree["required"] != nil
	schema, err = x.refer(tree)
	return schema, needed, err
}

func schemaTree(v any) (tree map[string]any, err error) {
	s, err := jsonschema.ForType(reflect.TypeOf(v), &jsonschema.ForOptions{TypeSchemas: written})
	if err != nil {
		return nil, err
	}
	j, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return tree, json.Unmarshal(j, &tree)
}

// refer puts references in the place of schemas that have a name, the innermost first,
// and allows fields that are not described unless x is strict.
func (x *schemas) refer(node any) (any, error) {
	m, ok := node.(map[string]any)
	if !ok {
		return node, nil
	}
	if m["properties"] != nil && !x.strict {
		delete(m, "additionalProperties")
	}
	for k, v := range m {
		var err error
		if m[k], err = x.refer(v); err != nil {
			return nil, err
		}
	}
	j, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if name, ok := x.named[string(j)]; ok {
		return map[string]any{"$ref": "#/components/schemas/" + name}, nil
	}
	return m, nil
}

// tagOfPath groups operations: by what comes behind the version, or "before" for the
// paths of the service before this one.
func tagOfPath(path string) string {
	rest, ok := strings.CutPrefix(path, "/api/v1/")
	if !ok {
		return "compatible"
	}
	first, _, _ := strings.Cut(rest, "/")
	return strings.TrimSuffix(first, ".json")
}

// operationID names an operation by its method and path.
func operationID(rt route) string {
	words := strings.FieldsFunc(rt.path, func(r rune) bool { return r == '/' || r == ':' || r == '.' || r == '-' })
	id := strings.ToLower(rt.method)
	for _, w := range words {
		if w != "api" {
			id += strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return id
}
