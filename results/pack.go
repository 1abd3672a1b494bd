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
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// packedSuffix is at the end of the name of a node's records that Pack has compressed
// (Zstandard, RFC 8878). A trial still names them without it.
const packedSuffix = ".zst"

// ErrPacked means that a run cannot be continued because its records are compressed.
var ErrPacked = errors.New("its records are packed: continue the run that was packed")

// ErrNoReport means that a run has no report to copy.
var ErrNoReport = errors.New("no report: draw it first with `equic-bench report`")

// ErrInside means that a copy of a run would be inside the run.
var ErrInside = errors.New("inside the run itself")

// Within reports whether a path is a folder, or in it.
func Within(path, folder string) bool {
	a, errA := filepath.Abs(path)
	b, errB := filepath.Abs(folder)
	rel, err := filepath.Rel(b, a)
	return errors.Join(errA, errB, err) == nil && filepath.IsLocal(rel)
}

// Pack copies a run to a new directory, compresses its nodes' records, and seals the
// copy: it has its own checksums and description, and can be read, reported and
// verified like the run. The report is left out, because it can be drawn from the
// records. Verify the run before: otherwise changed bytes are sealed too.
//
// After an error there is no new directory. The error wraps fs.ErrExist if the
// directory exists already, and ErrInside if it would be in the run.
func Pack(ctx context.Context, r *Run, dir string) error {
	files, err := rawFiles(r.Dir)
	if err != nil {
		return fmt.Errorf("pack %s: %w", r.Dir, err)
	}
	return r.copyTo(ctx, dir, files, func(tmp string) error {
		return (&Writer{Dir: tmp, ID: r.Manifest.ID}).Seal()
	})
}

// PackReport copies a run to a new directory with its report, without its nodes' records and
// without the RO-Crate, which describes these. Everything else is as in the run, including its
// checksums, which identify the records. Without the
// records, Verify checks what is there.
//
// Errors are like those of Pack. If the run has no report, the error wraps ErrNoReport.
func PackReport(ctx context.Context, r *Run, dir string) error {
	reportDir := os.DirFS(filepath.Join(r.Dir, ReportDir))
	if _, err := fs.Stat(reportDir, "."); err != nil {
		return fmt.Errorf("pack the report of %s: %w", r.Dir, ErrNoReport)
	}
	files, err := rawFiles(r.Dir)
	if err != nil {
		return fmt.Errorf("pack %s: %w", r.Dir, err)
	}
	files = slices.DeleteFunc(files, func(f sealed) bool { return isRecords(f.path) })
	files = append(files, sealed{path: ChecksumsFile})
	return r.copyTo(ctx, dir, files, func(tmp string) error {
		return os.CopyFS(filepath.Join(tmp, ReportDir), reportDir)
	})
}

// isRecords reports whether a file of a run contains a node's records, packed or not.
func isRecords(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(name, packedSuffix), ".jsonl")
}

// copyTo packs files of a run into a new directory, which is there only when finish has
// completed it.
func (r *Run) copyTo(ctx context.Context, dir string, files []sealed, finish func(tmp string) error) (err error) {
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("pack to %s: %w", dir, fs.ErrExist)
	}
	if Within(dir, r.Dir) {
		return fmt.Errorf("pack to %s: %w", dir, ErrInside)
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
	if err := errors.Join(os.Chmod(tmp, 0o755), finish(tmp), syncTree(tmp)); err != nil {
		return fmt.Errorf("pack to %s: %w", dir, err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("pack to %s: %w", dir, err)
	}
	return syncPath(filepath.Dir(dir))
}

// packFile copies a file. If it contains records, the copy is compressed.
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

// packed reports whether the records of a run are compressed.
func (r *Run) packed() bool {
	found, err := filepath.Glob(filepath.Join(r.Dir, TrialsDir, "*", "*"+packedSuffix))
	return err == nil && len(found) > 0
}

// openRecords opens a node's records, packed or not.
func openRecords(path string) (io.ReadCloser, error) {
	f, err := openRegular(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	p, packedErr := openRegular(path + packedSuffix)
	if errors.Is(packedErr, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: a copy without records has only the report that it came with", err)
	}
	if packedErr != nil {
		return nil, packedErr
	}
	z, err := zstd.NewReader(p, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unpack %s: %w", p.Name(), err), p.Close())
	}
	return packedRecords{z, p}, nil
}

func openRegular(path string) (*os.File, error) {
	if err := checkRegular(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// packedRecords reads compressed records.
type packedRecords struct {
	*zstd.Decoder
	file io.Closer
}

// Close hides the Close of the decoder, which returns no error.
func (p packedRecords) Close() error {
	p.Decoder.Close()
	return p.file.Close()
}

// packedContent returns the content of compressed records: the sum of the file, and the
// lines of the records.
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
