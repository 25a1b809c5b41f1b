package web

import (
	"errors"
	"io"
	"net/http"

	"docscan/store"
	"docscan/store/audit"
)

// A backup is restored in two steps. It is handed in, proven and told of while docscan
// works; when somebody has looked at that and confirms it, docscan ends, and its next start
// puts the backup into the place of the data, which are kept aside.
const (
	restorePath = "/api/v1/system/restore"
	restorePage = "/system/restore"
)

func restoreRoutes() []route {
	return []route{
		{"GET", restorePath, admins, (*Server).apiStaged, "The backup that lies ready to be restored"},
		{"POST", restorePath, admins, (*Server).apiStage, "Hand in a backup as the body: it is proven and laid ready, and nothing else is changed"},
		{"DELETE", restorePath, admins, (*Server).apiDropStaged, "Remove the backup that lies ready"},
		{"POST", restorePath + "/start", admins, (*Server).apiRestoreBackup, "Restore what lies ready: {password}, which the local socket needs not. docscan starts anew with it; the data of now are kept aside"},
		{"POST", restorePage, admins, (*Server).stageForm, ""},
		{"POST", restorePage + "/start", admins, (*Server).restoreBackupForm, ""},
		{"POST", restorePage + "/drop", admins, (*Server).dropStagedForm, ""},
	}
}

const (
	// maxBackup bounds a backup that is handed in, in bytes: there is none. What there is
	// room for, the disk says.
	maxBackup = 1 << 50
	// spareRoom must be left beside a backup, in bytes, as people go on working.
	spareRoom = 256 << 20
)

var (
	errNoRestore = problemf(409, "no-restore", "Not possible here", "This docscan is not started by systemd, so it cannot start anew by itself. Stop it, and run: docscanctl restore FILE")
	errNoStaged  = problemf(404, "nothing-ready", "Nothing lies ready", "No backup lies ready. Hand it in first.")
	errAtWork    = problemf(409, "at-work", "Not now", "Paper is being scanned or read, or an update is going on. Wait until that has ended.")
	errStaging   = problemf(409, "busy", "Not now", "Somebody is handing in a backup at this moment.")
)

// stageBackup takes a backup of size bytes; -1: nobody has said how many.
func (s *Server) stageBackup(c *call, r io.Reader, size int64) (store.Staged, error) {
	if s.Restart == nil {
		return store.Staged{}, errNoRestore
	}
	if !s.staging.TryLock() {
		return store.Staged{}, errStaging
	}
	defer s.staging.Unlock()
	if err := s.Store.DropStaged(); err != nil {
		return store.Staged{}, err
	}
	free, _, err := s.Store.DiskBytes()
	if err != nil {
		return store.Staged{}, err
	}
	if uint64(max(size, 0))+spareRoom > free {
		return store.Staged{}, store.ErrDiskFull
	}
	room := &io.LimitedReader{R: r, N: int64(free - spareRoom)} // nobody may have said how much comes
	x, err := s.Store.StageBackup(room)
	if err != nil && room.N <= 0 {
		err = store.ErrDiskFull
	}
	entry := c.entry(audit.AdminAction, "restore_checked", x.ID)
	if err != nil {
		entry.Status = audit.Failure
	}
	return x, errors.Join(s.badBackup(err), s.Store.AddAudit(entry))
}

// badBackup puts what is wrong with a backup into words for people.
func (s *Server) badBackup(err error) error {
	switch {
	case errors.Is(err, store.ErrBadBackup):
		s.Log.Warn("a backup was refused", "err", err)
		return problemf(422, "bad-backup", "The backup cannot be used", "This is no whole backup of docscan: it is damaged, or a part of it is missing. Nothing was changed. Take another one.")
	case errors.Is(err, store.ErrNewerSchema):
		return problemf(422, "newer-backup", "The backup cannot be used", "This backup was made by a newer docscan. Install that version first. Nothing was changed.")
	}
	return err
}

// withStaged lets do work with the backup that lies ready, if the wish was made from it.
func (s *Server) withStaged(from from, do func(store.Staged) error) error {
	if !s.staging.TryLock() {
		return errStaging
	}
	defer s.staging.Unlock()
	x, err := s.staged(from)
	if err != nil {
		return err
	}
	return do(x)
}

