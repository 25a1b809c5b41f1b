// Package search finds documents by their text. Its index is a SQLite file with
// FTS5 that is derived from the store: it may be deleted at any time, and is
// thrown away and filled anew when it is damaged or of another form.
//
// The index has one row for each page, so that a hit knows its page. It knows which
// words a page has, and nothing else: neither the text, which is in the store, nor
// where in it a word stands. Both would make it several times as large. What is shown
// of a hit, and whether the words of a phrase stand one after the other, is read from
// the store for the few documents that it matters for.
package search

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/google/uuid"
	sqlite3 "github.com/mattn/go-sqlite3" // and the driver of that name
)

// form is the version of the index's tables, and of what fold and tokenize make of
// a text. An index of another form is rebuilt.
const form = 6

// tables: docs has one row for each document, tags those of each, shares the groups
// it is shared with, and rows one for each of its pages. What people say is there
// folded and, in said, as they said it. A document's marks stand in docs too, so that
// they can be taken out without an index by document, which would be as large again;
// half of their bits are enough to find what is looked at closely afterwards.
//
// pages has the words of each page, by the number in rows, and of the first page those
// of the title and of what is said, too. Numbers are given in the order in which
// documents come, which keeps them close together and so the index small, and never
// twice: what is left of a page whose text could not be read any more when it was to
// be taken out names no row. titles has the words of titles by document. Neither keeps
// a text, so a row can be taken out only with the words that were put in. The words are
// cut and folded here: the ascii tokenizer takes all beyond ASCII for letters, so that
// it and tokenize always agree.
const tables = `
CREATE TABLE docs (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, owner TEXT NOT NULL, revision INTEGER NOT NULL,
	created INTEGER NOT NULL, day TEXT NOT NULL, type TEXT NOT NULL, sender TEXT NOT NULL, asn INTEGER NOT NULL,
	type_said TEXT NOT NULL, sender_said TEXT NOT NULL, title TEXT NOT NULL, said TEXT NOT NULL, marks BLOB);
CREATE INDEX docs_created ON docs (created, n);
CREATE TABLE rows (row INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER NOT NULL, page INTEGER NOT NULL, text BLOB NOT NULL);
CREATE INDEX rows_of ON rows (n);
CREATE TABLE tags (n INTEGER NOT NULL, tag TEXT NOT NULL, said TEXT NOT NULL, PRIMARY KEY (tag, n)) WITHOUT ROWID;
CREATE INDEX tags_of ON tags (n);
CREATE TABLE marks (mark INTEGER, n INTEGER, PRIMARY KEY (mark, n)) WITHOUT ROWID;
CREATE TABLE shares (team TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (team, n)) WITHOUT ROWID;
CREATE INDEX shared ON shares (n);
CREATE VIRTUAL TABLE pages USING fts5(words, tokenize = 'ascii', content = '', columnsize = 0, detail = none, prefix = '1 2 3');
CREATE VIRTUAL TABLE titles USING fts5(words, tokenize = 'ascii', content = '', columnsize = 0);
CREATE VIRTUAL TABLE words USING fts5vocab(pages, 'row');
`

// places has a row for each word of each page: it tells words without going through all
// pages that have them. It came later than form, which it does not change: it keeps nothing
// of its own, and who does not know it does not mind it.
const places = "CREATE VIRTUAL TABLE IF NOT EXISTS places USING fts5vocab(pages, 'instance')"

// cacheKiB bounds the page cache of each connection.
const cacheKiB = 1024

// cachedStatements is how many statements each connection keeps ready: those of a search and
// of a change. To make one ready takes a tenth of a search.
const cachedStatements = 20

// idleConns is how many connections wait for the next query.
const idleConns = 2

// Index is an open index. Its methods may be called from any goroutine.
type Index struct {
	db      atomic.Pointer[sql.DB] // another one after Renew
	places  atomic.Bool            // it has that table
	texts   Texts
	damaged chan struct{}

	mu   sync.Mutex
	path string            // of the database
	read map[string]string // texts read lately: while a person types, the same are shown again
	size int               // bytes of them
	said map[string]saidLists

	words  *vocabulary
	loaded chan struct{} // closed when another one is; nil: none is being loaded
	loads  sync.WaitGroup
	open   context.Context // done with Close
	close  context.CancelFunc

	// changes counts what was written.
	changes atomic.Uint64
}

// maxRead bounds the texts that are kept in bytes: some thousand pages.
const maxRead = 2 << 20

