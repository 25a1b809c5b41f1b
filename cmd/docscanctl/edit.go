package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// documentsEditCommand says of a document what a person would on its page.
func (a *app) documentsEditCommand() *cobra.Command {
	marks := make(map[string]*string)
	var tags []string
	c := &cobra.Command{
		Use:   "edit ID",
		Short: "change title, date, correspondent, type, tags or note of a document",
		Long: `Change what is said of a document; what is not given stays as it is. If somebody
else changes it at the same moment, nothing is overwritten and this fails.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := make(map[string]any)
			for name, value := range marks {
				if cmd.Flags().Changed(flagOf(name)) {
					in[name] = *value
				}
			}
			if cmd.Flags().Changed("tag") {
				in["tags"] = tags
			}
			if len(in) == 0 {
				return usagef("say what to change, such as --title or --tag")
			}
			cl, err := a.connect()
			if err != nil {
				return err
			}
			raw, err := cl.Get(cmd.Context(), documentPath(args[0], ""))
			if err != nil {
				return err
			}
			var d struct {
				Revision int `json:"revision"`
			}
			if err := decode(raw, &d); err != nil {
				return err
			}
			raw, err = cl.Patch(cmd.Context(), documentPath(args[0], ""), in, fmt.Sprintf(`"r%d"`, d.Revision))
			if err != nil {
				return err
			}
			var answer struct {
				Document document `json:"document"`
			}
			printed, err := a.show(raw, &answer)
			if err != nil || printed {
				return err
			}
			fmt.Fprintf(a.out, "Changed: %s\n", clean(answer.Document.Title))
			return nil
		},
	}
	for name, what := range map[string]string{"title": "the title", "date": "the date that stands on it, as 2026-03-09", "correspondent": "who it is from or to", "type": "the kind of document", "remark": "a note"} {
		marks[name] = c.Flags().String(flagOf(name), "", what)
	}
	c.Flags().StringSliceVar(&tags, "tag", nil, "the tags, all of them: `TAGS` with commas between them, or \"\" for none")
	return c
}

// flagOf is what a field of the API is called on the command line.
func flagOf(field string) string {
	if field == "remark" {
		return "note"
	}
	return field
}

func (a *app) documentsTrashCommand() *cobra.Command {
	var forever bool
	c := &cobra.Command{
		Use:   "trash [ID]",
		Short: "put a document into the trash; without ID list what is in it",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listTrash(cmd)
			}
			cl, err := a.connect()
			if err != nil {
				return err
			}
			path, done := documentPath(args[0], ""), "It is in the trash. \"docscanctl documents restore\" takes it out."
			if forever {
				path, done = path+"?forever=1", "It is deleted with its pages."
			}
			if err := cl.Delete(cmd.Context(), path); err != nil {
				return err
			}
			fmt.Fprintln(a.out, done)
			return nil
		},
	}
	c.Flags().BoolVar(&forever, "forever", false, "delete it with its pages; it cannot be restored")
	return c
}

func (a *app) listTrash(cmd *cobra.Command) error {
	var answer struct {
		Documents []document `json:"documents"`
	}
	printed, err := a.get(cmd.Context(), "/api/v1/trash?limit=500", &answer)
	if err != nil || printed {
		return err
	}
	if len(answer.Documents) == 0 {
		fmt.Fprintln(a.out, "The trash is empty.")
		return nil
	}
	var t table
	t.add("ID", "SCANNED", "TITLE")
	for _, d := range answer.Documents {
		t.add(d.ID, moment(d.Created), d.Title)
	}
	return t.print(a.out)
}

func (a *app) documentsRestoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore ID",
		Short: "take a document out of the trash",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var answer struct {
				Document document `json:"document"`
			}
			printed, err := a.post(cmd.Context(), documentPath(args[0], "/restore"), nil, &answer)
			if err != nil || printed {
				return err
			}
			fmt.Fprintf(a.out, "Restored: %s\n", clean(answer.Document.Title))
			return nil
		},
	}
}
