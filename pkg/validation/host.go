package validation

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Host is a host and port in the one form everybody reads alike.
type Host struct {
	// Name is the host in lower case, or its address as netip writes it.
	Name string
	// Addr is the address, if the host is one.
	Addr netip.Addr
	// Port is 0 if none was written.
	Port uint16
}

// String writes the host and its port.
func (h Host) String() string {
	name := h.Name
	if h.Addr.Is6() {
		name = "[" + name + "]"
	}
	if h.Port == 0 {
		return name
	}
	return name + ":" + strconv.Itoa(int(h.Port))
}

// ParseHost reads a host with or without a port, as in a URL. It refuses every
// form that two readers could read in two ways: numbers that are no dotted
// decimal address, zones, encodings, a trailing dot, letters beyond ASCII.
func ParseHost(text string) (Host, error) {
	switch {
	case text == "":
		return Host{}, errors.New("must name a host")
	case strings.Contains(text, "@"):
		return Host{}, errors.New("must not hold a user or password before the host: name a Secret instead")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return Host{}, errors.New("must not hold spaces or control characters in the host")
	case strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }):
		return Host{}, errors.New("must not hold letters beyond ASCII in the host: write its punycode form, xn--…")
	case strings.Contains(text, "%"):
		return Host{}, errors.New("must not hold '%' in the host: write it without encoding and without a zone")
	}
	if strings.HasPrefix(text, "[") {
		return parseIPv6Host(text)
	}
	name, port, hasPort := strings.Cut(text, ":")
	host := Host{Name: strings.ToLower(name)}
	if strings.Contains(port, ":") {
		return Host{}, errors.New("must hold an IPv6 address in brackets, such as [2606:4700::1111]")
	}
	if hasPort {
		number, err := parsePort(port)
		if err != nil {
			return Host{}, err
		}
		host.Port = number
	}
	return parseName(host)
}

func parseIPv6Host(text string) (Host, error) {
	inner, rest, ok := strings.Cut(text[1:], "]")
	if !ok {
		return Host{}, errors.New("must close the brackets of its IPv6 address")
	}
	addr, err := netip.ParseAddr(inner)
	if err != nil || !addr.Is6() {
		return Host{}, errors.New("must hold a valid IPv6 address in its brackets")
	}
	if addr.Is4In6() {
		return Host{}, errors.New("must not hold an IPv4 address in IPv6 form: write it as a.b.c.d")
	}
	host := Host{Name: addr.String(), Addr: addr}
	if rest == "" {
		return host, nil
	}
	port, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return Host{}, errors.New("must hold nothing but a port behind its IPv6 address")
	}
	host.Port, err = parsePort(port)
	return host, err
}

func parsePort(text string) (uint16, error) {
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != text {
		return 0, errors.New("must hold a port from 1 to 65535, without leading zeros")
	}
	return uint16(number), nil
}

const hostMax = 253

// parseName tells an IPv4 address from a name, strictly.
func parseName(host Host) (Host, error) {
	if strings.HasSuffix(host.Name, ".") {
		return Host{}, errors.New("must not end the host with a dot")
	}
	labels := strings.Split(host.Name, ".")
	if isNumber(labels[len(labels)-1]) {
		addr, err := netip.ParseAddr(host.Name)
		if err != nil || !addr.Is4() {
			return Host{}, errors.New("must hold an IPv4 address as four decimal numbers without leading zeros, a.b.c.d: octal, hexadecimal and short forms are read differently by different programs")
		}
		host.Addr = addr
		return host, nil
	}
	if len(host.Name) > hostMax {
		return Host{}, fmt.Errorf("must have at most %d characters in the host", hostMax)
	}
	for _, part := range labels {
		if !isLabel(part) {
			return Host{}, errors.New("must hold a host of letters, digits, '-' and '.' alone, each part beginning and ending with a letter or digit and at most 63 long")
		}
	}
	if err := checkPunycode(host.Name); err != nil {
		return Host{}, err
	}
	return host, nil
}

// isNumber says whether the last part of a host makes readers take the host for
// an IPv4 address, as the WHATWG URL standard and the C library do.
func isNumber(part string) bool {
	if part == "" {
		return false
	}
	if digits, ok := strings.CutPrefix(part, "0x"); ok {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(part, "0123456789") == ""
}

// checkPunycode refuses an encoded name that is not the encoding of itself, or
// encodes letters that readers fold into others, such as full-width digits.
func checkPunycode(name string) error {
	if !strings.Contains(name, "xn--") {
		return nil
	}
	decoded, err := idna.Lookup.ToUnicode(name)
	if err != nil {
		return errors.New("must hold valid punycode in the host")
	}
	if encoded, err := idna.Lookup.ToASCII(decoded); err != nil || encoded != name {
		return errors.New("must hold valid punycode in the host")
	}
	return nil
}

// metadataNames are the names clouds serve their metadata under.
//
//nolint:gochecknoglobals // a constant table
var metadataNames = []string{
	"metadata", "metadata.google.internal", "metadata.goog", "metadata.azure.internal", "metadata.azure.com", "metadata.tencentyun.com",
	"metadata.packet.net", "metadata.platformequinix.com", "metadata.hcloud.com", "metadata.oraclecloud.com", "instance-data", "instance-data.ec2.internal", "rancher-metadata",
}

// loopbackDomains are public domains all of whose names, or as many as one
// likes, resolve to a private address written into the name.
//
//nolint:gochecknoglobals // a constant table
var loopbackDomains = []string{
	"nip.io", "sslip.io", "xip.io", "localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "traefik.me", "local.gd", "1u.ms", "rbndr.us",
}

// reservedSuffixes are domains that are not on the public Internet.
//
//nolint:gochecknoglobals // a constant table
var reservedSuffixes = []struct{ suffix, reason string }{
	{"localhost", "this host itself"},
	{"localdomain", "this host itself"},
	{"svc", "a Service of the cluster"},
	{"cluster.local", "a name of the cluster"},
	{"local", "a name of the local network"},
	{"internal", "a name of the cloud's or company's own network"},
	{"home.arpa", "a name of the local network"},
	{"arpa", "a name of the Internet's own"},
	{"onion", "a name outside the Internet's own"},
	{"alt", "a name outside the Internet's own"},
}

// ForbiddenHost says why a host is not on the public Internet, in words that
// follow "is"; it gives "" for one that is. A name that resolves to a private
// address cannot be told from its text, and neither can a Service whose
// namespace is called like a top-level domain: whoever dials checks the address
// with ForbiddenAddr too.
func ForbiddenHost(host Host) (reason string) {
	if host.Addr.IsValid() {
		return ForbiddenAddr(host.Addr)
	}
	if slices.Contains(metadataNames, host.Name) {
		return "where clouds serve their metadata"
	}
	for _, reserved := range reservedSuffixes {
		if isWithin(host.Name, reserved.suffix) {
			return reserved.reason
		}
	}
	if strings.Contains(host.Name, ".svc.") {
		return "a Service of the cluster"
	}
	for _, domain := range loopbackDomains {
		if isWithin(host.Name, domain) {
			return "under a domain that resolves to any address"
		}
	}
	if !strings.Contains(host.Name, ".") {
		return "a name without a domain, which resolves within the cluster"
	}
	if suffix, icann := publicsuffix.PublicSuffix(host.Name); !icann && !strings.Contains(suffix, ".") {
		return "under no public top-level domain, so it resolves within the cluster or the company"
	}
	return ""
}

// isWithin says whether a name is a domain or under it.
func isWithin(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}
