package results

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// content is the digest and the line count of one file.
type content struct {
	sum   string // SHA-256
	lines int    // line ends
	cut   bool   // the last line has no line end
	err   error  // the file cannot be read
}

// survey reads every file of a run once, except the report's. It does not open anything
// that is neither a folder nor a regular file: that is a fault, and so is a folder that
// cannot be read.
func survey(ctx context.Context, fsys fs.FS) (map[string]content, []Fault, error) {
	files, odd := map[string]content{}, []Fault(nil)
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			odd = append(odd, Fault{name, err.Error()})
		case e.IsDir() && isReport(name):
			return fs.SkipDir
		case e.IsDir():
		case !e.Type().IsRegular():
			odd = append(odd, Fault{name, "is neither a file nor a folder"})
		default:
			files[name] = contentOf(fsys, name)
		}
		return nil
	})
	return files, odd, err
}

func contentOf(fsys fs.FS, name string) content {
	f, err := fsys.Open(name)
	if err != nil {
		return content{err: err}
	}
	defer f.Close()
	if strings.HasSuffix(name, packedSuffix) {
		return packedContent(f)
	}
	hash := sha256.New()
	c, err := countLines(io.TeeReader(f, hash))
	if err != nil {
		return content{err: err}
	}
	c.sum = hex.EncodeToString(hash.Sum(nil))
	return c
}

// countLines reads to the end. The sum of the content is not set.
func countLines(r io.Reader) (c content, err error) {
	block := make([]byte, 64<<10)
	for {
		n, err := r.Read(block)
		c.lines += bytes.Count(block[:n], []byte("\n"))
		if n > 0 {
			c.cut = block[n-1] != '\n'
		}
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return content{}, err
		}
	}
}

// checksums checks that SHA256SUMS exists and is well formed, that every file that it
// names is unchanged, and that there is no other file.
func (v *verifier) checksums() []Finding {
	without := func(sealed Finding) []Finding {
		return []Finding{
			sealed,
			{Check: "checksums", Status: NotChecked, Evidence: sealed.Evidence, Means: "a changed byte would not be found"},
			{Check: "no other files", Status: NotChecked, Evidence: sealed.Evidence, Means: "an added file would not be found"},
		}
	}
	c, ok := v.files[ChecksumsFile]
	if !ok {
		return without(Finding{Check: "sealed", Status: Broken, Evidence: "no " + ChecksumsFile, Means: v.interrupted()})
	}
	text, err := fs.ReadFile(v.fsys, ChecksumsFile)
	if err = errors.Join(c.err, err); err != nil {
		return without(Finding{
			Check: "sealed", Status: Broken, Evidence: ChecksumsFile + " cannot be read",
			Faults: []Fault{{ChecksumsFile, err.Error()}}, Means: "what the files were is not known",
		})
	}
	sums, faults := parseChecksums(string(text))
	sealed := NewFinding("sealed", fmt.Sprintf("%s names %d files", ChecksumsFile, len(sums)), faults,
		"faults in "+ChecksumsFile, "it was changed: what the files were is not known for certain")
	v.noRecords = v.lacksRecords(sums)
	return []Finding{sealed, v.unchanged(sums), v.alone(sums)}
}

// lacksRecords reports whether SHA256SUMS names records, and none of them is there.
func (v *verifier) lacksRecords(sums map[string]string) bool {
	named := false
	for name := range sums {
		if isRecords(name) {
			if _, there := v.files[name]; there {
				return false
			}
			named = true
		}
	}
	return named
}

// sumLine matches a line of SHA256SUMS, in the format of sha256sum.
var sumLine = regexp.MustCompile(`^([0-9a-f]{64})  ([[:print:]]+)$`)

// parseChecksums parses SHA256SUMS. Its faults contain the line number.
func parseChecksums(text string) (sums map[string]string, faults []Fault) {
	sums = map[string]string{}
	n := 0
	wrong := func(format string, args ...any) {
		faults = append(faults, Fault{ChecksumsFile, fmt.Sprintf("line %d %s", n, fmt.Sprintf(format, args...))})
	}
	for line := range strings.Lines(text) {
		n++
		whole, ended := strings.CutSuffix(line, "\n")
		m := sumLine.FindStringSubmatch(whole)
		switch {
		case !ended:
			wrong("has no end")
		case m == nil:
			wrong("is not a SHA-256, two spaces and a path")
		case !fs.ValidPath(m[2]) || m[2] == ChecksumsFile || strings.HasPrefix(m[2], ReportDir+"/"):
			wrong("names %q, which is no raw file of the run", m[2])
		case sums[m[2]] != "":
			wrong("names %q again", m[2])
		default:
			sums[m[2]] = m[1]
		}
	}
	if n == 0 {
		faults = append(faults, Fault{ChecksumsFile, "is empty"})
	}
	return sums, faults
}

// unchanged compares the files with their checksums.
func (v *verifier) unchanged(sums map[string]string) Finding {
	var faults []Fault
	missing := 0
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		switch c, ok := v.files[name]; {
		case v.noRecords && (isRecords(name) || name == CrateFile):
			missing++
		case !ok:
			faults = append(faults, Fault{name, "not there, but named in " + ChecksumsFile})
		case c.err != nil:
			faults = append(faults, Fault{name, c.err.Error()})
		case c.sum != sums[name]:
			faults = append(faults, Fault{name, "changed: its SHA-256 is not the one in " + ChecksumsFile})
		}
	}
	return NewFinding("checksums", fmt.Sprintf("%d files are unchanged", len(sums)-missing), faults,
		fmt.Sprintf("of %d files do not match %s", len(sums), ChecksumsFile),
		"these are not the bytes that the run wrote: take no figure from them")
}

// alone checks that SHA256SUMS names every file.
func (v *verifier) alone(sums map[string]string) Finding {
	faults := slices.Clone(v.odd)
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		if name != ChecksumsFile && sums[name] == "" {
			faults = append(faults, Fault{name, "not named in " + ChecksumsFile})
		}
	}
	return NewFinding("no other files", "none but the report's", faults,
		"that "+ChecksumsFile+" does not name",
		"added after the run had ended, or half written when it ended; or "+ChecksumsFile+" was changed")
}
