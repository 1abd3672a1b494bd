// Package man writes the manual pages of our programs from their own help, so that the
// two always agree.
package man

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// envDate is the date of a reproducible build, in Unix seconds
// (reproducible-builds.org, SOURCE_DATE_EPOCH).
const envDate = "SOURCE_DATE_EPOCH"

// Command is `man DIR`, which is not in the help: it writes the pages of the program
// that it is added to, one for each command. The program provides the check for one
// argument, as wrong usage has its own exit code.
func Command(one cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a folder",
		Hidden: true,
		Args:   one,
		RunE: func(c *cobra.Command, args []string) error {
			return write(c.Root(), args[0], os.Getenv(envDate))
		},
	}
}

// write makes the folder and its pages. Their date is the given one, or today.
func write(root *cobra.Command, dir, seconds string) error {
	date := time.Now()
	if seconds != "" {
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			return fmt.Errorf("%s=%q: want Unix seconds: %w", envDate, seconds, err)
		}
		date = time.Unix(n, 0)
	}
	date = date.UTC()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the manual's folder: %w", err)
	}
	root.DisableAutoGenTag = true // the page has its own date
	header := &doc.GenManHeader{Section: "1", Source: "equic-bench", Manual: "equic-bench", Date: &date}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("write the manual pages to %s: %w", dir, err)
	}
	return nil
}
