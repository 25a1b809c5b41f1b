package store

import (
	"encoding/json"
	"slices"
	"time"
)

// Identifiers are UUIDs of version 7 in their usual text form: they sort by
// the time they were made.
type (
	BatchID    string
	DocumentID string
	UserID     string
	SessionID  string
	TokenID    string
	GroupID    string
	HandinID   string
	ProfileID  string // chosen by people: lower-case letters, digits and dashes
)

// A Blob names an immutable file by its SHA-256.
type Blob struct {
	Sum  string `json:"sum"`  // 64 hexadecimal digits; empty: no blob
	Size int64  `json:"size"` // bytes
	Type string `json:"type"` // media type
}

// Zero reports whether b names nothing.
func (b Blob) Zero() bool { return b.Sum == "" }

// BatchState is where a batch stands.
type BatchState string

// A batch's states. Stopped waits for a person to clear the machine; Failed
// ended without a single page; Canceled ended by somebody's wish without a page.
//
//	Scanning -> Processing -> Completed
//	  |   ^        ^
//	  v   |        |
//	Stopped -------+
//	  (any of the first two without a page) -> Canceled, Failed
const (
	BatchScanning   BatchState = "scanning"
	BatchStopped    BatchState = "stopped"
	BatchProcessing BatchState = "processing"
	BatchCompleted  BatchState = "completed"
	BatchCanceled   BatchState = "canceled"
	BatchFailed     BatchState = "failed"
)

// Final reports whether a batch in state s never changes again.
func (s BatchState) Final() bool {
	return s == BatchCompleted || s == BatchCanceled || s == BatchFailed
}

// A Fault is why a batch stopped, in a person's words.
type Fault struct {
	Kind   string    `json:"kind"`            // a device.FaultKind
	What   string    `json:"what"`            // what happened
	Safe   string    `json:"safe"`            // which pages are safe
	Pages  int       `json:"pages,omitempty"` // how many those are; older versions did not say
	Advice string    `json:"advice"`          // what to do
	Time   time.Time `json:"time"`
}

// An Upload is the file that a batch was made of, instead of paper. It is kept as
// long as a document of the batch is.
type Upload struct {
	Name  string `json:"name"`  // as the sender called it; for people only
	File  Blob   `json:"file"`  // as it came
	Pages int    `json:"pages"` // that are in it
	// Type is the kind of document that the sender says it is; empty: not said.
	Type string `json:"type,omitempty"`
	// Handin names the request that brought it with others; empty: it came alone.
	Handin HandinID `json:"handin,omitempty"`
}

// A Batch is all sheets of one press, or all pages of one uploaded file, in feed
// order.
type Batch struct {
	ID        BatchID      `json:"id"`
	State     BatchState   `json:"state"`
	Device    string       `json:"device"`  // device.Info.ID; empty for an upload
	Profile   Profile      `json:"profile"` // as it was at the press
	Owner     UserID       `json:"owner"`   // whose documents these become; empty: everybody's (a press at a panel)
	Origin    string       `json:"origin"`  // web, api, cli or panel
	Upload    *Upload      `json:"upload,omitempty"`
	Created   time.Time    `json:"created"`
	Updated   time.Time    `json:"updated"`
	Closed    time.Time    `json:"closed,omitzero"` // when feeding ended for good
	Sheets    int          `json:"sheets"`          // safe so far
	Pages     int          `json:"pages"`           // safe so far: sides, in feed order 1..Pages
	Done      int          `json:"done"`            // pages whose processing has ended
	Fault     *Fault       `json:"fault,omitempty"` // the last one; kept after a resumed batch has ended well
	Documents []DocumentID `json:"documents"`       // chosen when the batch opens, so that filing can be repeated
}

// PageState is where a page stands.
type PageState string

// A page's states. Safe: its raw image is synced and recorded. Kept: its text
// could not be read; it is in the document as an image, and Note says why.
const (
	PageSafe PageState = "safe"
	PageDone PageState = "done"
	PageKept PageState = "kept"
)

// An Image is a picture in the form in which a PDF takes it.
type Image struct {
	Blob   Blob   `json:"blob"`
	Filter string `json:"filter"` // DCTDecode, FlateDecode or CCITTFaxDecode
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Colors int    `json:"colors"` // components: 1 or 3
	Bits   int    `json:"bits"`   // per component
	// Predictor is that of FlateDecode (15 for PNG filters, otherwise 1).
	Predictor int `json:"predictor,omitempty"`
	// BlackIs1 is that of CCITTFaxDecode.
	BlackIs1 bool `json:"black_is_1,omitempty"`
}

