package intake

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"docscan/device"
)

// An image of a TIFF that is JPEG is taken out here, without being decoded: tiffcp would code it
// anew, coarser than most cameras and scanners do. All others are left to tiffcp.

// Tags of a directory (TIFF 6.0 section 8, and Adobe's Technical Note of 2002).
const (
	tagCompression  = 259
	tagStripOffsets = 273
	tagStripBytes   = 279
	tagTileOffsets  = 324
	tagTileBytes    = 325
)

// compressedJPEG is the JPEG of the Technical Note. That of TIFF 6.0 itself, 6, has its tables
// anywhere in the file.
const compressedJPEG = 7

// kept are the tags by which an image that is JPEG is decoded and shown. Others, which may point
// anywhere, are left out.
var kept = []uint16{
	256, 257, 258, tagCompression, 262, 266, tagStripOffsets, 274, 277, 278, tagStripBytes, 280, 281, 282, 283, 284, 296,
	301, 318, 319, 320, 322, 323, tagTileOffsets, tagTileBytes, 332, 334, 336, 338, 339, 340, 341, 347, 529, 530, 531, 532,
}

// A tiffFile walks along the directories of a TIFF of either form.
type tiffFile struct {
	file  *os.File
	size  int64
	order binary.ByteOrder
	// The sizes of an offset, of the number of entries, and of an entry.
	offset, number, entry int64
	first                 int64 // where the first directory is
}

// A tiffTag is an entry of a directory.
type tiffTag struct {
	tag, kind uint16
	count     int64
	value     []byte // what the entry holds: the values, or where they are
}

// kindSizes are the bytes that a value of each type takes; 0: there is no such type.
var kindSizes = [...]int64{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8}

// Types of values.
const (
	kindShort = 3
	kindLong  = 4
	kindLong8 = 16
)

// What is larger than this is left to tiffcp, which has bounds of its own: this process is the
// daemon itself.
const (
	mostEntries = 1 << 12
	mostPieces  = 1 << 16
	mostValues  = 2 << 20 // bytes, of all values of a directory
)

func (f *File) openTIFF() (*tiffFile, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("open the upload: %w", err)
	}
	t := &tiffFile{file: file, order: binary.LittleEndian, offset: 4, number: 2, entry: 12}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open the upload: %w", err)
	}
	t.size = info.Size()
	head := make([]byte, 16)
	if _, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		file.Close()
		return nil, fmt.Errorf("read the upload: %w", err)
	}
	if head[0] == 'M' {
		t.order = binary.BigEndian
	}
	first := head[4:8]
	if f.big {
		t.offset, t.number, t.entry, first = 8, 8, 20, head[8:16]
	}
	t.first = t.value(first)
	return t, nil
}

// value gives a number of 1, 2, 4 or 8 bytes. It may be less than 0, where nothing is read.
func (t *tiffFile) value(b []byte) int64 {
	switch len(b) {
	case 1:
		return int64(b[0])
	case 2:
		return int64(t.order.Uint16(b))
	case 4:
		return int64(t.order.Uint32(b))
	}
	return int64(t.order.Uint64(b))
}

// errTIFF says that a directory cannot be read.
var errTIFF = fmt.Errorf("%w: a directory of the TIFF is not whole", ErrDamaged)

// next gives how many entries the directory at an offset has, and where the next one is; 0: there
// is none.
func (t *tiffFile) next(at int64) (entries, next int64, err error) {
	count, behind := make([]byte, t.number), make([]byte, t.offset)
	if _, err := t.file.ReadAt(count, at); err != nil {
		return 0, 0, errTIFF
	}
	if entries = t.value(count); entries < 0 || entries > 1<<16 {
		return 0, 0, errTIFF
	}
	if _, err := t.file.ReadAt(behind, at+t.number+entries*t.entry); err != nil {
		return 0, 0, errTIFF
	}
	return entries, t.value(behind), nil
}

// directory gives the entries of image n, the first being 1, that are kept, in order.
func (t *tiffFile) directory(n int) ([]tiffTag, error) {
	at := t.first
	var entries int64
	for i := 1; ; i++ {
		if at <= 0 {
			return nil, errTIFF
		}
		var next int64
		var err error
		if entries, next, err = t.next(at); err != nil {
			return nil, err
		}
		if i == n {
			break
		}
		at = next
	}
	if entries > mostEntries {
		return nil, errTIFF
	}
	data := make([]byte, entries*t.entry)
	if _, err := t.file.ReadAt(data, at+t.number); err != nil {
		return nil, errTIFF
	}
	var tags []tiffTag
	for e := range slices.Chunk(data, int(t.entry)) {
		tags = append(tags, tiffTag{t.order.Uint16(e), t.order.Uint16(e[2:]), t.value(e[4 : 4+t.offset]), e[4+t.offset:]})
	}
	tags = slices.DeleteFunc(tags, func(g tiffTag) bool { return !slices.Contains(kept, g.tag) })
	slices.SortStableFunc(tags, func(a, b tiffTag) int { return int(a.tag) - int(b.tag) })
	return slices.CompactFunc(tags, func(a, b tiffTag) bool { return a.tag == b.tag }), nil
}

// bytes is how many the values of a tag have; 0: none, or too many.
func (g tiffTag) bytes() int64 {
	if int(g.kind) >= len(kindSizes) || g.count < 1 || g.count > mostValues || g.count*kindSizes[g.kind] > mostValues {
		return 0
	}
	return g.count * kindSizes[g.kind]
}

// inBounds reports whether all tags have values, and these are not too many.
func inBounds(tags []tiffTag) bool {
	all := int64(0)
	for _, g := range tags {
		n := g.bytes()
		if all += n; n == 0 || all > mostValues {
			return false
		}
	}
	return true
}

