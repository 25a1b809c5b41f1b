package web

import (
	"net/http"
	"regexp"
	"strings"
)

var param = regexp.MustCompile(`:([a-z]+)`)

// openAPI describes the API, from the table of routes.
func (s *Server) openAPI(c *call) error {
	paths := make(map[string]map[string]any)
	for _, rt := range routes() {
		if rt.summary == "" {
			continue
		}
		path := param.ReplaceAllString(rt.path, "{$1}")
		if paths[path] == nil {
			paths[path] = make(map[string]any)
		}
		op := map[string]any{
			"summary":     rt.summary,
			"operationId": operationID(rt),
			"responses": map[string]any{
				"2XX":     map[string]any{"description": "Done"},
				"default": map[string]any{"$ref": "#/components/responses/Problem"},
			},
		}
		if rt.access == anyone {
			op["security"] = []any{}
		}
		var params []any
		for _, m := range param.FindAllStringSubmatch(rt.path, -1) {
			params = append(params, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]string{"type": "string"}})
		}
		for _, m := range queryParam.FindAllStringSubmatch(rt.summary, -1) {
			params = append(params, map[string]any{"name": m[1], "in": "query", "schema": map[string]string{"type": "string"}})
		}
		if params != nil {
			op["parameters"] = params
		}
		if rt.method == http.MethodPost {
			op["requestBody"] = map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": bodySchema(rt.summary)}}}
		}
		paths[path][strings.ToLower(rt.method)] = op
	}
	return writeJSON(c.w, http.StatusOK, map[string]any{
		"openapi":  "3.1.0",
		"info":     map[string]any{"title": "docscan", "version": s.Version, "license": map[string]string{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"servers":  []any{map[string]string{"url": "/"}},
		"security": []any{map[string]any{"bearer": []any{}}, map[string]any{"cookie": []any{}}},
		"paths":    paths,
		"components": map[string]any{
			"securitySchemes": map[string]any{
				"bearer": map[string]string{"type": "http", "scheme": "bearer"},
				"cookie": map[string]string{"type": "apiKey", "in": "cookie", "name": cookieName},
			},
			"responses": map[string]any{"Problem": map[string]any{
				"description": "An error in the form of RFC 9457; detail says what happened and what to do",
				"content":     map[string]any{"application/problem+json": map[string]any{"schema": map[string]string{"$ref": "#/components/schemas/Problem"}}},
			}},
			"schemas": map[string]any{"Problem": map[string]any{
				"type": "object", "required": []string{"type", "title", "status", "detail"},
				"properties": map[string]any{
					"type": map[string]string{"type": "string"}, "title": map[string]string{"type": "string"},
					"status": map[string]string{"type": "integer"}, "detail": map[string]string{"type": "string"},
					"fault": map[string]string{"type": "string"}, "advice": map[string]string{"type": "string"},
				},
			}},
		},
	})
}

var (
	queryParam = regexp.MustCompile(`\?([a-z]+)=`)
	bodyFields = regexp.MustCompile(`\{([a-z, ?]+)\}`)
)

// bodySchema reads the fields of a body from the summary: "{name, role?}".
func bodySchema(summary string) map[string]any {
	m := bodyFields.FindStringSubmatch(summary)
	if m == nil {
		return map[string]any{"type": "object"}
	}
	properties := make(map[string]any)
	required := []string{}
	for _, f := range strings.Split(m[1], ", ") {
		name, optional := strings.CutSuffix(f, "?")
		properties[name] = map[string]string{"type": "string"}
		if !optional {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

// operationID names an operation by its method and path.
func operationID(rt route) string {
	words := strings.FieldsFunc(rt.path, func(r rune) bool { return r == '/' || r == ':' || r == '.' })
	id := strings.ToLower(rt.method)
	for _, w := range words {
		if w != "api" {
			id += strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return id
}
