// Package search finds documents by their text. Its index is a SQLite file with
// FTS5 that is derived from the store: it may be deleted at any time, and is
// thrown away and filled anew when it is damaged or of another form.
//
// The index has one row for each page, so that a hit knows its page.
package search

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
)

// form is the version of the index's tables. An index of another form is
// rebuilt.
const form = 3

// tables: docs has one row for each document, pages one for each of its pages,
// shares one for each group it is shared with.
// unicode61 folds case; remove_diacritics 2 lets "uber" find "über". A document's
// marks stand in docs too, so that they can be taken out without an index by
// document, which would be as large again.
const tables = `
CREATE TABLE docs (id TEXT PRIMARY KEY, owner TEXT NOT NULL, revision INTEGER NOT NULL, created INTEGER NOT NULL, marks BLOB) WITHOUT ROWID;
CREATE TABLE marks (mark INTEGER, doc TEXT, PRIMARY KEY (mark, doc)) WITHOUT ROWID;
CREATE TABLE shares (team TEXT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (team, doc)) WITHOUT ROWID;
CREATE INDEX shared ON shares (doc);
CREATE VIRTUAL TABLE pages USING fts5(doc UNINDEXED, page UNINDEXED, title, body, tokenize = "unicode61 remove_diacritics 2", prefix = '2 3');
`

// titleWeight is how much more a word in the title counts than one in the text
// (bm25's column weights).
const titleWeight = 5.0

// snippetWords is how long a snippet is; FTS5 allows up to 64.
const snippetWords = 24

// Marks around matches in a snippet. They are private-use characters, which
// Put takes out of the text, so that a document cannot forge them.
const (
	matchStart = "\uE000"
	matchEnd   = "\uE001"
)

// cacheKiB bounds the page cache of each connection.
const cacheKiB = 4096

// Index is an open index. Its methods may be called from any goroutine.
type Index struct {
	db *sql.DB

	mu     sync.Mutex
	making map[string][]int64 // all rows of a document if AddPage made them: FTS5 looks at all pages to find those of one
}

// Doc is a document as the index needs it.
type Doc struct {
	ID       string
	Owner    string // empty: everybody's
	Groups   []string
	Title    string
	Revision int
	Created  time.Time
	Pages    []string // plain text, in order
	// Marks are numbers that it shares with documents like it.
	Marks []uint64
}

// Open opens the index at path and makes it if need be. A file that is damaged
// or of another form is removed, with a line in the log; the caller then fills
// the index from Revisions.
func Open(path string, log *slog.Logger) (*Index, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	x, err := open(path)
	if err == nil {
		return x, nil
	}
	log.Warn("the search index is made anew", "err", err)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove the damaged index: %w", err)
		}
	}
	if x, err = open(path); err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	return x, nil
}

func open(path string) (*Index, error) {
	// NORMAL is enough in WAL mode: a power cut may lose the last transactions,
	// never consistency, and what is lost is caught up from the store.
	db, err := sql.Open("sqlite3", fmt.Sprintf("file:%s?_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=10000&_cache_size=-%d&_txlock=immediate", escapePath(path), cacheKiB))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	if err := prepare(db); err != nil {
		db.Close()
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		db.Close()
		return nil, err
	}
	return &Index{db: db, making: make(map[string][]int64)}, nil
}

// escapePath makes path fit for SQLite's URI file names.
func escapePath(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

func prepare(db *sql.DB) error {
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	var verdict string
	if err := db.QueryRow("PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	switch {
	case verdict != "ok":
		return fmt.Errorf("it is damaged: %s", verdict)
	case version == form:
		_, err := db.Exec("INSERT INTO pages(pages) VALUES('integrity-check')")
		return err
	case version != 0:
		return fmt.Errorf("its form is %d, not %d", version, form)
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if _, err := tx.Exec(tables + fmt.Sprintf("PRAGMA user_version = %d", form)); err != nil {
		return err
	}
	return tx.Commit()
}

// Ping reports whether the index answers.
func (x *Index) Ping(ctx context.Context) error { return x.db.PingContext(ctx) }

// Close closes the index.
func (x *Index) Close() error { return x.db.Close() }

// AddPage makes a page findable of a document that is still being made. Put
// replaces all that is known of the document. d.Pages is not looked at, nor is
// d.Title, which the first page to be ready would carry in vain.
func (x *Index) AddPage(ctx context.Context, d Doc, page int, body string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	rows, ours := x.making[d.ID]
	err := x.change(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO docs VALUES (?, ?, ?, ?, ?)", d.ID, d.Owner, d.Revision, d.Created.UnixMilli(), packMarks(nil))
		if err != nil {
			return err
		}
		added, err := r.RowsAffected()
		if err != nil {
			return err
		}
		ours = ours || added > 0
		if r, err = tx.ExecContext(ctx, "INSERT INTO pages (doc, page, title, body) VALUES (?, ?, '', ?)", d.ID, page, clean(body)); err != nil {
			return err
		}
		row, err := r.LastInsertId()
		rows = append(rows, row)
		return err
	})
	if err != nil {
		return fmt.Errorf("index page %d of document %s: %w", page, d.ID, err)
	}
	if ours {
		x.making[d.ID] = rows
	}
	return nil
}

// Put adds a document or replaces what the index knows of it.
func (x *Index) Put(ctx context.Context, d Doc) error {
	err := x.change(ctx, func(tx *sql.Tx) error {
		if err := x.remove(ctx, tx, d.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO docs VALUES (?, ?, ?, ?, ?)", d.ID, d.Owner, d.Revision, d.Created.UnixMilli(), packMarks(d.Marks))
		if err != nil {
			return err
		}
		for _, m := range d.Marks {
			if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO marks VALUES (?, ?)", int64(m), d.ID); err != nil {
				return err
			}
		}
		for _, g := range d.Groups {
			if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO shares VALUES (?, ?)", g, d.ID); err != nil {
				return err
			}
		}
		title := clean(d.Title)
		for i, body := range d.Pages {
			_, err := tx.ExecContext(ctx, "INSERT INTO pages (doc, page, title, body) VALUES (?, ?, ?, ?)", d.ID, i+1, title, clean(body))
			if err != nil {
				return err
			}
			title = "" // counts once, with the first page
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index document %s: %w", d.ID, err)
	}
	return nil
}

// clean takes out what would be taken for a mark, and what SQLite would end a
// text at.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 0 || unicode.Is(unicode.Co, r) {
			return -1
		}
		return r
	}, s)
}

