// Command caddy is Caddy with its standard modules, to be measured
// (scenarios/servers/caddy.yaml).
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
