// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"time"

	"github.com/xtaci/smux"
)

const (
	secretTimeout = 5 * time.Second
	portPoll      = time.Second
)

func serverMain(args []string) {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	secret := flags.String("secret", "", "共享密钥 (必需)")
	listen := flags.String("listen", "7000", "用于监听客户端隧道的端口")
	flags.Parse(args)
	if *secret == "" {
		log.Print("错误: [Server模式] 必须提供 -secret 参数")
		flags.PrintDefaults()
		os.Exit(1)
	}
	config, ca, err := serverTLS()
	if err != nil {
		log.Fatalf("初始化 TLS 配置失败: %v", err)
	}
	addr := ":" + *listen
	listener, err := tls.Listen("tcp", addr, config)
	if err != nil {
		log.Fatalf("无法监听 TLS 地址 %s: %v", addr, err)
	}
	log.Printf("服务端模式：隧道监听于 %s", listener.Addr())
	banner(*secret, listener.Addr(), ca)
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Printf("接受 TLS 连接失败: %v", err)
			continue // D22
		}
		go serveClient(conn, *secret)
	}
}

func banner(secret string, addr net.Addr, ca []byte) {
	fmt.Println("\n======================= SERVER IS RUNNING (SECURE) =======================")
	fmt.Printf("共享密钥 (Secret): %s\n", secret) // D9
	fmt.Printf("监听地址 (Listening on): %s\n", addr)
	fmt.Println("\n请在客户端机器上创建一个 ca.crt 文件, 并将以下内容复制进去:")
	fmt.Println(string(ca))
	fmt.Println("然后使用类似如下命令连接 (请将 <server_ip> 替换为服务器的真实公网IP):")
	fmt.Printf("./gotunnel client -server <server_ip>:%d -secret \"%s\" -ca ./ca.crt -remote-port 8080 -local-target 127.0.0.1:80\n",
		addr.(*net.TCPAddr).Port, secret)
	fmt.Println("==========================================================================")
}

// authenticate reads the secret through a reader that is thrown away with whatever else it has
// read (D8). The line may be as long as it likes (D12), and is stripped where the secret it is
// compared with is not (D10, D11).
func authenticate(conn net.Conn, secret string) bool {
	conn.SetReadDeadline(time.Now().Add(secretTimeout))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		log.Printf("来自 %s 的认证失败: 读取 secret 失败: %v", conn.RemoteAddr(), err)
		return false
	}
	conn.SetReadDeadline(time.Time{})
	if strings.TrimSpace(line) != secret {
		log.Printf("来自 %s 的认证失败: 无效的 secret", conn.RemoteAddr())
		conn.Write([]byte("ERROR: Invalid Secret\n"))
		return false
	}
	_, err = conn.Write([]byte("OK\n"))
	return err == nil
}

func serveClient(conn net.Conn, secret string) {
	defer conn.Close()
	peer := conn.RemoteAddr()
	log.Printf("新 TLS 连接来自 %s，正在进行应用层 PSK 认证...", peer)
	if !authenticate(conn, secret) {
		return
	}
	log.Printf("客户端 %s 已通过 PSK 认证", peer)
	session, err := smux.Server(conn, smuxConfig())
	if err != nil {
		log.Printf("[%s] smux: %v", peer, err)
		return
	}
	defer session.Close()
	if listener := openPort(session, peer); listener != nil {
		serveUsers(session, listener, peer)
	}
}

// openPort answers the control message, without a time limit (D14).
func openPort(session *smux.Session, peer net.Addr) net.Listener {
	log.Printf("[%s] 等待客户端发送控制指令...", peer)
	control, err := session.AcceptStream()
	if err != nil {
		log.Printf("[%s] 接受控制流失败: %v", peer, err)
		return nil
	}
	defer control.Close()
	var request controlRequest
	if err := json.NewDecoder(control).Decode(&request); err != nil {
		log.Printf("[%s] 解析控制消息失败: %v", peer, err)
		json.NewEncoder(control).Encode(controlResponse{"error", "Invalid control message"})
		return nil
	}
	addr := fmt.Sprintf(":%d", request.RemotePort)
	log.Printf("[%s] 收到控制指令：请求转发公网端口 %s", peer, addr)
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		message := fmt.Sprintf("监听公网端口 %s 失败: %v", addr, err)
		log.Printf("[%s] %s", peer, message)
		json.NewEncoder(control).Encode(controlResponse{"error", message})
		return nil
	}
	message := fmt.Sprintf("成功在 %s 上监听, 准备转发流量", listener.Addr())
	log.Printf("[%s] %s", peer, message)
	json.NewEncoder(control).Encode(controlResponse{"success", message})
	return listener
}

// closeWithSession ends the public port up to a second (D7) after smux calls the session closed,
// which is up to a minute after the client has died (D6).
func closeWithSession(session *smux.Session, listener net.Listener, peer net.Addr) {
	for !session.IsClosed() {
		time.Sleep(portPoll)
	}
	log.Printf("[%s] 检测到 smux 会话已关闭，正在关闭公网监听器 %s", peer, listener.Addr())
	listener.Close()
}

func serveUsers(session *smux.Session, listener net.Listener, peer net.Addr) {
	defer listener.Close()
	go closeWithSession(session, listener, peer)
	log.Printf("[%s] 开始为 %s 接受公网连接...", peer, listener.Addr())
	for {
		user, err := listener.Accept()
		if err != nil {
			log.Printf("[%s] 公网监听器已关闭或遇到错误，停止接受新连接。原因: %v", peer, err)
			return
		}
		if session.IsClosed() {
			log.Printf("[%s] 会话已关闭，拒绝新的公网连接 %s", peer, user.RemoteAddr())
			user.Close()
			continue
		}
		go serveUser(session, user, peer)
	}
}

func serveUser(session *smux.Session, user net.Conn, peer net.Addr) {
	defer user.Close()
	stream, err := session.OpenStream()
	if err != nil {
		log.Printf("[%s] 无法在 smux 会话上打开新流: %v", peer, err)
		return
	}
	relay(user, stream)
	log.Printf("[%s] 公网连接 %s 的会话已结束", peer, user.RemoteAddr())
}