// Delete takes a document out. One that is not there is no error.
func (x *Index) Delete(ctx context.Context, id string) error {
	if err := x.change(ctx, func(tx *sql.Tx) error { return x.remove(ctx, tx, id) }); err != nil {
		return fmt.Errorf("take document %s out of the index: %w", id, err)
	}
	return nil
}

func (x *Index) remove(ctx context.Context, tx *sql.Tx, id string) error {
	var marks []byte
	err := tx.QueryRowContext(ctx, "SELECT marks FROM docs WHERE id = ?", id).Scan(&marks)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	for ; len(marks) >= 8; marks = marks[8:] {
		m := int64(binary.BigEndian.Uint64(marks))
		if _, err := tx.ExecContext(ctx, "DELETE FROM marks WHERE mark = ? AND doc = ?", m, id); err != nil {
			return err
		}
	}
	x.mu.Lock()
	rows, ours := x.making[id]
	delete(x.making, id)
	x.mu.Unlock()
	for _, row := range rows {
		if _, err := tx.ExecContext(ctx, "DELETE FROM pages WHERE rowid = ?", row); err != nil {
			return err
		}
	}
	if !ours {
		if _, err := tx.ExecContext(ctx, "DELETE FROM pages WHERE doc = ?", id); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM shares WHERE doc = ?", id); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM docs WHERE id = ?", id)
	return err
}

func packMarks(marks []uint64) []byte {
	var b []byte
	for _, m := range marks {
		b = binary.BigEndian.AppendUint64(b, m)
	}
	return b
}

// maxMarks bounds how many marks one question may have.
const maxMarks = 64

// Sharing lists documents that have some of these marks, those with the most first
// and newer ones before older ones, at most limit.
func (x *Index) Sharing(ctx context.Context, marks []uint64, limit int) ([]string, error) {
	if len(marks) == 0 {
		return nil, nil
	}
	marks = marks[:min(len(marks), maxMarks)]
	args := make([]any, 0, len(marks)+1)
	for _, m := range marks {
		args = append(args, int64(m))
	}
	query := "SELECT doc FROM marks WHERE mark IN (?" + strings.Repeat(", ?", len(marks)-1) + ") GROUP BY doc ORDER BY COUNT(*) DESC, doc DESC LIMIT ?"
	rows, err := x.db.QueryContext(ctx, query, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("documents with the same marks: %w", err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("documents with the same marks: %w", err)
		}
		all = append(all, id)
	}
	return all, rows.Err()
}

