package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// compare puts the same load on a plain restart, and on nginx whose port behind
// is changed.
func (f *field) compare(ctx context.Context, n int) error {
	done := 0
	r, err := f.under(ctx, f.URL, true, func() error {
		for ; done < n && !f.over(); done++ {
			if err := f.Restart(ctx); err != nil {
				return err
			}
			if err := sleep(ctx, time.Second); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.Errors = r.Errors[:min(1, len(r.Errors))]
	r.print(f.out, fmt.Sprintf("%d stops and starts", done))
	if f.over() {
		return nil
	}
	if _, err := exec.LookPath("nginx"); err != nil {
		fmt.Fprintln(f.out, "nginx is not installed (Debian: nginx-light); it is not compared with")
		return nil
	}
	return f.compareNginx(ctx, n)
}

// nginxConf serves at the one port what is at the other.
const nginxConf = `daemon off; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log; worker_processes 2;
events {}
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
client_max_body_size 20m;
server { listen %[2]s; location / { proxy_pass http://%[3]s; proxy_buffering off; } } }
`

// compareNginx lets docscan stand behind nginx. One store has one process, so
// a change is: stop, start at the other port, reload nginx.
func (f *field) compareNginx(ctx context.Context, n int) error {
	conf := filepath.Join(f.dir, "nginx.conf")
	front, err := freeAddress()
	if err != nil {
		return err
	}
	other, err := freeAddress()
	if err != nil {
		return err
	}
	here := f.Set["web.listen"]
	write := func() error {
		return os.WriteFile(conf, fmt.Appendf(nil, nginxConf, f.dir, front, here), 0o600)
	}
	if err := write(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "nginx", "-c", conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is for us alone
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start nginx: %w", err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it has nothing to lose
		_ = cmd.Wait()
	}()
	if err := reachable(ctx, "http://"+front+"/api/health"); err != nil {
		return err
	}
	done := 0
	r, err := f.under(ctx, "http://"+front, true, func() error {
		for ; done < n && !f.over(); done++ {
			here, other = other, here
			f.Set["web.listen"] = here
			if err := f.Restart(ctx); err != nil {
				return err
			}
			if err := write(); err != nil {
				return err
			}
			if out, err := exec.CommandContext(ctx, "nginx", "-c", conf, "-s", "reload").CombinedOutput(); err != nil {
				return fmt.Errorf("reload nginx: %w\n%s", err, out)
			}
			if err := sleep(ctx, time.Second); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.Errors = r.Errors[:min(1, len(r.Errors))]
	r.print(f.out, fmt.Sprintf("%d changes behind nginx", done))
	return nil
}

// freeAddress gives an address that is free now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("look for a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func reachable(ctx context.Context, url string) error {
	for range 100 {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			return nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("nobody answers at %s", url)
}
