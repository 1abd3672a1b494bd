// Package certificate makes the key and the certificate of a measured server, and
// passes them from a run to its servers.
//
// A run makes them once (orchestrate), because an RSA key takes seconds. The server
// reads them from its environment. The package imports nothing of ours.
package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The environment variables with the certificate of a server. A server without both
// makes its own.
const (
	EnvCertificate = "EQUIC_CERTIFICATE" // X.509, in PEM
	EnvKey         = "EQUIC_KEY"         // its private key: PKCS #8, in PEM
)

// KeyType is the type of the key in the server's certificate. Its signature is a large
// part of the cost of a handshake.
type KeyType string

// The types of keys. For the server, signing with RSA-2048 costs some thirty times as
// much as with ECDSA, and with RSA-4096 two hundred times as much. For the client,
// verifying costs half as much and four times as much, respectively (BenchmarkKey).
const (
	ECDSA   KeyType = "ecdsa-p256"
	RSA2048 KeyType = "rsa-2048"
	RSA4096 KeyType = "rsa-4096"
)

func (k KeyType) generate() (crypto.Signer, error) {
	switch k {
	case ECDSA, "":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, fmt.Errorf("unknown type %q: want %s, %s or %s", k, ECDSA, RSA2048, RSA4096)
}

// validity is longer than any run. Our clients do not check it, others may.
const validity = 10 * 365 * 24 * time.Hour

// SelfSigned makes a key and a certificate for it. An empty type is ECDSA.
func SelfSigned(t KeyType) (*tls.Certificate, error) {
	key, err := t.generate()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(validity),
		DNSNames:     []string{"equic-server"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// SHA256 returns the certificate's fingerprint, in hexadecimal.
func SHA256(c *tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// Environment returns the variables that FromEnvironment reads, each as NAME=value.
func Environment(c *tls.Certificate) ([]string, error) {
	chain, key, err := PEM(c)
	if err != nil {
		return nil, err
	}
	return []string{EnvCertificate + "=" + string(chain), EnvKey + "=" + string(key)}, nil
}

// PEM returns the certificate and its private key (PKCS #8) in PEM.
func PEM(c *tls.Certificate) (chain, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("write the server's key: %w", err)
	}
	return asPEM("CERTIFICATE", c.Certificate[0]), asPEM("PRIVATE KEY", der), nil
}

func asPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// FromEnvironment returns the certificate of the environment, with its key, or nil if
// there is none.
func FromEnvironment(getenv func(string) string) (*tls.Certificate, error) {
	certificate, key := getenv(EnvCertificate), getenv(EnvKey)
	switch {
	case certificate == "" && key == "":
		return nil, nil
	case certificate == "" || key == "":
		return nil, errors.New("only one of " + EnvCertificate + " and " + EnvKey + " is set: set both, or neither")
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("read %s and %s: %w", EnvCertificate, EnvKey, err)
	}
	return &pair, nil
}
