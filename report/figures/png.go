package figures

import (
	"bytes"
	bits "encoding/binary"
	"hash/crc32"
)

// withResolution adds the size of the pixels to a PNG, so that it has the same size on
// paper as the other formats: a chunk pHYs after the header (Portable Network Graphics,
// 3rd ed., 11.3.4.3).
func withResolution(png []byte, dpi float64) []byte {
	const header = 8 + 4 + 4 + 13 + 4 // signature; length, type, data and checksum of IHDR
	perMetre := uint32(dpi/0.0254 + 0.5)
	chunk := []byte("pHYs")
	chunk = bits.BigEndian.AppendUint32(chunk, perMetre)
	chunk = bits.BigEndian.AppendUint32(chunk, perMetre)
	chunk = append(chunk, 1) // the unit is the metre
	length := bits.BigEndian.AppendUint32(nil, uint32(len(chunk)-4))
	sum := bits.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(chunk))
	return bytes.Join([][]byte{png[:header], length, chunk, sum, png[header:]}, nil)
}
