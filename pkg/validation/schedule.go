package validation

import (
	"errors"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // time zones by name, wherever the binary runs

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	scheduleMax  = 128
	timeZoneMax  = 64
	cronFields   = 5
	mustBeCron   = "must be a cron expression of five fields, minute hour day month weekday, such as \"15 2 * * *\""
	mustBeZone   = "must be a time zone by its IANA name, such as Asia/Shanghai or UTC"
	cronLookback = 60 // firings that are looked at for the shortest interval
)

// parseSchedule reads a cron expression of exactly five fields. Six are refused
// rather than read with seconds first, and so are the parser's own extensions:
// descriptors, TZ= and '?'.
func parseSchedule(path *field.Path, text string) (cron.Schedule, field.ErrorList) {
	schedule, err := cronSchedule(text)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(path, show(text), err.Error())}
	}
	return schedule, nil
}

func cronSchedule(text string) (cron.Schedule, error) {
	fields := strings.Fields(text)
	switch {
	case text == "" || len(text) > scheduleMax || hasControl(text) || hasToken(text):
		return nil, errors.New(mustBeCron)
	case strings.HasPrefix(text, "@"):
		return nil, errors.New(mustBeCron + ": descriptors such as @daily are not read")
	case strings.Contains(text, "TZ="):
		return nil, errors.New(mustBeCron + ": set the time zone in timeZone")
	case len(fields) != cronFields:
		return nil, errors.New(mustBeCron + ": found " + plural(len(fields), "field"))
	case strings.Contains(text, "?"):
		return nil, errors.New(mustBeCron + ": write * in place of ?")
	}
	schedule, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
	if err != nil {
		return nil, errors.New(mustBeCron + ": " + err.Error())
	}
	if schedule.Next(scheduleEpoch()).IsZero() {
		return nil, errors.New("must come to pass: it names a day that no year has")
	}
	return schedule, nil
}

func plural(count int, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(count) + " " + noun + "s"
}

// scheduleEpoch is a fixed time that schedules are tried out from, so that the
// same schedule is always judged alike.
func scheduleEpoch() time.Time {
	return time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
}

// shortestInterval gives the shortest time between two of a schedule's firings.
func shortestInterval(schedule cron.Schedule) time.Duration {
	last := schedule.Next(scheduleEpoch())
	shortest := time.Duration(0)
	for range cronLookback {
		next := schedule.Next(last)
		if next.IsZero() {
			break
		}
		if gap := next.Sub(last); shortest == 0 || gap < shortest {
			shortest = gap
		}
		last = next
	}
	return shortest
}

// timeZone checks a time zone; an empty one is UTC.
func timeZone(path *field.Path, name string) field.ErrorList {
	if name == "" {
		return nil
	}
	invalid := func(must string) field.ErrorList { return field.ErrorList{field.Invalid(path, show(name), must)} }
	if name == "Local" {
		return invalid(mustBeZone + ": Local is another zone on every host")
	}
	isName := len(name) <= timeZoneMax && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/_+-", r)
	})
	if !isName {
		return invalid(mustBeZone)
	}
	if _, err := time.LoadLocation(name); err != nil {
		return invalid(mustBeZone)
	}
	return nil
}
