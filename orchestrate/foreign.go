package orchestrate

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// The files of a foreign server, in Platform.FilesDir.
const (
	certificateFile = "certificate.pem"
	keyFile         = "key.pem"
	rootDir         = "root"
	socketFile      = "gateway.sock"
)

// giveFiles gives a foreign server its certificate, the key, and the content that it
// serves.
func giveFiles(server *NodeSpec, body int64, pair *tls.Certificate) error {
	chain, key, err := certificate.PEM(pair)
	if err != nil {
		return fmt.Errorf("make the files of the server: %w", err)
	}
	server.Files = []File{
		{certificateFile, chain}, {keyFile, key}, {rootDir + "/index.html", bytes.Repeat([]byte{'x'}, int(body))},
	}
	return nil
}

// foreign returns the node of a foreign server. Its home is the folder of its files, so
// that it leaves nothing elsewhere.
func (b specBuilder) foreign(flags []string, variant record.Variant) NodeSpec {
	s := b.scenario
	n := NodeSpec{
		Name: results.RoleServer, Role: results.RoleServer, Address: s.Network.ServerAddress(), CPUs: s.Server.CPUs,
		MemoryBytes: s.Server.Memory, Kernel: s.Trial.Syscalls, Image: s.Server.Image,
	}
	if s.Server.Ready != "" {
		flags = append(flags, "--ready-line", s.Server.Ready)
	} else {
		flags = append(flags, "--ready-address", serverPort(s))
	}
	if n.Image == "" {
		n.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.filesDir}
	} else {
		b.bin = b.filesDir
	}
	places := b.places(variant)
	listen := s.Network.ListenAddress()
	words := []string{ // an IPv6 address stands in brackets before a port
		scenarios.PlaceAddress + ":" + scenarios.PlacePort, netip.AddrPortFrom(listen, uint16(s.Network.Port)).String(),
	}
	for _, place := range scenarios.Placeholders {
		words = append(words, place, places[place])
		n.Env = append(n.Env, scenarios.PlaceVariable(place)+"="+places[place])
	}
	replaced := strings.NewReplacer(words...)
	n.Command = b.probe(flags...)
	for _, word := range s.Server.Command {
		n.Command = append(n.Command, replaced.Replace(word))
	}
	if variant == record.NftablesInFront {
		l := s.Server.Limits
		n.Filter = &Filter{Port: s.Network.Port, Deny: l.Deny}
		if l.Rate > 0 {
			n.Filter.Packets, n.Filter.Per, _ = l.Whole() // checked with the scenario
			n.Filter.Burst = l.AtOnce()
		}
	}
	return n
}

// places returns the values of the placeholders.
func (b specBuilder) places(variant record.Variant) map[string]string {
	s, socket := b.scenario, ""
	if variant == record.GatewayInFront {
		socket = path.Join(b.filesDir, socketFile)
	}
	return map[string]string{
		scenarios.PlaceAddress:     s.Network.ListenAddress().String(),
		scenarios.PlacePort:        strconv.Itoa(s.Network.Port),
		scenarios.PlaceCertificate: path.Join(b.filesDir, certificateFile),
		scenarios.PlaceKey:         path.Join(b.filesDir, keyFile),
		scenarios.PlaceRoot:        path.Join(b.filesDir, rootDir),
		scenarios.PlaceSocket:      socket,
	}
}

// gateway returns the node of an equic-gateway in front of the server. It has the
// server's network and CPUs.
func (b specBuilder) gateway() NodeSpec {
	s, l := b.scenario, b.scenario.Server.Limits
	command := append(b.probe("--ready-line", "msg=attached"), path.Join(b.bin, "equic-gateway"),
		"--interface", "eth0",
		"--mode", s.Server.XDPMode,
		"--port", strconv.Itoa(s.Network.Port),
		"--quota", strconv.Itoa(s.Server.Quota),
		"--socket", path.Join(b.filesDir, socketFile),
	)
	if l.Rate > 0 {
		command = append(command, "--rate", strconv.FormatFloat(l.Rate, 'g', -1, 64), "--burst", strconv.Itoa(l.AtOnce()))
	}
	for _, prefix := range l.Deny {
		command = append(command, "--deny", prefix.String())
	}
	return NodeSpec{
		Name: results.RoleGateway, Role: results.RoleGateway, Address: s.Network.ServerAddress(), Behind: results.RoleServer,
		CPUs: s.Server.CPUs, Kernel: true, Command: command,
	}
}
