package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// askTime limits how long a gateway may take to answer.
const askTime = 10 * time.Second

func askCommand() *cobra.Command {
	var socket string
	c := &cobra.Command{
		Use:   "ask REQUEST...",
		Short: "Send a request to a running gateway, and print the reply",
		Long: `ask sends one request of the socket's protocol, such as status, quota 20 or
deny 192.0.2.7 for 1h, and prints the reply. An error of the gateway has exit code 2.
What is counted that way (inc, tryinc) is released at once, as the connection ends.`,
		Example: `  equic-gateway ask status
  equic-gateway ask deny 203.0.113.0/24 for 1h`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return wrong("ask takes a request, such as ask status")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			replies, err := ask(c.Context(), socket, strings.Join(args, " "))
			if err != nil {
				return machineError{err}
			}
			if text, failed := strings.CutPrefix(replies[0], "error: "); failed {
				return usageError{errors.New(text)}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), replies[0])
			return err
		},
	}
	c.Flags().StringVar(&socket, "socket", defaultSocket, "Unix socket of the gateway")
	c.Flags().SetInterspersed(false) // a request may have what looks like a flag
	return c
}

// ask sends requests to a gateway, and returns the reply to each.
func ask(ctx context.Context, socket string, requests ...string) (replies []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("no gateway answers: %w; give its --socket", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	until, _ := ctx.Deadline()
	if err := conn.SetDeadline(until); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, strings.Join(requests, "\n")+"\n"); err != nil {
		return nil, fmt.Errorf("ask the gateway: %w", err)
	}
	in := bufio.NewReader(conn)
	for range requests {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("ask the gateway: %w", err)
		}
		replies = append(replies, strings.TrimSuffix(line, "\n"))
	}
	return replies, nil
}
