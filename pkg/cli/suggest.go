package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// nearestFlag finds the flag that was probably meant by the unknown one of a
// message such as "unknown flag: --vales".
func nearestFlag(cmd *cobra.Command, message string) string {
	unknown, ok := strings.CutPrefix(message, "unknown flag: --")
	if !ok {
		return ""
	}
	best, distance := "", maxDistance(unknown)+1
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if d := editDistance(unknown, flag.Name); !flag.Hidden && d < distance {
			best, distance = flag.Name, d
		}
	})
	return best
}

// nearest finds the word that was probably meant, or nothing.
func nearest(word string, words []string) string {
	best, distance := "", maxDistance(word)+1
	for _, candidate := range words {
		if d := editDistance(word, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// maxDistance is how many letters may be wrong: a third of them, at least one.
func maxDistance(word string) int {
	return max(1, len(word)/3)
}

// editDistance is the least number of letters to add, remove or replace
// (Levenshtein).
func editDistance(a, b string) int {
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		current := make([]int, len(b)+1)
		current[0] = i + 1
		for j := range len(b) {
			replace := previous[j]
			if a[i] != b[j] {
				replace++
			}
			current[j+1] = min(replace, previous[j+1]+1, current[j]+1)
		}
		previous = current
	}
	return previous[len(b)]
}
