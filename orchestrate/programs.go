package orchestrate

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/equic-bench/equic-bench/results"
)

// programs holds the nodes' binaries to the digests in the manifest, while the
// run goes on: who builds anew in the middle would have the later trials run
// other programs than the earlier ones.
type programs struct {
	dir  string
	sums map[string]string // the manifest's
	// same are the files that are known to have these digests: what is still the
	// same file is not read again.
	same map[string]fs.FileInfo
}

func newPrograms(dir string, sums map[string]string) *programs {
	return &programs{dir: dir, sums: sums, same: map[string]fs.FileInfo{}}
}

// check says which binary is no longer the one that the manifest names.
func (p *programs) check() error {
	for _, name := range Binaries() {
		path := filepath.Join(p.dir, name)
		is, err := os.Stat(path) // before it is read: a change meanwhile is seen next time
		if err != nil {
			return fmt.Errorf("%w: look whether %s is still the binary of this run: %w; %s",
				ErrNoBinary, name, err, otherPrograms)
		}
		if was := p.same[name]; was != nil && unchanged(was, is) {
			continue
		}
		sum, err := results.FileSHA256(path)
		if err != nil {
			return fmt.Errorf("%w: look whether %s is still the binary of this run: %w; %s",
				ErrNoBinary, name, err, otherPrograms)
		}
		if sum != p.sums[name] {
			return fmt.Errorf("%w: %s was changed during the run: its SHA-256 is %s, in the manifest %s; %s",
				ErrNoBinary, path, sum, p.sums[name], otherPrograms)
		}
		p.same[name] = is
	}
	return nil
}

// otherPrograms is the remedy where a binary is not the run's.
const otherPrograms = "put back the binaries of this run and continue it with --resume, or start a new run"

// unchanged says that a file is the very same, and was not written to.
func unchanged(was, is fs.FileInfo) bool {
	return os.SameFile(was, is) && was.Size() == is.Size() && was.ModTime().Equal(is.ModTime())
}

// checkPrograms sees that nodes of the next trial are what the manifest says. An
// image holds the binaries as they were when it was made.
func (r *runner) checkPrograms() error {
	if r.runtime.Platform().Runtime.Image != "" {
		return nil
	}
	return r.programs.check()
}
