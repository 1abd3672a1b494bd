package quicguard

import "github.com/equic-bench/equic-bench/equic"

// UserSpace is a Counter without a kernel program.
type UserSpace = equic.UserSpace

// NewUserSpace makes a counter that admits quota connections of each client.
func NewUserSpace(quota int) *UserSpace { return equic.NewUserSpace(quota) }
