package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"docscan/store"
)

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "write everything docscan keeps into one file, also while it scans",
		Long: `Write everything docscan keeps into one file, also while it scans. The file
holds all documents and the hashes of all passwords: keep it as safe as the box.

It is verified before it takes the place of FILE, so FILE is always a whole
backup or untouched.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			n, err := c.DownloadPrivate(cmd.Context(), "/api/v1/system/backup", args[0], func(f *os.File) error {
				if err := store.VerifyBackup(f); err != nil {
					return fmt.Errorf("the backup did not arrive whole, and was thrown away: %w", err)
				}
				return nil
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"file": args[0], "size": n, "verified": true})
			}
			fmt.Fprintf(a.out, "%s (%s), verified.\n", clean(args[0]), bytesText(n))
			return nil
		},
	}
}

// dataPlaces is where the data directory is looked for when nobody names it.
var dataPlaces = []string{"/var/lib/docscan", "var"}

// dataDir gives the directory that flag or environment name, or the first of
// the usual ones that is there.
func (a *app) dataDir(flag string) (string, error) {
	if dir := cmp.Or(flag, a.getenv("DOCSCAN_STORE_DIR")); dir != "" {
		return dir, nil
	}
	for _, dir := range dataPlaces {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return dir, nil
		}
	}
	return "", usagef("no data directory is to be found; name it with --data DIR")
}

func (a *app) restoreCommand() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "put a backup into the data directory of a docscand that is stopped",
		Long: `Put a backup into the data directory of a docscand that is stopped. The whole
file is verified before anything is touched; a damaged one is refused. Data that
are there already are moved aside, never deleted.

The directory is --data, else $DOCSCAN_STORE_DIR, else /var/lib/docscan or ./var.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := a.dataDir(data)
			if err != nil {
				return err
			}
			return a.restore(args[0], dir)
		},
	}
	c.Flags().StringVar(&data, "data", "", "the data `DIR`ectory of docscand (store.dir)")
	return c
}

func (a *app) restore(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close()
	before, err := replaced(dir)
	if err != nil {
		return err
	}
	if err := store.RestoreBackup(f, dir); err != nil {
		return err
	}
	if err := handOver(dir); err != nil {
		return fmt.Errorf("the backup is restored, but docscand's user may not be able to read it: %w", err)
	}
	after, err := replaced(dir)
	if err != nil {
		return err
	}
	aside := slices.DeleteFunc(after, func(path string) bool { return slices.Contains(before, path) })
	if a.json {
		return a.printJSON(map[string]any{"file": file, "data": dir, "replaced": aside})
	}
	fmt.Fprintf(a.out, "%s was verified and restored into %s.\n", clean(file), clean(dir))
	for _, path := range aside {
		fmt.Fprintf(a.out, "The data that were there before are in %s; delete them when they are no longer wanted.\n", clean(path))
	}
	fmt.Fprintln(a.out, "Now start docscand.")
	return nil
}

// replaced lists where earlier restores have moved the data that were there.
func replaced(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look into the data directory: %w", err)
	}
	var list []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "replaced-") {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list, nil
}
