package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/equic-bench/equic-bench/equic"
)

const (
	metricsTimeout = 10 * time.Second // bounds each part of a request
	mostScrapers   = 16               // connections at a time; others wait
)

// metricsServer answers Prometheus at /metrics.
type metricsServer struct {
	server *http.Server
	done   chan struct{} // closed when the server has ended
}

func startMetrics(ctx context.Context, address string, g *equic.Gateway, log *slog.Logger) (*metricsServer, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", equic.MetricsHandler(g))
	m := &metricsServer{
		server: &http.Server{
			Handler:           mux,
			ReadHeaderTimeout: metricsTimeout,
			ReadTimeout:       metricsTimeout,
			WriteTimeout:      metricsTimeout,
			IdleTimeout:       time.Minute,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(m.done)
		if err := m.server.Serve(netutil.LimitListener(listener, mostScrapers)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serve metrics: they have ended, the gateway goes on", "error", err)
		}
	}()
	log.Info("metrics", "url", "http://"+listener.Addr().String()+"/metrics")
	return m, nil
}

// stop ends the server and the requests in progress.
func (m *metricsServer) stop() {
	_ = m.server.Close() // there is nowhere to report it
	<-m.done
}
