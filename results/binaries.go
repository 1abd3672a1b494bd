package results

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Programs are the programs to compare the binaries of a run with.
type Programs struct {
	Dir     string // their folder
	Version string // of the comparing program
	// Asked reports whether the user named the folder: then all binaries must be there
	// and be the same. Otherwise it is the folder of the comparing program, which may
	// be on another machine than the run was made on, or of another version.
	Asked bool
}

// VerifyBinaries compares the digests of the binaries that a run used with the files of
// a folder. Unless Asked, binaries that are absent or of another version are not
// checked. If the version is the same but the bytes differ, the status is Broken.
func VerifyBinaries(m *Manifest, with Programs) Finding {
	f := Finding{Check: "binaries", Status: NotChecked}
	if m == nil || len(m.Binaries) == 0 {
		f.Evidence, f.Means = "their digests cannot be read", "which programs were measured is not known"
		return f
	}
	found := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(m.Binaries)) {
		sum, err := programSum(filepath.Join(with.Dir, filepath.Base(name)))
		switch {
		case err != nil:
			found[absent] = append(found[absent], name)
			f.Faults = append(f.Faults, Fault{name, err.Error()})
		case sum != m.Binaries[name]:
			found[other] = append(found[other], name)
			what := fmt.Sprintf("its SHA-256 is %s, %s says %s", sum, ManifestFile, m.Binaries[name])
			f.Faults = append(f.Faults, Fault{name, what})
		default:
			found[same] = append(found[same], name)
		}
	}
	f.Evidence = "in " + with.Dir
	for _, how := range []string{same, other, absent} {
		if len(found[how]) > 0 {
			f.Evidence += fmt.Sprintf("; %s: %s", how, strings.Join(found[how], ", "))
		}
	}
	with.judge(&f, m, len(found[absent]), len(found[other]))
	return f
}

// The results of comparing a binary.
const (
	same   = "the same"
	other  = "different"
	absent = "not there"
)

// judge sets the status and the meaning of binaries that are absent or different.
func (with Programs) judge(f *Finding, m *Manifest, absent, other int) {
	switch {
	case absent+other == 0:
		f.Status = Holds
	case with.Asked || other > 0 && with.Version == m.Version:
		f.Status = Broken
		f.Means = "these are not the programs that were measured, which are of version " + m.Version
		return
	case other > 0:
		f.Means = fmt.Sprintf("the run is of version %s, this is %s; to compare, build that version and name its folder "+
			"with --bin", m.Version, with.Version)
	default:
		f.Means = fmt.Sprintf("that says nothing about the run, which is of version %s; to compare, name a folder with "+
			"its programs with --bin", m.Version)
	}
	f.Faults = nil
}

// programSum returns the SHA-256 of a program.
func programSum(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New(absent)
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("is no file")
	}
	return FileSHA256(path)
}
