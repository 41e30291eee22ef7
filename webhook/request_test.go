package webhook

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
)

func stamped(verb, user string) map[string]string {
	return map[string]string{
		"wukong.io/requested-by." + verb: user, "wukong.io/requested-uid." + verb: "", "wukong.io/requested-groups." + verb: `["R&D"]`,
		"wukong.io/requested-for." + verb: "u1", "wukong.io/requested-at." + verb: "2026-01-31T12:00:00Z",
	}
}

func with(parts ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

func TestStampRequests(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	clone := map[string]string{"wukong.io/clone": "copy"}
	reports := map[string]string{"wukong.io/handled.clone": "web-clone-1", "wukong.io/last-operation": "{}"}
	cases := map[string]struct {
		operation    admissionv1.Operation
		now, before  map[string]string
		want         map[string]string
		wantWarnings int
	}{
		"stamps a new request":            {operation: admissionv1.Update, now: clone, want: with(clone, stamped("clone", "alice"))},
		"stamps a new value":              {operation: admissionv1.Update, now: clone, before: with(map[string]string{"wukong.io/clone": "old"}, stamped("clone", "bob")), want: with(clone, stamped("clone", "alice"))},
		"replaces a forged stamp":         {operation: admissionv1.Update, now: with(clone, stamped("clone", "root")), want: with(clone, stamped("clone", "alice"))},
		"keeps the stamp of what stays":   {operation: admissionv1.Update, now: clone, before: with(clone, stamped("clone", "bob")), want: with(clone, stamped("clone", "bob"))},
		"puts back a stamp that changed":  {operation: admissionv1.Update, now: with(clone, stamped("clone", "root")), before: with(clone, stamped("clone", "bob")), want: with(clone, stamped("clone", "bob"))},
		"takes the stamp of what goes":    {operation: admissionv1.Update, now: stamped("clone", "bob"), before: with(clone, stamped("clone", "bob")), want: map[string]string{}},
		"takes a stamp of nothing":        {operation: admissionv1.Update, now: stamped("export", "root"), want: map[string]string{}},
		"leaves another verb's alone":     {operation: admissionv1.Update, now: with(clone, map[string]string{"wukong.io/export": "x"}, stamped("export", "bob")), before: with(map[string]string{"wukong.io/export": "x"}, stamped("export", "bob")), want: with(clone, map[string]string{"wukong.io/export": "x"}, stamped("export", "bob"), stamped("clone", "alice"))},
		"drops everything on creation":    {operation: admissionv1.Create, now: with(clone, stamped("clone", "root"), reports, map[string]string{"mine": "kept"}), want: map[string]string{"mine": "kept"}, wantWarnings: 1},
		"keeps the binding on creation":   {operation: admissionv1.Create, now: map[string]string{"wukong.io/snapshot-policy": "nightly"}, want: map[string]string{"wukong.io/snapshot-policy": "nightly"}},
		"touches nothing that is not its": {operation: admissionv1.Update, now: map[string]string{"a": "b"}, want: map[string]string{"a": "b"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := with(tc.now)
			req := &admissionv1.AdmissionRequest{Operation: tc.operation, UserInfo: authenticationv1.UserInfo{Username: "alice", Groups: []string{"R&D"}}}
			warnings := stampRequests(got, tc.before, req, "u1", now)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			if len(warnings) != tc.wantWarnings {
				t.Errorf("warnings %q, want %d", warnings, tc.wantWarnings)
			}
			again := with(got)
			if tc.operation == admissionv1.Update {
				stampRequests(again, got, req, "u1", now.Add(time.Hour))
				if diff := cmp.Diff(got, again); diff != "" {
					t.Errorf("a second pass changes (-first +second):\n%s", diff)
				}
			}
		})
	}
}

func TestReportsAreTheControllersAlone(t *testing.T) {
	before := map[string]string{"wukong.io/clone": "copy", "wukong.io/handled.clone": "web-clone-1", "wukong.io/last-operation": "{}"}
	got := map[string]string{"wukong.io/clone": "copy", "wukong.io/last-operation": "forged", "wukong.io/handled.export": "forged"}
	keepReports(got, before)
	if diff := cmp.Diff(before, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKubeVirtAsksForNothing(t *testing.T) {
	before := with(map[string]string{"wukong.io/clone": "new"}, stamped("clone", "alice"))
	got := with(map[string]string{"wukong.io/clone": "old", "wukong.io/export": "x"}, stamped("clone", "bob"), stamped("export", "bob"))
	revertRequests(got, before)
	if diff := cmp.Diff(before, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestServiceAccountsOfANamespace(t *testing.T) {
	for user, want := range map[string]bool{
		"system:serviceaccount:kubevirt:kubevirt-controller": true, "system:serviceaccount:kubevirt-evil:x": false,
		"system:serviceaccount:kubevirt": false, "kubevirt": false, "System:serviceaccount:kubevirt:x": false,
	} {
		if got := isServiceAccountOf(authenticationv1.UserInfo{Username: user}, "kubevirt"); got != want {
			t.Errorf("isServiceAccountOf(%q) = %t", user, got)
		}
	}
	if isServiceAccountOf(authenticationv1.UserInfo{Username: "system:serviceaccount::x"}, "") {
		t.Error("no namespace has no ServiceAccounts")
	}
}