// Layered is a page taken apart into layers, which a PDF shows over each other.
type Layered struct {
	Blob   Blob    `json:"blob"` // the data of the layers, one after the other
	Layers []Layer `json:"layers"`
}

// A Layer is a rectangle of one colour, a JPEG, or a stencil in JBIG2 that is
// filled with one colour.
type Layer struct {
	Kind string `json:"kind"` // fill, picture or stencil
	// Where it lies, in pixels of the page from its upper left corner.
	X       float64  `json:"x"`
	Y       float64  `json:"y"`
	Width   float64  `json:"width"`
	Height  float64  `json:"height"`
	Color   [3]uint8 `json:"color"`             // sRGB; not of a picture
	Columns int      `json:"columns,omitempty"` // pixels of its own
	Rows    int      `json:"rows,omitempty"`
	Colors  int      `json:"colors,omitempty"` // components of a picture: 1 or 3
	Size    int64    `json:"size,omitempty"`   // bytes of its data
}

// A Page is one side's image with its results.
type Page struct {
	Batch      BatchID   `json:"batch"`
	Seq        int       `json:"seq"` // 1 for the first side of the batch
	Sheet      int       `json:"sheet"`
	Back       bool      `json:"back"`
	State      PageState `json:"state"`
	Raw        Blob      `json:"raw"`        // the side as the machine gave it; emptied when its retention ends
	Resolution int       `json:"resolution"` // dpi the machine was asked for
	Created    time.Time `json:"created"`
	Tries      int       `json:"tries"` // how often processing was begun
	Width      int       `json:"width"` // pixels; 0 until prepared
	Height     int       `json:"height"`
	DPI        int       `json:"dpi"`    // of the image itself
	Rotate     int       `json:"rotate"` // clockwise turn that makes it upright
	Image      Image     `json:"image"`
	Layered    Layered   `json:"layered,omitzero"` // stands in the PDF for Image; without layers Image does
	View       Blob      `json:"view"`             // upright, for a screen
	Thumb      Blob      `json:"thumb"`            // upright, small
	Text       Blob      `json:"text"`             // text.Page as gzipped JSON
	Confidence float64   `json:"confidence"`
	Words      int       `json:"words"`
	// Sparse says that Text came with an uploaded file and that more may be seen on the page.
	Sparse bool   `json:"sparse,omitempty"`
	Turned bool   `json:"turned,omitempty"` // it lies upside down unless its text says otherwise
	Note   string `json:"note,omitempty"`
	// Supersedes is the Seq of an earlier page that this one takes the place of:
	// the front of a sheet whose back a fault kept away, scanned again with its
	// back. The earlier page is kept but stands in no document. 0: none.
	Supersedes int `json:"supersedes,omitempty"`
	// DoubleFeed says that the scanner took this sheet for more than one.
	DoubleFeed bool `json:"double_feed,omitempty"`
	// Aside says why the page stands in no document though it is kept; empty: it
	// stands in one.
	Aside Aside `json:"aside,omitempty"`
	// Blank says that nothing stands on it; it may stand in a document all the same.
	Blank bool `json:"blank,omitempty"`
	// ASN is the archive number that a label on it says. 0: none.
	ASN int `json:"asn,omitempty"`
	// Restored says that a person has put the page back; it is not set aside again.
	Restored bool `json:"restored,omitempty"`
}

// Aside is why a page is kept but stands in no document.
type Aside string

// Why pages are set aside.
const (
	AsideBlank     Aside = "blank"     // nothing stands on it
	AsideSeparator Aside = "separator" // it stood between two documents
	AsidePerson    Aside = "person"    // a person wished it
)

// A DocumentPage is a page within a document.
type DocumentPage struct {
	Batch BatchID `json:"batch"`
	Seq   int     `json:"seq"`
	// Turn is how far a person turned the page clockwise beyond what makes it
	// upright: 0, 90, 180 or 270 degrees.
	Turn int `json:"turn,omitempty"`
}

// Is reports whether p and q are the same page, however it is turned.
func (p DocumentPage) Is(q DocumentPage) bool { return p.Batch == q.Batch && p.Seq == q.Seq }

