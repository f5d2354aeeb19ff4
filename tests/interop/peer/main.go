// SPDX-License-Identifier: MIT

// The peer of the interoperability tests: stands for the Go original at either end of a tunnel, on
// the real smux and crypto/tls. Same command lines, texts, files and time-outs as the original,
// and the same defects (the D numbers in the comments): what passes with it passes with an old
// installation. Written for the tests; never installed.
//
// Options of its own come from the environment, so that the command lines stay the original's:
//
//	GOTUNNEL_PEER_TLS_MAX=1.2   the newest TLS version it speaks (default: the newest there is)
package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/xtaci/smux"
)

// The only message of the client ...
type controlRequest struct {
	RemotePort int `json:"remote_port"`
}

// ... and the answer.
type controlResponse struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

const serverName = "gotunnel.internal"

func smuxConfig() *smux.Config {
	config := smux.DefaultConfig()
	config.Version = 2
	config.KeepAliveInterval = 10 * time.Second
	config.KeepAliveTimeout = 30 * time.Second
	return config
}

func limitVersion(config *tls.Config) *tls.Config {
	config.MinVersion = tls.VersionTLS12
	switch v := os.Getenv("GOTUNNEL_PEER_TLS_MAX"); v {
	case "", "1.3":
	case "1.2":
		config.MaxVersion = tls.VersionTLS12
	default:
		log.Fatalf("GOTUNNEL_PEER_TLS_MAX=%q: 1.2 or 1.3", v)
	}
	return config
}

func usage(first string) {
	fmt.Println(first)
	fmt.Println()
	fmt.Println("使用 'gotunnel server -h' 查看服务端帮助")
	fmt.Println("使用 'gotunnel client -h' 查看客户端帮助")
	os.Exit(1)
}

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	if len(os.Args) < 2 {
		usage("错误: 必须提供一个运行模式作为子命令 ('server' 或 'client')")
	}
	switch os.Args[1] {
	case "server":
		serverMain(os.Args[2:])
	case "client":
		clientMain(os.Args[2:])
	default:
		usage(fmt.Sprintf("错误: 无效的子命令 '%s'，必须是 'server' 或 'client'", os.Args[1]))
	}
}
