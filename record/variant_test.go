package record

import (
	"strings"
	"testing"
)

func TestVariantsThatCountHandshakesAnswerWithARetry(t *testing.T) {
	for _, name := range VariantNames() {
		want := name == string(UserspaceRetry) || strings.HasSuffix(name, "-block-new")
		if got := Variant(name).Retries(); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
