package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

// daemonFlags are the flags of up and run.
type daemonFlags struct {
	name      string
	listen    []string
	api       string
	noAPI     bool
	noMDNS    bool
	noDHT     bool
	bootstrap []string
}

func (f *daemonFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "name of this device (default: the machine's)")
	flags.StringArrayVar(&f.listen, "listen", nil, "`multiaddr` to listen on, such as /ip4/0.0.0.0/tcp/0; repeatable")
	flags.StringVar(&f.api, "api", "", "`host:port` of the web app and REST (default: 127.0.0.1 and a free port)")
	flags.BoolVar(&f.noAPI, "no-api", false, "no web app and REST")
	flags.BoolVar(&f.noMDNS, "no-mdns", false, "do not look for devices on the local network")
	flags.BoolVar(&f.noDHT, "no-dht", false, "do not look for devices through the DHT")
	flags.StringArrayVar(&f.bootstrap, "bootstrap", nil, "`multiaddr` of a node of the DHT to begin with; repeatable")
}

// config begins the configuration of a daemon.
func (f *daemonFlags) config(a *app) (daemonConfig, error) {
	if f.noAPI && f.api != "" {
		return daemonConfig{}, control.Errorf(control.CodeUsage, "--api and --no-api exclude each other")
	}
	for _, addr := range append(append([]string{}, f.listen...), f.bootstrap...) {
		if !strings.HasPrefix(addr, "/") {
			return daemonConfig{}, control.Errorf(control.CodeUsage, "%q is no multiaddr; one looks like /ip4/0.0.0.0/tcp/4001", addr)
		}
	}
	home, err := a.homeDir()
	if err != nil {
		return daemonConfig{}, err
	}
	return daemonConfig{
		Home: home, Name: f.name, Listen: f.listen, API: f.api, NoAPI: f.noAPI,
		NoMDNS: f.noMDNS, NoDHT: f.noDHT, Bootstrap: f.bootstrap,
		Progress: func(text string) { a.console.Notef("%s", text) },
	}, nil
}
