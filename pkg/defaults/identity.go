package defaults

import (
	"crypto/sha256"
	"fmt"
	"net"
)

// firmwareUUID gives a machine's firmware UUID, a function of its namespace and
// name: a UUID of version 8 (RFC 9562).
func firmwareUUID(namespace, name string) string {
	return uuid(sha256.Sum256([]byte(namespace + "/" + name)))
}

// firmwareSerial gives a machine's firmware serial.
func firmwareSerial(namespace, name string) string {
	return uuid(sha256.Sum256([]byte(namespace + "/" + name + "/serial")))
}

func uuid(sum [sha256.Size]byte) string {
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// macAddress gives the MAC address of one of a machine's interfaces: locally
// administered and unicast.
func macAddress(namespace, name, iface string) string {
	sum := sha256.Sum256([]byte(namespace + "/" + name + "/" + iface))
	address := net.HardwareAddr(sum[:6])
	address[0] = address[0]&0xfc | 0x02
	return address.String()
}
