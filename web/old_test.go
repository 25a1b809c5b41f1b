package web

import (
	"regexp"
	"strings"
	"testing"
)

// The tablet at the scanner may be ten years old. What it needs must hold nothing
// that a browser of that time stumbles over: one word of script that it does not
// know stops the whole file, and a rule of style that it does not know is left out.
func TestKioskKnowsNothingNew(t *testing.T) {
	read := func(name string) string {
		data, err := staticFiles.ReadFile("static/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	comments := regexp.MustCompile(`(?s)/\*.*?\*/|(?m)^\s*//.*$`)
	texts := regexp.MustCompile(`"[^"\n]*"`)
	script := regexp.MustCompile("=>|`|\\.\\.\\.|\\?\\.|\\?\\?|\\*\\*|\\b(let|const|class|async|await|of|import|export|Promise|fetch|Symbol|Map|Set|Proxy)\\b|catch \\{|\\.(closest|matches|append|remove|before|after|replaceWith|forEach|includes|startsWith|assign|entries|find|toggle|dataset)\\(")
	for _, name := range []string{"kiosk.js", "reload.js"} {
		code := texts.ReplaceAllString(comments.ReplaceAllString(read(name), ""), `""`)
		for i, line := range strings.Split(code, "\n") {
			if m := script.FindString(line); m != "" {
				t.Errorf("%s: %q is too new: %s (line %d without comments)", name, m, strings.TrimSpace(line), i+1)
			}
		}
	}
	style := regexp.MustCompile(`var\(|:(has|is|where|focus-visible|focus-within|not)\b|\b(clamp|min|max|inset|env|color-mix)\(|\b(gap|grid|inset|aspect-ratio|place-items)\b\s*:|display:\s*(flex|grid)|@(layer|container|supports|import)|&`)
	if m := style.FindString(comments.ReplaceAllString(read("kiosk.css"), "")); m != "" {
		t.Errorf("kiosk.css: %q is too new", m)
	}
	page, err := templateFiles.ReadFile("templates/kiosk.html")
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`<dialog|<template|loading=|type="module"|\bpopover|pages\.js|docscan\.css`).FindString(string(page)); m != "" {
		t.Errorf("kiosk.html: %q is too new", m)
	}

	// The way to it is the log-in, whose style may be young where something older
	// stands before it.
	sheet := comments.ReplaceAllString(read("docscan.css"), "")
	for _, rule := range regexp.MustCompile(`[^{}]+\{[^{}]*\}`).FindAllString(sheet, -1) {
		for _, m := range regexp.MustCompile(`([a-z-]+):[^;}]*\b(clamp|min|max)\(`).FindAllStringSubmatch(rule, -1) {
			if m[1] == "max-width" || m[1] == "grid-template-columns" {
				continue // a little too wide, or one column
			}
			if strings.Count(rule, m[1]+":") < 2 {
				t.Errorf("docscan.css: nothing older stands before %s: %s", m[0], strings.TrimSpace(rule))
			}
		}
		if strings.Contains(rule, "display: grid") && regexp.MustCompile(`[ ;{]gap:`).MatchString(rule) {
			t.Errorf("docscan.css: a grid has its gap as grid-gap: %s", strings.TrimSpace(rule))
		}
		if strings.Contains(rule, ":has(") {
			t.Errorf("docscan.css: %s", rule)
		}
	}
}
