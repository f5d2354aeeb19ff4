// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/xtaci/smux"
)

const (
	connectTimeout = 10 * time.Second
	okTimeout      = 5 * time.Second
	controlTimeout = 10 * time.Second
	firstRetry     = 2 * time.Second
)

func clientMain(args []string) {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	server := flags.String("server", "", "服务端的地址, 例如: my.server.com:7000 (必需)")
	secret := flags.String("secret", "", "共享密钥 (必需)")
	caFile := flags.String("ca", "ca.crt", "CA 证书文件路径")
	target := flags.String("local-target", "127.0.0.1:80", "要转发流量的本地目标地址")
	port := flags.Int("remote-port", 8080, "希望在服务端暴露的公网端口")
	longest := flags.Duration("max-retry-interval", time.Minute, "自动重连的最大等待间隔")
	flags.Parse(args)
	if *secret == "" || *server == "" {
		log.Print("错误: [Client模式] 必须提供 -secret 和 -server 参数")
		flags.PrintDefaults()
		os.Exit(1)
	}
	log.Printf("客户端模式启动：目标服务端 %s (安全)", *server)
	log.Printf("-> 远程端口 :%d -> 本地目标 %s", *port, *target)
	config, err := clientTLS(*caFile)
	if err != nil {
		log.Fatalf("初始化客户端 TLS 配置失败: %v", err)
	}
	connectForEver(*server, *secret, config, *longest, func(session *smux.Session) {
		runSession(session, *port, *target)
	})
}

// connectForEver comes back whatever the reason (D15), with a wait that ignores -max-retry-interval
// the first time, and without a floor (D16).
func connectForEver(server, secret string, config *tls.Config, longest time.Duration, run func(*smux.Session)) {
	wait := firstRetry
	for {
		session, err := connect(server, secret, config)
		if err != nil {
			log.Printf("将在 %.0f 秒后重试...", wait.Seconds())
			time.Sleep(wait)
			wait = 2*wait + time.Duration(rand.Intn(1000))*time.Millisecond
			if wait > longest {
				wait = longest
			}
			continue
		}
		wait = firstRetry
		run(session)
		log.Print("与服务端的连接已断开，准备自动重连...")
		time.Sleep(firstRetry)
	}
}

func connect(server, secret string, config *tls.Config) (*smux.Session, error) {
	log.Printf("正在尝试建立到服务端 %s 的 TLS 连接...", server)
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: connectTimeout}, "tcp", server, config)
	if err != nil {
		log.Printf("TLS 连接失败: %v", err)
		return nil, err
	}
	log.Print("TLS 连接成功，正在进行应用层 PSK 认证...")
	if err := authenticateTo(conn, secret); err != nil {
		log.Printf("认证失败: %v", err)
		conn.Close()
		return nil, err
	}
	log.Print("PSK 认证成功！隧道已建立。")
	session, err := smux.Client(conn, smuxConfig())
	if err != nil {
		conn.Close()
	}
	return session, err
}

// authenticateTo says the secret and reads the answer through a reader that is thrown away with whatever
// else it has read (D8).
func authenticateTo(conn net.Conn, secret string) error {
	if _, err := conn.Write([]byte(secret + "\n")); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(okTimeout))
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("读取认证响应失败: %w", err)
	}
	conn.SetReadDeadline(time.Time{})
	if answer = strings.TrimSpace(answer); answer != "OK" {
		return fmt.Errorf("认证失败，服务端响应: %s", answer) // D28
	}
	return nil
}

func askForPort(session *smux.Session, port int) error {
	log.Print("正在打开控制流以发送端口转发请求...")
	control, err := session.OpenStream()
	if err != nil {
		return err
	}
	defer control.Close()
	if err := json.NewEncoder(control).Encode(controlRequest{port}); err != nil {
		return err
	}
	control.SetReadDeadline(time.Now().Add(controlTimeout))
	var response controlResponse
	if err := json.NewDecoder(control).Decode(&response); err != nil {
		return fmt.Errorf("读取服务端响应失败: %w", err)
	}
	if response.Status != "success" {
		return errors.New("服务端返回错误: " + response.Message)
	}
	log.Printf("服务端成功响应: %s", response.Message)
	return nil
}

func runSession(session *smux.Session, port int, target string) {
	defer session.Close()
	if err := askForPort(session, port); err != nil {
		log.Printf("请求端口转发失败: %v", err)
		return
	}
	log.Print("控制指令发送成功，开始监听并转发流量...")
	var streams sync.WaitGroup
	for { // any number of streams and dials (D21)
		stream, err := session.AcceptStream()
		if err != nil {
			if session.IsClosed() {
				log.Print("隧道会话已关闭。")
			} else {
				log.Printf("无法接受新流: %v", err)
			}
			break
		}
		streams.Add(1)
		go func() {
			defer streams.Done()
			serveStream(stream, target)
		}()
	}
	log.Print("等待所有正在处理的流完成...") // D17
	streams.Wait()
	log.Print("所有流已处理完毕，正在关闭会话。")
}

func serveStream(stream *smux.Stream, target string) {
	defer stream.Close()
	conn, err := net.Dial("tcp", target)
	if err != nil {
		log.Printf("无法建立到本地目标的连接 %s: %v", target, err)
		return
	}
	defer conn.Close()
	relay(conn, stream)
}
