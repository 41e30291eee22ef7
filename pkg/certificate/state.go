package certificate

import (
	"time"
)

// Keys of the Secret.
const (
	keyAuthorityCert = "ca.crt"
	keyAuthorityKey  = "ca.key"
	keyNextCert      = "next-ca.crt"
	keyNextKey       = "next-ca.key"
	keyNextSince     = "next-ca.since"
	keyPreviousCert  = "previous-ca.crt"
	keyServingCert   = "tls.crt"
	keyServingKey    = "tls.key"
)

// state is what the Secret holds.
type state struct {
	authority, next, serving pair
	// nextSince is when the next authority was first told about.
	nextSince time.Time
	// previous is the authority before, in PEM and without its key. It stays
	// trusted, as other replicas may still serve a certificate of it.
	previous []byte
}

func readState(data map[string][]byte) state {
	var s state
	// What cannot be read is made again.
	s.authority, _ = parsePair(data[keyAuthorityCert], data[keyAuthorityKey])
	s.next, _ = parsePair(data[keyNextCert], data[keyNextKey])
	s.serving, _ = parsePair(data[keyServingCert], data[keyServingKey])
	s.nextSince, _ = time.Parse(time.RFC3339, string(data[keyNextSince]))
	s.previous = data[keyPreviousCert]
	return s
}

func (s state) data() map[string][]byte {
	data := map[string][]byte{
		keyAuthorityCert: s.authority.certPEM, keyAuthorityKey: s.authority.keyPEM,
		keyServingCert: s.serving.certPEM, keyServingKey: s.serving.keyPEM,
	}
	if len(s.previous) > 0 {
		data[keyPreviousCert] = s.previous
	}
	if s.next.cert != nil {
		data[keyNextCert], data[keyNextKey] = s.next.certPEM, s.next.keyPEM
		data[keyNextSince] = []byte(s.nextSince.UTC().Format(time.RFC3339))
	}
	return data
}

// trusted are the authorities the API server must accept.
func (s state) trusted() []byte {
	return bundle(s.next.certPEM, s.authority.certPEM, s.previous)
}

// renew gives the state that ought to follow, and whether it differs. It is
// pure but for the keys it makes.
//
//	no authority, or one past its end -> a new one, and a serving certificate of it
//	authority ages                    -> a next one, told about but not yet used
//	the next one has settled          -> it becomes the authority, and signs
//	serving certificate ages, or is for other hosts -> a new one
func renew(s state, hosts []string, lifetimes Lifetimes, now time.Time) (state, bool, error) {
	var err error
	changed := false
	switch {
	case s.authority.cert == nil || now.After(s.authority.cert.NotAfter):
		s = state{}
		if s.authority, err = issueAuthority(lifetimes.Authority, now); err != nil {
			return s, false, err
		}
		changed = true
	case s.next.cert != nil && now.Sub(s.nextSince) >= lifetimes.Settle:
		s.previous, s.authority, s.next, s.nextSince = s.authority.certPEM, s.next, pair{}, time.Time{}
		changed = true
	case s.next.cert == nil && !s.authority.fresh(now):
		if s.next, err = issueAuthority(lifetimes.Authority, now); err != nil {
			return s, false, err
		}
		s.nextSince = now
		changed = true
	}
	if !s.serving.fresh(now) || !s.serving.servesAll(hosts, s.authority) {
		if s.serving, err = issueServing(s.authority, hosts, lifetimes.Serving, now); err != nil {
			return s, false, err
		}
		changed = true
	}
	return s, changed, nil
}
