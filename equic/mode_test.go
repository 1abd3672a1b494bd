package equic

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

func TestModeIsReadFromTheProgramIDs(t *testing.T) {
	attached := func(value byte) []byte { return attribute(unix.IFLA_XDP_ATTACHED, []byte{value}) }
	tests := []struct {
		name string
		xdp  []byte
		want Mode
	}{
		{"a native program", append(attached(1), id(unix.IFLA_XDP_DRV_PROG_ID, 7)...), Native},
		{"a generic program", append(attached(2), id(unix.IFLA_XDP_SKB_PROG_ID, 7)...), Generic},
		{"ours beside another's", append(id(unix.IFLA_XDP_DRV_PROG_ID, 8), id(unix.IFLA_XDP_SKB_PROG_ID, 7)...), Generic},
		{"nothing attached", attached(0), ""},
		{"another's program", append(attached(1), id(unix.IFLA_XDP_DRV_PROG_ID, 8)...), ""},
		{"ours in hardware", id(unix.IFLA_XDP_HW_PROG_ID, 7), ""},
		{"a length beyond the end", []byte{200, 0, unix.IFLA_XDP_DRV_PROG_ID, 0, 7, 0, 0, 0}, ""},
		{"a length below a header", []byte{0, 0, unix.IFLA_XDP_DRV_PROG_ID, 0, 7, 0, 0, 0}, ""},
		{"nothing at all", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := modeOf(test.xdp, 7)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("mode %q, error %v, want mode %q", got, err, test.want)
			}
		})
	}
}

func FuzzNestedUint32s(f *testing.F) {
	f.Add(id(unix.IFLA_XDP_DRV_PROG_ID, 7))
	f.Add(attribute(unix.IFLA_XDP_ATTACHED, []byte{1}))
	f.Add([]byte{5, 0, 1, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := nestedUint32s(b)
		if err == nil && len(values) > len(b)/8 {
			t.Errorf("%d values from %d bytes", len(values), len(b))
		}
	})
}

func id(kind uint16, value uint32) []byte {
	return attribute(kind, binary.NativeEndian.AppendUint32(nil, value))
}

// attribute is one netlink attribute, padded to four bytes.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}
