package web

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

func apiPages() []route {
	return []route{{"GET", "/api-docs", members, (*Server).apiDocsPage, ""}}
}

// apiGroup is what the page says of operations on one kind of thing.
type apiGroup struct {
	Name       string
	Operations []apiLine
}

type apiLine struct {
	Method, Path string
	apiOperation
	Fields []string // of the body, required ones first
}

// apiDocsPage shows the description of the API, made from the same table.
func (s *Server) apiDocsPage(c *call) error {
	d, err := describeAPI(s.Version, routes(), operations(), false)
	if err != nil {
		return err
	}
	var groups []apiGroup
	for path, methods := range d.Paths {
		for method, op := range methods {
			line := apiLine{Method: strings.ToUpper(method), Path: path, apiOperation: op, Fields: fieldsOf(op.RequestBody)}
			i := slices.IndexFunc(groups, func(g apiGroup) bool { return g.Name == op.Tags[0] })
			if i < 0 {
				groups = append(groups, apiGroup{Name: op.Tags[0]})
				i = len(groups) - 1
			}
			groups[i].Operations = append(groups[i].Operations, line)
		}
	}
	slices.SortFunc(groups, func(a, b apiGroup) int { return cmp.Compare(a.Name, b.Name) })
	for _, g := range groups {
		slices.SortFunc(g.Operations, func(a, b apiLine) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
		})
	}
	return s.render(c.w, c.r, c.caller, http.StatusOK, "api", groups)
}

// fieldsOf names the fields of a body; those that may be left out end in a question
// mark.
func fieldsOf(b *apiBody) []string {
	if b == nil {
		return nil
	}
	for _, media := range b.Content {
		m, _ := media.(map[string]any)
		schema, _ := m["schema"].(map[string]any)
		properties, _ := schema["properties"].(map[string]any)
		var required, optional []string
		for name := range properties {
			if has(schema["required"], name) {
				required = append(required, name)
			} else {
				optional = append(optional, name+"?")
			}
		}
		slices.Sort(required)
		slices.Sort(optional)
		return append(required, optional...)
	}
	return nil
}

// has reports whether a list of a schema has a name.
func has(list any, name string) bool {
	switch l := list.(type) {
	case []any:
		return slices.Contains(l, any(name))
	case []string:
		return slices.Contains(l, name)
	}
	return false
}
