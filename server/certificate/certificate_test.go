package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"strings"
	"testing"
)

var keyTypes = []KeyType{ECDSA, RSA2048, RSA4096}

func TestEachTypeOfKeyIsThatKey(t *testing.T) {
	bits := map[KeyType]int{ECDSA: 256, RSA2048: 2048, RSA4096: 4096}
	for _, k := range keyTypes {
		pair, err := SelfSigned(k)
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		got := 0
		switch key := pair.PrivateKey.(type) {
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
	_, err := SelfSigned("rsa-3072")
	if want := `make key: unknown type "rsa-3072": want ecdsa-p256, rsa-2048 or rsa-4096`; err == nil ||
		err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// BenchmarkKey measures the cost of each type of key in a handshake: the server signs,
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

func TestAServerReadsWhatItsRunMade(t *testing.T) {
	for _, k := range keyTypes[:2] { // the third is like the second, but slower
		made, err := SelfSigned(k)
		if err != nil {
			t.Fatal(err)
		}
		read, err := FromEnvironment(getenv(environment(t, made)))
		if err != nil {
			t.Fatal(err)
		}
		if SHA256(read) != SHA256(made) {
			t.Errorf("%s: another certificate was read", k)
		}
		key, ok := made.PrivateKey.(interface{ Equal(crypto.PrivateKey) bool })
		if !ok || !key.Equal(read.PrivateKey) {
			t.Errorf("%s: another key was read", k)
		}
	}
}

func TestAnEnvironmentWithoutAWholeCertificate(t *testing.T) {
	a, b := environment(t, selfSigned(t)), environment(t, selfSigned(t))
	for name, test := range map[string]struct{ certificate, key, want string }{
		"none is no error":             {"", "", ""},
		"the key is missing":           {a[EnvCertificate], "", "set both, or neither"},
		"the certificate is missing":   {"", a[EnvKey], "set both, or neither"},
		"the key is of another":        {a[EnvCertificate], b[EnvKey], "private key does not match"},
		"the certificate is not PEM":   {"x", a[EnvKey], "read EQUIC_CERTIFICATE and EQUIC_KEY"},
		"the key is not PEM":           {a[EnvCertificate], "x", "read EQUIC_CERTIFICATE and EQUIC_KEY"},
		"the one stands for the other": {a[EnvKey], a[EnvCertificate], "read EQUIC_CERTIFICATE and EQUIC_KEY"},
	} {
		got, err := FromEnvironment(getenv(map[string]string{EnvCertificate: test.certificate, EnvKey: test.key}))
		if got != nil || (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, error %v; want %q", name, got, err, test.want)
		}
	}
}

func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	c, err := SelfSigned(ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func environment(t *testing.T, c *tls.Certificate) map[string]string {
	t.Helper()
	variables, err := Environment(c)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		all[name] = value
	}
	return all
}

func getenv(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}