// Texts reads a text again that a document was put in with, by its name. It is
// ErrNoText if there is none any more.
type Texts func(name string) (string, error)

// ErrNoText is given by Texts.
var ErrNoText = errors.New("the text is gone")

// Doc is a document as the index needs it.
type Doc struct {
	ID       string
	Owner    string // empty: everybody's
	Groups   []string
	Title    string
	Revision int
	Created  time.Time
	Pages    []Page // in order
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

// Page is what stands on one page.
type Page struct {
	Text string
	Name string // by which Texts gives Text; empty only if Text is
}

// Open opens the index at path and makes it if need be. A file that cannot be read
// or is of another form is removed, with a line in the log; the caller then fills
// the index from Revisions. Whether all of it is whole takes a while to find out:
// Check does that.
func Open(path string, texts Texts, log *slog.Logger) (*Index, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	x := &Index{texts: texts, damaged: make(chan struct{}, 1), path: path}
	x.open, x.close = context.WithCancel(context.Background())
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(path + renewed); err == nil {
			x.path += renewed
		}
	}
	db, err := open(x.path)
	if err != nil {
		log.Warn("the search index is made anew", "err", err)
		if err := remove(x.path); err != nil {
			return nil, err
		}
		if db, err = open(x.path); err != nil {
			return nil, fmt.Errorf("open the index: %w", err)
		}
	}
	x.db.Store(db)
	if err := x.addPlaces(db); err != nil {
		log.Warn("searches for common words are slower until the next start", "err", err)
	}
	return x, nil
}

// renewed is behind the name of an index that has taken the place of a damaged one,
// and not of the one that takes its place in turn. If the power fails between the
// two there are both, and the one without it counts: it is damaged, and so renewed.
const renewed = ".renewed"

// remove removes the files of a database.
func remove(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the damaged index: %w", err)
		}
	}
	return nil
}

// Conditions a caller can act on.
var (
	ErrDamaged = errors.New("the search index is damaged") // its file is not what was written, or was put aside for that
	ErrClosed  = errors.New("the search index is closed")  // by who handed over meanwhile, or ends
)

// Check reads all of the index and gives ErrDamaged unless it is whole. It takes
// seconds for a hundred thousand pages, and stops nobody.
func (x *Index) Check(ctx context.Context) error {
	var verdict string
	err := x.db.Load().QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict)
	switch {
	case isDamage(err):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return fmt.Errorf("check the index: %w", err)
	case verdict != "ok":
		return fmt.Errorf("%w: %s", ErrDamaged, verdict)
	}
	return nil
}

// Damaged gives something each time a part of the index that was needed turns out
// to be damaged.
func (x *Index) Damaged() <-chan struct{} { return x.damaged }

// watch makes an error that comes of Close ErrClosed. One that says that db is damaged, or
// comes of another having taken its place meanwhile, becomes ErrDamaged, and of the first
// it tells Damaged.
func (x *Index) watch(db *sql.DB, err *error) {
	if *err == nil {
		return
	}
	if x.open.Err() != nil {
		*err = fmt.Errorf("%w: %w", ErrClosed, *err)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	replaced := x.db.Load() != db
	if !replaced && isDamage(*err) {
		select {
		case x.damaged <- struct{}{}:
		default: // it knows
		}
	}
	if (replaced || isDamage(*err)) && !errors.Is(*err, ErrDamaged) {
		*err = fmt.Errorf("%w: %w", ErrDamaged, *err)
	}
}

func isDamage(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && (e.Code == sqlite3.ErrCorrupt || e.Code == sqlite3.ErrNotADB)
}

// Renew puts an empty index in the place of a damaged one. The caller fills it, as
// after Open. Who works with the old one at this moment gets ErrDamaged.
func (x *Index) Renew() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	before, next := x.path, x.path+renewed
	if short, ok := strings.CutSuffix(before, renewed); ok {
		next = short
	}
	if err := remove(next); err != nil {
		return err
	}
	db, err := open(next)
	if err != nil {
		return fmt.Errorf("make the index anew: %w", err)
	}
	x.places.Store(false)
	old := x.db.Swap(db)
	err = x.addPlaces(db)
	x.path, x.read, x.size, x.said, x.words = next, nil, 0, nil, nil
	select {
	case <-x.damaged: // that was the old one
	default:
	}
	return errors.Join(err, old.Close(), remove(before))
}

