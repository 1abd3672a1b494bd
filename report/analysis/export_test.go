package analysis

import "testing"

// AddMetric adds an entry to the catalogue until the end of the test.
func AddMetric(t *testing.T, m Metric) {
	t.Helper()
	before := catalogue
	catalogue = append(before[:len(before):len(before)], m)
	t.Cleanup(func() { catalogue = before })
}
