package results

import "fmt"

// Status says how a check of a whole run came out.
type Status string

// The statuses.
const (
	Holds      Status = "ok"
	Broken     Status = "failed"
	NotChecked Status = "not checked" // there was nothing to look at: no failure
)

// Finding is what one check of a whole run found.
type Finding struct {
	Check    string `json:"check"`
	Status   Status `json:"status"`
	Evidence string `json:"evidence"`
	// Faults are the files for which the check failed.
	Faults []Fault `json:"faults,omitempty"`
	// Means says what follows from a status other than Holds, and what to do.
	Means string `json:"means,omitempty"`
}

// Fault is what is wrong with one file or folder.
type Fault struct {
	File  string `json:"file"` // relative to the run directory, with slashes
	Fault string `json:"fault"`
}

// NewFinding is Broken where there are faults, with their number before the
// words of broken, else it Holds, with the evidence given.
func NewFinding(check, evidence string, faults []Fault, broken, means string) Finding {
	if len(faults) == 0 {
		return Finding{Check: check, Status: Holds, Evidence: evidence}
	}
	evidence = fmt.Sprintf("%d %s", len(faults), broken)
	return Finding{Check: check, Status: Broken, Evidence: evidence, Faults: faults, Means: means}
}
