package reach

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// configs are the files of ssh_config, the first goes before the second.
type configs []*ssh_config.Config

// readConfigs reads ~/.ssh/config and the system's, or what the options name.
func readConfigs(o Options) (configs, error) {
	names := []string{filepath.Join(o.Home, ".ssh", "config"), "/etc/ssh/ssh_config"}
	switch {
	case strings.EqualFold(o.Config, "none"):
		return nil, nil
	case o.Config != "":
		names = []string{o.expand(o.Config)}
	}
	var all configs
	for _, name := range names {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && o.Config == "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read ssh_config: %w", err)
		}
		c, err := ssh_config.DecodeBytes(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w. If you cannot change it, use a plain one with --ssh-config FILE, or none with --ssh-config none", name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// hostConfig is what the files say of one host.
type hostConfig struct {
	configs
	name string
	err  error
}

func (c configs) of(name string) *hostConfig { return &hostConfig{configs: c, name: name} }

// get gives the first value of a key, empty if there is none.
func (h *hostConfig) get(key string) string {
	for _, c := range h.configs {
		v, err := c.Get(h.name, key)
		if err != nil {
			h.err = fmt.Errorf("ssh_config for %s: %w", h.name, err)
		}
		if v != "" {
			return v
		}
	}
	return ""
}

// all gives every value of a key.
func (h *hostConfig) all(key string) []string {
	var all []string
	for _, c := range h.configs {
		v, err := c.GetAll(h.name, key)
		if err != nil {
			h.err = fmt.Errorf("ssh_config for %s: %w", h.name, err)
		}
		all = append(all, v...)
	}
	return all
}
