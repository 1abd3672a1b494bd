package results

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// packedSuffix ends the name of a node's records that Pack has compressed
// (Zstandard, RFC 8878). A trial goes on to name them without it.
const packedSuffix = ".zst"

// ErrPacked says that a run cannot be continued, as its records are compressed.
var ErrPacked = errors.New("its records are packed: continue the run that was packed")

// ErrInside says that a copy of a run would be a part of it.
var ErrInside = errors.New("inside the run itself")

// within says whether a path leads into a folder.
func within(path, folder string) bool {
	a, errA := filepath.Abs(path)
	b, errB := filepath.Abs(folder)
	rel, err := filepath.Rel(b, a)
	return errors.Join(errA, errB, err) == nil && filepath.IsLocal(rel)
}

// Pack copies a run to a new directory, its nodes' records compressed, and seals
// it anew: it has checksums and a description of its own, and is read, reported
// and verified as the run is. The report is left out, as it follows from the
// records. The run should have been verified, as a changed byte would be sealed
// with the others.
//
// An error leaves no directory behind; it wraps fs.ErrExist where there is one
// already, and ErrInside where it would be in the run.
func Pack(ctx context.Context, r *Run, dir string) (err error) {
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("pack to %s: %w", dir, fs.ErrExist)
	}
	if within(dir, r.Dir) {
		return fmt.Errorf("pack to %s: %w", dir, ErrInside)
	}
	files, err := rawFiles(r.Dir)
	if err != nil {
		return fmt.Errorf("pack %s: %w", r.Dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("pack to %s: %w", dir, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), temporary+"*")
	if err != nil {
		return fmt.Errorf("pack to %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.FromSlash(f.path)
		if err := packFile(filepath.Join(r.Dir, path), filepath.Join(tmp, path)); err != nil {
			return fmt.Errorf("pack %s: %w", f.path, err)
		}
	}
	w := &Writer{Dir: tmp, ID: r.Manifest.ID}
	if err := errors.Join(os.Chmod(tmp, 0o755), w.Seal(), syncTree(tmp)); err != nil {
		return fmt.Errorf("pack to %s: %w", dir, err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("pack to %s: %w", dir, err)
	}
	return syncPath(filepath.Dir(dir))
}

// packFile copies a file, compressed where it holds records.
func packFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	records := strings.HasSuffix(from, ".jsonl")
	if records {
		to += packedSuffix
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if !records {
		_, err := io.Copy(out, in)
		return err
	}
	// One goroutine, so that the same records give the same bytes.
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	_, err = io.Copy(z, in)
	return errors.Join(err, z.Close())
}

// packed says whether the records of a run are compressed.
func (r *Run) packed() bool {
	found, err := filepath.Glob(filepath.Join(r.Dir, TrialsDir, "*", "*"+packedSuffix))
	return err == nil && len(found) > 0
}

// openRecords opens a node's records, as they were written or packed.
func openRecords(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	p, packedErr := os.Open(path + packedSuffix)
	if packedErr != nil {
		return nil, err // what a run has that was never packed
	}
	z, err := zstd.NewReader(p, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unpack %s: %w", p.Name(), err), p.Close())
	}
	return packedRecords{z, p}, nil
}

// packedRecords reads compressed records.
type packedRecords struct {
	*zstd.Decoder
	file io.Closer
}

// Close hides the decoder's, which returns no error.
func (p packedRecords) Close() error {
	p.Decoder.Close()
	return p.file.Close()
}

// packedContent is what is to be known of compressed records: the sum of the
// file, and the lines of what it holds.
func packedContent(f io.Reader) content {
	hash := sha256.New()
	raw := io.TeeReader(f, hash)
	z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return content{err: err}
	}
	defer z.Close()
	c, err := countLines(z)
	if err != nil {
		return content{err: err}
	}
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return content{err: err}
	}
	c.sum = hex.EncodeToString(hash.Sum(nil))
	return c
}
