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
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
)

// form is the version of the index's tables. An index of another form is
// rebuilt.
const form = 4

// tables: docs has one row for each document, tags those of each, shares the groups
// it is shared with, and pages one row for each of its pages, whose rowid is the document's number and the page's:
// which document a page belongs to is known without reading its text. What people
// say is there folded and, in said, as they said it. A document's marks stand in
// docs too, so that they can be taken out without an index by document, which
// would be as large again. unicode61 folds case; remove_diacritics 2 lets "uber"
// find "über". words are all that stand in pages.
const tables = `
CREATE TABLE docs (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, revision INTEGER NOT NULL,
	created INTEGER NOT NULL, day TEXT NOT NULL, type TEXT NOT NULL, sender TEXT NOT NULL, asn INTEGER NOT NULL,
	type_said TEXT NOT NULL, sender_said TEXT NOT NULL, marks BLOB);
CREATE INDEX docs_created ON docs (created, n);
CREATE TABLE tags (n INTEGER NOT NULL, tag TEXT NOT NULL, said TEXT NOT NULL, PRIMARY KEY (tag, n)) WITHOUT ROWID;
CREATE INDEX tags_of ON tags (n);
CREATE TABLE marks (mark INTEGER, n INTEGER, PRIMARY KEY (mark, n)) WITHOUT ROWID;
CREATE TABLE shares (team TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (team, n)) WITHOUT ROWID;
CREATE INDEX shared ON shares (n);
CREATE VIRTUAL TABLE pages USING fts5(title, body, said, tokenize = "unicode61 remove_diacritics 2", prefix = '2 3');
CREATE VIRTUAL TABLE words USING fts5vocab(pages, 'row');
`

// pageBits is how much of a rowid is the number of the page; a document has
// fewer pages than that leaves room for.
const pageBits = 16

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

// idleConns is how many connections wait for the next query.
const idleConns = 2

// Index is an open index. Its methods may be called from any goroutine.
type Index struct {
	db *sql.DB
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

	// What people say of it; each may be empty.
	Day    string // the date that stands on it, 2006-01-02
	Type   string
	Sender string
	Tags   []string
	Remark string
	ASN    int // archive serial number; 0: none
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
	db.SetMaxIdleConns(idleConns)
	if err := prepare(db); err != nil {
		db.Close()
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		db.Close()
		return nil, err
	}
	return &Index{db: db}, nil
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

// CacheBytes is how much the caches of the open connections may take.
func (x *Index) CacheBytes() int64 { return int64(x.db.Stats().OpenConnections) * cacheKiB << 10 }

// Shrink closes the connections that are idle, and with them their caches.
func (x *Index) Shrink() {
	x.db.SetMaxIdleConns(0)
	x.db.SetMaxIdleConns(idleConns)
}

// Close closes the index.
func (x *Index) Close() error { return x.db.Close() }

// AddPage makes a page findable of a document that is still being made. Put
// replaces all that is known of the document. d.Pages is not looked at, nor is
// d.Title, which the first page to be ready would carry in vain.
func (x *Index) AddPage(ctx context.Context, d Doc, page int, body string) error {
	err := x.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO docs (id, owner, revision, created, day, type, sender, asn, type_said, sender_said)
			VALUES (?, ?, ?, ?, '', '', '', 0, '', '')`, d.ID, d.Owner, d.Revision, d.Created.UnixMilli())
		if err != nil {
			return err
		}
		var n int64
		if err := tx.QueryRowContext(ctx, "SELECT n FROM docs WHERE id = ?", d.ID).Scan(&n); err != nil {
			return err
		}
		row := n<<pageBits | int64(page)
		if _, err := tx.ExecContext(ctx, "DELETE FROM pages WHERE rowid = ?", row); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO pages (rowid, title, body, said) VALUES (?, '', ?, '')", row, clean(body))
		return err
	})
	if err != nil {
		return fmt.Errorf("index page %d of document %s: %w", page, d.ID, err)
	}
	return nil
}

// Put adds a document or replaces what the index knows of it.
func (x *Index) Put(ctx context.Context, d Doc) error {
	err := x.change(ctx, func(tx *sql.Tx) error {
		if err := remove(ctx, tx, d.ID); err != nil {
			return err
		}
		r, err := tx.ExecContext(ctx, "INSERT INTO docs (id, owner, revision, created, day, type, sender, asn, type_said, sender_said, marks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			d.ID, d.Owner, d.Revision, d.Created.UnixMilli(), d.Day, fold(d.Type), fold(d.Sender), d.ASN, clean(d.Type), clean(d.Sender), packMarks(d.Marks))
		if err != nil {
			return err
		}
		n, err := r.LastInsertId()
		if err != nil {
			return err
		}
		for _, m := range d.Marks {
			if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO marks VALUES (?, ?)", int64(m), n); err != nil {
				return err
			}
		}
		for _, g := range d.Groups {
			if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO shares VALUES (?, ?)", g, n); err != nil {
				return err
			}
		}
		for _, t := range d.Tags {
			if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO tags VALUES (?, ?, ?)", n, fold(t), clean(t)); err != nil {
				return err
			}
		}
		// What is said of it counts once, with the first page.
		title, said := clean(d.Title), clean(strings.Join(append([]string{d.Sender, d.Type, d.Remark}, d.Tags...), "\n"))
		for i, body := range d.Pages {
			if i+1 >= 1<<pageBits {
				break
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO pages (rowid, title, body, said) VALUES (?, ?, ?, ?)", n<<pageBits|int64(i+1), title, clean(body), said)
			if err != nil {
				return err
			}
			title, said = "", ""
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
	if err := x.change(ctx, func(tx *sql.Tx) error { return remove(ctx, tx, id) }); err != nil {
		return fmt.Errorf("take document %s out of the index: %w", id, err)
	}
	return nil
}

func remove(ctx context.Context, tx *sql.Tx, id string) error {
	var n int64
	var marks []byte
	err := tx.QueryRowContext(ctx, "SELECT n, marks FROM docs WHERE id = ?", id).Scan(&n, &marks)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	for ; len(marks) >= 8; marks = marks[8:] {
		m := int64(binary.BigEndian.Uint64(marks))
		if _, err := tx.ExecContext(ctx, "DELETE FROM marks WHERE mark = ? AND n = ?", m, n); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM pages WHERE rowid BETWEEN ? AND ?", n<<pageBits, (n+1)<<pageBits-1); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM shares WHERE n = ?", n); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM tags WHERE n = ?", n); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM docs WHERE n = ?", n)
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
	query := "SELECT d.id FROM marks m JOIN docs d ON d.n = m.n WHERE m.mark IN (?" + strings.Repeat(", ?", len(marks)-1) + ") GROUP BY m.n ORDER BY COUNT(*) DESC, d.id DESC LIMIT ?"
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