// A Document is consecutive pages that belong together.
type Document struct {
	ID        DocumentID     `json:"id"`
	Title     string         `json:"title"`
	Owner     UserID         `json:"owner"`
	Batch     BatchID        `json:"batch"`
	Pages     []DocumentPage `json:"pages"`
	PDF       Blob           `json:"pdf"`
	Languages []string       `json:"languages"`
	Created   time.Time      `json:"created"` // when it was scanned
	Updated   time.Time      `json:"updated"`
	Revision  int            `json:"revision"`        // counts up with every change; the index follows it
	Notes     []string       `json:"notes,omitempty"` // such as "page 4 is kept as an image only: ..."

	// What people say of it.
	Date          string   `json:"date,omitempty"` // the one that stands on it, 2006-01-02
	Correspondent string   `json:"correspondent,omitempty"`
	Type          string   `json:"type,omitempty"` // invoice, contract, ...
	Tags          []string `json:"tags,omitempty"`
	Remark        string   `json:"remark,omitempty"`
	ASN           int      `json:"asn,omitempty"` // archive serial number, of no other document; 0: none

	Trashed time.Time `json:"trashed,omitzero"` // when it was put into the trash; zero: it was not

	// Groups are those it is shared with: their people may read it.
	Groups []GroupID `json:"groups,omitempty"`

	// Found is what the program made of the text; nil: nothing was looked for yet,
	// or nothing could be read.
	Found *Found `json:"found,omitempty"`
}

// Found is what a document's text says by itself. All of it is a suggestion.
type Found struct {
	Title         string       `json:"title,omitempty"`
	Date          *FoundDate   `json:"date,omitempty"`
	Total         *FoundAmount `json:"total,omitempty"` // what is to be paid, or was
	Kind          string       `json:"kind,omitempty"`  // such as invoice, receipt, letter
	Correspondent string       `json:"correspondent,omitempty"`
	Accounts      []string     `json:"accounts,omitempty"`    // IBANs, check digits proven
	TaxNumbers    []string     `json:"tax_numbers,omitempty"` // for value added tax, with their country
	Domains       []string     `json:"domains,omitempty"`     // of Internet addresses
	Same          DocumentID   `json:"same,omitempty"`        // an earlier document that is likely the same paper
}

// A FoundDate is a day with the words it came from.
type FoundDate struct {
	Day   string `json:"day"`             // 2006-01-02
	Other string `json:"other,omitempty"` // the other reading, where the order of day and month is not sure
	Words string `json:"words"`
	Page  int    `json:"page"` // from 1
}

// A FoundAmount is a sum of money with the words it came from.
type FoundAmount struct {
	Value    string `json:"value"`              // decimal, with a point: 1234.50
	Currency string `json:"currency,omitempty"` // ISO 4217
	Words    string `json:"words"`
	Page     int    `json:"page"` // from 1
}

// A Profile is named settings for a press.
type Profile struct {
	ID         ProfileID `json:"id"`
	Name       string    `json:"name"`
	Source     string    `json:"source"`     // feeder, platen, or auto: the feeder where the machine has one
	Duplex     bool      `json:"duplex"`     // both sides, where the machine can
	Mode       string    `json:"mode"`       // color, gray or lineart
	Resolution int       `json:"resolution"` // dpi
	Languages  []string  `json:"languages"`  // the engine's names, main language first; empty: the configured ones
	// DoubleFeed says what happens when the scanner notices two sheets at once:
	// stop (also when empty), flag (keep the page and say so) or ignore.
	DoubleFeed string `json:"double_feed,omitempty"`
	// Paper is the size of what is scanned, one of scan.Papers; empty: all that the
	// scanner can take, as far as it cannot tell where the paper ends.
	Paper string `json:"paper,omitempty"`
	// Blank says how little ink keeps a side from being set aside as blank: normal
	// (also when empty), careful (less), eager (more), or keep: no side is set aside.
	Blank string `json:"blank,omitempty"`
	// Leave names the steps of the clean-up that are left out: upright, straighten,
	// crop, background, colour.
	Leave []string `json:"leave,omitempty"`
	// PDF says how small its pages are: balanced (also when empty), original (the
	// scanner's own images, bit for bit) or smallest.
	PDF string `json:"pdf,omitempty"`
	// Separation says where in a stack another document begins.
	Separation Separation `json:"separation,omitzero"`
}

// Separation says where in a stack another document begins. Several of its rules
// can hold; none means one document.
type Separation struct {
	Patch  bool   `json:"patch,omitempty"`  // after a patch sheet: a barcode PATCHT, or the bars of a patch code
	Code   string `json:"code,omitempty"`   // after a side with a barcode of this text
	Blank  bool   `json:"blank,omitempty"`  // after a sheet on which nothing stands
	Label  bool   `json:"label,omitempty"`  // with a page that bears an archive number
	Sheets int    `json:"sheets,omitempty"` // after so many sheets; 0: however many there are
	// Back says what becomes of what stands on the other side of a separator:
	// page (also when empty), it is one like others, or sheet: it is set aside too.
	Back string `json:"back,omitempty"`
}