func open(path string) (*sql.DB, error) {
	// NORMAL is enough in WAL mode: a power cut may lose the last transactions,
	// never consistency, and what is lost is caught up from the store.
	db, err := sql.Open("sqlite3", fmt.Sprintf("file:%s?_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=10000&_cache_size=-%d&_stmt_cache_size=%d&_txlock=immediate", escapePath(path), cacheKiB, cachedStatements))
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
	return db, nil
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
	switch version {
	case form:
		return db.QueryRow("SELECT COUNT(*) FROM sqlite_schema").Scan(new(int)) // or it is no database
	case 0:
	default:
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

// addPlaces makes the table of places, if need be. An index that cannot be written now is
// sound all the same: it does without.
func (x *Index) addPlaces(db *sql.DB) error {
	_, err := db.Exec(places)
	x.places.Store(err == nil)
	return err
}

// Ping reports whether the index answers.
func (x *Index) Ping(ctx context.Context) error { return x.db.Load().PingContext(ctx) }

// CacheBytes is how much the caches of the open connections may take.
func (x *Index) CacheBytes() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return int64(x.db.Load().Stats().OpenConnections)*cacheKiB<<10 + int64(x.size) + x.words.bytes()
}

// Shrink closes the connections that are idle, and with them their caches, and forgets
// the texts and words that were read.
func (x *Index) Shrink() {
	x.mu.Lock()
	x.read, x.size, x.words = nil, 0, nil
	x.mu.Unlock()
	x.db.Load().SetMaxIdleConns(0)
	x.db.Load().SetMaxIdleConns(idleConns)
}

// Close closes the index. What it breaks off gives ErrClosed.
func (x *Index) Close() error {
	x.close()
	err := x.db.Load().Close()
	x.loads.Wait()
	return err
}

// AddPage makes a page findable of a document that is still being made. Put
// replaces all that is known of the document. d.Pages is not looked at, nor is
// d.Title, which the first page to be ready would carry in vain.
func (x *Index) AddPage(ctx context.Context, d Doc, page int, p Page) error {
	err := x.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO docs (id, owner, revision, created, day, type, sender, asn, type_said, sender_said, title, said)
			VALUES (?, ?, ?, ?, '', '', '', 0, '', '', '', '')`, pack(d.ID), d.Owner, d.Revision, d.Created.UnixMilli())
		if err != nil {
			return err
		}
		var n int64
		if err := tx.QueryRowContext(ctx, "SELECT n FROM docs WHERE id = ?", pack(d.ID)).Scan(&n); err != nil {
			return err
		}
		have, err := rowsOf(ctx, tx, n)
		if err != nil {
			return err
		}
		for _, r := range have {
			if r.page == page {
				if err := x.removeRow(ctx, tx, r, nil); err != nil {
					return err
				}
			}
		}
		return addRow(ctx, tx, n, page, "", p)
	})
	if err != nil {
		return fmt.Errorf("index page %d of document %s: %w", page, d.ID, err)
	}
	return nil
}

// Put adds documents or replaces what the index knows of them. Many at once are
// faster than one by one.
func (x *Index) Put(ctx context.Context, docs ...Doc) error {
	return x.change(ctx, func(tx *sql.Tx) error {
		for _, d := range docs {
			if err := x.put(ctx, tx, d); err != nil {
				return fmt.Errorf("index document %s: %w", d.ID, err)
			}
		}
		return nil
	})
}

func (x *Index) put(ctx context.Context, tx *sql.Tx, d Doc) error {
	n, rows, err := forget(ctx, tx, d.ID)
	if err != nil {
		return err
	}
	title, said := clean(d.Title), clean(strings.Join(append([]string{d.Sender, d.Type, d.Remark}, d.Tags...), "\n"))
	r, err := tx.ExecContext(ctx, "INSERT INTO docs (n, id, owner, revision, created, day, type, sender, asn, type_said, sender_said, title, said, marks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		sql.NullInt64{Int64: n, Valid: n != 0}, pack(d.ID), d.Owner, d.Revision, d.Created.UnixMilli(), d.Day, fold(d.Type), fold(d.Sender), d.ASN, clean(d.Type), clean(d.Sender), title, said, packMarks(d.Marks))
	if err != nil {
		return err
	}
	if n, err = r.LastInsertId(); err != nil {
		return err
	}
	for _, m := range d.Marks {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO marks VALUES (?, ?)", short(m), n); err != nil {
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
	if words := cut(title); words != "" {
		if _, err := tx.ExecContext(ctx, "INSERT INTO titles (rowid, words) VALUES (?, ?)", n, words); err != nil {
			return err
		}
	}
	// What is said of it counts once, with the first page.
	head := headOf(title, said)
	texts := make(map[string]string)
	for i, p := range d.Pages {
		texts[p.Name] = p.Text
		if r, ok := rows.take(head, p.Name); ok { // it stays findable as it is
			if _, err := tx.ExecContext(ctx, "UPDATE rows SET page = ? WHERE row = ?", i+1, r.row); err != nil {
				return err
			}
		} else if err := addRow(ctx, tx, n, i+1, head, p); err != nil {
			return err
		}
		head = ""
	}
	for _, r := range rows {
		if err := x.removeRow(ctx, tx, r, texts); err != nil {
			return err
		}
	}
	return nil
}

// A row is a page as it is in the index.
type row struct {
	row  int64
	page int
	head string // words of the document that are in it
	name string // of its text
}

type rowList []row

// take takes a row out of the list that has these words.
func (l *rowList) take(head, name string) (row, bool) {
	for i, r := range *l {
		if r.head == head && r.name == name {
			*l = slices.Delete(*l, i, i+1)
			return r, true
		}
	}
	return row{}, false
}

// rowsOf gives the pages of document n.
func rowsOf(ctx context.Context, tx *sql.Tx, n int64) (rowList, error) {
	rows, err := tx.QueryContext(ctx, "SELECT row, page, text FROM rows WHERE n = ? ORDER BY page", n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all rowList
	for rows.Next() {
		var r row
		var name any
		if err := rows.Scan(&r.row, &r.page, &name); err != nil {
			return nil, err
		}
		r.name = unpack(name)
		all = append(all, r)
	}
	return all, rows.Err()
}

func addRow(ctx context.Context, tx *sql.Tx, n int64, page int, head string, p Page) error {
	r, err := tx.ExecContext(ctx, "INSERT INTO rows (n, page, text) VALUES (?, ?, ?)", n, page, pack(p.Name))
	if err != nil {
		return err
	}
	row, err := r.LastInsertId()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO pages (rowid, words) VALUES (?, ?)", row, cut(head+"\n"+p.Text))
	return err
}

// removeRow takes a page out. Its text is among texts, or still in the store.
func (x *Index) removeRow(ctx context.Context, tx *sql.Tx, r row, texts map[string]string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM rows WHERE row = ?", r.row); err != nil {
		return err
	}
	body, ok := texts[r.name]
	if !ok && r.name != "" {
		var err error
		if body, err = x.texts(r.name); errors.Is(err, ErrNoText) {
			return nil // its words stay, and name no row
		} else if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO pages (pages, rowid, words) VALUES ('delete', ?, ?)", r.row, cut(r.head+"\n"+body))
	return err
}

// cut makes of s what FTS5 is given: words as tokenize and fold make them.
func cut(s string) string {
	return strings.Join(tokenize(fold(clean(s))), " ")
}

// clean takes out what SQLite would end a text at, and private characters, which
// have no meaning here.
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
	err := x.change(ctx, func(tx *sql.Tx) error {
		_, rows, err := forget(ctx, tx, id)
		for _, r := range rows {
			if err == nil {
				err = x.removeRow(ctx, tx, r, nil)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("take document %s out of the index: %w", id, err)
	}
	return nil
}

// forget takes out all of a document but its pages, and gives its number, or 0, and
// these.
func forget(ctx context.Context, tx *sql.Tx, id string) (n int64, rows rowList, err error) {
	var title, said string
	var marks []byte
	err = tx.QueryRowContext(ctx, "SELECT n, title, said, marks FROM docs WHERE id = ?", pack(id)).Scan(&n, &title, &said, &marks)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if rows, err = rowsOf(ctx, tx, n); err != nil {
		return 0, nil, err
	}
	for i := range rows {
		if rows[i].page == 1 {
			rows[i].head = headOf(title, said)
		}
	}
	for ; len(marks) >= 4; marks = marks[4:] {
		m := int32(binary.BigEndian.Uint32(marks))
		if _, err := tx.ExecContext(ctx, "DELETE FROM marks WHERE mark = ? AND n = ?", m, n); err != nil {
			return 0, nil, err
		}
	}
	if words := cut(title); words != "" {
		if _, err := tx.ExecContext(ctx, "INSERT INTO titles (titles, rowid, words) VALUES ('delete', ?, ?)", n, words); err != nil {
			return 0, nil, err
		}
	}
	for _, table := range []string{"shares", "tags", "docs"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE n = ?", n); err != nil {
			return 0, nil, err
		}
	}
	return n, rows, nil
}

// headOf gives what the first page of a document is found by beside its text.
func headOf(title, said string) string { return strings.TrimSpace(title + "\n" + said) }

func packMarks(marks []uint64) []byte {
	var b []byte
	for _, m := range marks {
		b = binary.BigEndian.AppendUint32(b, uint32(short(m)))
	}
	return b
}

// short is what is kept of a mark.
func short(mark uint64) int32 { return int32(mark ^ mark>>32) }

// pack makes identifiers and sums, of which a large index has many, half as long.
func pack(s string) any {
	if u, err := uuid.Parse(s); err == nil && u.String() == s {
		return u[:]
	}
	if b, err := hex.DecodeString(s); err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s {
		return b
	}
	return s
}

// unpack gives what pack was given, from a column.
func unpack(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		if len(v) == len(uuid.UUID{}) {
			return uuid.UUID(v).String()
		}
		return hex.EncodeToString(v)
	}
	return ""
}

// maxMarks bounds how many marks one question may have.
const maxMarks = 64

// Tidy joins what many changes have left in pieces, a little at a time. It is worth
// its while after many of them; it writes all of the index anew.
func (x *Index) Tidy(ctx context.Context) error {
	for _, table := range []string{"pages", "titles"} {
		// A negative number begins; each call does some work, and the last next to none
		// (https://www.sqlite.org/fts5.html#the_merge_command).
		for pages := -tidyPages; ; pages = tidyPages {
			changed := 0
			err := x.change(ctx, func(tx *sql.Tx) error {
				var before, after int
				if err := tx.QueryRowContext(ctx, "SELECT total_changes()").Scan(&before); err != nil {
					return err
				}
				if _, err := tx.ExecContext(ctx, "INSERT INTO "+table+"("+table+", rank) VALUES ('merge', ?)", pages); err != nil {
					return err
				}
				err := tx.QueryRowContext(ctx, "SELECT total_changes()").Scan(&after)
				changed = after - before
				return err
			})
			if err != nil {
				return fmt.Errorf("tidy the index: %w", err)
			}
			if changed < 2 {
				break
			}
		}
	}
	// What was written stands in the log, too.
	if _, err := x.db.Load().ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return fmt.Errorf("tidy the index: %w", err)
	}
	return nil
}

// tidyPages is how many pages of some 4 KiB are written before others may change
// something.
const tidyPages = 500

// Sharing lists documents that have some of these marks, those with the most first
// and newer ones before older ones, at most limit.
func (x *Index) Sharing(ctx context.Context, marks []uint64, limit int) (_ []string, err error) {
	defer x.watch(x.db.Load(), &err)
	if len(marks) == 0 {
		return nil, nil
	}
	marks = marks[:min(len(marks), maxMarks)]
	args := make([]any, 0, len(marks)+1)
	for _, m := range marks {
		args = append(args, short(m))
	}
	query := "SELECT d.id FROM marks m JOIN docs d ON d.n = m.n WHERE m.mark IN (?" + strings.Repeat(", ?", len(marks)-1) + ") GROUP BY m.n ORDER BY COUNT(*) DESC, d.id DESC LIMIT ?"
	rows, err := x.db.Load().QueryContext(ctx, query, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("documents with the same marks: %w", err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id any
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("documents with the same marks: %w", err)
		}
		all = append(all, unpack(id))
	}
	return all, rows.Err()
}

func (x *Index) change(ctx context.Context, f func(tx *sql.Tx) error) (err error) {
	defer x.watch(x.db.Load(), &err)
	tx, err := x.db.Load().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	defer x.changes.Add(1)
	return tx.Commit()
}

// Revisions gives the revision of each document in the index, by ID.
func (x *Index) Revisions(ctx context.Context) (_ map[string]int, err error) {
	defer x.watch(x.db.Load(), &err)
	rows, err := x.db.Load().QueryContext(ctx, "SELECT id, revision FROM docs")
	if err != nil {
		return nil, fmt.Errorf("list the index: %w", err)
	}
	defer rows.Close()
	all := make(map[string]int)
	for rows.Next() {
		var id any
		var revision int
		if err := rows.Scan(&id, &revision); err != nil {
			return nil, fmt.Errorf("list the index: %w", err)
		}
		all[unpack(id)] = revision
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the index: %w", err)
	}
	return all, nil
}
