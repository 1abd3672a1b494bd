package flood

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// payloadBytes is the smallest size of a datagram with an Initial (RFC 9000, 14.1).
const payloadBytes = 1200

// clientHello returns the TLS message of a client's first flight. It fits in one
// packet, because it has no post-quantum key share. It does not contain the connection
// ID, so all Initials can use the same message.
func clientHello(ctx context.Context) ([]byte, error) {
	conn := tls.QUICClient(&tls.QUICConfig{TLSConfig: &tls.Config{
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"h3", "hq-interop"}, // the server takes the one that it speaks
		CurvePreferences:   []tls.CurveID{tls.X25519},
	}})
	conn.SetTransportParameters(transportParameters())
	if err := conn.Start(ctx); err != nil {
		return nil, fmt.Errorf("make a ClientHello: %w", err)
	}
	defer conn.Close()
	for {
		switch e := conn.NextEvent(); e.Kind {
		case tls.QUICWriteData:
			return slices.Clone(e.Data), nil
		case tls.QUICNoEvent:
			return nil, errors.New("make a ClientHello: crypto/tls writes none")
		}
	}
}

// transportParameters returns those of a client with an empty connection ID (RFC 9000,
// 18.2) that accepts streams of the server.
func transportParameters() []byte {
	const initialSourceConnectionID = 0x0f
	b := []byte{initialSourceConnectionID, 0}
	for _, p := range []struct {
		id    byte
		value uint32
	}{
		{0x01, 30_000},  // max_idle_timeout, in ms
		{0x04, 1 << 20}, // initial_max_data
		{0x05, 1 << 18}, // initial_max_stream_data_bidi_local
		{0x06, 1 << 18}, // initial_max_stream_data_bidi_remote
		{0x07, 1 << 18}, // initial_max_stream_data_uni
		{0x09, 100},     // initial_max_streams_uni
	} {
		b = append(b, p.id, 4)
		b = binary.BigEndian.AppendUint32(b, p.value|2<<30) // an integer of four bytes (RFC 9000, 16)
	}
	return b
}

// initialSalt is the salt of version 1 (RFC 9001, 5.2).
var initialSalt = []byte{
	0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
	0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a,
}

// keys are the keys that protect the Initials of a client.
type keys struct{ key, iv, header []byte }

// clientKeys derives the keys from the connection ID that the client chose (RFC 9001,
// 5.1, 5.2).
func clientKeys(id []byte) (k keys, err error) {
	secret, err := hkdf.Extract(sha256.New, id, initialSalt)
	if err != nil {
		return k, fmt.Errorf("derive keys: %w", err)
	}
	client, err := expand(secret, "client in", sha256.Size)
	for _, part := range []struct {
		to    *[]byte
		label string
		size  int
	}{{&k.key, "quic key", 16}, {&k.iv, "quic iv", 12}, {&k.header, "quic hp", 16}} {
		var partErr error
		*part.to, partErr = expand(client, part.label, part.size)
		err = errors.Join(err, partErr)
	}
	return k, err
}

// expand is HKDF-Expand-Label without a context (RFC 8446, 7.1).
func expand(secret []byte, label string, size int) ([]byte, error) {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(append(info, byte(len(label))), label...), 0)
	return hkdf.Expand(sha256.New, secret, string(info), size)
}

// packetNumberBytes is the greatest length, so that the sample for header protection
// begins with the payload (RFC 9001, 5.4.2).
const packetNumberBytes = 4

// initial returns a datagram with the client's first packet, to a connection ID (RFC
// 9000, 17.2.2), with packet number 0.
func initial(hello, id []byte) ([]byte, error) {
	k, err := clientKeys(id)
	if err != nil {
		return nil, err
	}
	header := append([]byte{0xc0 | packetNumberBytes - 1, 0, 0, 0, 1, byte(len(id))}, id...)
	header = append(header, 0, 0) // no source connection ID, no token
	rest := payloadBytes - len(header) - 2
	header = binary.BigEndian.AppendUint16(header, uint16(rest)|1<<14)
	number := len(header)
	header = append(header, make([]byte, packetNumberBytes)...)

	const cryptoFrame = 6 // RFC 9000, 19.6; after it comes padding
	payload := make([]byte, 0, payloadBytes)
	payload = binary.BigEndian.AppendUint16(append(payload, cryptoFrame, 0), uint16(len(hello))|1<<14)
	payload = append(payload, hello...)
	size := rest - packetNumberBytes - 16 // without the tag
	if len(payload) > size {
		return nil, fmt.Errorf("a ClientHello of %d bytes does not fit in one packet", len(hello))
	}
	return k.seal(header, payload[:size], number)
}

// seal encrypts a packet, and protects its header (RFC 9001, 5.3, 5.4). The packet
// number is zero, so the nonce is the IV.
func (k *keys) seal(header, payload []byte, number int) ([]byte, error) {
	block, err := aes.NewCipher(k.key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	packet := aead.Seal(slices.Clone(header), k.iv, payload, header)
	mask, err := aes.NewCipher(k.header)
	if err != nil {
		return nil, err
	}
	var m [aes.BlockSize]byte
	mask.Encrypt(m[:], packet[number+packetNumberBytes:][:aes.BlockSize])
	packet[0] ^= m[0] & 0x0f
	for i := range packetNumberBytes {
		packet[number+i] ^= m[1+i]
	}
	return packet, nil
}
