package orchestrate

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/equic-bench/equic-bench/results"
)

// programs checks during the run that the nodes' binaries have the digests in the
// manifest. Otherwise, a rebuild during the run would change the programs of the later
// trials.
type programs struct {
	dir  string
	sums map[string]string // from the manifest
	// same are the files that are known to have these digests: an unchanged file is not
	// read again.
	same map[string]fs.FileInfo
}

func newPrograms(dir string, sums map[string]string) *programs {
	return &programs{dir: dir, sums: sums, same: map[string]fs.FileInfo{}}
}

// check returns an error for a binary that differs from the manifest.
func (p *programs) check() error {
	for _, name := range Binaries() {
		path := filepath.Join(p.dir, name)
		is, err := os.Stat(path) // before it is read: a later change is found next time
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

// otherPrograms is the remedy if a binary is not the run's.
const otherPrograms = "put back the binaries of this run and continue it with --resume, or start a new run"

// unchanged reports whether a file is the same one, and was not written to.
func unchanged(was, is fs.FileInfo) bool {
	return os.SameFile(was, is) && was.Size() == is.Size() && was.ModTime().Equal(is.ModTime())
}

// checkPrograms checks that the nodes of the next trial run the programs in the
// manifest. An image contains the binaries as they were when it was made.
func (r *runner) checkPrograms() error {
	if r.runtime.Platform().Runtime.Image != "" {
		return nil
	}
	return r.programs.check()
}