// staged gives the backup that lies ready, if the wish was made from it.
func (s *Server) staged(from from) (store.Staged, error) {
	x, err := s.Store.Staged()
	if errors.Is(err, store.ErrNotFound) {
		return x, errNoStaged
	}
	if err == nil && from != nil {
		err = from(x)
	}
	return x, err
}

// restore has what lies ready restored at the next start, which it brings about.
func (s *Server) restore(c *call, password string, from from) error {
	if s.Restart == nil {
		return errNoRestore
	}
	if c.user.ID != "" {
		if err := s.confirm(c, password); err != nil {
			return err
		}
	}
	return s.withStaged(from, func(x store.Staged) error {
		if err := s.atRest(); err != nil {
			return err
		}
		return s.Store.ReadyStaged(x.ID, c.entry(audit.AdminAction, "restore", x.ID))
	})
}

// atRest is an error while something goes on that a restore would tear apart.
func (s *Server) atRest() error {
	open, err := s.Store.OpenBatches()
	if err != nil {
		return err
	}
	if s.Updates != nil {
		st, err := s.Updates.Status()
		if err != nil {
			return err
		}
		if st.Doing != "" || st.State == "trying" {
			return errAtWork
		}
	}
	if len(open) > 0 {
		return errAtWork
	}
	return nil
}

func (s *Server) dropStaged(c *call, from from) error {
	return s.withStaged(from, func(x store.Staged) error {
		if err := s.Store.DropStaged(); err != nil {
			return err
		}
		return s.Store.AddAudit(c.entry(audit.AdminAction, "restore_dropped", x.ID))
	})
}

func (s *Server) apiStaged(c *call) error {
	x, err := s.staged(nil)
	if err != nil {
		return err
	}
	return c.tagged(x)
}

func (s *Server) apiStage(c *call) error {
	body := &patient{ReadCloser: c.r.Body, control: http.NewResponseController(c.w)}
	x, err := s.stageBackup(c, body, c.r.ContentLength)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", tagOf(x))
	return writeJSON(c.w, http.StatusCreated, x)
}

func (s *Server) apiDropStaged(c *call) error {
	if err := s.dropStaged(c, c.apiFrom); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiRestoreBackup(c *call) error {
	var in struct{ Password string }
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if err := s.restore(c, in.Password, c.apiFrom); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	s.Restart() // which waits for this answer
	return nil
}

// restoreRefused shows the page of the box with what was wrong.
func (s *Server) restoreRefused(c *call, err error) error {
	p := s.explain(c, err)
	if p.Status >= 500 && p.Status != http.StatusInsufficientStorage {
		return err
	}
	return s.system(c, systemData{Status: p.Status, RestoreError: c.say(p)})
}

func (s *Server) stageForm(c *call) error {
	c.r.Body = &patient{ReadCloser: c.r.Body, control: http.NewResponseController(c.w)}
	parts, err := c.r.MultipartReader()
	if err != nil {
		return badForm(err)
	}
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return s.restoreRefused(c, problemf(422, "no-file", "No file", "Choose the backup, such as docscan-20260309-080000.backup."))
		case err != nil:
			return badForm(err)
		case part.FormName() != "backup" || part.FileName() == "":
			continue
		}
		if _, err := s.stageBackup(c, part, c.r.ContentLength); err != nil {
			return s.restoreRefused(c, err)
		}
		return redirect(c, "/system#h-backup")
	}
}

func (s *Server) restoreBackupForm(c *call) error {
	if err := s.restore(c, c.r.PostFormValue("password"), c.formFrom); err != nil {
		return s.restoreRefused(c, err)
	}
	if err := s.show(c, "restoring", nil); err != nil {
		return err
	}
	s.Restart() // which waits for this answer
	return nil
}

func (s *Server) dropStagedForm(c *call) error {
	if err := s.dropStaged(c, c.formFrom); err != nil {
		return s.restoreRefused(c, err)
	}
	tell(c, "deleted", "")
	return redirect(c, "/system")
}
