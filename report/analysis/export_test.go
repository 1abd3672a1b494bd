package analysis

import (
	"slices"
	"testing"
)

// AddMetric adds an entry to the catalogue until the end of the test.
func AddMetric(t *testing.T, m Metric) {
	t.Helper()
	before := catalogue
	catalogue = append(slices.Clip(before), m)
	t.Cleanup(func() { catalogue = before })
}
