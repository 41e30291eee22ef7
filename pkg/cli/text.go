package cli

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/duration"
)

// count says how many there are of something: 1 machine, 2 machines.
func count(n int, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// size writes bytes as Kubernetes does: 20Gi.
func size(bytes int64) string {
	return resource.NewQuantity(bytes, resource.BinarySI).String()
}

// bar draws a part of a whole with letters every terminal has.
func bar(part, whole, width int) string {
	filled := 0
	if whole > 0 {
		filled = min(width, (part*width+whole-1)/whole)
	}
	return "[" + strings.Repeat("#", filled) + strings.Repeat("-", width-filled) + "]"
}

// age says how long ago something was.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	return duration.HumanDuration(now.Sub(then))
}

// dash stands for nothing in a table.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
