package pdf

import (
	"encoding/binary"
	"math"
)

// curvePoints is how finely the profile's tone curve is sampled: once for each level of
// a byte. What lies between is right to a unit of its 16 bits.
const curvePoints = 256

// sRGB builds an ICC profile (version 2.1, ICC.1:1998-09) of the colour space
// sRGB (IEC 61966-2-1): its tone curve, and its primaries adapted to the
// profile connection space's white D50 by the Bradford transform.
func sRGB() []byte {
	be := binary.BigEndian
	fixed := func(b []byte, f float64) []byte { return be.AppendUint32(b, uint32(int32(math.Round(f*65536)))) }
	xyz := func(x, y, z float64) []byte {
		return fixed(fixed(fixed([]byte("XYZ \x00\x00\x00\x00"), x), y), z)
	}
	curve := be.AppendUint32([]byte("curv\x00\x00\x00\x00"), curvePoints)
	for i := range curvePoints {
		v := float64(i) / (curvePoints - 1)
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		curve = be.AppendUint16(curve, uint16(math.Round(v*65535)))
	}
	const name = "sRGB IEC61966-2.1"
	desc := be.AppendUint32([]byte("desc\x00\x00\x00\x00"), uint32(len(name)+1))
	desc = append(desc, name+"\x00"...)
	desc = append(desc, make([]byte, 4+4+2+1+67)...) // no Unicode and no Macintosh name
	tags := []struct {
		name string
		data []byte
	}{
		{"desc", desc},
		{"cprt", []byte("text\x00\x00\x00\x00No copyright, use freely\x00")},
		{"wtpt", xyz(0.9642, 1, 0.8249)},
		{"rXYZ", xyz(0.4360, 0.2225, 0.0139)},
		{"gXYZ", xyz(0.3851, 0.7169, 0.0971)},
		{"bXYZ", xyz(0.1431, 0.0606, 0.7141)},
		{"rTRC", curve}, {"gTRC", curve}, {"bTRC", curve},
	}
	table := be.AppendUint32(nil, uint32(len(tags)))
	var data []byte
	start := 128 + 4 + 12*len(tags)
	at := map[string]uint32{}
	for _, t := range tags {
		key := string(t.data)
		if _, ok := at[key]; !ok { // the three curves are one
			at[key] = uint32(start + len(data))
			data = append(data, t.data...)
			for len(data)%4 != 0 {
				data = append(data, 0)
			}
		}
		table = append(table, t.name...)
		table = be.AppendUint32(table, at[key])
		table = be.AppendUint32(table, uint32(len(t.data)))
	}
	head := make([]byte, 128)
	be.PutUint32(head, uint32(start+len(data)))
	be.PutUint32(head[8:], 0x02100000)
	copy(head[12:], "mntrRGB XYZ ")
	for i, v := range []uint16{2026, 1, 1, 0, 0, 0} { // a date of creation is required
		be.PutUint16(head[24+2*i:], v)
	}
	copy(head[36:], "acsp")
	copy(head[68:], xyz(0.9642, 1, 0.8249)[8:])
	return append(append(head, table...), data...)
}
