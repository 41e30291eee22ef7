package fleettest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// source is a stream of random choices.
type source struct {
	*rand.Rand
}

func newSource(seed uint64) source {
	return source{rand.New(rand.NewPCG(seed, 0x77756b6f6e67))} //nolint:gosec // repeatable, not secret
}

// chance is true in one of n cases.
func (s source) chance(n int) bool {
	return s.IntN(n) == 0
}

// between gives a number from low to high, both included.
func (s source) between(low, high int) int {
	return low + s.IntN(high-low+1)
}

// pick gives one of some values.
func pick[T any](s source, values ...T) T {
	return values[s.IntN(len(values))]
}

// maybe sets a key in half of all cases.
func maybe[T any](s source, m map[string]any, key string, values ...T) {
	if s.chance(2) {
		m[key] = pick(s, values...)
	}
}

// word gives a key segment: a letter, then letters and digits.
func (s source) word() string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	var b strings.Builder
	b.WriteByte(letters[s.IntN(len(letters))])
	for range s.IntN(4) {
		b.WriteByte((letters + "0123456789")[s.IntN(len(letters)+10)])
	}
	return b.String()
}

// key gives a key that is not in use: one to three words joined by dashes. Keys
// that begin alike are common, as those are the ones whose names could collide.
func key[T any](s source, used map[string]T) string {
	for {
		parts := []string{s.word()}
		if len(used) > 0 && s.chance(2) {
			parts[0] = anyKey(s, used)
		}
		for range s.IntN(3) {
			parts = append(parts, s.word())
		}
		name := strings.Join(parts, "-")
		if _, taken := used[name]; !taken && len(name) <= 15 {
			return name
		}
	}
}

// anyKey gives one of the keys of a map.
func anyKey[T any](s source, m map[string]T) string {
	keys := sortedKeys(m)
	return keys[s.IntN(len(keys))]
}

// text gives a string that is hard to keep whole: it is what a value must
// survive where any text is allowed.
func (s source) text() string {
	var b strings.Builder
	for range s.between(1, 4) {
		b.WriteString(pick(s,
			"plain", "two words", "\"", "'", "\n", "\n---\nkind: Secret\n", "{{ .Values }}", "{{ fail \"x\" }}", "}}",
			"&a", "*a", "!!binary", "- x", "? y", ": ", " #c", "%YAML 1.2", "`", "\\", "\\n", "\t", "\r\n", "@", "@@",
			"$(reboot)", "${X}", "%s%d", "yes", "0123", "1e3", "null", "~", "2024-01-01", "12:34:56", "é", "日本",
			"\u202e", "\u200b", "\ufeff", "🐒", "|", ">", "[", "]", "{", "}", ",", "=", "<<",
			"  lead", "trail  ", "\n\n", "#cloud-config\n", "a: b\nc: d"))
	}
	return b.String()
}

// safeText gives a text without the sign that tokens are made of.
func (s source) safeText() string {
	return strings.ReplaceAll(s.text(), "@", "at")
}

func (s source) hex(n int) string {
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, "%x", s.IntN(16))
	}
	return b.String()
}

// object gives the name of an object that is not of the fleet.
func (s source) object() string {
	return s.word() + "-" + s.hex(4)
}

func (s source) cron() string {
	field := func(low, high int) string {
		switch s.IntN(4) {
		case 0:
			return "*"
		case 1:
			return fmt.Sprintf("*/%d", s.between(1, 9))
		case 2:
			first := s.between(low, high)
			return fmt.Sprintf("%d-%d", first, s.between(first, high))
		default:
			return strconv.Itoa(s.between(low, high))
		}
	}
	return strings.Join([]string{field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)}, " ")
}
