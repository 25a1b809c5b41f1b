package main

import (
	"docscan/packaging/language"
	"docscan/web"
)

// languageInstaller is the box's installer in the words of the pages.
type languageInstaller struct{ *language.Installer }

var _ web.LanguageInstaller = languageInstaller{}

func (languageInstaller) Available() []string { return language.Available() }

func (i languageInstaller) Progress() (name, state, reason string) {
	p := i.Installer.Progress()
	if p == nil {
		return "", "", ""
	}
	return p.Language, string(p.State), p.Reason
}
