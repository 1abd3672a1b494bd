// Package testkit holds the helpers that the tests of several packages share.
package testkit

import "testing"

// Must fails the test at once if err is not nil.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
