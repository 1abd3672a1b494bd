package page

import "testing"

func TestDarkColoursKeepTheirContrast(t *testing.T) {
	tests := []struct{ name, from, want string }{
		{"white becomes the card", "ffffff", "1b1b1b"},
		{"black becomes the ink", "000000", "ececec"},
		{"a blue stays blue", "0072b2", "48bdff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := palette{}
			p.name(tt.from)
			if got := string(p.css(true)); got != "--c"+tt.from+":#"+tt.want+";" {
				t.Errorf("%s, want #%s", got, tt.want)
			}
		})
	}
}