// Role is what a user may do.
type Role string

// The roles. A panel is no person but a screen at the box: it may scan and see
// how far scanning is, and sees no document.
const (
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
	RolePanel  Role = "panel"
)

// A User is a person with an account.
type User struct {
	ID       UserID    `json:"id"`
	Name     string    `json:"name"` // log-in name, unique as FoldName has it
	Role     Role      `json:"role"`
	Password string    `json:"password"` // encoded argon2id hash
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`

	Email    string    `json:"email,omitempty"`
	FullName string    `json:"full_name,omitempty"`
	Groups   []GroupID `json:"groups,omitempty"`
	// Pending says that the person has registered and waits for an administrator.
	// Such an account is Disabled, too.
	Pending bool `json:"pending,omitempty"`
	// MustChange says that the password was given by somebody else: nothing is
	// possible before it is changed, and after PasswordEnds it opens nothing.
	MustChange   bool      `json:"must_change,omitempty"`
	PasswordEnds time.Time `json:"password_ends,omitzero"`

	// Cuts counts how often what the user held was ended. A log-in that was begun before
	// comes to nothing. A program that does not know it hands it on.
	Cuts int `json:"cuts,omitempty"`

	OneTime  *OneTime  `json:"one_time,omitempty"` // second factor; nil: none
	Recovery []string  `json:"recovery,omitempty"` // SHA-256 of codes that stand in for it once each
	Passkeys []Passkey `json:"passkeys,omitempty"`
}

// Active reports whether u can log in.
func (u *User) Active() bool { return !u.Disabled }

// A OneTime is the secret of one-time codes by time (RFC 6238).
type OneTime struct {
	Secret string    `json:"secret"` // base32
	Since  time.Time `json:"since"`
	// Step is the number of the period whose code was used last: neither it nor one
	// before is taken again.
	Step int64 `json:"step"`
}

// A Passkey is a key pair of WebAuthn.
type Passkey struct {
	ID         string          `json:"id"`   // of ours, not the authenticator's
	Name       string          `json:"name"` // what the person calls it
	Site       string          `json:"site"` // the host name (RP ID) it works for
	Created    time.Time       `json:"created"`
	Used       time.Time       `json:"used,omitzero"`
	Credential json.RawMessage `json:"credential"` // as the library writes it: public key and counter
}

// A Group is people who share documents.
type Group struct {
	ID      GroupID   `json:"id"`
	Name    string    `json:"name"` // unique as FoldName has it
	Created time.Time `json:"created"`
}

// A Reader is somebody who sees what is their own, what is shared with one of
// their groups, and what belongs to nobody in particular.
type Reader struct {
	User   UserID
	Groups []GroupID
}

// Reads reports whether r sees d.
func (r *Reader) Reads(d *Document) bool {
	return d.Owner == "" || d.Owner == r.User || slices.ContainsFunc(r.Groups, func(g GroupID) bool { return slices.Contains(d.Groups, g) })
}

// A Session is one log-in. Its key is the SHA-256 of the secret the browser
// holds, so that the database alone opens no session.
type Session struct {
	ID      SessionID `json:"id"`
	Hash    string    `json:"hash"` // of the secret, hexadecimal
	User    UserID    `json:"user"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"` // last use, to the minute
	Expires time.Time `json:"expires"`
	Address string    `json:"address"`
	Agent   string    `json:"agent"`
	Factor  string    `json:"factor,omitempty"` // how it was opened beyond a password: code, recovery or passkey
	// Idle is how long it may go without use; 0: as long as others. A program that
	// does not know it ends such a log-in like any other.
	Idle time.Duration `json:"idle,omitempty"`
}

// Over reports whether the log-in has ended by now; idle is how long others may go
// without use.
func (x *Session) Over(now time.Time, idle time.Duration) bool {
	if x.Idle > 0 {
		idle = x.Idle
	}
	return now.After(x.Expires) || now.Sub(x.Seen) > idle
}

// A Token is a key for programs, kept like a session.
type Token struct {
	ID      TokenID   `json:"id"`
	Name    string    `json:"name"`
	Hash    string    `json:"hash"`
	User    UserID    `json:"user"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Scopes  []string  `json:"scopes,omitempty"` // what it is good for; none: all its user may do
	Used    time.Time `json:"used,omitzero"`    // last use, to the hour
}
