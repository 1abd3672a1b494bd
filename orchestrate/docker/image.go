package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// repository names the nodes' image; its tag is a digest of its contents.
const repository = "equic-bench/node"

// file is one file of the image's build context.
type file struct {
	name string
	data []byte
}

// BuildImage makes the image of the nodes from their binaries in the folder bin, and returns its
// tag and its ID. An existing image of the same binaries is reused.
func (e *Engine) BuildImage(ctx context.Context, bin string) (tag, id string, err error) {
	files, err := buildContext(bin)
	if err != nil {
		return "", "", err
	}
	tag = repository + ":" + digest(files)
	have, err := e.ImageInspect(ctx, tag)
	if err == nil {
		return tag, have.ID, nil
	}
	if !errdefs.IsNotFound(err) {
		return "", "", fmt.Errorf("look for image %s: %w", tag, err)
	}
	archive, err := pack(files)
	if err != nil {
		return "", "", fmt.Errorf("pack image %s: %w", tag, err)
	}
	response, err := e.ImageBuild(ctx, archive, build.ImageBuildOptions{
		Version: build.BuilderV1, // in every engine, and needs no download
		Tags:    []string{tag},
		Remove:  true, ForceRemove: true,
	})
	if err != nil {
		return "", "", fmt.Errorf("build image %s: %w", tag, err)
	}
	if err := errors.Join(buildError(response.Body), response.Body.Close()); err != nil {
		return "", "", fmt.Errorf("build image %s: %w", tag, err)
	}
	made, err := e.ImageInspect(ctx, tag)
	if err != nil {
		return "", "", fmt.Errorf("find the image built as %s: %w", tag, err)
	}
	return tag, made.ID, nil
}

// Unprepare removes the nodes' images of all builds, except those that a container
// uses.
func (r *Runtime) Unprepare(ctx context.Context) (removed []string, err error) {
	return r.engine.RemoveImages(ctx)
}

// RemoveImages removes the nodes' images of all builds from this engine, except those that a
// container uses, and returns their names.
func (e *Engine) RemoveImages(ctx context.Context) (removed []string, err error) {
	all, err := e.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", repository))})
	if err != nil {
		return nil, fmt.Errorf("list images %s: %w", repository, err)
	}
	for _, i := range all {
		for _, name := range i.RepoTags {
			_, removeErr := e.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true})
			switch {
			case removeErr == nil:
				removed = append(removed, "image "+name)
			case !errdefs.IsConflict(removeErr) && !errdefs.IsNotFound(removeErr):
				err = errors.Join(err, fmt.Errorf("remove image %s: %w", name, removeErr))
			}
		}
	}
	return removed, err
}

// buildContext returns the nodes' binaries and the recipe.
func buildContext(dir string) ([]file, error) {
	recipe := "FROM scratch\nCOPY " + strings.Join(orchestrate.Binaries(), " ") + " /\n"
	files := []file{{"Dockerfile", []byte(recipe)}}
	for _, name := range orchestrate.Binaries() {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the nodes' binary %s: %w; run `make build`", name, err)
		}
		if err := static(data); err != nil {
			return nil, fmt.Errorf("%s: %w; run `make build`", path, err)
		}
		files = append(files, file{name, data})
	}
	return files, nil
}

// static returns an error if a binary cannot run in an image that contains nothing else.
func static(binary []byte) error {
	f, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("not a Linux binary: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("not a static binary: it needs an interpreter, build it with CGO_ENABLED=0")
		}
	}
	return nil
}

// digest identifies a set of files.
func digest(files []file) string {
	h := sha256.New()
	for _, f := range files {
		sum := sha256.Sum256(f.data)
		_, _ = fmt.Fprintf(h, "%s %x\n", f.name, sum) // writing to a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// pack makes a tar archive, identical for equal files.
func pack(files []file) (io.Reader, error) {
	archive := new(bytes.Buffer)
	w := tar.NewWriter(archive)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.data)), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	return archive, w.Close()
}

// buildError reads the builder's output to its end. The engine answers 200 OK before it
// builds, so an error can only be in the stream.
func buildError(stream io.Reader) error {
	for d := json.NewDecoder(stream); ; {
		var said struct {
			Error string `json:"error"`
		}
		if err := d.Decode(&said); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the builder's output: %w", err)
		}
		if said.Error != "" {
			return errors.New(said.Error)
		}
	}
}
