package results

import "fmt"

// Status is the result of a check of a whole run.
type Status string

// The statuses.
const (
	Holds      Status = "ok"
	Broken     Status = "failed"
	NotChecked Status = "not checked" // there was nothing to check: not a failure
)

// Finding is the result of one check of a whole run.
type Finding struct {
	Check    string `json:"check"`
	Status   Status `json:"status"`
	Evidence string `json:"evidence"`
	// Faults are the files for which the check failed.
	Faults []Fault `json:"faults,omitempty"`
	// Means is the consequence of a status other than Holds, and what to do.
	Means string `json:"means,omitempty"`
}

// Fault is a problem with one file or folder.
type Fault struct {
	File  string `json:"file"` // relative to the run directory, with slashes
	Fault string `json:"fault"`
}

// NeedsRecords returns the finding of a check for a run without its records.
func NeedsRecords(check string) Finding {
	return Finding{
		Check: check, Status: NotChecked, Evidence: "the run is here without its records",
		Means: ChecksumsFile + " identifies them: with their files in this folder, everything is checked",
	}
}

// NewFinding returns a finding. If there are faults, its status is Broken, and its evidence is their number
// followed by the argument broken. Otherwise its status is Holds, with the given evidence.
func NewFinding(check, evidence string, faults []Fault, broken, means string) Finding {
	if len(faults) == 0 {
		return Finding{Check: check, Status: Holds, Evidence: evidence}
	}
	evidence = fmt.Sprintf("%d %s", len(faults), broken)
	return Finding{Check: check, Status: Broken, Evidence: evidence, Faults: faults, Means: means}
}
