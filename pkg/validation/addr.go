package validation

import "net/netip"

// reservedRange is a range of addresses that is not on the public Internet.
type reservedRange struct {
	prefix netip.Prefix
	reason string
}

// reservedRanges are the IANA special-purpose registries of IPv4 and IPv6,
// multicast, and what cloud providers put outside them. The first that matches
// gives the reason.
//
//nolint:gochecknoglobals // a constant table
var reservedRanges = []reservedRange{
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address, where clouds serve their metadata"},
	{netip.MustParsePrefix("100.64.0.0/10"), "an address of a carrier's or cloud's own network"},
	{netip.MustParsePrefix("168.63.129.16/32"), "the address of Azure's host"},
	{netip.MustParsePrefix("0.0.0.0/8"), "an address of this host itself"},
	{netip.MustParsePrefix("192.0.0.0/24"), "a reserved address"},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("198.51.100.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "an address of a 6to4 relay"},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for measurements"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},
	{netip.MustParsePrefix("::1/128"), "a loopback address"},
	{netip.MustParsePrefix("::/128"), "an address of this host itself"},
	{netip.MustParsePrefix("::/96"), "an IPv4 address in IPv6 form"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "an IPv4 address in IPv6 form"},
	{netip.MustParsePrefix("64:ff9b::/96"), "an IPv4 address in IPv6 form"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address in IPv6 form"},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address in IPv6 form"},
	{netip.MustParsePrefix("2001::/32"), "an IPv4 address in IPv6 form"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("fec0::/10"), "a private address"},
	{netip.MustParsePrefix("fc00::/7"), "a private address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("2001:db8::/32"), "an address for documentation"},
	{netip.MustParsePrefix("3fff::/20"), "an address for documentation"},
	{netip.MustParsePrefix("2001::/23"), "a reserved address"},
}

// publicIPv6 is all that is given out of IPv6: the rest is reserved.
//
//nolint:gochecknoglobals // a constant
var publicIPv6 = netip.MustParsePrefix("2000::/3")

// ForbiddenAddr says why an address is not on the public Internet, in words
// that follow "is"; it gives "" for one that is. An IPv4 address in whatever
// IPv6 form is forbidden or judged as the IPv4 address it is, and an address
// with a zone is forbidden.
func ForbiddenAddr(addr netip.Addr) (reason string) {
	if !addr.IsValid() {
		return "no IP address"
	}
	if addr.Zone() != "" {
		return "an address of one network interface"
	}
	addr = addr.Unmap()
	for _, reserved := range reservedRanges {
		if reserved.prefix.Contains(addr) {
			return reserved.reason
		}
	}
	if isISATAP(addr) {
		return "an IPv4 address in IPv6 form"
	}
	if addr.Is6() && !publicIPv6.Contains(addr) {
		return "a reserved address"
	}
	return ""
}

// isISATAP says whether an IPv6 address carries an IPv4 one in its interface
// identifier (RFC 5214), as a router would unpack it.
func isISATAP(addr netip.Addr) bool {
	if !addr.Is6() {
		return false
	}
	bytes := addr.As16()
	return bytes[8]&^0x03 == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe
}
