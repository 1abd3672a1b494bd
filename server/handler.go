package server

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/dustin/go-humanize"
)

// MaxBodyBytes is the largest response that a client may ask for.
const MaxBodyBytes = 64 << 20

// text is the content of bodies: 64 KiB of lines.
var text = func() []byte {
	const line = "eQUIC answers this request with text, as the paper's server did.\n"
	b := make([]byte, 64<<10)
	for n := 0; n < len(b); {
		n += copy(b[n:], line)
	}
	return b
}()

// handler answers GET / with bodyBytes of text, and GET /SIZE with SIZE bytes: a number
// of bytes, or one with a unit, as in /64KiB.
func handler(bodyBytes int64) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		writeBody(w, r, bodyBytes)
	})
	mux.HandleFunc("GET /{size}", func(w http.ResponseWriter, r *http.Request) {
		n, err := humanize.ParseBytes(r.PathValue("size"))
		if err != nil || n > MaxBodyBytes {
			http.Error(w, fmt.Sprintf("%q is no size: want up to 64MiB, as in /1000 or /64KiB", r.PathValue("size")),
				http.StatusBadRequest)
			return
		}
		writeBody(w, r, int64(n)) // checked above
	})
	return mux
}

// writeBody writes n bytes, and records them for the request's connection.
func writeBody(w http.ResponseWriter, r *http.Request, n int64) {
	w.Header().Set("Content-Type", "text/plain; charset=us-ascii")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	var written int64
	for written < n {
		k, err := w.Write(text[:min(n-written, int64(len(text)))])
		written += int64(k)
		if err != nil {
			break // the client has gone; the record has the bytes written so far
		}
	}
	connectionOf(r.Context()).wrote(written, written == n)
}
