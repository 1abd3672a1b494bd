package orchestrate

import (
	"crypto/tls"
	"maps"
	"slices"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// makeCertificates makes the certificates that the servers of all trials present, one
// for each type of key. A resumed run makes new ones: no key outlives its run.
func (r *runner) makeCertificates() error {
	r.certificates = map[string]*tls.Certificate{}
	for _, c := range r.scenario.Cells() {
		key := c.Server.Key
		if r.certificates[key] != nil {
			continue
		}
		pair, err := certificate.SelfSigned(certificate.KeyType(key))
		if err != nil {
			return err
		}
		r.certificates[key] = pair
	}
	return nil
}

// recordCertificates records the certificates in the manifest, after those from before
// the run was resumed.
func (r *runner) recordCertificates() {
	for _, key := range slices.Sorted(maps.Keys(r.certificates)) {
		r.manifest.Certificates = append(r.manifest.Certificates, results.Certificate{
			Key: key, SHA256: certificate.SHA256(r.certificates[key]),
		})
	}
}

// giveCertificate puts the certificate and its key into the server's environment.
func giveCertificate(server *NodeSpec, pair *tls.Certificate) error {
	variables, err := certificate.Environment(pair)
	server.Env = append(server.Env, variables...)
	return err
}