func (x *Index) change(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Revisions gives the revision of each document in the index, by ID.
func (x *Index) Revisions(ctx context.Context) (map[string]int, error) {
	rows, err := x.db.QueryContext(ctx, "SELECT id, revision FROM docs")
	if err != nil {
		return nil, fmt.Errorf("list the index: %w", err)
	}
	defer rows.Close()
	all := make(map[string]int)
	for rows.Next() {
		var id string
		var revision int
		if err := rows.Scan(&id, &revision); err != nil {
			return nil, fmt.Errorf("list the index: %w", err)
		}
		all[id] = revision
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the index: %w", err)
	}
	return all, nil
}

// A Query says what is looked for.
type Query struct {
	// Text is what a person typed: words, "phrases", and -words that must not
	// be there. Every word also finds longer ones that begin with it. Nothing
	// in it is an error; without a word in it nothing is found.
	Text   string
	Owner  *string // documents of this owner, of its Groups and of nobody in particular; nil: all
	Groups []string
	Limit  int // at most so many documents; 0: 50
	Offset int // leave out so many of the best
}

// A Hit is one document that was found.
type Hit struct {
	ID      string
	Page    int    // the page that fits best, from 1
	Snippet []Span // of that page
}

// A Span is a piece of a snippet.
type Span struct {
	Text  string `json:"text"`
	Match bool   `json:"match"`
}

// A Result is what a query found, the best first.
type Result struct {
	Total int // documents, without regard to Limit and Offset
	Hits  []Hit
}

// found ranks pages, then keeps the best of each document. SQLite gives bare
// columns the values of the row that holds the MIN (lang_select.html, "bare
// columns in an aggregate query"). bm25 works only in the query of the FTS5
// table itself, so that one must be materialized.
const found = `
WITH hits AS MATERIALIZED (
	SELECT p.rowid AS at, p.doc AS doc, p.page AS page, bm25(pages, 0, 0, ?, 1.0) AS score
	FROM pages p JOIN docs d ON d.id = p.doc
	WHERE pages MATCH ? AND (? OR d.owner = '' OR d.owner = ?
		OR EXISTS (SELECT 1 FROM shares s, json_each(?) g WHERE s.doc = d.id AND s.team = g.value))
)
SELECT at, doc, page, MIN(score), COUNT(*) OVER () FROM hits GROUP BY doc ORDER BY 4, doc DESC LIMIT ? OFFSET ?`

// snippets are made only for what is shown: they cost more than the search.
const snippetOf = `SELECT snippet(pages, 3, ?, ?, '…', ?) FROM pages WHERE pages MATCH ? AND rowid = ?`

// Search finds documents that have a page which fits q.
func (x *Index) Search(ctx context.Context, q Query) (Result, error) {
	match := expression(q.Text)
	if match == "" {
		return Result{}, nil
	}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	owner := ""
	if q.Owner != nil {
		owner = *q.Owner
	}
	r, rowids, err := x.find(ctx, match, q, owner)
	if err != nil {
		return Result{}, fmt.Errorf("search: %w", err)
	}
	for i, at := range rowids {
		var snippet string
		err := x.db.QueryRowContext(ctx, snippetOf, matchStart, matchEnd, snippetWords, match, at).Scan(&snippet)
		if errors.Is(err, sql.ErrNoRows) {
			continue // replaced since; the document is still a hit
		}
		if err != nil {
			return Result{}, fmt.Errorf("search: %w", err)
		}
		r.Hits[i].Snippet = spans(snippet)
	}
	return r, nil
}

// find gives the hits without their snippets, and the rows of their pages.
func (x *Index) find(ctx context.Context, match string, q Query, owner string) (r Result, rowids []int64, err error) {
	groups, err := json.Marshal(q.Groups)
	if err != nil {
		return Result{}, nil, err
	}
	rows, err := x.db.QueryContext(ctx, found, titleWeight, match, q.Owner == nil, owner, string(groups), q.Limit, max(q.Offset, 0))
	if err != nil {
		return Result{}, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var h Hit
		var at int64
		var score float64
		if err := rows.Scan(&at, &h.ID, &h.Page, &score, &r.Total); err != nil {
			return Result{}, nil, err
		}
		r.Hits = append(r.Hits, h)
		rowids = append(rowids, at)
	}
	return r, rowids, rows.Err()
}

// maxTerms bounds how much work one query can ask for.
const maxTerms = 32

// expression puts what a person typed into FTS5's query language. Every term is
// quoted, so that nothing of it is taken for syntax.
func expression(s string) string {
	var want, not []string
	for _, t := range terms(s) {
		quoted := `"` + strings.Join(t.words, " ") + `"`
		if !t.phrase {
			quoted += "*"
		}
		if t.not {
			not = append(not, quoted)
		} else {
			want = append(want, quoted)
		}
	}
	if len(want) == 0 {
		return ""
	}
	e := strings.Join(want, " AND ")
	for _, n := range not {
		e = "(" + e + ") NOT " + n
	}
	return e
}

type term struct {
	words  []string
	phrase bool
	not    bool
}

// terms splits s at spaces outside quotes. What is left of a term are its
// letters, digits and marks: what the tokenizer sees too.
func terms(s string) []term {
	var all []term
	for s = clean(strings.ToValidUTF8(s, " ")); len(all) < maxTerms; {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		if s == "" {
			break
		}
		var t term
		if rest, ok := strings.CutPrefix(s, "-"); ok {
			t.not, s = true, rest
		}
		var text string
		if rest, ok := strings.CutPrefix(s, `"`); ok {
			t.phrase = true
			text, s, _ = strings.Cut(rest, `"`)
		} else if i := strings.IndexFunc(s, unicode.IsSpace); i >= 0 {
			text, s = s[:i], s[i:]
		} else {
			text, s = s, ""
		}
		t.words = strings.FieldsFunc(text, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
		})
		if len(t.words) > 0 {
			all = append(all, t)
		}
	}
	return all
}

// spans cuts a snippet at its marks.
func spans(s string) []Span {
	var all []Span
	add := func(text string, match bool) {
		if text != "" {
			all = append(all, Span{text, match})
		}
	}
	for s != "" {
		plain, rest, ok := strings.Cut(s, matchStart)
		add(plain, false)
		if !ok {
			break
		}
		var match string
		match, s, _ = strings.Cut(rest, matchEnd)
		add(match, true)
	}
	return all
}
