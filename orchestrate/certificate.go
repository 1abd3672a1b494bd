package orchestrate

import (
	"crypto/tls"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// makeCertificate makes what the servers of all trials present. The key is never
// written to a file, so a run that is resumed makes another.
func (r *runner) makeCertificate() (err error) {
	r.certificate, err = certificate.SelfSigned(certificate.KeyType(r.scenario.Server.Key))
	return err
}

// recordCertificate names the certificate in the manifest, after those of the run
// before it was resumed.
func (r *runner) recordCertificate() {
	r.manifest.Certificates = append(r.manifest.Certificates, results.Certificate{
		Key: r.scenario.Server.Key, SHA256: certificate.SHA256(r.certificate),
	})
}

// giveCertificate puts the certificate and its key into the server's environment.
func giveCertificate(server *NodeSpec, pair *tls.Certificate) error {
	variables, err := certificate.Environment(pair)
	server.Env = append(server.Env, variables...)
	return err
}
