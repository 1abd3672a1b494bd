package wire

// The object is committed, so that a build needs no compiler. To regenerate it: clang
// 14, libbpf-dev and `make generate`. It has no target-specific code.
//
//go:generate go tool bpf2go -tags linux -target bpfel flood ../../bpf/flood.bpf.c -- -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
