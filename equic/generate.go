package equic

// The objects are committed, so neither a build nor a program that uses this package
// needs a compiler. To regenerate them: clang 14, libbpf-dev and `make generate`. They
// have no target-specific code: one little-endian object works on amd64 and arm64.
//
//go:generate go tool bpf2go -tags linux -target bpfel gateway ../bpf/equic.bpf.c -- -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
