package store

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strings"
)

// keepUnknown gives the record j, made of v, with what the record before it has
// and v's type has no words for. A release that was rolled back to so hands on
// what the newer one wrote and it does not know. Of a list of objects those
// elements keep theirs that did not change otherwise.
func keepUnknown(before, j []byte, v any) ([]byte, error) {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct || before == nil {
		return j, nil
	}
	d := json.NewDecoder(bytes.NewReader(before))
	d.DisallowUnknownFields()
	if d.Decode(reflect.New(t).Interface()) == nil {
		return j, nil // nothing is unknown
	}
	return merge(before, j, t)
}

// merge does it for one value of type t.
func merge(before, now json.RawMessage, t reflect.Type) (json.RawMessage, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct:
		return mergeObject(before, now, t)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return mergeList(before, now, t.Elem())
	}
	return now, nil
}

func mergeObject(before, now json.RawMessage, t reflect.Type) (json.RawMessage, error) {
	var old, out map[string]json.RawMessage
	// A time, for one, is a struct and no object.
	if json.Unmarshal(before, &old) != nil || json.Unmarshal(now, &out) != nil || old == nil || out == nil {
		return now, nil
	}
	known := fieldTypes(t)
	for name, value := range old {
		field, ok := known[name]
		if !ok {
			out[name] = value
			continue
		}
		if _, there := out[name]; !there {
			continue // taken away by who knows it
		}
		merged, err := merge(value, out[name], field)
		if err != nil {
			return nil, err
		}
		out[name] = merged
	}
	return json.Marshal(out)
}

func mergeList(before, now json.RawMessage, t reflect.Type) (json.RawMessage, error) {
	var old, out []json.RawMessage
	if json.Unmarshal(before, &old) != nil || json.Unmarshal(now, &out) != nil {
		return now, nil
	}
	// By what this release knows of an element, all that it had.
	whole := make(map[string]json.RawMessage)
	for _, e := range old {
		key, err := canonical(e, t)
		if err != nil {
			continue // it is of another kind by now, and nobody can merge it
		}
		whole[key] = e
	}
	for i, e := range out {
		key, err := canonical(e, t)
		if err != nil {
			return nil, err
		}
		if same, ok := whole[key]; ok {
			out[i] = same
		}
	}
	return json.Marshal(out)
}

// canonical is what this release knows of an object, always in the same form.
func canonical(raw json.RawMessage, t reflect.Type) (string, error) {
	v := reflect.New(t).Interface()
	if err := json.Unmarshal(raw, v); err != nil {
		return "", err
	}
	j, err := json.Marshal(v)
	return string(j), err
}

// fieldTypes gives the types of the fields that a struct has as JSON, those of
// embedded structs included.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	types := make(map[string]reflect.Type)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			maps.Copy(types, fieldTypes(f.Type))
		case name == "-" || !f.IsExported():
		case name == "":
			types[f.Name] = f.Type
		default:
			types[name] = f.Type
		}
	}
	return types
}
