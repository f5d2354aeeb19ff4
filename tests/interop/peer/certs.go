// SPDX-License-Identifier: MIT

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"os"
	"time"
)

// The directory of the original, below the current one.
const (
	certsDir       = "certs"
	caCertFile     = certsDir + "/ca.crt"
	caKeyFile      = certsDir + "/ca.key"
	serverCertFile = certsDir + "/server.crt"
	serverKeyFile  = certsDir + "/server.key"
)

func savePEM(name, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func saveKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return savePEM(name, "EC PRIVATE KEY", der, 0600)
}

func template(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now(), // D25
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, nil
}

func makeCA() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t, err := template("GoTunnel CA")
	if err != nil {
		return nil, nil, err
	}
	t.KeyUsage |= x509.KeyUsageCertSign
	t.IsCA = true
	t.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	if err := savePEM(caCertFile, "CERTIFICATE", der, 0666); err != nil {
		return nil, nil, err
	}
	if err := saveKey(caKeyFile, key); err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return ca, key, err
}

func makeServerCert(ca *x509.Certificate, caKey *ecdsa.PrivateKey) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t, err := template(serverName)
	if err != nil {
		return err
	}
	t.DNSNames = []string{serverName}
	der, err := x509.CreateCertificate(rand.Reader, t, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	if err := savePEM(serverCertFile, "CERTIFICATE", der, 0666); err != nil {
		return err
	}
	return saveKey(serverKeyFile, key)
}

func makeCerts() error {
	log.Print("未找到 CA 证书，将生成新的 CA 和服务器证书...")
	if err := os.MkdirAll(certsDir, 0700); err != nil {
		return err
	}
	ca, key, err := makeCA()
	if err != nil {
		return err
	}
	if err := makeServerCert(ca, key); err != nil {
		return err
	}
	log.Print("新证书生成成功！")
	return nil
}

// serverTLS looks for ca.crt only (D26); gives the CA certificate for the banner as well.
func serverTLS() (*tls.Config, []byte, error) {
	if _, err := os.Stat(caCertFile); os.IsNotExist(err) {
		if err := makeCerts(); err != nil {
			return nil, nil, err
		}
	} else {
		log.Print("发现现有证书，将加载它们。")
	}
	ca, err := os.ReadFile(caCertFile)
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.LoadX509KeyPair(serverCertFile, serverKeyFile)
	if err != nil {
		return nil, nil, err
	}
	return limitVersion(&tls.Config{Certificates: []tls.Certificate{pair}}), ca, nil
}

func clientTLS(caFile string) (*tls.Config, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("无法读取 CA 证书文件 %s: %w", caFile, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("无法将 CA 证书添加到池中")
	}
	return limitVersion(&tls.Config{RootCAs: pool, ServerName: serverName}), nil
}
