// Package certificate makes the webhook's serving certificate and renews it in
// time, with an authority of its own that it tells the API server about.
//
// Everything is kept in one Secret, which every replica reads and any may
// renew: the last write loses to the first by the Secret's resource version.
// Authorities overlap: the API server trusts a new one before any certificate
// of it is served, so no request fails while one takes over from the other.
package certificate
