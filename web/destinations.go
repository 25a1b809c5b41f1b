package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"docscan/scan/deliver"
	"docscan/store"
	"docscan/store/audit"
)

// destinationRoutes are about where documents go beside this box.
func destinationRoutes() []route {
	return []route{
		{"GET", "/api/v1/destinations", admins, (*Server).apiDestinations, "Where documents go beside this box, and how each stands; passwords are not told"},
		{"POST", "/api/v1/destinations", admins, (*Server).apiAddDestination, "Add {name, kind: folder|webdav, folder?, url?, user?, password?, older?}; it is tried first"},
		{"DELETE", "/api/v1/destinations/:id", admins, (*Server).apiDeleteDestination, "Forget a destination; what has arrived there stays"},
		{"POST", "/api/v1/destinations/:id/retry", admins, (*Server).apiRetry, "Try what waits at once"},
		{"GET", "/api/v1/documents/:id/deliveries", members, (*Server).apiDeliveries, "Where a document has arrived, or why not yet"},
		{"GET", "/destinations", admins, (*Server).destinationsPage, ""},
		{"POST", "/destinations", admins, (*Server).destinationForm, ""},
		{"POST", "/destinations/:id/delete", admins, (*Server).deleteDestinationForm, ""},
		{"POST", "/destinations/:id/retry", admins, (*Server).retryForm, ""},
	}
}

// maxDestinations bounds how many there are.
const maxDestinations = 20

// destinationView is a destination without its password.
type destinationView struct {
	store.Destination
	Password any           `json:"password,omitempty"` // hides the one of Destination
	Plain    bool          `json:"plain,omitempty"`    // what goes there can be read on its way
	State    deliver.State `json:"state"`
}

func (s *Server) destinationViews() ([]destinationView, error) {
	list, err := s.Store.Destinations()
	if err != nil {
		return nil, err
	}
	views := []destinationView{}
	for _, d := range list {
		state, err := s.Deliveries.State(d.ID)
		if err != nil {
			return nil, err
		}
		d.Password = ""
		views = append(views, destinationView{Destination: d, Plain: deliver.Plain(d), State: state})
	}
	return views, nil
}

func (s *Server) apiDestinations(c *call) error {
	views, err := s.destinationViews()
	if err != nil {
		return err
	}
	views, next, err := paged(c, views, func(v destinationView) string { return string(v.ID) })
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, destinationsView{views, next})
}

// addDestination tries a destination and keeps it.
func (s *Server) addDestination(c *call, d store.Destination) (store.Destination, error) {
	d.ID, d.Created = store.DestinationID(store.NewID()), time.Now()
	d.Folder, d.URL, d.User = strings.TrimSpace(d.Folder), strings.TrimSpace(d.URL), strings.TrimSpace(d.User)
	name, err := label(d.Name)
	if err != nil {
		return d, err
	}
	d.Name = name
	list, err := s.Store.Destinations()
	if err != nil {
		return d, err
	}
	switch {
	case len(list) >= maxDestinations:
		return d, problemf(422, "too-many-destinations", "Not possible", "There are %d destinations. Delete one first.", maxDestinations)
	case len(d.Folder)+len(d.URL)+len(d.User)+len(d.Password) > 4096:
		return d, problemf(422, "bad-destination", "Not possible", "Folder, address, name and password are too long.")
	}
	if d.Kind == "folder" {
		d.URL, d.User, d.Password = "", "", ""
	} else {
		d.Folder = ""
	}
	if deliver.Plain(d) && !s.cfg.PlainDestinations {
		return d, problemf(422, "plain-destination", "The destination cannot be used", "With http:// whoever is on the way can read the name, the password and the documents. Use an address with https://. If there is none, plain_destinations in docscan.toml allows this one.")
	}
	if err := deliver.Try(c.r.Context(), d); err != nil {
		if errors.Is(err, deliver.ErrChoice) {
			return d, problemf(422, "bad-destination", "The destination cannot be used", "It cannot be used: %s.", strings.TrimPrefix(err.Error(), deliver.ErrChoice.Error()+": "))
		}
		return d, err
	}
	entry := c.entry(audit.AdminAction, "destination_added", d.Name)
	entry.Details = d.Folder + d.URL // one of them; no password stands in an address
	if err := s.Store.PutDestination(d, entry); err != nil {
		return d, err
	}
	s.Deliveries.Wake()
	return d, nil
}

