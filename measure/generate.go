package measure

//go:generate go tool bpf2go -tags linux -target bpfel syscalls ../bpf/syscalls.bpf.c -- -Wall -Wextra -Werror
//go:generate go run syscallname_generate.go
