// Package refusal says why a person's wish is not done, so that it can be said in
// the person's language: the values of the sentence stand apart from it.
package refusal

import "fmt"

// An Error is a refusal. It wraps what programs tell it by.
type Error struct {
	Message string // a sentence in English, as fmt has it
	Args    []any  // a string among them may be a message itself
	kind    error
}

// New refuses with a sentence. kind is what the error wraps.
func New(kind error, message string, args ...any) error {
	return &Error{message, args, kind}
}

// Error gives the sentence.
func (e *Error) Error() string { return fmt.Sprintf(e.Message, e.Args...) }

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.kind }
