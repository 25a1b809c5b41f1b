package scan

import (
	"context"
	"slices"

	"docscan/store"
)

// Share shares a document with exactly these groups, whose people may read it.
func (e *Engine) Share(ctx context.Context, id store.DocumentID, with []store.GroupID, by By) (store.Document, error) {
	before, err := e.store.Document(id)
	if err != nil {
		return before, err
	}
	if slices.Equal(before.Groups, with) {
		return before, nil
	}
	d, err := e.store.ShareDocument(id, with, by.entry("document_shared", string(id)))
	if err != nil {
		return d, err
	}
	e.DocumentsChanged(ctx, []store.Document{d})
	return d, nil
}

// DocumentsChanged lets index and watchers follow documents that the store has
// changed, such as those of a group or person that is gone.
func (e *Engine) DocumentsChanged(ctx context.Context, docs []store.Document) {
	for _, d := range docs {
		if d.Trashed.IsZero() {
			if err := e.indexDocument(ctx, d); err != nil {
				e.log.Error("indexing the document failed; the next start catches up", "document", d.ID, "err", err)
			}
		}
		e.hub.publish(Event{Name: EventDocument, Document: d.ID, Owner: d.Owner, Deleted: !d.Trashed.IsZero()})
	}
}
