package v1alpha1_test

import (
	"errors"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

func TestRequestName(t *testing.T) {
	cases := map[string]struct {
		vm, verb, value string
		uid             types.UID
		want            string
	}{
		"short name":        {vm: "web-0", uid: "u1", verb: "clone", value: "copy", want: "web-0-clone-f64f7f68a8"},
		"another value":     {vm: "web-0", uid: "u1", verb: "clone", value: "copy2", want: "web-0-clone-48d8d2421b"},
		"another machine":   {vm: "web-0", uid: "u2", verb: "clone", value: "copy", want: "web-0-clone-e2bcb3944d"},
		"dots are dashes":   {vm: "web.0", uid: "u1", verb: "clone", value: "copy", want: "web-0-clone-f64f7f68a8"},
		"cut at the dash":   {vm: strings.Repeat("a", 42) + "-bcdefghijklmnopqrst", uid: "u1", verb: "rollback", value: "s", want: strings.Repeat("a", 42) + "-rollback-d45acc6dcd"},
		"cut to 63 letters": {vm: strings.Repeat("a", 63), uid: "u1", verb: "rollback", value: "s", want: strings.Repeat("a", 43) + "-rollback-d45acc6dcd"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := v1alpha1.RequestName(tc.vm, tc.uid, tc.verb, tc.value); got != tc.want {
				t.Errorf("RequestName = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRequestNameIsAlwaysALabel(t *testing.T) {
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	seen := map[string]string{}
	for _, verb := range v1alpha1.RequestVerbs() {
		for length := 1; length <= 253; length++ {
			name := v1alpha1.RequestName(strings.Repeat("a.b-", 64)[:length], "uid", verb, "value")
			if len(name) > 63 || !label.MatchString(name) {
				t.Fatalf("RequestName of %d characters = %q, which is no label of at most 63 characters", length, name)
			}
			other := v1alpha1.RequestName(strings.Repeat("a.b-", 64)[:length], types.UID("uid"+strings.Repeat("x", length)), verb, "value")
			if owner, ok := seen[other]; ok {
				t.Fatalf("RequestName gives %q to two machines, %s", other, owner)
			}
			seen[other] = verb
		}
	}
}

func TestStampRoundTrip(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, verb := range append(v1alpha1.RequestVerbs(), "") {
		stamp := v1alpha1.Stamp{User: "ann", UID: "42", Groups: []string{"b", "a", `quo"te`}, At: at}
		if verb != "" {
			stamp.For = "vm-uid"
		}
		annotations := stamp.Annotations(verb)
		for key := range annotations {
			if !v1alpha1.IsStampKey(key) {
				t.Errorf("IsStampKey(%q) = false, want true", key)
			}
		}
		got, err := v1alpha1.ReadStamp(verb, annotations)
		if err != nil {
			t.Fatalf("ReadStamp(%q): %v", verb, err)
		}
		if diff := cmp.Diff(stamp, got); diff != "" {
			t.Errorf("stamp of %q changed (-want +got):\n%s", verb, diff)
		}
	}
}

func TestReadStampRefusesGaps(t *testing.T) {
	whole := v1alpha1.Stamp{User: "ann", For: "vm-uid", At: time.Unix(0, 0)}.Annotations("clone")
	if _, err := v1alpha1.ReadStamp("export", whole); !errors.Is(err, v1alpha1.ErrNotStamped) {
		t.Errorf("reading another verb's stamp: got %v, want ErrNotStamped", err)
	}
	for key := range whole {
		broken := maps.Clone(whole)
		delete(broken, key)
		if _, err := v1alpha1.ReadStamp("clone", broken); err == nil || errors.Is(err, v1alpha1.ErrNotStamped) {
			t.Errorf("without %s: got %v, want an error about the gap", key, err)
		}
	}
	for key, value := range map[string]string{
		"wukong.io/requested-by.clone":     "",
		"wukong.io/requested-for.clone":    "",
		"wukong.io/requested-groups.clone": "null",
		"wukong.io/requested-at.clone":     "yesterday",
	} {
		broken := maps.Clone(whole)
		broken[key] = value
		if _, err := v1alpha1.ReadStamp("clone", broken); err == nil {
			t.Errorf("with %s: %q: got no error", key, value)
		}
	}
}

func TestLastOperationEncode(t *testing.T) {
	var at v1alpha1.LastOperation
	at.Verb, at.Value, at.Job, at.Phase = "clone", `{"a":1}`, "web-0-clone-1", "Pending"
	at.Time.Time = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	want := `{"verb":"clone","value":"{\"a\":1}","job":"web-0-clone-1","phase":"Pending","time":"2026-01-31T12:00:00Z"}`
	if got := at.Encode(); got != want {
		t.Errorf("Encode = %s, want %s", got, want)
	}
}

func FuzzReadStamp(f *testing.F) {
	f.Add("clone", "ann", "1", `["a"]`, "uid", "2026-01-31T12:00:00Z")
	f.Add("", "system:serviceaccount:a:b", "", `[]`, "", "2026-01-31T12:00:00+08:00")
	f.Add("export", "", "", `null`, "", "")
	f.Add("snapshot", "a", "", `{"a":1}`, "x", "0000-00-00")
	f.Fuzz(func(t *testing.T, verb, user, uid, groups, vm, at string) {
		keys := v1alpha1.StampKeys(verb)
		annotations := map[string]string{keys.User: user, keys.UID: uid, keys.Groups: groups, keys.At: at}
		if keys.For != "" {
			annotations[keys.For] = vm
		}
		stamp, err := v1alpha1.ReadStamp(verb, annotations)
		if err != nil {
			if stamp.User != "" || stamp.Groups != nil {
				t.Errorf("a stamp that is refused gives %+v", stamp)
			}
			return
		}
		again, err := v1alpha1.ReadStamp(verb, stamp.Annotations(verb))
		if err != nil || stamp.User != user || !again.At.Equal(stamp.At) || len(again.Groups) != len(stamp.Groups) || (verb != "") != (stamp.For != "") {
			t.Errorf("stamp %+v, and written again %+v, %v", stamp, again, err)
		}
	})
}