// values gives the bytes of the values of a tag, nil if they are not in the file or too many.
func (t *tiffFile) values(g tiffTag) []byte {
	n := g.bytes()
	if n == 0 {
		return nil
	}
	if n <= int64(len(g.value)) {
		return g.value[:n]
	}
	out := make([]byte, n)
	if _, err := t.file.ReadAt(out, t.value(g.value)); err != nil {
		return nil
	}
	return out
}

// numbers gives the values of a tag of integers, nil if they are more than pieces can be.
func (t *tiffFile) numbers(g tiffTag) []int64 {
	if g.kind != kindShort && g.kind != kindLong && g.kind != kindLong8 || g.count > mostPieces {
		return nil
	}
	var list []int64
	for v := range slices.Chunk(t.values(g), int(kindSizes[g.kind])) {
		list = append(list, t.value(v))
	}
	return list
}

// A piece is a strip or a tile: where it is in the file.
type piece struct{ at, size int64 }

// pieces gives those of an image that is JPEG, nil if they are not all in the file: libtiff guesses
// sizes that are not told.
func (t *tiffFile) pieces(tags []tiffTag) []piece {
	var offsets, sizes []int64
	jpeg := false
	for _, g := range tags {
		switch g.tag {
		case tagStripOffsets, tagTileOffsets:
			offsets = t.numbers(g)
		case tagStripBytes, tagTileBytes:
			sizes = t.numbers(g)
		case tagCompression:
			jpeg = slices.Equal(t.numbers(g), []int64{compressedJPEG})
		}
	}
	if !jpeg || len(offsets) == 0 || len(offsets) != len(sizes) {
		return nil
	}
	var list []piece
	left := min(t.size, mostWritten) // pieces that overlap could be more than the file
	for i, at := range offsets {
		if at < 0 || sizes[i] < 1 || sizes[i] > left || at > t.size-sizes[i] {
			return nil
		}
		left -= sizes[i]
		list = append(list, piece{at, sizes[i]})
	}
	return list
}

// alone writes image n, if it is JPEG, into a TIFF of its own, of the common form, with its data as
// they are. ok is false if it is left to tiffcp. The error is ctx's, or a [device.Fault] of a full
// disk, or another of this box.
func (f *File) alone(ctx context.Context, n int, path string) (ok bool, err error) {
	t, err := f.openTIFF()
	if err != nil {
		return false, err
	}
	defer t.file.Close()
	tags, err := t.directory(n)
	if err != nil || !inBounds(tags) {
		return false, nil // tiffcp says what is wrong
	}
	pieces := t.pieces(tags)
	if pieces == nil {
		return false, nil
	}
	// The data stand behind the head, then the values, then the directory.
	const head = 8
	at := int64(head)
	offsets := make([]byte, 0, 4*len(pieces))
	sizes := make([]byte, 0, 4*len(pieces))
	for _, p := range pieces {
		if at > math.MaxUint32 {
			return false, nil
		}
		offsets = t.order.(binary.AppendByteOrder).AppendUint32(offsets, uint32(at))
		sizes = t.order.(binary.AppendByteOrder).AppendUint32(sizes, uint32(p.size))
		at += p.size
	}
	pad := at % 2 // values begin at even places
	values := bytes.NewBuffer(make([]byte, pad))
	order := t.order.(binary.AppendByteOrder)
	directory := order.AppendUint16(nil, uint16(len(tags)))
	for _, g := range tags {
		kind, count, value := g.kind, g.count, t.values(g)
		switch g.tag {
		case tagStripOffsets, tagTileOffsets:
			kind, count, value = kindLong, int64(len(pieces)), offsets
		case tagStripBytes, tagTileBytes:
			kind, count, value = kindLong, int64(len(pieces)), sizes
		default:
			if kind == kindLong8 {
				short := make([]byte, 0, 4*count)
				for _, v := range t.numbers(g) {
					if v < 0 || v > math.MaxUint32 {
						return false, nil
					}
					short = order.AppendUint32(short, uint32(v))
				}
				kind, value = kindLong, short
			}
		}
		if len(value) == 0 || kind > kindLong8 {
			return false, nil
		}
		directory = order.AppendUint32(order.AppendUint16(order.AppendUint16(directory, g.tag), kind), uint32(count))
		if len(value) <= 4 {
			var field [4]byte
			copy(field[:], value)
			directory = append(directory, field[:]...)
			continue
		}
		directory = order.AppendUint32(directory, uint32(at+int64(values.Len())))
		values.Write(value)
		if len(value)%2 != 0 {
			values.WriteByte(0)
		}
	}
	directory = order.AppendUint32(directory, 0)
	where := at + int64(values.Len())
	if where > math.MaxUint32 {
		return false, nil
	}
	first := order.AppendUint32(order.AppendUint16([]byte("II"), 42), uint32(where))
	if t.order == binary.BigEndian {
		copy(first, "MM")
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, takingOut(err)
	}
	parts := []io.Reader{bytes.NewReader(first)}
	for _, p := range pieces {
		parts = append(parts, io.NewSectionReader(t.file, p.at, p.size))
	}
	_, err = io.Copy(out, &untilEnd{ctx, io.MultiReader(append(parts, values, bytes.NewReader(directory))...)})
	if err = errors.Join(err, out.Close()); err != nil {
		return false, takingOut(err)
	}
	return true, nil
}

// untilEnd reads from a reader until ctx ends.
type untilEnd struct {
	ctx  context.Context
	from io.Reader
}

func (r *untilEnd) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(b)
}

// takingOut says what an error came of, and makes a full disk the fault that it is.
func takingOut(err error) error {
	const what = "take an image out of the TIFF"
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return &device.Fault{Kind: device.DiskFull, Detail: what, Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}
