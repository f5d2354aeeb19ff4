// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"net"
	"sync"

	"github.com/xtaci/smux"
)

// relay copies both ways. Each copier closes the whole of what it wrote to when its source has
// ended: no half-close in either direction (D1), and a close() of a socket whose peer may still be
// talking (D2).
func relay(conn net.Conn, stream *smux.Stream) {
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		defer stream.Close()
		io.Copy(stream, conn)
	}()
	go func() {
		defer both.Done()
		defer conn.Close()
		io.Copy(conn, stream)
	}()
	both.Wait()
}
