package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
)

var keyTypes = []KeyType{KeyECDSA, KeyRSA2048, KeyRSA4096}

func TestEachTypeOfKeyIsThatKey(t *testing.T) {
	bits := map[KeyType]int{KeyECDSA: 256, KeyRSA2048: 2048, KeyRSA4096: 4096}
	for _, k := range keyTypes {
		config, err := selfSigned(k)
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		got := 0
		switch key := config.Certificates[0].PrivateKey.(type) {
		case *ecdsa.PrivateKey:
			got = key.Params().BitSize
		case *rsa.PrivateKey:
			got = key.N.BitLen()
		}
		if got != bits[k] {
			t.Errorf("%s has %d bits, want %d", k, got, bits[k])
		}
	}
}

func TestAnUnknownTypeOfKeyIsRefusedWithTheKnownOnes(t *testing.T) {
	_, err := selfSigned("rsa-3072")
	if want := `make key: unknown type "rsa-3072": want ecdsa-p256, rsa-2048 or rsa-4096`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// BenchmarkKey is what each type of key costs a handshake: the server signs,
// the client verifies, both as in TLS 1.3 (RFC 8446, section 4.2.3).
func BenchmarkKey(b *testing.B) {
	digest := sha256.Sum256([]byte("a handshake"))
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	for _, k := range keyTypes {
		key, err := k.generate()
		if err != nil {
			b.Fatal(err)
		}
		options, verify := crypto.SignerOpts(crypto.SHA256), verifyECDSA
		if _, isRSA := key.(*rsa.PrivateKey); isRSA {
			options, verify = pss, verifyPSS
		}
		signature, err := key.Sign(rand.Reader, digest[:], options)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(k)+"/sign", func(b *testing.B) {
			for b.Loop() {
				if _, err := key.Sign(rand.Reader, digest[:], options); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(k)+"/verify", func(b *testing.B) {
			for b.Loop() {
				if !verify(key.Public(), digest[:], signature) {
					b.Fatal("the signature is not the key's")
				}
			}
		})
	}
}

func verifyECDSA(public crypto.PublicKey, digest, signature []byte) bool {
	key, ok := public.(*ecdsa.PublicKey)
	return ok && ecdsa.VerifyASN1(key, digest, signature)
}

func verifyPSS(public crypto.PublicKey, digest, signature []byte) bool {
	key, ok := public.(*rsa.PublicKey)
	return ok && rsa.VerifyPSS(key, crypto.SHA256, digest, signature, nil) == nil
}