func (s *Server) apiAddDestination(c *call) error {
	var in store.Destination
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	d, err := s.addDestination(c, in)
	if err != nil {
		return err
	}
	d.Password = ""
	return writeJSON(c.w, http.StatusCreated, destinationView{Destination: d, Plain: deliver.Plain(d)})
}

func (s *Server) deleteDestination(c *call) error {
	d, err := s.destination(c)
	if err != nil {
		return err
	}
	entry := c.entry(audit.AdminAction, "destination_deleted", string(d.ID))
	entry.Details = d.Name
	return s.Store.DeleteDestination(d.ID, entry)
}

// destination gives the one of a request.
func (s *Server) destination(c *call) (store.Destination, error) {
	list, err := s.Store.Destinations()
	if err != nil {
		return store.Destination{}, err
	}
	for _, d := range list {
		if string(d.ID) == c.ps.ByName("id") {
			return d, nil
		}
	}
	return store.Destination{}, errNotFound
}

func (s *Server) apiDeleteDestination(c *call) error {
	if err := s.deleteDestination(c); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// retry has everything that waits tried at once.
func (s *Server) retry(c *call) error {
	if _, err := s.destination(c); err != nil {
		return err
	}
	s.Deliveries.Wake()
	return nil
}

func (s *Server) apiRetry(c *call) error {
	if err := s.retry(c); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// arrival is how a document stands with one destination.
type arrival struct {
	Name  string    `json:"name"` // of the destination
	Done  time.Time `json:"done,omitzero"`
	Next  time.Time `json:"next,omitzero"` // of the next try
	Error string    `json:"error,omitempty"`
}

func (s *Server) arrivals(id store.DocumentID) ([]arrival, error) {
	all, err := s.Store.Destinations()
	if err != nil {
		return nil, err
	}
	list := []arrival{}
	for _, to := range all {
		d, err := s.Store.Delivery(to.ID, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, arrival{Name: to.Name, Done: d.Done, Next: d.Next, Error: d.Error})
	}
	return list, nil
}

func (s *Server) apiDeliveries(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	list, err := s.arrivals(d.ID)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, map[string]any{"deliveries": list})
}

type destinationsData struct {
	Destinations []destinationView
	Edited       store.Destination // what was refused, to be corrected
	Error        string
}

func (s *Server) destinations(c *call, status int, data destinationsData) error {
	var err error
	if data.Destinations, err = s.destinationViews(); err != nil {
		return err
	}
	return s.render(c.w, c.r, c.caller, status, "destinations", data)
}

func (s *Server) destinationsPage(c *call) error {
	return s.destinations(c, http.StatusOK, destinationsData{})
}

func (s *Server) destinationForm(c *call) error {
	form := c.r.PostFormValue
	d, err := s.addDestination(c, store.Destination{
		Name: form("name"), Kind: form("kind"), Folder: form("folder"), URL: form("url"), User: form("user"), Password: form("password"), Older: form("older") != "",
	})
	if err != nil {
		if p := problem(err); p.Status == http.StatusUnprocessableEntity {
			d.Password = ""
			return s.destinations(c, p.Status, destinationsData{Edited: d, Error: c.say(p)})
		}
		return err
	}
	tell(c, "saved", "")
	return redirect(c, "/destinations")
}

func (s *Server) deleteDestinationForm(c *call) error {
	if err := s.deleteDestination(c); err != nil {
		return err
	}
	tell(c, "deleted", "")
	return redirect(c, "/destinations")
}

func (s *Server) retryForm(c *call) error {
	if err := s.retry(c); err != nil {
		return err
	}
	return redirect(c, "/destinations")
}
