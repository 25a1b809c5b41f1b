package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Of the languages that are wished for the machine's only source of packages has the
// first; see rig update.
const language, noLanguage = "fry", "xyz"

// language installs a language as a person does on docscan's page: root's unit does what
// docscan may only wish for.
func (u *upkeep) language() error {
	if err := useRepository(); err != nil {
		return err
	}
	type wish struct{ Name, State, Reason string }
	ask := func(name string) (w wish, here []string, err error) {
		if err := u.daemon.post("/api/v1/languages", map[string]string{"name": name}); err != nil {
			return w, nil, err
		}
		err = until("the wish for the language "+name+" is answered", patience, func() (bool, error) {
			var answer struct {
				Languages []struct{ Name string }
				Wish      *wish
			}
			_, err := u.daemon.get("/api/v1/languages", &answer)
			if err != nil || answer.Wish == nil || answer.Wish.Name != name || answer.Wish.State == "installing" {
				return false, err
			}
			w, here = *answer.Wish, nil
			for _, l := range answer.Languages {
				here = append(here, l.Name)
			}
			return true, nil
		})
		return w, here, err
	}
	w, here, err := ask(language)
	if err != nil {
		return err
	}
	if w.State != "installed" || !slices.Contains(here, language) {
		log, _ := u.run("journalctl", "-b", "-n", "40", "-u", "docscan-languages", "-u", "docscan-language-fetch", "--no-pager", "-o", "cat")
		return fmt.Errorf("the wish for %s is %s (%s), there are %q\n%s", language, w.State, w.Reason, here, log)
	}
	if w, _, err = ask(noLanguage); err != nil {
		return err
	}
	if w.State != "failed" || w.Reason == "" {
		return fmt.Errorf("the wish for %s, which nobody has, is %s (%s)", noLanguage, w.State, w.Reason)
	}
	u.say("the language %s was installed by root's unit; of another it said: %s", language, w.Reason)
	return nil
}

// useRepository makes the machine, which has no network, take packages from the kit.
func useRepository() error {
	others, err := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, name := range others {
		err = errors.Join(err, os.Remove(name))
	}
	return errors.Join(err, os.WriteFile("/etc/apt/sources.list", []byte("deb [trusted=yes] file:"+kitDir+"/repository ./\n"), 0o644))
}
